"""The stream's core: two connections that fail apart, so that market data never blinds us to fills.

The market side publishes; what the private side hears is money, and goes to the writer by letter.
"""

import random

from actors.stream.link import (
    CloseSocket,
    FrameReceived,
    Link,
    OpenFailed,
    PingReceived,
    SocketClosed,
    SocketOpened,
    State,
)
from actors.stream.market import Market
from actors.stream.private import Private
from protocol.envelope import Letter, Outbox
from protocol.limits import SECOND
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
    Append,
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

MARKETS_INTERVAL = 60 * SECOND
COUNTERS = (
    "frames_in", "book_frames", "frames_applied", "gaps", "duplicates", "malformed",
    "unknown_types", "errors", "private_facts",
)  # fmt: skip


class Stream:
    """The core."""

    def __init__(self, identity: Identity, follow: tuple[str, ...], dice: random.Random) -> None:
        self._identity = identity
        self._outbox = Outbox(identity.name, identity.epoch)
        self._pulse = Pulse(identity, self._outbox)
        self._tells = Outstanding(self._outbox)
        self._follow = follow
        self._counters = dict.fromkeys(COUNTERS, 0)
        self._market_link = Link("market", dice)
        self._private_link = Link("private", dice)
        self._links = {link.name: link for link in (self._market_link, self._private_link)}
        self.market = Market(self._market_link, self._outbox, self._counters)
        self._private = Private(self._private_link, self._tells, self._counters, identity.epoch)
        self._tickers_known = False
        self._ask_at = 0
        self._asked = 0
        self._was_ready = False
        self._alarm_at: int | None = None

    def step(self, now: int, cause: Cause) -> list[Effect]:
        if isinstance(cause, FrameReceived):
            effects = self._frame(now, cause)
            if self._alarm_at is not None and now < self._alarm_at:
                return effects  # the hot path: timers ring by themselves
        else:
            effects = self._take(now, cause)
        effects += self._due(now, cause.at)
        effects += self._tells.due(now)
        vitals = self._vitals()
        if vitals.ready != self._was_ready:
            self._was_ready = vitals.ready
            word = "ready" if vitals.ready else "degraded"
            why = "; ".join(vitals.reasons) or "all streams are live"
            effects.append(self._pulse.signal(cause.at, Signal("health_state", why, word)))
        effects += self._pulse.beat(now, cause.at, vitals, self._told())
        effects += [Publish(e) for e in self._outbox.marks(now, cause.at)]
        self._alarm_at = self._next_alarm()
        return effects

    def deadline(self) -> int | None:
        return self._alarm_at

    def _next_alarm(self) -> int:
        found = [
            self._pulse.deadline(),
            self._outbox.deadline(),
            self._tells.deadline(),
            self._ask_at,
            self._market_link.deadline(),
            self._private_link.deadline(),
        ]
        if self._market_link.state is State.OPEN:
            found.append(self.market.shelf.resync_at)
        return min(d for d in found if d is not None)

    def _frame(self, now: int, cause: FrameReceived) -> list[Effect]:
        if cause.link == "market":
            return self.market.received(now, cause.at, cause.raw)
        return self._private.received(now, cause.at, cause.raw)

    def _take(self, now: int, cause: Cause) -> list[Effect]:
        match cause:
            case Started() | Elapsed() | Heard():
                return []
            case SocketOpened(link=name):
                return self._opened(now, cause.at, name)
            case OpenFailed(link=name, status=status, reason=reason):
                return self._lost(now, cause.at, name, reason, status)
            case SocketClosed(link=name, reason=reason):
                return self._lost(now, cause.at, name, reason)
            case PingReceived(link=name):
                self._links[name].heard(now)
                return []
            case Asked(sender=sender, letter=letter):
                return self._asked_for(cause.at, sender, letter)
            case Answered(letter=letter):
                return self._answered(now, letter)
            case Stopping():
                return [CloseSocket("market"), CloseSocket("private"), Finish(0)]
        raise AssertionError(f"unexpected cause: {cause}")

    def _opened(self, now: int, at: int, name: str) -> list[Effect]:
        self._links[name].opened(now)
        side = self.market if name == "market" else self._private
        return [
            self._pulse.signal(at, Signal("connect", "handshake accepted", name)),
            self._pulse.signal(at, Signal("await_disconnect", "open", name)),
            *side.opened(now),
        ]

    def _lost(self, now: int, at: int, name: str, reason: str, status: int = 0) -> list[Effect]:
        link = self._links[name]
        if link.state is State.WAITING:
            return []  # it was given up already
        delay = link.lost(now, reason, status)
        effects: list[Effect] = []
        if name == "market":
            effects += self.market.closed(now, at, reason)
        else:
            self._private.closed()
        cause = f"{reason}; again in {delay / SECOND:.2f} s"
        return [
            *effects,
            self._pulse.signal(at, Signal("reconnect_scheduled", cause, name)),
            Report(f"{name}: {cause}"),
        ]

    def _due(self, now: int, at: int) -> list[Effect]:
        effects: list[Effect] = []
        for name, link in self._links.items():
            word = link.due(now)
            if word == "open":
                effects += link.open(now)
            elif word:
                effects += [CloseSocket(name), *self._lost(now, at, name, word)]
        if self._market_link.state is State.OPEN:
            effects += self.market.resync(now)
        if now >= self._ask_at:
            self._ask_at = now + MARKETS_INTERVAL
            self._asked += 1
            id = f"markets:{self._identity.epoch}:{self._asked}"
            effects += self._tells.tell(now, at, "gateway", id, MarketsRequest(self._follow))
        return effects

    def _asked_for(self, at: int, sender: tuple[bytes, ...], letter: Letter) -> list[Effect]:
        if isinstance(letter.body, BookRequest):
            answer = self.market.answer(letter.body.ticker)
            return [Answer(sender, self._outbox.letter(letter.id, answer, at))]
        refusal = Refused(f"the stream does not take {type(letter.body).__name__}")
        return [Answer(sender, self._outbox.letter(letter.id, refusal, at))]

    def _answered(self, now: int, letter: Letter) -> list[Effect]:
        told = self._tells.answered(letter.id)
        match letter.body:
            case MarketsAnswer(tickers=tickers) if told is not None:
                self._tickers_known = True
                return self.market.follow(now, tickers)
            case ReconcileAnswer() if told is not None:
                self._private.reconciled(letter.id)
            case Appended(verdict=verdict, reason=reason) if isinstance(told, Append):
                self._counters["private_facts"] += 1
                if verdict in ("CONFLICT", "REFUSED"):
                    return [Report(f"the ledger does not take {letter.id}: {reason}", grave=True)]
        return []

    def _vitals(self) -> Vitals:
        reasons = []
        if not self._tickers_known:
            reasons.append("waiting for gateway: which markets to follow")
        if self._market_link.state is not State.OPEN:
            reasons.append(f"market: {self._market_link.why}")
        lost = self.market.shelf.counts[1]
        if lost:
            reasons.append(f"books: {lost} lost")
        if self._private.why:
            reasons.append(f"private: {self._private.why}")
        return Vitals(tuple(reasons), {"streams_ready": not reasons})

    def _told(self) -> dict[str, int]:
        live, lost = self.market.shelf.counts
        again = sum(link.reconnects for link in self._links.values())
        return self._counters | {
            "books_live": live, "books_lost": lost, "reconnects": again,
            "unacknowledged": len(self._tells),
        }  # fmt: skip
