"""The GETs: query in, answer out. Paging, filters and their refusals (FACTS.md section 6).

A cursor names the last row that was shown, so that pages stay put while rows are added. One that
was never ours is passed over, silently, as capture `markets__garbage_cursor` has it.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

from actors.paper import bodies
from actors.paper.exchange import Exchange
from actors.paper.fixed import SECOND
from actors.paper.intake import UUID, Answer, Refused, nested
from actors.paper.market import Market

LIMIT_DEFAULT: Final = 100
LIMIT_MAX: Final = 1_000
EVENTS_MAX: Final = 200
DEPTH_MAX: Final = 100

Query = Mapping[str, str]
Row = TypeVar("Row")


def _bare(call: str, field: str, rule: str) -> Refused:
    """As capture `markets__limit_over_max`."""
    text = (
        f"Parameter validation failed for {call}: Key: '{call}Params.{field}' "
        f"Error:Field validation for '{field}' failed on the '{rule}' tag"
    )
    return Refused(Answer(400, {"msg": text}))


def _number(query: Query, name: str, call: str, default: int, most: int) -> int:
    text = query.get(name, "")
    if not text:
        return default
    if not (text.isascii() and text.isdigit() and len(text) < 16):
        raise Refused(Answer(400, {"msg": f"Invalid format for parameter {name}: {text[:40]!r}"}))
    if int(text) > most:
        raise _bare(call, name.title().replace("_", ""), "lte")
    return int(text)


def _page(
    rows: list[Row],
    number: Callable[[Row], int],
    query: Query,
    call: str,
    most: int = LIMIT_MAX,
) -> tuple[list[Row], str]:
    """One page of rows, newest (highest number) first, and the cursor of the next."""
    default = LIMIT_DEFAULT if most == LIMIT_MAX else most
    limit = _number(query, "limit", call, default, most) or default
    cursor = query.get("cursor", "")
    last = cursor.removeprefix("p")
    if cursor.startswith("p") and last.isascii() and last.isdigit() and len(last) < 20:
        rows = [row for row in rows if number(row) < int(last)]
    page = sorted(rows, key=number, reverse=True)[:limit]
    more = len(rows) > len(page)
    return page, f"p{number(page[-1])}" if more and page else ""


def _span(query: Query, call: str) -> tuple[int, int]:
    """`min_ts` and `max_ts` (Unix seconds) as microseconds, the latter inclusive."""
    least = _number(query, "min_ts", call, 0, 1 << 40)
    most = _number(query, "max_ts", call, 1 << 40, 1 << 40)
    return least * SECOND, (most + 1) * SECOND - 1


def _words(query: Query, name: str) -> frozenset[str]:
    return frozenset(filter(None, query.get(name, "").split(",")))


def orders(exchange: Exchange, query: Query) -> Answer:
    """As `portfolio__orders_list`; there is no filter by client_order_id."""
    least, most = _span(query, "GetOrders")
    tickers, events = _words(query, "ticker"), _words(query, "event_ticker")
    status = query.get("status", "")
    if status not in ("", "resting", "canceled", "executed"):
        raise _bare("GetOrders", "Status", "oneof")
    rows = [
        order
        for order in exchange.account.orders.values()
        if least <= order.placed.at <= most
        and (not tickers or order.placed.ticker in tickers)
        and (not events or order.placed.ticker.rpartition("-")[0] in events)
        and (not status or order.status == status)
    ]
    page, cursor = _page(rows, lambda order: order.n, query, "GetOrders")
    return Answer(200, {"cursor": cursor, "orders": [bodies.order(order) for order in page]})


def order(exchange: Exchange, order_id: str) -> Answer:
    """As `orders__get_after_create`; malformed id 400, unknown id 404."""
    if not UUID.fullmatch(order_id):
        return nested(400, "invalid_UUID")
    found = exchange.account.orders.get(order_id)
    return Answer(200, {"order": bodies.order(found)}) if found else nested(404, "not_found")


def fills(exchange: Exchange, query: Query) -> Answer:
    """As `fills__after_taker`."""
    least, most = _span(query, "GetFills")
    tickers, order_id = _words(query, "ticker"), query.get("order_id", "")
    rows = [
        fill
        for fill in exchange.account.fills
        if least <= fill.entry.at <= most
        and (not tickers or fill.order.placed.ticker in tickers)
        and (not order_id or fill.entry.order_id == order_id)
    ]
    page, cursor = _page(rows, lambda fill: fill.n, query, "GetFills")
    return Answer(200, {"cursor": cursor, "fills": [bodies.fill(fill) for fill in page]})


def positions(exchange: Exchange, query: Query) -> Answer:
    """As `portfolio__positions`."""
    account = exchange.account
    tickers, events = _words(query, "ticker"), _words(query, "event_ticker")
    wants = _words(query, "count_filter")
    rows = [
        (n, position)
        for n, position in enumerate(account.positions.values())
        if (not tickers or position.ticker in tickers)
        and (not events or position.ticker.rpartition("-")[0] in events)
        and (wants != {"position"} or position.count)
    ]
    page, cursor = _page(rows, lambda row: row[0], query, "GetPositions")
    found = [position for _, position in page]
    by_event: dict[str, list[Any]] = {}
    for position in found:
        by_event.setdefault(position.ticker.rpartition("-")[0], []).append(position)
    return Answer(
        200,
        {
            "cursor": cursor,
            "event_positions": [bodies.event_position(*pair) for pair in by_event.items()],
            "market_positions": [
                bodies.position(position, len(account.resting(position.ticker)))
                for position in found
            ],
        },
    )


def _markets(exchange: Exchange, query: Query) -> list[tuple[int, Market]]:
    status = query.get("status", "")
    if status not in ("", "unopened", "open", "paused", "closed", "settled"):
        raise _bare("GetMarkets", "Status", "oneof")
    if status not in ("", "open") or query.get("mve_filter") == "only":
        return []
    tickers = _words(query, "tickers")
    event, series = query.get("event_ticker", ""), query.get("series_ticker", "")
    return [
        (-n, market)
        for n, market in enumerate(exchange.markets.values(), 1)
        if (not tickers or market.ticker in tickers)
        and (not event or market.event_ticker in event.split(","))
        and (not series or market.series_ticker == series)
    ]


def markets(exchange: Exchange, query: Query, at: int) -> Answer:
    """As `markets__page1`: every market here is open."""
    rows = [(n + len(exchange.markets) + 1, market) for n, market in _markets(exchange, query)]
    page, cursor = _page(rows, lambda row: row[0], query, "GetMarkets")
    found = [bodies.market(market, at) for _, market in page]
    return Answer(200, {"cursor": cursor, "markets": found})


def market(exchange: Exchange, ticker: str, at: int) -> Answer:
    """As `markets__single`."""
    found = exchange.markets.get(ticker)
    if found is None:
        return nested(404, "not_found", service="")
    return Answer(200, {"market": bodies.market(found, at)})


def orderbook(exchange: Exchange, ticker: str, query: Query) -> Answer:
    """As `orderbook__base`; depth 101 is refused, an unknown ticker is not."""
    depth = _number(query, "depth", "GetMarketOrderbook", 0, DEPTH_MAX)
    return Answer(200, bodies.orderbook(exchange.markets.get(ticker), depth))


def trades(exchange: Exchange, query: Query) -> Answer:
    """As `trades__public_recorded`."""
    least, most = _span(query, "GetTrades")
    ticker = query.get("ticker", "")
    rows = [
        (n, trade, at)
        for n, (trade, at) in enumerate(exchange.trades, exchange.trades_forgotten)
        if least <= at <= most and (not ticker or trade.market.ticker == ticker)
    ]
    page, cursor = _page(rows, lambda row: row[0], query, "GetTrades")
    return Answer(
        200, {"cursor": cursor, "trades": [bodies.trade(trade, at) for _, trade, at in page]}
    )


def events(exchange: Exchange, query: Query, at: int) -> Answer:
    """GetEventsResponse of the specification."""
    by_event = _by_event(exchange)
    series, status = query.get("series_ticker", ""), query.get("status", "")
    rows = [
        (len(by_event) - n, found)
        for n, found in enumerate(by_event.values())
        if (not series or found[0].series_ticker == series) and status in ("", "open")
    ]
    page, cursor = _page(rows, lambda row: row[0], query, "GetEvents", EVENTS_MAX)
    whole = query.get("with_nested_markets") == "true"
    return Answer(
        200,
        {
            "cursor": cursor,
            "events": [bodies.event(found, at, whole) for _, found in page],
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
