"""Positions with what they would bring: the stream is asked for the book of each that is held."""

from typing import Any

import msgspec
from msgspec import Struct

from actors.api.replies import AsOf, Reply, as_json
from protocol.limits import MARKS_MAX
from protocol.messages import AnyMessage, BookAnswer, Position
from protocol.profit import Marked, mark, unrealized
from protocol.units import Money, encode_unit, format_money

LATE = Marked(None, "the stream did not answer in time")
MANY = Marked(None, f"more than {MARKS_MAX} positions on one page: ask for fewer")


class Positions(Struct):
    """A page of positions that waits for books: rows as they are shown, without their marks."""

    id: int
    held: list[Position]
    exposures: list[Money]
    cursor: str
    n: int
    as_of: int
    marks: dict[str, Marked]  # by ticker, as far as they are known
    waits: set[str]

    def took(self, ticker: str, body: AnyMessage | None) -> bool:
        """A book has come, or is late (None). True if that was the last."""
        position = next(p for p in self.held if p.ticker == ticker)
        self.marks[ticker] = mark(position, body) if isinstance(body, BookAnswer) else LATE
        self.waits.discard(ticker)
        return not self.waits

    def reply(self, at: int) -> Reply:
        """The answer."""
        pairs = zip(self.held, self.exposures, strict=True)
        rows = [self._row(position, exposure) for position, exposure in pairs]
        told = {"positions": rows, "cursor": self.cursor, "n": self.n}
        return Reply(self.id, 200, as_json(told | AsOf(self.as_of).told(at)))

    def _row(self, position: Position, exposure: Money) -> dict[str, Any]:
        row: dict[str, Any] = msgspec.to_builtins(position, enc_hook=encode_unit)
        row["exposure"] = format_money(exposure)
        if not position.position:
            return row | {"unrealized": format_money(0), "mark": None}
        found = self.marks.get(position.ticker, MANY)
        profit = None if found.price is None else unrealized(position, found.price)
        return row | {"unrealized": profit, "mark": found}


def begun(
    id: int, rows: list[Position], exposures: list[Money], cursor: str, n: int, as_of: int
) -> Positions:
    """A page, and whose books it waits for: those of its first MARKS_MAX that are held."""
    held = [position.ticker for position in rows if position.position][:MARKS_MAX]
    return Positions(id, rows, exposures, cursor, n, as_of, {}, set(held))
