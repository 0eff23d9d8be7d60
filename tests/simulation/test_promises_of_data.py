"""Each promise of market data against histories made by hand: good ones, and bad ones."""

from collections.abc import Callable
from typing import Protocol

import pytest
from msgspec.structs import replace

from protocol.limits import SECOND
from tests.simulation.log import Moment, Sides
from tests.simulation.markets import AUDITED_WITHIN, PROBED_WITHIN, TOLD_WITHIN
from tests.simulation.promises_of_data import EXACT, NOTICED_WITHIN, Book, Fresh, Subscriber

ONE: Sides = (((40, 100),), ())
TWO: Sides = (((40, 200),), ())
THREE: Sides = (((40, 300),), ())
WRONG: Sides = ((), ((7, 700),))


class Promise(Protocol):
    def take(self, moment: Moment) -> None:
        """Raises AssertionError if this breaks it."""


def fresh() -> Fresh:
    return Fresh({"far": 3 * SECOND})


def healed() -> Fresh:
    promise = fresh()
    promise.healed = 0
    return promise


def subscriber() -> Subscriber:
    return Subscriber({"far": 3 * SECOND})


def was(at: int, levels: Sides, within: int = TOLD_WITHIN, state: str = "") -> Moment:
    """The exchange's book becomes another one."""
    return Moment(at, "is", "A", levels, within, state=state)


def told(at: int, levels: Sides) -> Moment:
    return Moment(at, "told", "A", levels, TOLD_WITHIN)


def snapshot(seq: int, levels: Sides, ticker: str = "A") -> Moment:
    return Moment(seq, "snapshot", f"book.{ticker}", levels, epoch=1, seq=seq)


def changed(seq: int, levels: Sides | None) -> Moment:
    return Moment(seq, "changed", "book.A", levels, epoch=1, seq=seq)


def lost(seq: int) -> Moment:
    return Moment(seq, "lost", "book.A", epoch=1, seq=seq)


def flag(seq: int, what: str) -> Moment:
    return Moment(seq, what, "book.A", epoch=1, seq=seq)  # type: ignore[arg-type]


def link(what: str, ticker: str = "A", who: str = "market1") -> Moment:
    return Moment(0, what, ticker, who=who)  # type: ignore[arg-type]


def holds(
    at: int, levels: Sides | None, seq: int = 1, state: str = "live", who: str = "d"
) -> Moment:
    return Moment(at, "holds", "A", levels, who=who, state=state, epoch=1, seq=seq)


def vouched(as_of: int, levels: Sides = ONE, state: str = "stale") -> Moment:
    return replace(holds(SECOND, levels, state=state), as_of=as_of)


def missed(at: int, seq: int, topic: str = "book.A", epoch: int = 1, who: str = "d") -> Moment:
    return Moment(at, "missed", topic, who=who, epoch=epoch, seq=seq)


def heard(seq: int, epoch: int = 1) -> Moment:
    return Moment(0, "heard", "book.A", who="d", epoch=epoch, seq=seq)


def counted(count: int, topic: str = "book.A", seq: int = 9, state: str = "") -> Moment:
    return Moment(0, "counted", topic, who="d", count=count, epoch=1, seq=seq, state=state)


SETTLED = Moment(0, "settled", "")
DEAD = Moment(0, "dead", "")
BEGUN = [was(0, ONE), link("mended"), snapshot(1, ONE)]
LATE_FRAME = link("late", "")
LATE = TOLD_WITHIN + 1
LIE = [was(0, ONE), was(SECOND, TWO, state="hidden"), told(SECOND, ONE)]

History = tuple[Callable[[], Promise], list[Moment]]
GOOD: list[History] = [
    (Book, [*BEGUN, was(1, TWO), changed(2, TWO), holds(1, ONE), holds(1, TWO, 2)]),
    (Book, [*BEGUN, was(1, TWO), was(2, THREE), snapshot(2, THREE)]),  # it left one out
    (Book, [*BEGUN, was(1, TWO), was(2, ONE), changed(2, TWO), changed(3, ONE)]),
    (Book, [*BEGUN, was(1, TWO, state="hidden"), told(1, ONE), was(2, THREE), changed(2, THREE)]),
    (Book, [*BEGUN, link("broken"), lost(2), SETTLED, link("mended"), snapshot(3, ONE), SETTLED]),
    (Book, [*BEGUN, link("broken"), link("mended"), lost(2), snapshot(3, ONE), SETTLED]),
    (Book, [*BEGUN, link("broken", who="market2"), SETTLED]),  # it came by another link
    (Book, [*BEGUN, link("broken"), DEAD, SETTLED]),  # nobody is there to serve it
    (Book, [*BEGUN, lost(2), holds(1, None, 2, "lost")]),
    (Book, [*BEGUN, flag(2, "stale"), holds(1, ONE, 2, "stale"), flag(3, "fresh")]),
    (fresh, [was(0, ONE), was(1, TWO), holds(TOLD_WITHIN, ONE), holds(LATE, TWO)]),
    (fresh, [was(0, ONE), holds(100 * LATE, ONE)]),  # quiet is not old
    (fresh, [was(0, ONE), was(1, TWO), was(2, ONE), holds(100 * LATE, ONE)]),
    (fresh, [was(0, ONE), was(0, TWO), holds(LATE, ONE, state="stale")]),
    (fresh, [was(0, ONE), was(0, TWO), holds(LATE, None, state="lost")]),
    (fresh, [was(0, ONE), was(0, TWO), holds(LATE, ONE, who="far")]),
    (fresh, [was(0, ONE), was(0, TWO, PROBED_WITHIN), holds(LATE, ONE)]),
    (fresh, [*LIE, holds(AUDITED_WITHIN + 2 * SECOND, ONE)]),  # not healed: no listings
    (healed, [*LIE, holds(AUDITED_WITHIN + SECOND, ONE)]),
    (healed, [*LIE, was(2 * SECOND, TWO), holds(AUDITED_WITHIN + 2 * SECOND, TWO)]),
    (fresh, [was(0, ONE), was(SECOND, TWO), vouched(SECOND + EXACT), vouched(9 * SECOND, TWO)]),
    (fresh, [was(0, ONE), was(SECOND, TWO, PROBED_WITHIN), vouched(9 * SECOND)]),
    (fresh, [*BEGUN, LATE_FRAME, flag(2, "stale"), SETTLED, flag(3, "fresh"), SETTLED]),
    (fresh, [*BEGUN, link("late", "", "market2"), SETTLED]),
    (subscriber, [heard(1), heard(2), heard(1, 2), holds(0, ONE)]),
    (subscriber, [missed(0, 2), holds(NOTICED_WITHIN, ONE)]),
    (subscriber, [missed(0, 2), holds(NOTICED_WITHIN + 1, None, state="lost")]),
    (subscriber, [missed(0, 2), holds(NOTICED_WITHIN + 1, ONE, 2)]),  # a snapshot came since
    (subscriber, [missed(0, 2, who="far"), holds(NOTICED_WITHIN + 1, ONE, who="far")]),
    (subscriber, [missed(0, 2, "book.B"), holds(NOTICED_WITHIN + 1, ONE)]),
    (subscriber, [missed(0, 2), missed(0, 5), missed(0, 1, epoch=2), counted(2), counted(0, "x")]),
    (subscriber, [missed(0, 2), missed(5, 7), missed(6, 1, "mark"), counted(1, seq=6)]),
    (subscriber, [missed(0, 2), missed(5, 7), counted(1, seq=6, state="over")]),
]
BAD: list[tuple[Callable[[], Promise], list[Moment], str]] = [
    (Book, [was(0, ONE), snapshot(1, WRONG)], "never had"),
    (Book, [*BEGUN, was(1, TWO), changed(2, WRONG)], "never had"),
    (Book, [*BEGUN, was(1, TWO), changed(2, TWO), snapshot(3, ONE)], "gone back"),
    (Book, [*BEGUN, lost(2), changed(3, ONE)], "a change of a lost book"),
    (Book, [changed(1, None)], "a change of a lost book"),
    (Book, [*BEGUN, link("broken"), SETTLED], "after a break"),
    (Book, [*BEGUN, link("broken"), lost(2), snapshot(3, ONE), SETTLED], "after a break"),
    (Book, [*BEGUN, link("mended"), link("broken"), SETTLED], "after a break"),
    (Book, [*BEGUN, was(1, TWO), changed(2, TWO), holds(1, ONE, 2)], "live and wrong"),
    (Book, [*BEGUN, flag(2, "stale"), holds(1, TWO, 2, "stale")], "stale and wrong"),
    (Book, [*BEGUN, lost(2), holds(1, ONE, 2)], "live and wrong"),
    (Book, [*BEGUN, flag(2, "stale"), holds(1, ONE, 2)], "at 2: it is stale"),
    (Book, [*BEGUN, holds(1, ONE, 7)], "live and wrong"),
    (fresh, [was(0, ONE), was(0, TWO), holds(LATE, ONE)], "another book for 5.0 s"),
    (fresh, [was(0, ONE), was(0, TWO), was(LATE, THREE), holds(LATE, ONE)], "another book"),
    (fresh, [was(0, ONE), was(0, TWO), holds(LATE + 3 * SECOND, ONE, who="far")], "far: live"),
    (fresh, [was(0, ONE), was(0, TWO, PROBED_WITHIN), holds(PROBED_WITHIN + 1, ONE)], "live and"),
    (fresh, [*LIE, was(2 * SECOND, THREE), holds(8 * SECOND, ONE)], "another book"),
    (healed, [*LIE, holds(AUDITED_WITHIN + SECOND + 1, ONE)], "a lie of 70.0 s ago"),
    (fresh, [was(0, ONE), was(SECOND, TWO), vouched(SECOND + EXACT + 1)], "vouches for too much"),
    (fresh, [*BEGUN, LATE_FRAME, SETTLED], "what brings it is late"),
    (fresh, [*BEGUN, flag(2, "stale"), LATE_FRAME, flag(3, "fresh"), SETTLED], "is late"),
    (subscriber, [heard(1), heard(1)], "comes late or again"),
    (subscriber, [heard(1, 2), heard(2, 1)], "comes late or again"),
    (subscriber, [missed(0, 2), holds(NOTICED_WITHIN + 1, ONE)], "has missed 2"),
    (subscriber, [missed(0, 1, epoch=2), holds(NOTICED_WITHIN + 1, ONE)], "has missed 1"),
    (subscriber, [missed(0, 2), counted(0)], "counts 0 losses on book.A, and there were 1"),
    (subscriber, [missed(0, 2), counted(2)], "counts 2 losses"),
    (subscriber, [missed(0, 2), missed(5, 7), counted(1, seq=6)], "know of the last ones"),
    (subscriber, [missed(5, 7), missed(4, 1, "mark"), counted(0, seq=6)], "know of the last ones"),
]


@pytest.mark.parametrize(("promise", "history"), GOOD)
def test_a_good_history(promise: Callable[[], Promise], history: list[Moment]) -> None:
    kept = promise()
    for moment in history:
        kept.take(moment)


@pytest.mark.parametrize(("promise", "history", "why"), BAD)
def test_a_bad_history(promise: Callable[[], Promise], history: list[Moment], why: str) -> None:
    kept = promise()
    for moment in history[:-1]:
        kept.take(moment)
    with pytest.raises(AssertionError, match=why):
        kept.take(history[-1])


def test_in_the_end_each_book_is_the_exchange_s() -> None:
    kept = Book()
    for moment in (was(0, ONE), was(1, TWO)):
        kept.take(moment)
    kept.check_end({"A": TWO})
    for held in ({"A": ONE}, {"A": None}, {}):
        with pytest.raises(AssertionError, match="A is not what the exchange has"):
            kept.check_end(held)
