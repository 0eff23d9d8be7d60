"""The archive: what settled, or was traded, longer ago than the listings go back.

FACTS.md section 6.4. Orders and fills of old stand in `portfolio.py`, beside those of now.
"""

from actors.paper import bodies, market_bodies, reads
from actors.paper.answers import Answer, nested
from actors.paper.fixed import SECOND
from actors.paper.market import Market
from actors.paper.paging import Query, page, words
from actors.paper.portfolio import HISTORY
from actors.paper.positions import Position
from actors.paper.view import View


def archived(market: Market, at: int) -> bool:
    """Whether a market settled before the cut-off."""
    return bool(market.result) and market.settled < at - HISTORY


def markets(view: View, name: str, query: Query, at: int) -> Answer:
    """GetMarketsResponse of the specification, the newest first; combos are among them, unless
    they are excluded."""
    tickers = words(query, "tickers")
    event, series = query.get("event_ticker", ""), query.get("series_ticker", "")
    rows = (
        market
        for market in reversed(view.exchange.markets.values())
        if archived(market, at)
        and (not tickers or market.ticker in tickers)
        and event in ("", market.event_ticker)
        and series in ("", market.series_ticker)
        and not (query.get("mve_filter") == "exclude" and market.combo)
    )
    found, cursor = page(rows, lambda row: row.number + 1, query, "GetHistoricalMarkets")
    shown = [market_bodies.market(market, at) for market in found]
    return Answer(200, {"cursor": cursor, "markets": shown})


def market(view: View, name: str, query: Query, at: int) -> Answer:
    """GetMarketResponse of the specification."""
    found = view.exchange.markets.get(name)
    if found is None or not archived(found, at):
        return nested(404, "not_found", service="")
    return Answer(200, {"market": market_bodies.market(found, at)})


def trades(view: View, name: str, query: Query, at: int) -> Answer:
    """GetTradesResponse of the specification."""
    cutoff = (at - HISTORY) // SECOND
    until = query.get("max_ts", "")
    if not until or (until.isascii() and until.isdigit() and int(until) > cutoff):
        until = str(cutoff)
    return reads.trades(view.exchange, Query({**query, "max_ts": until}.items()))


def positions(view: View, name: str, query: Query, at: int) -> Answer:
    """GetPositionsResponse of the specification: of markets that settled before the cut-off."""
    account = view.account
    ticker, event = query.get("ticker", ""), query.get("event_ticker", "")
    rows = [
        (n, position)
        for n, position in enumerate(account.positions.values(), 1)
        if (result := account.results.get(position.ticker)) is not None
        and result.at < at - HISTORY
        and ticker in ("", position.ticker)
        and event in ("", _event(position))
    ]
    rows.reverse()
    found, cursor = page(rows, lambda row: row[0], query, "GetHistoricalPositions")
    by_event: dict[str, list[Position]] = {}
    for _, position in found:
        by_event.setdefault(_event(position), []).append(position)
    shown = [bodies.position(held, 0, account.shard(held.ticker)) for _, held in found]
    events = [bodies.event_position(*pair) for pair in by_event.items()]
    return Answer(200, {"cursor": cursor, "event_positions": events, "market_positions": shown})


def _event(position: Position) -> str:
    return position.ticker.rpartition("-")[0] or position.ticker
