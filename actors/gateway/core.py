"""The gateway's core: letters and answers in, calls and facts out.

Each part of the work has its own file; here they meet: what comes in goes to the part it is for,
and whatever may leave does, most urgent first. What changes orders meets in `trading.py`, what
risk is measured by in `risk.py`.
"""

import random

from actors.gateway import spending
from actors.gateway.acquire import Acquires
from actors.gateway.arming import ArmingSeen, Arms
from actors.gateway.audits import KEY as AUDIT
from actors.gateway.audits import Audits
from actors.gateway.desk import Asker, CallAnswered, CallFailed, Desk, Ended, MakeCall
from actors.gateway.doubts import Doubts
from actors.gateway.gate import Gate
from actors.gateway.halt import Closed, Halts, HaltSaved, LatchSeen
from actors.gateway.inquiries import KEY as INQUIRY
from actors.gateway.inquiries import Inquiries, Proved
from actors.gateway.lanes import Waiting
from actors.gateway.lookups import KEY as LOOKUP
from actors.gateway.lookups import Lookups
from actors.gateway.reading import by_shard
from actors.gateway.reads import Reads
from actors.gateway.reconcile import KEY, Reconciler
from actors.gateway.restore import Restores
from actors.gateway.risk import Risk
from actors.gateway.sweeper import KEY as PANIC
from actors.gateway.tightening import LimitsSaved
from actors.gateway.trading import Trading
from protocol import topics
from protocol.arming import Live
from protocol.brakes import UNSAID, WIDE, Limits
from protocol.brakes import Brakes as Tightened
from protocol.envelope import Envelope, Letter, Outbox
from protocol.errors import RemoteProtocolError
from protocol.kalshi import answers
from protocol.kalshi.answers import BalanceBody
from protocol.latch import NO_LATCH, Latch
from protocol.limits import MS
from protocol.machine import (
    Answered,
    Asked,
    Cause,
    Effect,
    Elapsed,
    Finish,
    Heard,
    Report,
    Started,
    Stopping,
)
from protocol.messages import (
    AcquireTokens,
    Append,
    AuditRequest,
    BookAnswer,
    BudgetRequest,
    ConfirmRestore,
    DoubtRequest,
    EvidenceRequest,
    ExchangeRequest,
    Halt,
    Inquire,
    MarketsRequest,
    OrderGlimpsed,
    Panic,
    Reconcile,
    Refused,
    Resume,
    System,
    TightenBrakes,
)
from protocol.pulse import Identity, Pulse, Vitals


class Gateway:
    """The core. `latch` is what the halt latch said at boot, `limits` are those of the brakes by
    the settings, `kept` is what was tightened in former lives.

    `live` says how it stands with orders for the real exchange; None if this is another one.
    """

    def __init__(
        self,
        identity: Identity,
        now: int,
        dice: random.Random,
        latch: Latch = NO_LATCH,
        limits: Limits = WIDE,
        kept: Tightened = UNSAID,
        live: Live | None = None,
    ) -> None:
        self._outbox = Outbox(identity.name, identity.epoch)
        self._pulse = Pulse(identity, self._outbox)
        self._desk = Desk(self._outbox, now)
        self._reads = Reads(self._desk)
        self._halts = Halts(self._desk, now, latch)
        self._risk = Risk(self._desk, self._reads, limits, kept)
        self.trading = Trading(self._desk, now, self._risk, self._halts, self.closed)
        self._doubts = Doubts(self._desk, self.trading.orders, self.trading.amends)
        self._reconciler = Reconciler(self._desk, self._doubts, identity.epoch)
        self._lookups = Lookups(self._desk, self._risk.markets)
        self._audits = Audits(self._desk)
        self._inquiries = Inquiries(self._desk)
        self._restores = Restores(self._desk)
        self._acquires = Acquires(self._desk)
        self._arms = Arms(live)
        self._gate = Gate()
        self._stopping = False
        self._alarm_at: int | None = None

    @property
    def ledger(self) -> "object":
        """The gateway's copy of the account, to be read only."""
        return self._desk.ledger

    def step(self, now: int, cause: Cause) -> list[Effect]:
        at = cause.at
        effects = self._slept(now, at) + self._take(now, cause)
        effects += self._reads.due(now, at, self._desk.ledger.account is not None)
        effects += self.trading.due(now, at)
        if self._reads.rest_ready:
            effects += self._reconciler.due(now, at, self._halts.halted)
            effects += self._alarms(now, at)
        effects += self._hold_back(now, at)
        effects += self._halts.due(now, at, self.trading.orders.tickets)
        effects += self.trading.gather(now, at)
        effects += self._audits.due(now, at)
        effects += self._risk.books.due(now, at)
        effects += self._inquiries.due(now, at)
        effects += self._acquires.close(now, at, self._no_tokens(now))
        effects += self._leave(now, at)
        effects += self._acquires.due(now, at)
        effects += self._desk.ledger.due(now, at)
        effects += self._restores.due()
        effects += self.trading.tell(at)
        effects += self._desk.tells.due(now)
        vitals = self._vitals(now)
        if self._pulse.due(now, vitals):
            effects += self._pulse.beat(now, at, vitals, self._counters(now))
        if self._stopping and self._settled:
            effects.append(Finish(0))
        self._alarm_at = self._next_alarm(now)
        return effects

    def _slept(self, now: int, at: int) -> list[Effect]:
        """What waited while the host slept is not sent any more."""
        text = self._gate.slept(now, at)
        if not text:
            return []
        denied = self.trading.deny_queued(now, at, "gate_closed", text, 0)
        return [Report(text, grave=True), *denied]

    @property
    def _settled(self) -> bool:
        """Whether nothing is under way that could still become known in this life."""
        return not (self.trading.unfinished or self._desk.tells)

    def deadline(self) -> int | None:
        return self._alarm_at

    def _next_alarm(self, now: int) -> int:
        found = [
            self._pulse.deadline(),
            self._desk.tells.deadline(),
            self._desk.ledger.deadline(),
            *self.trading.deadlines(),
            self._reconciler.deadline() if self._reads.rest_ready else None,
            self._reads.deadline(),
            self._audits.deadline(),
            self._risk.books.deadline(),
            self._inquiries.deadline(),
            self._halts.deadline(),
            self._desk.lanes.deadline(now),
            self._acquires.deadline(),
        ]
        return max(min(d for d in found if d is not None), now + MS)

    def _take(self, now: int, cause: Cause) -> list[Effect]:
        match cause:
            case Started():
                return [*self._halts.started(now, cause.at), *self._arms.started()]
            case Elapsed():
                return []
            case Heard(envelope=envelope):
                return self._hear(now, cause.at, envelope)
            case Asked(sender=sender, letter=letter):
                return self._asked(now, cause.at, Asker(sender, letter.id, letter.epoch), letter)
            case Answered(letter=letter):
                return self._answered(now, cause.at, letter)
            case CallAnswered() | CallFailed():
                return self._ended(now, cause.at, cause)
            case Proved():
                return self._inquiries.proved(now, cause.at, cause)
            case LimitsSaved():
                return self._risk.tightening.saved(cause)
            case HaltSaved():
                return self._halts.saved(now, cause.at, cause)
            case LatchSeen(latch=latch):
                return self._halts.seen(now, cause.at, latch)
            case ArmingSeen(live=live):
                return self._arms.seen(live)
            case Stopping():
                self._stopping = True
                return []
        raise AssertionError(f"unexpected cause: {cause}")

    def _hear(self, now: int, at: int, envelope: Envelope) -> list[Effect]:
        if envelope.source == "stream":
            return self._go_on(now, at, self._risk.books.hear(now, at, envelope))
        if envelope.topic == topics.SYSTEM and isinstance(envelope.body, System):
            self._gate.hear(now, at, envelope, envelope.body)
        else:
            self._risk.changed(self._desk.ledger.hear(now, envelope, at))
        return []

    def _go_on(self, now: int, at: int, tickers: list[str]) -> list[Effect]:
        """These books have come: orders may wait for them."""
        return [effect for ticker in tickers for effect in self.trading.look_again(now, at, ticker)]

    def closed(self, now: int) -> Closed | None:
        """Why no new risk may be taken now; None if it may."""
        stopped = self._stopped(now)
        if stopped is not None:
            return stopped
        if self._stopping:
            return "stopping", "the gateway is stopping", 0
        if not self._reads.rest_ready:
            return "rest_not_ready", self._reads.trouble, 0
        if self._reads.pause.why:
            return "exchange_paused", self._reads.pause.why, 0
        why = self._gate.closed(now)
        if why:
            return "gate_closed", why, 0
        why = self._desk.ledger.why_not(now)
        return ("account_stale", why, 0) if why else None

    def _stopped(self, now: int) -> Closed | None:
        """The same, of what the wire asks itself: also what waits for tokens is refused for it."""
        return self._halts.closed(now) or self._arms.closed()

    def _no_tokens(self, now: int) -> tuple[str, str]:
        """Why programs get no tokens now, for reads and for writes; "" if they do."""
        if not self._reads.limiter_ready:
            return ("the account's limits have not been read yet",) * 2
        closed = self.closed(now)
        return "", ": ".join(closed[:2]) if closed else ""

    def _asked(self, now: int, at: int, asker: Asker, letter: Letter) -> list[Effect]:
        unproved = self._restores.unproved
        changed = self.trading.asked(now, at, asker, letter, unproved)
        if changed is not None:
            return changed
        match letter.body:
            case DoubtRequest(client_order_id=id):
                doubt = self._doubts.tell(now, at, id, self._reconciler.trouble)
                return self._desk.answer([asker], doubt, at)
            case OrderGlimpsed(client_order_id=id):
                self._doubts.glimpse(now, id)
                return []
            case Reconcile():
                self._reconciler.ask(asker)
                return []
            case AcquireTokens():
                return self._acquires.ask(now, at, asker, letter, self._no_tokens(now))
            case MarketsRequest(follow=follow):
                return self._lookups.ask(at, asker, follow)
            case ExchangeRequest():
                return self._reads.pause.ask(now, at, asker)
            case AuditRequest(tickers=tickers):
                return self._audits.ask(now, at, asker, tickers)
            case BudgetRequest():
                return self._desk.answer([asker], spending.told(now, self._desk.lanes), at)
            case Inquire():
                return self._inquiries.ask(now, at, asker, letter.body)
            case Halt() | Resume() | Panic():
                return self._halts.asked(now, at, asker, letter.at, letter.body)
            case TightenBrakes(brakes=wanted):
                return self._risk.tightening.ask(at, asker, wanted)
            case ConfirmRestore(confirmed_by=confirmed_by):
                return self._restores.confirm(now, at, asker, confirmed_by)
        refusal = Refused(f"the gateway does not take {type(letter.body).__name__}")
        return self._desk.answer([asker], refusal, at)

    def _answered(self, now: int, at: int, letter: Letter) -> list[Effect]:
        told = self._desk.tells.answered(letter.id)
        if isinstance(told, Append):
            return [
                *self.trading.acknowledged(now, at, told, letter.body),
                *self._reconciler.acknowledged(at, told.fact, letter.body),
                *self._restores.acknowledged(at, told.fact, letter.body),
            ]
        if isinstance(told, EvidenceRequest):
            return self.trading.recalled(at, told, letter)
        if isinstance(letter.body, BookAnswer):
            return self._go_on(now, at, self._risk.books.answered(letter.body, letter.id))
        self._risk.changed(self._desk.ledger.answered(now, letter.body))
        return []

    def _hold_back(self, now: int, at: int) -> list[Effect]:
        """While no order may leave, those that wait for tokens are refused and draw none."""
        stopped = self._stopped(now)
        return [] if stopped is None else self.trading.deny_queued(now, at, *stopped)

    def _leave(self, now: int, at: int) -> list[Effect]:
        effects: list[Effect] = []
        for id, waiting in self._desk.lanes.go(now):
            looked, leaving = self.trading.may_go(now, at, waiting)
            effects += looked
            if leaving is None:
                self._desk.lanes.unsent(id)
                continue
            kind, _, name = waiting.key.partition(":")
            if kind == INQUIRY:
                self._inquiries.left(int(name))
            if kind == PANIC:
                self._halts.left(now, at, waiting.call)
            self._desk.counters["calls"] += 1
            effects.append(MakeCall(id, *leaving))
        return effects

    def _ended(self, now: int, at: int, ended: Ended) -> list[Effect]:
        waiting = self._desk.lanes.back(ended.id)
        if waiting is None:
            return []
        effects: list[Effect] = []
        if isinstance(ended, CallAnswered) and ended.status == 429:
            self._desk.counters["calls_429"] += 1
            effects = self._refused(now, waiting)
        if isinstance(ended, CallAnswered) and ended.status == 401:
            self._reads.unproved(now)
        return [*effects, *self._settle(now, at, waiting.key, ended)]

    def _refused(self, now: int, waiting: Waiting) -> list[Effect]:
        """A 429: the tier may have changed, or somebody else spends what is ours."""
        self._reads.refresh_limits(now)
        budget = self._desk.lanes.refused(now, waiting)
        if not budget:
            return []
        text = (
            f"429 for a call that the {budget} budget covered: does somebody else use the account?"
        )
        return [Report(text, grave=True)]

    def _settle(self, now: int, at: int, key: str, ended: Ended) -> list[Effect]:
        changed = self.trading.ended(now, at, key, ended)
        if changed is not None:
            return changed
        kind, _, name = key.partition(":")
        if kind == PANIC:
            return self._halts.ended(now, at, name, ended)
        if kind == KEY:
            return self._reconciler.ended(now, at, ended)
        if kind == LOOKUP:
            return self._lookups.ended(now, at, int(name), ended)
        if kind == AUDIT:
            return self._audits.ended(at, int(name), ended)
        if kind == INQUIRY:
            return self._inquiries.ended(now, at, int(name), ended)
        if kind == "market":
            trouble = self._risk.markets.ended(now, name, ended)
            return self.trading.look_again(now, at, name, trouble)
        assert kind == "poll", key
        body = self._reads.ended(now, name, ended)
        return [] if body is None else self._balance(now, at, body)

    def _balance(self, now: int, at: int, body: bytes) -> list[Effect]:
        try:
            balance = answers.read(body, BalanceBody)
        except RemoteProtocolError as e:
            return [Report(f"balance: {e}", grave=True)]
        self._risk.cash.learn(now, balance)
        effects = self.trading.look_again(now, at)
        if self._desk.tells.crowded:
            return effects
        for fact in self._reconciler.balances(by_shard(balance), at):
            effects += self._desk.append(now, at, fact)
        return effects

    def _alarms(self, now: int, at: int) -> list[Effect]:
        """Money that nothing explains: no new risk until somebody has looked."""
        alarms, self._reconciler.alarms = self._reconciler.alarms, []
        return self._halts.alarm(now, at, "; ".join(alarms)) if alarms else []

    def _vitals(self, now: int) -> Vitals:
        reasons = []
        if self._reads.trouble:
            reasons.append(self._reads.trouble)
        why = self._desk.ledger.why_not(now)
        if why:
            reasons.append(why)
        if self._reconciler.trouble:
            reasons.append(f"reconciliation: {self._reconciler.trouble}")
        flags = {
            "rest_ready": self._reads.rest_ready and not self._reads.trouble,
            "rate_limiter_ready": self._reads.limiter_ready,
            "halted": self._halts.halted,
            "offline": self._reads.offline(now),
        }
        reasons += self._halts.vitals()
        return Vitals(tuple(reasons), flags)

    def _counters(self, now: int) -> dict[str, int]:
        extra = {"in_doubt": len(self._doubts)} | self._desk.lanes.allowance.counters(now)
        extra["differences"] = self._reconciler.differences
        extra["orders_lost"] = len(self._reconciler.lost)
        extra["restore_unconfirmed"] = int(self._restores.unconfirmed is not None)
        extra |= self._halts.counters(now) | self._arms.counters() | self.trading.counters(now)
        extra |= self._desk.ledger.counters()
        return self._desk.counters | extra | {"reconciled": self._reconciler.done}
