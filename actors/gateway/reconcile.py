"""Reads the exchange's orders, fills and money into the ledger, completely or not at all.

One round: orders since the last round (with an overlap), all that rest, each of ours that should
rest and does not, fills, balance; every fact acknowledged by the writer; then the round itself
becomes an entry. Rounds also settle unknown orders: seen in a listing, or absent from two
complete ones that began after no request of ours could still arrive.
"""

import enum

from msgspec import Struct

from actors.gateway.desk import Asker, CallAnswered, Desk, Ended
from actors.gateway.lanes import Place
from protocol.account import UNSETTLED, Account
from protocol.errors import RemoteProtocolError
from protocol.facts import (
    AnyFact,
    BalanceSeen,
    OrderAbsent,
    OrderUnknown,
    Reconciled,
    natural_id,
)
from protocol.kalshi import answers, calls
from protocol.kalshi.answers import BalanceBody, FillPage, OneOrder, OrderPage, OrderRow
from protocol.kalshi.calls import Call
from protocol.limits import (
    ABSENCE_AFTER,
    PAGES_MAX,
    RECONCILE_AGAIN,
    RECONCILE_OVERLAP_US,
    RECONCILE_RETRY,
    RESOLVE_INTERVAL,
)
from protocol.machine import Effect
from protocol.messages import Appended, Order, ReconcileAnswer
from protocol.units import Money

KEY = "reconcile"
LISTINGS_NEEDED = 2  # complete ones without the order, before it counts as absent


class Phase(enum.Enum):
    """What a round is doing."""

    ORDERS = enum.auto()
    RESTING = enum.auto()
    MISSING = enum.auto()
    FILLS = enum.auto()
    BALANCE = enum.auto()
    SETTLING = enum.auto()  # waiting for the writer to acknowledge every fact
    SEALING = enum.auto()  # waiting for the writer to acknowledge the round


class Round(Struct):
    """One reading of the exchange."""

    number: int
    started: int
    started_at: int
    askers: list[Asker]
    min_ts: int
    phase: Phase = Phase.ORDERS
    cursors: set[str] = set()
    listed: set[str] = set()  # client_order_ids
    resting: set[str] = set()  # order_ids
    missing: list[str] = []  # order_ids of ours that should rest and were not listed
    unacked: set[str] = set()
    orders: int = 0
    fills: int = 0
    refused: str = ""  # why the ledger does not take one of the facts


class _Doubt(Struct):
    """An order that may or may not be at the exchange."""

    since: int
    misses: int = 0
    missed: int | None = None


def _restored_and_settled(account: Account, at: int) -> bool:
    """Whether a restored ledger waits for a round that no lost request can come after."""
    restored = account.restored
    return restored is not None and not restored.reconciled and at >= restored.settles_at


class Reconciler:
    """Runs one round at a time; whoever asks meanwhile gets the next one."""

    def __init__(self, desk: Desk, epoch: int) -> None:
        self._desk = desk
        self._epoch = epoch
        self._round: Round | None = None
        self._number = 0
        self._waiting: list[Asker] = []
        self._retry_at = 0
        self._resolve_at: int | None = None
        self._again_at: int | None = None
        self._looked_at = (-1, -1)
        self._doubts: dict[str, _Doubt] = {}
        self.trouble = ""
        self.done = 0  # rounds completed in this life

    def ask(self, asker: Asker) -> None:
        """Wait for a round that begins after now. The same letter again is the same wish."""
        running = self._round
        if asker in self._waiting or (running is not None and asker in running.askers):
            return
        self._waiting.append(asker)

    def due(self, now: int, at: int, under_way: set[str], ended: dict[str, int]) -> list[Effect]:
        """Start a round if somebody waits for one, or an order is in doubt.

        `under_way` are orders whose own call will still tell; `ended` says when the calls of
        unknown ones ended.
        """
        account = self._desk.ledger.account
        if account is None or self._round is not None or now < self._retry_at:
            return []
        if self._again_at is not None and now >= self._again_at:
            self._again_at, again = None, True
        else:
            again = _restored_and_settled(account, at)
        seen = (account.n, len(under_way))
        effects: list[Effect] = []
        if seen != self._looked_at:  # nothing can have changed otherwise
            self._looked_at = seen
            effects = self._doubt(now, at, account, under_way, ended)
        resolving = self._resolve_at is not None and now >= self._resolve_at
        if not self._waiting and not resolving and not again:
            return effects
        return [*effects, *self._start(now, at, account)]

    def _doubt(
        self, now: int, at: int, account: Account, under_way: set[str], ended: dict[str, int]
    ) -> list[Effect]:
        """Keep the list of orders in doubt; one that a former life left open becomes unknown."""
        effects: list[Effect] = []
        open_now: set[str] = set()
        for order in account.orders():
            id = order.client_order_id
            if order.state not in UNSETTLED or id in under_way:
                continue
            open_now.add(id)
            if id not in self._doubts:
                self._doubts[id] = _Doubt(ended.pop(id, now))
                if order.state == "intended":
                    fact = OrderUnknown(id, "a former life may have sent it")
                    effects += self._desk.append(now, at, fact)
        for id in [id for id in self._doubts if id not in open_now]:
            del self._doubts[id]
        if not self._doubts:
            self._resolve_at = None
        elif self._resolve_at is None:
            self._resolve_at = now
        return effects

    @property
    def in_doubt(self) -> int:
        """How many orders are unknown."""
        return len(self._doubts)

    def _start(self, now: int, at: int, account: Account) -> list[Effect]:
        self._number += 1
        since = account.reconciled_to
        doubtful = [account.order(id) for id in self._doubts]
        since = min([since, *(o.created_at for o in doubtful if o is not None)])
        min_ts = max(since - RECONCILE_OVERLAP_US, 0) // 1_000_000
        self._round = Round(
            self._number, now, at, self._waiting, min_ts, cursors=set(), listed=set(),
            resting=set(), missing=[], unacked=set(),
        )  # fmt: skip
        self._waiting = []
        self._resolve_at = now + RESOLVE_INTERVAL if self._doubts else None
        return self._call(now, self._next_call(""))

    def _next_call(self, cursor: str) -> Call:
        assert self._round is not None
        match self._round.phase:
            case Phase.ORDERS:
                return calls.list_orders("reconcile", min_ts=self._round.min_ts, cursor=cursor)
            case Phase.RESTING:
                return calls.list_orders("reconcile", status="resting", cursor=cursor)
            case Phase.MISSING:
                return calls.get_order(self._round.missing[-1], "reconcile")
            case Phase.FILLS:
                return calls.list_fills(min_ts=self._round.min_ts, cursor=cursor)
            case Phase.BALANCE:
                return calls.BALANCE
        raise AssertionError(f"no call in {self._round.phase}")

    def _call(self, now: int, call: Call) -> list[Effect]:
        place = self._desk.lanes.submit(KEY, call)
        return [] if place is Place.TAKEN else self._give_up(now, place.value)

    def _give_up(self, now: int, reason: str) -> list[Effect]:
        """An incomplete reading proves nothing: begin again later."""
        assert self._round is not None
        self._waiting = self._round.askers + self._waiting
        self._round = None
        self._retry_at = self._again_at = now + RECONCILE_RETRY
        self.trouble = reason
        return []

    def ended(self, now: int, at: int, ended: Ended) -> list[Effect]:
        """A call of the round has ended."""
        if self._round is None:
            return []
        if not isinstance(ended, CallAnswered):
            return self._give_up(now, ended.reason)
        if ended.status != 200 and not (self._round.phase is Phase.MISSING and ended.status == 404):
            said = answers.refusal(ended.body)
            return self._give_up(now, f"status {ended.status} {said.code if said else ''}".strip())
        try:
            return self._read(now, at, self._round, ended)
        except RemoteProtocolError as e:
            return self._give_up(now, str(e))

    def _read(self, now: int, at: int, round: Round, ended: CallAnswered) -> list[Effect]:
        match round.phase:
            case Phase.ORDERS | Phase.RESTING:
                page: OrderPage = answers.read(ended.body, OrderPage)
                facts = self._orders(round, page.orders)
                return self._go_on(now, at, round, facts, page.cursor or "")
            case Phase.MISSING:
                round.missing.pop()
                rows = [answers.read(ended.body, OneOrder).order] if ended.status == 200 else []
                facts = self._orders(round, tuple(rows))
                return self._go_on(now, at, round, facts, "again" if round.missing else "")
            case Phase.FILLS:
                fills: FillPage = answers.read(ended.body, FillPage)
                round.fills += len(fills.fills)
                facts = [row.fact() for row in fills.fills]
                return self._go_on(now, at, round, facts, fills.cursor or "")
            case Phase.BALANCE:
                body: BalanceBody = answers.read(ended.body, BalanceBody)
                return self._go_on(now, at, round, self.balances(body, at), "")
        raise AssertionError(f"no call in {round.phase}")

    def _orders(self, round: Round, rows: tuple[OrderRow, ...]) -> list[AnyFact]:
        facts: list[AnyFact] = []
        for row in rows:
            round.orders += 1
            round.listed.add(row.client_order_id)
            if row.status == "resting":
                round.resting.add(row.order_id)
            facts.append(row.fact())
        return facts

    def _go_on(
        self, now: int, at: int, round: Round, facts: list[AnyFact], cursor: str
    ) -> list[Effect]:
        effects: list[Effect] = []
        for fact in facts:
            if self._desk.tells.full:
                return [*effects, *self._give_up(now, "the writer is behind")]
            round.unacked.add(natural_id(fact))
            effects += self._desk.append(now, at, fact)
        if cursor:
            looped = cursor in round.cursors and round.phase is not Phase.MISSING
            if looped or len(round.cursors) >= PAGES_MAX:
                return [*effects, *self._give_up(now, "the listing goes round")]
            round.cursors.add(cursor)
            return [*effects, *self._call(now, self._next_call(cursor))]
        return [*effects, *self._next_phase(now, at, round)]

    def _next_phase(self, now: int, at: int, round: Round) -> list[Effect]:
        round.cursors.clear()
        round.phase = Phase(round.phase.value + 1)
        if round.phase is Phase.MISSING:
            round.missing = [o.order_id for o in self._resting() if self._unseen(round, o)]
            if not round.missing:
                round.phase = Phase.FILLS
        if round.phase is Phase.SETTLING:
            return self._settled(now, at)
        return self._call(now, self._next_call(""))

    def _resting(self) -> list[Order]:
        account = self._desk.ledger.account
        return [] if account is None else [o for o in account.orders() if o.state == "resting"]

    @staticmethod
    def _unseen(round: Round, order: Order) -> bool:
        listed = order.client_order_id in round.listed and order.client_order_id != ""
        return order.order_id not in round.resting and not listed

    def balances(self, body: BalanceBody, at: int) -> list[AnyFact]:
        """What differs from the balances on record."""
        account = self._desk.ledger.account
        known = {} if account is None else {b.shard: b.balance for b in account.balances()}
        found = {s.exchange_index: s.balance for s in body.balance_breakdown}
        found = found or {0: body.balance_dollars}
        return [
            BalanceSeen(shard, Money(money), at)
            for shard, money in sorted(found.items())
            if known.get(shard) != money
        ]

    def acknowledged(self, now: int, at: int, told: AnyFact, answer: object) -> list[Effect]:
        """The writer answered a fact; one of the round's, perhaps."""
        round = self._round
        if round is None or not isinstance(answer, Appended):
            return []
        id = natural_id(told)
        if round.phase is Phase.SEALING and isinstance(told, Reconciled):
            return self._sealed(now, at, round, answer.n)
        if id in round.unacked:
            round.unacked.discard(id)
            refused = answer.verdict in ("CONFLICT", "REFUSED")
            if refused and not answer.aside:  # what comes after it is still read
                round.refused = f"the ledger does not take {id}: {answer.reason}"
            return self._settled(now, at)
        return []

    def _settled(self, now: int, at: int) -> list[Effect]:
        round = self._round
        if round is None or round.phase is not Phase.SETTLING or round.unacked:
            return []
        if round.refused:
            return self._give_up(now, round.refused)
        effects = self._absent(now, at, round)
        round.phase = Phase.SEALING
        fact = Reconciled(self._epoch, round.number, round.started_at, round.orders, round.fills)
        return [*effects, *self._desk.append(now, at, fact)]

    def _absent(self, now: int, at: int, round: Round) -> list[Effect]:
        """Count the listings that an order in doubt is not in; two late ones prove absence."""
        effects: list[Effect] = []
        for id, doubt in self._doubts.items():
            if id in round.listed:
                doubt.misses, doubt.missed = 0, None
                continue
            if round.started < doubt.since + ABSENCE_AFTER:
                continue
            if doubt.missed is not None and round.started < doubt.missed + RESOLVE_INTERVAL:
                continue
            doubt.misses, doubt.missed = doubt.misses + 1, round.started
            if doubt.misses >= LISTINGS_NEEDED:
                self._desk.counters["absent"] += 1
                evidence = f"absent from {doubt.misses} complete listings, the last at {at}"
                effects += self._desk.append(now, at, OrderAbsent(id, evidence))
        return effects

    def _sealed(self, now: int, at: int, round: Round, n: int) -> list[Effect]:
        self._round = None
        if round.askers:
            self._again_at = now + RECONCILE_AGAIN
        self.trouble = ""
        self.done += 1
        return self._desk.answer(round.askers, ReconcileAnswer(n), at)

    def deadline(self) -> int | None:
        if self._round is not None:
            return None
        if self._waiting:
            return self._retry_at
        found = [at for at in (self._resolve_at, self._again_at) if at is not None]
        return max(min(found), self._retry_at) if found else None
