"""The tests of the tests, for amends and leases: what the promises are worth where they amend."""

import functools
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any

import pytest
from msgspec.structs import replace

import actors.gateway.doubts
import actors.gateway.leases
import actors.gateway.orders
import protocol.amends
import protocol.exposure
from actors.gateway.amends import Amends
from actors.gateway.brakes import Brakes
from actors.gateway.doubts import Doubts
from actors.gateway.leases import Leases
from actors.gateway.markets import Flaw
from protocol.brakes import WIDE
from protocol.limits import ABSENCE_AFTER, JITTER, LEASE_S_MIN, MS, SECOND
from protocol.messages import Appended, Halt, Order, PlaceOrder, Resume
from protocol.units import DOLLAR, Count, Money, Price
from tests.simulation.checkers import Watch
from tests.simulation.day import schedule_deaths
from tests.simulation.faults import Faults
from tests.simulation.planting import planted, small_bounds
from tests.simulation.test_simulation import Mistake, catch
from tests.simulation.trading import TICKERS
from tests.simulation.wire import Wire
from tests.simulation.world import World

TIGHT = replace(
    WIDE,
    market_exposure=Money(10 * DOLLAR),
    event_exposure=Money(10 * DOLLAR),
    account_exposure=Money(18 * DOLLAR),
    self_cross=False,
    fresh_book=False,
    money=False,
)
AMENDED_UNTIL = 30 * SECOND
SETTLED = AMENDED_UNTIL + 30 * SECOND + ABSENCE_AFTER + 20 * SECOND


def amend_day(seed: int) -> World:
    """Orders that rest are given other terms, most of them larger than the limits allow; calls
    are lost and land late, the gateway dies, an operator halts; until all of it is settled."""
    with small_bounds():
        faults = Faults(call_delay_max=JITTER, crash_gateway=0.03, letter_drop=0.02, bus_drop=0.02)
        faults.creates_lost = 0.2 if seed % 2 else 0.0  # they land as late as they can
        faults.call_lost_after = 0.1
        world = World(seed, faults, limits=TIGHT)
        watch, dice = Watch(world), world.dice
        world.exchange.rates.start(2)
        for number in range(24):
            cents, side = dice.choice(((10, "bid"), (20, "bid"), (80, "ask")))
            ticker, id = dice.choice(TICKERS), f"c{number}"
            order = PlaceOrder(
                id, ticker, side, Price(cents * DOLLAR // 100), Count(dice.choice((200, 400))),
                "good_till_canceled", lease_s=dice.choice((0, LEASE_S_MIN)),
            )  # fmt: skip
            world.at(dice.randint(2_500, 6_000) * MS, functools.partial(world.client.post, order))
            prices = (10, 20, 40) if side == "bid" else (60, 80, 90)
            for _ in range(3):
                when, whole = dice.randint(5_000, 30_000) * MS, dice.choice((300, 900, 2_000))
                amend = functools.partial(world.client.amend, id, dice.choice(prices), whole)
                world.at(when, amend)
        world.at(20 * SECOND, functools.partial(world.operator.ask, Halt("operator: stop")))
        world.at(40 * SECOND, functools.partial(world.operator.ask, Resume("operator: go on")))
        schedule_deaths(world)
        for now in range(2 * SECOND, SETTLED, SECOND):
            world.run(now)
            watch.check_safety()
            if now == AMENDED_UNTIL:
                world.faults.heal()
        pending = watch.truth.account.open.amending
        assert not pending, f"amends still unknown: {sorted(pending)}"
        missing = world.client.amends.keys() - world.client.amended.keys()
        assert not missing, f"amends never answered: {sorted(missing)}"
        return world


def only_the_former_terms_count() -> AbstractContextManager[None]:
    return planted(protocol.exposure, "left_at_worst", lambda order: order.remaining)


def only_the_new_terms_count() -> AbstractContextManager[None]:
    def left(order: Order) -> Count:
        pending = order.amend is not None and order.amend.pending
        if not pending or order.amend is None:
            return order.remaining
        return Count(max(order.amend.count - order.filled, 0))

    return planted(protocol.exposure, "left_at_worst", left)


def an_amend_is_sent_whatever_the_writer_says() -> AbstractContextManager[None]:
    right = Amends._recorded

    def recorded(self: Amends, now: int, at: int, ticket: Any, answer: Appended) -> Any:
        return right(self, now, at, ticket, replace(answer, verdict="NEW"))

    return planted(Amends, "_recorded", recorded)


def an_amend_without_an_answer_never_was() -> AbstractContextManager[None]:
    def doubt(self: Amends, now: int, at: int, ticket: Any, reason: str) -> Any:
        return self._deny(now, at, ticket, Flaw("no_answer", "", reason))

    return planted(Amends, "_doubt", doubt)


def one_listing_proves_that_it_never_was() -> AbstractContextManager[None]:
    return planted(Doubts, "_proves", staticmethod(lambda doubt, reading: True))


def unknown_amends_are_forgotten() -> AbstractContextManager[None]:
    return planted(Doubts, "_look_at_amends", lambda self, now, at, account: [])


@contextmanager
def leases_are_renewed_while_trading_is_halted() -> Iterator[None]:
    """Three guards have to fail: what waits for tokens is taken back at a halt, and right before
    the first byte the wire looks at the latch itself."""
    right = Leases.__init__

    def init(self: Leases, *args: Any) -> None:
        right(self, *args)
        self._closed = lambda now: None

    with ExitStack() as stack:
        stack.enter_context(planted(Leases, "__init__", init))
        stack.enter_context(planted(Leases, "withdraw", lambda self, now: None))
        stack.enter_context(planted(Wire, "_stopped", lambda self: ""))
        yield


def a_lease_is_longer_than_it_was_asked_for() -> AbstractContextManager[None]:
    def later(at: int, lease_s: int) -> int:
        return at // 1_000_000 + lease_s + 1 if lease_s else 0

    return planted(actors.gateway.leases, "expires_at", later)


def a_lease_has_no_expiry() -> AbstractContextManager[None]:
    return planted(actors.gateway.orders, "expires_at", lambda at, lease_s: 0)


def an_amend_takes_no_brakes() -> AbstractContextManager[None]:
    return planted(Brakes, "_exposure", lambda self, now, order, amended: None)


MISTAKES: list[Mistake] = [
    only_the_former_terms_count,
    only_the_new_terms_count,
    an_amend_is_sent_whatever_the_writer_says,
    an_amend_without_an_answer_never_was,
    one_listing_proves_that_it_never_was,
    unknown_amends_are_forgotten,
    leases_are_renewed_while_trading_is_halted,
    a_lease_is_longer_than_it_was_asked_for,
    a_lease_has_no_expiry,
    an_amend_takes_no_brakes,
]


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: mistake.__name__)
def test_a_planted_mistake_is_caught(mistake: Mistake) -> None:
    assert catch(mistake, amend_day) > 0


def test_without_a_mistake_every_amend_is_settled_and_within_the_limits(
    seed_of_amends: int,
) -> None:
    world = amend_day(seed_of_amends)
    assert "accepted" in world.client.amended.values()
    assert "refused" in world.client.amended.values()
