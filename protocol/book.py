"""One market's resting orders: bids for YES and bids for NO, by price."""

from collections.abc import Iterable

from protocol.errors import RemoteProtocolError
from protocol.messages import BookSide, Level
from protocol.units import DOLLAR, Count, Price, format_count, format_price


class Book:
    """Levels of both sides. A YES ask is 1 dollar less a NO bid (FACTS.md section 5)."""

    __slots__ = ("_no", "_yes")

    def __init__(self, yes: Iterable[Level] = (), no: Iterable[Level] = ()) -> None:
        """Raises RemoteProtocolError on a level with no contracts or a price twice."""
        self._yes = self._levels("yes", yes)
        self._no = self._levels("no", no)

    @staticmethod
    def _levels(side: str, levels: Iterable[Level]) -> dict[int, int]:
        book: dict[int, int] = {}
        for price, count in levels:
            if count <= 0 or not 0 <= price <= DOLLAR or price in book:
                raise RemoteProtocolError(
                    f"snapshot: {side} level {format_price(price)} x {format_count(count)}"
                )
            book[price] = count
        return book

    def apply(self, side: BookSide, price: int, change: int) -> None:
        """Add `change` contracts to a level. Raises RemoteProtocolError if it would be negative."""
        levels = self._yes if side == "yes" else self._no
        count = levels.get(price, 0) + change
        if count > 0:
            levels[price] = count
        elif count == 0:
            levels.pop(price, None)
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
        levels = self._yes if side == "yes" else self._no
        if not levels:
            return None
        price = max(levels)
        return Price(price), Count(levels[price])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Book) and self._yes == other._yes and self._no == other._no

    __hash__ = None  # type: ignore[assignment]
