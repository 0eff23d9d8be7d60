"""The vocabulary: every message that crosses a process boundary, frozen.

In JSON each message says its `type`, the name of its class; prices, counts and money are decimal
strings; times are microseconds since the Unix epoch. Fields are only ever added, at the end and
with a default; unknown fields are ignored.
"""

from typing import Literal

from msgspec import Struct

from protocol.facts import AnyFact, ExchangeStatus, OrderSide, TimeInForce
from protocol.units import Count, Money, Price

BookSide = Literal["yes", "no"]
Level = tuple[Price, Count]


class Message(Struct, frozen=True, tag=True, gc=False):
    """A frozen fact or request between processes."""


# Market data, published by the stream. NO prices are in NO terms: what a NO contract costs.


class BookSnapshot(Message, frozen=True):
    """All bids of a market, ascending by price. A follower starts again from it."""

    ticker: str
    yes: tuple[Level, ...]
    no: tuple[Level, ...]
    received_at: int = 0


class BookDelta(Message, frozen=True):
    """One level changed by `change` contracts; at zero the level is gone."""

    ticker: str
    side: BookSide
    price: Price
    change: Count
    exchange_at: int = 0
    received_at: int = 0


class BookLost(Message, frozen=True):
    """The stream missed something: no level of this book may be used until a snapshot."""

    ticker: str
    reason: str


class Trade(Message, frozen=True):
    """A public print. `price` is of the YES leg, `taker_side` the outcome that the taker bought."""

    ticker: str
    trade_id: str
    price: Price
    count: Count
    taker_side: BookSide
    exchange_at: int = 0
    received_at: int = 0


class Quote(Message, frozen=True):
    """The exchange's own summary of a market, of the YES leg. A size of zero means no quote."""

    ticker: str
    last: Price
    bid: Price
    ask: Price
    bid_size: Count
    ask_size: Count
    volume: Count
    open_interest: Count
    exchange_at: int = 0
    received_at: int = 0


class Mark(Message, frozen=True):
    """Once a second: the last seq of each topic that changed, and the ledger's last number.

    So that the loss of a *last* message is noticed too. It has a seq of its own.
    """

    topics: dict[str, int]
    head: int = 0


class BookRequest(Message, frozen=True):
    """Asks the stream for one book as of now."""

    ticker: str


class BookAnswer(Message, frozen=True):
    """One book, as of `seq` of its topic in the stream's `epoch`. Only a live one has levels."""

    ticker: str
    state: Literal["live", "lost", "not followed"]
    epoch: int
    seq: int
    yes: tuple[Level, ...] = ()
    no: tuple[Level, ...] = ()
    reason: str = ""
    received_at: int = 0


# The ledger


class Append(Message, frozen=True):
    """Tells the writer a fact. The letter's id is the fact's natural id."""

    fact: AnyFact


class Appended(Message, frozen=True):
    """The writer's answer, after commit. NEW and REPEAT carry the entry's number.

    CONFLICT: the same id is on record with another body. REFUSED: not booked, see the reason.
    Money that could not be booked is set aside, under the number `aside`: telling it again
    changes nothing, and trading is halted for it. Without a number it is worth another try.
    """

    verdict: Literal["NEW", "REPEAT", "CONFLICT", "REFUSED"]
    n: int = 0
    reason: str = ""
    aside: int = 0


class Entry(Message, frozen=True):
    """One committed fact with its ledger number `n`, contiguous from 1."""

    n: int
    id: str
    at: int
    source: str
    fact: AnyFact


class EntriesRequest(Message, frozen=True):
    """Asks the writer for committed entries with numbers above `since`."""

    since: int
    limit: int = 500


class Entries(Message, frozen=True):
    """Entries in order; `head` is the ledger's last number. Fewer than `limit`: that was all."""

    entries: tuple[Entry, ...]
    head: int


# What an entry meant: published by the writer after commit, with the entry's number


class Order(Message, frozen=True):
    """An order as the ledger knows it. `client_order_id` is "" for an order that is not ours."""

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
    cash_differs: Money | None = None  # unexplained: the balance that the exchange showed
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


# Commands to the gateway


class PlaceOrder(Message, frozen=True):
    """Asks for an order. The same id with the same terms is answered again, never sent again."""

    client_order_id: str
    ticker: str
    side: OrderSide
    price: Price
    count: Count
    time_in_force: TimeInForce
    post_only: bool = False
    minted: bool = False  # the front made the id up: nobody can have used it before


class OrderAnswer(Message, frozen=True):
    """What became of an order.

    accepted, rejected and unknown are the exchange's word or its silence. denied: we refused it,
    nothing was sent. conflict: the id is taken by other terms. unavailable: it was not recorded
    in time and will not be sent; ask again with a new id.
    """

    client_order_id: str
    outcome: Literal["accepted", "rejected", "unknown", "denied", "conflict", "unavailable"]
    order: Order | None = None
    code: str = ""
    text: str = ""
    retry_after_ms: int = 0
    field: str = ""  # of the order, that is wrong


class CancelOrder(Message, frozen=True):
    """Asks for an order's cancellation. Needs no gate and waits behind no order."""

    client_order_id: str


class CancelAnswer(Message, frozen=True):
    """canceled: the exchange confirmed. gone: it has no such resting order any more.

    not_found: nobody knows the id. unknown: no answer that settles it; ask again.
    """

    client_order_id: str
    outcome: Literal["canceled", "gone", "not_found", "unknown", "unavailable"]
    order_id: str = ""
    reduced_by: Count = Count(0)
    text: str = ""


class Halt(Message, frozen=True):
    """Latches the halt: no new order until somebody resumes. Survives restarts."""

    reason: str


class Resume(Message, frozen=True):
    """Lifts the halt."""

    reason: str


class Panic(Message, frozen=True):
    """Halts, cancels everything that rests, and looks until nothing does.

    Creates are held for a minute after the last cancel-all, because it may take orders of that
    minute, too (FACTS.md section 6.2).
    """

    reason: str


class PanicAnswer(Message, frozen=True):
    """running: halted, and something may still rest: ask again. done: nothing rests any more."""

    state: Literal["running", "done"]
    resting: int = -1  # orders of the last complete listing; -1: none was complete yet
    cancel_alls: int = 0  # sent so far
    hold_ms: int = 0  # how long creates are still held, once trading is resumed
    reason: str = ""  # what keeps it from being done
    saved: bool = True  # the halt is on disk


class HaltAnswer(Message, frozen=True):
    """Whether trading is halted now, and why; `saved` unless that could not be put on disk."""

    halted: bool
    reason: str = ""
    saved: bool = True


class ConfirmRestore(Message, frozen=True):
    """After a restore from a backup: ids chosen by clients may be used again, says somebody."""

    confirmed_by: str


class RestoreAnswer(Message, frozen=True):
    """confirmed: it is on record. none: no restore waits for it. refused: not yet, or not so."""

    state: Literal["confirmed", "none", "refused"]
    reason: str = ""


class DoubtRequest(Message, frozen=True):
    """Asks the gateway how far it is with settling an order that may or may not be there."""

    client_order_id: str


class DoubtAnswer(Message, frozen=True):
    """What has been looked at so far. Times are microseconds; 0: not yet, or not known."""

    open: bool  # False: the order is not in doubt
    since: int = 0  # its call ended, or was found to have
    settles_at: int = 0  # no request of ours can land after this
    misses: int = 0  # complete listings after that which did not have it
    misses_needed: int = 0
    user_data_at: int = 0  # how fresh the exchange says that its listings are
    next_at: int = 0  # the next listing
    trouble: str = ""  # what keeps listings from being complete
    glimpsed: bool = False  # a change of a book has named it: it is there, whatever listings say


class AcquireTokens(Message, frozen=True):
    """Asks for tokens of the account's budget, for calls that the asker makes itself."""

    budget: Literal["read", "write"]
    tokens: int
    shard: int = 0  # >= 1: of the write budget of this shard
    wait_ms: int = 0  # how long the answer may wait for them


class TokensAnswer(Message, frozen=True):
    """granted: spend them within `valid_ms`. later: ask again after `retry_after_ms`.

    never: the bucket can't hold so many.
    """

    state: Literal["granted", "later", "never"]
    retry_after_ms: int = 0
    valid_ms: int = 0
    reason: str = ""


class MarketsRequest(Message, frozen=True):
    """Asks the gateway which market tickers a list of tickers, events, series or "*" means."""

    follow: tuple[str, ...]


class MarketsAnswer(Message, frozen=True):
    """The tickers, or why they can't be told yet."""

    tickers: tuple[str, ...]
    complete: bool
    reason: str = ""


class OrderGlimpsed(Message, frozen=True):
    """The stream tells the gateway: a change of a book names an order of ours as its cause.

    So the exchange has it. Nobody answers; it may be lost, and only makes things quicker.
    """

    client_order_id: str


class Reconcile(Message, frozen=True):
    """Asks the gateway to read orders, fills and balance of the exchange into the ledger."""

    reason: str


class ReconcileAnswer(Message, frozen=True):
    """All that was read is committed, up to ledger number `n`."""

    n: int


# Health


class Heartbeat(Message, frozen=True):
    """Each second, from the loop that steps the core, so a stuck core falls silent."""

    ready: bool
    reasons: tuple[str, ...]
    pid: int
    generation: int
    flags: dict[str, bool] = {}
    counters: dict[str, int] = {}


class Signal(Message, frozen=True):
    """A life-cycle signal, such as `reconnect_scheduled`, and what brought it about."""

    signal: Literal[
        "connect", "await_disconnect", "reconnect_scheduled", "health_state", "boot_rehydrate"
    ]
    cause: str
    subject: str = ""


class ProcessHealth(Message, frozen=True):
    """What the supervisor knows of one process."""

    state: Literal["unseen", "unready", "ready", "suspect", "missing"]
    reason: str
    epoch: int
    pid: int
    restarts: int
    heartbeat_age_ms: int  # -1: never heard
    counters: dict[str, int] = {}


class Health(Message, frozen=True):
    """A change of one process's state, or a life-cycle signal of it."""

    process: str
    state: str
    reason: str
    signal: str = ""
    subject: str = ""


class System(Message, frozen=True):
    """The whole: healthy, the flags, who blocks it, and the gate for new risk with its lease."""

    healthy: bool
    gate: Literal["open", "closed"]
    lease_ms: int
    reasons: tuple[str, ...]
    flags: dict[str, bool]
    processes: dict[str, ProcessHealth]
    read_only: bool = False  # the boot has ended without the exchange: the ledger is served


class Refused(Message, frozen=True):
    """The answer to a letter that could not be read or has no place here."""

    reason: str


AnyMessage = (
    BookSnapshot
    | BookDelta
    | BookLost
    | Trade
    | Quote
    | Mark
    | BookRequest
    | BookAnswer
    | Append
    | Appended
    | Entry
    | EntriesRequest
    | Entries
    | Order
    | BookedFill
    | Position
    | Balance
    | EvidenceRequest
    | EvidenceAnswer
    | AccountRequest
    | AccountAnswer
    | PlaceOrder
    | OrderAnswer
    | CancelOrder
    | CancelAnswer
    | Halt
    | Resume
    | HaltAnswer
    | Panic
    | PanicAnswer
    | DoubtRequest
    | DoubtAnswer
    | AcquireTokens
    | TokensAnswer
    | ConfirmRestore
    | RestoreAnswer
    | MarketsRequest
    | MarketsAnswer
    | OrderGlimpsed
    | Reconcile
    | ReconcileAnswer
    | Heartbeat
    | Signal
    | Health
    | System
    | Refused
)

__all__ = ["AnyMessage", "ExchangeStatus", "Message"]
