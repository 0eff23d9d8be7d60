"""The tests of the tests: known mistakes, planted one at a time. The simulation must catch each.

A checker that no mistake trips proves nothing; a new promise brings a mistake with it.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pytest

from actors.gateway import orders, reconcile
from actors.gateway.orders import Orders, Stage
from actors.stream.subscriptions import Place, Subscriptions
from actors.writer.core import Writer
from protocol.follower import LedgerFollower
from protocol.kalshi import calls
from protocol.kalshi.calls import Refusal
from protocol.machine import Answer
from protocol.messages import Appended
from protocol.sequence import Cursor, Verdict
from tests.simulation.test_simulation import simulate

SEEDS_MAX = 40

Mistake = Callable[[], AbstractContextManager[None]]


@contextmanager
def planted(owner: Any, name: str, wrong: Any) -> Iterator[None]:
    """Put a mistake in place of what is right, for a while."""
    right = getattr(owner, name)
    setattr(owner, name, wrong)
    try:
        yield
    finally:
        setattr(owner, name, right)


def judging(change: dict[Verdict, Verdict]) -> AbstractContextManager[None]:
    right = Cursor._judge
    return planted(Cursor, "_judge", lambda s, e, q: change.get(v := right(s, e, q), v))


def a_gap_on_the_bus_counts_as_next() -> AbstractContextManager[None]:
    return judging({Verdict.GAP: Verdict.NEXT})


def a_duplicate_counts_as_next() -> AbstractContextManager[None]:
    return judging({Verdict.DUPLICATE: Verdict.NEXT})


def a_gap_of_the_exchange_is_not_noticed() -> AbstractContextManager[None]:
    right = Subscriptions.admit

    def admit(self: Subscriptions, *place: Any) -> Any:
        verdict = right(self, *place)
        return Place.NEXT if verdict is Place.GAP else verdict

    return planted(Subscriptions, "admit", admit)


def an_order_leaves_before_its_intent_is_recorded() -> AbstractContextManager[None]:
    right = Orders.place

    def place(self: Orders, now: int, at: int, asker: Any, order: Any, closed: Any) -> Any:
        new = order.client_order_id not in self.tickets
        effects = right(self, now, at, asker, order, closed)
        ticket = self.tickets.get(order.client_order_id)
        if new and ticket is not None:
            ticket.stage = Stage.QUEUED
            self._desk.lanes.submit(f"order:{order.client_order_id}", calls.create(order))
        return effects

    return planted(Orders, "place", place)


def an_unknown_order_is_sent_again() -> AbstractContextManager[None]:
    def unknown(self: Orders, now: int, at: int, ticket: Any, reason: str) -> Any:
        ticket.stage = Stage.QUEUED
        id = ticket.order.client_order_id
        self._desk.lanes.submit(f"order:{id}", calls.create(ticket.order))
        return []

    return planted(Orders, "_unknown", unknown)


def no_answer_means_refused() -> AbstractContextManager[None]:
    right = calls.outcome

    def outcome(id: str, status: int, body: bytes) -> Any:
        found = right(id, status, body)
        return Refusal("failed", found) if isinstance(found, str) else found

    return planted(orders.calls, "outcome", outcome)


@contextmanager
def one_early_listing_proves_absence() -> Iterator[None]:
    with (
        planted(reconcile, "ABSENCE_AFTER", 0),
        planted(reconcile, "LISTINGS_NEEDED", 1),
    ):
        yield


def acknowledged_before_the_commit() -> AbstractContextManager[None]:
    right = Writer._append

    def append(self: Writer, at: int, sender: Any, letter: Any, is_intent: bool) -> Any:
        effects = right(self, at, sender, letter, is_intent)
        early = Appended("NEW", self._head + len(self._queue) + len(self._committing))
        return [*effects, Answer(sender, self._outbox.letter(letter.id, early, at))]

    return planted(Writer, "_append", append)


def fills_of_an_outage_are_not_asked_for() -> AbstractContextManager[None]:
    right = calls.list_fills
    return planted(
        reconcile.calls, "list_fills", lambda *, min_ts=0, cursor="": right(min_ts=2_000_000_000)
    )


def a_hole_in_the_ledger_is_not_filled() -> AbstractContextManager[None]:
    return planted(LedgerFollower, "_missing", property(lambda self: self.account is None))


MISTAKES: list[Mistake] = [
    a_gap_on_the_bus_counts_as_next,
    a_duplicate_counts_as_next,
    a_gap_of_the_exchange_is_not_noticed,
    an_order_leaves_before_its_intent_is_recorded,
    an_unknown_order_is_sent_again,
    no_answer_means_refused,
    one_early_listing_proves_absence,
    acknowledged_before_the_commit,
    fills_of_an_outage_are_not_asked_for,
    a_hole_in_the_ledger_is_not_filled,
]


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda m: m.__name__)
def test_a_planted_mistake_is_caught(mistake: Mistake) -> None:
    """Any way of failing counts: a checker's word, or the engine's own assertion."""
    with mistake():
        for seed in range(SEEDS_MAX):
            try:
                simulate(seed)
            except Exception:
                return
    pytest.fail(f"{mistake.__name__}: not caught within {SEEDS_MAX} seeds")
