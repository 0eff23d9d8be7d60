"""Decides all that the stream does: market data in order or known to be lost, facts never lost.

Two sockets, so that a flood of market data can't delay a fill, and a new private connection (each
of which means a reconciliation) costs no book.
"""

import random
from collections.abc import Sequence
from typing import Final

from actors.stream.connection import State
from actors.stream.market import Market
from actors.stream.private import Private
from actors.stream.wire import (
    CloseSocket,
    FramesReceived,
    Link,
    OpenFailed,
    OpenSocket,
    PingReceived,
    SendFrame,
    SocketClosed,
    SocketOpened,
)
from protocol import topics
from protocol.envelope import Letter, Outbox
from protocol.limits import DRAIN_MAX, MARKETS_MAX, MINUTE, MS, SECOND
from protocol.machine import (
    Answer,
    Answered,
    Asked,
    Cause,
    Effect,
    Elapsed,
    Finish,
    Heard,
    Publish,
    Report,
    Started,
    Stopping,
)
from protocol.messages import (
    AnyMessage,
    Appended,
    BookRequest,
    MarketsAnswer,
    MarketsRequest,
    ReconcileAnswer,
    Refused,
    Signal,
)
from protocol.pulse import Identity, Pulse, Vitals
from protocol.telling import Outstanding

MARKETS_INTERVAL: Final = 1 * MINUTE  # new markets are looked for so often
MARKETS_RETRY: Final = 1 * SECOND  # while the gateway can't tell yet
DRAIN_RESERVE: Final = 500 * MS  # of DRAIN_MAX: we finish before we are ended

__all__ = [
    "CloseSocket",
    "FramesReceived",
    "Link",
    "OpenFailed",
    "OpenSocket",
    "PingReceived",
    "SendFrame",
    "SocketClosed",
    "SocketOpened",
    "Stream",
]


class Stream:
    """The core."""

    def __init__(self, identity: Identity, follow: Sequence[str], dice: random.Random) -> None:
        """`follow`: market tickers, "series:…", "event:…" or "*", as in the settings."""
        self._identity = identity
        self._follow = tuple(follow)
        self._outbox = Outbox(identity.name, identity.epoch)
        self._pulse = Pulse(identity, self._outbox)
        self._tells = Outstanding(self._outbox)
        self.market = Market(self._outbox, self._pulse, dice)
        self.private = Private(self._tells, self._pulse, dice, identity.epoch)
        self._markets_known = not self._follow
        self._markets_at = 0
        self._markets_id = ""
        self._markets_asked = 0
        self._markets_why = ""
        self._vitals = Vitals(("starting",), {"streams_ready": False})
        self._mood: tuple[object, ...] = ()
        self._stop_by: int | None = None
        self._deadline = 0

    def step(self, now: int, cause: Cause) -> list[Effect]:
        if type(cause) is FramesReceived and cause.link == "market":
            effects = []
            for raw in cause.raws:
                effects += self.market.frame(now, cause.at, raw)
            if now < self._deadline and not self.market.stirred:
                return effects  # plain data moves no timer and no health
        else:
            effects = self._take(now, cause)
        effects += self._chores(now, cause.at)
        return effects

    def deadline(self) -> int | None:
        return self._deadline

    def _take(self, now: int, cause: Cause) -> list[Effect]:
        at = cause.at
        match cause:
            case Started() | Elapsed():
                return []
            case FramesReceived(link="private", raws=raws):
                return [e for raw in raws for e in self.private.frame(now, at, raw)]
            case PingReceived(link=link):
                self._of(link).connection.heard_at = now
                return []
            case SocketOpened(link=link):
                return self._of(link).opened(now, at)
            case SocketClosed(link=link, reason=reason):
                return self._of(link).ended(now, at, reason)
            case OpenFailed(link=link, status=status, reason=reason):
                return self._of(link).ended(now, at, reason, status)
            case Heard(envelope=envelope):
                self.private.writer_seen |= envelope.source == "writer"
                return []
            case Asked(sender=sender, letter=letter):
                return [Answer(sender, self._outbox.letter(letter.id, self._reply(letter), at))]
            case Answered(letter=letter):
                return self._answered(now, at, letter)
            case Stopping():
                return self._stop(now, at)
        raise AssertionError(f"unexpected cause: {cause}")

    def _chores(self, now: int, at: int) -> list[Effect]:
        """Whatever is due, whoever it is due to; and when to look again."""
        self.market.stirred = False
        effects: list[Effect] = []
        if self._stop_by is None:
            effects += self._ask_markets(now, at)
            effects += self.market.due(now, at)
            effects += self.private.due(now, at)
        effects += self._tells.due(now)
        effects += self._beat(now, at)
        effects += [Publish(envelope) for envelope in self._outbox.marks(now, at)]
        if self._stop_by is not None and (now >= self._stop_by or not self.private.waiting):
            effects.append(Finish(0))
        self._deadline = self._next(now)
        return effects

    def _next(self, now: int) -> int:
        deadlines = [self._pulse.deadline(), self._outbox.deadline(), self._tells.deadline()]
        if self._stop_by is None:
            deadlines += [self.market.deadline(), self.private.deadline()]
            if self._markets_id not in self._tells and self._follow:
                deadlines.append(self._markets_at)
        else:
            deadlines.append(max(self._stop_by, now + MS))
        return min(d for d in deadlines if d is not None)

    def _of(self, link: Link) -> Market | Private:
        return self.market if link == "market" else self.private

    # Which markets

    def _ask_markets(self, now: int, at: int) -> list[Effect]:
        if not self._follow or now < self._markets_at or self._markets_id in self._tells:
            return []
        self._markets_at = now + MARKETS_RETRY
        if self._tells.full:
            return []
        self._markets_asked += 1
        self._markets_id = f"markets:{self._identity.epoch}:{self._markets_asked}"
        return self._tells.tell(now, at, "gateway", self._markets_id, MarketsRequest(self._follow))

    def _markets_told(self, now: int, at: int, answer: MarketsAnswer) -> list[Effect]:
        self._markets_why = answer.reason
        if not answer.complete:
            self._markets_at = now + MARKETS_RETRY
            return []
        self._markets_at = now + MARKETS_INTERVAL
        self._markets_known = True
        tickers = [ticker for ticker in answer.tickers if topics.is_ticker(ticker)]
        effects: list[Effect] = []
        if len(tickers) > MARKETS_MAX:
            text = f"{len(tickers)} markets to follow: only the first {MARKETS_MAX} are"
            effects = [Report(text, grave=True)]
        return effects + self.market.follow(tickers[:MARKETS_MAX], at)

    # Letters

    def _answered(self, now: int, at: int, letter: Letter) -> list[Effect]:
        match letter.body:
            case Appended():
                return self.private.appended(letter.id, letter.body)
            case ReconcileAnswer():
                return self.private.reconcile_answered(letter.id, letter.body)
            case MarketsAnswer() if letter.id == self._markets_id:
                if self._tells.answered(letter.id) is not None:
                    return self._markets_told(now, at, letter.body)
        return []  # a refusal, or too late: what still waits is told again

    def _reply(self, letter: Letter) -> AnyMessage:
        if isinstance(letter.body, BookRequest):
            return self.market.books.answer(letter.body.ticker)
        return Refused(f"the stream does not take {type(letter.body).__name__}")

    def _stop(self, now: int, at: int) -> list[Effect]:
        """Close both sockets; facts that the writer has not yet acknowledged get some time."""
        self._stop_by = now + DRAIN_MAX - DRAIN_RESERVE
        return self.market.give_up(now, at, "stopping") + self.private.give_up(now, "stopping")

    # Health

    def _beat(self, now: int, at: int) -> list[Effect]:
        """Reasons with numbers in them are renewed each second, all else at once."""
        books, market = self.market.books, self.market.connection
        mood = (
            self._markets_known,
            self._markets_why,
            market.why,
            books.awaited == 0,
            books.lost == 0,
            self.private.why_not(),
            self._stop_by,
        )
        if mood == self._mood and now < self._pulse.deadline():
            return []
        self._mood = mood
        was = self._vitals
        reasons = self._reasons()
        self._vitals = Vitals(reasons, {"streams_ready": not reasons})
        effects: list[Effect] = []
        if was.ready != self._vitals.ready:
            subject = "degraded" if reasons else "ready"
            cause = "; ".join(reasons) or "streams_ready"
            effects = [self._pulse.signal(at, Signal("health_state", cause, subject))]
        return effects + self._pulse.beat(now, at, self._vitals, self._counters())

    def _reasons(self) -> tuple[str, ...]:
        """What is missing for market data and the private side to be relied on."""
        books, market = self.market.books, self.market.connection
        reasons = ["stopping"] if self._stop_by is not None else []
        if not self._markets_known:
            reasons.append("waiting for gateway: which markets to follow")
            if self._markets_why:
                reasons[-1] += f" ({self._markets_why})"
        elif self._follow and not books.by_ticker:
            reasons.append("markets: none found to follow")
        if not market.up:
            reasons.append(f"market: {market.why}")
        elif market.state is State.SUBSCRIBING and books.by_ticker:
            reasons.append("market: subscribing")
        if books.lost:
            reasons.append(f"books: {books.lost} lost")
        if books.awaited and market.state is State.OPEN:
            reasons.append(f"books: {books.awaited} waiting for a snapshot")
        reasons.append(self.private.why_not())
        return tuple(reason for reason in reasons if reason)

    def _counters(self) -> dict[str, int]:
        market, private = self.market, self.private
        return {
            "frames_in": market.frames_in + private.frames_in,
            "frames_applied": market.frames_applied,
            "book_frames": market.book_frames,
            "gaps": market.gaps,
            "duplicates": market.duplicates,
            "strays": market.strays,
            "malformed": market.malformed + private.malformed,
            "unknown_types": market.unknown_types + private.unknown_types,
            "books_live": market.books.live,
            "books_lost": market.books.lost,
            "reconnects": market.connection.reconnects + private.connection.reconnects,
            "private_facts": private.facts,
        }
