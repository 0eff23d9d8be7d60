"""What the open orders of each market can still do: the worst case, and what only reduces.

An order may still fill while it rests, while its intent is on record, and while nobody knows what
became of it. All of them count as if they would fill whole.
"""

from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from protocol.facts import OrderSide
from protocol.lifecycle import AT_RISK, UNSETTLED
from protocol.messages import Order, Position
from protocol.units import CONTRACT, DOLLAR, Money, Price


class Sums(NamedTuple):
    """Open orders of one market added up. What an order pays if it fills whole is its price for a
    bid, 1 dollar less its price for an ask."""

    bids: int = 0  # hundredths of a contract
    asks: int = 0
    bids_paid: int = 0  # micro-dollars times hundredths: divided once, at the end
    asks_paid: int = 0
    bid_top: int = 0  # the dearest of them, micro-dollars a contract
    ask_top: int = 0

    def plus(self, other: "Sums") -> "Sums":
        return Sums(
            self.bids + other.bids,
            self.asks + other.asks,
            self.bids_paid + other.bids_paid,
            self.asks_paid + other.asks_paid,
            max(self.bid_top, other.bid_top),
            max(self.ask_top, other.ask_top),
        )


NOTHING_OPEN: Final = Sums()


def sums_of(side: OrderSide, price: int, count: int) -> Sums:
    """One order, as sums."""
    if side == "bid":
        return Sums(count, 0, price * count, 0, price, 0)
    paid = DOLLAR - price
    return Sums(0, count, 0, paid * count, 0, paid)


def worst_case(held: Position | None, open: Sums) -> Money:
    """The most that a market can still cost whichever of the open orders fill, fees apart.

    It never grows by a fill. What opens on the side that is held adds to what that cost; what
    opens on the other side closes first, and only the rest of it costs anything (at most as if
    that were the dearest of it). What was realized on the way is no exposure any more.
    """
    count = 0 if held is None else int(held.position)
    spent = 0 if held is None else int(held.cost) * CONTRACT
    if count >= 0:
        same, over = spent + open.bids_paid, open.asks - count
        other = min(open.asks_paid, over * open.ask_top)
    else:
        same, over = spent + open.asks_paid, open.bids + count
        other = min(open.bids_paid, over * open.bid_top)
    return Money(max(-(-max(same, other) // CONTRACT), 0))  # rounded up


class _Market:
    """The open orders of one market, by key, and their sums."""

    __slots__ = ("asks", "asks_paid", "bids", "bids_paid", "orders", "prices", "unsettled")

    def __init__(self) -> None:
        self.orders: dict[str, Order] = {}
        self.unsettled: dict[str, Order] = {}
        self.bids = self.asks = self.bids_paid = self.asks_paid = 0  # as in Sums
        self.prices: dict[OrderSide, dict[int, int]] = {"bid": {}, "ask": {}}  # orders at each

    def add(self, key: str, order: Order, sign: int) -> None:
        count, price = sign * int(order.remaining), int(order.price)
        if order.side == "bid":
            self.bids += count
            self.bids_paid += count * price
        else:
            self.asks += count
            self.asks_paid += count * (DOLLAR - price)
        prices = self.prices[order.side]
        prices[price] = prices.get(price, 0) + sign
        if not prices[price]:
            del prices[price]
        if sign > 0:
            self.orders[key] = order
            if order.state in UNSETTLED:
                self.unsettled[key] = order
        else:
            del self.orders[key]
            self.unsettled.pop(key, None)

    def sums(self, leaving: str = "") -> Sums:
        own = self.orders.get(leaving)
        found = Sums(self.bids, self.asks, self.bids_paid, self.asks_paid)
        bids, asks = set(self.prices["bid"]), set(self.prices["ask"])
        if own is not None:
            more = sums_of(own.side, int(own.price), int(own.remaining))
            found = Sums(*(all - its for all, its in zip(found, more, strict=True)))
            if self.prices[own.side][int(own.price)] == 1:  # no other stands where it does
                (bids if own.side == "bid" else asks).discard(int(own.price))
        top, bottom = max(bids, default=0), min(asks, default=DOLLAR)
        return found._replace(bid_top=top, ask_top=DOLLAR - bottom)


class OpenOrders:
    """All orders that may still fill, by market. Every question costs the same, however many."""

    def __init__(self) -> None:
        self._markets: dict[str, _Market] = {}
        self._count = 0
        self.in_doubt: dict[str, Order] = {}  # intended and unknown ones of all markets, by key

    def __iter__(self) -> Iterator[Order]:
        return (order for market in self._markets.values() for order in market.orders.values())

    def __len__(self) -> int:
        return self._count

    def put(self, key: str, before: Order | None, after: Order | None) -> None:
        """An order under this key was `before` and is `after`; None: it is not there."""
        self.in_doubt.pop(key, None)
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

    def sums(self, ticker: str, leaving: str = "") -> Sums:
        """The open orders of a market, added up; all but the one under the key `leaving`."""
        market = self._markets.get(ticker)
        return NOTHING_OPEN if market is None else market.sums(leaving)

    def best(self, ticker: str, side: OrderSide) -> Price | None:
        """The highest bid or the lowest ask among the open orders of a market."""
        market = self._markets.get(ticker)
        prices = None if market is None else market.prices[side]
        if not prices:
            return None
        return Price(max(prices) if side == "bid" else min(prices))

    def reduces(self, ticker: str, side: OrderSide, count: int, held: int, key: str) -> bool:
        """Whether an order could only close what is held, even if every open one on its side
        fills first. `key` is its own, if it is among them already."""
        against = -held if side == "bid" else held
        market = self._markets.get(ticker)
        if market is not None:
            against -= market.bids if side == "bid" else market.asks
            own = market.orders.get(key)
            if own is not None and own.side == side:
                against += int(own.remaining)
        return 0 < count <= against
