"""Days on which every order is asked for with a key of its own, and the front dies again and again.

Whatever the client was told is what it is told when it asks once more: it checks each answer
itself. What is kept has to be kept, and the planted mistakes show that it would notice.
"""

import functools

import pytest

from actors.api.keyed import Begun, Keep, Kept
from actors.api.keys import Keys
from actors.api.replies import Reply
from protocol.limits import JITTER, SECOND
from protocol.machine import Cause, Effect
from tests.actors.api.keyed_world import AT, Disk, Wish
from tests.simulation.checkers import Watch
from tests.simulation.day import draw_order
from tests.simulation.faults import Faults
from tests.simulation.planting import planted, small_bounds
from tests.simulation.world import World

SEEDS = range(4)
ORDERS = 30


def keyed_day(seed: int, disk_fails: float = 0.0) -> World:
    """Half a minute of orders with keys; then each is asked for once more."""
    with small_bounds():
        faults = Faults(call_delay_max=JITTER, crash_gateway=0.05, letter_repeat=0.1)
        faults.latch_fails = disk_fails
        world = World(seed, faults)
        world.client.keyed = True
        watch, dice = Watch(world), world.dice
        world.exchange.rates.start(2)
        for number in range(ORDERS):
            when = dice.randint(3 * SECOND, 27 * SECOND)
            order = draw_order(world, f"c{number}")
            world.at(when, functools.partial(world.client.post, order))
        for second in range(3, 28):
            if dice.random() < 0.3:
                when = second * SECOND + dice.randint(0, SECOND - 1)
                world.at(when, functools.partial(world.crash, dice.choice(("api", "gateway"))))
        for number in range(ORDERS):
            again = functools.partial(world.client.once_more, f"c{number}")
            world.at(100 * SECOND, again)
        for now in range(2 * SECOND, 106 * SECOND, SECOND):
            world.run(now)
            watch.check_safety()
        return world


@pytest.mark.parametrize("fails", [0.0, 0.1])
@pytest.mark.parametrize("day", SEEDS)
def test_every_order_has_one_answer(day: int, fails: float) -> None:
    world = keyed_day(day, fails)
    client = world.client
    assert client.answers.keys() == client.orders.keys()
    assert len(client.kept) == ORDERS
    assert client.repeats >= ORDERS // 2, "few were told again"
    assert len(world.exchange.posts) == len(set(world.exchange.posts))
    assert (world.happened["an answer was not kept"] > 0) == (fails > 0)


def _caught() -> None:
    with pytest.raises(AssertionError, match="another answer"):
        for seed in range(20):
            keyed_day(seed)


def test_the_simulation_notices_an_answer_that_is_sent_before_it_is_kept() -> None:
    def hasty(self: Keys, now: int, reply: Reply) -> Effect:
        flight = self._flight(reply.id)
        return reply if flight is None else self._end(flight, reply)

    with planted(Keys, "_held", hasty):
        _caught()


def test_the_simulation_notices_a_disk_that_keeps_other_answers() -> None:
    right = Disk.do

    def do(self: Disk, wish: Wish) -> Cause:
        if isinstance(wish, Keep):
            right(self, Keep(Reply(wish.reply.id, 202, b"{}"), wish.keyed))
            return Kept(AT, wish.reply.id)
        found = right(self, wish)
        assert isinstance(found, Begun | Kept)
        return found

    with planted(Disk, "do", do):
        _caught()
