"""Each promise against histories made by hand: it takes the good ones and trips over the bad."""

from collections.abc import Callable

import pytest

from protocol.limits import HOLD_AFTER_CANCEL_ALL, MS, SECOND
from tests.simulation.checkers import check_states
from tests.simulation.log import Event
from tests.simulation.promises import HALT_WITHIN, Budget, Kill, Promise, Strangers, WireOnce
from tests.simulation.rates import TrueBucket

TIER = Event(0, "tier", "write 0", rate=100, capacity=100)


def create(at: int, id: str = "a", *, new: bool = True) -> Event:
    return Event(at, "left", id, "create", "write 0", 10, new=new)


def arrived(at: int, id: str = "a", *, recorded: bool = True) -> Event:
    return Event(at, "arrived", id, "create", recorded=recorded)


def canceled_all(at: int) -> Event:
    return Event(at, "left", "", "cancel all", "write 0", 2)


def external(at: int) -> Event:
    return Event(at, "arrived", "o1", "cancel", external=True)


GOOD: list[tuple[Callable[[], Promise], list[Event]]] = [
    (WireOnce, [create(1), create(2, "b"), arrived(3, "b"), arrived(4)]),
    (WireOnce, [create(1)]),  # lost on its way
    (Budget, [TIER, *[create(1, f"c{i}") for i in range(5)], create(SECOND // 2, "x")]),
    (Budget, [Event(0, "refused", "write 0", excused=True)]),
    (Kill, [create(1), Event(2, "halted"), create(2 + HALT_WITHIN, "b")]),
    (Kill, [Event(2, "halted"), Event(3, "resuming"), create(SECOND)]),
    (Kill, [canceled_all(1), create(1 + HOLD_AFTER_CANCEL_ALL)]),
    (Kill, [Event(2, "halted"), Event(3, "panicked"), Event(4, "resuming"), create(SECOND)]),
    (Strangers, [canceled_all(1), external(2)]),
]
BAD: list[tuple[Callable[[], Promise], list[Event], str]] = [
    (WireOnce, [create(1), create(2)], "sent twice"),
    (WireOnce, [create(1), arrived(2), arrived(3)], "arrived twice"),
    (WireOnce, [create(1), arrived(2, recorded=False)], "before it was recorded"),
    (WireOnce, [create(1, new=False)], "not told NEW"),
    (WireOnce, [arrived(1)], "never left"),
    (Budget, [Event(0, "refused", "read")], "429: the read budget"),
    (Budget, [TIER, *[create(1, f"c{i}") for i in range(6)]], "left 40 tokens"),
    (Kill, [Event(1, "halted"), create(2 + HALT_WITHIN)], "while trading was halted"),
    (Kill, [Event(1, "halted", "latch"), create(2)], "while trading was halted"),
    (Kill, [Event(1, "resuming"), Event(2, "halted"), create(SECOND)], "while trading was halted"),
    (Kill, [canceled_all(1), create(HOLD_AFTER_CANCEL_ALL - MS)], "within a minute"),
    (Strangers, [external(2)], "not ours"),
]


@pytest.mark.parametrize(("promise", "history"), GOOD)
def test_a_good_history(promise: Callable[[], Promise], history: list[Event]) -> None:
    kept = promise()
    for event in history:
        kept.take(event)


@pytest.mark.parametrize(("promise", "history", "why"), BAD)
def test_a_bad_history(promise: Callable[[], Promise], history: list[Event], why: str) -> None:
    kept = promise()
    for event in history[:-1]:
        kept.take(event)
    with pytest.raises(AssertionError, match=why):
        kept.take(history[-1])


def test_nothing_that_left_before_a_panic_was_done_may_rest() -> None:
    kill = Kill()
    for event in (create(1), Event(2, "panicked"), Event(3, "resuming"), create(SECOND, "b")):
        kill.take(event)
    kill.check({"b"})
    with pytest.raises(AssertionError, match="a panic was called done"):
        kill.check({"a"})


def test_no_order_that_is_there_is_called_one_that_never_was() -> None:
    check_states({"a": "rejected", "b": "resting", "c": "unknown"}, {"b", "c"})
    for state in ("rejected", "denied", "withdrawn", "absent"):
        with pytest.raises(AssertionError, match=f"a: {state}"):
            check_states({"a": state}, {"a"})


def budget(*levels: tuple[int, int, bool]) -> list[Event]:
    """What the exchange's write budget was, one after the other: rate, capacity, excused."""
    return [
        Event(0, "tier", "write 0", rate=rate, capacity=capacity, excused=excused)
        for rate, capacity, excused in levels
    ]


SPENT = Event(1, "left", "", "program", "write 0", 30)
CREATES = [create(1, f"c{i}") for i in range(6)]
BUDGETS: list[tuple[list[Event], str]] = [
    ([*budget((300, 600, False)), *CREATES], ""),
    ([*budget((300, 600, False), (100, 100, False)), *CREATES], "left 40 tokens"),
    ([*budget((300, 600, False), (100, 100, True)), *CREATES], ""),
    ([*budget((100, 100, True), (100, 100, False)), *CREATES], "left 40 tokens"),
    ([*budget((100, 100, False)), SPENT, *CREATES[:2]], ""),
    ([*budget((100, 100, False)), SPENT, *CREATES[:3]], "left 40 tokens"),
    ([*budget((100, 100, False)), SPENT, SPENT, SPENT, *CREATES[:1]], "left 0 tokens"),
    ([Event(1, "refused", "write 2", excused=True), Event(2, "refused", "write 2")], "429: the w"),
]


@pytest.mark.parametrize(("history", "why"), BUDGETS)
def test_a_budget(history: list[Event], why: str) -> None:
    kept = Budget()
    for event in history[:-1]:
        kept.take(event)
    if not why:
        kept.take(history[-1])
        return
    with pytest.raises(AssertionError, match=why):
        kept.take(history[-1])


def test_the_exchange_s_bucket_refills_and_never_above_its_capacity() -> None:
    bucket = TrueBucket(0, 100, 100)
    assert bucket.draw(0, 100)
    assert not bucket.draw(0, 1)
    assert not bucket.draw(SECOND // 10 - 1, 10)
    assert bucket.draw(SECOND // 10, 10)
    assert bucket.level(HOLD_AFTER_CANCEL_ALL) == 100
    bucket.resize(HOLD_AFTER_CANCEL_ALL, 50, 60)
    assert bucket.level(HOLD_AFTER_CANCEL_ALL) == 60
