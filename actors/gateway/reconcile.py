"""Reads the exchange's orders, fills, positions and money into the ledger, completely or not at
all.

A round: everything since the last one (with an overlap), all that rests, each of ours that should
rest and does not, positions and balances; every fact acknowledged by the writer and folded; then
both sides are compared, and the round itself becomes an entry. At boot, whenever somebody asks
(the stream, after each reconnect), each minute, and while an order is in doubt.
"""

from actors.gateway.desk import Asker, CallAnswered, Desk, Ended
from actors.gateway.differences import Differences
from actors.gateway.doubts import Doubts
from actors.gateway.reading import OPTIONAL, Reading, Step
from protocol.account import Account
from protocol.errors import RemoteProtocolError
from protocol.facts import AnyFact, BalanceSeen, Reconciled, natural_id
from protocol.limits import (
    CLOCK_SKEW_MAX,
    DIFFER_AGAIN,
    PAGE_TRIES,
    RECONCILE_AGAIN,
    RECONCILE_ASKERS_MAX,
    RECONCILE_INTERVAL,
    RECONCILE_OVERLAP_US,
    RECONCILE_RETRY,
    US,
)
from protocol.machine import Effect, Report
from protocol.messages import Appended, Order, ReconcileAnswer
from protocol.units import Money

KEY = "reconcile"


def _restored_and_settled(account: Account, at: int) -> bool:
    """Whether a restored ledger waits for a round that no lost request can come after."""
    restored = account.restored
    return restored is not None and not restored.reconciled and at >= restored.settles_at


class Reconciler:
    """Runs one round at a time; whoever asks meanwhile gets the next one."""

    def __init__(self, desk: Desk, doubts: Doubts, epoch: int) -> None:
        self._desk = desk
        self._doubts = doubts
        self._epoch = epoch
        self._differences = Differences(epoch)
        self._reading: Reading | None = None
        self._unacked: set[str] = set()
        self._last_n = 0  # the newest entry of this round: the account has to show it
        self._found = 0
        self._refused = ""  # why the ledger does not take one of the facts
        self._sealing = False
        self._compared = False
        self._number = 0
        self._waiting: list[Asker] = []
        self._retry_at: int | None = None  # the current page is asked for again
        self._not_before = 0
        self._again_at: int | None = 0  # at boot at once
        self.alarms: list[str] = []  # differences in money that halt trading; taken by the core
        self.lost: set[str] = set()  # order_ids that should rest and are nowhere
        self.trouble = ""
        self.done = 0  # rounds completed in this life

    @property
    def differences(self) -> int:
        """How many differences in money are being looked at."""
        return len(self._differences)

    def ask(self, asker: Asker) -> None:
        """Wait for a round that begins after now. The same letter again is the same wish."""
        running = self._reading
        if asker in self._waiting or (running is not None and asker in running.askers):
            return
        if len(self._waiting) < RECONCILE_ASKERS_MAX:  # unanswered, others ask again
            self._waiting.append(asker)

    def due(self, now: int, at: int, halted: bool) -> list[Effect]:
        """Start a round if it is time for one, or go on with the one that runs."""
        account = self._desk.ledger.account
        if account is None:
            return []
        effects = self._doubts.look(now, at, account)
        if self._reading is not None:
            if self._retry_at is not None and now >= self._retry_at:
                self._retry_at = None
                effects += self._call(now)
            elif not self._reading.steps:
                effects += self._settle(now, at, account, halted)
            return effects
        cause = self._cause(now, at, account)
        if cause and now >= self._not_before:
            effects += self._start(now, at, account, cause)
        return effects

    def _cause(self, now: int, at: int, account: Account) -> str:
        """Why a round should run now; "" if none should."""
        due = self._again_at is not None and now >= self._again_at
        if self.done == 0 and due:
            return "boot"
        if self._waiting:
            return "asked"
        if self._doubts.resolve_at is not None and now >= self._doubts.resolve_at:
            return "doubt"
        if _restored_and_settled(account, at):
            return "restore"
        return "interval" if due else ""

    def _start(self, now: int, at: int, account: Account, cause: str) -> list[Effect]:
        self._number += 1
        oldest = self._doubts.oldest(account)
        since = min(account.reconciled_to, oldest or account.reconciled_to)
        min_ts = max(since - RECONCILE_OVERLAP_US, 0) // 1_000_000
        steps = [Step.FRESHNESS, Step.ORDERS, Step.RESTING, Step.FILLS, Step.SETTLEMENTS]
        steps += [Step.POSITIONS]
        if oldest:
            steps.insert(1, Step.CUTOFF)
        if self._differences.wants_transfers(account):
            steps += [Step.DEPOSITS, Step.WITHDRAWALS]
        self._reading = Reading(
            self._number, cause, now, at, min_ts, self._waiting, [*steps, Step.BALANCE], oldest,
            min_ts, cursors=set(), listed=set(), resting=set(), missing=[], lost=[],
            positions={}, vanished=[], settling=set(), balances={},
        )  # fmt: skip
        self._waiting, self._unacked, self._refused = [], set(), ""
        self._last_n = self._found = 0
        self._sealing = self._compared = False
        self._again_at = now + RECONCILE_INTERVAL
        self._doubts.begun(now)
        return self._call(now)

    def _call(self, now: int) -> list[Effect]:
        assert self._reading is not None
        if not self._desk.lanes.submit(KEY, self._reading.call()):
            self._retry_at = now + RECONCILE_RETRY
        return []

    def _give_up(self, now: int, reason: str, pause: int = RECONCILE_RETRY) -> list[Effect]:
        """An incomplete reading proves nothing: begin again later."""
        assert self._reading is not None
        self._waiting = self._reading.askers + self._waiting
        self._reading = None
        self._retry_at = None
        self._not_before = self._again_at = now + pause
        self.trouble = reason
        return []

    def ended(self, now: int, at: int, ended: Ended) -> list[Effect]:
        """A call of the round has ended."""
        reading = self._reading
        if reading is None:
            return []
        try:
            if not isinstance(ended, CallAnswered):
                raise RemoteProtocolError(ended.reason)
            facts = reading.take(ended)
        except RemoteProtocolError as e:
            return self._failed(now, reading, str(e))
        effects: list[Effect] = []
        for fact in facts:
            if self._desk.tells.crowded:
                return [*effects, *self._give_up(now, "the writer is behind")]
            effects += self._tell(now, at, fact)
        self._prepare(reading)
        if reading.steps:
            effects += self._call(now)
        return effects

    def _failed(self, now: int, reading: Reading, reason: str) -> list[Effect]:
        """Ask for the same page again; do without it, or without the round, in the end."""
        reading.tries += 1
        if reading.tries < PAGE_TRIES and "goes round" not in reason:
            self._retry_at = now + RECONCILE_RETRY
            return []
        if reading.step not in OPTIONAL:
            return self._give_up(now, f"{reading.step.name.lower()}: {reason}")
        reading.skip()
        return self._call(now)

    def _prepare(self, reading: Reading) -> None:
        """What has to be looked at one by one follows from what has been listed."""
        account = self._desk.ledger.account
        assert account is not None
        if not reading.steps:
            return
        if reading.step is Step.FILLS and not reading.missing_known:
            resting = (o for o in account.open_orders() if o.state == "resting")
            unseen = [o for o in resting if self._unseen(reading, o)]
            since = min((o.created_at // 1_000_000 for o in unseen), default=0)
            reading.look_up([o.order_id for o in unseen], max(since - 60, 0))
        elif reading.step is Step.BALANCE and not reading.vanished_known:
            reading.look_for(self._differences.vanished(account, reading))

    @staticmethod
    def _unseen(reading: Reading, order: Order) -> bool:
        listed = order.client_order_id in reading.listed and order.client_order_id != ""
        known = order.order_id in reading.resting or order.order_id in reading.lost
        return bool(order.order_id) and not known and not listed

    def _tell(self, now: int, at: int, fact: AnyFact) -> list[Effect]:
        self._unacked.add(natural_id(fact))
        return self._desk.append(now, at, fact)

    def acknowledged(self, at: int, told: AnyFact, answer: object) -> list[Effect]:
        """The writer answered a fact; one of the round's, perhaps."""
        if self._reading is None or not isinstance(answer, Appended):
            return []
        id = natural_id(told)
        if id not in self._unacked:
            return []
        self._unacked.discard(id)
        self._last_n = max(self._last_n, answer.n)
        if self._sealing:
            return self._sealed(at, answer.n)
        self._found += answer.verdict == "NEW" and not isinstance(told, BalanceSeen)
        refused = answer.verdict in ("CONFLICT", "REFUSED")
        if refused and not answer.aside:  # what comes after it is still read
            self._refused = f"the ledger does not take {id}: {answer.reason}"
        return []

    def _settle(self, now: int, at: int, account: Account, halted: bool) -> list[Effect]:
        """All has been read: once it is on record and folded, compare, and seal the round."""
        reading = self._reading
        assert reading is not None
        if self._unacked or account.n < self._last_n or self._sealing:
            return []
        if self._refused:
            return self._give_up(now, self._refused)
        if reading.drift(now, at) > CLOCK_SKEW_MAX // US:  # what it says of time is not to be used
            return self._give_up(now, "the wall clock was set meanwhile")
        if not self._compared:
            self._compared = True
            effects = self._compare(now, at, account, reading, halted)
            if self._unacked or self._reading is None:
                return effects
        else:
            effects = []
        if account.reconciled_to == 0 and self._differences.moved(account, reading):
            return [*effects, *self._give_up(now, "positions moved meanwhile", DIFFER_AGAIN)]
        effects += self._doubts.absent(now, at, reading)
        effects += self._nowhere(account, reading)
        self._sealing = True
        fact = Reconciled(
            self._epoch, reading.number, reading.started_at, reading.orders, reading.fills,
            reading.cause, self._found,
        )  # fmt: skip
        return [*effects, *self._tell(now, at, fact)]

    def _nowhere(self, account: Account, reading: Reading) -> list[Effect]:
        """Orders that rest by the ledger, and that the exchange shows in no listing, not one by
        one, and not in its history. They stay exposure, and somebody should look."""
        lost = [account.order_by_id(id) for id in reading.lost]
        found = {order.order_id for order in lost if order is not None and order.state == "resting"}
        news, self.lost = found - self.lost, found
        return [
            Report(f"order {id} rests by the ledger, and the exchange shows it nowhere", grave=True)
            for id in sorted(news)
        ]

    def _compare(
        self, now: int, at: int, account: Account, reading: Reading, halted: bool
    ) -> list[Effect]:
        reading.compared = now
        found = self._differences.compare(account, reading, halted)
        self.alarms += found.alarms
        if found.hold:
            text = "positions held before the ledger was opened are read a second time"
            return self._give_up(now, text, DIFFER_AGAIN)
        if found.again:
            self._again_at = now + DIFFER_AGAIN
        facts: list[AnyFact] = [*found.facts, *self.balances(reading.balances, at)]
        return [effect for fact in facts for effect in self._tell(now, at, fact)]

    def balances(self, found: dict[int, Money], at: int) -> list[AnyFact]:
        """What differs from the balances on record.

        Each counts as later than the one before, wherever the wall clock was set meanwhile.
        """
        account = self._desk.ledger.account
        known = {} if account is None else {b.shard: b for b in account.balances()}
        facts: list[AnyFact] = []
        for shard, money in sorted(found.items()):
            last = known.get(shard)
            if last is None or last.balance != money:
                facts.append(
                    BalanceSeen(shard, money, at if last is None else max(at, last.seen_at + 1))
                )
        return facts

    def _sealed(self, at: int, n: int) -> list[Effect]:
        reading, self._reading = self._reading, None
        assert reading is not None
        if reading.askers and self._again_at is not None:
            self._again_at = min(self._again_at, reading.started + RECONCILE_AGAIN)
        self.trouble = ""
        self.done += 1
        return self._desk.answer(reading.askers, ReconcileAnswer(n), at)

    def deadline(self) -> int | None:
        if self._desk.ledger.account is None:
            return None
        if self._reading is not None:
            return self._retry_at
        if self._waiting:
            return self._not_before
        found = [at for at in (self._doubts.resolve_at, self._again_at) if at is not None]
        return max(min(found), self._not_before) if found else None
