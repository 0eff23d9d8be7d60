"""What the open orders of each market can still do: the worst case, and what only reduces.

An order may still fill while it rests, while its intent is on record, and while nobody knows what
became of it. All of them count as if they would fill whole.
"""

from collections.abc import Iterable, Iterator

from protocol.facts import OrderSide
from protocol.lifecycle import AT_RISK, UNSETTLED
from protocol.messages import Order, Position
from protocol.units import CONTRACT, DOLLAR, Money


class _Market:
    """The open orders of one market, by key, and their sums."""

    __slots__ = ("asks", "asks_paid", "bids", "bids_paid", "orders", "unsettled")

    def __init__(self) -> None:
        self.orders: dict[str, Order] = {}
        self.unsettled: dict[str, Order] = {}
        self.bids = self.asks = 0  # hundredths of a contract
        self.bids_paid = self.asks_paid = 0  # micro-dollars times hundredths, to divide once

    def add(self, key: str, order: Order, sign: int) -> None:
        count = sign * int(order.remaining)
        if order.side == "bid":
            self.bids += count
            self.bids_paid += count * int(order.price)
        else:
            self.asks += count
            self.asks_paid += count * (DOLLAR - int(order.price))
        if sign > 0:
            self.orders[key] = order
            if order.state in UNSETTLED:
                self.unsettled[key] = order
        else:
            del self.orders[key]
            self.unsettled.pop(key, None)


class OpenOrders:
    """All orders that may still fill, by market. Every question costs the same, however many."""

    def __init__(self) -> None:
        self._markets: dict[str, _Market] = {}
        self.in_doubt: dict[str, Order] = {}  # intended and unknown ones of all markets, by key

    def __iter__(self) -> Iterator[Order]:
        return (order for market in self._markets.values() for order in market.orders.values())

    def put(self, key: str, before: Order | None, after: Order | None) -> None:
        """An order under this key was `before` and is `after`; None: it is not there."""
        self.in_doubt.pop(key, None)
        if after is not None and after.state in UNSETTLED:
            self.in_doubt[key] = after
        if before is not None and before.state in AT_RISK:
            market = self._markets[before.ticker]
            market.add(key, before, -1)
            if not market.orders:
                del self._markets[before.ticker]
        if after is not None and after.state in AT_RISK:
            found = self._markets.get(after.ticker)
            if found is None:
                found = self._markets[after.ticker] = _Market()
            found.add(key, after, 1)

    def unsettled(self, ticker: str) -> Iterable[Order]:
        """Intended and unknown orders of a market."""
        market = self._markets.get(ticker)
        return () if market is None else market.unsettled.values()

    def exposure(self, ticker: str, held: Position | None) -> Money:
        """The most that a market can still cost, fees apart, never less than nothing.

        A bid loses only if the market ends NO, an ask only if it ends YES. So the worst end is
        NO with all bids filled and no ask, or YES with all asks filled and no bid; anything else
        (fewer fills, a scalar end) lies between. What was realized is no exposure any more.
        """
        market = self._markets.get(ticker) or _Market()
        count = 0 if held is None else int(held.position)
        paid = 0 if held is None else int(held.cost)
        if_no = paid * CONTRACT - max(-count, 0) * DOLLAR + market.bids_paid
        if_yes = paid * CONTRACT - max(count, 0) * DOLLAR + market.asks_paid
        return Money(max(-(-max(if_no, if_yes) // CONTRACT), 0))  # rounded up

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
