"""One of our books against a listing of the exchange's, which has no number and no exact moment.

The listing is of some moment around the request. So the book is kept as it was a little before,
with all that changed since, and the two are the same if they were so at any of these moments.
"""

from enum import Enum

from protocol.book import Book
from protocol.limits import AUDIT_CHANGES_MAX
from protocol.messages import BookSide


class Finding(Enum):
    """What a comparison has come to."""

    OPEN = "open"
    SAME = "same"
    DIFFERENT = "different"
    BUSY = "too busy to tell"


class Comparison:
    """Of one book, from a little before the request on."""

    def __init__(self, book: Book) -> None:
        self.finding = Finding.OPEN
        self._begin = book.copy()
        self._changes: list[tuple[BookSide, int, int]] = []
        self._differs: dict[tuple[BookSide, int], int] | None = None  # once it is listed

    def change(self, side: BookSide, price: int, change: int) -> None:
        """Our book has changed by this much."""
        if self._differs is not None:
            self._move(side, price, change)
        elif len(self._changes) < AUDIT_CHANGES_MAX:
            self._changes.append((side, price, change))
        else:
            self.finding = Finding.BUSY

    def listed(self, theirs: Book) -> None:
        """The listing has come: from now on, each change may make the two the same."""
        self._differs = self._begin.differences(theirs)
        if self.finding is Finding.OPEN and not self._differs:
            self.finding = Finding.SAME
        for side, price, change in self._changes:
            self._move(side, price, change)
        self._changes.clear()

    def settle(self) -> Finding:
        """No more time is given."""
        if self.finding is Finding.OPEN:
            self.finding = Finding.OPEN if self._differs is None else Finding.DIFFERENT
        return self.finding

    def text(self) -> str:
        """What differs at the moment, for a line of a log."""
        found = sorted((self._differs or {}).items())
        said = ", ".join(
            f"{side} {price / 1e6:.4f}: {more / 100:+.2f}" for (side, price), more in found[:4]
        )
        return said + (f" and {len(found) - 4} more" if len(found) > 4 else "")

    def _move(self, side: BookSide, price: int, change: int) -> None:
        assert self._differs is not None
        key = side, price
        more = self._differs.get(key, 0) + change
        if more:
            self._differs[key] = more
        else:
            self._differs.pop(key, None)
            if not self._differs and self.finding is Finding.OPEN:
                self.finding = Finding.SAME
