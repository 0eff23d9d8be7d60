"""What the open orders of each market can still do: the worst case, and what only reduces.

An order may still fill while it rests, while its intent is on record, and while nobody knows what
became of it. All of them count as if they would fill whole.
"""

from bisect import bisect_left, insort
from collections.abc import Collection, Iterable, Iterator
from itertools import chain
from typing import Final, NamedTuple

from protocol.facts import OrderSide
from protocol.lifecycle import AT_RISK, UNSETTLED
from protocol.messages import Order, Position
from protocol.units import CONTRACT, DOLLAR, Count, Money


def paid_a_contract(side: OrderSide, price: int) -> int:
    """What each contract of an order pays if it fills, in micro-dollars: a bid buys YES, an ask
    buys NO."""
    return price if side == "bid" else DOLLAR - price


def paid_at_worst(order: Order) -> int:
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


class Levels:
    """What orders of one side of a market ask for, by what each contract pays. Counts are
    hundredths of a contract; the sums are kept, so that nobody has to add up."""

    __slots__ = ("cost", "count", "counts", "paid")

    def __init__(self) -> None:
        self.counts: dict[int, int] = {}  # by what a contract pays (`paid_a_contract`); none is 0
        self.paid: list[int] = []  # the same prices, the cheapest first
        self.count = 0  # of all
        self.cost = 0  # what all of them pay: micro-dollars times hundredths

    def add(self, paid: int, count: int) -> None:
        """So many more; with a negative count, less."""
        if not count:
            return
        self.count += count
        self.cost += paid * count
        before = self.counts.get(paid, 0)
        if before + count:
            self.counts[paid] = before + count
            if not before:
                insort(self.paid, paid)
        else:
            del self.counts[paid]
            del self.paid[bisect_left(self.paid, paid)]

    def cheapest_first(self) -> Iterable[tuple[int, int]]:
        """What a contract pays, and how many do."""
        return zip(self.paid, map(self.counts.__getitem__, self.paid), strict=True)

    def copy(self) -> "Levels":
        twin = Levels()
        twin.counts, twin.paid = dict(self.counts), list(self.paid)
        twin.count, twin.cost = self.count, self.cost
        return twin


class Asked(NamedTuple):
    """What open orders of one market ask for."""

    bids: Levels
    asks: Levels

    def of(self, side: OrderSide) -> Levels:
        return self.bids if side == "bid" else self.asks

    def with_order(self, side: OrderSide, price: int, count: int) -> "Asked":
        """A copy with one order more."""
        return self._with(side, paid_a_contract(side, price), count)

    def less(self, side: OrderSide, paid: int, count: int) -> "Asked":
        """A copy with so many contracts less at what each pays."""
        return self._with(side, paid, -count)

    def _with(self, side: OrderSide, paid: int, count: int) -> "Asked":
        twin = Asked(self.bids.copy(), self.asks.copy())
        twin.of(side).add(int(paid), int(count))
        return twin


NOTHING_ASKED: Final = Asked(Levels(), Levels())  # nobody adds to it: copies only


def worst_case(held: Position | None, *asked: Asked) -> Money:
    """The most that a market can still cost, fees apart, whichever open orders fill and however
    it ends. It never grows by a fill. What is asked for may come in parts.

    Either what is held ends worthless, and all that was asked for on its side fills and does,
    too. Or it ends the other way: then the orders of the other side cost what they pay, less what
    is held brings. A contract that is closed brings what the closing order pays, where that is
    less: what it has earned then is realized, and makes up for nothing any more.
    """
    count = 0 if held is None else int(held.position)
    spent = 0 if held is None else int(held.cost) * CONTRACT
    same, other, closing = spent, 0, []
    for bids, asks in asked:
        mine, others = (bids, asks) if count >= 0 else (asks, bids)
        same += mine.cost
        if others.paid:
            other += others.cost
            closing.append(others)
    left = whole = abs(count)
    brings = whole * DOLLAR - spent  # of all that is held, if it wins
    if whole and closing:
        limit = -(-brings // whole)  # closing for no less than that brings nothing more
        for paid, most in _cheapest_first(closing):
            if paid >= limit:
                break
            if most >= left:
                other, left = other - paid * left, 0
                break
            other, left = other - paid * most, left - most
    if left:
        other -= brings * left // whole
    return Money(max(-(-max(same, other) // CONTRACT), 0))  # rounded up


def _cheapest_first(parts: list[Levels]) -> Iterable[tuple[int, int]]:
    """What a contract pays, and how many do; a price that is in several parts comes again."""
    if len(parts) == 1:
        return parts[0].cheapest_first()
    return sorted(chain.from_iterable(part.cheapest_first() for part in parts))  # runs: merged


class _Market:
    """The open orders of one market, by key, and what they ask for."""

    __slots__ = ("levels", "orders", "unsettled")

    def __init__(self) -> None:
        self.orders: dict[str, Order] = {}
        self.unsettled: dict[str, Order] = {}
        self.levels = Asked(Levels(), Levels())

    def add(self, key: str, order: Order, sign: int) -> None:
        paid, left = int(paid_at_worst(order)), int(left_at_worst(order))
        self.levels.of(order.side).add(paid, sign * left)
        if sign > 0:
            self.orders[key] = order
            if order.state in UNSETTLED:
                self.unsettled[key] = order
        else:
            del self.orders[key]
            self.unsettled.pop(key, None)

    def asked(self, leaving: Collection[str] = ()) -> Asked:
        found = self.levels
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
        """What the open orders of a market ask for; all but those under the keys `leaving`. It
        changes as they do: to be read at once."""
        market = self._markets.get(ticker)
        return NOTHING_ASKED if market is None else market.asked(leaving)

    def best(self, ticker: str, side: OrderSide) -> int | None:
        """The price of the highest bid or the lowest ask among the open orders of a market."""
        market = self._markets.get(ticker)
        if market is None:
            return None
        bid = side == "bid"
        paid = market.levels.bids.paid if bid else market.levels.asks.paid
        if not paid:
            return None
        return paid[-1] if bid else DOLLAR - paid[-1]  # the dearest NO is the lowest ask

    def reduces(self, ticker: str, side: OrderSide, count: int, held: int, key: str) -> bool:
        """Whether an order could only close what is held, even if every open one on its side
        fills first. `key` is its own, if it is among them already."""
        against = -held if side == "bid" else held
        market = self._markets.get(ticker)
        if market is not None:
            against -= market.levels.of(side).count
            own = market.orders.get(key)
            if own is not None and own.side == side:
                against += int(left_at_worst(own))
        return 0 < count <= against
