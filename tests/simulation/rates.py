"""The exchange's own budgets: true token buckets, what it tells of them, and when they change."""

import json
from typing import TYPE_CHECKING, Any

from protocol.kalshi.calls import Call
from protocol.limits import JITTER, MS, TOKENS_VALID

if TYPE_CHECKING:
    from tests.simulation.world import World

NANO = 10**9
Tier = tuple[tuple[int, int], tuple[int, int]]  # reads and writes, each: a second, and at once
TIERS: tuple[Tier, ...] = (  # the lowest first (FACTS.md section 7)
    ((200, 600), (100, 100)),
    ((300, 900), (300, 600)),
    ((600, 600), (600, 1_200)),
)
READ = "read"
SHARDS = (0, 2)
COSTS = {
    "default_cost": 10,
    "endpoint_costs": [
        {"method": "DELETE", "path": "/portfolio/events/orders", "cost": 2},
        {"method": "DELETE", "path": "/portfolio/events/orders/:order_id", "cost": 2},
        {"method": "DELETE", "path": "/portfolio/events/orders/batched", "cost": 2},
        {"method": "GET", "path": "/portfolio/orders/:order_id", "cost": 2},
    ],
}
# The gateway has heard of a tier: by then all has arrived that left or was lent before.
KNOWN_AFTER = TOKENS_VALID + JITTER + 1 * MS


class TrueBucket:
    """As the exchange counts: full at first, refilled all the time, never above its capacity."""

    def __init__(self, now: int, rate: int, capacity: int) -> None:
        self._at, self._rate, self._full = now, rate, capacity * NANO
        self._level = self._full

    def resize(self, now: int, rate: int, capacity: int) -> None:
        self._refill(now)
        self._rate, self._full = rate, capacity * NANO
        self._level = min(self._level, self._full)

    def draw(self, now: int, cost: int) -> bool:
        """Whether so many tokens are there; then they are gone."""
        self._refill(now)
        if self._level < cost * NANO:
            return False
        self._level -= cost * NANO
        return True

    def level(self, now: int) -> int:
        """Whole tokens."""
        self._refill(now)
        return self._level // NANO

    def is_full(self, now: int) -> bool:
        self._refill(now)
        return self._level == self._full

    def _refill(self, now: int) -> None:
        self._level = min(self._level + (now - self._at) * self._rate, self._full)
        self._at = now


def cost_of(call: Call) -> int:
    """By hand: the engine's reading of the table must not check itself."""
    if call.path.endswith("/batched"):
        return (2 if call.method == "DELETE" else 10) * len(json.loads(call.body)["orders"])
    one = call.path.startswith("/portfolio/orders/")
    return 2 if call.method == "DELETE" or one else 10


def budget_of(call: Call) -> str:
    return READ if call.method == "GET" else f"write {call.shard}"


class Rates:
    """What the account may spend: in force, and as told."""

    def __init__(self, world: "World", tier: int) -> None:
        self._world = world
        self.told = self.tier = tier
        self.buckets: dict[str, TrueBucket] = {}
        for name, (rate, capacity) in self._limits().items():
            self.buckets[name] = TrueBucket(world.now, rate, capacity)
        self.lowest = {name: most for name, (_, most) in self._limits().items()}  # ever left
        self._excused: set[str] = set()  # budgets that went down before anybody was told
        self._known_at: int | None = 0  # when the gateway heard what is told now
        self._note()

    def start(self, tier: int) -> None:
        """Begin with this tier, before anybody has been told of one."""
        self.told = tier
        self._take()
        self.lowest = {name: most for name, (_, most) in self._limits().items()}

    def _limits(self) -> dict[str, tuple[int, int]]:
        read, write = TIERS[self.tier]
        return {READ: read} | {f"write {shard}": write for shard in SHARDS}

    def body(self) -> dict[str, Any]:
        """The answer of /account/limits."""
        both = [{"refill_rate": rate, "bucket_capacity": most} for rate, most in TIERS[self.told]]
        return {"read": both[0], "write": both[1], "usage_tier": str(self.told), "grants": []}

    def change(self, tier: int, early: bool) -> None:
        """Another tier. Up: at once. Down: at once, too, or only once the gateway has been told."""
        if self._known_at is None or tier == self.tier or self.told != self.tier:
            return
        self.told = tier
        self._known_at = None
        if early and tier < self.tier:
            self._world.happened["a lower tier was told early"] += 1
            return
        down = tier < self.tier
        self._world.happened["a lower tier came unannounced" if down else "a higher tier"] += 1
        before = self._limits()
        self._take()
        less = zip(before.items(), self._limits().values(), strict=True)
        shrunk = {name for (name, was), now in less if now[0] < was[0] or now[1] < was[1]}
        if shrunk:  # also by a higher tier: it may hold less at once
            self._excused = shrunk
            self._note()

    def answered(self, told: int) -> None:
        """The gateway has heard of a tier."""
        if told == self.told and self._known_at is None:
            self._known_at = self._world.now
            if self.told != self.tier:
                self._world.at(self._world.now + KNOWN_AFTER, self._take)

    def _take(self) -> None:
        self.tier = self.told
        for name, (rate, capacity) in self._limits().items():
            self.buckets[name].resize(self._world.now, rate, capacity)
        self._note()

    def _note(self) -> None:
        for name, (rate, capacity) in self._limits().items():
            excused = name in self._excused
            self._world.log("tier", name, rate=rate, capacity=capacity, excused=excused)

    def draw(self, budget: str, cost: int) -> bool:
        """A call arrives: whether its tokens are there. If not, it is answered 429.

        After a tier that came down unannounced a 429 is nobody's mistake, until the gateway has
        been told and the bucket has been full once: then both count the same again.
        """
        bucket, now = self.buckets[budget], self._world.now
        known = self._known_at is not None and now >= self._known_at + KNOWN_AFTER
        if budget in self._excused and known and bucket.is_full(now):
            self._excused.discard(budget)
            self._note()
        if bucket.draw(now, cost):
            self.lowest[budget] = min(self.lowest[budget], bucket.level(now))
            return True
        self._world.happened["429"] += 1
        self._world.log("refused", budget, excused=budget in self._excused)
        return False
