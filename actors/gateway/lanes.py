"""Which call goes next: lanes in strict order, one budget for all, a bound on what is in flight.

Cancels wait behind nothing: they have tokens of their own in each write budget and places in
flight of their own. Decreases come next, and leave what is kept for cancels. Whoever waits for the
tokens of one budget holds up only what is less urgent or later and draws on the same one. Slow
reads can't take the places of orders. Programs that make calls of their own borrow tokens here,
behind all that trades.
"""

import collections
import enum
from typing import Final

from msgspec import Struct

from actors.gateway.allowance import READ, UNLENT, WISH_LANE, Allowance, budget_of
from actors.gateway.bucket import Bucket
from actors.gateway.budget import Budget
from protocol.kalshi.answers import CostsBody, LimitsBody
from protocol.kalshi.calls import LANES, Call, Lane
from protocol.limits import CALLS_IN_FLIGHT_MAX, LANE_QUEUE_MAX, MS, TOKENS_VALID

CANCEL_SLOTS: Final = 2  # calls in flight that only cancels may use, one of them no look-up
SLOW_SLOTS: Final = 4  # at most so many for all other reads, one for what trading waits for
FAST: Final = ("cancel", "decrease", "order")  # what trades, and what trades less
CALLERS: Final = {
    "order": "orders",
    "amend": "orders",
    "batch": "orders",
    "lease": "orders",
    "decrease": "orders",
    "group": "groups",
    "cancel": "cancels",
    "cancels": "cancels",
    "poll": "reads",
    "markets": "reads",
    "inquiry": "inquiries",
}


class Place(enum.Enum):
    """What became of a call that was submitted; true only if it was taken."""

    TAKEN = "taken"
    FULL = "too many calls are waiting"
    NEVER = "it costs more tokens than its budget can ever hold"

    def __bool__(self) -> bool:
        return self is Place.TAKEN


class Waiting(Struct):
    """A call in its lane, under the name that its owner knows it by."""

    key: str
    call: Call
    caller: str
    budget: int
    cost: int
    number: int
    left_at: int = 0


class Wish(Struct):
    """Tokens that a program wants to borrow."""

    key: str
    caller: str
    budget: int
    cost: int
    number: int


Queues = dict[int, collections.deque[Waiting | Wish]]  # by budget; none of them empty


class Lanes:
    """Calls that wait, and calls in flight."""

    def __init__(self, now: int) -> None:
        self.allowance = Allowance(now)
        self._queues: dict[Lane, Queues] = {lane: {} for lane in LANES}
        self._waiting: dict[Lane, int] = dict.fromkeys(LANES, 0)
        self._owed = {lane: dict.fromkeys(self.allowance.budgets, 0) for lane in LANES}
        self._in_flight: dict[int, Waiting] = {}
        self._slow = 0  # of those in flight
        self._next_id = 1
        self._number = 0
        self._opens_at = now + TOKENS_VALID  # what a former life has lent is spent by then
        for one in self.allowance.budgets.values():
            one.bucket.assume_lent(now, self._opens_at, UNLENT)
        self._lent: list[tuple[str, int]] = []

    def learn_costs(self, body: CostsBody) -> None:
        """As `Allowance.learn_costs`; what waits is priced anew."""
        self.allowance.learn_costs(body)
        for lane, queues in self._queues.items():
            for budget, queue in queues.items():
                for item in queue:
                    if isinstance(item, Waiting):
                        item.cost = self.allowance.cost(item.call)
                self._owed[lane][budget] = sum(item.cost for item in queue)

    def learn_limits(self, now: int, at: int, body: LimitsBody) -> None:
        """As `Allowance.learn_limits`."""
        self.allowance.learn_limits(now, at, body)

    def expire(self, now: int, at: int) -> bool:
        """As `Allowance.expire`."""
        return self.allowance.expire(now, at)

    # Coming and going

    def full(self, lane: Lane) -> bool:
        return self._waiting[lane] >= LANE_QUEUE_MAX

    def submit(self, key: str, call: Call, first: bool = False) -> Place:
        """Put a call into its lane, if there is room and it can ever leave.

        `first`: before all others, and whatever waits. Of these there is one: a panic's.
        """
        if self.full(call.lane) and not first:
            return Place.FULL
        budget, cost = budget_of(call), self.allowance.cost(call)
        if not self.allowance.fits(call.lane, budget, cost):
            return Place.NEVER
        self._number += 1
        self._waiting[call.lane] += 1
        kind = key.partition(":")[0]
        caller = CALLERS.get(kind, kind)
        number = -1 if first else self._number
        self._push(call.lane, Waiting(key, call, caller, budget, cost, number), first)
        return Place.TAKEN

    def wish(self, key: str, caller: str, budget: int, tokens: int) -> None:
        """Let a program wait for tokens that fit; `take_lent` tells when it has them."""
        assert self.allowance.fits(WISH_LANE, budget, tokens)
        self._number += 1
        self._push(WISH_LANE, Wish(key, caller, budget, tokens, self._number))

    def _push(self, lane: Lane, item: Waiting | Wish, first: bool = False) -> None:
        queues = self._queues[lane]
        if item.budget not in queues:
            queues[item.budget] = collections.deque()
        if first:
            queues[item.budget].appendleft(item)
        else:
            queues[item.budget].append(item)
        self._owed[lane][item.budget] += item.cost

    def withdraw(self, key: str) -> bool:
        """Take a call or a wish out of its lane. False if it has gone already."""
        for lane, queues in self._queues.items():
            for queue in queues.values():
                for item in queue:
                    if item.key == key:
                        queue.remove(item)
                        self._gone(lane, item)
                        return True
        return False

    def _gone(self, lane: Lane, item: Waiting | Wish) -> None:
        queues = self._queues[lane]
        self._owed[lane][item.budget] -= item.cost
        if not queues[item.budget]:
            del queues[item.budget]
        if isinstance(item, Waiting):
            self._waiting[lane] -= 1

    def go(self, now: int) -> list[tuple[int, Waiting]]:
        """The calls that may leave now, each with its number in flight."""
        leaving: list[tuple[int, Waiting]] = []
        held: set[int] = set()  # budgets for which somebody more urgent waits
        for lane, queues in self._queues.items():
            stuck: set[int] = set()  # budgets of this lane's calls that find no place in flight
            while queues:
                item = _oldest(queues, held | stuck)
                if item is None:
                    break
                if isinstance(item, Waiting) and not self._slot(lane, item.call.writes):
                    stuck.add(item.budget)  # others may have a place: it holds no tokens back
                    continue
                if isinstance(item, Waiting):
                    may_leave = self._draw(now, lane, item)
                else:
                    may_leave = self._lend(now, item)
                if not may_leave:
                    held.add(item.budget)
                    continue
                queues[item.budget].popleft()
                self._gone(lane, item)
                if isinstance(item, Waiting):
                    leaving.append((self._depart(now, item), item))
        return leaving

    def _draw(self, now: int, lane: Lane, item: Waiting) -> bool:
        """Spend a call's tokens, if it may leave.

        One that waited while its budget shrank below it leaves when the bucket is full: what
        becomes of it is the exchange's word.
        """
        budget = self.allowance.budgets[item.budget]
        opens_at = self._opens_for(now, lane, item, budget)
        if opens_at is None or opens_at > now:
            return False
        return budget.bucket.draw(now, item.cost, self._keep(now, lane, item.budget))

    def _lend(self, now: int, wish: Wish) -> bool:
        """Lend a program its tokens, if they are there."""
        budget = self.allowance.budgets[wish.budget]
        opens_at = self._opens_for(now, WISH_LANE, wish, budget)
        if opens_at is None or opens_at > now:
            return False
        duration = self.allowance.lent_for(wish.budget, wish.cost)
        keep = self.allowance.keep(WISH_LANE, wish.budget)
        if not budget.bucket.lend(now, wish.cost, duration, keep):
            return False
        self._lent.append((wish.key, duration))
        self.allowance.spend(wish.caller, wish.cost)
        return True

    def _depart(self, now: int, item: Waiting) -> int:
        id = self._next_id
        self._next_id += 1
        self._in_flight[id] = item
        item.left_at = now
        self._slow += item.call.lane not in FAST
        self.allowance.budgets[item.budget].left(id, item.call.lane)
        self.allowance.spend(item.caller, item.cost)
        return id

    def back(self, id: int) -> Waiting | None:
        """A call has ended. Returns what it was."""
        item = self._in_flight.pop(id, None)
        if item is not None:
            self._slow -= item.call.lane not in FAST
            self.allowance.budgets[item.budget].ended(id)
        return item

    def unsent(self, id: int) -> None:
        """A call that had its tokens was not sent after all; the tokens count as spent."""
        item = self._in_flight.pop(id)
        self._slow -= item.call.lane not in FAST
        self.allowance.budgets[item.budget].unsent(id)

    def refused(self, now: int, item: Waiting) -> str:
        """A 429: somebody else spends from the same budget, or our tier went down.

        Returns which budget stands back now, "" if it did already.
        """
        budget = self.allowance.budgets[item.budget]
        return budget.name if budget.refused(now, item.call.lane, item.left_at) else ""

    def take_lent(self) -> list[tuple[str, int]]:
        """Wishes that have come true since last asked, and for how long."""
        lent, self._lent = self._lent, []
        return lent

    # What is told of it

    def owed(self, budget: int) -> int:
        """Tokens of a budget that calls and programs wait for."""
        return sum(owed[budget] for owed in self._owed.values())

    def waiting(self) -> dict[str, int]:
        """Calls that wait, by lane."""
        return {lane: count for lane, count in self._waiting.items()}

    @property
    def in_flight(self) -> int:
        return len(self._in_flight)

    # When

    def deadline(self, now: int) -> int | None:
        """When the next that waits could leave; None if only an answer can make room."""
        found: list[int] = []
        seen: set[int] = set()
        for lane, queues in self._queues.items():
            for key, queue in queues.items():
                ready_at = None if key in seen else self._ready_at(now, lane, queue[0])
                if ready_at is not None:
                    seen.add(key)
                    found.append(ready_at)
        return min(found, default=None)

    def _ready_at(self, now: int, lane: Lane, item: Waiting | Wish) -> int | None:
        budget = self.allowance.budgets[item.budget]
        opens_at = self._opens_for(now, lane, item, budget)
        if opens_at is None:
            return None
        keep = self._keep(now, lane, item.budget)
        return max(opens_at, budget.bucket.ready_at(now, item.cost, keep))

    def _keep(self, now: int, lane: Lane, budget: int) -> int:
        """As `Allowance.keep`; but right after a start so little gathers that reads, which a boot
        needs, would find nothing beside what is kept."""
        early = budget == READ and now < self._opens_at
        return 0 if early else self.allowance.keep(lane, budget)

    def retry_after_ms(self, now: int, call: Call) -> int:
        """How long until there would be tokens for this call, after all that waits before it."""
        return self.wait_ms(now, call.lane, budget_of(call), self.allowance.cost(call))

    def wait_ms(self, now: int, lane: Lane, budget: int, cost: int) -> int:
        """As `retry_after_ms`, of so many tokens. An estimate: more urgent ones may still come."""
        ahead = sum(self._owed[before][budget] for before in LANES[: LANES.index(lane) + 1])
        chosen = self.allowance.budgets[budget]
        bucket: Bucket = chosen.bucket
        ready_at = bucket.ready_at(now, cost, self.allowance.keep(lane, budget), ahead)
        opens_at = chosen.opens_at(now, lane) or now
        return max(-(-(max(ready_at, opens_at) - now) // MS), 1)

    def _opens_for(self, now: int, lane: Lane, item: Waiting | Wish, budget: Budget) -> int | None:
        """When this one may leave, tokens apart; None: when an answer has come.

        Right after a start orders and loans wait until all is spent that a former life has lent.
        """
        if isinstance(item, Wish):
            if not self.allowance.fits(lane, item.budget, item.cost):
                return None  # the budget shrank below it: it is given up when its time is over
        elif not self._slot(lane, item.call.writes):
            return None
        opens_at = budget.opens_at(now, lane)
        late = opens_at is not None and opens_at < self._opens_at
        return self._opens_at if late and (lane == "order" or isinstance(item, Wish)) else opens_at

    def _slot(self, lane: Lane, writes: bool) -> bool:
        """Whether there is a place in flight for one more of this lane."""
        free = CALLS_IN_FLIGHT_MAX - len(self._in_flight)
        if lane == "cancel":
            return free > (0 if writes else 1)
        if free <= CANCEL_SLOTS:
            return False
        if lane in FAST:
            return True
        return self._slow < (SLOW_SLOTS if lane in ("reconcile", "market") else SLOW_SLOTS - 1)


def _oldest(queues: Queues, held: set[int]) -> Waiting | Wish | None:
    """The first to come, of those whose budget nobody more urgent waits for."""
    if len(queues) == 1:  # nearly always
        [(key, queue)] = queues.items()
        return None if key in held else queue[0]
    found: Waiting | Wish | None = None
    for key, queue in queues.items():
        if key not in held and (found is None or queue[0].number < found.number):
            found = queue[0]
    return found
