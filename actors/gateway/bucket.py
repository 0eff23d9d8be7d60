"""A token bucket in whole numbers: time in nanoseconds, tokens in billionths.

It stays below the exchange's own bucket: it starts empty (a former life may have spent what was
there) and keeps room for calls that arrive bunched, delayed by up to JITTER more or less.
"""

from protocol.limits import JITTER, SECOND


class Bucket:
    """Refills at `rate` tokens a second, up to what is safe of `capacity`. Starts empty."""

    def __init__(self, capacity: int, rate: int, now: int) -> None:
        self._at = now
        self._level = 0
        self.resize(capacity, rate)

    def resize(self, capacity: int, rate: int) -> None:
        """Take new limits; what is in it stays, as far as it fits."""
        assert capacity > 0
        assert rate > 0
        room = rate * JITTER
        self._rate = rate
        self._full = max(capacity * SECOND - room, capacity * SECOND // 2)
        self._level = min(self._level, self._full)
        self.limits = (capacity, rate)

    def fits(self, cost: int) -> bool:
        """Whether so much could ever be drawn at once."""
        return cost * SECOND <= self._full

    def draw(self, now: int, cost: int, keep: int = 0) -> bool:
        """Spend `cost` tokens if they are there and `keep` remain; else spend nothing."""
        self._refill(now)
        if self._level < (cost + keep) * SECOND:
            return False
        self._level -= cost * SECOND
        return True

    def ready_at(self, now: int, cost: int, keep: int = 0) -> int:
        """The first moment at which such a draw would succeed, if nobody else draws."""
        self._refill(now)
        missing = min((cost + keep) * SECOND, self._full) - self._level
        return now + max(0, -(-missing // self._rate))

    def drain(self, now: int) -> None:
        """The exchange says that there is nothing left."""
        self._refill(now)
        self._level = 0

    def level(self, now: int) -> int:
        """Whole tokens in it."""
        self._refill(now)
        return self._level // SECOND

    def _refill(self, now: int) -> None:
        assert now >= self._at, "the monotonic clock went backwards"
        self._level = min(self._full, self._level + (now - self._at) * self._rate)
        self._at = now
