"""What the open orders of each market can still do: the worst case, and what only reduces.

An order may still fill while it rests, while its intent is on record, and while nobody knows what
became of it. All of them count as if they would fill whole.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Final, NamedTuple

from protocol.facts import OrderSide
from protocol.lifecycle import AT_RISK, UNSETTLED
from protocol.messages import Order, Position
from protocol.units import CONTRACT, DOLLAR, Count, Money, Price

Levels = Mapping[int, int]
"""Hundredths of a contract, by what each contract pays (`paid_a_contract`). No level is empty."""


def paid_a_contract(side: OrderSide, price: int) -> Price:
    """What each contract of an order pays if it fills: a bid buys YES, an ask buys NO."""
    return Price(price if side == "bid" else DOLLAR - price)


def paid_at_worst(order: Order) -> Price:
    """What each contract of an order pays at worst: by its own terms, or by those that a pending
    amend may have given it."""
    paid, amend = paid_a_contract(order.side, order.price), order.amend
    if amend is None or not amend.pending:
        return paid
    return max(paid, paid_a_contract(order.side, amend.price))


def left_at_worst(order: Order) -> Count:
    """The most of an order that may still fill, under its own terms or those of a pending amend."""
    left, amend = order.remaining, order.amend
    if amend is None or not amend.pending:
        return left
    return max(left, Count(amend.count - order.filled))


class Asked(NamedTuple):
    """What open orders of one market ask for."""

    bids: Levels = {}
    asks: Levels = {}

    def with_order(self, side: OrderSide, price: int, count: int) -> "Asked":
        """One order more."""
        return self._with_level(side, paid_a_contract(side, price), count)

    def less(self, side: OrderSide, paid: int, count: int) -> "Asked":
        """So many contracts less at what each pays."""
        return self._with_level(side, paid, -count)

    def _with_level(self, side: OrderSide, paid: int, count: int) -> "Asked":
        level: dict[int, int] = {paid: count}
        return self.plus(Asked(level) if side == "bid" else Asked({}, level))

    def plus(self, other: "Asked") -> "Asked":
        if not other.bids and not other.asks:
            return self
        return Asked(_merged(self.bids, other.bids), _merged(self.asks, other.asks))


NOTHING_ASKED: Final = Asked()


def _merged(one: Levels, other: Levels) -> Levels:
    if not one or not other:
        return one or other
    merged = dict(one)
    for paid, count in other.items():
        merged[paid] = merged.get(paid, 0) + count
        if not merged[paid]:
            del merged[paid]
    return merged


def worst_case(held: Position | None, asked: Asked) -> Money:
    """The most that a market can still cost, fees apart, whichever open orders fill and however
    it ends. It never grows by a fill.

    Either what is held ends worthless, and all that was asked for on its side fills and does,
    too. Or it ends the other way: then the orders of the other side cost what they pay, less what
    is held brings. A contract that is closed brings what the closing order pays, where that is
    less: what it has earned then is realized, and makes up for nothing any more.
    """
    count = 0 if held is None else int(held.position)
    spent = 0 if held is None else int(held.cost) * CONTRACT
    mine, others = (asked.bids, asked.asks) if count >= 0 else (asked.asks, asked.bids)
    same = spent + sum(paid * n for paid, n in mine.items())
    other = sum(paid * n for paid, n in others.items())
    left = whole = abs(count)
    brings = whole * DOLLAR - spent  # of all that is held, if it wins
    for paid in sorted(others) if whole else ():
        if not left or paid * whole >= brings:
            break
        closed = min(others[paid], left)
        other, left = other - paid * closed, left - closed
    if left:
        other -= brings * left // whole
    return Money(max(-(-max(same, other) // CONTRACT), 0))  # rounded up


class _Market:
    """The open orders of one market, by key, and what they ask for."""

    __slots__ = ("levels", "orders", "unsettled")

    def __init__(self) -> None:
        self.orders: dict[str, Order] = {}
        self.unsettled: dict[str, Order] = {}
        self.levels: dict[OrderSide, dict[int, int]] = {"bid": {}, "ask": {}}  # as in Asked

    def add(self, key: str, order: Order, sign: int) -> None:
        levels, paid = self.levels[order.side], paid_at_worst(order)
        levels[paid] = levels.get(paid, 0) + sign * int(left_at_worst(order))
        if not levels[paid]:
            del levels[paid]
        if sign > 0:
            self.orders[key] = order
            if order.state in UNSETTLED:
                self.unsettled[key] = order
        else:
            del self.orders[key]
            self.unsettled.pop(key, None)

    def asked(self, leaving: Collection[str] = ()) -> Asked:
        found = Asked(self.levels["bid"], self.levels["ask"])
        for key in leaving:
            own = self.orders.get(key)
            if own is not None:
                found = found.less(own.side, paid_at_worst(own), left_at_worst(own))
        return found


class OpenOrders:
    """All orders that may still fill, by market. Every question costs the same, however many."""

    def __init__(self) -> None:
        self._markets: dict[str, _Market] = {}
        self._count = 0
        self.in_doubt: dict[str, Order] = {}  # intended and unknown ones of all markets, by key
        self.amending: dict[str, Order] = {}  # those with a pending amend
        self.leased: dict[str, Order] = {}  # those with a lease

    def __iter__(self) -> Iterator[Order]:
        return (order for market in self._markets.values() for order in market.orders.values())

    def __len__(self) -> int:
        return self._count

    def put(self, key: str, before: Order | None, after: Order | None) -> None:
        """An order under this key was `before` and is `after`; None: it is not there."""
        self.in_doubt.pop(key, None)
        self.amending.pop(key, None)
        self.leased.pop(key, None)
        if after is not None and after.state in UNSETTLED:
            self.in_doubt[key] = after
        if before is not None and before.state in AT_RISK:
            market = self._markets[before.ticker]
            market.add(key, before, -1)
            self._count -= 1
            if not market.orders:
                del self._markets[before.ticker]
        if after is not None and after.state in AT_RISK:
            found = self._markets.get(after.ticker)
            if found is None:
                found = self._markets[after.ticker] = _Market()
            found.add(key, after, 1)
            self._count += 1
            if after.amend is not None and after.amend.pending:
                self.amending[key] = after
            if after.lease_s:
                self.leased[key] = after

    def unsettled(self, ticker: str) -> Iterable[Order]:
        """Intended and unknown orders of a market."""
        market = self._markets.get(ticker)
        return () if market is None else market.unsettled.values()

    def get(self, ticker: str, key: str) -> Order | None:
        """An open order of a market."""
        market = self._markets.get(ticker)
        return None if market is None else market.orders.get(key)

    def tickers(self) -> Iterable[str]:
        """Markets that have open orders."""
        return self._markets.keys()

    def asked(self, ticker: str, leaving: Collection[str] = ()) -> Asked:
        """What the open orders of a market ask for; all but those under the keys `leaving`."""
        market = self._markets.get(ticker)
        return NOTHING_ASKED if market is None else market.asked(leaving)

    def best(self, ticker: str, side: OrderSide) -> Price | None:
        """The highest bid or the lowest ask among the open orders of a market."""
        market = self._markets.get(ticker)
        levels = None if market is None else market.levels[side]
        if not levels:
            return None
        return paid_a_contract(side, max(levels))  # for an ask the dearest is the lowest price

    def reduces(self, ticker: str, side: OrderSide, count: int, held: int, key: str) -> bool:
        """Whether an order could only close what is held, even if every open one on its side
        fills first. `key` is its own, if it is among them already."""
        against = -held if side == "bid" else held
        market = self._markets.get(ticker)
        if market is not None:
            against -= sum(market.levels[side].values())
            own = market.orders.get(key)
            if own is not None and own.side == side:
                against += int(left_at_worst(own))
        return 0 < count <= against
