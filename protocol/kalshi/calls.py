"""The exchange's REST calls: how each is asked (FACTS.md section 6).

How answers are read stands in `answers.py`.
"""

from collections.abc import Iterable, Mapping
from typing import Final, Literal, get_args
from urllib.parse import quote

import msgspec
from msgspec import Struct

from protocol.limits import MARKETS_PAGE, PAGE_LIMIT
from protocol.messages import Order, PlaceOrder
from protocol.units import Count, Price, decode_unit, encode_unit

Lane = Literal["cancel", "decrease", "reconcile", "order", "market", "read", "audit"]
LANES: Final[tuple[Lane, ...]] = get_args(Lane)  # most urgent first

ORDERS_PATH: Final = "/portfolio/events/orders"
GROUPS_PATH: Final = "/portfolio/order_groups"
BATCHED_PATH: Final = f"{ORDERS_PATH}/batched"


class Call(Struct, frozen=True):
    """One REST call. `path` stands below /trade-api/v2."""

    name: str
    method: Literal["GET", "POST", "PUT", "DELETE"]
    path: str
    lane: Lane
    query: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    shard: int = 0  # >= 1: it names its shard, and draws on that shard's write budget
    items: int = 1  # of a batch: each costs what one call costs

    @property
    def writes(self) -> bool:
        """Which budget it draws on (FACTS.md section 7)."""
        return self.method != "GET"


class _CreateBody(Struct, frozen=True, omit_defaults=True):
    ticker: str
    side: str
    count: Count
    price: Price
    time_in_force: str
    self_trade_prevention_type: str
    client_order_id: str
    post_only: bool
    exchange_index: int = 0
    order_group_id: str = ""
    expiration_time: int = 0


_encode = msgspec.json.Encoder(enc_hook=encode_unit).encode


def create(order: PlaceOrder, shard: int = 0, expires_at: int = 0) -> Call:
    """FACTS.md section 6.2. Prices and counts are strings: a number is refused (captures).

    `shard` >= 1 is named, which saves the exchange the look-up and draws on that shard's budget;
    0 leaves the routing to the exchange (section 6.3). `expires_at` in Unix seconds; 0: never.
    """
    body = _encode(_wanted(order, shard, expires_at))
    return Call("create", "POST", ORDERS_PATH, "order", (), body, shard)


def _wanted(order: PlaceOrder, shard: int, expires_at: int) -> _CreateBody:
    return _CreateBody(
        order.ticker,
        order.side,
        order.count,
        order.price,
        order.time_in_force,
        "taker_at_cross",
        order.client_order_id,
        order.post_only,
        shard,
        order.order_group_id,
        expires_at,
    )


class _CreateBodies(Struct, frozen=True):
    orders: tuple[_CreateBody, ...]


def create_batch(orders: Iterable[tuple[PlaceOrder, int, int]]) -> Call:
    """Several at once, each with its shard and its expiry, as `create` has them. They draw on the
    budget of all, together."""
    bodies = _CreateBodies(tuple(_wanted(*wanted) for wanted in orders))
    body, items = _encode(bodies), len(bodies.orders)
    return Call("batch create", "POST", BATCHED_PATH, "order", (), body, items=items)


class _AmendBody(Struct, frozen=True, omit_defaults=True):
    ticker: str
    side: str
    price: Price
    count: Count
    client_order_id: str
    expiration_time: int = 0
    exchange_index: int = 0


_decode_amend = msgspec.json.Decoder(_AmendBody, dec_hook=decode_unit).decode


def amend(order: Order, price: Price, count: Count, shard: int = 0, expires_at: int = 0) -> Call:
    """Other terms for an order that rests: `count` is of the whole order, filled ones included.
    `expires_at` in Unix seconds; 0 leaves it as it was (FACTS.md section 6.2)."""
    body = _AmendBody(
        order.ticker, order.side, price, count, order.client_order_id, expires_at, shard
    )
    path = f"{ORDERS_PATH}/{_name(order.order_id)}/amend"
    return Call("amend", "POST", path, "order", (), _encode(body), shard)


def renew(order: Order, shard: int, expires_at: int) -> Call:
    """A later expiry for an order that rests, and nothing else: it keeps its place in the queue."""
    call = amend(order, order.price, order.count, shard, expires_at)
    return msgspec.structs.replace(call, name="renew")


def amended_to(call: Call) -> tuple[Price, Count]:
    """The price and the whole count that an amend of ours asks for."""
    body = _decode_amend(call.body)
    return body.price, body.count


def cancel(order_id: str, ticker: str, shard: int = 0) -> Call:
    """Always names the market: an order id alone would go to shard 0 (FACTS.md section 6.3)."""
    shards = (("exchange_index", str(shard)),) if shard else ()
    query = (("market_ticker", ticker), *shards)
    path = f"{ORDERS_PATH}/{_name(order_id)}"
    return Call("cancel", "DELETE", path, "cancel", query, b"", shard)


class _DecreaseBody(Struct, frozen=True, omit_defaults=True):
    reduce_to: Count
    market_ticker: str
    exchange_index: int = 0


class _CancelBody(Struct, frozen=True, omit_defaults=True):
    order_id: str
    market_ticker: str
    exchange_index: int = 0


def decrease(order_id: str, ticker: str, reduce_to: Count, shard: int = 0) -> Call:
    """Lets no more than `reduce_to` of an order rest; names its market, as a cancel does."""
    body = _encode(_DecreaseBody(reduce_to, ticker, shard))
    path = f"{ORDERS_PATH}/{_name(order_id)}/decrease"
    return Call("decrease", "POST", path, "decrease", (), body, shard)


class _CancelBodies(Struct, frozen=True):
    orders: tuple[_CancelBody, ...]


def cancel_batch(orders: Iterable[tuple[str, str, int]]) -> Call:
    """Several at once, each by its order_id, its market and its shard (FACTS.md section 6.2)."""
    bodies = _CancelBodies(tuple(_CancelBody(*named) for named in orders))
    body, items = _encode(bodies), len(bodies.orders)
    return Call("batch cancel", "DELETE", BATCHED_PATH, "cancel", (), body, items=items)


CANCEL_ALL: Final = Call("cancel all", "DELETE", ORDERS_PATH, "cancel")
"""Everything that rests, on all shards: 204. It may take orders of the next minute, too."""


class _LimitBody(Struct, frozen=True, omit_defaults=True):
    contracts_limit_fp: Count
    exchange_index: int = 0


def create_group(contracts_limit: Count, shard: int = 0) -> Call:
    """An order group on a shard. It has no id of ours, and no call is safe to repeat."""
    body = _encode(_LimitBody(contracts_limit, shard))
    return Call("create group", "POST", f"{GROUPS_PATH}/create", "market", (), body)


def delete_group(group_id: str, shard: int = 0) -> Call:
    """Cancels all of a group's orders, and forgets it."""
    path = f"{GROUPS_PATH}/{_name(group_id)}"
    return Call("delete group", "DELETE", path, "cancel", _on_shard(shard))


def trigger_group(group_id: str, shard: int = 0) -> Call:
    """Cancels all of a group's orders; it takes no more of them until it is reset."""
    return _put_group("trigger", group_id, "cancel", shard)


def reset_group(group_id: str, shard: int = 0) -> Call:
    """Lets a group take orders again, and counts from nothing."""
    return _put_group("reset", group_id, "market", shard)


def limit_group(group_id: str, contracts_limit: Count, shard: int = 0) -> Call:
    """Another limit; one that is exceeded already triggers the group."""
    return _put_group("limit", group_id, "market", shard, _encode(_LimitBody(contracts_limit)))


def _put_group(what: str, group_id: str, lane: Lane, shard: int, body: bytes = b"") -> Call:
    """The shard is only where to look: whatever is done to groups draws on the budget of all, as
    far as it is known (FACTS.md section 7)."""
    path = f"{GROUPS_PATH}/{_name(group_id)}/{what}"
    return Call(f"{what} group", "PUT", path, lane, _on_shard(shard), body)


def _on_shard(shard: int) -> tuple[tuple[str, str], ...]:
    return (("exchange_index", str(shard)),) if shard else ()


def get_order(order_id: str, lane: Lane) -> Call:
    return Call("get order", "GET", f"/portfolio/orders/{_name(order_id)}", lane)


def list_orders(
    lane: Lane, *, status: str = "", min_ts: int = 0, cursor: str = "", historical: bool = False
) -> Call:
    """`min_ts` in Unix seconds, 0 for no bound. `historical`: those older than the cut-off."""
    filters = {"status": status, "min_ts": str(min_ts) if min_ts > 0 else "", "cursor": cursor}
    path = "/historical/orders" if historical else "/portfolio/orders"
    return Call("orders", "GET", path, lane, _mine(filters))


def list_fills(*, min_ts: int = 0, cursor: str = "") -> Call:
    """`min_ts` in Unix seconds, 0 for no bound."""
    return _pages("fills", "/portfolio/fills", min_ts, cursor)


def list_settlements(*, min_ts: int = 0, cursor: str = "") -> Call:
    """`min_ts` in Unix seconds, 0 for no bound."""
    return _pages("settlements", "/portfolio/settlements", min_ts, cursor)


def list_positions(*, cursor: str = "") -> Call:
    """Markets of which something is held."""
    filters = {"count_filter": "position", "cursor": cursor}
    return Call("positions", "GET", "/portfolio/positions", "reconcile", _mine(filters))


def list_transfers(kind: Literal["deposits", "withdrawals"], *, cursor: str = "") -> Call:
    """Money that came from outside, or went there, newest first."""
    return Call(
        kind, "GET", f"/portfolio/{kind}", "reconcile", _query({"cursor": cursor}, PAGE_LIMIT)
    )


def _pages(name: str, path: str, min_ts: int, cursor: str) -> Call:
    filters = {"min_ts": str(min_ts) if min_ts > 0 else "", "cursor": cursor}
    return Call(name, "GET", path, "reconcile", _mine(filters))


def list_markets(filters: Mapping[str, str], cursor: str = "") -> Call:
    wanted = {"mve_filter": "exclude", **filters, "cursor": cursor}
    return Call("markets", "GET", "/markets", "read", _query(wanted, MARKETS_PAGE))


def get_market(ticker: str, lane: Lane) -> Call:
    return Call("market", "GET", f"/markets/{_name(ticker)}", lane)


def list_books(tickers: Iterable[str]) -> Call:
    """Order books of at most 100 markets: one parameter each, because a list with commas would be
    one market that does not exist (FACTS.md section 5)."""
    query = tuple(("tickers", ticker) for ticker in tickers)
    return Call("orderbooks", "GET", "/markets/orderbooks", "audit", query)


BALANCE: Final = Call("balance", "GET", "/portfolio/balance", "reconcile")
LIMITS: Final = Call("limits", "GET", "/account/limits", "reconcile")
COSTS: Final = Call("costs", "GET", "/account/endpoint_costs", "reconcile")
STATUS: Final = Call("status", "GET", "/exchange/status", "reconcile")
USER_DATA: Final = Call("user data", "GET", "/exchange/user_data_timestamp", "reconcile")
CUTOFF: Final = Call("cutoff", "GET", "/historical/cutoff", "reconcile")


def _name(text: str) -> str:
    """One part of a path. An empty one would turn a cancel into another call."""
    assert text, "a call without the name of what it is for"
    return quote(text, safe="")


def _query(filters: Mapping[str, str], limit: int) -> tuple[tuple[str, str], ...]:
    return (("limit", str(limit)), *((k, v) for k, v in filters.items() if v))


def _mine(filters: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """Filters of a listing of ours: of the main account alone, as positions and balance are. Left
    out, orders, fills and settlements would be those of all subaccounts (FACTS.md section 6.4)."""
    return _query({**filters, "subaccount": "0"}, PAGE_LIMIT)
