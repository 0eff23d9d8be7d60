"""How the exchange's REST answers are read.

Strictly where nothing has happened yet, and leniently after a side effect: a body that we can't
read after a POST means unknown, never an exception that loses an order.
"""

import re
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec
from msgspec import Struct

from protocol.errors import RemoteProtocolError
from protocol.facts import ExchangeStatus, Fill, OrderSeen, OrderSide
from protocol.units import Count, Money, Price, decode_unit

REJECTIONS: Final = frozenset({400, 401, 403, 404, 410, 429})  # with an error body: final (B2)


class Created(Struct, frozen=True):
    order_id: str
    client_order_id: str
    fill_count: Count
    remaining_count: Count
    ts_ms: int = 0


class Canceled(Struct, frozen=True):
    order_id: str
    reduced_by: Count
    ts_ms: int = 0


class OrderRow(Struct, frozen=True):
    """An order as GET shows it: the fields that we rely on."""

    order_id: str
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
        return OrderSeen(
            self.order_id,
            self.client_order_id,
            self.ticker,
            side_of(self.book_side, self.outcome_side),
            self.yes_price_dollars,
            self.status,
            self.initial_count_fp,
            self.fill_count_fp,
            self.remaining_count_fp,
            micros(self.last_update_time or self.created_time) // 1_000,
        )


class FillRow(Struct, frozen=True):
    """A fill as GET shows it. It names no client_order_id (FACTS.md section 4.5)."""

    order_id: str
    trade_id: str
    ticker: str
    count_fp: Count
    yes_price_dollars: Price
    fee_cost: Money
    is_taker: bool
    book_side: str = ""
    outcome_side: str = ""
    created_time: str = ""
    ts: int = 0

    def fact(self) -> Fill:
        at = micros(self.created_time) if self.created_time else self.ts * 1_000_000
        return Fill(
            self.order_id,
            self.trade_id,
            self.ticker,
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


class MarketRow(Struct, frozen=True):
    ticker: str


class MarketPage(Struct, frozen=True):
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

    refill_rate: int
    bucket_capacity: int


class Grant(Struct, frozen=True):
    """A tier that was granted; `expires_ts` in Unix seconds, None for one that stays."""

    level: str
    exchange_instance: str = ""
    expires_ts: int | None = None
    source: str = ""


class LimitsBody(Struct, frozen=True):
    read: BucketLimits
    write: BucketLimits
    usage_tier: str = ""
    grants: tuple[Grant, ...] = ()


class EndpointCost(Struct, frozen=True):
    method: str
    path: str
    cost: int


class CostsBody(Struct, frozen=True):
    default_cost: int
    endpoint_costs: tuple[EndpointCost, ...]


def read(body: bytes, shape: type[Any]) -> Any:
    """Decode an answer strictly. Raises RemoteProtocolError, and never anything else."""
    try:
        return msgspec.json.decode(body, type=shape, dec_hook=decode_unit)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as e:
        raise RemoteProtocolError(f"{shape.__name__}: {e}") from None


class Refusal(Struct, frozen=True):
    """What an error body says, in whichever of its shapes it came (captures)."""

    code: str
    text: str


def refusal(body: bytes) -> Refusal | None:
    """The error in a body: nested, flat, bare message or bare string. None if there is none."""
    try:
        tree = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if not isinstance(tree, dict):
        return None
    inner = tree.get("error", tree)
    if isinstance(inner, str):
        return Refusal(inner.replace(" ", "_")[:100], inner[:500])
    if not isinstance(inner, dict):
        return None
    code = inner.get("code") or inner.get("msg")
    if not isinstance(code, str):
        return None
    said = [inner.get("details"), inner.get("message"), inner.get("msg")]
    text = next((part for part in said if isinstance(part, str) and part), code)
    return Refusal(code[:100], text[:500])


def outcome(client_order_id: str, status: int, body: bytes) -> Created | Refusal | str:
    """What the answer to a create means (table B2): made, refused, or why it is unknown."""
    if status == 201:
        try:
            created = read(body, Created)
        except RemoteProtocolError as e:
            return f"201 with a body that can't be read: {e}"
        assert isinstance(created, Created)
        if created.client_order_id != client_order_id or not created.order_id:
            return "201 for another client_order_id"
        return created
    if status in REJECTIONS:
        said = refusal(body)
        if said is not None:
            return said
    return f"status {status}"


_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d)", re.ASCII)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def micros(text: str) -> int:
    """Microseconds since the Unix epoch of an RFC 3339 time. Raises RemoteProtocolError."""
    if _TIME.fullmatch(text) is None:
        raise RemoteProtocolError(f"{text[:40]!r} is not a time")
    try:
        return (datetime.fromisoformat(text) - _EPOCH) // timedelta(microseconds=1)
    except (ValueError, OverflowError) as e:
        raise RemoteProtocolError(f"{text[:40]!r}: {e}") from None


def side_of(book_side: str, outcome_side: str) -> OrderSide:
    """bid of the YES leg, or ask: buying NO is selling YES. Raises RemoteProtocolError."""
    if book_side == "bid" or (not book_side and outcome_side == "yes"):
        return "bid"
    if book_side == "ask" or (not book_side and outcome_side == "no"):
        return "ask"
    raise RemoteProtocolError(f"neither bid nor ask: {book_side[:20]!r}, {outcome_side[:20]!r}")
