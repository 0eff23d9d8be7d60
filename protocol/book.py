"""One market's resting orders: bids for YES and bids for NO, by price."""

from collections.abc import Iterable
from typing import Final

from protocol.errors import RemoteProtocolError
from protocol.messages import BookSide, Level
from protocol.units import DOLLAR, Count, Price, format_count, format_price

FINEST_STEP: Final = 100  # micro-dollars: no market's grid is finer (FACTS.md section 3)


class Book:
    """Levels of both sides. A YES ask is 1 dollar less a NO bid (FACTS.md section 5)."""

    __slots__ = ("_no", "_no_best", "_yes", "_yes_best")

    def __init__(self, yes: Iterable[Level] = (), no: Iterable[Level] = ()) -> None:
        """Raises RemoteProtocolError on an empty level, a price twice, or one on no grid."""
        self._yes = self._levels("yes", yes)
        self._no = self._levels("no", no)
        self._yes_best = max(self._yes, default=0)
        self._no_best = max(self._no, default=0)

    @staticmethod
    def _levels(side: str, levels: Iterable[Level]) -> dict[int, int]:
        book: dict[int, int] = {}
        for price, count in levels:
            if count <= 0 or not 0 < price < DOLLAR or price % FINEST_STEP or price in book:
                raise RemoteProtocolError(
                    f"snapshot: {side} level {format_price(price)} x {format_count(count)}"
                )
            book[price] = count
        return book

    @property
    def crossed(self) -> bool:
        """Whether the best bids of both sides would trade with one another."""
        return self._yes_best + self._no_best >= DOLLAR

    def apply(self, side: BookSide, price: int, change: int) -> None:
        """Add `change` contracts to a level.

        Raises RemoteProtocolError if it would be negative, or lies on no grid; then nothing has
        changed.
        """
        yes = side == "yes"
        levels = self._yes if yes else self._no
        count = levels.get(price, 0) + change
        if count > 0:
            if not 0 < price < DOLLAR or price % FINEST_STEP:
                raise RemoteProtocolError(f"delta: {side} level {format_price(price)} is off grid")
            levels[price] = count
            if yes:
                if price > self._yes_best:
                    self._yes_best = price
            elif price > self._no_best:
                self._no_best = price
        elif count == 0:
            levels.pop(price, None)
            if yes:
                if price == self._yes_best:
                    self._yes_best = max(levels, default=0)
            elif price == self._no_best:
                self._no_best = max(levels, default=0)
        else:
            raise RemoteProtocolError(
                f"delta: {side} level {format_price(price)} would hold {format_count(count)}"
            )

    def levels(self, side: BookSide) -> tuple[Level, ...]:
        """All levels of a side, ascending by price: the best is the last."""
        levels = self._yes if side == "yes" else self._no
        return tuple((Price(price), Count(levels[price])) for price in sorted(levels))

    def best(self, side: BookSide) -> Level | None:
        """The highest bid of a side."""
        levels, price = (self._yes, self._yes_best) if side == "yes" else (self._no, self._no_best)
        return (Price(price), Count(levels[price])) if levels else None

    def best_price(self, side: BookSide) -> int:
        """The same, its price alone; 0 if nothing rests there."""
        return self._yes_best if side == "yes" else self._no_best

    def differences(self, other: "Book") -> dict[tuple[BookSide, int], int]:
        """By side and price, what this book holds more than the other; empty if they are equal."""
        found: dict[tuple[BookSide, int], int] = {}
        sides: tuple[tuple[BookSide, dict[int, int], dict[int, int]], ...] = (
            ("yes", self._yes, other._yes),
            ("no", self._no, other._no),
        )
        for side, ours, theirs in sides:
            for price in ours.keys() | theirs.keys():
                more = ours.get(price, 0) - theirs.get(price, 0)
                if more:
                    found[side, price] = more
        return found

    def copy(self) -> "Book":
        """Another book with the same levels."""
        twin = Book()
        twin._yes, twin._no = dict(self._yes), dict(self._no)
        twin._yes_best, twin._no_best = self._yes_best, self._no_best
        return twin

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Book) and self._yes == other._yes and self._no == other._no

    __hash__ = None  # type: ignore[assignment]
