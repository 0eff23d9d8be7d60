"""The halt latch on the simulated disk, as one life of the gateway sees its file.

Saves and looks come one after the other, as on the thread that does them; a death in between
leaves what was there.
"""

from typing import TYPE_CHECKING

from msgspec.structs import replace

from actors.gateway.halt import HaltSaved, LatchSeen, SaveHalt
from protocol.latch import Latch
from protocol.limits import LATCH_LOOK, MS
from protocol.runtime.latch import Overtaken

if TYPE_CHECKING:
    from tests.simulation.world import Process, World

SAVE_MAX = 20 * MS


class Keeper:
    """Does the core's saves, and tells it what another hand has written."""

    def __init__(self, world: "World", process: "Process") -> None:
        self._world = world
        self._process = process
        self._known = world.disk.latch
        self._free_at = 0

    def save(self, wanted: SaveHalt) -> None:
        delay = self._world.dice.randint(1, SAVE_MAX)
        self._free_at = max(self._world.now, self._free_at) + delay
        self._world.at(self._free_at, lambda: self._save(wanted))

    def look_soon(self) -> None:
        self._free_at = max(self._world.now + LATCH_LOOK, self._free_at)
        self._world.at(self._free_at, self._look)

    @property
    def _alive(self) -> bool:
        return self._world.processes["gateway"] is self._process

    def _save(self, wanted: SaveHalt) -> None:
        world = self._world
        if not self._alive:
            return
        problem = ""
        if world.dice.random() < world.faults.latch_fails:
            world.happened["the latch was not saved"] += 1
            problem = "No space left on device"
        else:
            problem = self._write(wanted.latch, wanted.over)
        self._known = world.disk.latch
        world.feed(self._process, HaltSaved(world.wall, self._known, problem))

    def _write(self, latch: Latch, over: Latch) -> str:
        """As LatchFile writes and lifts. Returns what is wrong."""
        disk = self._world.disk
        found = disk.latch
        if latch.halted:
            if found != over:
                hold = max(found.hold_until, latch.hold_until)
                latch = replace(latch, hold_until=hold, panic=found.panic or latch.panic)
            disk.latch = latch
            return ""
        if found.halted and found != over:
            return str(Overtaken())
        disk.latch = latch
        return ""

    def _look(self) -> None:
        world = self._world
        if self._alive and world.disk.latch != self._known:
            self._known = world.disk.latch
            world.feed(self._process, LatchSeen(world.wall, self._known))


def write(world: "World", latch: Latch) -> None:
    """Another process halts, as the command line does when the gateway does not answer."""
    found = world.disk.latch
    hold = max(found.hold_until, latch.hold_until)
    world.disk.latch = replace(latch, hold_until=hold, panic=found.panic or latch.panic)
    gateway = world.processes["gateway"]
    if gateway is not None and gateway.latch is not None:
        gateway.latch.look_soon()
