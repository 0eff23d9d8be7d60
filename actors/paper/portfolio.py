"""The GETs of the account: query in, answer out (FACTS.md section 6.4)."""

from collections.abc import Iterable, Iterator
from typing import Final

from actors.paper import bodies
from actors.paper.account import Fill
from actors.paper.answers import Answer, nested
from actors.paper.collateral import Order
from actors.paper.fixed import SECOND, contracts, rfc3339
from actors.paper.intake import UUID
from actors.paper.matching import Side
from actors.paper.paging import Query, bare, below, page, shard, span, words
from actors.paper.positions import Position
from actors.paper.view import View

HISTORY: Final = 90 * 86_400 * SECOND  # how long everything but orders stays listed


def _orders(view: View, query: Query, status: str, historical: bool, at: int) -> Iterator[Order]:
    least, most = span(query, "GetOrders")
    tickers, events = words(query, "ticker"), words(query, "event_ticker")
    index, account = shard(query), view.account
    cutoff = at - view.faults.history_cutoff_s * SECOND
    for order in account.newest_first(below(query)):
        placed = order.placed
        if (not order.resting and order.updated < cutoff) is not historical:
            continue
        if status and order.status != status or not least <= placed.at <= most:
            continue
        if tickers and placed.ticker not in tickers:
            continue
        if events and placed.ticker.rpartition("-")[0] not in events:
            continue
        if index is None or account.shard(placed.ticker) == index:
            yield order


def orders(view: View, query: Query, historical: bool, at: int) -> Answer:
    """As `portfolio__orders_list`; there is no filter by client_order_id.

    Orders that ended before the cutoff are in the historical listing, and only there.
    """
    status = query.get("status", "")
    if status not in ("", "resting", "canceled", "executed"):
        raise bare("GetOrders", "Status", "oneof")
    rows, faults = _orders(view, query, status, historical, at), view.faults
    missed = False

    def lied() -> Iterator[Order]:
        nonlocal missed
        for order in rows:
            if faults.misses(order.placed.order_id, order.placed.client_order_id):
                missed = True
            else:
                yield order

    found, cursor = page(lied(), lambda order: order.n, query, "GetOrders", faults=faults)
    if missed:
        faults.left_out()
    shard_of = view.account.shard
    shown = [bodies.order(order, shard_of(order.placed.ticker)) for order in found]
    return Answer(200, {"cursor": cursor, "orders": shown})


def order(view: View, order_id: str, at: int) -> Answer:
    """As `orders__get_after_create`; malformed id 400, unknown id (or one of old) 404."""
    if not UUID.fullmatch(order_id):
        return nested(400, "invalid_UUID")
    found = view.account.orders.get(order_id)
    cutoff = at - view.faults.history_cutoff_s * SECOND
    if found is None or (not found.resting and found.updated < cutoff):
        return nested(404, "not_found")
    body = bodies.order(found, view.account.shard(found.placed.ticker))
    return Answer(200, {"order": body})


def groups(view: View) -> Answer:
    """GetOrderGroupsResponse of the specification; not paged."""
    found = view.account.groups
    rows = [{"id": group_id} | bodies.group(group) for group_id, group in found.items()]
    return Answer(200, {"order_groups": rows})


def group(view: View, group_id: str) -> Answer:
    """GetOrderGroupResponse of the specification; its orders are those that rest."""
    found = view.account.groups.get(group_id)
    if found is None:
        return nested(404, "not_found")
    return Answer(200, bodies.group(found) | {"orders": list(found.orders)})


def queue_positions(view: View, query: Query) -> Answer:
    """GetOrderQueuePositionsResponse of the specification: of all that rest, or of some markets.

    An order that only a lagging read still knows stands in no queue.
    """
    tickers, events = words(query, "market_tickers"), words(query, "event_ticker")
    wanted = (
        ticker
        for ticker in dict.fromkeys(order.placed.ticker for order in view.account.resting())
        if (not tickers or ticker in tickers)
        and (not events or (ticker.rpartition("-")[0] or ticker) in events)
    )
    rows = [
        {"market_ticker": ticker, "order_id": order_id, "queue_position_fp": contracts(ahead)}
        for ticker in wanted
        for order_id, ahead in _queue(view, ticker)
        if view.account.orders[order_id].resting
    ]
    return Answer(200, {"queue_positions": rows})


def queue_position(view: View, order_id: str) -> Answer:
    """GetOrderQueuePositionResponse of the specification; 404 if it does not rest."""
    if not UUID.fullmatch(order_id):
        return nested(400, "invalid_UUID")
    found = view.account.orders.get(order_id)
    if found is not None and found.resting:
        for other_id, ahead in _queue(view, found.placed.ticker):
            if other_id == order_id:
                return Answer(200, {"queue_position_fp": contracts(ahead)})
    return nested(404, "not_found")


def _queue(view: View, ticker: str) -> Iterator[tuple[str, int]]:
    """Ours in the book of a market, and how much trades before each."""
    market = view.exchange.markets.get(ticker)
    if market is None:
        return
    for side in Side:
        for lot, ahead in market.book.queue(side):
            if lot.ours and lot.order_id in view.account.orders:
                yield lot.order_id, ahead


def fills(view: View, query: Query, historical: bool, at: int) -> Answer:
    """As `fills__after_taker`."""
    least, most = span(query, "GetFills")
    tickers, order_id = words(query, "ticker"), query.get("order_id", "")
    index, account = shard(query), view.account
    last = below(query)
    newest = len(account.fills) if last is None else min(last - 1, len(account.fills))
    rows: Iterable[Fill] = (
        fill
        for fill in (account.fills[n] for n in range(newest - 1, -1, -1))
        if least <= fill.entry.at <= most
        and (fill.entry.at < at - HISTORY) is historical
        and (not tickers or fill.order.placed.ticker in tickers)
        and (not order_id or fill.entry.order_id == order_id)
        and (index is None or account.shard(fill.order.placed.ticker) == index)
    )
    found, cursor = page(rows, lambda fill: fill.n, query, "GetFills", faults=view.faults)
    shown = [bodies.fill(fill, account.shard(fill.order.placed.ticker)) for fill in found]
    return Answer(200, {"cursor": cursor, "fills": shown})


def positions(view: View, query: Query) -> Answer:
    """As `portfolio__positions`; a settled one only if it is asked for."""
    account, index = view.account, shard(query)
    tickers, events = words(query, "ticker"), words(query, "event_ticker")
    wants = words(query, "count_filter")
    status = query.get("settlement_status") or "unsettled"
    if status not in ("unsettled", "settled", "all"):
        raise bare("GetPositions", "SettlementStatus", "oneof")
    rows = [
        (n, position)
        for n, position in enumerate(account.positions.values(), 1)
        if (not tickers or position.ticker in tickers)
        and (not events or position.ticker.rpartition("-")[0] in events)
        and (wants != {"position"} or position.count)
        and (status == "all" or (position.ticker in account.results) is (status == "settled"))
        and (index is None or account.shard(position.ticker) == index)
    ]
    rows.reverse()
    found, cursor = page(rows, lambda row: row[0], query, "GetPositions")
    by_event: dict[str, list[Position]] = {}
    for _, position in found:
        by_event.setdefault(position.ticker.rpartition("-")[0], []).append(position)
    shown = [
        bodies.position(
            position, account.resting_count(position.ticker), account.shard(position.ticker)
        )
        for _, position in found
    ]
    return Answer(
        200,
        {
            "cursor": cursor,
            "event_positions": [bodies.event_position(*pair) for pair in by_event.items()],
            "market_positions": shown,
        },
    )


def settlements(view: View, query: Query) -> Answer:
    """GetPortfolioSettlementsResponse of the specification."""
    least, most = span(query, "GetSettlements")
    tickers, event = words(query, "ticker"), query.get("event_ticker", "")
    index, account = shard(query), view.account
    rows = [
        (found, ticker.rpartition("-")[0] or ticker, account.shard(ticker))
        for found in reversed(account.settlements)
        for ticker in (found.entry.ticker,)
        if least <= found.entry.at <= most
        and (not tickers or ticker in tickers)
        and (not event or ticker.rpartition("-")[0] == event)
        and (index is None or account.shard(ticker) == index)
    ]
    found, cursor = page(rows, lambda row: row[0].n, query, "GetSettlements")
    return Answer(
        200, {"cursor": cursor, "settlements": [bodies.settlement(*row) for row in found]}
    )


def cutoff(view: View, at: int) -> Answer:
    """GetHistoricalCutoffResponse of the specification: what is older has left the listings."""
    orders_since = rfc3339(at - view.faults.history_cutoff_s * SECOND)
    since = rfc3339(at - HISTORY)
    return Answer(
        200,
        {
            "market_positions_last_updated_ts": since,
            "market_settled_ts": since,
            "orders_updated_ts": orders_since,
            "trades_created_ts": since,
        },
    )
