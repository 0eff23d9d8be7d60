"""What the seeds have found, each told as a story of its own."""

from typing import Any

import pytest

import actors.writer.batch
from actors.writer.batch import Wanted
from actors.writer.store import Locked, Store
from protocol.envelope import Letter
from protocol.facts import BalanceSeen
from protocol.limits import MS, SECOND
from protocol.messages import PlaceOrder
from protocol.units import Count, Money, Price
from tests.simulation.bus import Bus
from tests.simulation.disk import OWNER, PATH, Life, fresh_disk
from tests.simulation.faults import Faults
from tests.simulation.keepers import locked
from tests.simulation.planting import planted, small_bounds
from tests.simulation.trading import TICKERS
from tests.simulation.world import World

PLACED = 15 * SECOND


def ask_again_after_a_withdrawal() -> World:
    """The writer is dead for two seconds, so an order is withdrawn before its intent is on record;
    that answer is lost, and the order asked for again."""
    right = Bus.answer

    def answer(self: Bus, process: Any, sender: Any, letter: Letter) -> None:
        if letter.id.startswith("place:") and world.now < PLACED + 10 * SECOND:
            return
        right(self, process, sender, letter)

    with small_bounds(), planted(Bus, "answer", answer):
        world = World(0, Faults())
        for late in range(0, 2_200, 50):
            world.at(PLACED + late * MS, lambda: world.crash("writer"))
        tif = "good_till_canceled"
        order = PlaceOrder("c", TICKERS[0], "bid", Price(100_000), Count(1_000), tif)
        world.run(PLACED)
        world.client.post(order)
        world.run(PLACED + 30 * SECOND)
        return world


def test_a_withdrawn_order_is_not_sent_when_it_is_asked_for_again() -> None:
    """Seed 283: the intent that came after the withdrawal was called NEW, and the order sent."""
    world = ask_again_after_a_withdrawal()
    assert world.client.answers == {"c": "unavailable"}
    assert world.exchange.posts == []
    said = world.disk.select("SELECT id FROM entries WHERE id LIKE '%:c' ORDER BY n")
    assert said == [("withdrawn:c",), ("intent:c",)]


def test_the_simulation_notices_when_it_is_sent() -> None:
    with planted(actors.writer.batch, "_is_news", lambda fact, meanings: True):
        assert ask_again_after_a_withdrawal().exchange.posts == ["c"]


def test_a_commit_that_failed_leaves_nothing_to_be_read() -> None:
    """Seed 627: entries were read that a locked database had not taken."""

    def refuse(_: Life) -> Any:
        raise locked()

    disk = fresh_disk()
    life = Life(disk)
    store = Store(PATH, OWNER, life, connect=life.connect)
    store.open()
    wanted = [Wanted(BalanceSeen(0, Money(5), 1), "gateway")]
    with planted(Life, "_commit", refuse), pytest.raises(Locked):
        store.commit(wanted, 1)
    assert store.entries(0, 10) == ()
    assert [r.verdict for r in store.commit(wanted, 2).results] == ["NEW"]
    assert [entry.at for entry in store.entries(0, 10)] == [2]
