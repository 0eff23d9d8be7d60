"""A fill that the tables refuse: it is set aside once, trading is halted for it, the rest goes on.

The exchange charges a fee beyond any that the ledger takes. Everything else that may go wrong on
a bad day does, so the halt must survive the death of whoever has to bring it about.
"""

from contextlib import AbstractContextManager
from typing import Any

import pytest

from actors.writer.asides import Asides
from actors.writer.batch import Plan, Result
from actors.writer.journal import Journal
from protocol.audit import Damage
from protocol.limits import SECOND
from protocol.messages import PlaceOrder
from protocol.units import Count, Price
from tests.simulation.checkers import Watch, check_halted_for_money, check_what_can_be_is_booked
from tests.simulation.day import (
    BAD_DAY,
    END,
    schedule_deaths,
    schedule_market,
    schedule_orders,
)
from tests.simulation.noticed import NOTICED
from tests.simulation.planting import planted, small_bounds
from tests.simulation.short_days import FEE, a_refused_fill_comes_again
from tests.simulation.trading import TICKERS
from tests.simulation.truth import check_proved
from tests.simulation.world import World

DAYS = range(13)
REFUSED = Result("REFUSED", reason="with another")


def simulate(day: int) -> World:
    """A bad day on which the exchange overcharges one fill."""
    with small_bounds():
        world = World(day)
        watch = Watch(world)
        schedule_market(world)
        schedule_orders(world)
        schedule_deaths(world)
        world.at(world.dice.randint(5, 25) * SECOND, lambda: overcharge(world))
        for now in range(2 * SECOND, END, SECOND):
            world.run(now)
            watch.check_safety()
            if now == BAD_DAY:
                world.faults.heal()
        check_proved(world.disk)
        check_halted_for_money(world)
        check_what_can_be_is_booked(world, watch.truth, FEE)
        return world


def overcharge(world: World) -> None:
    """One of three trades with our orders, at one moment, costs too much.

    Until an order rests, try again.
    """
    world.exchange.trading.take()
    fair, before = world.exchange.trading.fee, len(world.exchange.trading.fills)
    world.exchange.trading.fee = FEE
    world.exchange.trading.take()
    world.exchange.trading.fee = fair
    world.exchange.trading.take()
    if any(fill["fee"] == FEE for fill in world.exchange.trading.fills[before:]):
        return
    if set(world.client.answers) == set(world.client.orders):
        id = f"h{world.now // SECOND}"
        tif = "good_till_canceled"
        world.client.post(PlaceOrder(id, TICKERS[0], "bid", Price(100_000), Count(1_000), tif))
    world.at(world.now + SECOND, lambda: overcharge(world))


def test_money_that_cannot_be_booked_halts_trading(seed_of_overcharge: int) -> None:
    world = simulate(seed_of_overcharge)
    assert [f["fee"] for f in world.exchange.trading.fills].count(FEE) == 1


def nobody_is_told_of_it() -> AbstractContextManager[None]:
    return planted(Asides, "due", lambda self, now, at: [])


def what_came_with_it_is_set_aside_too() -> AbstractContextManager[None]:
    def book(self: Journal, wanted: Any, at: int) -> Plan:
        refused = [self._set_aside(want, REFUSED, at) for want in wanted]
        return Plan(tuple(refused), ())

    return planted(Journal, "_book_by_halves", book)


def it_is_not_known_again() -> AbstractContextManager[None]:
    return planted(Journal, "_aside", lambda self, ids: {})


@pytest.mark.parametrize(
    "mistake", [nobody_is_told_of_it, what_came_with_it_is_set_aside_too], ids=lambda m: m.__name__
)
def test_a_planted_mistake_is_caught(mistake: Any) -> None:
    with mistake():
        for day in dict.fromkeys((NOTICED.get(mistake.__name__, 0), *DAYS)):
            try:
                simulate(day)
            except (AssertionError, Damage):
                print(f"{mistake.__name__} is noticed on day {day}")
                return
    pytest.fail(f"{mistake.__name__}: not caught")


@pytest.mark.parametrize("seed_of_day", (1, 2, 3))
def test_a_fill_that_comes_again_is_not_set_aside_again(seed_of_day: int) -> None:
    """The database would not take it twice; but then the writer can't book anything any more."""
    a_refused_fill_comes_again(seed_of_day)
    with it_is_not_known_again(), pytest.raises(AssertionError, match="no reading has come"):
        a_refused_fill_comes_again(seed_of_day)
