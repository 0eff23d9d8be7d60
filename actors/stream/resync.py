"""When to ask for snapshots: at once after a loss, at a bounded rate, and not for ever."""

import enum
from typing import Final

from protocol.limits import MINUTE, RESYNC_RETRY, RESYNCS_MAX

SLOWLY: Final = MINUTE  # for a market whose first snapshot never came, among live ones


class Turn(enum.Enum):
    """What is to be done now about books that are not live."""

    NOTHING = enum.auto()
    ASK = enum.auto()
    IN_VAIN = enum.auto()  # asked RESYNCS_MAX times, and not one snapshot came


class Resync:
    """A timer that runs while books are missing. `snapshots` counts those that ever came."""

    def __init__(self) -> None:
        self.deadline: int | None = None
        self._asked_at: int | None = None
        self._snapshots = 0
        self._in_vain = 0

    def clear(self) -> None:
        """A new connection."""
        self.deadline = self._asked_at = None
        self._in_vain = 0

    def expect(self, now: int, snapshots: int) -> None:
        """Snapshots should come by themselves, or were asked for just now."""
        self.deadline = now + RESYNC_RETRY
        self._snapshots = snapshots

    def asked(self, now: int, snapshots: int) -> None:
        self._asked_at = now
        self.expect(now, snapshots)

    def slowly(self, now: int) -> None:
        self.deadline = now + SLOWLY

    def lost(self, now: int, snapshots: int) -> Turn:
        """Books were lost: ask at once, unless that was done just now. Then the timer will."""
        if self._asked_at is None or now >= self._asked_at + RESYNC_RETRY:
            return Turn.ASK
        self._snapshots = snapshots  # those that came before are worth nothing
        return Turn.NOTHING

    def look(self, now: int, complete: bool, waiting: bool, snapshots: int) -> Turn:
        """The timer: is it `complete`, are answers still `waiting`, did any snapshot come?"""
        if self.deadline is None or now < self.deadline:
            return Turn.NOTHING
        if complete:
            self.deadline = None
            self._in_vain = 0
            return Turn.NOTHING
        if waiting or snapshots != self._snapshots:
            self._in_vain = 0
            self.expect(now, snapshots)
            return Turn.NOTHING
        self._in_vain += 1
        return Turn.ASK if self._in_vain < RESYNCS_MAX else Turn.IN_VAIN
