"""What the exchange shows of its markets: their shapes (FACTS.md sections 5, 6.4 and 6.5).

Fields that somebody could compute with are read exactly, in integers; the rest is passed over. A
body of which one row makes no sense is no answer. Where a field had another name before, or has one
in the archive, both are read, and one of them has to be there.
"""

from typing import Annotated

from msgspec import Meta, Struct

from protocol.kalshi.answers import PriceRange
from protocol.kalshi.portfolio import Shard
from protocol.kalshi.reading import Factor, Id, Micros
from protocol.messages import Level
from protocol.units import DOLLAR, Count, Price

Text = Annotated[str, Meta(max_length=256)]


class Market(Struct, frozen=True):
    """A market: its life, its prices, its top of book. Of an empty side only the size is to be
    trusted (section 5)."""

    ticker: Id
    event_ticker: Id
    status: Text  # an open set
    open_time: Micros
    close_time: Micros
    yes_bid_dollars: Price
    yes_ask_dollars: Price
    last_price_dollars: Price
    volume_fp: Count
    open_interest_fp: Count
    price_ranges: tuple[PriceRange, ...] | None = None  # the archive may have no grid
    result: Text = ""
    no_bid_dollars: Price | None = None
    no_ask_dollars: Price | None = None
    yes_bid_size_fp: Count | None = None
    yes_ask_size_fp: Count | None = None
    volume_24h_fp: Count | None = None
    settlement_value_dollars: Price | None = None
    exchange_index: Shard = 0

    def __post_init__(self) -> None:
        if max(self.yes_bid_dollars, self.yes_ask_dollars, self.last_price_dollars) > DOLLAR:
            raise ValueError(f"{self.ticker}: a price above a dollar")


class OneMarket(Struct, frozen=True):
    market: Market


class MarketPage(Struct, frozen=True):
    markets: tuple[Market, ...]
    cursor: str | None = ""


class Sides(Struct, frozen=True):
    """Bids of both sides, ascending; a NO bid's price is what a NO contract costs."""

    yes_dollars: tuple[Level, ...] | None
    no_dollars: tuple[Level, ...] | None

    def __post_init__(self) -> None:
        for levels in (self.yes_dollars or (), self.no_dollars or ()):
            if any(price > DOLLAR or count <= 0 for price, count in levels):
                raise ValueError("a level that no book has")


class OneBook(Struct, frozen=True):
    orderbook_fp: Sides


class TickerBook(Struct, frozen=True):
    ticker: Text
    orderbook_fp: Sides


class Books(Struct, frozen=True):
    orderbooks: tuple[TickerBook, ...]


class Trade(Struct, frozen=True):
    """A public print; which side took it has had three names."""

    trade_id: Id
    ticker: Id
    count_fp: Count
    yes_price_dollars: Price
    created_time: Micros
    no_price_dollars: Price | None = None
    taker_book_side: Text = ""
    taker_outcome_side: Text = ""
    taker_side: Text = ""
    is_block_trade: bool = False

    def __post_init__(self) -> None:
        if self.count_fp <= 0 or self.yes_price_dollars > DOLLAR:
            raise ValueError(f"trade {self.trade_id}: its count or price makes no sense")
        if not (self.taker_book_side or self.taker_outcome_side or self.taker_side):
            raise ValueError(f"trade {self.trade_id} does not say who took")


class TradePage(Struct, frozen=True):
    trades: tuple[Trade, ...]
    cursor: str | None = ""


class Event(Struct, frozen=True):
    event_ticker: Id
    series_ticker: str
    title: str
    mutually_exclusive: bool
    markets: tuple[Market, ...] | None = None
    fee_type_override: Text | None = None
    fee_multiplier_override: Factor | None = None
    exchange_index: Shard = 0


class OneEvent(Struct, frozen=True):
    event: Event
    markets: tuple[Market, ...] | None = None  # absent where they are nested


class EventPage(Struct, frozen=True):
    events: tuple[Event, ...]
    cursor: str | None = ""


class MarketPicture(Struct, frozen=True):
    market_ticker: str
    image_url: str = ""


class EventMetadata(Struct, frozen=True):
    image_url: str
    market_details: tuple[MarketPicture, ...] | None = None


class Series(Struct, frozen=True):
    ticker: Id
    title: str
    category: str
    fee_type: Text  # an open set
    fee_multiplier: Factor
    frequency: str = ""
    volume_fp: Count | None = None
    exchange_index: Shard = 0


class OneSeries(Struct, frozen=True):
    series: Series


class SeriesList(Struct, frozen=True):
    series: tuple[Series, ...]


class SeriesFeeChange(Struct, frozen=True):
    id: Id
    series_ticker: str
    fee_type: Text
    fee_multiplier: Factor
    scheduled_ts: Micros


class SeriesFeeChanges(Struct, frozen=True):
    series_fee_change_arr: tuple[SeriesFeeChange, ...]


class EventFeeChange(Struct, frozen=True):
    """Without a type the override ends."""

    id: Id
    event_ticker: str
    series_ticker: str
    scheduled_ts: Micros
    fee_type_override: Text | None = None
    fee_multiplier_override: Factor | None = None


class EventFeeChanges(Struct, frozen=True):
    event_fee_changes: tuple[EventFeeChange, ...]
    cursor: str | None = ""
