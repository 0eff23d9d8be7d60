"""What WebSocket clients are told: a snapshot, then each change, or that something is missing."""

from typing import Any

import pytest

from protocol.envelope import Envelope
from protocol.limits import (
    BOOKS_NAMED_EVERY,
    MARK_SILENCE_MAX,
    PREFIXES_MAX,
    SECOND,
    SNAPSHOT_BYTES_A_TURN,
)
from protocol.messages import Health, Trade
from protocol.units import Count, Price
from tests.actors.api.scene import Scene, levels_of
from tests.actors.writer.samples import accepted, balance, fill, intended

A, B = "KXA-1", "KXB-2"
BOOK_A = "book.KXA-1"


def settled(scene: Scene) -> Scene:
    """Two books, which the stream has."""
    scene.install(A, (470_000, 300))
    scene.install(B, (100_000, 500))
    scene.second()
    return scene


def no(topic: str, *seqs: int) -> Any:
    """Drops these messages of a topic."""
    return lambda e: e.topic == topic and e.seq in seqs


# Books


def test_the_first_thing_is_a_snapshot_and_then_each_change_as_it_was_published() -> None:
    scene = settled(Scene())
    reader = scene.join(f"{BOOK_A} ")
    scene.second()
    scene.change(A, 480_000, 100)
    scene.change(A, 480_000, -100)
    assert reader.kinds() == ["subscribed", "snapshot", "BookDelta", "BookDelta"]
    _, snapshot, first, second = reader.said
    assert (snapshot["source"], snapshot["epoch"], snapshot["seq"]) == ("stream", 1, 1)
    assert snapshot["body"]["yes"] == [["0.4700", "3.00"]]
    assert [first["seq"], second["seq"]] == [2, 3]
    assert first["body"]["change"] == "1.00"
    scene.check()


def test_a_book_is_not_told_before_a_mark_has_shown_that_nothing_was_missed() -> None:
    scene = settled(Scene())
    scene.books.by_ticker[A].book.apply("yes", 470_000, 100)  # said before we are heard of
    reader = scene.join(f"{BOOK_A} ")
    scene.letters_arrive()
    assert reader.kinds() == ["subscribed"]
    scene.second()
    assert reader.kinds() == ["subscribed", "snapshot"]


def test_whoever_comes_later_begins_where_the_others_are() -> None:
    scene = settled(Scene())
    scene.join(f"{BOOK_A} ")
    scene.second()
    scene.change(A, 480_000, 100)
    late = scene.join(f"{BOOK_A} ")
    assert late.kinds() == ["subscribed", "snapshot"]  # at once
    assert late.at[BOOK_A] == (1, 2)
    scene.change(A, 490_000, 100)
    assert late.at[BOOK_A] == (1, 3)
    scene.check()


@pytest.mark.parametrize("prefix", ["book.", "book.KX", "book.KXA-"])
def test_a_prefix_is_all_books_that_the_stream_follows_there(prefix: str) -> None:
    """Quiet ones, too: nothing is heard of them, the stream is asked for their names."""
    scene = settled(Scene())
    reader = scene.join(prefix)
    scene.second()
    both = {BOOK_A, "book.KXB-2"}
    assert set(reader.books) == {name for name in both if name.startswith(prefix)}
    scene.install("KXA-NEW", (500_000, 100))
    assert reader.kinds()[-1] == "snapshot"
    assert levels_of(scene.books.by_ticker["KXA-NEW"].book) == reader.books["book.KXA-NEW"]
    scene.second()
    assert "lost" not in reader.kinds(), "all of it was heard from its first message on"


def test_a_change_that_does_not_arrive_is_told_and_followed_by_a_snapshot() -> None:
    scene = settled(Scene())
    reader = scene.join(f"{BOOK_A} ")
    scene.second()
    scene.drops = no(BOOK_A, 2)
    scene.change(A, 480_000, 100)
    scene.change(A, 490_000, 100)
    assert reader.kinds()[2:] == ["lost"]
    assert reader.said[-1]["snapshot"] is True
    scene.second()
    assert reader.kinds()[2:] == ["lost", "snapshot"]
    assert reader.books[BOOK_A] == levels_of(scene.books.by_ticker[A].book)


def test_the_loss_of_a_last_change_is_told_by_the_next_mark() -> None:
    scene = settled(Scene())
    reader = scene.join(f"{BOOK_A} ")
    scene.second()
    scene.drops = no(BOOK_A, 2)
    scene.change(A, 480_000, 100)
    scene.second()
    assert reader.kinds()[2:] == ["lost", "snapshot"]
    assert reader.books[BOOK_A] == levels_of(scene.books.by_ticker[A].book)


def test_a_book_that_the_stream_loses_is_told_in_its_own_words() -> None:
    scene = settled(Scene())
    reader = scene.join(f"{BOOK_A} ")
    scene.second()
    scene.lose(A)
    late = scene.join(f"{BOOK_A} ")
    scene.second()
    scene.install(A, (600_000, 100))
    assert reader.kinds()[2:] == ["BookLost", "snapshot"]
    assert late.kinds() == ["subscribed", "lost", "snapshot"]
    assert (late.said[1]["why"], late.said[1]["detail"]) == ("book_lost", "gap before 813")
    assert reader.at[BOOK_A] == late.at[BOOK_A] == (1, 3)


def test_a_book_that_nobody_follows_is_told_so_and_comes_when_it_is_followed() -> None:
    scene = settled(Scene())
    reader = scene.join("book.KXNONE-1 ")
    scene.second()
    assert reader.kinds() == ["subscribed", "lost"]
    assert reader.said[1]["why"] == "not_followed"
    scene.install("KXNONE-1", (600_000, 100))
    scene.second()
    assert reader.kinds() == ["subscribed", "lost", "snapshot"]


def test_a_market_that_is_over_is_let_go() -> None:
    scene = settled(Scene())
    reader = scene.join("book.")
    scene.second()
    before = len(scene.heard)
    scene.say_all(scene.books.drop(scene.books.by_ticker[A], "not followed any more", scene.at))
    scene.second()
    assert reader.kinds()[-2:] == ["BookLost", "lost"]
    assert (reader.said[-1]["why"], reader.said[-1]["snapshot"]) == ("not_followed", False)
    assert len(scene.heard) == before - 1
    assert not [letter for _, letter in scene.letters]


def test_a_stream_that_falls_silent_or_begins_anew_is_told() -> None:
    scene = settled(Scene())
    reader = scene.join(f"{BOOK_A} ")
    scene.second()
    scene.passes(MARK_SILENCE_MAX + 1)
    assert reader.kinds()[2:] == ["lost"]
    scene.restart_stream()
    scene.letters.clear()
    scene.install(A, (600_000, 100))
    scene.second()
    assert reader.kinds()[2:4] == ["lost", "snapshot"]
    assert reader.at[BOOK_A] == (2, 1)
    scene.check()


def test_two_prefixes_are_one_topic() -> None:
    scene = settled(Scene())
    reader = scene.join("book.", f"{BOOK_A} ", "book.KXA-")
    scene.second()
    scene.change(A, 480_000, 100)
    assert [s["topic"] for s in reader.said if s.get("kind") == "snapshot"].count(BOOK_A) == 1
    assert reader.kinds().count("BookDelta") == 1
    scene.say(1, unsubscribe=["book."], id="x")
    scene.change(A, 490_000, 100)
    scene.change(B, 490_000, 100)
    assert reader.kinds()[-2:] == ["unsubscribed", "BookDelta"]
    assert reader.said[-2]["id"] == "x"
    scene.check()


def test_whom_nobody_follows_is_not_listened_for() -> None:
    scene = settled(Scene())
    before = set(scene.heard)
    scene.join(f"{BOOK_A} ", "trade.", "book.KX")
    scene.second()
    assert {f"{BOOK_A} ", "trade.", "book.KX", "book.KXB-2 "} <= scene.heard
    scene.leave(1)
    scene.passes()
    assert scene.heard == before


def test_a_book_that_one_follows_by_name_is_new_to_those_who_follow_its_prefix() -> None:
    scene = settled(Scene())
    reader = scene.join("book.")
    scene.second()
    scene.join("book.KXNEW-1 ")
    scene.second()
    scene.install("KXNEW-1", (470_000, 300))
    assert "book.KXNEW-1" in reader.books


def test_a_word_from_before_that_a_book_is_not_followed_does_not_end_it() -> None:
    scene = settled(Scene())
    reader = scene.join("book.")
    scene.second()
    scene.restart_stream()
    scene.letters_arrive()
    scene.join(f"{BOOK_A} ")
    scene.passes(MARK_SILENCE_MAX + 1)  # lost, and asked for; the answer is on its way
    early = list(scene.letters)
    scene.letters_arrive()  # by a stream that does not have it yet
    scene.install(A, (600_000, 100))
    scene.letters.extend(early)
    for _ in range(3):
        scene.second()
    assert reader.books[BOOK_A] == levels_of(scene.books.by_ticker[A].book)


def test_a_quiet_book_of_which_nothing_was_heard_is_found_by_its_name() -> None:
    scene = settled(Scene())
    reader = scene.join("book.")
    scene.second()
    scene.drops = lambda _: True
    scene.install("KXQUIET-1", (470_000, 300))
    scene.second()
    scene.drops = lambda _: False
    for _ in range(BOOKS_NAMED_EVERY // SECOND + 3):
        scene.second()
    assert "book.KXQUIET-1" in reader.books


# The account


def traded() -> Scene:
    scene = Scene()
    scene.book_fact(intended(), accepted(), fill(), balance())
    scene.second()
    return scene


def test_the_account_comes_as_it_is_and_then_what_changes() -> None:
    scene = traded()
    reader = scene.join("order.", "fill.", "position.", "balance.")
    assert reader.kinds() == ["subscribed"] + ["snapshot"] * 4
    assert {s["topic"]: (s["seq"], s["n"]) for s in reader.said[1:]} == {
        "order.KXA-1": (3, 4), "fill.KXA-1": (1, 4), "position.KXA-1": (1, 4), "balance.0": (1, 4),
    }  # fmt: skip
    scene.book_fact(fill("t2"))
    assert sorted(reader.kinds()[5:]) == ["BookedFill", "Order", "Position"]
    assert len(reader.rows["fill.KXA-1"]) == 2 + 1
    assert reader.rows["order.KXA-1"]["c1"]["filled"] == "2.00"


def test_a_topic_that_comes_into_being_begins_with_a_snapshot() -> None:
    scene = Scene()
    reader = scene.join("order.", "fill.KXA-1 ")
    assert reader.kinds() == ["subscribed", "snapshot"]  # of fills: none
    scene.book_fact(intended())
    assert reader.kinds()[2:] == ["snapshot"]
    assert reader.said[-1]["body"][0]["state"] == "intended"
    scene.book_fact(accepted())
    assert reader.kinds()[3:] == ["Order"]


def test_a_message_of_the_account_that_is_lost_is_told_and_made_good() -> None:
    scene = traded()
    reader = scene.join("order.")
    scene.drops = no("order.KXA-1", 4)
    scene.book_fact(fill("t2"))
    assert reader.kinds() == ["subscribed", "snapshot"]
    scene.second()
    assert reader.kinds()[2:] == ["lost", "snapshot"]
    assert reader.rows["order.KXA-1"]["c1"]["filled"] == "2.00"
    scene.drops = lambda _: False
    scene.book_fact(fill("t3"))
    assert reader.rows["order.KXA-1"]["c1"]["filled"] == "3.00"


def test_no_snapshot_is_older_than_what_was_said_before() -> None:
    """The entry is not heard, its meaning is: until the entry is fetched, nobody is told."""
    scene = traded()
    scene.drops = lambda e: e.topic == "ledger"
    scene.book_fact(fill("t2"))
    reader = scene.join("fill.")
    assert reader.kinds() == ["subscribed"]
    scene.second()
    assert len(reader.rows["fill.KXA-1"]) == 2 + 1


def test_the_first_message_of_a_topic_that_is_lost_is_made_good() -> None:
    """Nothing was ever heard of it: the mark names it."""
    scene = Scene()
    reader = scene.join("fill.")
    scene.drops = lambda e: e.topic == "fill.KXA-1"
    scene.book_fact(intended(), accepted(), fill())
    scene.second()
    assert [*reader.rows["fill.KXA-1"]] == ["t1", "n"]


def test_where_the_numbers_are_not_known_the_first_message_may_not_be_the_next() -> None:
    """A fill was lost before the front knew the topic's numbers, with all that would show it."""
    scene = Scene()
    scene.drops = lambda _: True
    scene.book_fact(intended(), accepted(), fill("t1"))
    scene.drops = lambda _: False
    reader = scene.join("fill.KXA-1 ")
    assert reader.kinds() == ["subscribed", "snapshot"]
    assert reader.said[1]["seq"] is None
    scene.book_fact(fill("t2"))
    scene.second()
    assert reader.kinds()[2:] == ["lost", "snapshot"]
    assert [*reader.rows["fill.KXA-1"]] == ["t1", "t2", "n"]


def test_while_the_writer_is_silent_there_is_no_snapshot_of_the_account() -> None:
    scene = traded()
    first = scene.join("order.")
    scene.passes(MARK_SILENCE_MAX + 1)
    second = scene.join("order.")
    scene.passes(1)
    assert first.kinds()[2:] == ["lost"]
    assert second.kinds() == ["subscribed"]
    scene.mark()
    assert first.kinds()[-1] == second.kinds()[-1] == "snapshot"


# The ledger


def test_the_ledger_comes_from_a_number_on_without_a_gap() -> None:
    scene = Scene()
    scene.book_fact(intended(), accepted(), *(fill(f"t{k}") for k in range(600)))
    scene.second()
    reader, later = scene.join("ledger", since=1), scene.join("ledger")
    for _ in range(20):
        scene.passes()
        scene.letters_arrive()
    scene.book_fact(balance())
    assert reader.entries == [*range(1, 604)]
    assert later.entries == [602, 603]
    assert reader.kinds()[:3] == ["subscribed", "snapshot", "entries"]
    assert reader.kinds()[-1] == "Entry"


def test_an_entry_that_is_not_heard_is_fetched() -> None:
    scene = traded()
    reader = scene.join("ledger")
    scene.drops = no("ledger", 5)
    scene.book_fact(fill("t2"), fill("t3"))
    assert reader.kinds() == ["subscribed", "snapshot"]
    scene.second()
    assert reader.entries == [4, 5, 6]
    scene.drops = no("ledger", 7)
    scene.book_fact(fill("t4"))
    scene.second()
    assert reader.entries == [4, 5, 6, 7]


# Topics without a snapshot


def trade(scene: Scene, id: str) -> Envelope:
    body = Trade(A, id, Price(560_000), Count(100), "yes")
    return scene.stream.seal(f"trade.{A}", body, scene.at)


def test_of_trades_what_is_missing_is_told_and_not_made_good() -> None:
    scene = settled(Scene())
    reader = scene.join("trade.")
    scene.publish(trade(scene, "t1"))
    trade(scene, "t2")
    scene.publish(trade(scene, "t3"))
    trade(scene, "t4")
    scene.second()
    assert reader.kinds() == ["subscribed", "Trade", "lost", "Trade", "lost"]
    lost = reader.said[2]
    assert (lost["topic"], lost["why"], lost["missing"]) == (f"trade.{A}", "gap", 1)
    assert lost["snapshot"] is False
    assert reader.said[4]["why"] == "tail"


def test_what_is_missing_of_a_topic_is_told_also_before_anything_was_heard_of_it() -> None:
    """Its numbers are known from the marks."""
    scene = settled(Scene())
    trade(scene, "t1")  # nobody listens
    scene.second()
    reader = scene.join("trade.")
    scene.second()
    scene.second()
    trade(scene, "t2")
    scene.publish(trade(scene, "t3"))
    assert reader.kinds() == ["subscribed", "lost", "Trade"]
    assert (reader.said[1]["topic"], reader.said[1]["missing"]) == (f"trade.{A}", 1)


def test_a_book_that_is_in_doubt_is_no_snapshot_for_who_comes_then() -> None:
    scene = settled(Scene())
    scene.join(f"{BOOK_A} ")
    scene.second()
    for _ in range(2):  # the stream falls silent, the others do not
        scene.passes(MARK_SILENCE_MAX // 2 + 1)
        scene.publish(scene.writer.marks(scene.now, scene.at, 0)[0])
    late = scene.join(f"{BOOK_A} ")
    assert "snapshot" not in late.kinds()


def test_what_was_said_before_somebody_came_is_not_missed() -> None:
    scene = settled(Scene())
    trade(scene, "t1")
    reader = scene.join("trade.")
    trade(scene, "t2")
    scene.second()
    assert reader.kinds() == ["subscribed"]
    scene.publish(trade(scene, "t3"))
    assert reader.kinds() == ["subscribed", "Trade"]


def test_a_mark_that_is_missing_may_hide_any_loss() -> None:
    scene = settled(Scene())
    reader = scene.join("trade.", f"{BOOK_A} ")
    scene.second()
    scene.drops = lambda e: e.topic == "mark"
    scene.second()
    scene.drops = lambda _: False
    scene.second()
    assert [s["topic"] for s in reader.said if s.get("kind") == "lost"] == ["trade.", BOOK_A]


def test_how_the_engine_is_begins_with_what_was_said_last() -> None:
    scene = settled(Scene())
    reader = scene.join("system", "health.")
    assert reader.kinds() == ["subscribed", "snapshot"]
    assert reader.said[1]["body"]["healthy"] is True
    scene.system()
    health = Health("stream", "ready", "")
    scene.publish(scene.supervisor.seal("health.stream", health, scene.at))
    assert reader.kinds()[2:] == ["System", "snapshot"]


# Commands


@pytest.mark.parametrize(
    ("command", "code", "field"),
    [
        ({}, "invalid_command", "subscribe"),
        ({"subscribe": []}, "invalid_command", "subscribe"),
        ({"subscrbe": ["mark"]}, "invalid_command", "subscrbe"),
        ({"subscribe": "mark"}, "invalid_command", "subscribe"),
        ({"subscribe": ["mark", ""]}, "invalid_prefix", "subscribe[1]"),
        ({"subscribe": ["bok.KXA"]}, "invalid_prefix", "subscribe[0]"),
        ({"subscribe": ["book"]}, "invalid_prefix", "subscribe[0]"),
        ({"subscribe": ["book. "]}, "invalid_prefix", "subscribe[0]"),
        ({"subscribe": ["book.A B"]}, "invalid_prefix", "subscribe[0]"),
        ({"subscribe": ["book.\u00e9"]}, "invalid_prefix", "subscribe[0]"),
        ({"subscribe": ["book." + "X" * 96]}, "invalid_prefix", "subscribe[0]"),
        ({"subscribe": ["mark"], "since": 1}, "invalid_since", "since"),
        ({"subscribe": ["ledger"], "since": -1}, "invalid_since", "since"),
        ({"subscribe": ["ledger"], "since": 99}, "invalid_since", "since"),
        ({"unsubscribe": ["mark"]}, "not_subscribed", "unsubscribe"),
        ({"id": "x" * 65, "subscribe": ["mark"]}, "invalid_id", "id"),
        ({"subscribe": ["mark"] * (PREFIXES_MAX + 1)}, "too_many_prefixes", "subscribe"),
    ],
)
def test_a_command_that_makes_no_sense_is_refused_as_a_whole(
    command: Any, code: str, field: str
) -> None:
    scene = Scene()
    reader = scene.join()
    scene.say(1, **command)
    [error] = reader.said
    assert (error["kind"], error["code"], error["field"]) == ("error", code, field)
    assert error["detail"]
    scene.second()
    assert reader.kinds() == ["error"]


def test_an_error_and_an_answer_carry_the_id_of_their_command() -> None:
    scene = Scene()
    reader = scene.join()
    scene.say(1, id=7, subscribe=["nothing."])
    scene.say(1, id="a", subscribe=["mark"], unsubscribe=[])
    assert [(s["kind"], s["id"]) for s in reader.said] == [("error", 7), ("subscribed", "a")]


def test_one_client_has_a_bounded_number_of_subscriptions() -> None:
    scene = Scene()
    reader = scene.join(*(f"trade.T{k} " for k in range(PREFIXES_MAX)))
    scene.say(1, subscribe=["trade.MORE "])
    assert reader.said[-1]["code"] == "too_many_subscriptions"
    scene.say(1, subscribe=["trade.MORE "], unsubscribe=["trade.T0 "])
    assert reader.kinds()[-2:] == ["unsubscribed", "subscribed"]


# Those who take little


def test_snapshots_come_as_fast_as_a_client_takes_them() -> None:
    scene = Scene()
    many = [(k * 1_000 + 1_000, 100) for k in range(900)]
    tickers = [f"KXBIG-{k}" for k in range(60)]
    for ticker in tickers:
        scene.install(ticker, *many)
    scene.second()
    scene.drained = False
    slow = scene.join("book.KXBIG")
    for _ in range(3):
        scene.second()
    had = len(slow.books)
    assert 0 < had < 60
    assert sum(len(str(s)) for s in slow.said) < 2 * SNAPSHOT_BYTES_A_TURN
    for ticker in tickers:
        scene.change(ticker, 1_000, 100)
    assert len(slow.books) == had
    scene.check()
    scene.drained = True
    for _ in range(3):
        scene.second()
    assert len(slow.books) == 60
    scene.check()
