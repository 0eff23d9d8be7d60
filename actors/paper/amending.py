"""Amend and decrease: the bodies, read strictly, and what they do to a resting order.

An order keeps its place in the queue if it only shrinks or only its expiry changes; otherwise it
goes to the back, and if its new price crosses, it trades (FACTS.md section 6.2). No capture shows
these calls. We chose: price, count and expiry decide whether there is anything to amend; the
initial count is that of the last amend, which a decrease leaves as it is.
"""

from typing import Any, Final

from msgspec import Struct
from msgspec.structs import replace

from actors.paper import bodies
from actors.paper.answers import Answer, Refused, invalid_order, nested
from actors.paper.collateral import Order
from actors.paper.entries import Amended
from actors.paper.exchange import Exchange
from actors.paper.fixed import SECOND
from actors.paper.forms import Form
from actors.paper.intake import (
    CLIENT_ORDER_ID_MAX,
    SIDES,
    UUID,
    check_expiry,
    count_of,
    price_of,
)
from actors.paper.matching import OnSelf

AMEND: Final = Form(
    "AmendOrderV2",
    {
        "ticker": str,
        "side": str,
        "price": str,
        "count": str,
        "client_order_id": str,
        "updated_client_order_id": str,
        "expiration_time": int,
        "exchange_index": int,
    },
)
DECREASE: Final = Form(
    "DecreaseOrderV2",
    {"reduce_by": str, "reduce_to": str, "market_ticker": str, "exchange_index": int},
)


class Change(Struct, frozen=True):
    """What an order shall become."""

    price: int
    count: int  # filled and resting
    expires: int  # µs; 0 = never
    client_order_id: str


def amend(exchange: Exchange, order_id: str, body: bytes, at: int) -> Answer:
    """Change price, count or expiry of a resting order. Raises Refused."""
    found = AMEND.read(body)
    for name in ("ticker", "side", "price", "count"):
        if not found.get(name):
            raise AMEND.wrong(name.title(), "required")
    if found["side"] not in SIDES:
        raise AMEND.wrong("Side", "oneof")
    if len(found.get("updated_client_order_id", "")) > CLIENT_ORDER_ID_MAX:
        raise AMEND.wrong("UpdatedClientOrderId", "max")
    order = _standing(exchange, order_id, found, found["ticker"])
    _check_meant(order, found)
    change = _change(exchange, order, found, at)
    before = replace(order)
    left = change.count - order.filled
    if change.price == order.placed.price and left <= order.remaining:
        _shrink(exchange, order, change, "Amend", at)
    else:
        _replace(exchange, order, change, at)
    return Answer(200, bodies.amended(order, before, at))


def decrease(exchange: Exchange, order_id: str, body: bytes, at: int) -> Answer:
    """Let less of an order rest; with nothing left it is canceled. Raises Refused.

    To reduce by more than what rests takes all of it; to reduce to what rests, or more, is refused.
    """
    found = DECREASE.read(body)
    by, to = found.get("reduce_by"), found.get("reduce_to")
    if (by is None) == (to is None):
        raise Refused(invalid_order("exactly one of reduce_by and reduce_to is required"))
    order = _standing(exchange, order_id, found, found.get("market_ticker", ""))
    if to is not None:
        left = count_of(to, least=0)
        if left >= order.remaining:
            raise Refused(invalid_order("reduce_to is not below what rests"))
    else:
        left = max(order.remaining - count_of(by or ""), 0)
    if not left:
        exchange.withdraw(order, "Decrease", at)
    else:
        placed = order.placed
        change = Change(placed.price, order.filled + left, placed.expires, placed.client_order_id)
        _shrink(exchange, order, change, "Decrease", at)
    return Answer(200, bodies.decreased(order, at))


def _standing(exchange: Exchange, order_id: str, found: dict[str, Any], ticker: str) -> Order:
    if not UUID.fullmatch(order_id):
        raise Refused(nested(400, "invalid_UUID"))
    shard = exchange.routed(found.get("exchange_index"), ticker)
    return exchange.standing(order_id, shard)


def _check_meant(order: Order, found: dict[str, Any]) -> None:
    placed = order.placed
    for name, there, code in (
        ("client_order_id", placed.client_order_id, "order_id_and_client_order_id_mismatch"),
        ("ticker", placed.ticker, "order_ticker_mismatch"),
        ("side", placed.side, "order_side_mismatch"),
    ):
        if (found.get(name) or there) != there:
            raise Refused(nested(400, code))


def _change(exchange: Exchange, order: Order, found: dict[str, Any], at: int) -> Change:
    placed = order.placed
    price, count = price_of(found["price"]), count_of(found["count"])
    expires, name = placed.expires, found.get("updated_client_order_id") or placed.client_order_id
    if "expiration_time" in found:
        expires = found["expiration_time"] * SECOND
        check_expiry(expires, at)
    if name != placed.client_order_id and name in exchange.account.client_order_ids:
        raise Refused(nested(409, "order_already_exists"))
    market = exchange.markets.get(placed.ticker)
    if market is None or not market.open:
        raise Refused(nested(400, "market_inactive"))
    if not market.allows(price):
        raise Refused(nested(400, "invalid_price"))
    if count <= order.filled:
        raise Refused(nested(400, "invalid_order_size"))
    same = (placed.price, order.filled + order.remaining, placed.expires)
    if (price, count, expires) == same:
        raise Refused(nested(400, "AMEND_ORDER_NO_OP"))
    return Change(price, count, expires, name)


def _shrink(exchange: Exchange, order: Order, change: Change, reason: str, at: int) -> None:
    less = order.filled + order.remaining - change.count
    expired = order.placed.expires
    _book(exchange, order, change, reason, at, back=False)
    market = exchange.markets.get(order.placed.ticker)
    lot = market.book.lot(order.placed.order_id) if market else None
    if market is not None and lot is not None and less:
        exchange.tell_levels(market, market.book.reduce(lot, less), order.placed.client_order_id)
    if change.expires != expired:
        exchange.await_expiry(order)


def _replace(exchange: Exchange, order: Order, change: Change, at: int) -> None:
    market = exchange.markets[order.placed.ticker]
    left, on_self = change.count - order.filled, OnSelf(order.placed.on_self)
    plan = market.book.plan(order.side, change.price, left, True, on_self)
    if order.placed.post_only and market.book.crosses(order.side, change.price):
        raise Refused(invalid_order("post only cross"))
    after = replace(order, placed=replace(order.placed, price=change.price), remaining=left)
    if not exchange.account.affords(after, plan.takes, not plan.stopped, instead_of=order):
        raise Refused(nested(400, "insufficient_balance"))
    lot = market.book.lot(order.placed.order_id)
    assert lot is not None, "what rests in an open market stands in its book"
    gone, expired = market.book.reduce(lot, lot.remaining), order.placed.expires
    _book(exchange, order, change, "Amend", at, back=True)
    exchange.tell_levels(market, gone, order.placed.client_order_id)
    exchange.trade(market, order, plan, at)
    if order.resting and plan.stopped:
        exchange.withdraw(order, "SelfTradeCancel", at)
    elif order.resting:
        exchange.rest(order)
        if change.expires != expired:
            exchange.await_expiry(order)


def _book(
    exchange: Exchange, order: Order, change: Change, reason: str, at: int, *, back: bool
) -> None:
    initial = change.count if reason == "Amend" else order.placed.count
    exchange.book(
        Amended(
            order_id=order.placed.order_id,
            client_order_id=change.client_order_id,
            price=change.price,
            count=initial,
            expires=change.expires,
            at=at,
            remaining=change.count - order.filled,
            back=back,
            reason=reason,
        )
    )
