"""What the account holds and waits for, what markets paid, what came from outside: its rows.

FACTS.md sections 6.3 and 6.4. Settlements, deposits, withdrawals and transfers between subaccounts
come in whole cents where everything else is in dollars, transfers between shards, too.
"""

from typing import Annotated, Final, Literal

from msgspec import Meta, Struct

from protocol.errors import RemoteProtocolError
from protocol.facts import MoneyMoved, Settled
from protocol.kalshi.answers import market_of
from protocol.kalshi.reading import Id, since_1970
from protocol.limits import MONEY_MAX
from protocol.units import Count, Money

CENT: Final = 10_000  # micro-dollars
REFLECTED: Final = "applied"  # the one status in which a transfer is in the balance

Cents = Annotated[int, Meta(ge=-MONEY_MAX // CENT, le=MONEY_MAX // CENT)]
Unsigned = Annotated[int, Meta(ge=0, le=MONEY_MAX // CENT)]  # cents
Word = Annotated[str, Meta(min_length=1, max_length=64)]  # of an open set
Shard = Annotated[int, Meta(ge=0, le=10_000)]
Subaccount = Annotated[int, Meta(ge=0, le=10_000)]
Seconds = Annotated[int, Meta(ge=0, le=2**33)]


class PositionRow(Struct, frozen=True):
    """What is held of one market: + YES, - NO. It lags behind fills (FACTS.md section 6.1)."""

    ticker: str
    position_fp: Count
    market_exposure_dollars: Money  # what the position has cost
    exchange_index: Shard = 0
    realized_pnl_dollars: Money = Money(0)
    fees_paid_dollars: Money = Money(0)


class PositionPage(Struct, frozen=True):
    market_positions: tuple[PositionRow, ...]
    cursor: str | None = ""


class SettlementRow(Struct, frozen=True):
    """A market that we held something of, and what it paid."""

    ticker: str
    market_result: str
    yes_count_fp: Count
    no_count_fp: Count
    revenue: Cents
    settled_time: str
    fee_cost: Money
    exchange_index: Shard = 0
    value: Cents | None = None  # of one YES contract

    def fact(self) -> Settled:
        """Raises RemoteProtocolError if it makes no sense."""
        if min(self.yes_count_fp, self.no_count_fp) < 0 or not 0 < len(self.market_result) <= 20:
            raise RemoteProtocolError(f"settlement of {self.ticker[:80]!r} makes no sense")
        return Settled(
            market_of(self.ticker),
            self.exchange_index,
            self.market_result,
            self.yes_count_fp,
            self.no_count_fp,
            Money(self.revenue * CENT),
            self.fee_cost,
            since_1970(self.settled_time),
        )


class SettlementPage(Struct, frozen=True):
    settlements: tuple[SettlementRow, ...]
    cursor: str | None = ""


class TransferRow(Struct, frozen=True):
    """A deposit or a withdrawal, in whatever state it is."""

    id: Id
    status: str  # an open set
    amount_cents: Unsigned
    fee_cents: Unsigned
    created_ts: Seconds
    finalized_ts: Seconds | None = None

    def fact(self, kind: Literal["deposit", "withdrawal"]) -> MoneyMoved | None:
        """None unless the balance reflects it. The fee is taken off either way: a deposit
        brings less, a withdrawal takes more."""
        if self.status != REFLECTED:
            return None
        signed = self.amount_cents if kind == "deposit" else -self.amount_cents
        at = self.created_ts if self.finalized_ts is None else self.finalized_ts
        return MoneyMoved(kind, self.id, Money((signed - self.fee_cents) * CENT), at * 1_000_000)


class DepositPage(Struct, frozen=True):
    deposits: tuple[TransferRow, ...]
    cursor: str | None = ""

    def facts(self) -> list[MoneyMoved]:
        """Those that the balance reflects."""
        return [fact for row in self.deposits if (fact := row.fact("deposit")) is not None]


class WithdrawalPage(Struct, frozen=True):
    withdrawals: tuple[TransferRow, ...]
    cursor: str | None = ""

    def facts(self) -> list[MoneyMoved]:
        """Those that the balance reflects."""
        return [fact for row in self.withdrawals if (fact := row.fact("withdrawal")) is not None]


class QueuePosition(Struct, frozen=True):
    """Contracts ahead of an order."""

    queue_position_fp: Count | None = None
    queue_position: int | None = None

    def __post_init__(self) -> None:
        _queued(self.queue_position_fp, self.queue_position)


class OrderQueued(Struct, frozen=True):
    order_id: Id
    market_ticker: str
    queue_position_fp: Count | None = None
    queue_position: int | None = None

    def __post_init__(self) -> None:
        _queued(self.queue_position_fp, self.queue_position)


def _queued(*found: int | None) -> None:
    said = [position for position in found if position is not None]
    if not said or min(said) < 0:
        raise ValueError("no place in a queue")


class QueuePositions(Struct, frozen=True):
    queue_positions: tuple[OrderQueued, ...] | None  # null where nothing rests


class OrderGroup(Struct, frozen=True):
    id: Id
    is_auto_cancel_enabled: bool
    contracts_limit_fp: Count | None = None
    contracts_limit: int | None = None
    exchange_index: Shard = 0


class OrderGroups(Struct, frozen=True):
    order_groups: tuple[OrderGroup, ...] | None = None  # absent without any


class OneOrderGroup(Struct, frozen=True):
    is_auto_cancel_enabled: bool
    orders: tuple[Id, ...] | None
    contracts_limit_fp: Count | None = None
    contracts_limit: int | None = None
    exchange_index: Shard = 0


class SubaccountBalance(Struct, frozen=True):
    subaccount_number: Subaccount
    balance: Money
    updated_ts: Seconds
    exchange_index: Shard = 0


class SubaccountBalances(Struct, frozen=True):
    subaccount_balances: tuple[SubaccountBalance, ...]


class SubaccountTransfer(Struct, frozen=True):
    """Cash that went from one subaccount to another on the same shard; 0 is the main account."""

    transfer_id: Id
    from_subaccount: Subaccount
    to_subaccount: Subaccount
    amount_cents: Unsigned
    created_ts: Seconds
    exchange_index: Shard

    def __post_init__(self) -> None:
        if self.from_subaccount == self.to_subaccount:
            raise ValueError(f"a transfer from subaccount {self.from_subaccount} to itself")


class SubaccountTransferPage(Struct, frozen=True):
    transfers: tuple[SubaccountTransfer, ...]
    cursor: str | None = ""


class NettingConfig(Struct, frozen=True):
    """Whether YES and NO of one market cancel each other out for a subaccount on a shard."""

    subaccount_number: Subaccount
    enabled: bool
    exchange_index: Shard


class SubaccountNetting(Struct, frozen=True):
    netting_configs: tuple[NettingConfig, ...]


class ShardTransfer(Struct, frozen=True):
    """Cash that went from shard to shard. While it is `pending` it may be on neither."""

    transfer_id: Id
    source: Word  # event_contract or margined, so far
    destination: Word
    source_exchange_shard: Shard
    destination_exchange_shard: Shard
    amount: Money
    status: Word  # pending or complete, so far
    created_ts: Seconds

    def __post_init__(self) -> None:
        if self.amount <= 0:
            raise ValueError("a transfer of no money")


class ShardTransferPage(Struct, frozen=True):
    transfers: tuple[ShardTransfer, ...]
    cursor: str | None = ""  # absent from the last page


class OneShardTransfer(Struct, frozen=True):
    transfer: ShardTransfer
