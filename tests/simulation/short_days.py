"""Days on which one kind of trouble is certain, so that the mistakes it brings out are caught on
the first of them, whatever the dice of the long days happen to give.

Nothing else goes wrong on them. Each takes the engine through its trouble and looks at it all
along; the engine as it is comes through.
"""

import functools
from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

import tests.simulation.rot
from actors.gateway.core import Gateway
from protocol.envelope import Letter
from protocol.facts import TimeInForce
from protocol.limits import MS, SECOND, US
from protocol.messages import Halt, Panic, PlaceOrder, Resume
from protocol.units import Count, Price
from tests.simulation.bus import Bus
from tests.simulation.checkers import (
    Watch,
    check_convergence,
    check_halted_for_a_position,
    check_halted_for_money,
    check_liveness,
    check_what_can_be_is_booked,
)
from tests.simulation.day import HOUR
from tests.simulation.faults import Faults
from tests.simulation.planting import planted, small_bounds
from tests.simulation.rot import Way
from tests.simulation.trading import TICKERS
from tests.simulation.world import WALL_START, World

Plan = Callable[[World], None]

GTC: TimeInForce = "good_till_canceled"
LOST_AT = 12 * SECOND  # when the requests leave that get no answer
LOST = 12  # so many of them
LAG = 40 * SECOND  # of reads, on days on which they lag: more than two listings are apart
FEE = "2000000000.000000"  # two billion dollars: no ledger takes it


class Uneventful(Exception):
    """The trouble did not come that the day is for: it says nothing about the engine."""


def order(number: int) -> PlaceOrder:
    ticker = TICKERS[number % len(TICKERS)]
    return PlaceOrder(f"c{number}", ticker, "bid", Price(100_000), Count(1_000), GTC)


def place(world: World, first: int, last: int, count: int) -> None:
    """So many orders, evenly between two moments."""
    for number in range(count):
        when = first + (last - first) * number // count
        world.at(when, functools.partial(world.client.post, order(number)))


def lived(seed: int, faults: Faults, end: int, plan: Plan) -> tuple[World, Watch]:
    """A day that goes by a plan, watched every second."""
    with small_bounds():
        world = World(seed, faults)
        watch = Watch(world)
        plan(world)
        for now in range(2 * SECOND, end + SECOND, SECOND):
            world.run(now)
            watch.check_safety()
        return world, watch


# wire_once


def an_intent_comes_after_its_gateway_has_died(seed: int) -> World:
    """The gateway dies while the intent is on its way. The client asks its next life, whose own
    intent comes second, so the writer calls it a REPEAT."""
    right, held = Bus.send, []

    def send(self: Bus, name: str, sender: Any, peer: str, letter: Letter) -> None:
        if letter.id == "intent:c0" and not held:
            held.append((name, sender, peer, letter))
            world = self._world
            world.at(world.now + MS, lambda: world.crash("gateway"))
            return
        if letter.id == "intent:c0" and len(held) == 1:
            right(self, *held[0])
            held.append(())
        right(self, name, sender, peer, letter)

    def plan(world: World) -> None:
        world.at(LOST_AT, lambda: world.client.post(order(0)))

    with planted(Bus, "send", send):
        world, _ = lived(seed, Faults(), 30 * SECOND, plan)
    if len(held) < 2:
        raise Uneventful("nobody has asked again")
    assert world.exchange.posts == [], "an order of a former life was sent"
    return world


# truth


def requests_are_lost(
    seed: int, faults: Faults, plan: Plan = lambda world: None, tif: TimeInForce = GTC
) -> World:
    """Orders get no answer and land at the last moment, and no private connection tells of them."""

    def lose(world: World) -> None:
        world.faults.creates_lost = 1.0

    def hush(world: World) -> None:
        world.faults.creates_lost, world.faults.socket_drop = 0.0, 1.0
        world.sockets.drop("private")

    def both(world: World) -> None:
        for number in range(len(TICKERS)):  # then the markets are known, and the others leave
            first = replace(order(LOST + number), time_in_force="immediate_or_cancel")
            world.at(LOST_AT - 2 * SECOND, functools.partial(world.client.post, first))
        world.at(LOST_AT - MS, lambda: lose(world))
        for number in range(LOST):
            wanted = replace(order(number), time_in_force=tif)
            world.at(LOST_AT, functools.partial(world.client.post, wanted))
        world.at(LOST_AT + SECOND, lambda: hush(world))
        plan(world)

    world, _ = lived(seed, faults, LOST_AT + 60 * SECOND + 3 * faults.listing_lag_max, both)
    if world.happened["a lost call landed late"] < LOST // 4:
        raise Uneventful("most orders were refused before they could be lost")
    return world


def a_listing_leaves_out_what_is_there(seed: int) -> World:
    """A complete listing may miss a row: once for each order."""
    return requests_are_lost(seed, Faults(row_missing=1.0), tif="immediate_or_cancel")


def reads_lag(seed: int) -> World:
    """By more than what lies between the two listings that prove absence."""
    return requests_are_lost(seed, Faults(listing_lag_max=LAG))


def reads_lag_and_the_clock_jumps(seed: int) -> World:
    """Whenever a reading begins, the wall clock is an hour behind for that moment."""
    right = World._wake

    def wake(self: World, process: Any, at: int) -> None:
        idle = isinstance(process.core, Gateway) and process.core._reconciler._reading is None
        self.wrong_by = -HOUR if idle and self.now > LOST_AT + SECOND else 0
        right(self, process, at)
        self.wrong_by = 0

    with planted(World, "_wake", wake):
        return requests_are_lost(seed, Faults(listing_lag_max=LAG))


def fills_come_in_an_outage(seed: int) -> World:
    """Orders are filled, and some canceled after that, while no connection tells of it."""

    def outage(world: World, begins: bool) -> None:
        world.faults.socket_drop = 1.0 if begins else 0.0
        world.sockets.drop("private")

    def cancel_some(world: World) -> None:
        for one in world.exchange.trading.resting()[::2]:
            world.exchange.trading.cancel(one["order_id"])

    def plan(world: World) -> None:
        place(world, LOST_AT, LOST_AT + SECOND, LOST)
        world.at(LOST_AT + 3 * SECOND, lambda: outage(world, True))
        for after in range(4_000, 6_000, 100):
            world.at(LOST_AT + after * MS, world.exchange.trading.take)
        world.at(LOST_AT + 6 * SECOND, lambda: cancel_some(world))
        world.at(LOST_AT + 7 * SECOND, lambda: outage(world, False))

    world, watch = lived(seed, Faults(), LOST_AT + 30 * SECOND, plan)
    check_convergence(world, watch.truth)
    return world


def strangers_orders_rest(seed: int) -> World:
    """They are read again and again."""
    terms = {
        "side": "bid", "cents": 40, "whole": 500, "time_in_force": "good_till_canceled",
        "external": True,
    }  # fmt: skip

    def plan(world: World) -> None:
        for number in range(6):
            id = "" if number % 2 else f"x{number}"
            make = functools.partial(world.exchange.trading.create, id, TICKERS[0], terms)
            world.at(LOST_AT, make)
        for after in (2, 14, 26):
            world.at(LOST_AT + after * SECOND, lambda: world.sockets.drop("private"))

    return lived(seed, Faults(), LOST_AT + 40 * SECOND, plan)[0]


def cancels_are_answered_404(seed: int) -> World:
    """Although the orders rest."""

    def plan(world: World) -> None:
        place(world, LOST_AT, LOST_AT + SECOND, 6)
        for number in range(6):
            cancel = functools.partial(world.client.cancel, f"c{number}")
            world.at(LOST_AT + 5 * SECOND, cancel)

    return lived(seed, Faults(cancel_blind=1.0), LOST_AT + 15 * SECOND, plan)[0]


def a_position_is_not_what_the_fills_make(seed: int) -> World:
    """The exchange shows contracts that nobody has bought. Trading halts for it."""

    def plan(world: World) -> None:
        held = world.exchange.trading.held[TICKERS[0]]
        world.at(LOST_AT, lambda: held.put(world.now, held.last + 500))

    world, watch = lived(seed, Faults(), LOST_AT + 75 * SECOND, plan)
    check_halted_for_a_position(world, watch.truth, TICKERS[0])
    return world


# kill


def the_gateway_dies_halted(seed: int) -> World:
    """Trading is halted, the gateway is killed, and orders are asked for."""

    def plan(world: World) -> None:
        world.at(LOST_AT, lambda: world.operator.ask(Halt("operator: stop")))
        world.at(LOST_AT + 2 * SECOND, lambda: world.crash("gateway"))
        place(world, LOST_AT + 3 * SECOND, LOST_AT + 15 * SECOND, 12)

    world, _ = lived(seed, Faults(), LOST_AT + 20 * SECOND, plan)
    assert world.exchange.posts == [], "an order left while trading was halted"
    return world


def the_gateway_dies_holding(seed: int) -> World:
    """Everything was canceled and trading resumed; within the minute the gateway is killed."""

    def plan(world: World) -> None:
        world.at(LOST_AT, lambda: world.operator.ask(Panic("operator: fire")))
        world.at(LOST_AT + SECOND, lambda: world.operator.ask(Resume("operator: over")))
        world.at(LOST_AT + 20 * SECOND, lambda: world.crash("gateway"))
        place(world, LOST_AT + 21 * SECOND, LOST_AT + 45 * SECOND, 12)

    world, _ = lived(seed, Faults(), LOST_AT + 50 * SECOND, plan)
    if world.disk.halt:
        raise Uneventful("nobody has resumed")
    assert world.exchange.posts == [], "an order left in the minute after"
    return world


def reads_lag_in_a_panic(seed: int) -> World:
    """What it is to cancel lands late and is listed later."""

    def plan(world: World) -> None:
        world.at(LOST_AT + SECOND, lambda: world.operator.ask(Panic("operator: fire")))

    world = requests_are_lost(seed, Faults(listing_lag_max=2 * LAG), plan)
    assert world.happened["a panic was done"], "the panic has not come to its end"
    return world


# the copies, and what they are made from


def the_bus_drops_and_is_slow(seed: int) -> World:
    """Books change all the time: a copy that was refreshed hears what the snapshot has already."""

    def plan(world: World) -> None:
        for when in range(2_000, 20_000, 20):
            world.at(when * MS, world.exchange.move)

    return lived(seed, Faults(bus_drop=0.1, bus_delay_max=100 * MS), 20 * SECOND, plan)[0]


def rotten(way: Way) -> Callable[[int], World]:
    """A day on which each of the newest snapshots goes bad in one way, and all restore."""

    def day(seed: int) -> World:
        def plan(world: World) -> None:
            place(world, 5 * SECOND, 15 * SECOND, 12)
            for number in range(12):
                world.at(15 * SECOND, functools.partial(world.client.cancel, f"c{number}"))
            for name in ("writer", "rehydrator", "gateway"):
                world.at(18 * SECOND, functools.partial(world.crash, name))

        with planted(tests.simulation.rot, "WAYS", (way,) * 3):
            world, watch = lived(seed, Faults(snapshot_rots=1.0), 40 * SECOND, plan)
        if not world.happened[way.__name__]:
            raise Uneventful("no snapshot has rotted")
        check_liveness(world, watch.truth)
        return world

    return day


def a_refused_fill_comes_again(seed: int) -> World:
    """A fill that no ledger takes is set aside, and each reading brings it anew. The readings come
    to their ends all the same."""

    def overcharge(world: World) -> None:
        trading = world.exchange.trading
        fair, trading.fee = trading.fee, FEE
        trading.take()
        trading.fee = fair

    def plan(world: World) -> None:
        place(world, LOST_AT, LOST_AT + SECOND, LOST)
        world.at(LOST_AT + 3 * SECOND, lambda: overcharge(world))
        for after in (5, 17, 29):
            world.at(LOST_AT + after * SECOND, lambda: world.sockets.drop("private"))

    world, watch = lived(seed, Faults(), LOST_AT + 40 * SECOND, plan)
    check_halted_for_money(world)
    check_what_can_be_is_booked(world, watch.truth, FEE)
    since = (watch.truth.account.reconciled_to - WALL_START) * US
    assert since >= LOST_AT + 29 * SECOND, "no reading has come to its end since"
    return world
