"""Which GETs there are, who may call them, what they cost, and what answers them."""

from collections.abc import Callable, Mapping
from typing import Final

from msgspec import Struct

from actors.paper import bodies, reads
from actors.paper.bucket import DEFAULT_COST
from actors.paper.exchange import Exchange
from actors.paper.intake import Answer

CHEAP: Final = 2  # tokens; get order, cancel, cancel-all (capture `account__endpoint_costs`)

Query = Mapping[str, str]
Read = Callable[[Exchange, str, Query, int], Answer]  # exchange, name in the path, query, µs now


class Get(Struct, frozen=True):
    """A GET below /trade-api/v2. `signed` = it needs the account's signature."""

    path: str
    read: Read
    signed: bool = False
    cost: int = DEFAULT_COST


def _fixed(body: bodies.Body) -> Read:
    return lambda exchange, name, query, at: Answer(200, body)


def _balance(exchange: Exchange, name: str, query: Query, at: int) -> Answer:
    return Answer(200, bodies.balance(exchange.account, exchange, at))


GETS: Final = (
    Get("/exchange/status", _fixed({"exchange_active": True, "trading_active": True})),
    Get("/account/endpoint_costs", _fixed(bodies.endpoint_costs())),
    Get("/series/fee_changes", _fixed({"series_fee_change_arr": []})),
    Get("/series", lambda exchange, name, query, at: reads.all_series(exchange)),
    Get("/series/{name}", lambda exchange, name, query, at: reads.series(exchange, name)),
    Get("/markets", lambda exchange, name, query, at: reads.markets(exchange, query, at)),
    Get("/markets/trades", lambda exchange, name, query, at: reads.trades(exchange, query)),
    Get("/markets/{name}", lambda exchange, name, query, at: reads.market(exchange, name, at)),
    Get(
        "/markets/{name}/orderbook",
        lambda exchange, name, query, at: reads.orderbook(exchange, name, query),
    ),
    Get("/events", lambda exchange, name, query, at: reads.events(exchange, query, at)),
    Get("/events/{name}", reads.event),
    Get("/account/limits", _fixed(bodies.limits()), signed=True),
    Get("/portfolio/balance", _balance, signed=True),
    Get(
        "/portfolio/orders",
        lambda exchange, name, query, at: reads.orders(exchange, query),
        signed=True,
    ),
    Get(
        "/portfolio/orders/{name}",
        lambda exchange, name, query, at: reads.order(exchange, name),
        signed=True,
        cost=CHEAP,
    ),
    Get(
        "/portfolio/fills",
        lambda exchange, name, query, at: reads.fills(exchange, query),
        signed=True,
    ),
    Get(
        "/portfolio/positions",
        lambda exchange, name, query, at: reads.positions(exchange, query),
        signed=True,
    ),
    Get("/portfolio/settlements", _fixed({"cursor": "", "settlements": []}), signed=True),
)
