"""A small exchange for a race: it accepts, fills, refuses, loses answers and cancels by the dice.

What the account can lose is added up at each of its events by the promise of tests/simulation,
which knows none of our sums.
"""

import json
import random
from collections import deque
from collections.abc import Iterable
from typing import Any, Final, NamedTuple

from msgspec.structs import replace

from actors.gateway.desk import CallAnswered, CallFailed, Ended
from protocol.brakes import WIDE
from protocol.facts import AnyFact, Fill, OrderAbsent, OrderCanceled, OrderSeen, Settled
from protocol.kalshi.calls import Call
from protocol.units import DOLLAR, Count, Money, Price, parse_count, parse_price
from tests.simulation.log import Event, Terms
from tests.simulation.promises import Exposure

CENT: Final = DOLLAR // 100
LIMITS: Final = replace(
    WIDE,
    market_exposure=Money(10 * DOLLAR),
    event_exposure=Money(14 * DOLLAR),
    account_exposure=Money(20 * DOLLAR),
    self_cross=False,
    fresh_book=False,
    money=False,
    orders_a_second=1_000,
)


class Truth(Exposure):
    """The promise, which says the largest sums it saw instead of failing at one too large."""

    def __init__(self) -> None:
        super().__init__(LIMITS)
        self.most = {"a market": 0, "an event": 0, "the account": 0}
        self.events = 0

    def take(self, event: Event) -> None:
        self.events += 1
        super().take(event)

    def _check(self, ticker: str) -> None:
        worst = {t: self._worst(t) for t in self._held.keys() | {t for t, *_ in self._terms()}}
        event = ticker.rpartition("-")[0]
        inside = sum(w for t, w in worst.items() if t.rpartition("-")[0] == event)
        found = {"a market": worst[ticker], "an event": inside, "the account": sum(worst.values())}
        self.most = {what: max(most, found[what]) for what, most in self.most.items()}

    def _terms(self) -> Iterable[Terms]:
        return self._open.values()


class Made(NamedTuple):
    """An order that the exchange has, or had."""

    order_id: str
    terms: Terms
    left: int


class Exchange:
    """`stream` is what it tells of the account, in its order, until somebody takes it."""

    def __init__(self, dice: random.Random) -> None:
        self.dice, self.truth = dice, Truth()
        self.tickers = [f"KX{event}-{i}" for event in "AB" for i in range(3)]
        self.stream: deque[AnyFact] = deque()
        self._made: dict[str, Made] = {}
        self._resting: list[str] = []
        self._trades = 0

    def take(self, at: int, number: int, call: Call) -> tuple[str, Ended]:
        """Carry out a call, or lose it. Returns the order's id, and how the call ends."""
        asked, chance = json.loads(call.body), self.dice.random()
        id = asked["client_order_id"]
        if chance < 0.06 or asked["ticker"] not in self.tickers:
            no = b'{"error":{"code":"invalid_order","message":"no"}}'
            return id, CallAnswered(at, number, 400, no)
        if chance < 0.065:
            return id, CallFailed(at, number, "no answer", True)
        price, count = parse_price(asked["price"]), int(parse_count(asked["count"]))
        terms = asked["ticker"], asked["side"], int(price) // CENT, count
        self._made[id] = Made(f"x-{id}", terms, count)
        self._resting.append(id)
        self.truth.take(Event(at, "made", id, terms=terms))
        if self.dice.random() < 0.4:
            self._fill(at, id)
        if chance > 0.995:
            return id, CallFailed(at, number, "no answer", True)
        left = self._made[id].left
        body = {
            "order_id": f"x-{id}",
            "client_order_id": id,
            "fill_count": f"{(count - left) / 100:.2f}",
            "remaining_count": f"{left / 100:.2f}",
            "ts_ms": at // 1_000,
        }
        return id, CallAnswered(at, number, 201, json.dumps(body).encode())

    def look_for(self, at: int, id: str) -> None:
        """Tell what is known of an order, or that it is not there."""
        order = self._made.get(id)
        if order is None:
            self.stream.append(OrderAbsent(id, "two listings"))
        elif id in self._resting:
            self.stream.append(_seen(at, id, order, "resting"))

    def fill_one(self, at: int) -> None:
        if self._resting and self.dice.random() < 0.5:
            self._fill(at, self.dice.choice(self._resting))

    def cancel_one(self, at: int) -> None:
        if self._resting and self.dice.random() < 0.5:
            self._cancel(at, self.dice.choice(self._resting))

    def settle_one(self, at: int) -> str:
        """A market ends, and another one opens in its event. Returns the new one."""
        i = self.dice.randrange(len(self.tickers))
        ticker = self.tickers[i]
        for id in [id for id in self._resting if self._made[id].terms[0] == ticker]:
            self._cancel(at, id)
        self.truth.take(Event(at, "settled", ticker))
        nothing: Any = (Count(0), Count(0), Money(0), Money(0), at)
        self.stream.append(Settled(ticker, 0, "yes", *nothing))
        event, _, number = ticker.rpartition("-")
        self.tickers[i] = f"{event}-{int(number) + 3}"
        return self.tickers[i]

    def _fill(self, at: int, id: str) -> None:
        order = self._made[id]
        ticker, side, cents, _ = order.terms
        size = self.dice.choice((order.left, self.dice.randint(1, order.left)))
        better = self.dice.randint(0, 3)
        paid = max(cents - better, 1) if side == "bid" else min(cents + better, 99)
        self._trades += 1
        self._made[id] = order._replace(left=order.left - size)
        self.truth.take(Event(at, "filled", id, terms=(ticker, side, paid, size)))
        told: Any = (ticker, side, Price(paid * CENT), Count(size), Money(0), True, at, id)
        self.stream.append(Fill(order.order_id, f"t{self._trades}", *told))
        if size == order.left:
            self._over(at, id)

    def _cancel(self, at: int, id: str) -> None:
        order = self._made[id]
        self._over(at, id)
        if self.dice.random() < 0.5:
            self.stream.append(OrderCanceled(order.order_id, id, Count(order.left)))
        self.stream.append(_seen(at, id, order, "canceled"))

    def _over(self, at: int, id: str) -> None:
        self._resting.remove(id)
        self.truth.take(Event(at, "over", id))


def _seen(at: int, id: str, order: Made, status: Any) -> AnyFact:
    ticker, side, cents, count = order.terms
    left = order.left if status == "resting" else 0
    told: Any = (ticker, side, Price(cents * CENT), status, Count(count))
    return OrderSeen(order.order_id, id, *told, Count(count - order.left), Count(left), at // 1_000)
