"""Stories of getting books back: snapshots, then a new subscription, then a new connection."""

from typing import Any

import pytest

from actors.stream.core import CloseSocket, OpenSocket
from protocol.limits import COMMAND_MAX, COMMAND_RETRY, RESYNC_RETRY, SECOND, SNAPSHOT_TRIES
from protocol.messages import BookLost, BookSnapshot
from tests.actors.stream.scene import MARKET, A, B, Scene, published, sent
from tests.actors.stream.venue import live


def lose_a_frame(scene: Scene) -> None:
    scene.seq(1)
    scene.delta(A, "yes", "0.4700", "1.00")


def error(scene: Scene, code: int, sid: int | None = None, **more: Any) -> list[Any]:
    frame: dict[str, Any] = {"type": "error", "msg": {"code": code, "msg": "so it is"}, **more}
    if sid is not None:
        frame |= {"sid": sid, "seq": scene.seq(sid)}
    return scene.frame(frame)


def test_the_ladder_snapshots_then_a_new_subscription_then_a_new_connection() -> None:
    scene = Scene()
    scene.go_live(A)
    lose_a_frame(scene)
    scene.wait((SNAPSHOT_TRIES - 1) * RESYNC_RETRY)
    asked = sent(scene.take())
    assert [c["params"]["action"] for c in asked] == ["get_snapshot"] * SNAPSHOT_TRIES
    scene.wait(RESYNC_RETRY)
    effects = scene.take()
    assert CloseSocket(MARKET) not in effects
    gone, anew = sent(effects)
    assert (gone["cmd"], gone["params"]) == ("unsubscribe", {"sids": [1]})
    assert (anew["cmd"], anew["params"]["channels"]) == ("subscribe", ["orderbook_delta"])
    scene.frame({"type": "unsubscribed", "id": gone["id"], "sid": 1, "seq": scene.seq(1)})
    msg = {"channel": "orderbook_delta", "sid": 9}
    scene.frame({"type": "subscribed", "id": anew["id"], "msg": msg})
    scene.wait(2 * RESYNC_RETRY)
    assert sent(scene.take())[0]["params"]["sids"] == [9]
    scene.wait(RESYNC_RETRY)
    assert CloseSocket(MARKET) in scene.take()
    assert scene.counters["stalls_dead_subscription"] == 2


def test_the_new_subscription_brings_its_books_and_the_old_number_counts_no_more() -> None:
    scene, venue = live(A, B)
    venue.deaf = {"get_snapshot"}
    venue.meddle = lambda link, raws: []
    venue.change(scene, A, "yes", 470_000, 100)
    venue.meddle = lambda link, raws: raws
    venue.change(scene, A, "yes", 470_000, 100)
    assert scene.core.books.lost == 2
    scene.wait(SNAPSHOT_TRIES * RESYNC_RETRY + SECOND // 10)
    assert scene.core.books.live == 2
    assert venue.actions()[-2:] == ["unsubscribe", "subscribe"]
    assert scene.ask_book(A).yes[0][1] == 500
    assert scene.counters["reconnects"] == 0
    body = {"market_ticker": A}
    scene.frame({"type": "orderbook_snapshot", "sid": 1, "seq": 900, "msg": body})
    assert scene.ask_book(A).yes[0][1] == 500
    venue.change(scene, A, "yes", 470_000, -500)
    assert scene.ask_book(A).yes == ()


def test_what_brings_snapshots_is_not_given_up() -> None:
    scene = Scene()
    tickers = [f"KXM-{i}" for i in range(30)]
    scene.go_live(*tickers)
    scene.seq(1)
    scene.delta(tickers[0], "yes", "0.4700", "1.00")
    for ticker in tickers:  # one each half second: fifteen seconds for all
        scene.snapshot(ticker, [["0.4700", "3.00"]])
        scene.wait(SECOND // 2)
    assert scene.core.books.live == 30
    asked = [c["params"].get("action", c["cmd"]) for c in sent(scene.take())]
    assert set(asked) == {"get_snapshot"}


def test_a_market_whose_first_snapshot_never_comes_does_not_cost_the_others() -> None:
    scene, venue = live(A)
    venue.books[B] = {"yes": {}, "no": {}}
    venue.bookless = {B}
    scene.wait(SECOND)
    opens = venue.sessions[MARKET]
    for _ in range(90):
        venue.change(scene, A, "yes", 470_000, 100)
        scene.wait(SECOND)
    assert scene.ask_book(A).state == "live" and venue.sessions[MARKET] is opens
    assert scene.reasons == ("books: 1 waiting for a snapshot",)
    assert not [body for body in published(scene.take()) if isinstance(body, BookLost)]
    venue.bookless = set()
    scene.wait(60 * SECOND)
    assert scene.ask_book(B).state == "live"


@pytest.mark.parametrize("code", [10, 25])
def test_a_dead_subscription_is_made_anew_and_the_connection_stays(code: int) -> None:
    for sid, channel in ((1, "orderbook_delta"), (2, "trade"), (3, "ticker")):
        scene = Scene()
        scene.go_live(A)
        effects = error(scene, code, sid)
        assert CloseSocket(MARKET) not in effects
        (subscribe,) = sent(effects)
        assert subscribe["cmd"] == "subscribe"
        assert subscribe["params"]["channels"] == [channel]
        assert subscribe["params"]["market_tickers"] == [A]
        lost = [BookLost(A, f"error {code}: so it is")] if sid == 1 else []
        assert published(effects) == lost
        assert scene.counters["resubscribed"] == 1


def test_an_unsolicited_unsubscribed_is_a_dead_subscription() -> None:
    scene = Scene()
    scene.go_live(A)
    effects = scene.frame({"type": "unsubscribed", "id": 0, "sid": 1, "seq": scene.seq(1)})
    assert published(effects) == [BookLost(A, "unsubscribed, and we did not ask for it")]
    (subscribe,) = sent(effects)
    assert subscribe["cmd"] == "subscribe"
    assert published(scene.delta(A, "yes", "0.4700", "1.00")) == []


@pytest.mark.parametrize("code", [17, 18])
def test_something_that_was_not_done_at_the_exchange_makes_books_suspect(code: int) -> None:
    scene = Scene()
    scene.go_live(A)
    effects = error(scene, code, 1)
    assert CloseSocket(MARKET) not in effects
    assert published(effects) == [BookLost(A, f"error {code}: so it is")]
    assert sent(effects)[0]["params"]["action"] == "get_snapshot"
    scene = Scene()
    scene.go_live(A)
    assert published(error(scene, code, 2)) == []  # prints


def test_no_permission_means_a_new_connection() -> None:
    scene = Scene()
    scene.go_live(A)
    assert CloseSocket(MARKET) in error(scene, 9)


def test_a_number_that_the_exchange_does_not_know_is_subscribed_anew() -> None:
    scene, venue = live(A)
    del venue.sessions[MARKET].sids["orderbook_delta"]
    venue.books[B] = {"yes": {}, "no": {}}
    scene.wait(2 * SECOND)
    assert venue.actions()[0] == "add_markets"
    assert scene.core.books.live == 2
    assert BookLost(A, "error 7: Unknown subscription ID") in published(scene.take())


def test_too_many_commands_are_sent_again_later() -> None:
    scene = Scene()
    scene.markets(A)
    scene.open()
    scene.take()
    error(scene, 27, id=1)
    assert sent(scene.take()) == []
    scene.wait(COMMAND_RETRY)
    (again,) = sent(scene.take())
    assert (again["cmd"], again["id"]) == ("subscribe", 2)
    scene.subscribed(2)
    scene.snapshot(A)
    assert scene.ask_book(A).state == "live"


def test_markets_that_the_exchange_names_as_unknown_are_left_out() -> None:
    scene = Scene()
    scene.markets(A, B)
    scene.open()
    scene.take()
    body = {"code": 11, "msg": "Invalid parameter", "market_tickers": [B]}
    scene.frame({"type": "error", "id": 1, "msg": body})
    (again,) = sent(scene.take())
    assert again["params"]["market_tickers"] == [A]
    scene.subscribed(again["id"])
    scene.snapshot(A)
    assert scene.ask_book(A).state == "live"
    assert scene.core._health._reasons(False)[-2] == "books: 1 waiting for a snapshot"


def test_an_unanswered_command_means_a_new_connection() -> None:
    scene = Scene()
    scene.markets(A)
    scene.open()
    scene.frame({"type": "subscribed", "id": 1, "msg": {"channel": "trade", "sid": 2}})
    scene.wait(COMMAND_MAX)
    assert CloseSocket(MARKET) in scene.take()


# Snapshots


def test_snapshots_that_repeat_a_live_book_change_nothing() -> None:
    scene = Scene()
    scene.go_live(A)
    generation = scene.ask_book(A).generation
    for _ in range(3):
        effects = scene.snapshot(A, [["0.4700", "3.00"]], [["0.4800", "2.00"]])
        assert published(effects) == []
    assert scene.ask_book(A).generation == generation
    assert scene.counters["repeated_snapshots"] == 3


def test_an_unsolicited_snapshot_is_taken_and_whether_it_is_right_a_listing_has_to_say() -> None:
    scene, venue = live(A, B)
    scene.wait(5 * SECOND)
    seq = venue.sessions[MARKET].seqs[1] = venue.sessions[MARKET].seqs[1] + 1
    body = {"market_ticker": A, "yes_dollars_fp": [["0.0100", "1.00"]]}
    frame = {"type": "orderbook_snapshot", "sid": 1, "seq": seq, "msg": body}
    (said,) = published(scene.frame(frame))
    assert isinstance(said, BookSnapshot) and said.generation == 2
    assert scene.counters["unsolicited_snapshots"] == 1
    for _ in range(15):
        scene.wait(SECOND)
        venue.change(scene, B, "yes", 470_000, 100)
    assert scene.counters["audit_differences"] == 1  # it was not
    answer = scene.ask_book(A)
    assert (answer.state, answer.yes[0][0]) == ("live", 470_000)


def test_an_empty_snapshot_is_a_book_without_orders() -> None:
    scene = Scene()
    scene.go_live(A)
    lose_a_frame(scene)
    scene.snapshot(A)
    answer = scene.ask_book(A)
    assert (answer.state, answer.yes, answer.no) == ("live", (), ())


def test_a_snapshot_of_a_subscription_that_is_gone_installs_nothing() -> None:
    scene = Scene()
    scene.go_live(A)
    error(scene, 25, 1)
    scene.snapshot(A, [["0.4700", "3.00"]])
    assert scene.ask_book(A).state == "lost"
    assert scene.counters["strays"] == 1


# Crossed


def test_a_book_that_is_crossed_for_long_is_got_anew() -> None:
    scene = Scene()
    scene.go_live(A, B)
    scene.delta(A, "yes", "0.5300", "1.00")
    scene.wait(SECOND // 4)
    assert scene.ask_book(A).state == "live"  # a trade may be under way
    scene.delta(A, "yes", "0.5300", "-1.00")
    scene.wait(SECOND)
    assert scene.ask_book(A).state == "live"
    scene.delta(A, "yes", "0.5300", "1.00")
    scene.take()
    scene.wait(SECOND * 6 // 10)
    assert published(scene.effects) == [BookLost(A, "crossed")]
    assert sent(scene.effects)[0]["params"]["market_tickers"] == [A]
    assert scene.ask_book(B).state == "live"
    scene.snapshot(A, [["0.4700", "3.00"]])
    assert (scene.ask_book(A).state, scene.counters["crossed"]) == ("live", 1)


def test_a_snapshot_may_be_crossed_too() -> None:
    scene = Scene()
    scene.go_live(A)
    lose_a_frame(scene)
    scene.snapshot(A, [["0.5300", "1.00"]], [["0.4800", "1.00"]])
    assert scene.ask_book(A).state == "live"
    scene.wait(SECOND)
    assert scene.ask_book(A).state == "lost"
    assert OpenSocket(MARKET) not in scene.effects
