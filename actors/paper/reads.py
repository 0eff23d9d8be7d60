"""The GETs of what is public: query in, answer out (FACTS.md section 6.5)."""

from typing import Final

from actors.paper import market_bodies as bodies
from actors.paper.exchange import Exchange
from actors.paper.intake import Answer, nested
from actors.paper.market import Market
from actors.paper.paging import Query, bare, number, page, span, words
from actors.paper.view import View

EVENTS_MAX: Final = 200
DEPTH_MAX: Final = 100


def status(view: View) -> Answer:
    """As `exchange__status`, and each shard's as well."""
    active = not view.faults.exchange_paused
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
    return Answer(200, found | {"exchange_index_statuses": shards})


def _markets(exchange: Exchange, query: Query) -> list[tuple[int, Market]]:
    wanted = query.get("status", "")
    if wanted not in ("", "unopened", "open", "paused", "closed", "settled"):
        raise bare("GetMarkets", "Status", "oneof")
    if query.get("mve_filter") == "only":
        return []
    tickers = words(query, "tickers")
    event, series = query.get("event_ticker", ""), query.get("series_ticker", "")
    return [
        (len(exchange.markets) - n, market)
        for n, market in enumerate(exchange.markets.values())
        if wanted in ("", "open" if market.open else "settled")
        and (not tickers or market.ticker in tickers)
        and (not event or market.event_ticker in event.split(","))
        and (not series or market.series_ticker == series)
    ]


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


def trades(exchange: Exchange, query: Query) -> Answer:
    """As `trades__public_recorded`."""
    least, most = span(query, "GetTrades")
    ticker = query.get("ticker", "")
    rows = [
        (n, trade, at)
        for n, (trade, at) in enumerate(exchange.trades, exchange.trades_forgotten)
        if least <= at <= most and (not ticker or trade.market.ticker == ticker)
    ]
    rows.reverse()
    found, cursor = page(rows, lambda row: row[0], query, "GetTrades")
    shown = [bodies.trade(trade, at) for _, trade, at in found]
    return Answer(200, {"cursor": cursor, "trades": shown})


def events(exchange: Exchange, query: Query, at: int) -> Answer:
    """GetEventsResponse of the specification."""
    by_event = _by_event(exchange)
    series, wanted = query.get("series_ticker", ""), query.get("status", "")
    rows = [
        (len(by_event) - n, found)
        for n, found in enumerate(by_event.values())
        if (not series or found[0].series_ticker == series)
        and wanted in ("", "open" if any(market.open for market in found) else "settled")
    ]
    found, cursor = page(rows, lambda row: row[0], query, "GetEvents", EVENTS_MAX)
    whole = query.get("with_nested_markets") == "true"
    return Answer(
        200,
        {
            "cursor": cursor,
            "events": [bodies.event(markets, at, whole) for _, markets in found],
            "milestones": [],
        },
    )


def event(exchange: Exchange, event_ticker: str, query: Query, at: int) -> Answer:
    """GetEventResponse of the specification."""
    found = _by_event(exchange).get(event_ticker)
    if found is None:
        return nested(404, "not_found", service="")
    whole = query.get("with_nested_markets") == "true"
    body = {
        "event": bodies.event(found, at, whole),
        "markets": [bodies.market(market, at) for market in found],
    }
    return Answer(200, body)


def series(exchange: Exchange, series_ticker: str) -> Answer:
    """One Series of the specification."""
    if all(market.series_ticker != series_ticker for market in exchange.markets.values()):
        return nested(404, "not_found", service="")
    return Answer(200, {"series": bodies.series(series_ticker)})


def all_series(exchange: Exchange) -> Answer:
    """Every series; not paged."""
    tickers = sorted({market.series_ticker for market in exchange.markets.values()})
    return Answer(200, {"series": [bodies.series(ticker) for ticker in tickers]})


def _by_event(exchange: Exchange) -> dict[str, list[Market]]:
    found: dict[str, list[Market]] = {}
    for market in exchange.markets.values():
        found.setdefault(market.event_ticker, []).append(market)
    return found
