"""The terms of an order: whether they make sense, whether two orders have the same, and what the
ledger's word on one is as an answer."""

import hashlib

import msgspec
from msgspec import Struct

from actors.gateway.markets import Flaw
from protocol import topics
from protocol.facts import OrderSide, TimeInForce
from protocol.kalshi.parameters import GROUP_ID
from protocol.limits import CLIENT_ORDER_ID_CHARS_MAX, COUNT_MAX, LEASE_S_MAX, LEASE_S_MIN
from protocol.messages import Order, OrderAnswer, PlaceOrder
from protocol.units import DOLLAR, Count, Price, encode_unit, format_count

_encode = msgspec.json.Encoder(enc_hook=encode_unit).encode


class _Terms(Struct, frozen=True, tag="PlaceOrder", omit_defaults=True):
    """What of a PlaceOrder is hashed. Ledgers on disk hold these hashes: what is added has a
    default, and stays out while it has it."""

    client_order_id: str
    ticker: str
    side: OrderSide
    price: Price
    count: Count
    time_in_force: TimeInForce
    post_only: bool
    order_group_id: str = ""
    lease_s: int = 0


def hash_of(order: PlaceOrder) -> str:
    """SHA-256 of an order's terms: who made its id up is none of them."""
    terms = _Terms(
        order.client_order_id,
        order.ticker,
        order.side,
        order.price,
        order.count,
        order.time_in_force,
        order.post_only,
        order.order_group_id,
        order.lease_s,
    )
    return hashlib.sha256(_encode(terms)).hexdigest()


def is_client_order_id(id: str) -> bool:
    """Whether an order may have this id."""
    fits = 1 <= len(id) <= CLIENT_ORDER_ID_CHARS_MAX
    return fits and id.isascii() and id.isprintable() and " " not in id


def flaw(order: PlaceOrder) -> Flaw | None:
    """What is wrong with an order's terms. Neither the market nor the exchange is asked."""
    if not is_client_order_id(order.client_order_id):
        chars = CLIENT_ORDER_ID_CHARS_MAX
        return _wrong("client_order_id", f"1 to {chars} printable ASCII characters, no space")
    if not topics.is_ticker(order.ticker):
        return _wrong("ticker", "not the name of a market")
    if not 0 < order.price < DOLLAR:
        return _wrong("price", "more than 0 and less than 1 dollar")
    if not 0 < order.count <= COUNT_MAX:
        return _wrong("count", f"more than 0, at most {format_count(COUNT_MAX)}")
    if order.post_only and order.time_in_force != "good_till_canceled":
        return _wrong("post_only", "only with good_till_canceled: nothing else rests")
    if order.lease_s and not LEASE_S_MIN <= order.lease_s <= LEASE_S_MAX:
        return _wrong("lease_s", f"{LEASE_S_MIN} to {LEASE_S_MAX} seconds; 0: none")
    if order.lease_s and order.time_in_force != "good_till_canceled":
        return _wrong("lease_s", "only with good_till_canceled: nothing else rests")
    if order.order_group_id and not GROUP_ID.fits(order.order_group_id):
        return _wrong("order_group_id", GROUP_ID.rule)
    return None


def expires_at(at: int, lease_s: int) -> int:
    """Unix seconds at which an order that leaves now ends by itself; 0: it has no lease.

    `at` is our wall clock, microseconds. Cut to whole seconds, so it is never later than agreed.
    """
    return at // 1_000_000 + lease_s if lease_s else 0


def _wrong(field: str, rule: str) -> Flaw:
    return Flaw("invalid_order", field, f"{field}: {rule}")


def alike(order: PlaceOrder, booked: Order) -> bool:
    """Whether an order has the terms of one that is known from the exchange only."""
    asked = (order.ticker, order.side, order.price, order.count)
    return asked == (booked.ticker, booked.side, booked.price, booked.count)


def answer_from(order: Order) -> OrderAnswer:
    """What the ledger says of an order, in the words of an answer."""
    id = order.client_order_id
    match order.state:
        case "resting" | "executed" | "canceled":
            return OrderAnswer(id, "accepted", order)
        case "absent":
            return OrderAnswer(id, "rejected", order, "absent", order.reason)
        case "rejected" | "denied":  # as it was told the first time
            code, _, text = order.reason.partition(": ")
            return OrderAnswer(id, order.state, order, code, text)
        case "withdrawn":
            return OrderAnswer(id, "unavailable", order, "withdrawn", order.reason)
        case "intended" | "unknown":
            return OrderAnswer(id, "unknown", order, order.state, order.reason)
