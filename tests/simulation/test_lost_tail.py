"""A database that ends before what was acknowledged is not carried on, and says so.

An older copy takes its place while the writer is dead. What stands beside it knows better.
"""

import functools

import pytest

from actors.writer import opening
from protocol.limits import SECOND
from protocol.messages import PlaceOrder
from protocol.units import Count, Price
from tests.simulation.faults import Faults
from tests.simulation.planting import planted, small_bounds
from tests.simulation.trading import TICKERS
from tests.simulation.world import World

COPIED, LOST, END = 10 * SECOND, 20 * SECOND, 45 * SECOND


def simulate(seed: int) -> None:
    """Orders all day; in the middle of it the ledger's last entries vanish."""
    with small_bounds():
        world = World(seed, Faults())
        for second in range(3, 40):
            tif = "good_till_canceled"
            order = PlaceOrder(f"c{second}", TICKERS[0], "bid", Price(100_000), Count(100), tif)
            world.at(second * SECOND, functools.partial(world.client.post, order))
        world.run(COPIED)
        copy, head = world.disk.copy(), head_of(world)
        world.run(LOST)
        assert head_of(world) > head > 0
        world.crash("writer")
        world.disk.put_back(copy)
        sent = len(world.exchange.posts)
        world.run(END)
        assert head_of(world) == head, "the ledger was carried on without its tail"
        assert len(world.exchange.posts) == sent, "an order was sent"
        assert any("acknowledged entries are missing" in said for said in world.reports)


def head_of(world: World) -> int:
    [(head,)] = world.disk.select("SELECT max(n) FROM entries")
    assert isinstance(head, int)
    return head


def test_a_lost_tail_is_found_out() -> None:
    simulate(0)


def test_the_simulation_notices_that_the_anchor_is_ignored() -> None:
    with (
        planted(opening, "check_end", lambda *_: None),
        pytest.raises(AssertionError, match="carried on"),
    ):
        simulate(0)
