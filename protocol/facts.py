"""What may stand in the ledger: facts about the account, each with a natural id.

The same fact told twice, by whichever road, is one entry. What makes two reports of one fact
the same is decided here: `natural_id` names it, `essence` is what has to agree.
"""

import hashlib
import operator
from collections.abc import Callable
from typing import Final, Literal

import msgspec
from msgspec import Struct

from protocol.units import Count, Money, Price, encode_unit

OrderSide = Literal["bid", "ask"]  # of the YES leg, as V2 orders see it (FACTS.md section 5)
TimeInForce = Literal["good_till_canceled", "immediate_or_cancel", "fill_or_kill"]
Outcome = Literal["done", "rejected", "denied", "withdrawn", "unknown", "absent"]  # of an amend
ExchangeStatus = Literal["resting", "canceled", "executed"]


class Fact(Struct, frozen=True, tag=True, gc=False):
    """One thing that became true about the account. (Frozen: no cycles, no work for the gc.)"""


class OrderIntended(Fact, frozen=True):
    """We mean to send this order. Committed before a byte of it may leave."""

    client_order_id: str
    ticker: str
    side: OrderSide
    price: Price
    count: Count
    time_in_force: TimeInForce
    body_hash: str  # SHA-256 of the order's terms: the same id with other terms is refused
    post_only: bool = False
    asked_by: str = ""
    order_group_id: str = ""  # the exchange's group that it belongs to
    lease_s: int = 0  # it expires by itself unless we renew it; 0: it does not


class OrderWithdrawn(Fact, frozen=True):
    """The intent was given up before it was sent: it never will be, even if it commits later."""

    client_order_id: str
    reason: str


class OrderDenied(Fact, frozen=True):
    """Refused by ourselves after the intent was committed; not a byte was sent."""

    client_order_id: str
    reason: str


class OrderAccepted(Fact, frozen=True):
    """The exchange answered 201 with an order id."""

    client_order_id: str
    order_id: str
    filled: Count
    remaining: Count
    exchange_at: int = 0  # microseconds


class OrderRejected(Fact, frozen=True):
    """The exchange refused it for certain (table B2): there is no such order."""

    client_order_id: str
    status: int
    code: str
    text: str = ""


class OrderUnknown(Fact, frozen=True):
    """Sent, or perhaps sent, and no answer that settles it. Counts as exposure until resolved."""

    client_order_id: str
    reason: str


class OrderAbsent(Fact, frozen=True):
    """An unknown order that two complete listings did not have: it was never accepted."""

    client_order_id: str
    evidence: str


class OrderSeen(Fact, frozen=True):
    """The state of an order as the exchange showed it, on the stream or in a listing."""

    order_id: str
    client_order_id: str  # "" where the exchange names none
    ticker: str
    side: OrderSide
    price: Price
    status: ExchangeStatus
    initial: Count
    filled: Count
    remaining: Count
    updated_at: int  # milliseconds: the exchange's coarsest form, so both roads give one id
    terms: bool = False  # price and size are to be taken over: it may have been amended


class OrderCanceled(Fact, frozen=True):
    """The exchange confirmed a cancel of ours."""

    order_id: str
    client_order_id: str
    reduced_by: Count
    exchange_at: int = 0  # microseconds


class AmendIntended(Fact, frozen=True):
    """We mean to give an order other terms. Committed before a byte of it may leave."""

    client_order_id: str
    amend_id: str
    price: Price
    count: Count  # of the whole order, what is filled already included


class AmendOutcome(Fact, frozen=True):
    """What became of an amend.

    done: the exchange confirmed it. rejected: refused for certain. denied, withdrawn: never sent.
    unknown: no answer that settles it, so the larger of old and new counts. absent: the order was
    read with its old terms when no request of ours could land any more.
    """

    client_order_id: str
    amend_id: str
    outcome: Outcome
    text: str = ""
    exchange_at: int = 0  # microseconds, where it is done


class Fill(Fact, frozen=True):
    """An execution of (part of) one of our orders. `price` is of the YES leg."""

    order_id: str
    trade_id: str
    ticker: str
    side: OrderSide
    price: Price
    count: Count
    fee: Money
    is_taker: bool
    exchange_at: int = 0  # microseconds; the stream knows only milliseconds
    client_order_id: str = ""  # the stream says it, REST does not (FACTS.md section 4.5)


class BalanceSeen(Fact, frozen=True):
    """The money that the exchange says is available on a shard."""

    shard: int
    balance: Money
    seen_at: int  # microseconds


class Reconciled(Fact, frozen=True):
    """Orders and fills of the exchange were read completely and told to the ledger."""

    epoch: int  # of the gateway that read them
    round: int
    started_at: int  # microseconds: everything before this moment has been read
    orders: int
    fills: int
    cause: str = ""  # what the round was for: "boot", "asked", "interval", "doubt", "restore"
    found: int = 0  # facts that nobody had told before: orders, fills, settlements


class Settled(Fact, frozen=True):
    """A market that we held something of was settled, and paid."""

    ticker: str
    shard: int
    result: str  # "yes", "no", "scalar"
    yes_count: Count
    no_count: Count
    revenue: Money
    fee: Money  # all that was paid in fees for it, by the exchange's word: with its fills
    settled_at: int  # microseconds


class MoneyMoved(Fact, frozen=True):
    """Money came from outside, or went there, and is reflected in the balance."""

    kind: Literal["deposit", "withdrawal"]
    id: str  # the exchange's
    amount: Money  # + a deposit, - a withdrawal, fees taken off
    moved_at: int  # microseconds


class PositionDiffers(Fact, frozen=True):
    """The exchange shows another position than the ledger's fills and settlements make.

    opened: the ledger's first complete reading; what was held before it is taken over.
    unexplained: trading halts. accepted: somebody resumed it; what the exchange shows counts.
    resolved: both show the same again.
    """

    ticker: str
    ours: Count
    theirs: Count
    cost: Money  # of what the exchange shows, by its own word
    cause: Literal["opened", "unexplained", "accepted", "resolved"]
    epoch: int  # of the gateway that read it
    round: int


class CashDiffers(Fact, frozen=True):
    """The balances of all shards, read while nothing rested, as a base for the next comparison.

    opened: the first. unexplained: fills, settlements and transfers since the base don't make
    it, and trading halts. accepted: somebody resumed it; what the exchange shows counts.
    rounded: within what the exchange's rounding of each fill can come to. resolved: as expected.
    """

    balance: Money  # what the exchange shows
    expected: Money  # what the ledger makes it
    cause: Literal["opened", "rounded", "unexplained", "accepted", "resolved"]
    epoch: int
    round: int


class LedgerRestored(Fact, frozen=True):
    """The ledger was put back from a backup: what came after entry `head` is gone from it."""

    restore_id: str
    head: int  # the last entry of the backup
    restored_at: int  # microseconds


class RestoreConfirmed(Fact, frozen=True):
    """An operator says that ids chosen by clients may be used again after a restore."""

    restore_id: str
    confirmed_by: str


AnyFact = (
    OrderIntended
    | OrderWithdrawn
    | OrderDenied
    | OrderAccepted
    | OrderRejected
    | OrderUnknown
    | OrderAbsent
    | OrderSeen
    | OrderCanceled
    | AmendIntended
    | AmendOutcome
    | Fill
    | BalanceSeen
    | Reconciled
    | Settled
    | MoneyMoved
    | PositionDiffers
    | CashDiffers
    | LedgerRestored
    | RestoreConfirmed
)

INTENTS: Final = (OrderIntended, AmendIntended)
"""What may be sent only by whoever was told that it is news."""

# What one road knows and the other does not; it does not make two reports of a fact differ.
_INCIDENTAL: dict[type, dict[str, object]] = {
    Fill: {"exchange_at": 0, "client_order_id": ""},
    OrderSeen: {"client_order_id": "", "terms": False},
    OrderIntended: {"asked_by": ""},
    OrderWithdrawn: {"reason": ""},
    OrderDenied: {"reason": ""},
    OrderUnknown: {"reason": ""},
    OrderAbsent: {"evidence": ""},
    AmendOutcome: {"text": ""},
    MoneyMoved: {"moved_at": 0},
    RestoreConfirmed: {"confirmed_by": ""},
}

# Fields that a kind of fact did not begin with: last, and each with a default. While they have it,
# the essence is that of before; ledgers on disk hold it.
ADDED: dict[type, tuple[str, ...]] = {
    OrderIntended: ("order_group_id", "lease_s"),
    OrderSeen: ("terms",),
}


class _Essential(Struct, frozen=True):
    """What of a kind of fact has to agree: the fields that it began with, in their order, those
    that are incidental with one value for all; then what was added, if it says something."""

    shape: Callable[..., Struct]
    pick: Callable[[tuple[object, ...]], tuple[object, ...]]  # from the fact's values and these:
    incidental: tuple[object, ...]
    added: tuple[tuple[int, str, object], ...]  # place, name, and the default


def _essential(kind: type) -> _Essential:
    fields = msgspec.structs.fields(kind)
    incidental, added = _INCIDENTAL.get(kind, {}), ADDED.get(kind, ())
    names = [field.name for field in fields if field.name not in added]
    same = {name: len(fields) + at for at, name in enumerate(incidental)}
    pick = operator.itemgetter(*(same.get(name, at) for at, name in enumerate(names)))
    shape = msgspec.defstruct(kind.__name__, names, tag=kind.__name__, gc=False)
    late = [
        (at, field.name, field.default)
        for at, field in enumerate(fields)
        if field.name in added and field.name not in incidental
    ]
    return _Essential(shape, pick, tuple(incidental.values()), tuple(late))


_ESSENTIAL = {kind: _essential(kind) for kind in _INCIDENTAL.keys() | ADDED.keys()}
_encode = msgspec.json.Encoder(enc_hook=encode_unit).encode


def natural_id(fact: AnyFact) -> str:
    """The name of the fact: two reports of the same fact have the same one."""
    match fact:
        case OrderIntended():
            return f"intent:{fact.client_order_id}"
        case OrderWithdrawn():
            return f"withdrawn:{fact.client_order_id}"
        case OrderDenied():
            return f"denied:{fact.client_order_id}"
        case OrderAccepted():
            return f"accepted:{fact.client_order_id}:{fact.order_id}"
        case OrderRejected():
            return f"rejected:{fact.client_order_id}"
        case OrderUnknown():
            return f"unknown:{fact.client_order_id}"
        case OrderAbsent():
            return f"absent:{fact.client_order_id}"
        case OrderSeen(order_id=oid, updated_at=at, filled=f, remaining=r, status=status):
            return f"order:{oid}:{at}:{int(f)}:{int(r)}:{status}"
        case OrderCanceled():
            return f"canceled:{fact.order_id}:{fact.exchange_at}"
        case AmendIntended():
            return f"amend:{fact.client_order_id} {fact.amend_id}"
        case AmendOutcome():
            return f"amend:{fact.client_order_id} {fact.amend_id} {fact.outcome}"
        case Fill():
            return f"fill:{fact.order_id}:{fact.trade_id}"
        case BalanceSeen():
            return f"balance:{fact.shard}:{fact.seen_at}"
        case Reconciled():
            return f"reconciled:{fact.epoch}:{fact.round}"
        case Settled():
            return f"settled:{fact.ticker}:{fact.settled_at}"
        case MoneyMoved():
            return f"{fact.kind}:{fact.id}"
        case PositionDiffers():
            return f"position-differs:{fact.ticker}:{fact.epoch}:{fact.round}"
        case CashDiffers():
            return f"cash-differs:{fact.epoch}:{fact.round}"
        case LedgerRestored():
            return f"restored:{fact.restore_id}"
        case RestoreConfirmed():
            return f"restore-confirmed:{fact.restore_id}"


def essence(fact: AnyFact, body: bytes = b"") -> bytes:
    """SHA-256 over what has to agree between two reports of the same fact.

    `body` is the fact in JSON, if the caller has it: most facts agree as a whole or not at all.
    """
    kept = _ESSENTIAL.get(type(fact))
    if kept is None:
        return hashlib.sha256(body or _encode(fact)).digest()
    values = msgspec.structs.astuple(fact)
    found = hashlib.sha256(_encode(kept.shape(*kept.pick(values + kept.incidental))))
    for at, name, default in kept.added:
        if values[at] != default:
            found.update(_encode({name: values[at]}))
    return found.digest()


def is_money(fact: AnyFact) -> bool:
    """Whether a fact that can't be booked must stop trading: all about orders and fills."""
    return not isinstance(fact, BalanceSeen | Reconciled | LedgerRestored | RestoreConfirmed)
