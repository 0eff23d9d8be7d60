"""The exchange's WebSocket frames: what it sends, as frozen Structs, and the commands we send.

Fields and their names are those of the wire (FACTS.md sections 4.2 to 4.5); what we don't use is
not declared and is skipped unread. A type that we don't know is not an error, only counted: the
exchange adds some every month. Everything else that doesn't fit is RemoteProtocolError.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta, Struct

from protocol import topics
from protocol.errors import RemoteProtocolError
from protocol.facts import ExchangeStatus, Fill, OrderSeen, OrderSide
from protocol.messages import BookDelta, BookSide, Level, Quote, Trade
from protocol.units import DOLLAR, Count, Money, Price, decode_unit

Channel = Literal["orderbook_delta", "trade", "ticker", "fill", "user_orders"]
Action = Literal["add_markets", "delete_markets", "get_snapshot"]

Whole = Annotated[int, Meta(ge=0, le=2**53 - 1)]
Millis = Annotated[int, Meta(ge=0, le=(2**53 - 1) // 1_000)]  # exact as microseconds, too
Id = Annotated[str, Meta(min_length=1, max_length=256)]

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class SnapshotBody(Struct, frozen=True):
    """All bids of a market. The key of an empty side is absent."""

    market_ticker: str
    yes_dollars_fp: tuple[Level, ...] | None = None
    no_dollars_fp: tuple[Level, ...] | None = None


class DeltaBody(Struct, frozen=True, gc=False):
    """A signed change of one level."""

    market_ticker: str
    price_dollars: Price
    delta_fp: Count
    side: BookSide
    ts_ms: Millis | None = None
    client_order_id: str = ""  # only where an order of ours brought it about


class TradeBody(Struct, frozen=True, gc=False):
    """A public print. `taker_side` is the deprecated form of `taker_outcome_side`."""

    market_ticker: str
    trade_id: Id
    yes_price_dollars: Price
    count_fp: Count
    taker_outcome_side: BookSide | None = None
    taker_book_side: OrderSide | None = None
    taker_side: BookSide | None = None
    ts_ms: Millis | None = None


class TickerBody(Struct, frozen=True, gc=False):
    """The exchange's summary of a market."""

    market_ticker: str
    price_dollars: Price
    yes_bid_dollars: Price
    yes_ask_dollars: Price
    volume_fp: Count
    open_interest_fp: Count
    yes_bid_size_fp: Count = Count(0)
    yes_ask_size_fp: Count = Count(0)
    ts_ms: Millis | None = None


class FillBody(Struct, frozen=True):
    """An execution of an order of ours."""

    trade_id: Id
    order_id: Id
    market_ticker: str
    yes_price_dollars: Price
    count_fp: Count
    fee_cost: Money
    is_taker: bool
    book_side: OrderSide | None = None
    outcome_side: BookSide | None = None
    ts_ms: Millis | None = None
    client_order_id: str | None = None


class UserOrderBody(Struct, frozen=True):
    """The state of an order of ours. The market's field is `ticker` here."""

    order_id: Id
    ticker: str
    status: str
    yes_price_dollars: Price
    fill_count_fp: Count
    remaining_count_fp: Count
    initial_count_fp: Count
    client_order_id: str | None = None
    book_side: OrderSide | None = None
    outcome_side: BookSide | None = None
    is_yes: bool | None = None
    last_updated_ts_ms: Millis | None = None
    last_update_time: str | None = None
    created_ts_ms: Millis | None = None
    created_time: str | None = None


class SubscribedBody(Struct, frozen=True):
    """Which channel was subscribed, and its number on this connection."""

    channel: str
    sid: Whole


class ErrorBody(Struct, frozen=True):
    """FACTS.md section 4.3 has the codes. It may name the markets that are to blame."""

    code: int
    msg: str = ""
    market_ticker: str | None = None
    market_tickers: tuple[str, ...] | None = None


class SnapshotFrame(Struct, frozen=True, tag_field="type", tag="orderbook_snapshot"):
    sid: Whole
    seq: Whole
    msg: SnapshotBody
    id: Whole | None = None


class DeltaFrame(Struct, frozen=True, tag_field="type", tag="orderbook_delta", gc=False):
    sid: Whole
    seq: Whole
    msg: DeltaBody


class TradeFrame(Struct, frozen=True, tag_field="type", tag="trade", gc=False):
    sid: Whole
    msg: TradeBody
    seq: Whole | None = None


class TickerFrame(Struct, frozen=True, tag_field="type", tag="ticker", gc=False):
    sid: Whole
    msg: TickerBody
    seq: Whole | None = None


class FillFrame(Struct, frozen=True, tag_field="type", tag="fill"):
    sid: Whole
    msg: FillBody
    seq: Whole | None = None


class UserOrderFrame(Struct, frozen=True, tag_field="type", tag="user_order"):
    sid: Whole
    msg: UserOrderBody
    seq: Whole | None = None


class SubscribedFrame(Struct, frozen=True, tag_field="type", tag="subscribed"):
    msg: SubscribedBody
    id: Whole | None = None


class UnsubscribedFrame(Struct, frozen=True, tag_field="type", tag="unsubscribed"):
    id: Whole | None = None
    sid: Whole | None = None
    seq: Whole | None = None


class OkFrame(Struct, frozen=True, tag_field="type", tag="ok"):
    """Its `msg` may be an object or an array and tells us nothing that we don't know."""

    id: Whole | None = None
    sid: Whole | None = None
    seq: Whole | None = None


class ErrorFrame(Struct, frozen=True, tag_field="type", tag="error"):
    msg: ErrorBody
    id: Whole | None = None
    sid: Whole | None = None
    seq: Whole | None = None


KnownFrame = (
    SnapshotFrame
    | DeltaFrame
    | TradeFrame
    | TickerFrame
    | FillFrame
    | UserOrderFrame
    | SubscribedFrame
    | UnsubscribedFrame
    | OkFrame
    | ErrorFrame
)


class Glance(Struct, frozen=True):
    """The outside of a frame: all that is read of a type that we don't know."""

    type: str
    id: Whole | None = None
    sid: Whole | None = None
    seq: Whole | None = None


AnyFrame = KnownFrame | Glance

KNOWN: Final = frozenset(
    {"orderbook_snapshot", "orderbook_delta", "trade", "ticker", "fill", "user_order"}
    | {"subscribed", "unsubscribed", "ok", "error"}
)

_MALFORMED = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_decode = msgspec.json.Decoder(KnownFrame, dec_hook=decode_unit).decode
_decode_outside = msgspec.json.Decoder(Glance).decode
_encode = msgspec.json.Encoder().encode


def decode(raw: bytes) -> AnyFrame:
    """The frame. Raises RemoteProtocolError, and never anything else, if it is malformed."""
    try:
        frame: KnownFrame = _decode(raw)
    except _MALFORMED as e:
        outside = glance(raw)
        if outside.type in KNOWN:
            raise RemoteProtocolError(f"{outside.type} frame: {str(e)[:200]}") from None
        return outside
    return frame


def glance(raw: bytes) -> Glance:
    """The outside of a frame, also of a malformed one.

    Raises RemoteProtocolError if not even that can be read.
    """
    try:
        return _decode_outside(raw)
    except _MALFORMED as e:
        raise RemoteProtocolError(f"frame: {str(e)[:200]}") from None


# Commands


def subscribe(id: int, channels: Sequence[Channel], tickers: Sequence[str] = ()) -> bytes:
    """Subscribe to channels. No tickers means all, on the private channels; books need some.

    The default of `use_yes_price` is going to change (FACTS.md section 4.5): always say it.
    """
    params: dict[str, Any] = {"channels": channels}
    if tickers:
        params["market_tickers"] = tickers
    if "orderbook_delta" in channels:
        params["use_yes_price"] = False
    return _encode({"id": id, "cmd": "subscribe", "params": params})


def update_subscription(id: int, sid: int, action: Action, tickers: Sequence[str]) -> bytes:
    """Add or delete markets of a subscription, or ask for snapshots of its books."""
    params = {"sids": [sid], "market_tickers": tickers, "action": action}
    return _encode({"id": id, "cmd": "update_subscription", "params": params})


def unsubscribe(id: int, sids: Sequence[int]) -> bytes:
    """End whole subscriptions, with every ticker of theirs."""
    return _encode({"id": id, "cmd": "unsubscribe", "params": {"sids": sids}})


def list_subscriptions(id: int) -> bytes:
    """Ask which subscriptions the connection has."""
    return _encode({"id": id, "cmd": "list_subscriptions"})


# What frames mean in our own words


def book_delta(body: DeltaBody, received_at: int) -> BookDelta:
    """Times in microseconds. Raises RemoteProtocolError on a price above one dollar."""
    if body.price_dollars > DOLLAR:
        raise RemoteProtocolError(f"orderbook_delta: a price above $1 in {body.market_ticker}")
    return BookDelta(
        body.market_ticker,
        body.side,
        body.price_dollars,
        body.delta_fp,
        (body.ts_ms or 0) * 1_000,
        received_at,
    )


def trade(body: TradeBody, received_at: int) -> Trade:
    """Raises RemoteProtocolError if side, count or price of the print makes no sense."""
    side = body.taker_outcome_side or _outcome(body.taker_book_side) or body.taker_side
    if side is None or body.count_fp <= 0 or body.yes_price_dollars > DOLLAR:
        raise RemoteProtocolError(f"trade {body.trade_id}: side, count or price makes no sense")
    return Trade(
        body.market_ticker,
        body.trade_id,
        body.yes_price_dollars,
        body.count_fp,
        side,
        (body.ts_ms or 0) * 1_000,
        received_at,
    )


def quote(body: TickerBody, received_at: int) -> Quote:
    """The quote as the exchange summed it up."""
    return Quote(
        body.market_ticker,
        body.price_dollars,
        body.yes_bid_dollars,
        body.yes_ask_dollars,
        body.yes_bid_size_fp,
        body.yes_ask_size_fp,
        body.volume_fp,
        body.open_interest_fp,
        (body.ts_ms or 0) * 1_000,
        received_at,
    )


def fill(body: FillBody) -> Fill:
    """The fact for the ledger. Raises RemoteProtocolError if it makes no sense."""
    side = body.book_side or _book_side(body.outcome_side)
    if side is None or body.count_fp <= 0 or body.yes_price_dollars > DOLLAR:
        raise RemoteProtocolError(f"fill {body.trade_id}: side, count or price makes no sense")
    return Fill(
        body.order_id,
        body.trade_id,
        _ticker(body.market_ticker),
        side,
        body.yes_price_dollars,
        body.count_fp,
        body.fee_cost,
        body.is_taker,
        (body.ts_ms or 0) * 1_000,
        body.client_order_id or "",
    )


def order_seen(body: UserOrderBody) -> OrderSeen | None:
    """The fact for the ledger, or None if the status is none that we know: "unknown" is one.

    Raises RemoteProtocolError if it makes no sense.
    """
    status = _status(body.status)
    if status is None:
        return None
    side = body.book_side or _book_side(body.outcome_side)
    if side is None and body.is_yes is not None:
        side = "bid" if body.is_yes else "ask"
    counts = (body.initial_count_fp, body.fill_count_fp, body.remaining_count_fp)
    if side is None or min(counts) < 0 or body.yes_price_dollars > DOLLAR:
        raise RemoteProtocolError(f"order {body.order_id}: side, count or price makes no sense")
    return OrderSeen(
        body.order_id,
        body.client_order_id or "",
        _ticker(body.ticker),
        side,
        body.yes_price_dollars,
        status,
        *counts,
        _updated_ms(body),
    )


def _status(text: str) -> ExchangeStatus | None:
    match text:
        case "resting" | "canceled" | "executed":
            return text
    return None


def _outcome(side: OrderSide | None) -> BookSide | None:
    return None if side is None else "yes" if side == "bid" else "no"


def _book_side(outcome: BookSide | None) -> OrderSide | None:
    return None if outcome is None else "bid" if outcome == "yes" else "ask"


def _ticker(text: str) -> str:
    if not topics.is_ticker(text):
        raise RemoteProtocolError(f"{text[:80]!r} is not a market's name")
    return text


def _updated_ms(body: UserOrderBody) -> int:
    """When it was last updated, in whole milliseconds; an order never updated: when created."""
    for ms, text in (
        (body.last_updated_ts_ms, body.last_update_time),
        (body.created_ts_ms, body.created_time),
    ):
        if ms:
            return ms
        if text:
            return _millis(text)
    raise RemoteProtocolError(f"order {body.order_id}: it has no time")


def _millis(text: str) -> int:
    """RFC 3339 to milliseconds, cut and not rounded: so does the exchange (captures)."""
    try:
        ms = (datetime.fromisoformat(text) - EPOCH) // timedelta(milliseconds=1)
    except (ValueError, TypeError, OverflowError):  # no time, no zone, no such year
        raise RemoteProtocolError(f"{text[:40]!r} is not a time") from None
    if ms < 0:
        raise RemoteProtocolError(f"{text[:40]!r} is before 1970")
    return ms
