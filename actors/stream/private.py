"""The private line: what happened to our account, told to the writer; none of it may be lost.

Fills and orders have no sequence and no replay (FACTS.md section 4.4). So each new connection is
followed by a reconciliation over REST, and a connection whose facts can't be kept is given up:
the next one starts with a reconciliation again. It is a connection of its own, so that nothing
that happens to market data costs a fill.
"""

import random
from typing import Final

from actors.stream.commands import Command
from actors.stream.connection import State
from actors.stream.freshness import HostClock
from actors.stream.line import Line
from actors.stream.subscriptions import Place
from actors.stream.tally import Tally
from protocol import topics
from protocol.envelope import Outbox
from protocol.errors import RemoteProtocolError
from protocol.facts import Fill, OrderSeen, natural_id
from protocol.kalshi import meaning
from protocol.kalshi.frames import (
    AnyFrame,
    Channel,
    ErrorFrame,
    FillFrame,
    GroupFrame,
    PositionFrame,
    UserOrderFrame,
)
from protocol.limits import TELLS_MAX
from protocol.machine import Effect, Publish, Report
from protocol.messages import AnyMessage, Append, Appended, Reconcile, ReconcileAnswer
from protocol.pulse import Pulse
from protocol.telling import Outstanding

REOPEN_BELOW: Final = TELLS_MAX // 2  # letters waiting: room again for what a connection brings
FACTS: Final[tuple[Channel, ...]] = ("fill", "user_orders")
REPORTS: Final[tuple[Channel, ...]] = ("market_positions", "order_group_updates")


class Private(Line):
    """Fills and orders of ours: each told to the writer until it is on record."""

    channels = (*FACTS, *REPORTS)

    def __init__(
        self,
        outbox: Outbox,
        tells: Outstanding,
        pulse: Pulse,
        dice: random.Random,
        clock: HostClock,
        tally: Tally,
    ) -> None:
        super().__init__("private", pulse, dice, clock, tally)
        self.writer_seen = False
        self.reconciled = False
        self.waiting: set[str] = set()  # facts that the writer has not acknowledged
        self._outbox = outbox
        self._tells = tells
        self._rounds = 0

    @property
    def ready(self) -> bool:
        return self.connection.state is State.OPEN and self.reconciled

    @property
    def allowed(self) -> bool:
        return self.writer_seen and len(self._tells) < REOPEN_BELOW

    def why_not(self) -> str:
        """Why the private side can't be relied on; "" if it can."""
        if not self.writer_seen:
            return "waiting for writer: not seen"
        if not self.connection.up:
            return f"private: {self.connection.why}"
        if self.connection.state is State.SUBSCRIBING:
            return "private: subscribing"
        if not self.reconciled:
            return "private: waiting for reconciliation"
        return f"private: {self.fresh.reason}" if self.fresh.verdict is not None else ""

    def subscribe(self, now: int, at: int) -> None:
        """Fills and orders first; the others each by itself, since they are worth less."""
        self.reconciled = False
        self.commands.ask(Command("subscribe", FACTS))
        for channel in REPORTS:
            self.commands.ask(Command("subscribe", (channel,)))

    def completed(self, now: int, at: int, command: Command) -> list[Effect]:
        if command.kind == "subscribe" and command.channels == FACTS:
            self.connection.settled()
            self.reconciled = False  # a round that was before does not cover what came until now
            return self._reconcile(now, at, "private connection opened")
        return []

    def refused(
        self, now: int, at: int, command: Command | None, frame: ErrorFrame, what: str
    ) -> list[Effect]:
        if command is None or command.channels == FACTS:
            return self.give_up(now, at, what)
        return super().refused(now, at, command, frame, what)

    def resubscribe(self, now: int, at: int, channel: Channel, reason: str) -> list[Effect]:
        if channel in FACTS:
            return self.give_up(now, at, reason)
        self.commands.ask(Command("subscribe", (channel,)))
        return [Report(f"private: {channel}: {reason}"), *self._reconcile(now, at, reason)]

    def lost(self, now: int, at: int, reason: str) -> list[Effect]:
        self._forget_round()
        return []

    def distrust(self, now: int, at: int, channel: Channel, reason: str) -> list[Effect]:
        """It may have been a fill: start again with a new connection, and a reconciliation.

        A report that was lost costs nothing else: no account rests on it.
        """
        return [] if channel in REPORTS else self.give_up(now, at, reason)

    def misplaced(
        self, now: int, at: int, place: Place, frame: AnyFrame, out: list[Effect]
    ) -> None:
        """Something about the account was lost: the gateway reads it all."""
        self.stirred = True
        out += self._reconcile(now, at, f"private sequence: {place.value}")
        self.take(now, at, frame, out)

    def frame(self, now: int, at: int, raw: bytes, out: list[Effect]) -> None:
        try:
            super().frame(now, at, raw, out)
        except RemoteProtocolError as e:
            out += self.tally.bad(now, f"private: {e}")
            out += self.give_up(now, at, f"malformed {e}")

    def take(self, now: int, at: int, frame: AnyFrame, out: list[Effect]) -> None:
        match frame:
            case FillFrame(msg=body):
                self.late(now, at, frame.sending_ts_ms or body.ts_ms, out)
                out += self._tell(now, at, meaning.fill(body))
            case UserOrderFrame(msg=body):
                self.late(now, at, frame.sending_ts_ms, out)
                seen = meaning.order_seen(body)
                if seen is None:
                    self.tally.unknown_types += 1
                    out += self._reconcile(now, at, f"order {body.order_id}: status unknown")
                else:
                    out += self._tell(now, at, seen)
            case PositionFrame() | GroupFrame():
                self._report(now, at, frame, out)
            case _:
                out += self.answer(now, at, frame)

    def _report(
        self, now: int, at: int, frame: PositionFrame | GroupFrame, out: list[Effect]
    ) -> None:
        """Said as it comes. One that makes no sense must not cost our fills their connection."""
        said: AnyMessage
        try:
            if isinstance(frame, PositionFrame):
                said = meaning.position_reported(frame.msg, at)
                topic = topics.reported(said.ticker)
            else:
                said = meaning.group_changed(frame.msg, at)
                topic = topics.group(said.group_id)
        except RemoteProtocolError as e:
            out += self.tally.bad(now, f"private: {e}")
            return
        out.append(Publish(self._outbox.seal(topic, said, at)))

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
    def _round_id(self) -> str:
        return f"reconcile:{self._outbox.epoch}:{self._rounds}"

    def _tell(self, now: int, at: int, fact: Fill | OrderSeen) -> list[Effect]:
        if self._tells.full:
            return self.give_up(now, at, f"{len(self._tells)} letters wait: no room for a fact")
        id = natural_id(fact)
        self.tally.private_facts += 1
        self.waiting.add(id)
        return self._tells.tell(now, at, "writer", id, Append(fact))

    def _reconcile(self, now: int, at: int, reason: str) -> list[Effect]:
        """Have the gateway read the account. A round that is still asked for is replaced."""
        self._forget_round()
        if self._tells.full:
            return self.give_up(now, at, f"{len(self._tells)} letters wait: no room to reconcile")
        self._rounds += 1
        return self._tells.tell(now, at, "gateway", self._round_id, Reconcile(reason))

    def _forget_round(self) -> None:
        self._tells.answered(self._round_id)
