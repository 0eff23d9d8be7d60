"""One reading of the exchange: which calls it takes, and what their answers say.

A reading is complete or it is nothing: a page that can't be read is asked for again, and a
listing that goes round ends the whole.
"""

import enum

from msgspec import Struct

from actors.gateway.desk import Asker, CallAnswered
from protocol.errors import RemoteProtocolError
from protocol.facts import AnyFact
from protocol.kalshi import answers, calls
from protocol.kalshi.answers import (
    BalanceBody,
    FillPage,
    OneMarket,
    OneOrder,
    OrderPage,
    OrderRow,
)
from protocol.kalshi.calls import Call
from protocol.kalshi.portfolio import DepositPage, PositionPage, SettlementPage, WithdrawalPage
from protocol.kalshi.status import CutoffBody, UserDataBody
from protocol.limits import PAGES_MAX, US
from protocol.units import Count, Money

TRADING = frozenset({"", "initialized", "inactive", "active"})  # no settlement can be on its way


class Step(enum.Enum):
    """What is read, in this order."""

    FRESHNESS = enum.auto()  # how late reads are behind the exchange
    CUTOFF = enum.auto()  # since when finished orders are in the history only
    ORDERS = enum.auto()
    HISTORY = enum.auto()
    RESTING = enum.auto()
    MISSING = enum.auto()  # each order that should rest and was not listed
    FILLS = enum.auto()
    SETTLEMENTS = enum.auto()
    POSITIONS = enum.auto()
    VANISHED = enum.auto()  # markets whose position is gone from the exchange
    DEPOSITS = enum.auto()
    WITHDRAWALS = enum.auto()
    BALANCE = enum.auto()


OPTIONAL = frozenset({Step.FRESHNESS, Step.CUTOFF, Step.DEPOSITS, Step.WITHDRAWALS})
"""What a reading can do without; what would need it is not concluded."""


class Held(Struct, frozen=True):
    """What the exchange shows of one position."""

    position: Count
    cost: Money


class Reading(Struct):
    """One reading, as far as it has come. Times as everywhere: monotonic, wall microseconds."""

    number: int
    cause: str
    started: int
    started_at: int
    min_ts: int  # Unix seconds: what is older has been read before
    askers: list[Asker]
    steps: list[Step]  # the first is being read
    oldest_doubt: int = 0  # microseconds; 0: no order is in doubt
    history_ts: int = 0  # Unix seconds: since when the history is read, if it has to be
    cursor: str = ""
    compared: int = 0  # monotonic; when all of it was on record and was held against the ledger
    cursors: set[str] = set()
    tries: int = 0  # of the current page
    user_data_at: int = 0  # microseconds; 0: the exchange did not say
    listed: set[str] = set()  # client_order_ids
    resting: set[str] = set()  # order_ids
    missing: list[str] = []  # order_ids still to be looked up
    missing_known: bool = False
    lost: list[str] = []  # order_ids that the exchange does not show
    positions: dict[str, Held] = {}
    vanished: list[str] = []  # tickers still to be looked up
    vanished_known: bool = False
    settling: set[str] = set()  # tickers whose market does not trade any more
    balances: dict[int, Money] = {}
    orders: int = 0
    fills: int = 0

    @property
    def step(self) -> Step:
        return self.steps[0]

    def wall(self, then: int) -> int:
        """What the wall clock that this reading began by makes of a monotonic moment, in
        microseconds. What it said at that moment may have been set right since."""
        return self.started_at - (self.started - then) // US

    def drift(self, now: int, at: int) -> int:
        """How far the wall clock was set since this reading began, microseconds."""
        return abs(at - self.wall(now))

    def call(self) -> Call:
        """What to ask next."""
        since, cursor = self.min_ts, self.cursor
        match self.step:
            case Step.FRESHNESS:
                return calls.USER_DATA
            case Step.CUTOFF:
                return calls.CUTOFF
            case Step.ORDERS:
                return calls.list_orders("reconcile", min_ts=since, cursor=cursor)
            case Step.HISTORY:
                since = self.history_ts
                return calls.list_orders("reconcile", min_ts=since, cursor=cursor, historical=True)
            case Step.RESTING:
                return calls.list_orders("reconcile", status="resting", cursor=cursor)
            case Step.MISSING:
                return calls.get_order(self.missing[-1], "reconcile")
            case Step.FILLS:
                return calls.list_fills(min_ts=since, cursor=cursor)
            case Step.SETTLEMENTS:
                return calls.list_settlements(min_ts=since, cursor=cursor)
            case Step.POSITIONS:
                return calls.list_positions(cursor=cursor)
            case Step.VANISHED:
                return calls.get_market(self.vanished[-1], "reconcile")
            case Step.DEPOSITS:
                return calls.list_transfers("deposits", cursor=cursor)
            case Step.WITHDRAWALS:
                return calls.list_transfers("withdrawals", cursor=cursor)
            case Step.BALANCE:
                return calls.BALANCE

    def take(self, ended: CallAnswered) -> list[AnyFact]:
        """Take an answer, and go on to the next page or step; `steps` is empty at the end.

        Returns the facts in it. Raises RemoteProtocolError for an answer that can't be used.
        """
        step = self.step
        if ended.status == 404 and step in (Step.MISSING, Step.VANISHED):
            return self._not_there(step)
        if ended.status != 200:
            said = answers.refusal(ended.body)
            raise RemoteProtocolError(f"status {ended.status} {said.code if said else ''}".strip())
        facts, cursor = self._read(step, ended.body)
        self.tries = 0
        self._go_on(cursor)
        return facts

    def skip(self) -> None:
        """Do without the current step."""
        assert self.step in OPTIONAL
        if self.step is Step.CUTOFF and self.oldest_doubt:
            self._read_history()  # it may be there: without a word of the exchange, look
        self.tries = 0
        self._go_on("")

    def look_up(self, missing: list[str], since: int) -> None:
        """Orders that should rest and were not listed, to be read one by one.

        `since` (Unix seconds): none of them is older.
        """
        self.missing, self.missing_known = missing, True
        self.history_ts = min(self.history_ts, since)
        if missing:
            self.steps.insert(self.steps.index(Step.FILLS), Step.MISSING)

    def look_for(self, vanished: list[str]) -> None:
        """Markets whose position is gone from the exchange, to be read one by one."""
        self.vanished, self.vanished_known = vanished, True
        if vanished:
            self.steps.insert(self.steps.index(Step.BALANCE), Step.VANISHED)

    def _go_on(self, cursor: str) -> None:
        if cursor and self.step in (Step.MISSING, Step.VANISHED):
            return  # one by one: the list grows shorter with each
        if not cursor:
            self.steps.pop(0)
            self.cursor = ""
            self.cursors = set()
            return
        if cursor in self.cursors or len(self.cursors) >= PAGES_MAX:
            raise RemoteProtocolError(f"the listing of {self.step.name.lower()} goes round")
        self.cursors.add(cursor)
        self.cursor = cursor

    def _not_there(self, step: Step) -> list[AnyFact]:
        self.tries = 0
        if step is Step.MISSING:
            self.lost.append(self.missing.pop())
            if not self.missing:
                self._go_on("")
                self._read_history()
        else:
            self.settling.add(self.vanished.pop())  # a market that is gone trades no more
            if not self.vanished:
                self._go_on("")
        return []

    def _read_history(self) -> None:
        if Step.HISTORY not in self.steps:
            self.steps.insert(1 if self.step is Step.CUTOFF else 0, Step.HISTORY)

    def _read(self, step: Step, body: bytes) -> tuple[list[AnyFact], str]:
        match step:
            case Step.FRESHNESS:
                fresh: UserDataBody = answers.read(body, UserDataBody)
                self.user_data_at = int(fresh.as_of_time)
            case Step.CUTOFF:
                cut: CutoffBody = answers.read(body, CutoffBody)
                if 0 < self.oldest_doubt < cut.orders_updated_ts:
                    self._read_history()
            case Step.ORDERS | Step.HISTORY | Step.RESTING:
                page: OrderPage = answers.read(body, OrderPage)
                return self._orders(page.orders), page.cursor or ""
            case Step.MISSING:
                row = answers.read(body, OneOrder).order
                if row.order_id != self.missing[-1]:
                    raise RemoteProtocolError("the exchange answered for another order")
                found = self._orders((row,))
                self.missing.pop()
                return found, self.missing[-1] if self.missing else ""
            case Step.FILLS:
                fills: FillPage = answers.read(body, FillPage)
                self.fills += len(fills.fills)
                return [row.fact() for row in fills.fills], fills.cursor or ""
            case Step.SETTLEMENTS:
                settled: SettlementPage = answers.read(body, SettlementPage)
                return [row.fact() for row in settled.settlements], settled.cursor or ""
            case Step.POSITIONS:
                held: PositionPage = answers.read(body, PositionPage)
                for row in held.market_positions:
                    self.positions[row.ticker] = Held(row.position_fp, row.market_exposure_dollars)
                return [], held.cursor or ""
            case Step.VANISHED:
                market = answers.read(body, OneMarket).market
                if market.ticker != self.vanished[-1]:
                    raise RemoteProtocolError("the exchange answered for another market")
                if market.status not in TRADING:
                    self.settling.add(market.ticker)
                self.vanished.pop()
                return [], self.vanished[-1] if self.vanished else ""
            case Step.DEPOSITS:
                brought: DepositPage = answers.read(body, DepositPage)
                return [*brought.facts()], brought.cursor or ""
            case Step.WITHDRAWALS:
                taken: WithdrawalPage = answers.read(body, WithdrawalPage)
                return [*taken.facts()], taken.cursor or ""
            case Step.BALANCE:
                self.balances = by_shard(answers.read(body, BalanceBody))
        return [], ""

    def _orders(self, rows: tuple[OrderRow, ...]) -> list[AnyFact]:
        self.orders += len(rows)
        for row in rows:
            self.listed.add(row.client_order_id)
            if row.status == "resting":
                self.resting.add(row.order_id)
        return [row.fact() for row in rows]


def by_shard(body: BalanceBody) -> dict[int, Money]:
    """The balances of the shards; without a breakdown all of it lies on the default one."""
    found = {shard.exchange_index: shard.balance for shard in body.balance_breakdown}
    return found or {0: body.balance_dollars}
