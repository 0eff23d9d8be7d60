"""What the brakes cost an order, and whether they hold when 64 clients race for one limit.

Called by `make bench`; alone, `python -m tests.bench_brakes [ATTEMPTS]` prints only these rows.
A race of 1,000,000 attempts takes minutes; `make bench` makes ATTEMPTS of them.
"""

import random
import sys
import time
from collections.abc import Callable
from typing import Any, Final, cast

from msgspec.structs import replace

from actors.gateway.books import Books
from actors.gateway.brakes import Brakes
from actors.gateway.cash import Cash
from actors.gateway.desk import Desk
from actors.gateway.exposures import Exposures
from actors.gateway.markets import Markets
from actors.gateway.passes import Pass
from protocol.account import Account
from protocol.brakes import WIDE
from protocol.envelope import Outbox
from protocol.exposure import Asked, Levels, paid_a_contract, worst_case
from protocol.facts import Fill, OrderAccepted, OrderIntended
from protocol.kalshi import calls
from protocol.kalshi.answers import BalanceBody, MarketRow, PriceRange, ShardBalance
from protocol.kalshi.reading import Micros
from protocol.limits import SECOND
from protocol.messages import BookAnswer, Entry, PlaceOrder
from protocol.units import DOLLAR, Count, Money, Price
from tests.bench_ledger import row, show
from tests.bench_race import Race

Look = Callable[[PlaceOrder, calls.Call], object]
Clock = Callable[[], int]
ORDERS: Final = 20_000  # measured
WARM_UP: Final = 500
ANEW: Final = 500  # of those added up anew
OPEN: Final = 1_000
FILLS: Final = 10_000
MARKETS: Final = 48
EVENT_MARKETS: Final = 8
GOAL: Final = "50 µs"
ATTEMPTS: Final = 100_000
CENT: Final = DOLLAR // 100
GTC: Final = "good_till_canceled"
TICKERS: Final = [f"KXB{i // EVENT_MARKETS}-26JAN-T{i % EVENT_MARKETS}" for i in range(MARKETS)]
LIMITS: Final = replace(WIDE, price_band=Price(10 * CENT), same_order_ms=1_000)


def busy_account(dice: random.Random) -> Account:
    """OPEN orders rest, FILLS fills are behind."""
    account = Account()

    def take(fact: Any) -> None:
        account.apply(Entry(account.n + 1, f"e{account.n}", 1, "bench", fact))

    for i in range(FILLS):
        side, price = dice.choice(("bid", "ask")), Price(dice.randint(40, 60) * CENT)
        ticker, count = TICKERS[i % MARKETS], Count(dice.randint(1, 10) * 100)
        fill: Any = (f"f{i}", f"t{i}", ticker, side, price, count, Money(100), True)
        take(Fill(*fill))
    for i in range(OPEN):
        side, away = dice.choice(("bid", "ask")), dice.randint(6, 25)
        price = Price((50 - away if side == "bid" else 50 + away) * CENT)
        terms: Any = (TICKERS[i % MARKETS], side, price, Count(1_000), GTC, "a" * 64)
        take(OrderIntended(f"o{i}", *terms))
        take(OrderAccepted(f"o{i}", f"x{i}", Count(0), Count(1_000)))
    return account


class Bench:
    """Brakes over such an account, with live books, known markets and a balance just read."""

    def __init__(self) -> None:
        self.now = 10 * SECOND
        self._outbox, self._stream = Outbox("gateway", 1), Outbox("stream", 1)
        self.account = busy_account(random.Random(1))
        self.desk = Desk(self._outbox, self.now)
        self.desk.ledger.restore(self.account)
        self.exposures = Exposures()
        self.exposures.follow(self.account)
        self.markets = Markets(self.desk)
        self.books = Books(self._outbox)
        self.cash = Cash(self.desk, lambda now: None)
        self.brakes = Brakes(LIMITS, self.markets, self.exposures, self.books, self.cash)
        for ticker in TICKERS:
            self._open(ticker)
        self.stand()

    def _open(self, ticker: str) -> None:
        grid = (PriceRange(Price(0), Price(DOLLAR), Price(CENT)),)
        close, event = Micros(2**60), ticker.rpartition("-")[0]
        self.markets.learn(self.now, MarketRow(ticker, "active", grid, close, 0, event))
        self.books.want(self.now, ticker)

    def stand(self) -> None:
        """What was read, heard and said is of now, and nothing has passed before."""
        self.now += 2 * SECOND
        at = self.now // 1_000
        for mark in self._stream.marks(self.now, at):
            self.books.hear(self.now, at, mark)
        for ticker in TICKERS:
            levels = tuple((Price(cents * CENT), Count(5_000)) for cents in range(25, 50))
            self.books.answered(BookAnswer(ticker, "live", 1, 0, levels, levels), "")
        balance = Money(1_000_000 * DOLLAR)
        self.cash.learn(self.now, BalanceBody(balance, (ShardBalance(0, balance),)))

    def order(self, dice: random.Random, i: int) -> PlaceOrder:
        side: Any = dice.choice(("bid", "ask"))
        price = Price(dice.randint(45, 50) * CENT if side == "bid" else dice.randint(51, 55) * CENT)
        count = Count(i % 5_000 + 1)  # never the same one soon again
        return PlaceOrder(f"n{i}", dice.choice(TICKERS), side, price, count, cast(Any, GTC))

    def each(self, look: Look, count: int, clock: Clock = time.perf_counter_ns) -> list[float]:
        """Microseconds of each look at an order; what it does before and after is not counted."""
        dice, took = random.Random(2), []
        self.stand()
        for i in range(count + WARM_UP):
            order = self.order(dice, i)
            call = calls.create(order, 0)
            if i % 400 == 399:
                self.stand()
            self.now += SECOND // 400
            began = clock()
            look(order, call)
            took.append((clock() - began) / 1e3)
            self.exposures.release(order.client_order_id)
        return took[WARM_UP:]

    # What is measured

    def both_looks(self, order: PlaceOrder, call: calls.Call) -> object:
        """Reserve, and the last look with the digest of the request."""
        if self.brakes.unread(self.now, order) is None:
            refused = self.brakes.reserve(self.now, order)
            passed = refused or self.brakes.last_look(self.now, order, call)
            if isinstance(passed, Pass):
                return passed
        raise AssertionError(f"{order} was to pass: {passed}")

    def added_up_anew(self, order: PlaceOrder, call: calls.Call) -> object:
        """The exposure alone, as one writes it first: all open orders, twice."""
        for _ in range(2):
            asked = {p.ticker: Asked(Levels(), Levels()) for p in self.account.positions()}
            for o in self.account.open_orders():
                asked[o.ticker].of(o.side).add(paid_a_contract(o.side, o.price), int(o.remaining))
            more = paid_a_contract(order.side, order.price), int(order.count)
            asked[order.ticker].of(order.side).add(*more)
            total = sum(worst_case(self.account.position(t), a) for t, a in asked.items())
            assert total <= LIMITS.account_exposure
        return call

    def nothing(self, order: PlaceOrder, call: calls.Call) -> object:
        return None


def cost() -> list[dict[str, Any]]:
    bench = Bench()
    return [
        row("brakes: both looks at an order", bench.each(bench.both_looks, ORDERS), "µs", GOAL),
        row(
            "  of that, processor time",
            bench.each(bench.both_looks, ORDERS, time.thread_time_ns),
            "µs",
            "",
        ),
        row("  exposure added up anew (baseline)", bench.each(bench.added_up_anew, ANEW), "µs", ""),
        row("  an empty call (baseline)", bench.each(bench.nothing, ORDERS), "µs", ""),
    ]


def race(attempts: int) -> list[dict[str, Any]]:
    """64 clients, one limit: what was seen at the exchange, by sums that are not ours."""
    run = Race(seed=1)
    truth = run.exchange.truth
    began = time.perf_counter()
    run.run(attempts)
    took = time.perf_counter() - began
    said = run.told
    print(
        f"race: {run.attempts:,} attempts by 64 clients in {took:.0f} s, {run.restarts} restarts; "
        f"{said['accepted']:,} accepted, {said['rejected']:,} refused by the exchange, "
        f"{said['unknown']:,} unknown, {said['denied']:,} refused here "
        f"({said['late']:,} of them at the last look); {truth.events:,} wire events"
    )
    shown = []
    for what, limit in run.bounds.items():
        most = truth.most[what] / DOLLAR
        shown.append(
            row(f"race: most that {what} could lose", [most], "$", f"{limit / DOLLAR:g} $")
        )
    return [*shown, row(f"  of {run.attempts:,} attempts, accepted", [said["accepted"]], "", "")]


def measure(attempts: int = ATTEMPTS) -> list[dict[str, Any]]:
    """The rows of the table."""
    return [*cost(), *race(attempts)]


if __name__ == "__main__":
    show(measure(int(sys.argv[1]) if sys.argv[1:] else ATTEMPTS))
