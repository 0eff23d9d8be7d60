"""The books of the markets that orders are for, kept in step with what the stream publishes.

A book is followed from the first order in its market on. The brakes measure prices by it, and
refuse where it is not live. It is not used before the first mark: until then nobody knows whether
the subscription took hold before the snapshot was made.
"""

from msgspec import Struct

from protocol import topics
from protocol.book import Book
from protocol.envelope import Envelope, Outbox
from protocol.follower import BookFollower
from protocol.limits import BOOK_LAG_MAX, BOOKS_FOLLOWED_MAX, US
from protocol.machine import Effect
from protocol.messages import BookAnswer


class Listen(Effect, frozen=True):
    """Hear what the stream publishes under this prefix; `on` is false: no more."""

    prefix: str
    on: bool = True


class _Followed(Struct):
    """One market's book."""

    follower: BookFollower
    marked: bool = False  # a mark was heard: the subscription holds, and what it missed is known
    proved: bool = False  # has been live since
    was_live: bool = False
    missing: bool = False  # the stream says that it does not follow it


class Books:
    """Follows at most BOOKS_FOLLOWED_MAX books; the one asked for longest ago makes room."""

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox
        self._followed: dict[str, _Followed] = {}  # the last asked for is last
        self._effects: list[Effect] = []
        self._lag = 0  # microseconds, of what was heard last
        self._look_at: int | None = None  # no follower wants to be looked at before this

    def want(self, now: int, ticker: str) -> None:
        """Follow a book from now on, if it is not followed yet."""
        if ticker in self._followed:
            self._followed[ticker] = self._followed.pop(ticker)
            return
        followed = self._followed[ticker] = _Followed(BookFollower(ticker, self._outbox, now))
        self._look_by(followed)
        self._effects.append(Listen(f"{topics.book(ticker)} "))
        if len(self._followed) > BOOKS_FOLLOWED_MAX:
            oldest = next(iter(self._followed))
            del self._followed[oldest]
            self._effects.append(Listen(f"{topics.book(oldest)} ", False))

    def hear(self, now: int, at: int, envelope: Envelope) -> list[str]:
        """Take what the stream published. Returns the markets whose book has become live."""
        self._lag = max(at - envelope.at, 0)
        if envelope.topic == topics.MARK:
            for followed in self._followed.values():
                followed.follower.hear(now, envelope)
                followed.marked = True
                self._look_by(followed)
            return self._news(self._followed)
        ticker = envelope.topic.partition(".")[2]
        heard = self._followed.get(ticker)
        if heard is None:
            return []
        heard.follower.hear(now, envelope)
        self._look_by(heard)
        return self._news((ticker,))

    def answered(self, answer: BookAnswer, id: str) -> list[str]:
        """The stream answered for a book. Returns its market if the book is live now, or known
        not to be followed there."""
        followed = self._followed.get(answer.ticker)
        if followed is None:
            return []
        followed.follower.adopt(answer, id)
        self._look_by(followed)
        told = answer.state == "not followed" and not followed.missing
        followed.missing = answer.state == "not followed"
        return [answer.ticker] if told else self._news((answer.ticker,))

    def _news(self, tickers: "tuple[str, ...] | dict[str, _Followed]") -> list[str]:
        """Which of these books have become live since last asked."""
        news = []
        for ticker in tickers:
            followed = self._followed[ticker]
            live = followed.marked and followed.follower.live
            followed.proved = followed.proved or live
            if live and not followed.was_live:
                news.append(ticker)
            followed.was_live = live
        return news

    def trouble(self, ticker: str) -> str | None:
        """Why a book can't be used; "" if it can; None if that is not known yet: wait."""
        followed = self._followed.get(ticker)
        if followed is None:
            return None
        follower = followed.follower
        live = follower.live
        if followed.missing and not live:
            return "not followed"
        if not followed.proved:
            return None
        if live:
            late = self._lag * US > BOOK_LAG_MAX
            crossed = follower.book.crossed
            return "what the stream says comes late" if late else "crossed" if crossed else ""
        late = follower.state == "stale"
        return "stale: what changes it comes late" if late else "lost, and asked for again"

    def book(self, ticker: str) -> Book:
        """The levels of a book without trouble."""
        return self._followed[ticker].follower.book

    def due(self, now: int, at: int) -> list[Effect]:
        """Listen, and ask for what is missing."""
        effects, self._effects = self._effects, []
        if self._look_at is None or now < self._look_at:
            return effects
        self._look_at = None
        for followed in self._followed.values():
            effects += followed.follower.due(now, at)
            self._look_by(followed)
        return effects

    def deadline(self) -> int | None:
        return self._look_at

    def _look_by(self, followed: _Followed) -> None:
        """Look at all of them again by when this one wants it: not at each at every step."""
        by = followed.follower.deadline()
        self._look_at = by if self._look_at is None else min(self._look_at, by)
