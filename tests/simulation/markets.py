"""The markets of the simulated exchange, with every state that their books have ever had.

The truth is kept beside what the feed tells, because a lie makes two histories of one: the book
that the exchange has, and the one that whoever was lied to must believe in.
"""

import random
from typing import TYPE_CHECKING

from protocol.limits import MINUTE, SECOND
from tests.simulation.log import Sides
from tests.simulation.trading import TICKERS, Past

if TYPE_CHECKING:
    from tests.simulation.world import World

HISTORY_MAX = 20_000
TOLD_WITHIN = 5 * SECOND  # of a change: a live book has it, or is live no more
PROBED_WITHIN = 25 * SECOND  # of a change that nothing tells of, on a connection that lives
AUDITED_WITHIN = 70 * SECOND  # of a lie, where listings are to be had
NEVER = 60 * MINUTE

Levels = dict[str, dict[int, int]]
Change = tuple[str, int, int]  # side, cents, hundredths of a contract


def sides(book: Levels) -> Sides:
    return tuple(sorted(book["yes"].items())), tuple(sorted(book["no"].items()))


class Markets:
    """Books by ticker; cents and hundredths."""

    def __init__(self, world: "World", dice: random.Random) -> None:
        self._world = world
        self._dice = dice
        self.books: dict[str, Levels] = {}
        self._told: dict[str, Levels] = {}  # where it is not the same
        self._past: dict[str, Past] = {}
        self._versions = 0
        for ticker in TICKERS:
            self.open(ticker)

    @property
    def tickers(self) -> tuple[str, ...]:
        return tuple(self.books)

    def open(self, ticker: str) -> None:
        """A market that begins with a book."""
        self.books[ticker] = {"yes": {}, "no": {}}
        for side in ("yes", "no"):
            for _ in range(4):
                self.books[ticker][side][self._dice.randint(1, 48)] = (
                    self._dice.randint(1, 50) * 100
                )
        self._note(ticker, TOLD_WITHIN)

    def listed(self, ticker: str) -> Sides:
        """As a read shows it: a moment old, on some days."""
        most = self._world.faults.book_lag_max
        then = self._world.now - (self._dice.randint(0, most) if most else 0)
        past = self._past.get(ticker)
        return past.at(then) if past is not None else ((), ())

    def draw(self) -> tuple[str, Change]:
        """A change that a book can take."""
        ticker = self._dice.choice(self.tickers)
        side = self._dice.choice(("yes", "no"))
        cents = self._dice.randint(1, 48)
        change = self._dice.randint(1, 30) * 100
        there = self.books[ticker][side].get(cents)
        if there and self._dice.random() < 0.5:
            change = -min(change, there)
        return ticker, (side, cents, change)

    def change(self, ticker: str, change: Change, within: int) -> None:
        """It is told of, and whoever has the book knows of it `within` so long."""
        apply(self.books[ticker], change)
        if ticker in self._told:
            apply(self._told[ticker], change)
        self._note(ticker, within)

    def lie(self, ticker: str, change: Change) -> None:
        """It happens, and nobody is told."""
        if ticker not in self._told:
            self._told[ticker] = {side: dict(of) for side, of in self.books[ticker].items()}
        apply(self.books[ticker], change)
        self._note(ticker, TOLD_WITHIN)

    def own_up(self, ticker: str, within: int) -> None:
        """A snapshot leaves: from here on there is one history again."""
        if self._told.pop(ticker, None) is not None:
            self._note(ticker, within)

    def _note(self, ticker: str, within: int) -> None:
        self._versions += 1
        assert self._versions < HISTORY_MAX
        book, told = self.books[ticker], self._told.get(ticker)
        if ticker not in self._past:
            self._past[ticker] = Past(sides(book))
        self._past[ticker].put(self._world.now, sides(book))
        hidden = "" if told is None else "hidden"
        self._world.seen("is", ticker, levels=sides(book), within=within, state=hidden)
        if told is not None:
            self._world.seen("told", ticker, levels=sides(told), within=within)


def apply(book: Levels, change: Change) -> None:
    """Below nothing, too: that is how a book looks that a lie was told of."""
    side, cents, by = change
    level = book[side].get(cents, 0) + by
    if level:
        book[side][cents] = level
    else:
        book[side].pop(cents, None)
