"""The tests of the tests, for the brakes: what the promise `exposure` is worth."""

import functools
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any

import pytest
from msgspec.structs import replace

import actors.gateway.exposures
import protocol.exposure
from actors.gateway.brakes import Brakes
from actors.gateway.door import Door
from actors.gateway.exposures import Exposures
from protocol.account import Account
from protocol.brakes import WIDE
from protocol.limits import JITTER, MS, SECOND
from protocol.messages import PlaceOrder
from protocol.units import DOLLAR, Count, Money, Price
from tests.simulation.checkers import Watch
from tests.simulation.day import schedule_deaths
from tests.simulation.faults import Faults
from tests.simulation.planting import planted, small_bounds
from tests.simulation.test_simulation import Mistake, catch
from tests.simulation.trading import TICKERS
from tests.simulation.world import World

CLIENTS = 64
TIGHT = replace(
    WIDE,
    market_exposure=Money(10 * DOLLAR),
    event_exposure=Money(10 * DOLLAR),
    account_exposure=Money(18 * DOLLAR),
    self_cross=False,
    fresh_book=False,
)


def race(seed: int) -> World:
    """Half a minute in which many clients at once want more than the limits allow, and as long
    again until the last of what was lost on its way has landed."""
    with small_bounds():
        faults = Faults(call_delay_max=JITTER, crash_gateway=0.05, letter_drop=0.02, bus_drop=0.02)
        faults.creates_lost = 0.15 if seed % 2 else 0.0  # they land as late as they can
        world = World(seed, faults, limits=TIGHT)
        watch, dice = Watch(world), world.dice
        world.exchange.rates.start(0)
        for burst in range(8):
            when = (3 + 3 * burst) * SECOND
            for client in range(CLIENTS):
                cents, side = dice.choice(((10, "bid"), (20, "bid"), (80, "ask")))
                id, count = f"b{burst}c{client}", Count(dice.choice((500, 1_000, 2_000)))
                order = PlaceOrder(
                    id, dice.choice(TICKERS), side, Price(cents * DOLLAR // 100), count,
                    "good_till_canceled",
                )  # fmt: skip
                post = functools.partial(world.client.post, order)
                world.at(when + dice.randint(0, 50) * MS, post)
                if dice.random() < 0.7:
                    later = when + dice.randint(500, 2_500) * MS
                    world.at(later, functools.partial(world.client.cancel, id))
        schedule_deaths(world)
        for now in range(2 * SECOND, 66 * SECOND, SECOND):
            world.run(now)
            watch.check_safety()
        return world


def what_is_on_its_way_is_not_counted() -> AbstractContextManager[None]:
    return planted(Exposures, "promise", lambda self, order: None)


@contextmanager
def what_is_unknown_is_not_counted() -> Iterator[None]:
    """Two guards have to fail: a market with an unknown order takes no new risk, either."""
    with ExitStack() as stack:
        counted = frozenset({"intended", "resting"})
        stack.enter_context(planted(protocol.exposure, "AT_RISK", counted))
        stack.enter_context(planted(Door, "_unresolved", lambda self, order: ""))
        yield


def only_what_was_filled_is_counted() -> AbstractContextManager[None]:
    return planted(protocol.exposure, "AT_RISK", frozenset())


def the_account_has_no_limit_of_its_own() -> AbstractContextManager[None]:
    return planted(Exposures, "beside", lambda self, ticker, event="": Money(0))


def what_is_held_is_forgotten_after_a_restart() -> AbstractContextManager[None]:
    def follow(self: Exposures, account: Account | None) -> None:
        self._account, self._worst, self._within, self.total = account, {}, {}, Money(0)

    return planted(Exposures, "follow", follow)


def an_ask_costs_next_to_nothing() -> AbstractContextManager[None]:
    right = protocol.exposure.worst_case

    def cheap(asked: protocol.exposure.Asked) -> protocol.exposure.Asked:
        asks = protocol.exposure.Levels()
        for paid, count in asked.asks.counts.items():
            asks.add(paid // 9, count)
        return asked._replace(asks=asks)

    def worst_case(held: Any, *asked: protocol.exposure.Asked) -> Money:
        return right(held, *map(cheap, asked))

    return planted(actors.gateway.exposures, "worst_case", worst_case)


def the_exposure_is_not_looked_at() -> AbstractContextManager[None]:
    return planted(Brakes, "_exposure", lambda self, now, order, amended: None)


MISTAKES: list[Mistake] = [
    what_is_on_its_way_is_not_counted,
    what_is_unknown_is_not_counted,
    only_what_was_filled_is_counted,
    the_account_has_no_limit_of_its_own,
    what_is_held_is_forgotten_after_a_restart,
    an_ask_costs_next_to_nothing,
    the_exposure_is_not_looked_at,
]


def test_a_race(seed_of_race: int) -> None:
    world = race(seed_of_race)
    assert {"accepted", "refused"} <= set(world.client.answers.values())


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda m: m.__name__)
def test_a_planted_mistake_is_caught(mistake: Mistake) -> None:
    catch(mistake, race)
