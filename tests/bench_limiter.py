"""What the limiter costs: a decision of the lanes, beside a naive bucket in floats.

Called by `make bench`; alone, `python -m tests.bench_limiter` prints only these rows.
"""

import time
from typing import Any

from actors.gateway.bucket import Bucket
from actors.gateway.lanes import Lanes
from protocol.kalshi import calls
from protocol.kalshi.answers import BucketLimits, CostsBody, EndpointCost, LimitsBody
from protocol.limits import SECOND
from protocol.messages import PlaceOrder
from protocol.units import Count, Price
from tests.bench_ledger import row, show

DECISIONS = 50_000
BACKLOG = 100  # orders that wait meanwhile
TIER = BucketLimits(refill_rate=9_600, bucket_capacity=19_200)
CANCEL_ROW = EndpointCost("DELETE", "/trade-api/v2/portfolio/events/orders/:order_id", 2)
GOAL = "5 µs"


class Naive:
    """What one writes first: floats, no jitter, no lanes, full at the start."""

    def __init__(self, capacity: float, rate: float) -> None:
        self.capacity, self.rate = capacity, rate
        self.level, self.at = capacity, 0.0

    def draw(self, now: float, cost: float) -> bool:
        self.level = min(self.capacity, self.level + (now - self.at) * self.rate)
        self.at = now
        if self.level < cost:
            return False
        self.level -= cost
        return True


def naive() -> list[float]:
    """Microseconds of each draw."""
    bucket, took, now = Naive(19_200.0, 9_600.0), [], 0.0
    for _ in range(DECISIONS):
        now += 0.001
        began = time.perf_counter_ns()
        bucket.draw(now, 10.0)
        took.append((time.perf_counter_ns() - began) / 1e3)
    return took


def draws() -> list[float]:
    """Microseconds of each draw from the bucket."""
    bucket, took, now = Bucket(19_200, 9_600, 0), [], SECOND
    for _ in range(DECISIONS):
        now += SECOND // 1_000
        began = time.perf_counter_ns()
        bucket.draw(now, 10, 42)
        took.append((time.perf_counter_ns() - began) / 1e3)
    return took


def decisions(refill: bool) -> list[float]:
    """Microseconds of each `go` over a backlog: one order leaves, or none for want of tokens."""
    lanes = Lanes(0)
    for _ in range(2):
        lanes.learn_costs(CostsBody(10, (CANCEL_ROW,)))
        lanes.learn_limits(0, 0, LimitsBody(TIER, TIER))
    terms: Any = ("KXA-1", "bid", Price(560_000), Count(100), "good_till_canceled")
    create = calls.create(PlaceOrder("c1", *terms))
    now, took = 10 * SECOND, []
    for _ in range(BACKLOG):
        lanes.submit("order:1", create)
    while gone := lanes.go(now):  # what had gathered
        for id, _ in gone:
            lanes.back(id)
            lanes.submit("order:1", create)
    for i in range(DECISIONS):
        now += 10 * SECOND // 9_590 if refill else i % 2  # a moment after one more fits
        began = time.perf_counter_ns()
        gone = lanes.go(now)
        took.append((time.perf_counter_ns() - began) / 1e3)
        for id, _ in gone:
            lanes.back(id)
            lanes.submit("order:1", create)
    return took


def measure() -> list[dict[str, Any]]:
    """The rows of the table."""
    return [
        row("limiter: one order leaves", decisions(refill=True), "µs", GOAL),
        row("limiter: nothing may leave", decisions(refill=False), "µs", GOAL),
        row("  one draw from the bucket", draws(), "µs", GOAL),
        row("  naive bucket in floats (baseline)", naive(), "µs", ""),
    ]


if __name__ == "__main__":
    show(measure())
