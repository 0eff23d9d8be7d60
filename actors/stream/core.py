"""Decides all that the stream does: market data in order or known to be lost, facts never lost.

Several sockets: one for our account, so that nothing that happens to market data costs a fill;
one for the lives of markets; and as many as the books need.
"""

import random
from collections.abc import Callable, Sequence
from typing import Final

from msgspec.structs import replace

from actors.stream.answers import BookAnswers
from actors.stream.audit import Audit
from actors.stream.books import Books
from actors.stream.following import Following
from actors.stream.follows import Follows
from actors.stream.freshness import HostClock, Verdict, slept
from actors.stream.health import Health
from actors.stream.lines import Lines
from actors.stream.pause import Pause
from actors.stream.raws import RawFrames
from actors.stream.tally import Tally
from actors.stream.wire import (
    CloseSocket,
    FollowSaved,
    FramesReceived,
    Link,
    Listened,
    OpenFailed,
    OpenSocket,
    Overrun,
    PingReceived,
    PongReceived,
    SaveFollow,
    SendFrame,
    SendPing,
    SocketClosed,
    SocketOpened,
)
from protocol.envelope import Letter, Outbox
from protocol.limits import DRAIN_MAX, LOOP_LAG_MAX, MS, US
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
    Started,
    Stopping,
)
from protocol.messages import (
    Appended,
    AuditAnswer,
    BookAnswer,
    BookRequest,
    ExchangeAnswer,
    Follow,
    MarketsAnswer,
    ReconcileAnswer,
    Refused,
)
from protocol.pulse import Identity, Pulse
from protocol.telling import Outstanding

DRAIN_RESERVE: Final = 500 * MS  # of DRAIN_MAX: we finish before we are ended

__all__ = [
    "CloseSocket",
    "FollowSaved",
    "FramesReceived",
    "Link",
    "Listened",
    "OpenFailed",
    "OpenSocket",
    "Overrun",
    "PingReceived",
    "PongReceived",
    "SaveFollow",
    "SendFrame",
    "SendPing",
    "SocketClosed",
    "SocketOpened",
    "Stream",
]


class Stream:
    """The core."""

    def __init__(
        self,
        identity: Identity,
        follow: Sequence[str],
        dice: random.Random,
        added: Sequence[str] = (),
        removed: Sequence[str] = (),
        connections: int = 8,
        tickers_a_connection: int = 2_500,
    ) -> None:
        """`follow`: wishes of the settings; `added` and `removed`: what was changed since.

        Market data is split over at most so many `connections`, of so many tickers each.
        """
        self._outbox = Outbox(identity.name, identity.epoch)
        self._pulse = Pulse(identity, self._outbox)
        self._tells = Outstanding(self._outbox)
        self._clock = HostClock()
        self.tally = Tally()
        self.books = Books(self._outbox)
        self.follows = Follows(follow, added, removed)
        self.lines = Lines(
            self.books, self._outbox, self._tells, self._pulse, dice, self._clock, self.tally,
            connections, tickers_a_connection,
        )  # fmt: skip
        self.private = self.lines.private
        self.audit = Audit(self.books, self._outbox)
        self._following = Following(self.follows, self.lines, self.books, self._tells, self._outbox)
        self._answers = BookAnswers(self._outbox, self._book)
        self._pause = Pause(self._outbox)
        self._raws = RawFrames(self._outbox)
        self._health = Health(self._pulse, self.follows, self.lines, self.books, self.audit)
        self._parts: tuple[Callable[[int, int], list[Effect]], ...] = (
            self._pause.due, self._following.due, self.lines.due, self.audit.due, self._heal,
        )  # fmt: skip
        self._stepped = 0  # microseconds that our wall clock has jumped
        self._stop_by: int | None = None
        self._deadline = 0

    def step(self, now: int, cause: Cause) -> list[Effect]:
        at = cause.at
        if type(cause) is FramesReceived:
            at += cause.waited // US  # it was taken off the socket so long ago
            effects = self._look_at_ourselves(now, at)
            line = self.lines.of(cause.link)
            if line is None:
                return effects
            if self._raws.wanted:
                opens = line.connection.opens
                effects += self._raws.say(cause.link, opens, cause.at, cause.raws)
            effects += line.frames(now, cause.at, cause.raws, cause.waited)
            if now < self._deadline and not line.stirred:
                return effects  # plain data moves no timer and no health
        else:
            # Before anybody is answered. Some waited behind frames, and don't say how long.
            waited = isinstance(cause, PingReceived | PongReceived | SocketClosed)
            effects = self._look_at_ourselves(now, at, not waited)
            effects += self._take(now, cause)
        effects += self._chores(now, at)
        return effects

    def deadline(self) -> int | None:
        return self._deadline

    def _take(self, now: int, cause: Cause) -> list[Effect]:
        match cause:
            case Started():
                self._deadline = now
                return []
            case Elapsed():
                return []
            case Heard(envelope=envelope):
                self.private.writer_seen |= envelope.source == "writer"
                return []
            case Asked(sender=sender, letter=letter):
                return self._asked(now, cause.at, sender, letter)
            case Answered(letter=letter):
                return self._answered(now, cause.at, letter)
            case Listened(prefix=prefix, on=on):
                self._raws.listened(prefix, on)
                return []
            case FollowSaved(number=number, trouble=trouble):
                return self._following.saved(now, cause.at, number, trouble)
            case Stopping():
                return self._stop(now, cause.at)
        return self.lines.told(now, cause)

    def _chores(self, now: int, at: int) -> list[Effect]:
        """Whatever is due, whoever it is due to; and when to look again."""
        effects: list[Effect] = []
        if self._stop_by is None:
            self.lines.pause = self._pause.text(at)
            self._pause.wanted = not self.lines.up
            for due in self._parts:
                effects += due(now, at)
        self.lines.calm()
        effects += self._answers.due(now, at)
        effects += self._tells.due(now)
        effects += self._health.beat(now, at, self._stop_by is not None, self._counters(at))
        effects += [Publish(envelope) for envelope in self._outbox.marks(now, at)]
        if self._stop_by is not None and (now >= self._stop_by or not self.private.waiting):
            effects.append(Finish(0))
        self._deadline = self._next(now)
        return effects

    def _next(self, now: int) -> int:
        found = [
            self._pulse.deadline(), self._outbox.deadline(), self._tells.deadline(),
            self._answers.deadline(),
        ]  # fmt: skip
        if self._stop_by is None:
            found += [self.lines.deadline(), self._following.deadline(), self.audit.deadline()]
        else:
            found.append(max(self._stop_by, now + MS))
        return min(d for d in found if d is not None)

    # Evidence about ourselves

    def _look_at_ourselves(self, now: int, at: int, prompt: bool = True) -> list[Effect]:
        """Did we not run, did the host sleep? Then what comes may be old."""
        if prompt:
            self._clock.look(now, at)
        effects: list[Effect] = []
        if 0 < self._deadline < now - LOOP_LAG_MAX:  # a timer rings far too late
            self.tally.stalls_slow += 1
            detail = f"we did not run for {(now - self._deadline) / 1e9:.1f} s"
            effects += self.lines.suspect(now, at, Verdict.SLOW, detail)
        if self._clock.stepped != self._stepped:
            step, self._stepped = self._clock.stepped - self._stepped, self._clock.stepped
            gap = slept(step)
            if gap:
                self.tally.stalls_slept += 1
                effects += self.lines.suspect(now, at, Verdict.SLEPT, gap)
        return effects

    # Books

    def _book(self, ticker: str) -> BookAnswer:
        """One book. Whether one is followed is not known before the gateway has said what is."""
        found = self.books.answer(ticker, self.lines.as_of(ticker))
        if found.state == "not followed" and self.follows.may_mean(ticker):
            return replace(
                found, state="lost", reason="waiting for gateway: which markets to follow"
            )
        return found

    def _heal(self, now: int, at: int) -> list[Effect]:
        """What an audit found wrong is lost, and got anew."""
        findings, self.audit.findings = self.audit.findings, []
        effects: list[Effect] = []
        for ticker, reason in findings:
            effects += self.lines.distrust(now, at, ticker, reason)
        return effects

    # Letters

    def _asked(self, now: int, at: int, sender: tuple[bytes, ...], letter: Letter) -> list[Effect]:
        match letter.body:
            case BookRequest(ticker=ticker):
                return self._answers.ask(now, at, sender, letter, ticker)
            case Follow():
                return self._following.asked(now, at, sender, letter.id, letter.body)
        refusal = Refused(f"the stream does not take {type(letter.body).__name__}")
        return [Answer(sender, self._outbox.letter(letter.id, refusal, at))]

    def _answered(self, now: int, at: int, letter: Letter) -> list[Effect]:
        match letter.body:
            case Appended():
                return self.private.appended(letter.id, letter.body)
            case ReconcileAnswer():
                return self.private.reconcile_answered(letter.id, letter.body)
            case MarketsAnswer():
                return self._following.told(now, at, letter.id, letter.body)
            case AuditAnswer():
                self.audit.answered(now, letter.id, letter.body)
            case ExchangeAnswer():
                self._pause.told(letter.body)
        return []  # a refusal, or too late: what still waits is told again

    def _stop(self, now: int, at: int) -> list[Effect]:
        """Close all sockets; facts that the writer has not yet acknowledged get some time."""
        self._stop_by = now + DRAIN_MAX - DRAIN_RESERVE
        return self.lines.give_up(now, at, "stopping")

    def _counters(self, at: int) -> Callable[[], dict[str, int]]:
        return lambda: (
            self.tally.counters()
            | {
                "books_live": self.books.live,
                "books_awaited": self.books.awaited,
                "books_lost": self.books.lost,
                "books_stale": self.books.stale,
                "books_audited": self.audit.covered(at),
                "audits": self.audit.done,
                "audit_differences": self.audit.differences,
                "audits_unread": self.audit.unread,
                "quarantined": len(self.audit.quarantined),
                "reconnects": self.lines.reconnects,
                "markets_left_out": self.follows.left_out + self.lines.left_out,
            }
        )
