"""The account: orders, fills, positions and cash, as a fold over journal entries.

The same `apply` runs when an order trades and when the journal is read back at the start, so a
killed process comes back with exactly what it had said.
"""

from typing import Final

import msgspec
from msgspec import Struct

from actors.paper.fixed import CONTRACT, DOLLAR, cost
from actors.paper.matching import Side, Take

OPENING_CASH: Final = 10_000 * DOLLAR  # what a fresh account has
FEE_STEP: Final = 100  # micro-dollars; the trade fee is rounded up to $0.0001


class Placed(Struct, frozen=True, tag="placed"):
    """An order was accepted. Prices in micro-dollars, counts in hundredths, times in µs."""

    order_id: str
    client_order_id: str
    ticker: str
    side: str  # bid or ask of YES
    price: int
    count: int
    on_self: str
    at: int
    expires: int = 0  # µs; 0 = never


class Filled(Struct, frozen=True, tag="filled"):
    """(Part of) an order traded."""

    trade_id: str
    order_id: str
    price: int
    count: int
    taker: bool
    fee: int
    at: int


class Gone(Struct, frozen=True, tag="gone"):
    """What was left of an order was cancelled, and why (the words of `last_update_reason`)."""

    order_id: str
    reason: str
    at: int


Entry = Placed | Filled | Gone


class Order(Struct):
    """An order as it is now."""

    n: int  # the account's how-many-th, from 1
    placed: Placed
    side: Side
    remaining: int
    filled: int = 0
    status: str = "resting"  # resting, executed or canceled
    updated: int = 0
    reason: str = ""
    taker_cost: int = 0
    maker_cost: int = 0
    taker_fees: int = 0

    @property
    def resting(self) -> bool:
        return self.status == "resting"


class Fill(Struct, frozen=True):
    """A fill with the context that its readers want."""

    n: int
    entry: Filled
    order: Order
    position: int  # signed, after this fill


class Position(Struct):
    """What is held in one market. `count` is signed: above zero YES, below zero NO."""

    ticker: str
    count: int = 0
    cost: int = 0  # what the open contracts cost, fees not included
    traded: int = 0  # what all trades together cost
    volume: int = 0
    realized: int = 0
    fees: int = 0
    updated: int = 0


def taker_fee(price: int, count: int) -> int:
    """0.07 x contracts x P x (1 - P), rounded up to $0.0001 (FACTS.md section 9).

    One contract at 0.52 costs 0.0175 and at 0.99 0.0007 (capture `fills__after_taker`).
    """
    scale = CONTRACT * CONTRACT * DOLLAR * FEE_STEP
    return -(-7 * count * price * (DOLLAR - price) // scale) * FEE_STEP


class Account:
    """The one account of this exchange."""

    def __init__(self) -> None:
        self.cash = OPENING_CASH
        self.orders: dict[str, Order] = {}
        self.fills: list[Fill] = []
        self.positions: dict[str, Position] = {}
        self.client_order_ids: set[str] = set()  # of every accepted order, for good
        self._resting: dict[str, dict[str, Order]] = {}  # by ticker

    def apply(self, entry: Entry) -> None:
        """Take one entry, new or read back."""
        match entry:
            case Placed():
                self._place(entry)
            case Filled():
                self._fill(entry)
            case Gone():
                order = self.orders[entry.order_id]
                order.remaining, order.status = 0, "canceled"
                order.updated, order.reason = entry.at, entry.reason
                self._resting[order.placed.ticker].pop(entry.order_id, None)

    def resting(self, ticker: str | None = None) -> list[Order]:
        """Resting orders, oldest first; of one market or of all."""
        if ticker is not None:
            return list(self._resting.get(ticker, {}).values())
        every = [order for orders in self._resting.values() for order in orders.values()]
        return sorted(every, key=lambda order: order.n)

    def position(self, ticker: str) -> Position:
        """What is held in a market; a fresh zero if nothing ever was."""
        return self.positions.get(ticker) or Position(ticker)

    def available(self) -> int:
        """Cash that no resting order needs."""
        tickers = [ticker for ticker, orders in self._resting.items() if orders]
        return self.cash - sum(
            reserve(self.position(ticker).count, self.resting(ticker)) for ticker in tickers
        )

    def affords(self, order: Order, takes: list[Take], rests: bool) -> bool:
        """Whether the account could pay for an order, whatever else then fills.

        Cash can never fall below zero: each trade the order would make now is paid at its price
        with its fee, and what rests afterwards is reserved in full.
        """
        position = self.position(order.placed.ticker)
        count, cash = position.count, self.cash
        for take in takes:
            count, change = _settled(count, order.side, take.lot.price, take.count)
            cash += change - taker_fee(take.lot.price, take.count)
        left = order.remaining - sum(take.count for take in takes)
        others = self.resting(order.placed.ticker)
        if rests and left > 0:
            others.append(msgspec.structs.replace(order, remaining=left))
        elsewhere = sum(
            reserve(self.position(ticker).count, list(orders.values()))
            for ticker, orders in self._resting.items()
            if orders and ticker != order.placed.ticker
        )
        return cash - elsewhere - reserve(count, others) >= 0

    def _place(self, entry: Placed) -> None:
        order = Order(
            n=len(self.orders) + 1,
            placed=entry,
            side=Side(entry.side),
            remaining=entry.count,
            updated=entry.at,
        )
        self.orders[entry.order_id] = order
        self._resting.setdefault(entry.ticker, {})[entry.order_id] = order
        if entry.client_order_id:
            self.client_order_ids.add(entry.client_order_id)

    def _fill(self, entry: Filled) -> None:
        order = self.orders[entry.order_id]
        assert 0 < entry.count <= order.remaining
        order.remaining -= entry.count
        order.filled += entry.count
        order.updated, order.reason = entry.at, "Trade"
        own_cost = cost(order.side.own_price(entry.price), entry.count)
        if entry.taker:
            order.taker_cost += own_cost
            order.taker_fees += entry.fee
        else:
            order.maker_cost += own_cost
        if not order.remaining:
            order.status = "executed"
            self._resting[order.placed.ticker].pop(entry.order_id, None)
        position = self.positions.setdefault(order.placed.ticker, Position(order.placed.ticker))
        self.cash += self._move(position, order.side, entry) - entry.fee
        self.fills.append(Fill(len(self.fills) + 1, entry, order, position.count))

    def _move(self, position: Position, side: Side, entry: Filled) -> int:
        held = position.count
        closing = _closing(held, side, entry.count)
        if closing:
            released = position.cost * closing // abs(held)
            position.cost -= released
            position.realized += cost(side.other.own_price(entry.price), closing) - released
        own_cost = cost(side.own_price(entry.price), entry.count)
        position.cost += cost(side.own_price(entry.price), entry.count - closing)
        position.traded += own_cost
        position.volume += entry.count
        position.fees += entry.fee
        position.updated = entry.at
        position.count, change = _settled(held, side, entry.price, entry.count)
        return change


def _closing(held: int, side: Side, count: int) -> int:
    opposing = -held if side is Side.BID else held
    return min(count, max(opposing, 0))


def _settled(held: int, side: Side, price: int, count: int) -> tuple[int, int]:
    # Buying what one is short of (and the reverse) completes pairs, which pay a dollar at once.
    pays = cost(DOLLAR, _closing(held, side, count))
    after = held + count if side is Side.BID else held - count
    return after, pays - cost(side.own_price(price), count)


def reserve(held: int, resting: list[Order]) -> int:
    """Micro-dollars to keep for resting orders of one market, given the signed position.

    An order that closes what is held needs nothing; those likely to trade first close first.
    """
    total = 0
    for side in Side:
        orders = [order for order in resting if order.side is side]
        orders.sort(key=lambda order: side.own_price(order.placed.price), reverse=True)
        free = max(-held if side is Side.BID else held, 0)
        for order in orders:
            paid = max(order.remaining - free, 0)
            free = max(free - order.remaining, 0)
            total += cost(side.own_price(order.placed.price), paid)
    return total
