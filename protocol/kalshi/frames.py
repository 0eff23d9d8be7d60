"""The exchange's WebSocket frames: what it sends, as frozen Structs.

Fields and their names are those of the wire (FACTS.md sections 4.2 to 4.5); what we don't use is
not declared and is skipped unread. A type that we don't know is not an error, only counted: the
exchange adds some every month. Everything else that doesn't fit is RemoteProtocolError. Numbers are
read strictly and, where that fails, once more by their digits: now and then one comes as a string
where it should be a number, or the other way round (FACTS.md section 10.4).
"""

from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta, Struct

from protocol.errors import RemoteProtocolError
from protocol.facts import OrderSide
from protocol.messages import BookSide, Level
from protocol.units import Count, Money, Price, decode_unit

Channel = Literal[
    "orderbook_delta",
    "trade",
    "ticker",
    "market_lifecycle_v2",
    "multivariate_market_lifecycle",
    "fill",
    "user_orders",
    "market_positions",
    "order_group_updates",
]

Whole = Annotated[int, Meta(ge=0, le=2**53 - 1)]
Millis = Annotated[int, Meta(ge=0, le=(2**53 - 1) // 1_000)]  # exact as microseconds, too
Seconds = Annotated[int, Meta(ge=0, le=(2**53 - 1) // 1_000_000)]
Id = Annotated[str, Meta(min_length=1, max_length=256)]


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
    ts: Any = None  # deprecated: RFC 3339


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
    is_block_trade: bool = False
    ts: Any = None  # deprecated: seconds


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
    last_trade_size_fp: Count = Count(0)
    ts: Any = None  # deprecated: seconds


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


class PositionBody(Struct, frozen=True):
    """A position of ours, as the exchange has it."""

    market_ticker: str
    position_fp: Count
    position_cost_dollars: Money = Money(0)
    realized_pnl_dollars: Money = Money(0)
    fees_paid_dollars: Money = Money(0)
    volume_fp: Count = Count(0)


class GroupBody(Struct, frozen=True):
    """What happened to an order group of ours."""

    event_type: Id
    order_group_id: Id
    contracts_limit_fp: Count | None = None
    ts_ms: Millis | None = None


class PriceRange(Struct, frozen=True):
    """One range of a market's price grid."""

    start: Price
    end: Price
    step: Price


class LifeMetadata(Struct, frozen=True):
    """What a market is called."""

    title: str = ""
    name: str = ""


class LifeBody(Struct, frozen=True):
    """A change in a market's life. Times are seconds."""

    market_ticker: str
    event_type: Id
    exchange_index: int = 0
    open_ts: Seconds | None = None
    close_ts: Seconds | None = None
    determination_ts: Seconds | None = None
    settled_ts: Seconds | None = None
    result: str | None = None
    settlement_value: Money | None = None
    is_deactivated: bool | None = None
    price_ranges: tuple[PriceRange, ...] | None = None
    additional_metadata: LifeMetadata | None = None
    yes_sub_title: str | None = None


class EventBody(Struct, frozen=True):
    """An event was made, or described anew."""

    event_ticker: str
    exchange_index: int = 0
    title: str | None = None
    subtitle: str | None = None
    collateral_return_type: str | None = None
    series_ticker: str | None = None


class FeeBody(Struct, frozen=True):
    """What overrides an event's fees; null where nothing does any more."""

    event_ticker: str
    fee_type_override: str | None = None
    fee_multiplier_override: msgspec.Raw = msgspec.Raw(b"null")


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
    sending_ts_ms: Millis | None = None


class DeltaFrame(Struct, frozen=True, tag_field="type", tag="orderbook_delta", gc=False):
    sid: Whole
    seq: Whole
    msg: DeltaBody
    sending_ts_ms: Millis | None = None


class TradeFrame(Struct, frozen=True, tag_field="type", tag="trade", gc=False):
    sid: Whole
    msg: TradeBody
    seq: Whole | None = None
    sending_ts_ms: Millis | None = None


class TickerFrame(Struct, frozen=True, tag_field="type", tag="ticker", gc=False):
    sid: Whole
    msg: TickerBody
    seq: Whole | None = None
    sending_ts_ms: Millis | None = None


class FillFrame(Struct, frozen=True, tag_field="type", tag="fill"):
    sid: Whole
    msg: FillBody
    seq: Whole | None = None
    sending_ts_ms: Millis | None = None


class UserOrderFrame(Struct, frozen=True, tag_field="type", tag="user_order"):
    sid: Whole
    msg: UserOrderBody
    seq: Whole | None = None
    sending_ts_ms: Millis | None = None


class PositionFrame(Struct, frozen=True, tag_field="type", tag="market_position"):
    sid: Whole
    msg: PositionBody
    seq: Whole | None = None
    sending_ts_ms: Millis | None = None


class GroupFrame(Struct, frozen=True, tag_field="type", tag="order_group_updates"):
    sid: Whole
    msg: GroupBody
    seq: Whole | None = None
    sending_ts_ms: Millis | None = None


class LifeFrame(Struct, frozen=True, tag_field="type", tag="market_lifecycle_v2"):
    sid: Whole
    msg: LifeBody
    seq: Whole | None = None
    sending_ts_ms: Millis | None = None


class ComboLifeFrame(Struct, frozen=True, tag_field="type", tag="multivariate_market_lifecycle"):
    sid: Whole
    msg: LifeBody
    seq: Whole | None = None
    sending_ts_ms: Millis | None = None


class EventFrame(Struct, frozen=True, tag_field="type", tag="event_lifecycle"):
    sid: Whole
    msg: EventBody
    seq: Whole | None = None
    sending_ts_ms: Millis | None = None


class FeeFrame(Struct, frozen=True, tag_field="type", tag="event_fee_update"):
    sid: Whole
    msg: FeeBody
    seq: Whole | None = None
    sending_ts_ms: Millis | None = None


class SubscribedFrame(Struct, frozen=True, tag_field="type", tag="subscribed"):
    msg: SubscribedBody
    id: Whole | None = None


class UnsubscribedFrame(Struct, frozen=True, tag_field="type", tag="unsubscribed"):
    id: Whole | None = None
    sid: Whole | None = None
    seq: Whole | None = None


class OkFrame(Struct, frozen=True, tag_field="type", tag="ok"):
    """Its `msg` is an object that tells us nothing new, or the array of all subscriptions."""

    id: Whole | None = None
    sid: Whole | None = None
    seq: Whole | None = None
    msg: msgspec.Raw = msgspec.Raw(b"")


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
    | PositionFrame
    | GroupFrame
    | LifeFrame
    | ComboLifeFrame
    | EventFrame
    | FeeFrame
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
    | {"market_position", "order_group_updates", "market_lifecycle_v2", "event_lifecycle"}
    | {"multivariate_market_lifecycle", "event_fee_update"}
    | {"subscribed", "unsubscribed", "ok", "error"}
)

_MALFORMED = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def _by_digits(kind: type, value: Any) -> Any:
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    return decode_unit(kind, value)


_decode = msgspec.json.Decoder(KnownFrame, dec_hook=decode_unit).decode
_decode_by_digits = msgspec.json.Decoder(
    KnownFrame, dec_hook=_by_digits, float_hook=str, strict=False
).decode
_decode_outside = msgspec.json.Decoder(Glance, strict=False).decode
_decode_list = msgspec.json.Decoder(tuple[SubscribedBody, ...]).decode


def decode(raw: bytes) -> AnyFrame:
    """The frame. Raises RemoteProtocolError, and never anything else, if it is malformed."""
    try:
        frame: KnownFrame = _decode(raw)
    except _MALFORMED as e:
        outside = glance(raw)
        if outside.type not in KNOWN:
            return outside
        try:
            frame = _decode_by_digits(raw)
        except _MALFORMED:
            raise RemoteProtocolError(f"{outside.type} frame: {str(e)[:200]}") from None
    return frame


def glance(raw: bytes) -> Glance:
    """The outside of a frame, also of a malformed one.

    Raises RemoteProtocolError if not even that can be read.
    """
    try:
        return _decode_outside(raw)
    except _MALFORMED as e:
        raise RemoteProtocolError(f"frame: {str(e)[:200]}") from None


def listed(frame: OkFrame) -> tuple[SubscribedBody, ...] | None:
    """The subscriptions that an answer to `list_subscriptions` names; None if it is none."""
    try:
        return _decode_list(frame.msg)
    except _MALFORMED:
        return None
