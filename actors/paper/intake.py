"""The body of a V2 create, read as strictly as the exchange reads it."""

import re
from collections.abc import Mapping
from typing import Any, Final

from msgspec import Struct

from actors.paper.answers import Refused, invalid_order, nested
from actors.paper.fixed import SECOND, parse_count, parse_dollars
from actors.paper.forms import Form
from actors.paper.matching import OnSelf, Side

COUNT_MAX: Final = 100_000_000 * 100  # hundredths; a bound for a sane order
EXPIRATION_MAX: Final = 253_402_300_800 * SECOND  # µs; the year 10000 can't be written
CLIENT_ORDER_ID_MAX: Final = 64  # characters (FACTS.md section 8)
UUID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII | re.IGNORECASE)
TYPES: Final[dict[str, type]] = {
    "ticker": str,
    "client_order_id": str,
    "side": str,
    "count": str,
    "price": str,
    "time_in_force": str,
    "self_trade_prevention_type": str,
    "order_group_id": str,
    "expiration_time": int,
    "subaccount": int,
    "exchange_index": int,
    "post_only": bool,
    "reduce_only": bool,
    "cancel_order_on_pause": bool,
}
CREATE: Final = Form("CreateOrderV2", TYPES)
SIDES: Final = ("bid", "ask")
_REQUIRED: Final = (
    ("ticker", "Ticker", ()),
    ("side", "Side", SIDES),
    ("count", "Count", ()),
    ("price", "Price", ()),
    (
        "time_in_force",
        "TimeInForce",
        ("fill_or_kill", "good_till_canceled", "immediate_or_cancel"),
    ),
    ("self_trade_prevention_type", "SelfTradePreventionType", ("taker_at_cross", "maker")),
)


class NewOrder(Struct, frozen=True):
    """A V2 create, in integers (FACTS.md section 6.2)."""

    ticker: str
    side: Side
    count: int
    price: int
    time_in_force: str
    on_self: OnSelf
    client_order_id: str
    post_only: bool
    reduce_only: bool
    expires: int  # µs; 0 = never
    exchange_index: int = -1  # -1 = where the market is
    cancel_on_pause: bool = False
    order_group_id: str = ""


def read_order(body: bytes, at: int) -> NewOrder:
    """A create, or Refused with what the exchange would answer. `at` is now, in µs."""
    found = CREATE.read(body)
    complete(CREATE, found)
    return new_order(CREATE, found, at)


def complete(form: Form, found: Mapping[str, Any]) -> None:
    """Whether a create has what it must have. Raises Refused."""
    for name, field, words in _REQUIRED:
        if not found.get(name):
            raise form.wrong(field, "required")
        if words and found[name] not in words:
            raise form.wrong(field, "oneof")
    if len(found.get("client_order_id", "")) > CLIENT_ORDER_ID_MAX:
        raise form.wrong("ClientOrderId", "max")


def new_order(form: Form, found: Mapping[str, Any], at: int) -> NewOrder:
    """A complete create. Raises Refused."""
    primary(found.get("subaccount", 0))
    order = NewOrder(
        ticker=found["ticker"],
        side=Side(found["side"]),
        price=price_of(found["price"]),
        count=count_of(found["count"]),
        time_in_force=found["time_in_force"],
        on_self=OnSelf(found["self_trade_prevention_type"]),
        client_order_id=found.get("client_order_id", ""),
        post_only=found.get("post_only", False),
        reduce_only=found.get("reduce_only", False),
        expires=found.get("expiration_time", 0) * SECOND,
        exchange_index=found.get("exchange_index", -1),
        cancel_on_pause=found.get("cancel_order_on_pause", False),
        order_group_id=found.get("order_group_id", ""),
    )
    _check(order, at)
    return order


def price_of(text: str) -> int:
    """A price in micro-dollars. Raises Refused."""
    try:
        return parse_dollars(text)
    except ValueError:
        raise Refused(nested(400, "invalid_price")) from None


def count_of(text: str, least: int = 1) -> int:
    """A count in hundredths of a contract, `least` or more. Raises Refused."""
    try:
        count = parse_count(text)
    except ValueError:
        count = -1
    if not least <= count <= COUNT_MAX:
        raise Refused(nested(400, "invalid_order_size"))
    return count


def primary(subaccount: int) -> None:
    """There is one account here, number 0. Raises Refused for any other."""
    if subaccount != 0:
        raise Refused(nested(400, "subaccount_not_found", "there is only subaccount 0"))


def check_expiry(expires: int, at: int) -> None:
    """Whether an order may end at `expires` (µs; 0 = never). Raises Refused."""
    if expires and expires <= at:
        raise Refused(invalid_order("expiration_time is in the past"))
    if expires > EXPIRATION_MAX:
        raise Refused(invalid_order("expiration_time is out of range"))


def _check(order: NewOrder, at: int) -> None:
    rests = order.time_in_force == "good_till_canceled"
    if order.expires and not rests:
        raise Refused(invalid_order("expiration_time requires good_till_canceled"))
    check_expiry(order.expires, at)
    if order.post_only and not rests:
        raise Refused(invalid_order("post_only requires good_till_canceled"))
    if order.reduce_only and order.time_in_force != "immediate_or_cancel":
        raise Refused(invalid_order("reduce_only requires immediate_or_cancel"))
