"""What the exchange's WebSocket frames say: the `msg` of each, as frozen Structs.

Fields and their names are those of the wire (FACTS.md sections 4.3 to 4.5); what we don't use is
not declared and is skipped unread. What it means is told in `meaning.py`.
"""

from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from protocol.facts import OrderSide
from protocol.messages import BookSide, Level
from protocol.units import Count, Money, Price

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

    @property
    def named(self) -> tuple[str, ...]:
        """The markets that are to blame, as far as it says."""
        one = (self.market_ticker,) if self.market_ticker else ()
        return (self.market_tickers or ()) + one
