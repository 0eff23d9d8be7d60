"""How far a book can be trusted: held against the exchange's own listing, late, lied about."""

import time
from collections.abc import Iterator
from typing import Any

import pytest

from protocol.envelope import Envelope
from protocol.messages import (
    AuditAnswer,
    AuditRequest,
    BookAnswer,
    BookLost,
    BookRequest,
    BookSnapshot,
    System,
)
from tests.engine.running import Engine

FOUND_MAX_S = 90.0  # a round takes 60 s, and what differs is looked at twice
STILL = ("KXSTILL-27JAN01-T1", "KXSTILL-27JAN01-T2", "KXSTILL-27JAN01-T3")  # nobody trades there
LIED, CLOSED = STILL[:2]
LATE_MS = 3_000


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with Engine() as engine:
        engine.start()
        engine.until_healthy()
        for ticker in STILL:
            levels = {"bids": [["0.4000", "5.00"], ["0.3900", "2.50"]], "asks": [["0.6000", "7"]]}
            engine.deed("market", ticker=ticker, **levels)
        yield engine


def counters(system: System) -> dict[str, int]:
    return system.processes["stream"].counters


def ours(engine: Engine, ticker: str) -> BookAnswer:
    answer = engine.tell("stream", BookRequest(ticker))
    assert isinstance(answer, BookAnswer)
    return answer


def listed(engine: Engine, *tickers: str) -> dict[str, Any]:
    """What the exchange lists now, by the gateway's own reading."""
    answer = engine.tell("gateway", AuditRequest(tickers))
    assert isinstance(answer, AuditAnswer)
    assert answer.reason == ""
    return {book.ticker: (book.yes, book.no) for book in answer.books}


def levels(book: BookAnswer) -> tuple[Any, Any]:
    return book.yes, book.no


def installed(envelope: Envelope) -> BookSnapshot | None:
    return envelope.body if isinstance(envelope.body, BookSnapshot) else None


def lost(envelope: Envelope) -> BookLost | None:
    return envelope.body if isinstance(envelope.body, BookLost) else None


def test_the_listing_is_our_own_book_while_a_market_is_still(engine: Engine) -> None:
    engine.until(lambda: all(ours(engine, t).state == "live" for t in STILL), 20, "their books")
    found = listed(engine, *STILL)
    assert found == {ticker: levels(ours(engine, ticker)) for ticker in STILL}
    assert found[LIED] == (((390_000, 250), (400_000, 500)), ((400_000, 700),))


def test_audits_find_nothing_wrong_while_all_markets_move(engine: Engine) -> None:
    """Each book has been found right within the last round, and none was ever found wrong."""

    def audited(system: System) -> bool:
        found = counters(system)
        return found.get("books_audited", 0) == found["books_live"] == 39

    found = counters(engine.until_system(audited, FOUND_MAX_S))
    assert found["audits"] >= 39
    for name in ("audit_differences", "audits_unread", "quarantined", "divergences", "gaps"):
        assert found[name] == 0, name
    answer = engine.get(f"/v1/books/{LIED}").json()
    assert 0 < answer["audited_at"] <= time.time_ns() // 1_000


Wronged = dict[str, tuple[BookAnswer, str, BookSnapshot]]  # was, why lost, what came then


@pytest.fixture(scope="module")
def wronged(engine: Engine) -> Wronged:
    """Two books that the exchange has changed without a word.

    How each was, why it was lost, and what was installed then. The one whose market closes is
    followed by its name: so it stays when the exchange does not list it as open any more.
    """
    before = {ticker: ours(engine, ticker) for ticker in (LIED, CLOSED)}
    assert engine.post("/v1/follow", {"add": [CLOSED]}).status_code == 200
    with (
        engine.ear("stream.pub", f"book.{LIED} ").attached() as lied,
        engine.ear("stream.pub", f"book.{CLOSED} ").attached() as closed,
    ):
        engine.faults(lie_in_book=LIED)
        engine.deed("close", ticker=CLOSED, close_ts=int(time.time()) - 1)
        return {
            ticker: (before[ticker], ear.until(lost, FOUND_MAX_S).reason, ear.until(installed, 20))
            for ticker, ear in ((LIED, lied), (CLOSED, closed))
        }


def test_a_book_that_changed_without_a_word_is_found_and_got_anew(
    engine: Engine, wronged: Wronged
) -> None:
    before, reason, snapshot = wronged[LIED]
    assert reason == "differs from the exchange's listing: yes 0.4000: -1.00"
    after = ours(engine, LIED)
    assert (after.state, after.generation) == ("live", before.generation + 1)
    assert levels(after) == (snapshot.yes, snapshot.no) == listed(engine, LIED)[LIED]
    assert after.yes == ((390_000, 250), (400_000, 600))
    system = engine.until_system(lambda s: counters(s)["audit_differences"] == 1, 20)
    assert counters(system)["gaps"] == 0
    # It is looked at once more, and then is right.
    engine.until(lambda: ours(engine, LIED).audited_at > after.received_at, 20.0, "audited again")


def test_a_market_that_closes_by_the_clock_is_found_to_be_empty(
    engine: Engine, wronged: Wronged
) -> None:
    """No frame tells it: the life cycle, or a look-up, has said when that will be."""
    before, reason, snapshot = wronged[CLOSED]
    assert levels(before) == (((390_000, 250), (400_000, 500)), ((400_000, 700),))
    assert reason == "its market has closed"
    assert (snapshot.yes, snapshot.no) == ((), ())
    after = ours(engine, CLOSED)
    assert (after.state, levels(after)) == ("live", ((), ()))
    assert listed(engine, CLOSED)[CLOSED] == ((), ())
    engine.until_healthy()


def test_a_book_of_a_past_moment_is_refused_unless_that_is_allowed(engine: Engine) -> None:
    ticker = "KXETHD-26DEC31-T5000"  # the busiest: each of its changes says that it is late
    asked = f"/v1/books/{ticker}"
    assert engine.get(asked).json()["state"] == "live"
    engine.faults(late_ms=LATE_MS)

    def refused() -> Any:
        answer = engine.get(asked)
        return answer.json() if answer.json().get("code") == "book_stale" else None

    problem = engine.until(refused, 20.0, "it is stale")
    assert problem["status"] == 409
    assert problem["detail"].startswith("data is late: ")
    assert problem["retry_after_ms"] > 0

    def served() -> Any:
        answer = engine.get(f"{asked}?allow_stale=1").json()
        return answer if answer.get("state") == "stale" else None

    book = engine.until(served, 20.0, "it is served")
    assert book["reason"].startswith("data is late: ")
    assert book["yes"] or book["no"]
    assert 0 <= book["age_ms"] <= 2 * LATE_MS
    assert book["as_of"] <= time.time_ns() // 1_000
    engine.faults(late_ms=0)
    engine.until(
        lambda: engine.get(asked).json().get("state") == "live" and not refused(), 30.0, "live"
    )
    engine.until_healthy(40.0)
    engine.until(lambda: ours(engine, STILL[2]).state == "live", 20, "live")
    assert levels(ours(engine, STILL[2])) == listed(engine, STILL[2])[STILL[2]]
