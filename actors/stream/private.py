"""The private link: what happened to our account, told to the writer; none of it may be lost.

Fills and orders have no sequence and no replay (FACTS.md section 4.4). So each new connection is
followed by a reconciliation over REST, and a connection whose facts can't be kept is given up:
the next one starts with a reconciliation again.
"""

import random
from typing import Final

from actors.stream.commands import Command, Commands
from actors.stream.connection import Connection, State
from protocol.errors import RemoteProtocolError
from protocol.facts import Fill, OrderSeen, natural_id
from protocol.kalshi import frames
from protocol.kalshi.frames import (
    AnyFrame,
    ErrorFrame,
    FillFrame,
    Glance,
    OkFrame,
    SubscribedFrame,
    UserOrderFrame,
)
from protocol.limits import TELLS_MAX
from protocol.machine import Effect, Report
from protocol.messages import Append, Appended, Reconcile, ReconcileAnswer
from protocol.pulse import Pulse
from protocol.telling import Outstanding

REOPEN_BELOW: Final = TELLS_MAX // 2  # letters waiting: room again for what a connection brings


class Private:
    """Fills and orders of ours: each told to the writer until it is on record."""

    def __init__(self, tells: Outstanding, pulse: Pulse, dice: random.Random, epoch: int) -> None:
        self.connection = Connection("private", pulse, dice)
        self.writer_seen = False
        self.reconciled = False
        self.waiting: set[str] = set()  # facts that the writer has not acknowledged
        self.frames_in = self.facts = self.malformed = self.unknown_types = 0
        self._tells = tells
        self._commands = Commands("private")
        self._epoch = epoch
        self._rounds = 0

    @property
    def ready(self) -> bool:
        return self.connection.state is State.OPEN and self.reconciled

    def why_not(self) -> str:
        """Why the private side can't be relied on; "" if it can."""
        if not self.writer_seen:
            return "waiting for writer: not seen"
        if not self.connection.up:
            return f"private: {self.connection.why}"
        if self.connection.state is State.SUBSCRIBING:
            return "private: subscribing"
        return "" if self.reconciled else "private: waiting for reconciliation"

    def due(self, now: int, at: int) -> list[Effect]:
        """Open, subscribe, give up: whatever is due."""
        effects: list[Effect] = []
        if self.connection.up:
            late = self._commands.late(now)
            if late is not None:
                effects += self.give_up(now, f"{late.name}: unanswered")
            else:
                effects += self._commands.due(now)
        return effects + self.connection.due(now, at, self._allowed)

    def deadline(self) -> int | None:
        deadlines = [self.connection.deadline(self._allowed)]
        if self.connection.up:
            deadlines.append(self._commands.deadline())
        return min((d for d in deadlines if d is not None), default=None)

    def opened(self, now: int, at: int) -> list[Effect]:
        effects = self.connection.opened(now, at)
        if effects:
            self.reconciled = False
            self._commands.clear()
            self._commands.ask(Command(("fill", "user_orders"), ()))
        return effects

    def ended(self, now: int, at: int, reason: str, status: int = 0) -> list[Effect]:
        self._forget_round()
        return self.connection.ended(now, at, reason, status)

    def give_up(self, now: int, reason: str) -> list[Effect]:
        """Start again with a new connection, and so with a reconciliation."""
        self._forget_round()
        return self.connection.give_up(now, reason)

    def frame(self, now: int, at: int, raw: bytes) -> list[Effect]:
        """Take one message."""
        if not self.connection.up:
            return []
        self.frames_in += 1
        self.connection.heard_at = now
        try:
            return self._take(now, at, frames.decode(raw))
        except RemoteProtocolError as e:
            self.malformed += 1  # it may have been a fill
            return self.give_up(now, f"malformed {e}")

    def appended(self, id: str, answer: Appended) -> list[Effect]:
        """The writer's answer. REFUSED is not the end of it, unless it was set aside."""
        self.writer_seen = True
        again = answer.verdict == "REFUSED" and not answer.aside
        if again or id not in self.waiting:
            return []
        self.waiting.discard(id)
        self._tells.answered(id)
        if answer.verdict == "CONFLICT":
            return [Report(f"the writer has another body for {id}: {answer.reason}", grave=True)]
        return []

    def reconcile_answered(self, id: str, answer: ReconcileAnswer) -> list[Effect]:
        """All that happened before this connection is on record."""
        if id != self._round_id or self._tells.answered(id) is None:
            return []
        self.reconciled = True
        return [Report(f"private: reconciled to entry {answer.n}")]

    @property
    def _allowed(self) -> bool:
        return self.writer_seen and len(self._tells) < REOPEN_BELOW

    @property
    def _round_id(self) -> str:
        return f"reconcile:{self._epoch}:{self._rounds}"

    def _take(self, now: int, at: int, frame: AnyFrame) -> list[Effect]:
        match frame:
            case FillFrame(msg=body):
                return self._tell(now, at, frames.fill(body))
            case UserOrderFrame(msg=body):
                seen = frames.order_seen(body)
                if seen is None:
                    self.unknown_types += 1
                    return self._reconcile(now, at, f"order {body.order_id}: status unknown")
                return self._tell(now, at, seen)
            case SubscribedFrame(id=id):
                if self._commands.answered(id) is None:
                    return []
                self.connection.settled()
                return self._reconcile(now, at, "private connection opened")
            case ErrorFrame(msg=error):
                return self.give_up(now, f"error {error.code}: {error.msg[:100]}")
            case OkFrame():
                return []
            case Glance():
                self.unknown_types += 1
                return []
        return self.give_up(now, f"{type(frame).__name__} does not belong here")

    def _tell(self, now: int, at: int, fact: Fill | OrderSeen) -> list[Effect]:
        if self._tells.full:
            return self.give_up(now, f"{len(self._tells)} letters wait: no room for a fact")
        id = natural_id(fact)
        self.facts += 1
        self.waiting.add(id)
        return self._tells.tell(now, at, "writer", id, Append(fact))

    def _reconcile(self, now: int, at: int, reason: str) -> list[Effect]:
        """Have the gateway read the account. A round that is still asked for is replaced."""
        self._forget_round()
        if self._tells.full:
            return self.give_up(now, f"{len(self._tells)} letters wait: no room to reconcile")
        self._rounds += 1
        return self._tells.tell(now, at, "gateway", self._round_id, Reconcile(reason))

    def _forget_round(self) -> None:
        self._tells.answered(self._round_id)
