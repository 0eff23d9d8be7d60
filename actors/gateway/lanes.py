"""Which call goes next: lanes in strict order, two budgets, a bound on what is in flight.

Cancels wait behind nothing and have tokens of their own: orders may not draw the last of the
write budget, which is enough for one cancel-all and twenty cancels.
"""

import collections
from typing import Final

from msgspec import Struct

from actors.gateway.bucket import Bucket
from protocol.kalshi.answers import LimitsBody
from protocol.kalshi.calls import LANES, Call, Lane
from protocol.kalshi.costs import Costs
from protocol.limits import CALLS_IN_FLIGHT_MAX, LANE_QUEUE_MAX

CANCEL_RESERVE: Final = 42  # tokens: one cancel-all and 20 cancels, 2 each
CANCEL_SLOTS: Final = 2  # calls in flight that only cancels may use
ASSUMED_READ: Final = (200, 200)  # capacity, rate: the lowest tier (FACTS.md section 7)
ASSUMED_WRITE: Final = (100, 100)


class Waiting(Struct, frozen=True):
    """A call in its lane, under the name that its owner knows it by."""

    key: str
    call: Call


class Lanes:
    """Calls that wait, and calls in flight."""

    def __init__(self, now: int) -> None:
        self._queues: dict[Lane, collections.deque[Waiting]] = {
            lane: collections.deque() for lane in LANES
        }
        self._in_flight: dict[int, Waiting] = {}
        self._next_id = 1
        self._read = Bucket(*ASSUMED_READ, now)
        self._write = Bucket(*ASSUMED_WRITE, now)
        self._costs = Costs()
        self._confirmed: LimitsBody | None = None

    def learn_costs(self, costs: Costs) -> None:
        self._costs = costs

    def learn_limits(self, limits: LimitsBody) -> None:
        """The smaller of old and new, until the same limits were read twice."""
        sure = self._confirmed == limits or self._confirmed is None
        self._confirmed = limits
        for bucket, told in ((self._read, limits.read), (self._write, limits.write)):
            capacity, rate = bucket.limits
            if sure:
                capacity, rate = told.bucket_capacity, told.refill_rate
            bucket.resize(min(capacity, told.bucket_capacity), min(rate, told.refill_rate))

    def full(self, lane: Lane) -> bool:
        return len(self._queues[lane]) >= LANE_QUEUE_MAX

    def submit(self, key: str, call: Call, first: bool = False) -> bool:
        """Put a call into its lane, or at its head. False if the lane is full."""
        if first:  # of these there is one: a panic's
            self._queues[call.lane].appendleft(Waiting(key, call))
            return True
        if self.full(call.lane):
            return False
        self._queues[call.lane].append(Waiting(key, call))
        return True

    def withdraw(self, key: str) -> bool:
        """Take a call out of its lane. False if it has gone already."""
        for queue in self._queues.values():
            for waiting in queue:
                if waiting.key == key:
                    queue.remove(waiting)
                    return True
        return False

    def go(self, now: int) -> list[tuple[int, Waiting]]:
        """The calls that may leave now, each with its number in flight."""
        leaving = []
        held: set[bool] = set()  # budgets for which somebody more urgent waits
        for lane in LANES:
            queue = self._queues[lane]
            slots = CALLS_IN_FLIGHT_MAX - (0 if lane == "cancel" else CANCEL_SLOTS)
            while queue and len(self._in_flight) < slots:
                call = queue[0].call
                if call.writes in held:
                    break
                if not self._bucket(call).draw(now, self._costs.of(call), self._keep(call)):
                    held.add(call.writes)
                    break
                waiting = queue.popleft()
                self._in_flight[self._next_id] = waiting
                leaving.append((self._next_id, waiting))
                self._next_id += 1
        return leaving

    def back(self, id: int) -> Waiting | None:
        """A call has ended. Returns what it was."""
        return self._in_flight.pop(id, None)

    def refused(self, now: int, call: Call) -> None:
        """A 429: somebody else spends from the same budget, or our table is old."""
        self._bucket(call).drain(now)

    def deadline(self, now: int) -> int | None:
        """When the next waiting call could leave; None if only an answer can make room."""
        found = []
        for lane in LANES:
            slots = CALLS_IN_FLIGHT_MAX - (0 if lane == "cancel" else CANCEL_SLOTS)
            if self._queues[lane] and len(self._in_flight) < slots:
                found.append(self.ready_at(now, self._queues[lane][0].call))
        return min(found, default=None)

    def ready_at(self, now: int, call: Call) -> int:
        """When there would be tokens for this call."""
        return self._bucket(call).ready_at(now, self._costs.of(call), self._keep(call))

    def tokens(self, now: int) -> tuple[int, int]:
        """What is left of the read and the write budget."""
        return self._read.level(now), self._write.level(now)

    def _bucket(self, call: Call) -> Bucket:
        return self._write if call.writes else self._read

    def _keep(self, call: Call) -> int:
        return CANCEL_RESERVE if call.writes and call.lane != "cancel" else 0
