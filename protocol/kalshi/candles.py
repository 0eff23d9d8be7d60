"""What the exchange shows of prices over time: candles of one market, of many, of an event.

FACTS.md section 6.5. The archive writes the same without the suffixes `_dollars` and `_fp`: both
spellings are read, and one of them has to be there.
"""

from msgspec import UNSET, Struct, UnsetType

from protocol.kalshi.portfolio import Seconds
from protocol.units import Count, Price


class Quotes(Struct, frozen=True):
    """Bids or asks through a candle's period; null where it only stands for an earlier one."""

    open_dollars: Price | None = None
    low_dollars: Price | None = None
    high_dollars: Price | None = None
    close_dollars: Price | None | UnsetType = UNSET
    open: Price | None = None
    low: Price | None = None
    high: Price | None = None
    close: Price | None | UnsetType = UNSET

    def __post_init__(self) -> None:
        if self.close_dollars is UNSET and self.close is UNSET:
            raise ValueError("a candle that does not say where its quotes closed")


class Prints(Struct, frozen=True):
    """Trades through a candle's period; null, or absent, where there was none."""

    open_dollars: Price | None = None
    low_dollars: Price | None = None
    high_dollars: Price | None = None
    close_dollars: Price | None = None
    mean_dollars: Price | None = None
    previous_dollars: Price | None = None
    open: Price | None = None
    low: Price | None = None
    high: Price | None = None
    close: Price | None = None
    mean: Price | None = None
    previous: Price | None = None


class Candle(Struct, frozen=True):
    """One period of a market; `end_period_ts` (seconds) belongs to it."""

    end_period_ts: Seconds
    yes_bid: Quotes
    yes_ask: Quotes
    price: Prints | None
    volume_fp: Count | None = None
    open_interest_fp: Count | None = None
    volume: Count | None = None
    open_interest: Count | None = None

    def __post_init__(self) -> None:
        if self.volume_fp is None and self.volume is None:
            raise ValueError("a candle without a volume")


class Candles(Struct, frozen=True):
    candlesticks: tuple[Candle, ...]
    ticker: str = ""


class MarketCandles(Struct, frozen=True):
    market_ticker: str
    candlesticks: tuple[Candle, ...]


class CandlesOfMarkets(Struct, frozen=True):
    markets: tuple[MarketCandles, ...]


class CandlesOfEvent(Struct, frozen=True):
    """A list for each market, in the order of the tickers. Where there would be too many, they end
    at `adjusted_end_ts`."""

    market_tickers: tuple[str, ...]
    market_candlesticks: tuple[tuple[Candle, ...], ...]
    adjusted_end_ts: Seconds | None = None

    def __post_init__(self) -> None:
        if len(self.market_tickers) != len(self.market_candlesticks):
            raise ValueError("not as many lists of candles as tickers")
