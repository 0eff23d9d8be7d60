"""The halt latch of the gateway: saved as the core asks, looked at for what others wrote.

Saves and looks run one after the other, on one thread, so that the core hears of them in the order
in which they were true.
"""

from actors.gateway.halt import HaltSaved, LatchSeen, SaveHalt
from protocol.latch import Latch
from protocol.machine import Cause
from protocol.runtime.latch import LatchFile, Overtaken
from protocol.runtime.loop import wall


class LatchKeeper:
    """Does the core's saves, and tells what changed by another hand."""

    def __init__(self, file: LatchFile) -> None:
        self._file = file
        self.known: Latch = file.read()

    def save(self, wanted: SaveHalt) -> Cause:
        """Make the latch last, or lift it for good."""
        problem = ""
        try:
            if wanted.latch.halted:
                self.known = self._file.write(wanted.latch, wanted.over)
            else:
                self.known = self._file.lift(wanted.latch, wanted.over)
        except Overtaken as e:
            self.known, problem = self._file.read(), str(e)
        except OSError as e:
            self.known, problem = self._file.read(), f"{self._file.path}: {e.strerror}"
        return HaltSaved(wall(), self.known, problem)

    def look(self) -> Cause | None:
        """What the file says, if that is news."""
        found = self._file.read()
        if found == self.known:
            return None
        self.known = found
        return LatchSeen(wall(), found)
