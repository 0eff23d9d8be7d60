"""A day on which the account's budgets are used to their limit.

More orders, cancels, reads and loans than there is room for, and a road to the exchange that holds
up what comes and lets it go at once. Nothing else goes wrong, but that the gateway dies, or that
the account's tier changes: a lower one is told before it holds.
"""

import bisect
import itertools
import random
from collections.abc import Callable
from contextlib import ExitStack

from msgspec.structs import replace

from actors.gateway import doubts, reads
from protocol.brakes import WIDE
from protocol.envelope import Letter
from protocol.limits import JITTER, MS, SECOND
from protocol.messages import AcquireTokens, AnyMessage, MarketsRequest, PlaceOrder, TokensAnswer
from protocol.units import Count, Price
from tests.simulation.faults import Faults
from tests.simulation.planting import planted, small_bounds
from tests.simulation.promises import Budget
from tests.simulation.trading import TICKERS
from tests.simulation.wire import Wire
from tests.simulation.world import World

GTC = "good_till_canceled"
END = 40 * SECOND
FAST_MAX = 4 * MS  # one way, where nothing is held up
DEATHS, TIERS, STRIKES = range(3)  # kinds of days: a seed's rest by three
TROUBLES = (
    "lent: read", "lent: write 0", "lent: write 2", "a lower tier was told early", "a higher tier",
    "the gateway died",
)  # fmt: skip
READS, LOANS, WRITES = ("read",), ("lend",), ("place", "cancel", "lend writes")
SIZES = (2, 10, 80, 160, 250, 500)  # of loans
UNBRAKED = replace(WIDE, fresh_book=False)  # what is scarce are tokens
Kind = tuple[int, Callable[[], None]]  # of wishes: how often, and what
SHORT = (  # bounds for a short day with many deaths, on which no call lands late
    (reads, "LIMITS_INTERVAL", 3 * SECOND),
    (doubts, "ABSENCE_AFTER", 1 * SECOND),
    (doubts, "RESOLVE_INTERVAL", SECOND // 2),
)


class Road:
    """The way to the exchange. What leaves during a jam arrives at its end, all at once."""

    def __init__(self, dice: random.Random) -> None:
        self.jams: list[tuple[int, int]] = [(0, 0)]  # from, until
        now = SECOND
        while now < END:
            now += dice.choice((FAST_MAX, dice.randint(FAST_MAX, 2 * SECOND)))
            end = now + dice.choice((1, dice.random())) * (JITTER - FAST_MAX)
            self.jams.append((now, int(end)))
            now = int(end)

    def delay(self, now: int, dice: random.Random) -> int:
        """Less than JITTER."""
        _, end = self._latest(now)
        return max(dice.randint(1, FAST_MAX), end - now)

    def last_jam(self, now: int, until: int) -> int:
        """The latest moment to leave, so that it comes together with as much as can be."""
        began, end = self._latest(until)
        return min(max(now, began), until) if end > now else until

    def _latest(self, now: int) -> tuple[int, int]:
        """The last jam that had begun by then."""
        number = bisect.bisect(self.jams, (now, 2 * END))
        return self.jams[number - 1] if number else (0, 0)


class Programs:
    """Borrow tokens, and spend them as late as they may; read lists of markets, too."""

    def __init__(self, world: World, road: Road) -> None:
        self._world, self._road = world, road
        self.together = False  # whether all of them wait for the worst moment
        self._numbers = itertools.count(1)
        self._asked: dict[str, tuple[int, AcquireTokens]] = {}

    def borrow(self, budget: str, shard: int, tokens: int) -> None:
        wanted = AcquireTokens("read" if budget == "read" else "write", tokens, shard, 0)
        self._asked[self._send(wanted)] = self._world.now, wanted

    def read(self) -> None:
        self._send(MarketsRequest(("*",)))

    def _send(self, body: AnyMessage) -> str:
        id = f"p{next(self._numbers)}"
        letter = Letter("program", 1, id, self._world.wall, body)
        self._world.bus.send("program", (b"program", b"1"), "gateway", letter)
        return id

    def told(self, letter: Letter) -> None:
        asked_at, wanted = self._asked.pop(letter.id, (0, None))
        answer, world = letter.body, self._world
        if wanted is None or not isinstance(answer, TokensAnswer) or answer.state != "granted":
            return
        left = asked_at + answer.valid_ms * MS - world.now
        if left >= 0:
            until = world.now + left
            last = self._road.last_jam(world.now, until)
            some = world.dice.randint(world.now, until)
            when = last if self.together else world.dice.choice((until, last, last, some))
            world.at(when, lambda: self._leave(wanted))

    def _leave(self, wanted: AcquireTokens) -> None:
        world, cost = self._world, wanted.tokens
        budget = "read" if wanted.budget == "read" else f"write {wanted.shard}"
        world.happened[f"lent: {budget}"] += 1
        world.log("left", call="program", budget=budget, cost=cost)
        arrives = world.now + self._road.delay(world.now, world.dice)
        world.at(arrives, lambda: world.exchange.rates.draw(budget, cost))


class FullUse:
    """Quiet moments, in which buckets fill up, and floods of all kinds of wishes."""

    def __init__(self, seed: int) -> None:
        self.world = World(seed, Faults(call_delay_max=FAST_MAX), limits=UNBRAKED)
        self.world.exchange.rates.start(0)
        self.road = Road(random.Random(f"{seed}/road"))
        self._programs = Programs(self.world, self.road)
        self.world.outsiders["program"] = self._programs
        self._numbers = itertools.count(1)
        dice, programs = self.world.dice, self._programs
        self._kinds: dict[str, Kind] = {
            "read": (10 * MS, programs.read),
            "lend": (10 * MS, lambda: programs.borrow("read", 0, dice.choice(SIZES))),
            "place": (40 * MS, self._place),
            "cancel": (500 * MS, self._cancel),
            "lend most": (30 * MS, lambda: programs.borrow("read", 0, 260)),
            "lend writes": (20 * MS, self._lend_writes),
        }
        self._tiers = itertools.cycle((2, 0, 1, 0))
        match seed % 3:
            case 0:  # DEATHS
                self._mixed(self._die_in_a_flood)
            case 1:  # TIERS
                self._mixed(self._change)
            case _:  # STRIKES
                self._strikes()

    def delay(self) -> int:
        return self.road.delay(self.world.now, self.world.dice)

    def _flood(self, now: int, end: int, *kinds: Kind) -> None:
        for pace, wish in kinds:
            for when in range(now, end, pace):
                self.world.at(when, wish)

    def _mixed(self, event: Callable[[], None]) -> None:
        """Rounds of quiet and flood, in each of which something happens."""
        dice, now = self.world.dice, 3 * SECOND
        while now < END:
            now += dice.choice((0, dice.randint(1, 4 * SECOND)))
            end = now + dice.randint(SECOND, 5 * SECOND)
            wishes = dice.choice((READS, LOANS, LOANS, READS + LOANS))
            writes = dice.sample(WRITES, dice.randint(0, len(WRITES)))
            self._flood(now, end, *(self._kinds[name] for name in (*wishes, *writes)))
            self.world.at(dice.randint(now, end), event)
            if "place" in writes:  # orders have left no more than what is kept for these
                self.world.at(end - 1, self._cancel)
            self.world.at(end, self.world.client.give_up)
            now = end

    def _strikes(self) -> None:
        """All is lent out of full buckets, and spent together at last; meanwhile the gateway dies,
        or lends on."""
        dice, now = self.world.dice, 8 * SECOND
        self.road.jams.clear()
        self._programs.together = True
        self.world.faults.call_delay_max = JITTER  # of answers: a boot is slow, tokens gather
        while now < END:
            self.road.jams.append((now + SECOND - 50 * MS, now + SECOND + JITTER - 60 * MS))
            self._flood(now, now + 60 * MS, self._kinds["lend most"])
            if dice.random() < 0.5:
                dies = now + dice.randint(70, 100) * MS
                self.world.at(dies, self._die)
                self._flood(dies, dies + 2 * SECOND, self._kinds["lend"])
            else:
                self._flood(now + 60 * MS, now + 2 * SECOND, self._kinds["lend"])
            now += 8 * SECOND

    def _lend_writes(self) -> None:
        dice = self.world.dice
        self._programs.borrow("write", dice.choice((0, 2)), dice.choice((2, 10, 30)))

    def _die(self) -> None:
        """And be there again soon: the exchange's buckets are as they were."""
        self.world.happened["the gateway died"] += 1
        self.world.crash("gateway")
        back = self.world.now + self.world.dice.choice((10, 50, 300)) * MS
        self.world.at(back, lambda: self.world.start("gateway"))

    def _die_in_a_flood(self) -> None:
        self._die()
        self._flood(self.world.now, self.world.now + SECOND, self._kinds["read"])

    def _change(self) -> None:
        self.world.exchange.rates.change(next(self._tiers), early=True)

    def _place(self) -> None:
        price = Price(self.world.dice.choice((100_000, 900_000)))
        ticker = self.world.dice.choice(TICKERS)
        id = f"c{next(self._numbers)}"
        self.world.client.post(PlaceOrder(id, ticker, "bid", price, Count(1_000), GTC))

    def _cancel(self) -> None:
        for order in self.world.exchange.trading.resting():
            self.world.client.cancel(order["client_order_id"])


def full_use(seed: int) -> World:
    """Raises AssertionError if a call is not covered, or an order takes what is for cancels."""
    with small_bounds(), ExitStack() as stack:
        for owner, name, bound in SHORT:
            stack.enter_context(planted(owner, name, bound))
        day = FullUse(seed)
        stack.enter_context(planted(Wire, "delay", lambda wire: day.delay()))
        budget, read = Budget(), 0
        for now in range(2 * SECOND, END, SECOND):
            day.world.run(now)
            for event in day.world.events[read:]:
                budget.take(event)
            read = len(day.world.events)
        return day.world
