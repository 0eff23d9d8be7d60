"""The body of a V2 create, read as strictly as the exchange reads it; and its error bodies.

Three shapes of error body are on the wire: nested, flat and bare (captures `orders__*`,
`markets__limit_over_max`). Each refusal here has the shape that was seen, or that of its nearest
relative.
"""

import re
from collections.abc import Mapping
from typing import Any, Final, NamedTuple, NoReturn

import msgspec
from msgspec import Struct

from actors.paper.bucket import CHEAP, DEFAULT_COST
from actors.paper.fixed import SECOND, parse_count, parse_dollars
from actors.paper.matching import OnSelf, Side

COUNT_MAX: Final = 100_000_000 * 100  # hundredths; a bound for a sane order
EXPIRATION_MAX: Final = 253_402_300_800 * SECOND  # µs; the year 10000 can't be written
CLIENT_ORDER_ID_MAX: Final = 64  # characters (FACTS.md section 8)
UUID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII | re.IGNORECASE)


class Answer(NamedTuple):
    """An HTTP status and the body under it; None is no body, text goes as text/plain."""

    status: int
    body: dict[str, Any] | str | None


class Refused(Exception):
    """A request was refused; carries the answer."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer)
        self.answer = answer


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


class OrderCall(NamedTuple):
    """A POST or DELETE under portfolio/events/orders. No order id in a DELETE = cancel all."""

    method: str
    order_id: str | None
    body: bytes
    query: Mapping[str, str]

    @property
    def cost(self) -> int:
        return DEFAULT_COST if self.method == "POST" else CHEAP

    @property
    def market_ticker(self) -> str:
        """Of a cancel: an order id alone says nothing of its shard, and means shard 0."""
        return self.query.get("market_ticker", "")

    @property
    def named_shard(self) -> int:
        """The `exchange_index` that a create or a cancel of one order names, else -1."""
        if self.method == "POST":
            return _named_shard(self.body)
        text = self.query.get("exchange_index", "") if self.order_id is not None else ""
        return int(text) if text.isascii() and text.isdigit() and len(text) < 9 else -1


def nested(status: int, code: str, details: str = "", service: str = "exchange") -> Answer:
    """`{"error":{"code","message",…}}`: most errors look so."""
    error = {"code": code, "message": code.replace("_", " ")}
    if details:
        error["details"] = details
    if service:
        error["service"] = service
    return Answer(status, {"error": error})


def invalid_order(details: str) -> Answer:
    """As capture `orders__post_only_cross`: details, and no service."""
    return nested(400, "invalid_order", details, service="")


def _flat(details: str) -> NoReturn:
    body = {"code": "bad_request", "message": "bad request", "details": details}
    raise Refused(Answer(400, body))


def _bare(field: str, rule: str) -> NoReturn:
    text = (
        f"Parameter validation failed for CreateOrderV2: Key: 'CreateOrderV2Request.{field}' "
        f"Error:Field validation for '{field}' failed on the '{rule}' tag"
    )
    raise Refused(Answer(400, {"msg": text}))


_TYPES: Final[dict[str, type]] = {
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
_GO_NAMES: Final[dict[type, str]] = {str: "string", int: "int64", bool: "bool"}
_JSON_NAMES: Final[dict[type, str]] = {
    str: "string",
    int: "number",
    float: "number",
    bool: "bool",
    list: "array",
    dict: "object",
}
_REQUIRED: Final = (
    ("ticker", "Ticker", ()),
    ("side", "Side", ("bid", "ask")),
    ("count", "Count", ()),
    ("price", "Price", ()),
    (
        "time_in_force",
        "TimeInForce",
        ("fill_or_kill", "good_till_canceled", "immediate_or_cancel"),
    ),
    ("self_trade_prevention_type", "SelfTradePreventionType", ("taker_at_cross", "maker")),
)


def _object(body: bytes) -> dict[str, Any]:
    try:
        found = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError):
        _flat("invalid JSON in request body")
    if not isinstance(found, dict):
        _flat(
            f"json: cannot unmarshal {_JSON_NAMES.get(type(found), 'null')} into Go value of type "
            "CreateOrderV2Request"
        )
    for name, value in found.items():
        wanted = _TYPES.get(name)
        if wanted is None or value is None or type(value) is wanted:
            continue  # unknown fields and nulls are passed over, as Go does
        _flat(
            f"json: cannot unmarshal {_JSON_NAMES[type(value)]} into Go struct field "
            f"CreateOrderV2Request.{name} of type {_GO_NAMES[wanted]}"
        )
    return {name: value for name, value in found.items() if value is not None}


def _named_shard(body: bytes) -> int:
    try:
        found = msgspec.json.decode(body, type=_Routing).exchange_index
    except (msgspec.DecodeError, RecursionError):
        return -1
    return -1 if found is None else found


class _Routing(Struct, frozen=True):
    exchange_index: int | None = None


def read_order(body: bytes, at: int) -> NewOrder:
    """A create, or Refused with what the exchange would answer. `at` is now, in µs."""
    found = _object(body)
    for name, field, words in _REQUIRED:
        if not found.get(name):
            _bare(field, "required")
        if words and found[name] not in words:
            _bare(field, "oneof")
    try:
        price = parse_dollars(found["price"])
    except ValueError:
        raise Refused(nested(400, "invalid_price")) from None
    try:
        count = parse_count(found["count"])
    except ValueError:
        count = 0
    if not 0 < count <= COUNT_MAX:
        raise Refused(nested(400, "invalid_order_size"))
    order = NewOrder(
        ticker=found["ticker"],
        side=Side(found["side"]),
        count=count,
        price=price,
        time_in_force=found["time_in_force"],
        on_self=OnSelf(found["self_trade_prevention_type"]),
        client_order_id=found.get("client_order_id", ""),
        post_only=found.get("post_only", False),
        reduce_only=found.get("reduce_only", False),
        expires=found.get("expiration_time", 0) * SECOND,
        exchange_index=found.get("exchange_index", -1),
    )
    _check(order, at)
    return order


def _check(order: NewOrder, at: int) -> None:
    rests = order.time_in_force == "good_till_canceled"
    if len(order.client_order_id) > CLIENT_ORDER_ID_MAX:
        _bare("ClientOrderId", "max")
    if order.expires and not rests:
        raise Refused(invalid_order("expiration_time requires good_till_canceled"))
    if order.expires and order.expires <= at:
        raise Refused(invalid_order("expiration_time is in the past"))
    if order.expires > EXPIRATION_MAX:
        raise Refused(invalid_order("expiration_time is out of range"))
    if order.post_only and not rests:
        raise Refused(invalid_order("post_only requires good_till_canceled"))
    if order.reduce_only and order.time_in_force != "immediate_or_cancel":
        raise Refused(invalid_order("reduce_only requires immediate_or_cancel"))
