"""Token buckets: the read and the write budgets of an account (FACTS.md section 7).

There is one read bucket, one write bucket, and a write bucket for each shard that a request names.
Each is counted in millionths of a token, so that no fraction is lost, by a clock in microseconds
that never steps back.
"""

from typing import Any, Final, Literal, NamedTuple

from actors.paper.fixed import SECOND

DEFAULT_COST: Final = 10
CHEAP: Final = 2  # get order, cancel, cancel-all (capture `account__endpoint_costs`)
SHARDS_MAX: Final = 16  # shards that may have a bucket of their own
READ, WRITE = "read", "write"

TierName = Literal["basic", "advanced", "expert", "premier", "paragon", "prime", "prestige"]


class Rate(NamedTuple):
    """Tokens a second, and how many a bucket holds."""

    refill: int
    capacity: int


class Tier(NamedTuple):
    """What an account of a tier may spend."""

    read: Rate
    write: Rate


TIERS: Final[dict[TierName, Tier]] = {
    "basic": Tier(Rate(200, 600), Rate(100, 100)),
    "advanced": Tier(Rate(300, 900), Rate(300, 600)),
    "expert": Tier(Rate(600, 600), Rate(600, 1_200)),
    "premier": Tier(Rate(1_200, 1_200), Rate(1_200, 2_400)),
    "paragon": Tier(Rate(2_400, 2_400), Rate(2_400, 4_800)),
    "prime": Tier(Rate(4_800, 4_800), Rate(4_800, 9_600)),
    "prestige": Tier(Rate(12_000, 12_000), Rate(9_600, 19_200)),
}


class Bucket:
    """Fills continuously, and keeps account of what was taken."""

    def __init__(self, refill: int, capacity: int, now: int = 0) -> None:
        self.spent = 0  # tokens
        self.requests = 0  # the refused ones among them
        self.refused = 0
        self._refill = refill
        self._capacity = capacity * SECOND
        self._level = self._capacity
        self._at = now

    def draw(self, cost: int, now: int) -> bool:
        """Take `cost` tokens if they are there."""
        self._fill(now)
        self.requests += 1
        if self._level < cost * SECOND:
            self.refused += 1
            return False
        self._level -= cost * SECOND
        self.spent += cost
        return True

    def change(self, rate: Rate, now: int) -> None:
        """Another tier from now on: what is there stays, as far as it fits."""
        self._fill(now)
        self._refill, self._capacity = rate.refill, rate.capacity * SECOND
        self._level = min(self._level, self._capacity)

    def shown(self, now: int) -> dict[str, int]:
        """One bucket of `GET /paper/budget`; the level is in whole tokens, cut."""
        self._fill(now)
        return {
            "spent": self.spent,
            "requests": self.requests,
            "refused": self.refused,
            "capacity": self._capacity // SECOND,
            "refill_rate": self._refill,
            "level": self._level // SECOND,
        }

    def _fill(self, now: int) -> None:
        elapsed = max(now - self._at, 0)
        self._at = max(now, self._at)
        self._level = min(self._capacity, self._level + elapsed * self._refill)


class Budgets:
    """The account's buckets by name: `read`, `write`, `write:2`."""

    def __init__(self, tier: TierName = "advanced") -> None:
        self.tier: TierName = tier
        self.expires: int | None = None  # wall µs; then the tier is the former one again
        self._former: TierName = tier
        rates = TIERS[tier]
        self._buckets = {READ: Bucket(*rates.read), WRITE: Bucket(*rates.write)}

    def draw(self, name: str, cost: int, now: int) -> bool:
        """Whether a call may pass. A shard's bucket comes into being, full, when first named."""
        bucket = self._buckets.get(name)
        if bucket is None:
            bucket = self._buckets[name] = Bucket(*TIERS[self.tier].write, now)
        return bucket.draw(cost, now)

    def change(self, tier: TierName, now: int, expires: int | None = None) -> None:
        """Another tier, at once; until `expires` if that is given (wall µs)."""
        self._former = self.tier if expires is not None else tier
        self.tier, self.expires = tier, expires
        for name, bucket in self._buckets.items():
            bucket.change(TIERS[tier].read if name == READ else TIERS[tier].write, now)

    def expire(self, now: int, at: int) -> None:
        """Take back a tier whose time is over."""
        if self.expires is not None and at >= self.expires:
            self.change(self._former, now)

    def shown(self, now: int) -> dict[str, Any]:
        """The body of `GET /paper/budget`."""
        buckets = {name: bucket.shown(now) for name, bucket in self._buckets.items()}
        return {"tier": self.tier, "now_us": now, "buckets": buckets}


def write_bucket(exchange_index: int) -> str:
    """Who pays for a single create or cancel that names this shard (-1 and 0 name none)."""
    return f"{WRITE}:{exchange_index}" if 1 <= exchange_index < SHARDS_MAX else WRITE
