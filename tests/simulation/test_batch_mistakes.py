"""The tests of the tests, for batches: that a member is known by its name, and what else there is
to get wrong about it."""

import functools
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any

import pytest

from actors.gateway.batches import Batches
from actors.gateway.desk import CallFailed
from actors.gateway.tickets import Stage
from protocol.kalshi import answers, batches
from protocol.kalshi.answers import Refusal
from protocol.limits import JITTER, SECOND
from protocol.units import Count
from tests.simulation.checkers import Watch
from tests.simulation.day import draw_order, schedule_deaths
from tests.simulation.faults import Faults
from tests.simulation.planting import planted, small_bounds
from tests.simulation.test_simulation import Mistake, catch
from tests.simulation.world import World


def heap(seed: int) -> World:
    """Half a minute of batches, most of whose answers lie, and a gateway that dies now and then;
    and as long again until the last of what was lost on its way has landed."""
    with small_bounds():
        faults = Faults(call_delay_max=JITTER, crash_gateway=0.05, letter_repeat=0.1)
        faults.batch_lies, faults.cancel_blind = 0.8, 0.3
        faults.call_lost_after = 0.1 if seed % 2 else 0.0
        world = World(seed, faults)
        watch, dice = Watch(world), world.dice
        world.exchange.rates.start(2)
        for b in range(30):
            ids = [f"b{b}-{i}" for i in range(dice.randint(2, 6))]
            when = dice.randint(3 * SECOND, 27 * SECOND)
            orders = [draw_order(world, id) for id in ids]
            world.at(when, functools.partial(world.client.post_batch, orders))
            if dice.random() < 0.5:
                later = when + dice.randint(1, 4 * SECOND)
                world.at(later, functools.partial(world.client.cancel_batch, ids))
        schedule_deaths(world)
        for now in range(2 * SECOND, 66 * SECOND, SECOND):
            world.run(now)
            watch.check_safety()
        return world


def members_go_by_their_places() -> AbstractContextManager[None]:
    right = batches.created

    def created(wanted: Mapping[str, Count], status: int, body: bytes) -> batches.Creates:
        members = batches.lenient(body, batches._Members)
        if status != 201 or members is None:
            return right(wanted, status, body)
        found: dict[str, batches.Outcome] = dict.fromkeys(wanted, "absent")
        for id, raw in zip(wanted, members.orders, strict=False):
            member = batches.lenient(raw, batches._Member)
            name = batches.lenient(member.client_order_id, str)
            found[id] = batches._created(name, bytes(raw), member, wanted[id])
        return batches.Creates(found)

    return planted(batches, "created", created)


def an_absent_member_counts_as_refused() -> AbstractContextManager[None]:
    right = batches.created

    def created(wanted: Mapping[str, Count], status: int, body: bytes) -> batches.Creates:
        found = right(wanted, status, body)
        absent = {
            id: Refusal("absent", outcome)
            for id, outcome in found.outcomes.items()
            if isinstance(outcome, str) and outcome.startswith("absent")
        }
        return batches.Creates(found.outcomes | absent, found.strangers)

    return planted(batches, "created", created)


def every_error_is_a_refusal() -> AbstractContextManager[None]:
    return planted(batches, "_refused", lambda code: True)


def a_batch_without_an_answer_is_sent_again() -> AbstractContextManager[None]:
    right = Batches.ended

    def ended(self: Batches, now: int, at: int, number: int, ended: Any, stopped: Any) -> Any:
        batch = self._open[number]
        if isinstance(ended, CallFailed) and ended.sent:
            for ticket in self._mine(number, batch):
                if ticket.stage is Stage.SENT:
                    self._orders.tickets.enter(ticket, Stage.QUEUED)
            batch.call, batch.sent = None, False
            return []
        return right(self, now, at, number, ended, stopped)

    return planted(Batches, "ended", ended)


def members_that_are_unknown_are_sent_again() -> AbstractContextManager[None]:
    """Those that an answer left out are put into another batch."""
    right = Batches.ended

    def ended(self: Batches, now: int, at: int, number: int, ended: Any, stopped: Any) -> Any:
        batch = self._open[number]
        wanted = {t.order.client_order_id: t.order.count for t in self._mine(number, batch)}
        answered = not isinstance(ended, CallFailed) and ended.status == 201
        found = batches.created(wanted, 201, ended.body).outcomes if answered else {}
        effects = right(self, now, at, number, ended, stopped)
        for ticket in self._mine(number, batch):
            if isinstance(found.get(ticket.order.client_order_id), str):
                self._orders.tickets.enter(ticket, Stage.QUEUED)
                self._open[number] = batch
                batch.call, batch.sent = None, False
        return effects

    return planted(Batches, "ended", ended)


def cancels_go_by_their_places() -> AbstractContextManager[None]:
    right = batches.canceled

    def canceled(wanted: Any, status: int, body: bytes) -> Any:
        members = batches.lenient(body, batches._Members)
        if status != 200 or members is None:
            return right(wanted, status, body)
        found: dict[str, Any] = dict.fromkeys(wanted, "absent")
        for order_id, raw in zip(wanted, members.orders, strict=False):
            named = batches.lenient(batches.lenient(raw, batches._Member).order_id, str)
            found[order_id] = answers.canceled(named, 200, bytes(raw))
        return batches.Cancels(found)

    return planted(batches, "canceled", canceled)


MISTAKES: list[Mistake] = [
    members_go_by_their_places,
    an_absent_member_counts_as_refused,
    every_error_is_a_refusal,
    a_batch_without_an_answer_is_sent_again,
    members_that_are_unknown_are_sent_again,
    cancels_go_by_their_places,
]


def test_a_heap_of_batches(seed_of_heap: int) -> None:
    world = heap(seed_of_heap)
    assert {"accepted", "refused"} <= set(world.client.answers.values())
    assert any("the answer to a batch lied" in what for what in world.happened)


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda m: m.__name__)
def test_a_planted_mistake_is_caught(mistake: Mistake) -> None:
    catch(mistake, heap)
