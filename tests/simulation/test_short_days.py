"""The tests of the tests, once more: mistakes that take a certain trouble, each on its own day.

The long days bring such trouble now and then; here it comes on every seed, so a mistake is caught
on the first of them (a few in a hundred don't bring it out), by the words of what it breaks.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pytest
from msgspec.structs import replace

from actors.gateway import doubts
from actors.gateway.cancels import Cancels, Step
from actors.gateway.desk import CallAnswered
from actors.gateway.differences import Compared, Differences
from actors.gateway.doubts import Doubts
from actors.gateway.halt import Halts
from actors.gateway.orders import Orders
from actors.gateway.reading import Reading
from actors.gateway.reconcile import Reconciler
from actors.gateway.sweep import Sweep
from protocol.account import Account
from protocol.facts import OrderSeen
from protocol.kalshi import calls
from protocol.messages import Appended, Halt, HaltAnswer
from tests.simulation import short_days
from tests.simulation.planting import planted
from tests.simulation.test_simulation import Mistake
from tests.simulation.world import World

SEEDS = (1, 2, 3)

# wire_once


def a_repeat_is_taken_for_new() -> AbstractContextManager[None]:
    right = Orders._recorded

    def recorded(self: Orders, now: int, at: int, ticket: Any, answer: Appended) -> Any:
        if answer.verdict == "REPEAT":
            answer = replace(answer, verdict="NEW")
        return right(self, now, at, ticket, answer)

    return planted(Orders, "_recorded", recorded)


# truth


def one_listing_proves_absence() -> AbstractContextManager[None]:
    return planted(doubts, "LISTINGS_NEEDED", 1)


@contextmanager
def one_early_listing_proves_absence() -> Iterator[None]:
    with planted(doubts, "ABSENCE_AFTER", 0), planted(doubts, "LISTINGS_NEEDED", 1):
        yield


def a_late_fill_is_dropped() -> AbstractContextManager[None]:
    right = Account._filled

    def filled(self: Account, fact: Any) -> Any:
        order = self.order_by_id(fact.order_id)
        done = order is not None and order.state == "canceled"
        return [] if done else right(self, fact)

    return planted(Account, "_filled", filled)


def fills_of_an_outage_are_not_asked_for() -> AbstractContextManager[None]:
    right = calls.list_fills
    return planted(calls, "list_fills", lambda *, min_ts=0, cursor="": right(min_ts=2_000_000_000))


def listings_prove_absence_however_late_they_are() -> AbstractContextManager[None]:
    right = Doubts._proves

    def proves(doubt: Any, reading: Reading) -> bool:
        return right(doubt, replace(reading, user_data_at=2**62))

    return planted(Doubts, "_proves", staticmethod(proves))


def a_clock_that_is_set_meanwhile_is_not_noticed() -> AbstractContextManager[None]:
    return planted(Reading, "drift", lambda self, now, at: 0)


def a_404_proves_that_nothing_rests() -> AbstractContextManager[None]:
    right = Cancels._read

    def read(self: Cancels, now: int, at: int, id: str, cancel: Any, ended: CallAnswered) -> Any:
        if cancel.step is Step.CANCELING and ended.status == 404:
            return self._finish(at, id, "gone", "not found")
        return right(self, now, at, id, cancel, ended)

    return planted(Cancels, "_read", read)


def an_external_order_is_canceled() -> AbstractContextManager[None]:
    right = Reconciler._tell

    def tell(self: Reconciler, now: int, at: int, fact: Any) -> Any:
        if isinstance(fact, OrderSeen) and fact.status == "resting":
            account = self._desk.ledger.account
            order = account and account.order_by_id(fact.order_id)
            if order is not None and not order.body_hash:
                self._desk.lanes.submit("cancel:tidy", calls.cancel(fact.order_id, fact.ticker))
        return right(self, now, at, fact)

    return planted(Reconciler, "_tell", tell)


def a_position_that_differs_halts_nothing() -> AbstractContextManager[None]:
    right = Differences.compare

    def compare(self: Differences, *given: Any) -> Compared:
        found = right(self, *given)
        found.alarms.clear()
        return found

    return planted(Differences, "compare", compare)


def positions_are_not_compared() -> AbstractContextManager[None]:
    return planted(Differences, "_positions", lambda self, *given: set())


# kill


def a_halt_is_not_latched_on_disk() -> AbstractContextManager[None]:
    right = Halts.asked

    def asked(self: Halts, now: int, at: int, asker: Any, written_at: int, body: Any) -> Any:
        if not isinstance(body, Halt):
            return right(self, now, at, asker, written_at, body)
        self._halt(now, at, body.reason)
        return self._desk.answer([asker], HaltAnswer(True, body.reason), at)

    return planted(Halts, "asked", asked)


def a_hold_ends_with_its_life() -> AbstractContextManager[None]:
    right = Halts.started

    def started(self: Halts, now: int, at: int) -> Any:
        self._latch = replace(self._latch, hold_until=0)
        return right(self, now, at)

    return planted(Halts, "started", started)


def one_empty_listing_ends_a_panic() -> AbstractContextManager[None]:
    return planted(Sweep, "_proved", lambda self, now: not self.in_flight)


def a_panic_takes_a_listing_for_new() -> AbstractContextManager[None]:
    right = Sweep._proved

    def proved(self: Sweep, now: int) -> bool:
        self._as_of = now
        return right(self, now)

    return planted(Sweep, "_proved", proved)


def named(value: object) -> str:
    return getattr(value, "__name__", "")


Day = Callable[[int], World]
CAUGHT: list[tuple[Mistake, Day, str]] = [
    (
        a_repeat_is_taken_for_new,
        short_days.an_intent_comes_after_its_gateway_has_died,
        "a life that was not told NEW",
    ),
    (one_listing_proves_absence, short_days.a_listing_leaves_out_what_is_there, "c.+: absent"),
    (
        one_early_listing_proves_absence,
        short_days.a_listing_leaves_out_what_is_there,
        "c.+: absent",
    ),
    (a_late_fill_is_dropped, short_days.fills_come_in_an_outage, "fills differ"),
    (fills_of_an_outage_are_not_asked_for, short_days.fills_come_in_an_outage, "fills differ"),
    (listings_prove_absence_however_late_they_are, short_days.reads_lag, "c.+: absent"),
    (
        a_clock_that_is_set_meanwhile_is_not_noticed,
        short_days.reads_lag_and_the_clock_jumps,
        "c.+: absent",
    ),
    (
        a_404_proves_that_nothing_rests,
        short_days.cancels_are_answered_404,
        "was called gone, and it rests",
    ),
    (
        an_external_order_is_canceled,
        short_days.strangers_orders_rest,
        "is not ours and was canceled",
    ),
    (
        a_position_that_differs_halts_nothing,
        short_days.a_position_is_not_what_the_fills_make,
        "halted: nobody has",
    ),
    (
        positions_are_not_compared,
        short_days.a_position_is_not_what_the_fills_make,
        "on record of the positions",
    ),
    (
        a_halt_is_not_latched_on_disk,
        short_days.the_gateway_dies_halted,
        "left while trading was halted",
    ),
    (a_hold_ends_with_its_life, short_days.the_gateway_dies_holding, "left within a minute"),
    (one_empty_listing_ends_a_panic, short_days.reads_lag_in_a_panic, "a panic was called done"),
    (a_panic_takes_a_listing_for_new, short_days.reads_lag_in_a_panic, "a panic was called done"),
]
DAYS = {day for _, day, _ in CAUGHT}


@pytest.mark.parametrize("day", sorted(DAYS, key=lambda d: d.__name__), ids=lambda d: d.__name__)
def test_the_engine_comes_through(day: Day, few: bool) -> None:
    for seed in SEEDS[:1] if few else SEEDS:
        day(seed)


@pytest.mark.parametrize(("mistake", "day", "words"), CAUGHT, ids=named)
def test_a_planted_mistake_is_caught(mistake: Mistake, day: Day, words: str) -> None:
    with mistake():
        for seed in SEEDS:
            try:
                day(seed)
            except AssertionError as e:
                assert re.search(words, str(e)), e
                return
    pytest.fail(f"{mistake.__name__}: not caught")
