"""Markets, their trades and candles in our own form: what is asked of the exchange, and what its
answer becomes.

Nothing here keeps markets: the exchange's own listing is the one that is complete and says what it
has. So these are reads of the exchange (`Inquire`), through the gateway and the account's one read
budget, with its paging; only the words, units and times are ours. `as_of` is when it was asked,
less what the exchange may keep an answer for.
"""

from typing import Any, Final, Literal

from msgspec import Struct
from msgspec.structs import replace

from actors.api.bodies import Problem
from actors.api.route import NUMBER_MAX, Said
from protocol.errors import RemoteProtocolError
from protocol.kalshi import inquiries, reading
from protocol.kalshi.candles import Candle, CandlesOfMarkets, Prints, Quotes
from protocol.kalshi.inquiries import UnfitInquiry
from protocol.kalshi.market_data import Market, Trade, TradePage
from protocol.kalshi.parameters import SECONDS_MAX
from protocol.limits import LISTING_CACHED, US
from protocol.messages import BookSide, Inquire
from protocol.units import Count, Price

Kind = Literal["markets", "market", "trades", "candles"]
SECOND_US: Final = 1_000_000
LIMIT_MAX: Final = 200  # rows of one answer: each is read in full
NAMES: Final = {"series": "series_ticker", "event": "event_ticker", "tickers": "tickers"}


class AskMarkets(Struct, frozen=True):
    """A read of the exchange whose answer is told in our own form. `text`: only rows with it;
    `since` and `until`: only prints of these moments and between, microseconds."""

    what: Kind
    inquire: Inquire
    text: str = ""
    since: int = 0
    until: int = NUMBER_MAX


class MarketRow(Struct, frozen=True):
    """A market: its life, its best prices, of the YES leg. Null: nobody quotes, or it is not known.
    Sizes and volumes are contracts, times microseconds. `status` is the exchange's word."""

    ticker: str
    event_ticker: str
    title: str
    subtitle: str
    status: str
    bid: Price | None
    bid_size: Count | None
    ask: Price | None
    ask_size: Count | None
    last: Price | None
    volume: Count
    open_interest: Count
    open_at: int
    close_at: int
    result: str
    settlement: Price | None
    shard: int


class TradeRow(Struct, frozen=True):
    """A public print, with the price of the YES leg; `taker_side` is what the taker bought."""

    trade_id: str
    ticker: str
    price: Price
    count: Count
    taker_side: BookSide | None
    exchange_at: int
    block: bool


class Range(Struct, frozen=True):
    """Where something opened, was lowest and highest, and closed; null: there was none."""

    open: Price | None
    low: Price | None
    high: Price | None
    close: Price | None


class CandleRow(Struct, frozen=True):
    """One period that ends at `end_at` (microseconds): trades, and the quotes of the YES leg."""

    end_at: int
    price: Range
    mean: Price | None
    bid: Range
    ask: Range
    volume: Count
    open_interest: Count | None


class _Named(Market, frozen=True):
    title: str = ""
    yes_sub_title: str = ""


class _Page(Struct, frozen=True):
    markets: tuple[_Named, ...]
    cursor: str | None = ""


class _One(Struct, frozen=True):
    market: _Named


def listing(said: Said) -> AskMarkets | Problem:
    """Markets, of a series, an event, a status."""
    parameters = {NAMES.get(name, name): text for name, text in said.query.items() if text != ""}
    text = parameters.pop("text", "")
    return _asked("markets", "markets", parameters, text)


def one(said: Said) -> AskMarkets | Problem:
    """One market."""
    return _asked("market", "market", dict(said.parts))


def trades(said: Said) -> AskMarkets | Problem:
    """Public prints of a market, newest first."""
    parameters = {name: said.query[name] for name in ("limit", "cursor") if said.query.get(name)}
    since, until = said.number("since"), said.number("until", NUMBER_MAX)
    if until < since:
        return Problem(422, "invalid_until", "until is before since", "until")
    # The exchange counts in seconds, and does not say whether its bounds are in: one more each.
    if "since" in said.query:
        parameters["min_ts"] = str(max(since // SECOND_US - 1, 0))
    if "until" in said.query:
        parameters["max_ts"] = str(min(until // SECOND_US + 1, SECONDS_MAX))
    found = _asked("trades", "trades", parameters | dict(said.parts))
    return found if isinstance(found, Problem) else replace(found, since=since, until=until)


def candles(said: Said) -> AskMarkets | Problem:
    """Candles of a market, oldest first."""
    parameters = {
        "market_tickers": said.parts["ticker"],
        "start_ts": str(said.number("since") // SECOND_US),
        "end_ts": str(said.number("until") // SECOND_US),
        "period_interval": said.query["minutes"],
    }
    return _asked("candles", "candlesticks_of_markets", parameters)


OURS: Final = {
    "market_tickers": "ticker",
    "start_ts": "since",
    "end_ts": "until",
    "min_ts": "since",
    "max_ts": "until",
    "series_ticker": "series",
    "event_ticker": "event",
    "period_interval": "minutes",
}


def _asked(
    what: Kind, name: str, parameters: dict[str, Any], text: str = ""
) -> AskMarkets | Problem:
    try:
        inquiries.call(name, parameters)
    except UnfitInquiry as e:
        field = OURS.get(e.field, e.field)
        return Problem(422, f"invalid_{field}", e.text, field)
    return AskMarkets(what, Inquire(name, parameters), text)


def cached(ask: AskMarkets) -> int:
    """How old the exchange's answer may have been when it gave it, microseconds: of its listing of
    markets there is a copy before it (FACTS.md section 1)."""
    return LISTING_CACHED // US if ask.what == "markets" else 0


def told(ask: AskMarkets, body: bytes) -> dict[str, Any]:
    """The exchange's answer in our own form. Raises RemoteProtocolError if it can't be read."""
    match ask.what:
        case "markets":
            page: _Page = reading.read(body, _Page)
            rows = [market_row(market) for market in page.markets if _has(market, ask.text)]
            return {"markets": rows, "cursor": page.cursor or ""}
        case "market":
            single: _One = reading.read(body, _One)
            return {"market": market_row(single.market)}
        case "trades":
            prints: TradePage = reading.read(body, TradePage)
            found = [trade_row(trade) for trade in prints.trades]
            found = [row for row in found if ask.since <= row.exchange_at <= ask.until]
            return {"trades": found, "cursor": prints.cursor or ""}
        case "candles":
            listed: CandlesOfMarkets = reading.read(body, CandlesOfMarkets)
            if len(listed.markets) > 1:
                raise RemoteProtocolError("candles of more markets than were asked for")
            candlesticks = listed.markets[0].candlesticks if listed.markets else ()
            return {"candles": [candle_row(candle) for candle in candlesticks], "cursor": ""}


def market_row(market: _Named) -> MarketRow:
    """Of an empty side the exchange's price is not to be trusted, only its size: null here."""
    bids = market.yes_bid_size_fp is None or market.yes_bid_size_fp > 0
    asks = market.yes_ask_size_fp is None or market.yes_ask_size_fp > 0
    return MarketRow(
        market.ticker, market.event_ticker, market.title, market.yes_sub_title, market.status,
        market.yes_bid_dollars if bids and market.yes_bid_dollars else None,
        market.yes_bid_size_fp,
        market.yes_ask_dollars if asks and market.yes_ask_dollars else None,
        market.yes_ask_size_fp,
        market.last_price_dollars or None, market.volume_fp, market.open_interest_fp,
        int(market.open_time), int(market.close_time), market.result,
        market.settlement_value_dollars, market.exchange_index,
    )  # fmt: skip


def trade_row(trade: Trade) -> TradeRow:
    """Which side took it has had three names; a taker on the bid bought YES."""
    outcome = trade.taker_outcome_side or trade.taker_side
    book = {"bid": "yes", "ask": "no"}.get(trade.taker_book_side, "")
    side: BookSide | None = None
    for word in (outcome, book):
        if side is None and word in ("yes", "no"):
            side = "yes" if word == "yes" else "no"
    at = int(trade.created_time)
    return TradeRow(trade.trade_id, trade.ticker, trade.yes_price_dollars, trade.count_fp, side, at,
                    trade.is_block_trade)  # fmt: skip


def candle_row(candle: Candle) -> CandleRow:
    """Both spellings of the exchange are one here."""
    prints = candle.price or Prints()
    mean = prints.mean_dollars if prints.mean_dollars is not None else prints.mean
    volume = candle.volume_fp if candle.volume_fp is not None else candle.volume
    interest = candle.open_interest_fp
    interest = interest if interest is not None else candle.open_interest
    assert volume is not None
    return CandleRow(candle.end_period_ts * SECOND_US, _range(prints), mean, _range(candle.yes_bid),
                     _range(candle.yes_ask), volume, interest)  # fmt: skip


def _range(found: Quotes | Prints) -> Range:
    first, low, high, last = (_either(found, name) for name in ("open", "low", "high", "close"))
    return Range(first, low, high, last)


def _either(found: Quotes | Prints, name: str) -> Price | None:
    for spelling in (f"{name}_dollars", name):
        price = getattr(found, spelling)
        if isinstance(price, Price):
            return price
    return None


def _has(market: _Named, text: str) -> bool:
    words = f"{market.ticker}\n{market.title}\n{market.yes_sub_title}".casefold()
    return text.casefold() in words
