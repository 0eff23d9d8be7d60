"""Take the whole engine through a bad day, then a quiet one.

pytest tests/simulation --seed 1234        # replay one
pytest tests/simulation --seeds 5000       # look for more
"""

import functools

from protocol.limits import MS, SECOND
from protocol.messages import PlaceOrder
from protocol.units import Count, Price
from tests.simulation.checkers import (
    Watch,
    check_convergence,
    check_liveness,
    check_never_halted,
)
from tests.simulation.exchange import TICKERS
from tests.simulation.planting import small_bounds
from tests.simulation.rot import WAYS
from tests.simulation.truth import check_proved
from tests.simulation.world import NAMES, World

BAD_DAY = 30 * SECOND
HEALED = BAD_DAY + 75 * SECOND  # two listings after a lost request can no longer arrive
CLOSE = HEALED + 5 * SECOND  # the market goes quiet
END = CLOSE + 25 * SECOND

TROUBLES = {
    "tell lost", "tell repeated", "answer lost", "answer repeated", "the disk was locked",
    "the disk failed", "died within a transaction", "died before it could acknowledge",
    "a snapshot was refused", "the anchor fell back", "the ledger was proved",
}  # fmt: skip


def simulate(seed: int) -> World:
    """One seed, from start to end. Raises AssertionError where a promise was broken."""
    with small_bounds():
        return live_through(World(seed))


def live_through(world: World) -> World:
    """A bad day, then a quiet one."""
    watch = Watch(world)
    schedule_market(world)
    schedule_orders(world)
    schedule_deaths(world)
    for now in range(2 * SECOND, END, SECOND):
        world.run(now)
        watch.check_safety()
        check_never_halted(world)
        if now == BAD_DAY:
            world.faults.heal()
        if now >= HEALED:
            check_liveness(world, watch.truth)
    world.run(END)
    watch.check_safety()
    check_liveness(world, watch.truth)
    check_convergence(world, watch.truth)
    watch.truth.check_copies_meet(world)
    check_proved(world.disk)
    return world


def schedule_market(world: World) -> None:
    pace = world.dice.choice((100, 300, 2_000)) * MS
    when = 2 * SECOND
    while when < CLOSE:
        when += world.dice.randint(1, pace)
        world.at(when, world.exchange.move)
        if world.dice.random() < 0.05:
            world.at(when, world.exchange.take)


def schedule_orders(world: World) -> None:
    spread = world.dice.choice((2 * SECOND, BAD_DAY - 3 * SECOND))
    for i in range(world.dice.randint(0, 30)):
        price = world.dice.choice((100_000, 200_000, 300_000, 555_000))  # the last is refused
        tif = world.dice.choice(("good_till_canceled", "immediate_or_cancel"))
        order = PlaceOrder(
            f"c{i}", world.dice.choice(TICKERS), "bid", Price(price), Count(1_000), tif
        )
        when = BAD_DAY - world.dice.randint(1, spread)
        world.at(when, functools.partial(world.client.post, order))
        if world.dice.random() < 0.3:
            later = when + world.dice.randint(1, 10) * SECOND
            world.at(later, functools.partial(world.client.cancel, f"c{i}"))


def schedule_deaths(world: World) -> None:
    """At any moment, by a kill or because somebody asked."""
    for second in range(2, BAD_DAY // SECOND):
        for name in NAMES:
            for chance, end in ((world.faults.crash, world.crash), (world.faults.stop, world.stop)):
                if world.dice.random() < chance:
                    when = second * SECOND + world.dice.randint(0, SECOND - 1)
                    world.at(when, functools.partial(end, name))


def test_a_bad_day(seed: int) -> None:
    simulate(seed)


def test_every_trouble_of_the_ledger_happens() -> None:
    """What never happens in a simulation is not simulated."""
    missing = {*TROUBLES, *(way.__name__ for way in WAYS)}
    for seed in range(100):
        missing -= set(simulate(seed).happened)
        if not missing:
            return
    assert not missing


def test_the_same_seed_is_the_same_day() -> None:
    """The trace of every cause and effect is a function of the seed alone."""
    assert simulate(7).trace.digest() == simulate(7).trace.digest()
    assert simulate(7).trace.digest() != simulate(8).trace.digest()
