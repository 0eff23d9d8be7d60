"""The GETs of what is public: query in, answer out (FACTS.md section 6.5)."""

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Final

from actors.paper import market_bodies as bodies
from actors.paper.answers import Answer, nested
from actors.paper.exchange import Exchange
from actors.paper.fixed import SECOND, rfc3339
from actors.paper.market import Market
from actors.paper.paging import Query, bare, below, number, page, span, words
from actors.paper.view import View

EVENTS_MAX: Final = 200
DEPTH_MAX: Final = 100
BOOKS_MAX: Final = 100  # of one call
TICKER_CHARS_MAX: Final = 200
FIRST: Final = 1 << 40  # the number of the first row; later ones count down, and new ones come last
STATUSES: Final = {  # of the filter, by those of the object (FACTS.md section 5)
    "initialized": "unopened",
    "active": "open",
    "inactive": "paused",
    "closed": "closed",
    "finalized": "settled",
}


def status(view: View) -> Answer:
    """As `exchange__status`, and each shard's as well."""
    active = not (view.faults.exchange_paused or view.faults.maintenance)
    found = {
        "exchange_active": active,
        "trading_active": active and not view.faults.trading_paused,
    }
    shards = [
        found
        | {
            "description": f"shard {shard}",
            "exchange_index": shard,
            "intra_exchange_transfers_active": active,
        }
        for shard in sorted(view.exchange.account.cash_on)
    ]
    hopes: bodies.Body = {}
    if view.faults.resumes_ts and not found["trading_active"]:
        hopes["exchange_estimated_resume_time"] = rfc3339(view.faults.resumes_ts * SECOND)
    return Answer(200, found | hopes | {"exchange_index_statuses": shards})


def schedule(at: int) -> Answer:
    """GetExchangeScheduleResponse of the specification (FACTS.md section 9)."""
    return Answer(200, bodies.schedule(at))


def _pool(exchange: Exchange, query: Query) -> Iterable[Market]:
    """Few markets that have all that the query asks for, in order; from the cursor on."""
    last = below(query)
    since = 0 if last is None else min(max(FIRST - last + 1, 0), len(exchange.markets))
    tickers, events = words(query, "tickers"), words(query, "event_ticker")
    if not tickers and not events and not query.get("series_ticker"):
        return exchange.markets.since(since)
    if tickers:
        found = [exchange.markets[t] for t in tickers if t in exchange.markets]
    elif events:
        found = [m for event in events for m in exchange.markets.events.get(event, ())]
    else:
        found = exchange.markets.series.get(query["series_ticker"], [])
        since = bisect_left(found, since, key=lambda m: m.number)
        return islice(found, since, None)
    return sorted(found, key=lambda m: m.number)


def _markets(exchange: Exchange, query: Query) -> Iterator[tuple[int, Market]]:
    wanted = query.get("status", "")
    if wanted not in ("", *STATUSES.values()):
        raise bare("GetMarkets", "Status", "oneof")
    combos = query.get("mve_filter", "")
    tickers, events = words(query, "tickers"), words(query, "event_ticker")
    series = query.get("series_ticker", "")
    return (
        (FIRST - market.number, market)
        for market in _pool(exchange, query)
        if wanted in ("", STATUSES[market.status])
        and (not tickers or market.ticker in tickers)
        and (not events or market.event_ticker in events)
        and (not series or market.series_ticker == series)
        and (combos not in ("exclude", "only") or market.combo == (combos == "only"))
    )


def markets(exchange: Exchange, query: Query, at: int) -> Answer:
    """As `markets__page1`."""
    found, cursor = page(_markets(exchange, query), lambda row: row[0], query, "GetMarkets")
    shown = [bodies.market(market, at) for _, market in found]
    return Answer(200, {"cursor": cursor, "markets": shown})


def market(exchange: Exchange, ticker: str, at: int) -> Answer:
    """As `markets__single`."""
    found = exchange.markets.get(ticker)
    if found is None:
        return nested(404, "not_found", service="")
    return Answer(200, {"market": bodies.market(found, at)})


def orderbook(exchange: Exchange, ticker: str, query: Query) -> Answer:
    """As `orderbook__base`; depth 101 is refused, an unknown ticker is not."""
    depth = number(query, "depth", "GetMarketOrderbook", 0, DEPTH_MAX)
    return Answer(200, bodies.orderbook(exchange.markets.get(ticker), depth))


def orderbooks(exchange: Exchange, query: Query) -> Answer:
    """GetMarketOrderbooksResponse of the specification: whole books, one for each ticker named.

    The parameter is repeated; a comma list is one ticker, which nobody knows (FACTS.md section 5).
    """
    tickers = query.every("tickers")
    if not any(tickers):
        raise bare("GetMarketOrderbooks", "Tickers", "required")
    if len(tickers) > BOOKS_MAX or any(len(ticker) > TICKER_CHARS_MAX for ticker in tickers):
        raise bare("GetMarketOrderbooks", "Tickers", "max")
    books = [
        {"ticker": ticker} | bodies.orderbook(exchange.markets.get(ticker), 0) for ticker in tickers
    ]
    return Answer(200, {"orderbooks": books})


def trades(exchange: Exchange, query: Query) -> Answer:
    """As `trades__public_recorded`; no block is ever traded here."""
    least, most = span(query, "GetTrades")
    ticker, blocks = query.get("ticker", ""), query.get("is_block_trade") == "true"
    rows = [
        (n, trade, at)
        for n, (trade, at) in enumerate(exchange.trades, exchange.trades_forgotten)
        if least <= at <= most and (not ticker or trade.market.ticker == ticker) and not blocks
    ]
    rows.reverse()
    found, cursor = page(rows, lambda row: row[0], query, "GetTrades")
    shown = [bodies.trade(trade, at) for _, trade, at in found]
    return Answer(200, {"cursor": cursor, "trades": shown})


def events(exchange: Exchange, query: Query, at: int) -> Answer:
    """GetEventsResponse of the specification: those of multivariate markets are not among them."""
    answer = _events(exchange, query, at, combos=False)
    return Answer(200, answer | {"milestones": []})


def combos(exchange: Exchange, query: Query, at: int) -> Answer:
    """GetMultivariateEventsResponse of the specification."""
    return Answer(200, _events(exchange, query, at, combos=True))


def _events(exchange: Exchange, query: Query, at: int, combos: bool) -> bodies.Body:
    series, wanted = query.get("series_ticker", ""), query.get("status", "")
    rows = (
        (FIRST - n, found)
        for n, found in enumerate(exchange.markets.events.values())
        if found[0].combo == combos
        and (not series or found[0].series_ticker == series)
        and wanted in ("", "open" if any(market.open for market in found) else "settled")
    )
    found, cursor = page(rows, lambda row: row[0], query, "GetEvents", EVENTS_MAX)
    whole = query.get("with_nested_markets") == "true"
    return {
        "cursor": cursor,
        "events": [_event(exchange, markets, at, whole) for _, markets in found],
    }


def _event(exchange: Exchange, found: list[Market], at: int, whole: bool) -> bodies.Body:
    return bodies.event(found, exchange.lives.fee(found[0].event_ticker), at, whole)


def event(exchange: Exchange, event_ticker: str, query: Query, at: int) -> Answer:
    """GetEventResponse of the specification."""
    found = exchange.markets.events.get(event_ticker)
    if found is None:
        return nested(404, "not_found", service="")
    body = {
        "event": _event(exchange, found, at, query.get("with_nested_markets") == "true"),
        "markets": [bodies.market(market, at) for market in found],
    }
    return Answer(200, body)


def fee_changes(exchange: Exchange, query: Query) -> Answer:
    """GetEventFeeChangesResponse of the specification, the newest first."""
    wanted = query.get("event_ticker", "")
    rows = [
        (n, entry)
        for n, entry in enumerate(exchange.lives.fees)
        if not wanted or entry.event_ticker == wanted
    ]
    found, cursor = page(reversed(rows), lambda row: row[0], query, "GetEventFeeChanges")
    shown = [bodies.fee_change(entry) for _, entry in found]
    return Answer(200, {"cursor": cursor, "event_fee_changes": shown})


def series(exchange: Exchange, series_ticker: str) -> Answer:
    """One Series of the specification."""
    if series_ticker not in exchange.markets.series:
        return nested(404, "not_found", service="")
    return Answer(200, {"series": bodies.series(series_ticker)})


def all_series(exchange: Exchange) -> Answer:
    """Every series; not paged."""
    tickers = sorted(exchange.markets.series)
    return Answer(200, {"series": [bodies.series(ticker) for ticker in tickers]})
