"""The resting orders of one market, and the money to keep for them.

Counts are added up by price as orders come and go, so that ten thousand resting orders make the
next one no slower.
"""

from msgspec import Struct

from actors.paper.entries import Placed
from actors.paper.fixed import CONTRACT
from actors.paper.matching import Side


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
    queued: int = 0  # grows with each order that comes to the end of a queue

    @property
    def resting(self) -> bool:
        return self.status == "resting"


class More(Struct, frozen=True):
    """So much might come to rest, too; below zero, so much might rest no longer."""

    side: Side
    price: int
    count: int


class Resting:
    """Orders by id, oldest first."""

    def __init__(self) -> None:
        self.orders: dict[str, Order] = {}
        self._counts: dict[Side, dict[int, int]] = {Side.BID: {}, Side.ASK: {}}  # by YES price
        self._totals: dict[Side, int] = {Side.BID: 0, Side.ASK: 0}  # micro-dollars

    def add(self, order: Order) -> None:
        """An order comes to rest."""
        self.orders[order.placed.order_id] = order
        self._shift(order.side, order.placed.price, order.remaining)

    def take(self, order: Order, count: int) -> None:
        """`count` of an order rests no longer; with nothing left it is gone."""
        self._shift(order.side, order.placed.price, -count)
        if count == order.remaining:
            del self.orders[order.placed.order_id]

    def reserve(self, held: int, *mores: More) -> int:
        """Micro-dollars to keep for what rests, and might, given the signed position.

        An order that closes what is held needs nothing; those likely to trade first close first.
        """
        total = 0
        for side in Side:
            total += self._totals[side]
            counts = self._counts[side]
            for more in mores:
                if more.side is side:
                    total += side.own_price(more.price) * more.count // CONTRACT
                    counts = _added(counts, more.price, more.count)
            free = max(-held if side is Side.BID else held, 0)
            if not free:
                continue
            for price in sorted(counts, reverse=side is Side.BID):
                closing = min(free, counts[price])
                total -= side.own_price(price) * closing // CONTRACT
                free -= closing
                if not free:
                    break
        return total

    def _shift(self, side: Side, price: int, count: int) -> None:
        assert price % CONTRACT == 0, "the finest grid has steps of $0.0001: money divides evenly"
        self._counts[side] = _added(self._counts[side], price, count, fresh=False)
        self._totals[side] += side.own_price(price) * count // CONTRACT


def _added(counts: dict[int, int], price: int, count: int, fresh: bool = True) -> dict[int, int]:
    found = dict(counts) if fresh else counts
    total = found.get(price, 0) + count
    if total:
        found[price] = total
    else:
        found.pop(price, None)
    return found
