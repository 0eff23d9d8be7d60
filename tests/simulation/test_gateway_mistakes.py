"""The tests of the tests, for real orders: what each promise of the gateway is worth.

Each mistake is one that a gateway has made somewhere; each belongs to the promise that it breaks.
"""

import functools
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any

import pytest
from msgspec.structs import replace

from actors.gateway.allowance import Allowance
from actors.gateway.core import Gateway
from actors.gateway.desk import CallFailed
from actors.gateway.door import Door
from actors.gateway.halt import Halts
from actors.gateway.orders import Orders
from actors.gateway.tickets import Stage
from protocol.kalshi import answers, calls
from protocol.kalshi.answers import Refusal
from protocol.limits import JITTER, SECOND
from protocol.messages import AcquireTokens, PlaceOrder
from protocol.orders import Orders as Fold
from protocol.units import Count, Price
from tests.simulation.checkers import Watch
from tests.simulation.day import operators, schedule_deaths, tiers
from tests.simulation.faults import Faults
from tests.simulation.planting import planted, small_bounds
from tests.simulation.test_simulation import Mistake, catch
from tests.simulation.trading import TICKERS
from tests.simulation.wire import Wire
from tests.simulation.world import World

GTC = "good_till_canceled"

# wire_once


def an_order_leaves_before_its_intent_is_recorded() -> AbstractContextManager[None]:
    right = Door._look

    def look(self: Door, now: int, at: int, ticket: Any) -> Any:
        effects = right(self, now, at, ticket)
        if ticket.stage is Stage.INTENDING:
            self._tickets.enter(ticket, Stage.QUEUED)
            id = ticket.order.client_order_id
            self._desk.lanes.submit(f"order:{id}", calls.create(ticket.order))
        return effects

    return planted(Door, "_look", look)


def an_order_without_an_answer_is_sent_again() -> AbstractContextManager[None]:
    right = Orders.ended

    def ended(self: Orders, now: int, at: int, id: str, ended: Any, stopped: Any = None) -> Any:
        ticket = self.tickets.get(id)
        if ticket is not None and isinstance(ended, CallFailed) and ended.sent:
            self.tickets.enter(ticket, Stage.QUEUED)
            self._desk.lanes.submit(f"order:{id}", calls.create(ticket.order))
            return []
        return right(self, now, at, id, ended, stopped)

    return planted(Orders, "ended", ended)


# truth


def no_answer_means_refused() -> AbstractContextManager[None]:
    right = answers.outcome

    def outcome(id: str, status: int, body: bytes, count: Count | None = None) -> Any:
        found = right(id, status, body, count)
        return Refusal("failed", found) if isinstance(found, str) else found

    return planted(answers, "outcome", outcome)


def a_409_means_refused() -> AbstractContextManager[None]:
    return planted(answers, "REJECTIONS", answers.REJECTIONS | {409})


def an_external_order_is_adopted() -> AbstractContextManager[None]:
    right = Fold._seen

    def seen(self: Fold, entry: Any, fact: Any) -> Any:
        order = right(self, entry, fact)
        return self._keep(order if order.body_hash else replace(order, body_hash="ours"))

    return planted(Fold, "_seen", seen)


# budget


def nothing_is_kept_for_cancels() -> AbstractContextManager[None]:
    return planted(Allowance, "keep", lambda self, lane, budget: 0)


def cancels_cost_nothing() -> AbstractContextManager[None]:
    right = Allowance.cost
    return planted(
        Allowance, "cost", lambda self, call: 0 if call.method == "DELETE" else right(self, call)
    )


# kill


@contextmanager
def a_halt_is_looked_at_at_the_door_only() -> Iterator[None]:
    with ExitStack() as stack:
        stack.enter_context(planted(Wire, "_stopped", lambda self: ""))
        stack.enter_context(planted(Gateway, "_hold_back", lambda self, now, at: []))
        right = Orders.may_go

        def may_go(self: Orders, now: int, at: int, id: str, call: Any) -> Any:
            with planted(Door, "barred", lambda self, now, order: None):
                return right(self, now, at, id, call)

        stack.enter_context(planted(Orders, "may_go", may_go))
        yield


def the_latch_is_not_looked_at_before_the_first_byte() -> AbstractContextManager[None]:
    return planted(Wire, "_stopped", lambda self: "")


def nothing_is_held_after_a_cancel_all() -> AbstractContextManager[None]:
    return planted(Halts, "_hold", lambda self, now, at: None)


WIRE_ONCE: list[Mistake] = [
    an_order_leaves_before_its_intent_is_recorded,
    an_order_without_an_answer_is_sent_again,
]
TRUTH: list[Mistake] = [
    no_answer_means_refused,
    a_409_means_refused,
    an_external_order_is_adopted,
]
BUDGET: list[Mistake] = [
    nothing_is_kept_for_cancels,
    cancels_cost_nothing,
]
KILL: list[Mistake] = [
    a_halt_is_looked_at_at_the_door_only,
    the_latch_is_not_looked_at_before_the_first_byte,
    nothing_is_held_after_a_cancel_all,
]


def rush(seed: int) -> World:
    """Half a minute of more orders, tokens and halts than the budget has room for."""
    with small_bounds():
        world = World(seed, Faults(call_delay_max=JITTER, crash_gateway=0.1))
        world.faults.tier_changes = 0.1 if seed % 3 == 0 else 0.0
        watch, dice = Watch(world), world.dice
        world.exchange.rates.start(0)
        for i in range(150):
            price, when = Price(dice.choice((100_000, 900_000))), dice.randint(3, 28) * SECOND
            order = PlaceOrder(f"c{i}", dice.choice(TICKERS), "bid", price, Count(100), GTC)
            world.at(when, functools.partial(world.client.post, order))
            if dice.random() < 0.3:
                later = when + dice.randint(1, 3) * SECOND
                world.at(later, functools.partial(world.client.cancel, order.client_order_id))
        for when in range(40, 280, 4):
            for _ in range(4):
                wanted = AcquireTokens("read", 40, 0, 100)
                world.at(when * SECOND // 10, functools.partial(world.program.ask, wanted))
        if seed % 2:
            operators(world)
        schedule_deaths(world)
        tiers(world)
        for now in range(2 * SECOND, 30 * SECOND, SECOND):
            world.run(now)
            watch.check_safety()
        return world


def test_a_rush(seed_of_rush: int) -> None:
    rush(seed_of_rush)


@pytest.mark.parametrize("mistake", [*WIRE_ONCE, *TRUTH], ids=lambda m: m.__name__)
def test_a_planted_mistake_is_caught(mistake: Mistake) -> None:
    catch(mistake, step=2)  # days on which the engine itself is well


@pytest.mark.parametrize("mistake", [*BUDGET, *KILL], ids=lambda m: m.__name__)
def test_a_mistake_in_a_rush_is_caught(mistake: Mistake) -> None:
    catch(mistake, rush)
