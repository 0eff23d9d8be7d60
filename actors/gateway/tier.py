"""What the account may spend a second, as far as it is sure (FACTS.md section 7).

It begins as the lowest tier, goes down at the first word and up only at the second: a tier that
is told before it holds would mean a 429 for each call above the old one. A grant that ends takes
its tier along, at once.
"""

from typing import Final

from protocol.errors import RemoteProtocolError
from protocol.kalshi.answers import BucketLimits, LimitsBody
from protocol.limits import CLOCK_SKEW_MAX, US

ASSUMED_READ: Final = BucketLimits(refill_rate=200, bucket_capacity=200)  # the lowest tier
ASSUMED_WRITE: Final = BucketLimits(refill_rate=100, bucket_capacity=100)
TOKENS_MAX: Final = 10**9  # a second, or in a bucket: more is no limit but a mistake
SKEW_US: Final = CLOCK_SKEW_MAX // US


class Tier:
    """The limits to go by. `sure` once the same were read twice in a row."""

    def __init__(self) -> None:
        self.read, self.write = ASSUMED_READ, ASSUMED_WRITE
        self.sure = False
        self._last: tuple[BucketLimits, BucketLimits] | None = None
        self._ends_at: int | None = None  # microseconds: the first grant to end

    def learn(self, at: int, told: LimitsBody) -> None:
        """The smaller of old and new, until the same was read twice.

        Raises RemoteProtocolError if the limits can't be ones.
        """
        for name, limits in (("read", told.read), ("write", told.write)):
            for field in ("refill_rate", "bucket_capacity"):
                if not 1 <= getattr(limits, field) <= TOKENS_MAX:
                    text = f"{name}.{field} is {getattr(limits, field)}"
                    raise RemoteProtocolError(f"limits: {text}, not 1 to {TOKENS_MAX}")
        ends = [g.expires_ts * 1_000_000 for g in told.grants or () if g.expires_ts is not None]
        new = (told.read, told.write)
        self.sure = self._last == new
        self._last = new
        if any(abs(end - at) <= SKEW_US for end in ends):
            self._lowest()  # whether it still holds depends on whose clock is right
        if self.sure:
            self.read, self.write = new
        else:
            self.read, self.write = _least(self.read, told.read), _least(self.write, told.write)
        self._ends_at = min((end for end in ends if end > at + SKEW_US), default=None)

    def expire(self, at: int) -> bool:
        """Fall back to the lowest tier if a grant has ended, until the limits are read anew."""
        if self._ends_at is None or at < self._ends_at - SKEW_US:
            return False
        self._lowest()
        return True

    def _lowest(self) -> None:
        self.read, self.write = _least(self.read, ASSUMED_READ), _least(self.write, ASSUMED_WRITE)
        self._last, self._ends_at, self.sure = None, None, False


def _least(a: BucketLimits, b: BucketLimits) -> BucketLimits:
    return BucketLimits(
        min(a.refill_rate, b.refill_rate), min(a.bucket_capacity, b.bucket_capacity)
    )
