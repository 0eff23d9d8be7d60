"""Positions with what they would bring: the stream is asked for the book of each that is held.

Whatever pages wait for the same book, it is asked for once; and all pages together ask for a
bounded number of books, beside the requests that wait themselves.
"""

from typing import Any

import msgspec
from msgspec import Struct

from actors.api.asks import GetList
from actors.api.letters import patience
from actors.api.listing import cut, held
from actors.api.pending import Open, Pending
from actors.api.replies import AsOf, Reply, as_json
from protocol.account import Account
from protocol.limits import MARKS_ASKED_MAX, MARKS_MAX
from protocol.machine import Effect
from protocol.messages import AnyMessage, BookAnswer, BookRequest, Position
from protocol.profit import Marked, mark, unrealized
from protocol.telling import Outstanding
from protocol.units import Money, encode_unit, format_money

LATE = Marked(None, "the stream did not answer in time")
MANY = Marked(None, f"more than {MARKS_MAX} positions on one page: ask for fewer")
CROWDED = Marked(None, "too many books are being asked for: ask again")
PAGE = "positions:"  # what a page waits under; it is no letter
LETTER = "mark:"


class Positions(Struct):
    """A page of positions that waits for books: rows as they are shown, without their marks."""

    id: int
    held: dict[str, Position]  # by ticker, in the order of the page
    exposures: list[Money]
    cursor: str
    n: int
    as_of: AsOf
    marks: dict[str, Marked]  # by ticker, as far as they are known
    waits: set[str]

    def took(self, ticker: str, body: AnyMessage | None) -> bool:
        """A book has come, or is late (None). True if that was the last."""
        found = mark(self.held[ticker], body) if isinstance(body, BookAnswer) else LATE
        self.marks[ticker] = found
        self.waits.discard(ticker)
        return not self.waits

    def reply(self, at: int) -> Reply:
        """The answer."""
        pairs = zip(self.held.values(), self.exposures, strict=True)
        rows = [self._row(position, exposure) for position, exposure in pairs]
        told = {"positions": rows, "cursor": self.cursor, "n": self.n}
        return Reply(self.id, 200, as_json(told | self.as_of.told(at)))

    def _row(self, position: Position, exposure: Money) -> dict[str, Any]:
        row: dict[str, Any] = msgspec.to_builtins(position, enc_hook=encode_unit)
        row["exposure"] = format_money(exposure)  # `protocol/exposure.py`
        if not position.position:
            return row | {"unrealized": format_money(0), "mark": None}
        found = self.marks.get(position.ticker, MANY)
        profit = None if found.price is None else unrealized(position, found.price)
        return row | {"unrealized": profit, "mark": found}


class _Asked(Struct):
    """One book that the stream is asked for, and the pages that wait for it."""

    letter: str
    pages: list[int]


class Marks:
    """The pages that wait for books. Each waits in `Pending` as any other read, too."""

    def __init__(self, tells: Outstanding, pending: Pending) -> None:
        self._tells = tells
        self._pending = pending
        self._pages: dict[int, Positions] = {}
        self._asked: dict[str, _Asked] = {}  # by ticker
        self._number = 0  # of letters: each is new, so that no late answer goes for a later one

    def page(
        self, now: int, at: int, id: int, ask: GetList, account: Account, as_of: AsOf
    ) -> list[Effect]:
        """A page of positions: its answer, or what has to be asked for it first. The caller has
        looked whether there is room for it."""
        rows, cursor = cut(ask.what, held(account), ask.page)
        exposures = [account.exposure(position.ticker) for position in rows]
        known = {position.ticker: position for position in rows}
        wanted = [position.ticker for position in rows if position.position][:MARKS_MAX]
        found = Positions(id, known, exposures, cursor, account.n, as_of, {}, set())
        effects: list[Effect] = []
        for ticker in wanted:
            effects += self._ask(now, at, found, ticker)
        if not found.waits:
            return [found.reply(at)]
        self._pages[id] = found
        self._pending.keep(f"{PAGE}{id}", Open(id, ask, now + patience(ask), at))
        return effects

    def _ask(self, now: int, at: int, page: Positions, ticker: str) -> list[Effect]:
        asked = self._asked.get(ticker)
        if asked is None and (len(self._asked) >= MARKS_ASKED_MAX or self._tells.full):
            page.marks[ticker] = CROWDED
            return []
        page.waits.add(ticker)
        if asked is not None:
            asked.pages.append(page.id)
            return []
        self._number += 1
        letter = f"{LETTER}{self._number}:{ticker}"
        self._asked[ticker] = _Asked(letter, [page.id])
        return self._tells.tell(now, at, "stream", letter, BookRequest(ticker))

    def answered(self, at: int, letter: str, body: AnyMessage) -> list[Effect]:
        """A book has come, or a word that it does not: the pages that waited for nothing else."""
        ticker = letter.split(":", 2)[2]
        effects: list[Effect] = []
        for id in self._asked.pop(ticker).pages:
            if self._pages[id].took(ticker, body):
                self._pending.pop(f"{PAGE}{id}")
                effects.append(self._pages.pop(id).reply(at))
        return effects

    def late(self, at: int, id: int) -> list[Effect]:
        """A page has waited long enough: it is answered without the books that have not come."""
        page = self._pages.pop(id)
        for ticker in tuple(page.waits):
            page.took(ticker, None)
            asked = self._asked[ticker]
            asked.pages.remove(id)
            if not asked.pages:
                self._tells.answered(asked.letter)  # told no more
                del self._asked[ticker]
        return [page.reply(at)]
