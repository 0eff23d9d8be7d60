"""The books of all markets that are followed: awaited, live or lost, and said so."""

from collections.abc import Iterable
from typing import Literal

from msgspec import Struct

from protocol import topics
from protocol.book import Book
from protocol.envelope import Outbox
from protocol.machine import Effect, Publish
from protocol.messages import BookAnswer, BookLost, BookSnapshot

Standing = Literal["awaited", "live", "lost"]


class Followed(Struct):
    """One market. Awaited: no snapshot yet on this connection. `live` is read for each delta."""

    ticker: str
    topic: str
    trade_topic: str
    quote_topic: str
    book: Book
    standing: Standing = "awaited"
    live: bool = False
    reason: str = "waiting for a snapshot"
    received_at: int = 0


class Books:
    """Followed markets by ticker, and how many of them are live and lost."""

    def __init__(self, outbox: Outbox) -> None:
        self.by_ticker: dict[str, Followed] = {}
        self.live = 0
        self.lost = 0
        self.snapshots = 0  # how often a book became live
        self._outbox = outbox

    @property
    def awaited(self) -> int:
        return len(self.by_ticker) - self.live - self.lost

    def follow(self, ticker: str) -> None:
        if ticker not in self.by_ticker:
            self.by_ticker[ticker] = Followed(
                ticker, topics.book(ticker), topics.trade(ticker), topics.quote(ticker), Book()
            )

    def drop(self, ticker: str, at: int) -> list[Effect]:
        """Follow it no more. Whoever has a copy is told."""
        effects = self.lose([self.by_ticker[ticker]], "no longer followed", at)
        self._stand(self.by_ticker[ticker], "awaited")
        del self.by_ticker[ticker]
        return effects

    def adopt(self, followed: Followed, book: Book, at: int) -> Effect:
        """A snapshot makes it live, whatever it was."""
        followed.book = book
        followed.received_at = at
        followed.reason = ""
        self._stand(followed, "live")
        self.snapshots += 1
        snapshot = BookSnapshot(followed.ticker, book.levels("yes"), book.levels("no"), at)
        return Publish(self._outbox.seal(followed.topic, snapshot, at))

    def lose(self, which: Iterable[Followed], reason: str, at: int) -> list[Effect]:
        """None of these may be used until a snapshot comes. Said once for each that was live."""
        effects: list[Effect] = []
        for followed in which:
            if followed.live:
                self._stand(followed, "lost")
                followed.reason = reason
                lost = BookLost(followed.ticker, reason)
                effects.append(Publish(self._outbox.seal(followed.topic, lost, at)))
        return effects

    def start_again(self) -> None:
        """A new connection: each book is awaited. Those that were live have been lost before."""
        for followed in self.by_ticker.values():
            self._stand(followed, "awaited")
            followed.reason = "waiting for a snapshot"

    def answer(self, ticker: str) -> BookAnswer:
        """One book as of the last word on its topic; levels only if they may be used."""
        epoch, seq = self._outbox.epoch, self._outbox.seq(topics.book(ticker))
        followed = self.by_ticker.get(ticker)
        if followed is None:
            return BookAnswer(ticker, "not followed", epoch, seq)
        if not followed.live:
            return BookAnswer(ticker, "lost", epoch, seq, reason=followed.reason)
        yes, no = followed.book.levels("yes"), followed.book.levels("no")
        return BookAnswer(ticker, "live", epoch, seq, yes, no, received_at=followed.received_at)

    def _stand(self, followed: Followed, standing: Standing) -> None:
        self.live += (standing == "live") - followed.live
        self.lost += (standing == "lost") - (followed.standing == "lost")
        followed.standing = standing
        followed.live = standing == "live"
