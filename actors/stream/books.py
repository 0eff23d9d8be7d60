"""The books of all markets that are followed: awaited, live, stale or lost, and said so."""

from collections.abc import Iterable
from typing import Literal

from msgspec import Struct

from actors.stream.comparison import Comparison
from protocol import topics
from protocol.book import Book
from protocol.envelope import Outbox
from protocol.machine import Effect, Publish
from protocol.messages import BookAnswer, BookFresh, BookLost, BookSnapshot, BookStale

Standing = Literal["awaited", "live", "lost"]


class Followed(Struct):
    """One market. Awaited: no snapshot yet on this connection. `live` is read for each delta.

    A live book may be stale: right, but of a past moment.
    """

    ticker: str
    topic: str
    trade_topic: str
    quote_topic: str
    book: Book
    standing: Standing = "awaited"
    live: bool = False
    stale: bool = False
    reason: str = "waiting for a snapshot"
    received_at: int = 0
    generation: int = 0  # how often it has been installed since it is followed
    audited_at: int = 0  # microseconds
    differences: int = 0  # audits in a row that found another book
    held_until: int = 0  # monotonic: in quarantine
    comparison: Comparison | None = None  # an audit that is under way
    refused: bool = False  # the exchange says that there is no such market
    line: int = -1  # which connection brings it


class Books:
    """Followed markets by ticker, and how many of them are live and lost."""

    def __init__(self, outbox: Outbox) -> None:
        self.by_ticker: dict[str, Followed] = {}
        self.live = 0
        self.lost = 0
        self.stale = 0
        self.doubted: dict[str, int] = {}  # to be compared with the exchange's listing; from when
        self.why = ""  # books were lost, the last time
        self.snapshots = 0  # how often a book was installed
        self._outbox = outbox

    @property
    def awaited(self) -> int:
        return len(self.by_ticker) - self.live - self.lost

    def missing(self, new: bool) -> int:
        """Books that a connection should bring and has not yet, without those it can't.

        `new`: also those that have never been there in this life.
        """
        return sum(
            each.standing == "awaited"
            and each.line >= 0
            and not each.refused
            and (new or each.generation > 0)
            for each in self.by_ticker.values()
        )

    def refuse(self, followed: Followed, reason: str) -> None:
        """The exchange names it as unknown: it is awaited no more, but asked for now and then."""
        if not followed.live:
            followed.refused = True
            followed.reason = reason

    def follow(self, ticker: str) -> Followed:
        """From now on, if not already."""
        followed = self.by_ticker.get(ticker)
        if followed is None:
            followed = self.by_ticker[ticker] = Followed(
                ticker, topics.book(ticker), topics.trade(ticker), topics.quote(ticker), Book()
            )
        return followed

    def drop(self, followed: Followed, reason: str, at: int) -> list[Effect]:
        """Follow it no more. Whoever has a copy is told."""
        effects = self.lose([followed], reason, at)
        self._stand(followed, "awaited")
        del self.by_ticker[followed.ticker]
        self.doubted.pop(followed.ticker, None)
        return effects

    def adopt(self, followed: Followed, book: Book, at: int, stale: str = "") -> list[Effect]:
        """A snapshot makes it live, whatever it was; `stale` says why it is of a past moment."""
        followed.book = book
        followed.received_at = at
        followed.generation += 1
        followed.reason = ""
        followed.refused = False
        followed.comparison = None
        self._stand(followed, "live")
        self.snapshots += 1
        snapshot = BookSnapshot(
            followed.ticker, book.levels("yes"), book.levels("no"), at, followed.generation
        )
        said: list[Effect] = [Publish(self._outbox.seal(followed.topic, snapshot, at))]
        return said + (self.age([followed], stale, at) if stale else [])

    def lose(self, which: Iterable[Followed], reason: str, at: int) -> list[Effect]:
        """None of these may be used until a snapshot comes. Said once for each that was live."""
        effects: list[Effect] = []
        for followed in which:
            if followed.live:
                self._stand(followed, "lost")
                followed.reason = self.why = reason
                followed.comparison = None
                lost = BookLost(followed.ticker, reason)
                effects.append(Publish(self._outbox.seal(followed.topic, lost, at)))
        return effects

    def age(self, which: Iterable[Followed], reason: str, at: int) -> list[Effect]:
        """These are of a past moment now; or with no reason: of now again. Said once for each."""
        stale = bool(reason)
        effects: list[Effect] = []
        for followed in which:
            if followed.live and followed.stale != stale:
                followed.stale = stale
                followed.reason = reason
                self.stale += 1 if stale else -1
                said = BookStale(followed.ticker, reason) if stale else BookFresh(followed.ticker)
                effects.append(Publish(self._outbox.seal(followed.topic, said, at)))
        return effects

    def await_again(self, which: Iterable[Followed]) -> None:
        """Subscribed anew: each book is awaited. Those that were live have been lost before."""
        for followed in which:
            self._stand(followed, "awaited")
            followed.refused = False
            followed.reason = "waiting for a snapshot"

    def answer(self, ticker: str, as_of: int) -> BookAnswer:
        """One book as of the last word on its topic; levels only if they may be used."""
        epoch, seq = self._outbox.epoch, self._outbox.seq(topics.book(ticker))
        followed = self.by_ticker.get(ticker)
        if followed is None:
            return BookAnswer(ticker, "not followed", epoch, seq)
        if not followed.live:
            return BookAnswer(
                ticker, "lost", epoch, seq, reason=followed.reason, generation=followed.generation
            )
        return BookAnswer(
            ticker,
            "stale" if followed.stale else "live",
            epoch,
            seq,
            followed.book.levels("yes"),
            followed.book.levels("no"),
            followed.reason,
            followed.received_at,
            followed.generation,
            as_of,
            followed.audited_at,
        )

    def _stand(self, followed: Followed, standing: Standing) -> None:
        self.live += (standing == "live") - followed.live
        self.lost += (standing == "lost") - (followed.standing == "lost")
        self.stale -= followed.stale
        followed.stale = False
        followed.standing = standing
        followed.live = standing == "live"
