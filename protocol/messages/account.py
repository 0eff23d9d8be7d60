"""What entries mean: published by the writer after commit, with the entry's number; the account."""

from typing import Literal

from msgspec import Struct

from protocol.facts import OrderSide, Outcome, TimeInForce
from protocol.messages.ledger import Entry
from protocol.messages.message import Message
from protocol.units import Count, Money, Price


class Amend(Struct, frozen=True, gc=False):
    """The last amend of an order. While it is intended or unknown, old and new terms may hold."""

    id: str
    price: Price
    count: Count  # of the whole order, what is filled already included
    state: Literal["intended"] | Outcome
    text: str = ""

    @property
    def pending(self) -> bool:
        """Whether nobody knows yet if it holds."""
        return self.state in ("intended", "unknown")


class Order(Message, frozen=True):
    """An order as the ledger knows it. `client_order_id` is "" for an order that is not ours.
    `updated_at` and `amended_at` are the exchange's milliseconds, `created_at` microseconds."""

    client_order_id: str
    order_id: str
    ticker: str
    side: OrderSide
    price: Price
    count: Count
    time_in_force: TimeInForce
    state: Literal[
        "intended",
        "unknown",
        "resting",
        "executed",
        "canceled",
        "rejected",
        "denied",
        "withdrawn",
        "absent",
    ]
    filled: Count = Count(0)
    remaining: Count = Count(0)
    reason: str = ""
    body_hash: str = ""
    created_at: int = 0
    updated_at: int = 0  # milliseconds, of the exchange
    n: int = 0  # the last entry that changed it
    amend: Amend | None = None  # the last one
    amended_at: int = 0  # milliseconds, of the exchange: older sightings tell former terms
    lease_s: int = 0  # it ends so long after it is renewed last; 0: never by itself


class BookedFill(Message, frozen=True):
    """A fill on record. `position` is what we hold after it, + YES and - NO."""

    n: int
    trade_id: str
    order_id: str
    client_order_id: str
    ticker: str
    side: OrderSide
    price: Price
    count: Count
    fee: Money
    is_taker: bool
    exchange_at: int
    position: Count
    late: bool = False  # the order counted as finished, without this fill


class Position(Message, frozen=True):
    """What we hold of a market: + YES, - NO; `cost` is what the open contracts cost."""

    ticker: str
    position: Count
    cost: Money
    realized: Money
    fees: Money
    n: int = 0


class Balance(Message, frozen=True):
    """Money available on a shard, as the exchange said at `seen_at`."""

    shard: int
    balance: Money
    seen_at: int
    n: int = 0


class Restored(Message, frozen=True):
    """A restore from a backup that nobody has confirmed yet."""

    restore_id: str
    n: int  # the entry that says so
    head: int  # the last entry of the backup
    reconciled: bool = False  # the exchange has been read completely since `settles_at`
    settles_at: int = 0  # microseconds: no request from before the restore can land any more


class CashBase(Message, frozen=True):
    """Balances that were right: what came and went since must explain the next ones."""

    balance: Money  # of all shards
    flows: Money  # what all fills and settlements had brought by then
    moved: Money  # what deposits and withdrawals had brought by then
    n: int


class AccountState(Message, frozen=True):
    """The whole account as of ledger number `n`: what a snapshot holds."""

    n: int
    orders: tuple[Order, ...] = ()
    fills: tuple[BookedFill, ...] = ()
    positions: tuple[Position, ...] = ()
    balances: tuple[Balance, ...] = ()
    filled_by: dict[str, Count] = {}  # contracts booked per order id, orders not yet seen too
    reconciled_to: int = 0  # microseconds: the exchange has been read up to here
    withdrawn: dict[str, str] = {}  # reasons, by client_order_id, of intents yet to come
    restored: Restored | None = None  # from a backup, and nobody has confirmed it yet
    cash: CashBase | None = None  # what the next balances are compared with
    moved: Money = Money(0)  # deposits and withdrawals, all together
    differs: dict[str, tuple[Count, Count]] = {}  # unexplained: ours and theirs, by ticker
    cash_differs: Money | None = None  # unexplained: by how much the exchange showed more
    settled: dict[str, tuple[int, Money, Money]] = {}  # when, revenue, fee: the last, by ticker
    filled_at_cancel: dict[str, Count] = {}  # by order id, where fills are still on their way


class EvidenceRequest(Message, frozen=True):
    """Asks the rehydrator which entries speak of an order."""

    client_order_id: str


class EvidenceAnswer(Message, frozen=True):
    """The entries that speak of an order, oldest first, as of ledger number `n`."""

    entries: tuple[Entry, ...]
    n: int
    complete: bool = True  # False: there are more than fit
    reason: str = ""  # why it can't be told


class AccountRequest(Message, frozen=True):
    """Asks the rehydrator for the account."""


class AccountAnswer(Message, frozen=True):
    """The account, once it is restored from the ledger; before that, only the reason."""

    state: Literal["restored", "restoring"]
    account: AccountState | None = None
    reason: str = ""
