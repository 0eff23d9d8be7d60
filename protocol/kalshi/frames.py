"""The exchange's WebSocket frames: what it sends, as frozen Structs.

What their `msg` says is in `bodies.py`. A type that we don't know is not an error, only counted:
the exchange adds some every month. Everything else that doesn't fit is RemoteProtocolError. Numbers
are read strictly and, where that fails, once more by their digits: now and then one comes as a
string where it should be a number, or the other way round (FACTS.md section 10.4).
"""

from typing import Any, Final, Literal

import msgspec
from msgspec import Struct

from protocol.errors import RemoteProtocolError
from protocol.kalshi.bodies import (
    DeltaBody,
    ErrorBody,
    EventBody,
    FeeBody,
    FillBody,
    GroupBody,
    LifeBody,
    Millis,
    PositionBody,
    SnapshotBody,
    SubscribedBody,
    TickerBody,
    TradeBody,
    UserOrderBody,
    Whole,
)
from protocol.units import decode_unit

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
