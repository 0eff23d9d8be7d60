"""Candlesticks, made of the exchange's own prints (FACTS.md section 6.5).

A period without a print has no candle. Nobody keeps the quotes of the past, but a print tells one
of them: what a seller took was the best bid, what a buyer took the best ask. The other side is as
the last such print left it, and empty before the first.
"""

from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Final, NamedTuple

from actors.paper.answers import Answer, nested
from actors.paper.archive import archived
from actors.paper.exchange import Exchange
from actors.paper.fixed import DOLLAR, SECOND, contracts, dollars4
from actors.paper.market import Market
from actors.paper.market_bodies import Body
from actors.paper.matching import Side
from actors.paper.occurrences import Traded
from actors.paper.paging import Query, bare, number
from actors.paper.view import View

PERIODS: Final = (1, 60, 1_440)  # minutes
CANDLES_MAX: Final = 10_000  # in one answer
TICKERS_MAX: Final = 100
TS_MAX: Final = 1 << 40

Prints = list[tuple[Traded, int]]


class Span(NamedTuple):
    """Which candles: those that end from `start` to `end` (seconds), each so many seconds long."""

    start: int
    end: int
    period: int

    @property
    def length(self) -> int:
        return (self.end - self.start) // self.period + 1


def of_series(view: View, name: str, query: Query, at: int) -> Answer:
    """`name` is SERIES/markets/TICKER or SERIES/events/TICKER."""
    series, _, rest = name.partition("/")
    kind, _, ticker = rest.partition("/")
    found = view.exchange.markets.events.get(ticker, []) if kind == "events" else []
    if kind == "markets" and ticker in view.exchange.markets:
        found = [view.exchange.markets[ticker]]
    found = [m for m in found if m.series_ticker == series and not archived(m, at)]
    if not found:
        return nested(404, "not_found", service="")
    span = _span(query, "GetMarketCandlesticks", PERIODS)
    if kind == "events":
        return Answer(200, _of_event(view.exchange, found, span))
    _bound(span, 1, "GetMarketCandlesticks")
    latest = query.get("include_latest_before_start") == "true"
    return Answer(200, _of_market(view.exchange, ticker, span, latest))


def _of_market(exchange: Exchange, ticker: str, span: Span, latest: bool) -> Body:
    """GetMarketCandlesticksResponse of the specification."""
    prints = [(trade, at) for trade, at in exchange.trades if trade.market.ticker == ticker]
    return {"ticker": ticker, "candlesticks": list(_candles(prints, span, latest))}


def _of_event(exchange: Exchange, markets: list[Market], span: Span) -> Body:
    """GetEventCandlesticksResponse of the specification: it ends early rather than be too long."""
    whole = span.start + (CANDLES_MAX // len(markets)) * span.period - 1
    span = span._replace(end=min(span.end, whole))
    found = [_of_market(exchange, market.ticker, span, False) for market in markets]
    return {
        "market_tickers": [body["ticker"] for body in found],
        "market_candlesticks": [body["candlesticks"] for body in found],
        "adjusted_end_ts": span.end,
    }


def of_markets(view: View, name: str, query: Query, at: int) -> Answer:
    """BatchGetMarketCandlesticksResponse of the specification; who is not known is left out."""
    call = "BatchGetMarketCandlesticks"
    tickers = [ticker for ticker in query.get("market_tickers", "").split(",") if ticker]
    if not tickers:
        raise bare(call, "MarketTickers", "required")
    if len(tickers) > TICKERS_MAX:
        raise bare(call, "MarketTickers", "max")
    span = _span(query, call, ())
    _bound(span, len(tickers), call)
    latest = query.get("include_latest_before_start") == "true"
    known = [t for t in tickers if t in view.exchange.markets]
    found = [_of_market(view.exchange, ticker, span, latest) for ticker in known]
    shown = [{"market_ticker": b["ticker"], "candlesticks": b["candlesticks"]} for b in found]
    return Answer(200, {"markets": shown})


def of_archive(view: View, name: str, query: Query, at: int) -> Answer:
    """GetMarketCandlesticksHistoricalResponse of the specification: the same without suffixes."""
    market = view.exchange.markets.get(name)
    if market is None or not archived(market, at):
        return nested(404, "not_found", service="")
    span = _span(query, "GetMarketCandlesticksHistorical", PERIODS)
    _bound(span, 1, "GetMarketCandlesticksHistorical")
    body = _of_market(view.exchange, name, span, False)
    return Answer(200, body | {"candlesticks": [_bare_names(c) for c in body["candlesticks"]]})


def _bare_names(candle: Body) -> Body:
    found: Body = {}
    for name, value in candle.items():
        short = name.removesuffix("_dollars").removesuffix("_fp")
        found[short] = _bare_names(value) if isinstance(value, dict) else value
    return found


def _span(query: Query, call: str, periods: tuple[int, ...]) -> Span:
    """Raises Refused: all three are needed, and `end_ts` is not before `start_ts`."""
    for name, field in (("start_ts", "StartTs"), ("end_ts", "EndTs")):
        if not query.get(name):
            raise bare(call, field, "required")
    minutes = number(query, "period_interval", call, 0, 1 << 20)
    if not minutes or (periods and minutes not in periods):
        raise bare(call, "PeriodInterval", "oneof" if periods else "min")
    start, end = (number(query, name, call, 0, TS_MAX) for name in ("start_ts", "end_ts"))
    if end < start:
        raise bare(call, "EndTs", "gtefield")
    return Span(start, end, minutes * 60)


def _bound(span: Span, markets: int, call: str) -> None:
    if span.length * markets > CANDLES_MAX:
        raise bare(call, "EndTs", "max")


class _Quotes:
    """Where the last prints left the quotes, and what has been traded until then."""

    def __init__(self) -> None:
        self.bid, self.ask = 0, DOLLAR
        self.price: int | None = None
        self.volume = 0

    def take(self, prints: Prints) -> tuple[Body, Body]:
        """Bids and asks through a period; what comes next begins where it ends."""
        bids = [trade.price for trade, _ in prints if trade.taker is Side.ASK] or [self.bid]
        asks = [trade.price for trade, _ in prints if trade.taker is Side.BID] or [self.ask]
        self.bid, self.ask = bids[-1], asks[-1]
        self.price = prints[-1][0].price
        self.volume += sum(trade.count for trade, _ in prints)
        return _through(bids), _through(asks)


def _candles(prints: Prints, span: Span, latest: bool) -> Iterator[Body]:
    """A market's candles, oldest first; before them, if it is wanted, what stands for the last
    one before them: at the first end of a period, with no prices but the previous one."""
    quotes, waits = _Quotes(), latest
    for end, group in groupby(prints, lambda row: _end(row[1], span.period)):
        if end > span.end:
            break
        if waits and end >= span.start:
            waits = False
            yield from _standing(quotes, span)
        before, found = quotes.price, list(group)
        bids, asks = quotes.take(found)
        if end >= span.start:
            yield _candle(end, bids, asks, _traded(found, before), found, quotes.volume)
    if waits:
        yield from _standing(quotes, span)


def _standing(quotes: _Quotes, span: Span) -> Iterator[Body]:
    if quotes.price is not None:
        end = -(-span.start // span.period) * span.period
        bids, asks = _through([quotes.bid]), _through([quotes.ask])
        yield _candle(end, bids, asks, _traded([], quotes.price), [], quotes.volume)


def _candle(
    end: int, bids: Body, asks: Body, price: Body, prints: Iterable[tuple[Traded, int]], total: int
) -> Body:
    """One candle. The open interest is estimated as a Market object's is."""
    return {
        "end_period_ts": end,
        "open_interest_fp": contracts(total // 2),
        "price": price,
        "volume_fp": contracts(sum(trade.count for trade, _ in prints)),
        "yes_ask": asks,
        "yes_bid": bids,
    }


def _end(at: int, period: int) -> int:
    """The end of the period that a moment (µs) lies in; an end belongs to its period."""
    return -(-at // (period * SECOND)) * period


def _through(prices: list[int]) -> Body:
    return {
        "close_dollars": dollars4(prices[-1]),
        "high_dollars": dollars4(max(prices)),
        "low_dollars": dollars4(min(prices)),
        "open_dollars": dollars4(prices[0]),
    }


def _traded(prints: Prints, before: int | None) -> Body:
    names = ("open_dollars", "low_dollars", "high_dollars", "close_dollars", "mean_dollars")
    body: Body = dict.fromkeys(names)
    if prints:
        count = sum(trade.count for trade, _ in prints)
        mean = sum(trade.price * trade.count for trade, _ in prints) // count
        body |= _through([trade.price for trade, _ in prints]) | {"mean_dollars": dollars4(mean)}
    return body | {"previous_dollars": None if before is None else dollars4(before)}
