"""The books of one subscription: all of them trusted, or known not to be.

The exchange numbers the frames of a subscription over all its markets, so one missing frame
leaves every book of it in doubt until a snapshot that came later (FACTS.md section 4.4).
"""

import enum

from protocol.book import Book
from protocol.kalshi.frames import Delta, Snapshot
from protocol.limits import RESYNC_RETRY


class Shelf:
    """Books by ticker. A ticker is live (it has a book) or lost (it has a reason)."""

    def __init__(self) -> None:
        self._live: dict[str, Book] = {}
        self._lost: dict[str, str] = {}
        self._received: dict[str, int] = {}
        self.resync_at: int | None = None
        self.resyncs = 0

    def follow(self, ticker: str) -> bool:
        """Start with a ticker, lost until its first snapshot. False if it is known."""
        if ticker in self._live or ticker in self._lost:
            return False
        self._lost[ticker] = "no snapshot yet"
        return True

    def book(self, ticker: str) -> Book | None:
        return self._live.get(ticker)

    def why(self, ticker: str) -> str | None:
        """Why a book is lost, None if it is not."""
        return self._lost.get(ticker)

    def received_at(self, ticker: str) -> int:
        return self._received.get(ticker, 0)

    def tickers(self) -> list[str]:
        return [*self._live, *self._lost]

    def lost(self) -> list[str]:
        return list(self._lost)

    @property
    def counts(self) -> tuple[int, int]:
        """How many are live, how many lost."""
        return len(self._live), len(self._lost)

    def lose(self, now: int, reason: str, tickers: list[str] | None = None) -> list[str]:
        """These books, or all, are in doubt. Returns those that were live until now."""
        newly = list(self._live) if tickers is None else [t for t in tickers if t in self._live]
        for ticker in newly:
            del self._live[ticker]
            self._lost[ticker] = reason
        if self.resync_at is None:
            self.resync_at = now
        return newly

    def restart(self) -> None:
        """A new connection brings snapshots by itself; nothing has to be asked for yet."""
        self.resync_at, self.resyncs = None, 0

    def asked(self, now: int) -> None:
        """Snapshots of what is lost have been asked for."""
        self.resyncs += 1
        self.resync_at = now + RESYNC_RETRY

    def install(self, frame: Snapshot, at: int) -> bool:
        """Take a snapshot. False if it is of a ticker that is not followed.

        Raises RemoteProtocolError if it makes no book.
        """
        ticker = frame.msg.market_ticker
        if ticker not in self._live and ticker not in self._lost:
            return False
        self._live[ticker] = Book(frame.msg.yes_dollars_fp, frame.msg.no_dollars_fp)
        self._lost.pop(ticker, None)
        self._received[ticker] = at
        if not self._lost:
            self.restart()
        return True

    def apply(self, frame: Delta, at: int) -> bool:
        """Take a change. False if its book is lost, or not followed: then it means nothing.

        Raises RemoteProtocolError if it makes a level negative.
        """
        msg = frame.msg
        book = self._live.get(msg.market_ticker)
        if book is None:
            return False
        book.apply(msg.side, msg.price_dollars, msg.delta_fp)
        self._received[msg.market_ticker] = at
        return True


class Step(enum.Enum):
    """How the number of a frame follows the one before it on its subscription."""

    NEXT = enum.auto()
    DUPLICATE = enum.auto()
    GAP = enum.auto()


class Numbers:
    """The last number of each subscription of one connection."""

    def __init__(self) -> None:
        self._last: dict[int, int] = {}

    def admit(self, sid: int, seq: int) -> Step:
        """Judge a number; after a gap it is the new baseline. The first is always right."""
        last = self._last.get(sid)
        if last is not None and seq <= last:
            return Step.DUPLICATE
        self._last[sid] = seq
        return Step.NEXT if last is None or seq == last + 1 else Step.GAP
