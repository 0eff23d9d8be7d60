"""The exchange's WebSocket frames: read into what we rely on, and the commands we send.

FACTS.md section 4. Unknown fields are ignored; an unknown type is told by its name; anything
else that is not as it should be is one kind of error.
"""

from collections.abc import Sequence
from typing import Final

import msgspec
from msgspec import Struct

from protocol.errors import RemoteProtocolError
from protocol.facts import ExchangeStatus, Fill, OrderSeen
from protocol.kalshi.calls import micros, side_of
from protocol.messages import BookSide, Level, Quote, Trade
from protocol.units import Count, Money, Price, decode_unit

TERMINAL_ERRORS: Final = frozenset({10, 17, 18, 25})  # what follows on that sid has a hole


class SnapshotBody(Struct, frozen=True):
    """A side's key is absent when the side is empty."""

    market_ticker: str
    yes_dollars_fp: tuple[Level, ...] = ()
    no_dollars_fp: tuple[Level, ...] = ()


class DeltaBody(Struct, frozen=True):
    market_ticker: str
    price_dollars: Price
    delta_fp: Count
    side: BookSide
    ts_ms: int = 0


class TradeBody(Struct, frozen=True):
    trade_id: str
    market_ticker: str
    yes_price_dollars: Price
    count_fp: Count
    taker_outcome_side: BookSide
    ts_ms: int = 0


class QuoteBody(Struct, frozen=True):
    market_ticker: str
    price_dollars: Price
    yes_bid_dollars: Price
    yes_ask_dollars: Price
    volume_fp: Count
    open_interest_fp: Count
    yes_bid_size_fp: Count = Count(0)
    yes_ask_size_fp: Count = Count(0)
    ts_ms: int = 0


class FillBody(Struct, frozen=True):
    trade_id: str
    order_id: str
    market_ticker: str
    is_taker: bool
    yes_price_dollars: Price
    count_fp: Count
    fee_cost: Money
    client_order_id: str = ""
    book_side: str = ""
    outcome_side: str = ""
    ts_ms: int = 0

    def fact(self) -> Fill:
        return Fill(
            self.order_id,
            self.trade_id,
            self.market_ticker,
            side_of(self.book_side, self.outcome_side),
            self.yes_price_dollars,
            self.count_fp,
            self.fee_cost,
            self.is_taker,
            self.ts_ms * 1_000,
            self.client_order_id,
        )


class OrderBody(Struct, frozen=True):
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
    created_ts_ms: int | None = None
    created_time: str | None = None
    last_updated_ts_ms: int | None = None
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
            self._updated_ms(),
        )

    def _updated_ms(self) -> int:
        if self.last_updated_ts_ms is not None:
            return self.last_updated_ts_ms
        if self.last_update_time:
            return micros(self.last_update_time) // 1_000
        if self.created_ts_ms is not None:
            return self.created_ts_ms
        return micros(self.created_time or "") // 1_000


class SubscribedBody(Struct, frozen=True):
    channel: str
    sid: int


class ErrorBody(Struct, frozen=True):
    code: int
    msg: str = ""


class Frame(Struct, frozen=True):
    """What every frame may carry beside its body: `seq` is per sid, over all markets of it."""

    sid: int = 0
    seq: int = 0
    id: int = 0


class Snapshot(Frame, frozen=True, kw_only=True, tag="orderbook_snapshot"):
    msg: SnapshotBody


class Delta(Frame, frozen=True, kw_only=True, tag="orderbook_delta"):
    msg: DeltaBody


class Traded(Frame, frozen=True, kw_only=True, tag="trade"):
    msg: TradeBody

    def message(self, received_at: int) -> Trade:
        m = self.msg
        return Trade(
            m.market_ticker,
            m.trade_id,
            m.yes_price_dollars,
            m.count_fp,
            m.taker_outcome_side,
            m.ts_ms * 1_000,
            received_at,
        )


class Quoted(Frame, frozen=True, kw_only=True, tag="ticker"):
    msg: QuoteBody

    def message(self, received_at: int) -> Quote:
        m = self.msg
        return Quote(
            m.market_ticker,
            m.price_dollars,
            m.yes_bid_dollars,
            m.yes_ask_dollars,
            m.yes_bid_size_fp,
            m.yes_ask_size_fp,
            m.volume_fp,
            m.open_interest_fp,
            m.ts_ms * 1_000,
            received_at,
        )


class Filled(Frame, frozen=True, kw_only=True, tag="fill"):
    msg: FillBody


class OrderChanged(Frame, frozen=True, kw_only=True, tag="user_order"):
    msg: OrderBody


class Subscribed(Frame, frozen=True, kw_only=True, tag="subscribed"):
    msg: SubscribedBody


class Unsubscribed(Frame, frozen=True, kw_only=True, tag="unsubscribed"):
    pass


class Ok(Frame, frozen=True, kw_only=True, tag="ok"):
    """Done as commanded. What `msg` repeats of our own command we know already."""


class ErrorFrame(Frame, frozen=True, kw_only=True, tag="error"):
    msg: ErrorBody


class _Any(Struct, frozen=True):
    type: str
    sid: int = 0
    seq: int = 0
    id: int = 0


class Unknown(Frame, frozen=True, kw_only=True):
    """A type that we don't know. It consumes its number all the same."""

    type: str


AnyFrame = (
    Snapshot
    | Delta
    | Traded
    | Quoted
    | Filled
    | OrderChanged
    | Subscribed
    | Unsubscribed
    | Ok
    | ErrorFrame
)
KNOWN: Final = frozenset(
    {"orderbook_snapshot", "orderbook_delta", "trade", "ticker", "fill", "user_order"}
    | {"subscribed", "unsubscribed", "ok", "error"}
)

_decoder: msgspec.json.Decoder[AnyFrame] = msgspec.json.Decoder(AnyFrame, dec_hook=decode_unit)
_decode_any = msgspec.json.Decoder(_Any).decode


def read(raw: bytes) -> AnyFrame | Unknown:
    """Decode one frame. Raises RemoteProtocolError, and never anything else."""
    try:
        return _decoder.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as e:
        problem = str(e)
    try:
        found = _decode_any(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise RemoteProtocolError(f"frame: {problem}") from None
    if found.type in KNOWN:
        raise RemoteProtocolError(f"frame {found.type}: {problem}")
    return Unknown(sid=found.sid, seq=found.seq, id=found.id, type=found.type[:100])


def sid_of(raw: bytes) -> int:
    """The subscription that a malformed frame was for; 0 if not even that can be read."""
    try:
        return _decode_any(raw).sid
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return 0


def subscribe(id: int, channels: Sequence[str], tickers: Sequence[str] = ()) -> bytes:
    """`use_yes_price` is always said: its default will change (FACTS.md section 4.5)."""
    params: dict[str, object] = {"channels": list(channels)}
    if tickers:
        params["market_tickers"] = list(tickers)
    if "orderbook_delta" in channels:
        params["use_yes_price"] = False
    return msgspec.json.encode({"id": id, "cmd": "subscribe", "params": params})


def update(id: int, sid: int, action: str, tickers: Sequence[str]) -> bytes:
    """`action` is add_markets, delete_markets or get_snapshot."""
    params = {"sids": [sid], "market_tickers": list(tickers), "action": action}
    return msgspec.json.encode({"id": id, "cmd": "update_subscription", "params": params})
