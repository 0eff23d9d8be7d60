"""The file of answers on the simulated disk, as one life of the front writes it.

One wish after the other, each in its time; a death in between leaves what was there, and may come
after a wish was done and before the front hears of it.
"""

from typing import TYPE_CHECKING

from protocol.limits import MS
from tests.actors.api.keyed_world import Wish, failed

if TYPE_CHECKING:
    from tests.simulation.world import Process, World

COMMIT_MAX = 20 * MS


class Keeper:
    """Does what the front's core wants of its file."""

    def __init__(self, world: "World", process: "Process") -> None:
        self._world = world
        self._process = process
        self._free_at = 0

    def perform(self, wish: Wish) -> None:
        delay = self._world.dice.randint(1, COMMIT_MAX)
        self._free_at = max(self._world.now, self._free_at) + delay
        self._world.at(self._free_at, lambda: self._do(wish))

    def _do(self, wish: Wish) -> None:
        world = self._world
        if world.processes["api"] is not self._process:
            return
        if world.dice.random() < world.faults.latch_fails:
            world.happened["an answer was not kept"] += 1
            cause = failed(wish)
        else:
            cause = world.answers.do(wish)
        world.feed_later(self._process, cause)
