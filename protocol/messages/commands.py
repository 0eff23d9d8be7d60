"""Letters to the gateway: orders, cancels, halts, tokens, reconciliation."""

from typing import Literal

import msgspec
from msgspec import Struct

from protocol.brakes import UNSAID, Brakes, Limits
from protocol.facts import OrderSide, TimeInForce
from protocol.messages.account import Order
from protocol.messages.message import Exact, Message
from protocol.units import Count, Money, Price


class PlaceOrder(Exact, frozen=True):
    """Asks for an order. The same id with the same terms is answered again, never sent again."""

    client_order_id: str
    ticker: str
    side: OrderSide
    price: Price
    count: Count
    time_in_force: TimeInForce
    post_only: bool = False
    minted: bool = False  # the front made the id up: nobody can have used it before
    order_group_id: str = ""  # the exchange's group that it is to belong to
    lease_s: int = 0  # it expires by itself unless we renew it; 0: it does not


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
    limit: str = ""  # the most that passes, and what was found, where a brake refuses
    value: str = ""


class PlaceBatch(Exact, frozen=True):
    """Asks for several orders, which leave in one call. Each is an order of its own: what one is
    refused changes none of the others."""

    orders: tuple[PlaceOrder, ...]


class BatchAnswer(Message, frozen=True):
    """What became of each order, in the order asked.

    None of them, but a `code`: the batch was refused as a whole, and nothing is recorded or sent.
    """

    answers: tuple[OrderAnswer, ...] = ()
    code: str = ""
    text: str = ""
    retry_after_ms: int = 0
    field: str = ""
    limit: str = ""  # how many orders fit, and how many these were, where that is why
    value: str = ""


class AmendOrder(Exact, frozen=True):
    """Asks for other terms of an order that rests. `count` is of the whole order, with what is
    filled already. The same amend_id with the same terms is answered again, never sent again."""

    client_order_id: str
    amend_id: str
    price: Price
    count: Count


class AmendAnswer(Message, frozen=True):
    """What became of an amend: the words of an OrderAnswer.

    accepted: `order` has the new terms. unknown: it may have them, and counts as the larger of
    both until that is settled. over: the order ended first, and nothing says whether it had them.
    """

    client_order_id: str
    amend_id: str
    outcome: Literal["accepted", "rejected", "unknown", "denied", "conflict", "unavailable", "over"]
    order: Order | None = None
    code: str = ""
    text: str = ""
    retry_after_ms: int = 0
    field: str = ""
    limit: str = ""
    value: str = ""


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


class DecreaseOrder(Exact, frozen=True):
    """Asks that less of an order rests: `reduce_to`, more than 0. Needs no gate, as a cancel."""

    client_order_id: str
    reduce_to: Count


class DecreaseAnswer(Message, frozen=True):
    """decreased: no more than that rests. gone: it does not rest any more.

    not_found: nobody knows the id. rejected: the exchange refused, or it makes no sense.
    unknown: no answer that settles it; ask again. unavailable: nothing was sent.
    """

    client_order_id: str
    outcome: Literal["decreased", "gone", "not_found", "rejected", "unknown", "unavailable"]
    remaining: Count = Count(0)  # that rests, as far as it is known
    code: str = ""
    text: str = ""
    order_id: str = ""


class ManageGroup(Exact, frozen=True):
    """Asks for something to be done to an order group of the exchange (FACTS.md section 6.4).

    create and limit need `contracts_limit`: what its orders may match within 15 seconds; all but
    create need the group's id. trigger and delete cancel all of its orders, and go always; the
    others let orders go, and are refused while trading is halted.
    """

    action: Literal["create", "reset", "trigger", "limit", "delete"]
    order_group_id: str = ""
    contracts_limit: Count | None = None
    exchange_index: int = 0  # the shard that it is on: a group's orders are all there


class GroupAnswer(Message, frozen=True):
    """done: the exchange has done it. rejected: the exchange said no. refused: it was not asked.

    unknown: no answer that settles it. A group that was to be made may be there then: list them.
    """

    state: Literal["done", "rejected", "refused", "unknown"]
    order_group_id: str = ""
    code: str = ""
    text: str = ""
    field: str = ""  # of the letter, that is wrong
    retry_after_ms: int = 0


class CancelBatch(Message, frozen=True):
    """Asks for the cancellation of several orders, each as a CancelOrder does."""

    client_order_ids: tuple[str, ...]


class CancelBatchAnswer(Message, frozen=True):
    """What became of each cancel, in the order asked; none of them, but a `code`: nothing was."""

    answers: tuple[CancelAnswer, ...] = ()
    code: str = ""
    text: str = ""
    field: str = ""


class CancelOpen(Message, frozen=True):
    """Asks for the cancellation of every order of ours that may still fill, as the gateway knows
    them: those on its way, too. In one market, or in all (""). It is no halt, holds nothing, and
    orders that come later are not touched."""

    ticker: str = ""


class CancelOpenAnswer(Message, frozen=True):
    """What became of each cancel. `left`: so many more of ours were open than are canceled at
    once: ask again. `external`: so many rest that are not ours; only a panic cancels those."""

    answers: tuple[CancelAnswer, ...] = ()
    left: int = 0
    external: int = 0
    code: str = ""  # why nothing was canceled
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


class TightenBrakes(Message, frozen=True):
    """Asks for tighter limits; with none said, which hold now. They last over restarts."""

    brakes: Brakes = UNSAID


class BrakesAnswer(Message, frozen=True):
    """The limits that hold, and what they are held against.

    `reason` says why nothing was changed. `saved` is false if a change could not be put on disk:
    then it holds in this life of the gateway only.
    """

    limits: Limits
    tightened: tuple[str, ...] = ()  # those that somebody has tightened while it ran
    exposure: Money = Money(0)  # what the account can lose at worst, fees apart
    open_orders: int = 0  # resting, unknown and on their way
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


class BudgetState(Struct, frozen=True):
    """One of the account's budgets, in tokens, as the limiter counts: a little less than the
    exchange would, for the difference between both clocks."""

    name: str  # "read", "write", or "write, shard 2"
    tokens: int  # in it now; below 0 it owes some
    holds: int  # at most
    a_second: int  # come in, by the exchange's word
    kept: int  # of them for cancels; of reads, for look-ups and reconciliation
    owed: int  # to calls and programs that wait


class Spender(Struct, frozen=True):
    """What one caller has spent since the gateway started. `program:NAME` is one that borrows."""

    name: str
    tokens: int
    calls: int


class BudgetRequest(Message, frozen=True):
    """Asks the gateway what the account may spend, and who spent it."""


class BudgetAnswer(Message, frozen=True):
    """Budgets for reads, for writes, and of shards that are not full. The most active first."""

    budgets: tuple[BudgetState, ...]
    spenders: tuple[Spender, ...]
    waiting: dict[str, int]  # calls, by lane
    in_flight: int
    sure: bool  # the limits have been read twice and were the same


class MarketsRequest(Message, frozen=True):
    """Asks the gateway which market tickers a list of tickers, events, series or "*" means."""

    follow: tuple[str, ...]


class MarketsAnswer(Message, frozen=True):
    """The tickers, or why they can't be told yet."""

    tickers: tuple[str, ...]
    complete: bool
    reason: str = ""
    left_out: int = 0  # more of them, above the bound
    closing: dict[str, int] = {}  # microseconds: of those that are known to close soon


class Inquire(Message, frozen=True):
    """Asks the gateway for one read of the exchange, by its name in docs/API.md.

    Numbers, truths and lists may be written as JSON has them, or as text.
    """

    name: str
    parameters: dict[str, str | int | bool | tuple[str, ...]] = {}


class InquiryAnswer(Message, frozen=True):
    """What came of a read. `body` is the exchange's own JSON, its prices in its own strings.

    answered: `body` has the shape that it should have. rejected: the exchange said no. refused:
    it was not asked, `field` names the parameter that is wrong. unknown: no answer, or none that
    can be used; ask again.
    """

    state: Literal["answered", "rejected", "refused", "unknown"]
    status: int = 0  # the exchange's; 0: it has not answered
    body: msgspec.Raw = msgspec.Raw(b"null")
    code: str = ""
    text: str = ""
    field: str = ""
    retry_after_ms: int = 0


class ExchangeRequest(Message, frozen=True):
    """Asks the gateway whether the exchange pauses, by its own word."""


class ExchangeAnswer(Message, frozen=True):
    """`paused` says what pauses and until when, "" if nothing does."""

    paused: str = ""
    known: bool = True  # it has answered lately; if not, `paused` is the last it said


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
