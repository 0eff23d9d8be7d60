"""How the exchange's REST answers are read: orders, fills, markets and the budget.

Strictly where nothing has happened yet, and leniently after a side effect: a body that we can't
read after a POST means unknown, never an exception that loses an order. What the account holds
and owes stands in `portfolio.py`, what the exchange says of itself in `status.py`.
"""

from typing import Annotated, Final

from msgspec import Meta, Raw, Struct

from protocol import topics
from protocol.errors import RemoteProtocolError
from protocol.facts import ExchangeStatus, Fill, OrderSeen, OrderSide
from protocol.kalshi.reading import (
    Id,
    Micros,
    Millis,
    lenient,
    micros,
    printable,
    read,
    since_1970,
)
from protocol.units import DOLLAR, Count, Money, Price

__all__ = ["micros", "read"]  # with what is defined here, all that reading an answer takes

REJECTIONS: Final = frozenset({400, 401, 403, 404, 410, 429})  # with an error body: final (B2)

Tokens = Annotated[int, Meta(ge=1, le=10**9)]


class OrderRow(Struct, frozen=True):
    """An order as GET shows it: the fields that we rely on."""

    order_id: Id
    ticker: str
    status: ExchangeStatus
    yes_price_dollars: Price
    fill_count_fp: Count
    remaining_count_fp: Count
    initial_count_fp: Count
    client_order_id: str = ""
    book_side: str = ""
    outcome_side: str = ""
    created_time: str = ""
    last_update_time: str | None = None

    def fact(self) -> OrderSeen:
        """Raises RemoteProtocolError if it makes no sense."""
        counts = (self.initial_count_fp, self.fill_count_fp, self.remaining_count_fp)
        if min(counts) < 0 or self.yes_price_dollars > DOLLAR:
            raise RemoteProtocolError(f"order {self.order_id}: its counts or price make no sense")
        return OrderSeen(
            self.order_id,
            self.client_order_id,
            market_of(self.ticker),
            side_of(self.book_side, self.outcome_side),
            self.yes_price_dollars,
            self.status,
            *counts,
            since_1970(self.last_update_time or self.created_time) // 1_000,
            terms=True,
        )


class FillRow(Struct, frozen=True):
    """A fill as GET shows it. It names no client_order_id (FACTS.md section 4.5)."""

    order_id: Id
    trade_id: Id
    ticker: str
    count_fp: Count
    yes_price_dollars: Price
    fee_cost: Money
    is_taker: bool
    book_side: str = ""
    outcome_side: str = ""
    created_time: str | None = ""
    ts: Annotated[int, Meta(ge=0, le=2**33)] | None = 0  # seconds

    def fact(self) -> Fill:
        """Raises RemoteProtocolError if it makes no sense."""
        if self.count_fp <= 0 or self.yes_price_dollars > DOLLAR:
            raise RemoteProtocolError(f"fill {self.trade_id}: its count or price makes no sense")
        at = since_1970(self.created_time) if self.created_time else (self.ts or 0) * 1_000_000
        return Fill(
            self.order_id,
            self.trade_id,
            market_of(self.ticker),
            side_of(self.book_side, self.outcome_side),
            self.yes_price_dollars,
            self.count_fp,
            self.fee_cost,
            self.is_taker,
            at,
        )


class OrderPage(Struct, frozen=True):
    orders: tuple[OrderRow, ...]
    cursor: str | None = ""


class FillPage(Struct, frozen=True):
    fills: tuple[FillRow, ...]
    cursor: str | None = ""


class OneOrder(Struct, frozen=True):
    order: OrderRow


class MarketName(Struct, frozen=True):
    """All that a look-up of tickers needs: one odd market does not hide the others."""

    ticker: str


class MarketPage(Struct, frozen=True):
    markets: tuple[MarketName, ...]
    cursor: str | None = ""


class PriceRange(Struct, frozen=True):
    """Prices from `start` to `end`, both included, `step` apart (FACTS.md section 3)."""

    start: Price
    end: Price
    step: Price

    def __post_init__(self) -> None:
        if not (self.start <= self.end <= DOLLAR and self.step > 0):
            raise ValueError("a range of prices that makes no sense")


class MarketRow(Struct, frozen=True):
    """What an order is held against before it is sent."""

    ticker: str
    status: str  # an open set: "active" is the one that trades
    price_ranges: tuple[PriceRange, ...]
    close_time: Micros
    exchange_index: Annotated[int, Meta(ge=0, le=10_000)] = 0
    event_ticker: str = ""


class OneMarket(Struct, frozen=True):
    market: MarketRow


class MarketRows(Struct, frozen=True):
    """The same listing as a MarketPage, read with the markets' rules."""

    markets: tuple[MarketRow, ...]
    cursor: str | None = ""


class ShardBalance(Struct, frozen=True):
    exchange_index: int
    balance: Money


class BalanceBody(Struct, frozen=True):
    balance_dollars: Money
    balance_breakdown: tuple[ShardBalance, ...] = ()


class BucketLimits(Struct, frozen=True):
    """Tokens a second, and how many fit (FACTS.md section 7)."""

    refill_rate: Tokens
    bucket_capacity: Tokens


class Grant(Struct, frozen=True):
    """A tier that was given to the account, perhaps for a time."""

    exchange_instance: str
    level: str
    expires_ts: Annotated[int, Meta(ge=0, le=2**33)] | None = None  # seconds; None: for good


class LimitsBody(Struct, frozen=True):
    read: BucketLimits
    write: BucketLimits
    usage_tier: str = ""
    grants: tuple[Grant, ...] | None = ()


class EndpointCost(Struct, frozen=True):
    method: str
    path: str
    cost: Annotated[int, Meta(ge=0, le=10**9)]


class CostsBody(Struct, frozen=True):
    default_cost: Tokens
    endpoint_costs: tuple[EndpointCost, ...]


class Refusal(Struct, frozen=True):
    """What an error body says, in whichever of its shapes it came (captures)."""

    code: str
    text: str


def refusal(body: bytes) -> Refusal | None:
    """The error in a body: nested, flat, bare message or bare string. None if there is none.

    Any JSON will not do: what stands between us and the exchange has JSON of its own.
    """
    tree = lenient(body, dict)
    if tree is None:
        return None
    inner = tree.get("error", tree)
    if isinstance(inner, str) and inner:
        return Refusal(printable(inner.replace(" ", "_"), 100), printable(inner, 500))
    if not isinstance(inner, dict):
        return None
    code = inner.get("code") or inner.get("msg")
    if not isinstance(code, str):
        return None
    said = [inner.get("details"), inner.get("message"), inner.get("msg")]
    text = next((part for part in said if isinstance(part, str) and part), code)
    return Refusal(printable(code, 100), printable(text, 500))


# Answers after a side effect


class Created(Struct, frozen=True):
    """An order that was accepted for certain."""

    order_id: str
    client_order_id: str
    fill_count: Count
    remaining_count: Count
    ts_ms: int = 0


class Canceled(Struct, frozen=True):
    """A cancel that was done. `reduced_by` 0: nothing was left to cancel, or it doesn't say."""

    order_id: str
    reduced_by: Count
    ts_ms: int = 0


class _Made(Struct, frozen=True):
    """The two names have to be there; the rest may be whatever it is."""

    order_id: Id
    client_order_id: str
    fill_count: Raw = Raw(b"null")
    remaining_count: Raw = Raw(b"null")
    ts_ms: Raw = Raw(b"null")


class _Gone(Struct, frozen=True):
    order_id: Raw = Raw(b"null")
    reduced_by: Raw = Raw(b"null")
    ts_ms: Raw = Raw(b"null")


def outcome(
    client_order_id: str, status: int, body: bytes, count: Count | None = None
) -> Created | Refusal | str:
    """What the answer to a create means (table B2): made, refused, or why it is unknown.

    A 201 that names the order and repeats our id is an accepted order, whatever else is odd in
    it. Where it does not say, in numbers that make sense, what of the `count` that was asked for
    rests, all that is not known to be filled does: too much exposure is put right by the next
    evidence, too little might not be. Without `count` such an answer is unknown.
    """
    if status == 201:
        return _made(client_order_id, body, count)
    return refused(status, body)


def refused(status: int, body: bytes) -> Refusal | str:
    """The exchange's no, where it is final (table B2); else why nothing is known."""
    said = refusal(body)
    if said is not None and status in REJECTIONS:
        return said
    return f"status {status}" if said is None else f"status {status}: {said.code}"


def _made(client_order_id: str, body: bytes, count: Count | None) -> Created | str:
    try:
        made: _Made = read(body, _Made)
    except RemoteProtocolError as e:
        said = refusal(body)
        return f"201 without the order: {e if said is None else said.code}"
    if made.client_order_id != client_order_id:
        return "201 for another client_order_id"
    filled, rests = lenient(made.fill_count, Count), lenient(made.remaining_count, Count)
    known = filled is not None and rests is not None and min(filled, rests) >= 0
    if count is not None and (not known or filled + rests > count):
        filled = filled if filled is not None and 0 <= filled <= count else Count(0)
        rests = Count(count - filled)
    elif not known:
        return "201 that does not say what rests"
    ms = lenient(made.ts_ms, Millis)
    return Created(made.order_id, client_order_id, filled, rests, ms or 0)


def canceled(order_id: str, status: int, body: bytes) -> Canceled | Refusal | str:
    """What the answer to a cancel means: done, refused, or why it is unknown.

    No refusal proves anything: an order that was canceled, one that was executed and one that
    never was are answered with the same 404 (captures). A 200 is a cancel that was done, even
    where it does not say how much it took: `reduced_by` is 0 then, and one looks.
    """
    if status != 200:
        return refused(status, body)
    gone = lenient(body, _Gone)
    if gone is None or refusal(body) is not None:
        return "200 that is not the answer to a cancel"
    named = lenient(gone.order_id, str)
    if named is not None and named != order_id:
        return "200 for another order"
    reduced, ms = lenient(gone.reduced_by, Count), lenient(gone.ts_ms, Millis)
    return Canceled(order_id, reduced if reduced is not None and reduced > 0 else Count(0), ms or 0)


def market_of(ticker: str) -> str:
    """The ticker itself. Raises RemoteProtocolError if it is none."""
    if not topics.is_ticker(ticker):
        raise RemoteProtocolError(f"{ticker[:80]!r} is not a market's name")
    return ticker


def side_of(book_side: str, outcome_side: str) -> OrderSide:
    """bid of the YES leg, or ask: buying NO is selling YES. Raises RemoteProtocolError."""
    if book_side == "bid" or (not book_side and outcome_side == "yes"):
        return "bid"
    if book_side == "ask" or (not book_side and outcome_side == "no"):
        return "ask"
    raise RemoteProtocolError(f"neither bid nor ask: {book_side[:20]!r}, {outcome_side[:20]!r}")
