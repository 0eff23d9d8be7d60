"""How books that are missing are got back: snapshots, then a new subscription, then a new socket.

At once after a loss, then by a timer and at a bounded rate: never "on the next frame", which may
not come. What brings snapshots is not given up.
"""

import enum
from typing import Final

from protocol.limits import MINUTE, RESYNC_MIN, RESYNC_RETRY, SNAPSHOT_TRIES

SLOWLY: Final = MINUTE  # for a market whose first snapshot never came, among live ones


class Turn(enum.Enum):
    """What is to be done now about books that are not live."""

    NOTHING = enum.auto()
    ASK = enum.auto()
    RESUBSCRIBE = enum.auto()
    RECONNECT = enum.auto()


class Recovery:
    """A timer that runs while books are missing. `snapshots` counts those that ever came."""

    def __init__(self) -> None:
        self.deadline: int | None = None
        self._asked_at: int | None = None
        self._snapshots = 0
        self._tries = 0  # in vain
        self._resubscribed = False
        self._again = False  # lost anew just after asking

    def clear(self) -> None:
        """A new connection."""
        self.deadline = self._asked_at = None
        self._tries = 0
        self._resubscribed = self._again = False

    def expect(self, now: int, snapshots: int) -> None:
        """Snapshots should come by themselves, or were asked for just now."""
        self.deadline = now + RESYNC_RETRY
        self._snapshots = snapshots

    def asked(self, now: int, snapshots: int) -> None:
        self._asked_at = now
        self._again = False
        self.expect(now, snapshots)

    def resubscribed(self, now: int, snapshots: int) -> None:
        """The subscription is being made anew: its snapshots should come by themselves."""
        self._resubscribed = True
        self._tries = 0
        self.expect(now, snapshots)

    def slowly(self, now: int) -> None:
        self.deadline = now + SLOWLY

    def rest(self, until: int | None) -> None:
        """Nothing is missing, but for what is in quarantine until then."""
        self.deadline = until

    def lost(self, now: int, snapshots: int) -> Turn:
        """Books were lost: ask at once, unless that was done just now. Then the timer will."""
        if self._asked_at is None or now >= self._asked_at + RESYNC_MIN:
            return Turn.ASK
        self._again = True  # those that came before are worth nothing
        self.deadline = self._asked_at + RESYNC_MIN
        return Turn.NOTHING

    def look(self, now: int, missing: bool, waiting: bool, snapshots: int) -> Turn:
        """The timer: are books `missing`, are answers still `waiting`, did any snapshot come?"""
        if self.deadline is None or now < self.deadline:
            return Turn.NOTHING
        if not missing:
            self.deadline = None
            self._tries = 0
            self._resubscribed = False
            return Turn.NOTHING
        if self._again:
            return Turn.ASK
        if waiting or snapshots != self._snapshots:
            self._tries = 0
            self.expect(now, snapshots)
            return Turn.NOTHING
        self._tries += 1
        if self._tries < SNAPSHOT_TRIES:
            return Turn.ASK
        return Turn.RECONNECT if self._resubscribed else Turn.RESUBSCRIBE
