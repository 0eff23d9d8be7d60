"""The account: orders, fills, positions and money, as a fold over ledger entries.

Everyone who needs the account folds the same entries in the order of their numbers with this one
function, so that all agree. Facts may come in any order (a fill before its order, a listing that
is older than what the stream already said); the fold ends in the same place.
"""

from collections.abc import Collection

from msgspec.structs import replace

from protocol.errors import RemoteProtocolError
from protocol.exposure import Asked, OpenOrders, worst_case
from protocol.facts import (
    BalanceSeen,
    CashDiffers,
    Fill,
    LedgerRestored,
    MoneyMoved,
    OrderSide,
    PositionDiffers,
    Reconciled,
    RestoreConfirmed,
    Settled,
)
from protocol.holdings import Holdings, Settlement
from protocol.lifecycle import AT_RISK, FINISHED, UNSETTLED, State
from protocol.limits import ABSENCE_AFTER, FILLS_KEPT, US
from protocol.messages import (
    AccountState,
    Balance,
    BookedFill,
    CashBase,
    Entry,
    Order,
    Position,
    Restored,
)
from protocol.orders import Orders, key_of
from protocol.units import Count, Money

__all__ = ["AT_RISK", "FINISHED", "UNSETTLED", "Account", "Meaning", "State", "key_of"]

Meaning = Order | BookedFill | Position | Balance


class Account:
    """The state after entry `n`. Finished orders and fills are kept up to a bound."""

    def __init__(self, state: AccountState | None = None) -> None:
        state = state or AccountState(0)
        self.n = state.n
        self.reconciled_to = state.reconciled_to
        self.restored = state.restored  # until somebody confirms it
        self._orders = Orders(state)
        self._fills = list(state.fills)
        self._holdings = Holdings(state)

    def __repr__(self) -> str:
        return f"Account(n={self.n})"

    def state(self) -> AccountState:
        """The whole, as a message: `Account(account.state())` is the same account."""
        orders, holdings = self._orders, self._holdings
        return AccountState(
            self.n,
            tuple(orders.all()),
            tuple(self._fills),
            tuple(holdings.positions.values()),
            tuple(holdings.balances.values()),
            dict(orders.filled_by),
            self.reconciled_to,
            dict(orders.withdrawn),
            self.restored,
            holdings.cash,
            holdings.moved,
            dict(holdings.differs),
            holdings.cash_differs,
            dict(holdings.settled),
            dict(orders.filled_at_cancel),
        )

    def apply(self, entry: Entry) -> list[Meaning]:
        """Take the next entry. Returns what it changed, in full.

        Raises RemoteProtocolError if `entry.n` is not the next number, or for amounts that no
        account can have; then this account is void.
        """
        if entry.n != self.n + 1:
            raise RemoteProtocolError(f"entry {entry.n} does not follow {self.n}")
        self.n = entry.n
        fact = entry.fact
        match fact:
            case Fill():
                return self._filled(fact)
            case BalanceSeen():
                return [*self._holdings.see_balance(self.n, fact)]
            case Settled():
                return [*self._holdings.settle(self.n, fact)]
            case MoneyMoved():
                self._holdings.move(fact)
                return []
            case PositionDiffers():
                return [*self._holdings.compare_position(self.n, fact)]
            case CashDiffers():
                self._holdings.compare_cash(self.n, fact)
                return []
            case Reconciled() | LedgerRestored() | RestoreConfirmed():
                self._read(fact)
                return []
        return [*self._orders.take(entry)]

    # Reading

    def order(self, client_order_id: str) -> Order | None:
        return self._orders.get(client_order_id)

    def order_by_id(self, order_id: str) -> Order | None:
        return self._orders.by_id(order_id)

    def orders(self) -> tuple[Order, ...]:
        """All that are kept, oldest first."""
        return tuple(self._orders.all())

    def open_orders(self) -> list[Order]:
        """All that may still fill: resting, intended and unknown ones."""
        return list(self._orders.open)

    @property
    def forgets(self) -> bool:
        """Whether orders that ended may have been dropped from memory: the ledger has them."""
        return self._orders.crowded

    def unsettled(self, ticker: str = "") -> list[Order]:
        """Orders of which nobody knows yet whether they are there: of a market, or all."""
        if not ticker:
            return list(self._orders.open.in_doubt.values())
        return list(self._orders.open.unsettled(ticker))

    def fills(self) -> tuple[BookedFill, ...]:
        """All that are kept, oldest first, each with the client_order_id known by now."""
        return tuple(self._named(fill) for fill in self._fills)

    def positions(self) -> tuple[Position, ...]:
        return tuple(self._holdings.positions.values())

    def position(self, ticker: str) -> Position:
        """What is held of one market; nothing, if it was never heard of."""
        return self._holdings.position(ticker)

    def balances(self) -> tuple[Balance, ...]:
        balances = self._holdings.balances
        return tuple(balances[shard] for shard in sorted(balances))

    def flows(self) -> Money:
        """What all fills and settlements have brought, fees taken off. Compare it with an earlier
        one only: what was held before the ledger began is counted as paid (`Holdings.flows`)."""
        return self._holdings.flows()

    def expected_cash(self) -> Money | None:
        """What the balances of all shards must be together, by the last base and all that came
        and went since; None before there is a base."""
        return self._holdings.expected_cash()

    @property
    def cash(self) -> CashBase | None:
        """The balances that the next ones are compared with."""
        return self._holdings.cash

    @property
    def moved(self) -> Money:
        """Deposits and withdrawals, all together."""
        return self._holdings.moved

    @property
    def differs(self) -> dict[str, tuple[Count, Count]]:
        """Positions that nothing explains: ours and the exchange's, by ticker."""
        return dict(self._holdings.differs)

    def settlements(self) -> tuple[Settlement, ...]:
        """What settled markets paid: those that are kept, by the entry that changed them last."""
        return tuple(
            Settlement(t, at, paid, fee, self.position(t).realized, self.position(t).fees,
                       self.position(t).n)
            for t, (at, paid, fee) in self._holdings.settled.items()
        )  # fmt: skip

    def settled_at(self, ticker: str) -> int:
        """When a market was settled, microseconds; 0 if it was not, or long ago."""
        found = self._holdings.settled.get(ticker)
        return 0 if found is None else found[0]

    def paid_since(self, n: int) -> list[int]:
        """What each market has paid whose settlement is on record since entry `n`."""
        settled = self._holdings.settled.items()
        return [int(paid) for t, (_, paid, _) in settled if self.position(t).n > n]

    @property
    def cash_differs(self) -> Money | None:
        """How much more the exchange shows than we expect, unexplained; None if nothing is."""
        return self._holdings.cash_differs

    # Risk

    @property
    def open(self) -> OpenOrders:
        """All that may still fill, by market: to be read only."""
        return self._orders.open

    def exposure(self, ticker: str) -> Money:
        """The most that a market can still cost if every open order fills, fees apart.

        Resting, intended and unknown orders are open. See `worst_case`.
        """
        return worst_case(self._holdings.positions.get(ticker), *self.at_risk(ticker))

    def tickers_at_risk(self) -> set[str]:
        """Markets in which something is, or was, held, and all in which something may fill."""
        open_now = {*self.open.tickers(), *self._orders.due.tickers()}
        return open_now.union(self._holdings.positions)

    def at_risk(self, ticker: str, leaving: Collection[str] = ()) -> tuple[Asked, Asked]:
        """All of a market that may still fill, without the open orders under the keys `leaving`;
        and what has filled and is not booked."""
        return self._orders.open.asked(ticker, leaving), self._orders.due.asked(ticker)

    def adds_risk(
        self, ticker: str, side: OrderSide, count: Count, client_order_id: str = ""
    ) -> bool:
        """Whether an order of these terms could do anything but reduce what is held.

        False only if it closes held contracts even when all open orders of its side fill first.
        A position that the exchange disputes reduces nothing. `client_order_id` names the order
        itself, so that one whose intent is on record already is not counted twice.
        """
        if ticker in self._holdings.differs:
            return True
        held, due = int(self._holdings.position(ticker).position), self._orders.due.asked(ticker)
        held += due.bids.count if side == "bid" else -due.asks.count
        return not self._orders.open.reduces(ticker, side, int(count), held, client_order_id)

    # The fold

    def _read(self, fact: Reconciled | LedgerRestored | RestoreConfirmed) -> None:
        match fact:
            case Reconciled(started_at=started_at):
                self.reconciled_to = max(self.reconciled_to, started_at)
                if self.restored is not None and started_at >= self.restored.settles_at:
                    self.restored = replace(self.restored, reconciled=True)
            case LedgerRestored(restore_id=restore_id, head=head, restored_at=restored_at):
                settles_at = restored_at + ABSENCE_AFTER // US
                self.restored = Restored(restore_id, self.n, head, settles_at=settles_at)
            case RestoreConfirmed(restore_id=restore_id):
                if self.restored is not None and self.restored.restore_id == restore_id:
                    self.restored = None

    def _filled(self, fact: Fill) -> list[Meaning]:
        order, late = self._orders.fill(self.n, fact)
        position = self._holdings.filled(self.n, fact)
        booked = BookedFill(
            self.n,
            fact.trade_id,
            fact.order_id,
            fact.client_order_id or ("" if order is None else order.client_order_id),
            fact.ticker,
            fact.side,
            fact.price,
            fact.count,
            fact.fee,
            fact.is_taker,
            fact.exchange_at,
            position.position,
            late,
        )
        self._fills.append(booked)
        if len(self._fills) > FILLS_KEPT:
            del self._fills[: FILLS_KEPT // 10]
        return [booked, position] if order is None else [booked, position, order]

    def _named(self, fill: BookedFill) -> BookedFill:
        if fill.client_order_id:
            return fill
        order = self.order_by_id(fill.order_id)
        return fill if order is None else replace(fill, client_order_id=order.client_order_id)
