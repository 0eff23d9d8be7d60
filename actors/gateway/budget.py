"""One of the account's budgets: its bucket, and how far it stands back after a 429.

A 429 means that somebody else spends from the same account, or that its tier went down. What is
not a cancel then waits, longer each time, and begins again with one call alone: orders are shed
first, and refusals stay below one a second. Cancels wait only if a cancel was refused, and never
for long.
"""

from typing import Final

from actors.gateway.bucket import Bucket
from protocol.kalshi.calls import Lane
from protocol.limits import CANCEL_RETRY_MIN, SECOND

HOLD_MIN: Final = 1 * SECOND  # after a 429, doubled at each
HOLD_MAX: Final = 8 * SECOND
CANCELS_HELD_MAX: Final = 1 * SECOND
CALM_AFTER: Final = 30 * SECOND  # without a 429: the next one counts as the first


class Hold:
    """Waits after refusals: longer each time, up to a bound."""

    def __init__(self, shortest: int, longest: int) -> None:
        self._shortest, self._longest = shortest, longest
        self._wait = 0
        self._began = -1
        self.until = 0

    def refused(self, now: int, left_at: int) -> bool:
        """Begin to wait. False if the refused call had left before the last wait began."""
        if left_at < self._began or now < self.until:
            return False
        calm = now - self.until >= CALM_AFTER
        self._wait = self._shortest if calm else min(2 * self._wait, self._longest)
        self._wait = max(self._wait, self._shortest)
        self._began, self.until = now, now + self._wait
        return True


class Budget:
    """A bucket with what a 429 does to it. `name` is for people."""

    def __init__(self, name: str, capacity: int, rate: int, now: int) -> None:
        self.name = name
        self.bucket = Bucket(capacity, rate, now)
        self._hold = Hold(HOLD_MIN, HOLD_MAX)
        self._cancels = Hold(CANCEL_RETRY_MIN, CANCELS_HELD_MAX)
        self._wary = False  # one call at a time, until one of them has not been refused
        self._probe: int | None = None

    def refused(self, now: int, lane: Lane, left_at: int) -> bool:
        """A 429. True if it is news, not one more of calls that were on their way together."""
        self.bucket.drain(now)
        if lane == "cancel":
            self._cancels.refused(now, left_at)
        news = self._hold.refused(now, left_at)
        self._wary = self._wary or news
        return news

    def opens_at(self, now: int, lane: Lane) -> int | None:
        """When something of this lane may leave; None: when the call sent to try has ended."""
        hold = self._cancels if lane == "cancel" else self._hold
        if self._probe is not None and lane != "cancel":
            return None
        return now if now >= hold.until else hold.until

    def left(self, id: int, lane: Lane) -> None:
        """A call has left."""
        if self._wary and lane != "cancel":
            self._probe = id

    def unsent(self, id: int) -> None:
        """A call did not leave after all: if it was to try, the next one does."""
        if self._probe == id:
            self._probe = None

    def ended(self, id: int) -> None:
        """A call has ended; if it was refused, `refused` says so next."""
        if self._probe == id:
            self._probe, self._wary = None, False
