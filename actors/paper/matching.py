"""One market's book: resting lots in price-time priority, all seen as bids and asks of YES.

Two kinds. In `Book` every lot is real: what trades, goes. In `TapeBook` the public levels come
from a capture and are never changed by our orders, which trade against them as against a wall;
our own resting lots stand beside the levels and are not shown.
"""

import enum
from collections.abc import Iterator
from typing import NamedTuple

from msgspec import Struct

from actors.paper.fixed import DOLLAR


class Side(enum.Enum):
    """Direction in the YES book; selling YES at p is buying NO at 1 - p (FACTS.md section 5)."""

    BID = "bid"
    ASK = "ask"

    @property
    def other(self) -> "Side":
        return Side.ASK if self is Side.BID else Side.BID

    @property
    def outcome(self) -> str:
        return "yes" if self is Side.BID else "no"

    def own_price(self, price: int) -> int:
        """What one contract of this direction costs at a YES price."""
        return price if self is Side.BID else DOLLAR - price


class Lot:
    """A resting (part of an) order. `ours` tells the account's lots from the public's."""

    __slots__ = ("order_id", "ours", "price", "remaining", "side")

    def __init__(self, order_id: str, ours: bool, side: Side, price: int, remaining: int) -> None:
        assert remaining > 0 and 0 < price < DOLLAR
        self.order_id = order_id
        self.ours = ours
        self.side = side
        self.price = price
        self.remaining = remaining


class Change(NamedTuple):
    """How much a shown level grew (or, below zero, shrank), in hundredths of a contract."""

    side: Side
    price: int
    delta: int


class Take(Struct, frozen=True):
    """A taker meets a resting lot, at the lot's price."""

    lot: Lot
    count: int


class Plan(Struct, frozen=True):
    """What an incoming order would do. Nothing has changed yet."""

    takes: list[Take]
    own: list[Lot]  # lots of ours that policy `maker` cancels on the way
    stopped: bool  # policy `taker_at_cross`: met a lot of ours, so the rest is cancelled

    @property
    def quantity(self) -> int:
        return sum(take.count for take in self.takes)


class OnSelf(enum.Enum):
    """What happens when an order of ours would meet a lot of ours (FACTS.md section 6.2)."""

    STOP = "taker_at_cross"
    CANCEL_RESTING = "maker"


class Book:
    """Lots by side and price; within a price, the earlier one first."""

    __slots__ = ("_by_id", "_lots", "_totals")

    def __init__(self) -> None:
        self._lots: dict[Side, dict[int, dict[str, Lot]]] = {Side.BID: {}, Side.ASK: {}}
        self._totals: dict[Side, dict[int, int]] = {Side.BID: {}, Side.ASK: {}}
        self._by_id: dict[str, Lot] = {}

    def emptied(self) -> "Book":
        """A book of this kind with nothing in it."""
        return Book()

    def shown(self, side: Side) -> dict[int, int]:
        """Count by YES price, as the public sees it."""
        return self._totals[side]

    def best(self, side: Side) -> int | None:
        """The best shown price of a side, or None."""
        levels = self.shown(side)
        if not levels:
            return None
        return max(levels) if side is Side.BID else min(levels)

    def lots(self) -> list[Lot]:
        """Everything that rests, in no particular order."""
        return list(self._by_id.values())

    def lot(self, order_id: str) -> Lot | None:
        return self._by_id.get(order_id)

    def queue(self, side: Side) -> Iterator[tuple[Lot, int]]:
        """The lots of a side, who trades first first, and how much trades before each."""
        ahead, queues = 0, self._lots[side]
        for price in sorted(queues, reverse=side is Side.BID):
            wall = self._wall(side, price)
            for lot in queues[price].values():
                yield lot, ahead + wall
                ahead += lot.remaining

    def _wall(self, side: Side, price: int) -> int:
        return 0  # every lot is in the queue

    def crosses(self, side: Side, price: int) -> bool:
        """Whether an order of `side` at `price` would meet something resting."""
        return next(self._against(side, price), None) is not None

    def add(self, lot: Lot) -> list[Change]:
        """Let a lot rest, last in the queue at its price."""
        assert lot.order_id not in self._by_id
        self._lots[lot.side].setdefault(lot.price, {})[lot.order_id] = lot
        self._by_id[lot.order_id] = lot
        return self._shift(lot, lot.remaining)

    def reduce(self, lot: Lot, count: int) -> list[Change]:
        """Take `count` off a lot; at nothing left it is gone."""
        assert 0 < count <= lot.remaining
        lot.remaining -= count
        if not lot.remaining:
            queue = self._lots[lot.side][lot.price]
            del queue[lot.order_id], self._by_id[lot.order_id]
            if not queue:
                del self._lots[lot.side][lot.price]
        return self._shift(lot, -count)

    def plan(self, side: Side, price: int, count: int, ours: bool, on_self: OnSelf) -> Plan:
        """Whom an order would trade with, best price first, then the earlier lot first."""
        plan_takes: list[Take] = []
        own: list[Lot] = []
        for lot in self._against(side, price):
            if count == 0:
                break
            if ours and lot.ours:
                if on_self is OnSelf.STOP:
                    return Plan(plan_takes, own, True)
                own.append(lot)
                continue
            taken = min(count, lot.remaining)
            plan_takes.append(Take(lot, taken))
            count -= taken
        return Plan(plan_takes, own, False)

    def execute(self, plan: Plan) -> list[Change]:
        """Do what was planned; the changes are added up for each level."""
        changes = [self.reduce(lot, lot.remaining) for lot in plan.own]
        changes += [self._consume(take) for take in plan.takes]
        return added_up([change for some in changes for change in some])

    def _consume(self, take: Take) -> list[Change]:
        return self.reduce(take.lot, take.count)

    def _against(self, side: Side, price: int) -> Iterator[Lot]:
        queues = self._lots[side.other]
        for level in sorted(queues, reverse=side is Side.ASK):
            if level > price if side is Side.BID else level < price:
                return
            yield from list(queues[level].values())

    def _shift(self, lot: Lot, delta: int) -> list[Change]:
        return self._show(lot.side, lot.price, delta)

    def _show(self, side: Side, price: int, delta: int) -> list[Change]:
        levels = self._totals[side]
        total = levels.get(price, 0) + delta
        if total:
            levels[price] = total
        else:
            levels.pop(price, None)
        return [Change(side, price, delta)]


class TapeBook(Book):
    """Levels out of a capture, with our own lots beside them, unseen."""

    __slots__ = ("_tape",)

    def __init__(self) -> None:
        super().__init__()
        self._tape: dict[Side, dict[int, int]] = {Side.BID: {}, Side.ASK: {}}

    def emptied(self) -> Book:
        return TapeBook()

    def shown(self, side: Side) -> dict[int, int]:
        return self._tape[side]

    def replace(self, bids: dict[int, int], asks: dict[int, int]) -> list[Take]:
        """A snapshot of the capture: the level set is this now. Answers which of ours it hits."""
        self._tape = {Side.BID: dict(bids), Side.ASK: dict(asks)}
        return [
            take
            for side in Side
            for price, count in self._tape[side].items()
            for take in self._hit(side, price, count)
        ]

    def move(self, side: Side, price: int, delta: int) -> list[Take]:
        """A delta of the capture: the level changes. Answers which lots of ours the growth hits."""
        levels = self._tape[side]
        total = levels.get(price, 0) + delta
        if total > 0:
            levels[price] = total
        else:  # the exchange never sends a negative level; a torn capture may
            levels.pop(price, None)
        return self._hit(side, price, delta) if delta > 0 and self._by_id else []

    def _hit(self, side: Side, price: int, count: int) -> list[Take]:
        takes: list[Take] = []
        for lot in super()._against(side, price):
            taken = min(count, lot.remaining)
            if taken <= 0:
                break
            takes.append(Take(lot, taken))
            self.reduce(lot, taken)
            count -= taken
        return takes

    def _wall(self, side: Side, price: int) -> int:
        return sum(
            count
            for level, count in self._tape[side].items()
            if (level >= price if side is Side.BID else level <= price)
        )

    def _consume(self, take: Take) -> list[Change]:
        return []  # the wall does not shrink

    def _against(self, side: Side, price: int) -> Iterator[Lot]:
        wall = [
            Lot("", False, side.other, level, count)
            for level, count in self._tape[side.other].items()
            if (level <= price if side is Side.BID else level >= price)
        ]
        lots = wall + list(super()._against(side, price))  # at one price the wall was first
        yield from sorted(lots, key=lambda lot: lot.price, reverse=side is Side.ASK)

    def _show(self, side: Side, price: int, delta: int) -> list[Change]:
        return []


def added_up(changes: list[Change]) -> list[Change]:
    """One change a level, in the order of the first; what cancels out is left out."""
    totals: dict[tuple[Side, int], int] = {}
    for side, price, delta in changes:
        totals[side, price] = totals.get((side, price), 0) + delta
    return [Change(side, price, delta) for (side, price), delta in totals.items() if delta]
