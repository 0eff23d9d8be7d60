"""The tests of the tests, for decreases: less rests, and nothing that is on its way undoes it."""

import functools
from contextlib import AbstractContextManager
from typing import Any

import pytest
from msgspec.structs import replace

from actors.gateway import decreases
from actors.gateway.decreases import Decreases
from actors.gateway.desk import CallFailed
from protocol.limits import ABSENCE_AFTER, JITTER, LEASE_S_MIN, MS, SECOND
from protocol.messages import PlaceOrder
from protocol.units import DOLLAR, Count, Price
from tests.simulation.checkers import Watch
from tests.simulation.faults import Faults
from tests.simulation.planting import planted, small_bounds
from tests.simulation.test_amend_mistakes import TIGHT
from tests.simulation.test_simulation import Mistake, catch
from tests.simulation.trading import TICKERS
from tests.simulation.world import World

CHANGED_UNTIL = 40 * SECOND
SETTLED = CHANGED_UNTIL + 30 * SECOND + ABSENCE_AFTER + 20 * SECOND


def decrease_day(seed: int) -> World:
    """Less and less of orders rests, some of them with leases, some with amends in between; calls
    are lost and land late; until all of it is settled."""
    with small_bounds():
        faults = Faults(call_delay_max=JITTER, call_lost_after=0.2, call_lost_late=0.7)
        world = World(seed, faults, limits=TIGHT)
        watch, dice = Watch(world), world.dice
        world.exchange.rates.start(2)
        for number in range(16):
            cents, side = dice.choice(((10, "bid"), (20, "bid"), (80, "ask")))
            ticker, id = dice.choice(TICKERS), f"c{number}"
            order = PlaceOrder(
                id, ticker, side, Price(cents * DOLLAR // 100), Count(1_000), "good_till_canceled",
                lease_s=dice.choice((0, LEASE_S_MIN)),
            )  # fmt: skip
            world.at(dice.randint(2_500, 6_000) * MS, functools.partial(world.client.post, order))
            for whole in (900, 600, 300, 100):
                when = dice.randint(5_000, 38_000) * MS
                world.at(when, functools.partial(world.client.decrease, id, whole))
            if number % 3 == 0:
                amend = functools.partial(world.client.amend, id, cents, dice.choice((500, 1_500)))
                world.at(dice.randint(5_000, 38_000) * MS, amend)
        for now in range(2 * SECOND, SETTLED, SECOND):
            world.run(now)
            watch.check_safety()
            if now == CHANGED_UNTIL:
                world.faults.heal()
        pending = watch.truth.account.open.amending
        assert not pending, f"amends still unknown: {sorted(pending)}"
        return world


def a_decrease_without_an_answer_is_called_done() -> AbstractContextManager[None]:
    right = decreases._answer

    def answer(one: Any, ended: Any) -> Any:
        found = right(one, ended)
        lost = isinstance(ended, CallFailed) and ended.sent
        return replace(found, outcome="decreased") if lost else found

    return planted(decreases, "_answer", answer)


def renewals_and_amends_cross_decreases() -> AbstractContextManager[None]:
    return planted(Decreases, "unsettled", lambda self, now, id: False)


MISTAKES = [a_decrease_without_an_answer_is_called_done, renewals_and_amends_cross_decreases]


def test_a_day_of_decreases(seed_of_decreases: int) -> None:
    found = decrease_day(seed_of_decreases).happened
    assert found["an order was decreased"]


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda m: m.__name__)
def test_a_planted_mistake_is_caught(mistake: Mistake) -> None:
    catch(mistake, decrease_day)
