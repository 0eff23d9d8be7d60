"""Which GETs there are, who may call them, what they cost, and what answers them."""

from collections.abc import Callable
from typing import Final

from msgspec import Struct

from actors.paper import archive, bodies, candles, money, portfolio, reads
from actors.paper.answers import Answer
from actors.paper.bucket import CHEAP, DEFAULT_COST
from actors.paper.fixed import rfc3339
from actors.paper.intake import primary
from actors.paper.paging import Query, number
from actors.paper.view import View

SUBACCOUNT_MAX: Final = 1 << 20

Read = Callable[[View, str, Query, int], Answer]  # name in the path, query, µs now


class Get(Struct, frozen=True):
    """A GET below /trade-api/v2. `signed` = it needs the account's signature."""

    path: str
    read: Read
    signed: bool = False
    cost: int = DEFAULT_COST


def _fixed(body: bodies.Body) -> Read:
    return lambda view, name, query, at: Answer(200, body)


def _as_of(view: View, name: str, query: Query, at: int) -> Answer:
    return Answer(200, {"as_of_time": rfc3339(view.as_of)})


def _mine(path: str, read: Read, cost: int = DEFAULT_COST) -> Get:
    def checked(view: View, name: str, query: Query, at: int) -> Answer:
        primary(number(query, "subaccount", "", 0, SUBACCOUNT_MAX))
        return read(view, name, query, at)

    return Get(path, checked, signed=True, cost=cost)


# The order is that of the search: the busiest first, but a word before any name.
GETS: Final = (
    _mine(
        "/portfolio/orders/queue_positions",
        lambda view, name, query, at: portfolio.queue_positions(view, query),
    ),
    _mine(
        "/portfolio/orders/{name}",
        lambda view, name, query, at: portfolio.order(view, name, at),
        CHEAP,
    ),
    _mine(
        "/portfolio/orders",
        lambda view, name, query, at: portfolio.orders(view, query, False, at),
    ),
    _mine(
        "/portfolio/fills",
        lambda view, name, query, at: portfolio.fills(view, query, False, at),
    ),
    _mine(
        "/portfolio/orders/{name}/queue_position",
        lambda view, name, query, at: portfolio.queue_position(view, name),
    ),
    _mine("/portfolio/order_groups", lambda view, name, query, at: portfolio.groups(view)),
    _mine(
        "/portfolio/order_groups/{name}",
        lambda view, name, query, at: portfolio.group(view, name),
    ),
    _mine("/portfolio/balance", lambda view, name, query, at: money.balance(view, query)),
    _mine("/portfolio/subaccounts/balances", lambda view, name, query, at: money.subaccounts(view)),
    _mine(
        "/portfolio/subaccounts/transfers",
        lambda view, name, query, at: money.subaccount_transfers(query),
    ),
    _mine("/portfolio/subaccounts/netting", lambda view, name, query, at: money.netting(view)),
    _mine(
        "/portfolio/intra_exchange_instance_transfers",
        lambda view, name, query, at: money.shard_transfers(view, query),
    ),
    _mine(
        "/portfolio/intra_exchange_instance_transfers/{name}",
        lambda view, name, query, at: money.shard_transfer(view, name),
    ),
    _mine("/portfolio/positions", lambda view, name, query, at: portfolio.positions(view, query)),
    _mine(
        "/portfolio/settlements",
        lambda view, name, query, at: portfolio.settlements(view, query),
    ),
    _mine(
        "/portfolio/deposits",
        lambda view, name, query, at: money.transfers(view, query, "deposits"),
    ),
    _mine(
        "/portfolio/withdrawals",
        lambda view, name, query, at: money.transfers(view, query, "withdrawals"),
    ),
    _mine(
        "/historical/orders",
        lambda view, name, query, at: portfolio.orders(view, query, True, at),
    ),
    _mine(
        "/historical/fills",
        lambda view, name, query, at: portfolio.fills(view, query, True, at),
    ),
    Get("/historical/cutoff", lambda view, name, query, at: portfolio.cutoff(view, at)),
    _mine("/historical/positions", archive.positions),
    Get("/historical/markets", archive.markets),
    Get("/historical/markets/{name}", archive.market),
    Get("/historical/markets/{name}/candlesticks", candles.of_archive),
    Get("/historical/trades", archive.trades),
    _mine(
        "/account/limits",
        lambda view, name, query, at: Answer(200, bodies.limits(view.budgets)),
    ),
    Get("/account/endpoint_costs", _fixed(bodies.endpoint_costs())),
    Get("/exchange/status", lambda view, name, query, at: reads.status(view)),
    Get("/exchange/schedule", lambda view, name, query, at: reads.schedule(at)),
    Get("/exchange/user_data_timestamp", _as_of),
    Get("/markets", lambda view, name, query, at: reads.markets(view.exchange, query, at)),
    Get("/markets/trades", lambda view, name, query, at: reads.trades(view.exchange, query)),
    Get(
        "/markets/orderbooks",
        lambda view, name, query, at: reads.orderbooks(view.exchange, query),
    ),
    Get("/markets/candlesticks", candles.of_markets),
    Get("/markets/{name}", lambda view, name, query, at: reads.market(view.exchange, name, at)),
    Get(
        "/markets/{name}/orderbook",
        lambda view, name, query, at: reads.orderbook(view.exchange, name, query),
    ),
    Get("/events", lambda view, name, query, at: reads.events(view.exchange, query, at)),
    Get(
        "/events/multivariate",
        lambda view, name, query, at: reads.combos(view.exchange, query, at),
    ),
    Get(
        "/events/fee_changes",
        lambda view, name, query, at: reads.fee_changes(view.exchange, query),
    ),
    Get(
        "/events/{name}",
        lambda view, name, query, at: reads.event(view.exchange, name, query, at),
    ),
    Get("/series/fee_changes", _fixed({"series_fee_change_arr": []})),
    Get("/series", lambda view, name, query, at: reads.all_series(view.exchange)),
    Get("/series/{name:path}/candlesticks", candles.of_series),
    Get("/series/{name}", lambda view, name, query, at: reads.series(view.exchange, name)),
)
