"""Many more markets, in which nothing happens unless somebody trades (`paper.idle_markets`).

They are there so that a follower of a hundred thousand tickers can be tested, so they are made to
be small: a book is a pattern that many share until the first order comes to it.
"""

from collections.abc import Iterator
from typing import Final

from actors.paper.fixed import CONTRACT
from actors.paper.market import CENT, Market
from actors.paper.matching import Book, Change, Lot, OnSelf, Plan, Side

SERIES: Final = "KXIDLE"
EVENT_MARKETS: Final = 100  # of one event
LEVELS: Final = 3  # a side
PATTERNS: Final = 80  # different books; each has another middle, in cents

Pattern = dict[Side, dict[int, int]]  # count by YES price, best first


def _pattern(number: int) -> Pattern:
    bid = (10 + number) * CENT
    return {
        Side.BID: {bid - n * CENT: (n + 1) * 10 * CONTRACT for n in range(LEVELS)},
        Side.ASK: {bid + (2 + n) * CENT: (n + 1) * 10 * CONTRACT for n in range(LEVELS)},
    }


class StillBook(Book):
    """A pattern until it is touched, from then on a book like any other, with those levels."""

    __slots__ = ("_pattern",)

    def __init__(self, pattern: Pattern) -> None:
        self._pattern: Pattern | None = pattern  # the rest of a book comes with the first touch

    def shown(self, side: Side) -> dict[int, int]:
        return super().shown(side) if self._pattern is None else self._pattern[side]

    def lots(self) -> list[Lot]:
        self._wake()
        return super().lots()

    def lot(self, order_id: str) -> Lot | None:
        return super().lot(order_id) if self._pattern is None else None

    def crosses(self, side: Side, price: int) -> bool:
        self._wake()
        return super().crosses(side, price)

    def add(self, lot: Lot) -> list[Change]:
        self._wake()
        return super().add(lot)

    def plan(self, side: Side, price: int, count: int, ours: bool, on_self: OnSelf) -> Plan:
        self._wake()
        return super().plan(side, price, count, ours, on_self)

    def _wake(self) -> None:
        pattern, self._pattern = self._pattern, None
        if pattern is None:
            return
        super().__init__()
        for side, levels in pattern.items():
            for price, count in levels.items():
                super().add(Lot(f"i{side.value}{price}", False, side, price, count))


def markets(count: int, opened: int) -> Iterator[Market]:
    """So many markets, such as KXIDLE-E00012-M0001234."""
    patterns = [_pattern(number) for number in range(PATTERNS)]
    for number in range(count):
        ticker = f"{SERIES}-E{number // EVENT_MARKETS:05d}-M{number:07d}"
        book = StillBook(patterns[number % PATTERNS])
        yield Market(ticker, f"Nothing happens, number {number}?", book, opened)
