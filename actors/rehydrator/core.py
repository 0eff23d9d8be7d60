"""Restores the account from the ledger, then has it reconciled with the exchange.

`restored` means: as far as our own ledger knows. `rehydrated` means: the gateway has since read
the exchange completely, and what it found has been folded. Only then may anything rest on it.
From then on the whole ledger is proved again and again, a page at a time: every entry folded
anew and held against the tables. A difference halts trading.
"""

from protocol.account import Account
from protocol.envelope import Letter, Outbox
from protocol.follower import LedgerFollower
from protocol.limits import (
    AUDIT_INTERVAL,
    AUDIT_PAUSE,
    AUDIT_RETRY,
    EVIDENCE_ASKERS_MAX,
    SECOND,
)
from protocol.machine import (
    Answer,
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
    AccountAnswer,
    AccountRequest,
    AnyMessage,
    EvidenceAnswer,
    EvidenceRequest,
    Halt,
    HaltAnswer,
    Reconcile,
    ReconcileAnswer,
    Refused,
    Signal,
)
from protocol.pulse import Identity, Pulse, Vitals
from protocol.telling import Outstanding

RESTORE_RETRY = SECOND // 4


class AccountLoaded(Cause, frozen=True):
    """The database was read: the account as of its last entry, and how it was restored."""

    account: Account
    how: str


class Replayed(Cause, frozen=True):
    """So many entries of so many have been replayed."""

    done: int
    total: int


class LoadFailed(Cause, frozen=True):
    """The database can't be read yet."""

    reason: str


class Audited(Cause, frozen=True):
    """So many entries of so many have been proved; `ended` if that was all, tables included."""

    done: int
    total: int
    ended: bool


class AuditFailed(Cause, frozen=True):
    """The ledger is not what was written (`damage`), or it can't be read just now."""

    reason: str
    damage: bool


class EvidenceRead(Cause, frozen=True):
    """What the ledger says about an order, or why it can't be told, for one asker."""

    sender: tuple[bytes, ...]
    id: str
    answer: EvidenceAnswer


class ReadEvidence(Effect, frozen=True):
    """Read the entries that speak of an order, for one asker."""

    sender: tuple[bytes, ...]
    id: str
    client_order_id: str


class LoadAccount(Effect, frozen=True):
    """Read the newest sound snapshot and replay what came after it."""


class AuditPage(Effect, frozen=True):
    """Prove the next page of the ledger."""


class Rehydrator:
    """The core."""

    def __init__(self, identity: Identity) -> None:
        self._identity = identity
        self._outbox = Outbox(identity.name, identity.epoch)
        self._pulse = Pulse(identity, self._outbox)
        self._tells = Outstanding(self._outbox)
        self.ledger = LedgerFollower(self._outbox)
        self._writer_seen = False
        self._loading = False
        self._load_at: int | None = None
        self._why = "waiting for writer: not seen"
        self._reconciled_n: int | None = None
        self._rehydrated = False
        self._audit_at: int | None = None  # None: not yet, or a page is being read
        self._audited = 0
        self._damage = ""
        self._asking: set[tuple[tuple[bytes, ...], str]] = set()  # who waits for evidence

    def step(self, now: int, cause: Cause) -> list[Effect]:
        effects = self._take(now, cause)
        effects += self._load(now)
        if self.ledger.account is not None:
            effects += self.ledger.due(now, cause.at)
        effects += self._tells.due(now)
        effects += self._finish_boot(now, cause.at)
        effects += self._audit(now)
        vitals = self._vitals(now)
        if self._pulse.due(now, vitals):
            effects += self._pulse.beat(now, cause.at, vitals, self._counters())
        return effects

    def _counters(self) -> dict[str, int]:
        account = self.ledger.account
        counters = {"n": 0 if account is None else account.n, "audited": self._audited}
        return counters | self.ledger.counters()

    def deadline(self) -> int | None:
        deadlines = [self._pulse.deadline(), self._tells.deadline(), self._load_at, self._audit_at]
        if self.ledger.account is not None:
            deadlines.append(self.ledger.deadline())
        return min(d for d in deadlines if d is not None)

    def _take(self, now: int, cause: Cause) -> list[Effect]:
        match cause:
            case Started() | Elapsed():
                return []
            case Heard(envelope=envelope):
                self._writer_seen = self._writer_seen or envelope.source == "writer"
                self.ledger.hear(now, envelope, cause.at)
                return []
            case AccountLoaded(account=account, how=how):
                return self._restored(now, cause.at, account, how)
            case Replayed(done=done, total=total):
                self._why = f"restoring: {done} of {total} entries"
                return []
            case LoadFailed(reason=reason):
                self._loading = False
                self._load_at = now + RESTORE_RETRY
                self._why = f"restoring: {reason}"
                return []
            case Audited() | AuditFailed():
                return self._audit_answered(now, cause.at, cause)
            case Asked(sender=sender, letter=letter):
                return self._asked(cause.at, sender, letter)
            case EvidenceRead(sender=sender, id=id, answer=answer):
                self._asking.discard((sender, id))
                return [Answer(sender, self._outbox.letter(id, answer, cause.at))]
            case Answered(letter=letter):
                return self._answered(now, letter)
            case Stopping():
                return [Finish(0)]
        raise AssertionError(f"unexpected cause: {cause}")

    def _load(self, now: int) -> list[Effect]:
        if self.ledger.account is not None or not self._writer_seen or self._loading:
            return []
        if self._load_at is not None and now < self._load_at:
            return []
        self._loading, self._load_at = True, None
        self._why = "restoring: reading the ledger"
        return [LoadAccount()]

    def _restored(self, now: int, at: int, account: Account, how: str) -> list[Effect]:
        self._loading = False
        self.ledger.restore(account)
        self._why = "waiting for gateway: reconciliation with the exchange"
        id = f"reconcile:{self._identity.epoch}"
        return [
            Report(f"restored to entry {account.n}: {how}"),
            self._pulse.signal(at, Signal("boot_rehydrate", how, f"n={account.n}")),
            *self._tells.tell(now, at, "gateway", id, Reconcile("boot_rehydrate")),
        ]

    def _answered(self, now: int, letter: Letter) -> list[Effect]:
        if isinstance(letter.body, HaltAnswer):
            self._tells.answered(letter.id)
        elif isinstance(letter.body, ReconcileAnswer):
            if self._tells.answered(letter.id) is not None:
                self._reconciled_n = letter.body.n
                self._why = f"waiting for writer: entries up to {letter.body.n}"
        else:
            self.ledger.answered(now, letter.body)
        return []

    def _audit(self, now: int) -> list[Effect]:
        if self._audit_at is None or now < self._audit_at:
            return []
        self._audit_at = None
        return [AuditPage()]

    def _audit_answered(self, now: int, at: int, cause: Audited | AuditFailed) -> list[Effect]:
        match cause:
            case Audited(done=done, ended=ended):
                if not ended:
                    self._audit_at = now + AUDIT_PAUSE
                    return []
                self._audited = done
                self._audit_at = now + AUDIT_INTERVAL
                return [Report(f"the ledger is proved up to entry {done}")]
            case AuditFailed(reason=reason, damage=False):
                self._audit_at = now + AUDIT_RETRY
                return [Report(f"the ledger can't be proved now: {reason}")]
            case AuditFailed(reason=reason):
                self._damage = f"ledger: {reason}"
                halt = Halt(self._damage)
                id = f"damage:{self._identity.epoch}"
                return [
                    Report(self._damage, grave=True),
                    *self._tells.tell(now, at, "gateway", id, halt),
                ]
        raise AssertionError(f"unexpected: {cause}")

    def _finish_boot(self, now: int, at: int) -> list[Effect]:
        """Rehydrated once what the reconciliation found has been folded, too."""
        account = self.ledger.account
        if self._rehydrated or self._reconciled_n is None or account is None:
            return []
        if account.n < self._reconciled_n:
            return []
        self._rehydrated = True
        self._audit_at = now
        return [
            Report(f"rehydrated at entry {account.n}"),
            self._pulse.signal(at, Signal("health_state", "rehydrated", f"n={account.n}")),
        ]

    def _asked(self, at: int, sender: tuple[bytes, ...], letter: Letter) -> list[Effect]:
        if isinstance(letter.body, EvidenceRequest) and self.ledger.account is not None:
            if (sender, letter.id) in self._asking:
                return []  # asked again while it is being read
            if len(self._asking) < EVIDENCE_ASKERS_MAX:
                self._asking.add((sender, letter.id))
                return [ReadEvidence(sender, letter.id, letter.body.client_order_id)]
        return [Answer(sender, self._outbox.letter(letter.id, self._reply(letter), at))]

    def _reply(self, letter: Letter) -> AnyMessage:
        if isinstance(letter.body, EvidenceRequest):
            busy = f"{len(self._asking)} questions about orders are waiting"
            return EvidenceAnswer((), 0, False, self._why if self.ledger.account is None else busy)
        if not isinstance(letter.body, AccountRequest):
            return Refused(f"the rehydrator does not take {type(letter.body).__name__}")
        if self.ledger.account is None:
            return AccountAnswer("restoring", reason=self._why)
        return AccountAnswer("restored", self.ledger.account.state())

    def _vitals(self, now: int) -> Vitals:
        restored = self.ledger.account is not None
        why = self.ledger.why_not(now) if self._rehydrated else self._why
        reasons = tuple(reason for reason in (self._damage, why) if reason)
        return Vitals(reasons, {"restored": restored, "rehydrated": self._rehydrated})
