"""More and fewer markets while the engine runs: nobody else loses a frame, and it lasts."""

import os
import signal
from collections.abc import Iterator
from typing import Any

import pytest

from protocol.envelope import Envelope
from protocol.messages import BookLost, BookSnapshot, MarketChanged, Quote, System, Trade
from tests.engine.copied import Copy
from tests.engine.running import Engine

SETTINGS = 'follow = ["*"]'
OURS = "series:KXINXD"  # six markets, among them the second busiest
BUSY = "KXINXD-26DEC31-B7100"
CHANGE_MAX_S = 15.0
LIFE_MAX_S = 20.0  # "about 2 s", and a machine that does much else; a look-up comes each 60 s


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with Engine(**{SETTINGS: f'follow = ["{OURS}"]'}) as engine:
        engine.start()
        engine.until_healthy()
        yield engine


def followed(engine: Engine) -> dict[str, Any]:
    """What is followed; nothing while the stream can't say."""
    answer = engine.get("/v1/follow")
    assert answer.status_code in (200, 503), answer.text
    return what(answer.json()) if answer.status_code == 200 else {}


def what(said: dict[str, Any]) -> dict[str, Any]:
    """An answer without its moment."""
    return {name: value for name, value in said.items() if name not in ("as_of", "age_ms")}


def change(engine: Engine, **wanted: list[str]) -> dict[str, Any]:
    answer = engine.post("/v1/follow", wanted)
    assert answer.status_code == 200, answer.text
    return what(answer.json())


def until_followed(engine: Engine, wishes: list[str], markets: int) -> None:
    """Until exactly these wishes are followed, with so many markets, and all their books live."""
    wanted = {"wishes": wishes, "markets": markets, "live": markets, "left_out": 0}
    engine.until(lambda: followed(engine) == wanted, CHANGE_MAX_S, f"{wanted}")


def book(engine: Engine, ticker: str) -> tuple[int, str]:
    """How a request for a book ends: status, and state or code."""
    answer = engine.get(f"/v1/books/{ticker}")
    body = answer.json()
    return answer.status_code, body["state" if answer.status_code == 200 else "code"]


def make(engine: Engine, ticker: str) -> None:
    engine.deed("market", ticker=ticker, bids=[["0.4000", "5.00"]], asks=[["0.6000", "7.00"]])


def test_more_and_less_while_another_book_loses_nothing(engine: Engine) -> None:
    """What it holds at the end is what the exchange lists: no change of all was lost."""
    more = ["series:KXETHD", "event:KXNBA-27", "KXHIGHNY-26DEC24-B36", "trade:*", "ticker:*"]
    with Copy(engine, BUSY) as copy:
        copy.until_live()
        generation = copy.follower.generation
        for n, wish in enumerate(more, 1):
            assert change(engine, add=[wish])["wishes"] == [OURS, *more[:n]]
        copy.until(
            lambda: (found := followed(engine))["live"] == found["markets"] == 6 + 6 + 6 + 1,
            CHANGE_MAX_S, "all live",
        )  # fmt: skip
        assert book(engine, "KXETHD-26DEC31-T5000") == (200, "live")
        heard = copy.changes
        copy.until(lambda: copy.changes > heard + 20, CHANGE_MAX_S, "changes of the busy market")
        with engine.ear("stream.pub", "book.KXETHD").attached() as ear:
            for n, wish in enumerate(more, 1):
                assert change(engine, remove=[wish])["wishes"] == [OURS, *more[n:]]
            gone = ear.until(lost, 20)
        assert gone.reason == "no longer followed"
        assert book(engine, gone.ticker) == (404, "not_followed")
        copy.until(lambda: followed(engine)["markets"] == 6, CHANGE_MAX_S, "six are left")
        engine.deed("deactivate", ticker=BUSY)  # from now on its book is still
        copy.until(copy.like_the_listing, CHANGE_MAX_S, "what the exchange lists")
        assert copy.losses == []
        assert (copy.follower.gaps, copy.follower.generation) == (0, generation)
    assert engine.until_healthy().processes["stream"].counters["gaps"] == 0
    engine.deed("activate", ticker=BUSY)


def test_a_paused_market_is_dropped_by_the_look_up_and_back_when_it_goes_on(
    engine: Engine,
) -> None:
    """The exchange does not list it as open; its life cycle tells that it is again."""
    until_followed(engine, [OURS], 6)
    engine.deed("deactivate", ticker="KXINXD-26DEC31-B6800")
    change(engine, add=["KXNBA-27-OKC"])  # looks all wishes up
    until_followed(engine, [OURS, "KXNBA-27-OKC"], 6)
    assert book(engine, "KXINXD-26DEC31-B6800") == (404, "not_followed")
    engine.deed("activate", ticker="KXINXD-26DEC31-B6800")
    until_followed(engine, [OURS, "KXNBA-27-OKC"], 7)
    change(engine, remove=["KXNBA-27-OKC"])
    until_followed(engine, [OURS], 6)


def test_a_whole_channel_without_books(engine: Engine) -> None:
    change(engine, add=["trade:*", "ticker:*"])
    with engine.ear("stream.pub", "trade.", "ticker.") as ear:
        for kind in (Trade, Quote):
            found = ear.until(lambda e, kind=kind: elsewhere(e, kind), 20.0)
            assert book(engine, found) == (404, "not_followed")
    assert change(engine, remove=["ticker:*", "trade:*"])["wishes"] == [OURS]
    until_followed(engine, [OURS], 6)


def elsewhere(envelope: Envelope, kind: type) -> str | None:
    """The market of a print or quote of such as have no book here."""
    body: Any = envelope.body
    return body.ticker if isinstance(body, kind) and "KXINXD" not in body.ticker else None


def lost(envelope: Envelope) -> BookLost | None:
    return envelope.body if isinstance(envelope.body, BookLost) else None


def test_what_is_not_followed_by_that_name_is_not_removed(engine: Engine) -> None:
    """Not even in part: the one that is followed stays."""
    answer = engine.post("/v1/follow", {"remove": [OURS, BUSY]})
    assert (answer.status_code, answer.json()["code"], answer.json()["detail"]) == (
        422, "follow_refused", f"'{BUSY}' is not followed by that name",
    )  # fmt: skip
    assert followed(engine)["wishes"] == [OURS]


def test_the_command_lists_adds_and_removes(engine: Engine) -> None:
    def sidecar(*words: str) -> tuple[int, list[str], str]:
        done = engine.sidecar("follow", *words)
        return done.returncode, done.stdout.splitlines(), done.stderr

    until_followed(engine, [OURS], 6)
    assert sidecar("list") == sidecar() == (0, [OURS, "6 markets with books, 6 of them live"], "")
    code, said, _ = sidecar("add", "KXNBA-27-DEN")
    assert (code, said[:2]) == (0, [OURS, "KXNBA-27-DEN"])
    until_followed(engine, [OURS, "KXNBA-27-DEN"], 7)
    assert sidecar("remove", "KXNBA-27-DEN") == (
        0, [OURS, "6 markets with books, 6 of them live"], "",
    )  # fmt: skip
    assert sidecar("remove", "KXNBA-27-DEN") == (
        1, [], "follow: 'KXNBA-27-DEN' is not followed by that name\n",
    )  # fmt: skip
    assert sidecar("list", "KXNBA-27-DEN") == (
        1,
        [],
        "follow: list takes no wishes: KXNBA-27-DEN\n",
    )


def test_a_market_that_is_made_now_is_followed_now(engine: Engine) -> None:
    """The look-up each minute has just been; one in a series that nobody wished for is not."""
    change(engine, add=["series:KXMADE"])
    until_followed(engine, [OURS, "series:KXMADE"], 6)
    with (
        engine.ear("stream.pub", "book.KXMADE-27JAN01-T1 ").attached() as books,
        engine.ear("stream.pub", "market.").attached() as lives,
    ):
        make(engine, "KXOTHER-27JAN01-T1")
        make(engine, "KXMADE-27JAN01-T1")
        first = books.until(
            lambda e: e.body if isinstance(e.body, BookSnapshot) else None, LIFE_MAX_S
        )
        told: list[tuple[str, str]] = []

        def four(envelope: Envelope) -> bool | None:
            if isinstance(envelope.body, MarketChanged):
                told.append((envelope.body.ticker, envelope.body.change))
            return True if len(told) == 4 else None

        lives.until(four, LIFE_MAX_S)
        assert told == [
            ("KXOTHER-27JAN01-T1", "created"), ("KXOTHER-27JAN01-T1", "activated"),
            ("KXMADE-27JAN01-T1", "created"), ("KXMADE-27JAN01-T1", "activated"),
        ]  # fmt: skip
    assert (first.yes, first.no) == (((400_000, 500),), ((400_000, 700),))
    assert book(engine, "KXMADE-27JAN01-T1") == (200, "live")
    assert book(engine, "KXOTHER-27JAN01-T1") == (404, "not_followed")
    until_followed(engine, [OURS, "series:KXMADE"], 7)


def test_a_settled_market_is_dropped(engine: Engine) -> None:
    """Whoever holds a copy of its book is told."""
    change(engine, add=["series:KXENDS"])
    make(engine, "KXENDS-27JAN01-T1")
    engine.until(
        lambda: book(engine, "KXENDS-27JAN01-T1") == (200, "live"), CHANGE_MAX_S, "its book"
    )
    before = followed(engine)["markets"]
    with engine.ear("stream.pub", "book.KXENDS").attached() as ear:
        engine.deed("settle", ticker="KXENDS-27JAN01-T1", result="yes")
        assert ear.until(lost, LIFE_MAX_S).reason == "no longer followed"
    assert book(engine, "KXENDS-27JAN01-T1") == (404, "not_followed")
    assert followed(engine)["markets"] == before - 1
    change(engine, remove=["series:KXENDS"])


def test_a_market_that_the_exchange_does_not_know_costs_the_others_nothing(engine: Engine) -> None:
    """It says so itself; the gate stays open, and so it does for a wish that is being fulfilled."""
    with engine.ear("system.pub", "system ") as ear:
        change(engine, add=["KXNONE-1", "KXNBA-27-CLE"])
        engine.until(lambda: book(engine, "KXNBA-27-CLE") == (200, "live"), CHANGE_MAX_S, "live")
        answer = engine.get("/v1/books/KXNONE-1").json()
        assert (answer["code"], answer["detail"]) == (
            "book_lost", "refused by the exchange: error 11: Invalid parameter: KXNONE-1",
        )  # fmt: skip
        change(engine, remove=["KXNONE-1", "KXNBA-27-CLE"])
        assert {e.body.gate for e in ear.rest() if isinstance(e.body, System)} <= {"open"}
    named = [
        line for line in engine.tail(500).splitlines() if "Invalid parameter: KXNONE-1" in line
    ]
    assert len(named) == 1


def test_nor_does_it_where_the_exchange_does_not_say_which_one_it_is(engine: Engine) -> None:
    """Neither when they are added, nor when a new connection begins with all of them."""
    wishes = ["KXNBA-27-CLE", "KXNONE-2", "KXNBA-27-DEN"]
    refusal = "refused by the exchange: error 11: Invalid parameter: KXNONE-2"

    def settled() -> bool:
        states = [book(engine, wish) for wish in wishes]
        reason = engine.get("/v1/books/KXNONE-2").json()["detail"]
        return states == [(200, "live"), (409, "book_lost"), (200, "live")] and reason == refusal

    engine.faults(nameless_errors=True)
    change(engine, add=wishes)
    engine.until(settled, CHANGE_MAX_S, "the two that there are, and the one that there is not")
    before = engine.until_healthy().processes["stream"].counters["reconnects"]
    engine.faults(close_sockets=True)
    engine.until_system(
        lambda s: s.healthy and s.processes["stream"].counters["reconnects"] > before, 15
    )
    engine.until(settled, CHANGE_MAX_S, "the same after all connections were new")
    engine.faults(nameless_errors=False)
    change(engine, remove=wishes)


def test_wishes_survive_the_death_of_the_stream(engine: Engine) -> None:
    """Killed right after it has answered; one more and one less than the settings name."""
    before = engine.pids()["stream"]
    extra = [wish for wish in followed(engine)["wishes"] if wish != OURS]
    change(engine, add=["event:KXNBA-27"], remove=[OURS, *extra])
    os.kill(before, signal.SIGKILL)
    engine.until_system(lambda s: s.processes["stream"].pid not in (0, before), 15)
    until_followed(engine, ["event:KXNBA-27"], 6)
    assert book(engine, "KXNBA-27-DEN") == (200, "live")
    assert book(engine, BUSY) == (404, "not_followed")
    engine.until_healthy()


def test_a_market_of_the_settings_that_there_is_not_costs_the_others_nothing() -> None:
    """From the first subscription on."""
    wishes = ["KXNBA-27-DEN", "KXNONE-1", "KXNBA-27-CLE"]
    with Engine(**{SETTINGS: f"follow = {wishes}".replace("'", '"')}) as engine:
        engine.start()
        engine.until_healthy()
        assert [book(engine, ticker) for ticker in wishes] == [
            (200, "live"), (409, "book_lost"), (200, "live"),
        ]  # fmt: skip


def test_books_are_split_over_connections_until_there_is_no_room() -> None:
    """36 markets on two connections of 18; one more has to wait until another is over."""
    room = f"{SETTINGS}\nconnections = 2\ntickers_a_connection = 18"
    with Engine(**{SETTINGS: room}) as engine:
        engine.start()
        engine.until_healthy()
        until_followed(engine, ["*"], 36)
        make(engine, "KXMORE-27JAN01-T1")
        full = {"wishes": ["*"], "markets": 37, "live": 36, "left_out": 1}
        engine.until(lambda: followed(engine) == full, CHANGE_MAX_S, f"{full}")
        answer = engine.get("/v1/books/KXMORE-27JAN01-T1")
        assert (answer.status_code, answer.json()["detail"]) == (
            409, "no connection has room for it",
        )  # fmt: skip
        said = engine.sidecar("follow").stdout.splitlines()
        assert said[-1].startswith("1 or more markets are left out")
        engine.until_healthy()
        engine.deed("settle", ticker="KXNBA-27-DEN", result="no")
        until_followed(engine, ["*"], 36)
        assert book(engine, "KXMORE-27JAN01-T1") == (200, "live")
        engine.until_system(
            lambda s: s.processes["stream"].counters["markets_left_out"] == 0, CHANGE_MAX_S
        )
