"""Take the whole engine through a bad day, then a quiet one.

pytest tests/simulation --seed 1234        # replay one
pytest tests/simulation --seeds 5000       # look for more
"""

import functools
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

from protocol.audit import Damage
from protocol.errors import RemoteProtocolError
from protocol.limits import SECOND
from tests.conftest import SEEDS_DEFAULT
from tests.simulation.checkers import (
    Watch,
    check_books_meet,
    check_convergence,
    check_halted_by_operators_only,
    check_liveness,
    check_money,
    check_resting,
    check_taps,
)
from tests.simulation.day import (
    BAD_DAY,
    CLOSE,
    END,
    HEALED,
    TRUTH,
    close,
    later,
    schedule_deaths,
    schedule_market,
    schedule_orders,
    schedule_outside,
    schedule_stream,
)
from tests.simulation.lies import MANNERS
from tests.simulation.noticed import NOTICED
from tests.simulation.planting import small_bounds
from tests.simulation.rot import WAYS
from tests.simulation.truth import check_proved
from tests.simulation.world import World

SEEDS_MAX = 40  # in which a planted mistake has to be caught
RARE = (53, 55)  # days that bring what none of the first does

TROUBLES = {
    "tell lost", "tell repeated", "answer lost", "answer repeated", "the disk was locked",
    "the disk failed", "died within a transaction", "died before it could acknowledge",
    "a snapshot was refused", "the anchor fell back", "the ledger was proved",
    "a lost call landed late", "an order was left out", "a panic was done",
    "the latch was written by another hand", "the latch was not saved",
    "a program spent its tokens", "a lower tier was told early", "a lower tier came unannounced",
    "a higher tier", "429", "a stranger's order", "an order was amended by hand",
    "an order was decreased",
    "the clock jumped",
    *(f"the answer to a batch lied: {manner}" for manner in MANNERS), "a batch was too large",
    "all of a subscription fell silent", "data of a subscription fell silent", "a lie",
    "a link was a black hole", "data was late", "a snapshot was lost", "a market was created",
    "snapshots came unasked: one", "snapshots came unasked: all", "a command failed",
    "snapshots came unasked: the same", "an acknowledgement was lost", "a subscription was ended",
    "a subscription failed at something", "a subscription counted anew",
    "the stream was stopped for a while",
    "attached was cut off from a message", "attached was too slow for a message",
}  # fmt: skip


def simulate(seed: int, traced: bool = False) -> World:
    """One seed, from start to end. Raises AssertionError where a promise was broken."""
    with small_bounds():
        return live_through(World(seed, traced=traced))


def live_through(world: World) -> World:
    """A bad day, then a quiet one."""
    watch = Watch(world)
    schedule_market(world)
    schedule_orders(world)
    schedule_deaths(world)
    schedule_outside(world)
    schedule_stream(world)
    for now in seconds(world):
        world.run(now)
        watch.check_safety()
        check_halted_by_operators_only(world)
        if now == BAD_DAY:
            world.faults.heal()
            watch.fresh.healed = now
        if now == TRUTH:
            world.faults.tell_the_truth()
        if now == CLOSE + later(world):
            check_resting(world, watch.truth)
            close(world)
        if HEALED <= now - later(world) < CLOSE:
            check_liveness(world, watch.truth)
    world.run(now + SECOND)
    watch.check_safety()
    check_liveness(world, watch.truth)
    check_convergence(world, watch.truth)
    check_money(world, watch.truth)
    check_books_meet(world, watch.book)
    check_taps(world, watch)
    watch.truth.check_copies_meet(world)
    check_proved(world.disk)
    return world


def seconds(world: World) -> Iterator[int]:
    """All of a day's but the last."""
    now = 2 * SECOND
    while now < END + later(world):
        yield now
        now += SECOND


Mistake = Callable[[], AbstractContextManager[None]]


def catch(mistake: Mistake, day: Callable[[int], World] = simulate, step: int = 1) -> int:
    """The first seed that notices a planted mistake: by a checker's word, by the engine's own
    assertion, or by what the ledger says of itself.

    One that has noticed it before is looked at before all others. Where it does not any more this
    takes longer, and is as good.
    """
    name = mistake.__name__
    with mistake():
        for seed in dict.fromkeys((NOTICED.get(name, 1), *range(1, 1 + SEEDS_MAX * step, step))):
            try:
                day(seed)
            except (AssertionError, Damage, RemoteProtocolError):
                print(f"{name} is noticed on day {seed}")
                return seed
    raise AssertionError(f"{mistake.__name__}: not caught within {SEEDS_MAX} seeds")


@functools.cache
def happened(seed: int) -> frozenset[str]:
    """What a seed's day has brought."""
    return frozenset(simulate(seed).happened)


def test_a_bad_day(seed: int) -> None:
    happened(seed)


def test_every_trouble_happens() -> None:
    """What never happens in a simulation is not simulated."""
    missing = {*TROUBLES, *(way.__name__ for way in WAYS)}
    for seed in dict.fromkeys((*range(SEEDS_DEFAULT), *RARE, *range(100))):
        missing -= happened(seed)
        if not missing:
            return
    assert not missing


def traces(hash_seed: str, *seeds: int) -> dict[int, str]:
    """What a process of its own finds in days, one after the other, by seed."""
    program = (
        "from tests.simulation.test_simulation import simulate\n"
        f"for seed in {seeds}: print(simulate(seed, traced=True).trace.hexdigest())"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={"PYTHONHASHSEED": hash_seed, "PATH": ""}, capture_output=True, check=True, text=True,
    )  # fmt: skip
    return dict(zip(seeds, done.stdout.split(), strict=True))


def test_the_same_seed_is_the_same_day() -> None:
    """The trace of every cause and effect is a function of the seed alone: not of the order that
    sets are in, which each process has in its own, nor of the days before."""
    found = traces("1", 3, 7)
    assert found == traces("2", 7, 3)
    assert found[3] != found[7]
