"""Batches of creates and of cancels (FACTS.md section 6.2; no capture).

Each member is a call of its own, done in order; what one is refused does not touch the others. We
chose: a member of the wrong type, or without what it must have, refuses the whole batch with 400
and nothing is done, as the reader and the validator of the exchange look at bodies whole.
"""

from typing import Any, Final

import msgspec
from msgspec import Struct

from actors.paper.answers import Answer, Refused
from actors.paper.collateral import Order
from actors.paper.exchange import Exchange
from actors.paper.fixed import contracts
from actors.paper.forms import Form
from actors.paper.intake import TYPES, complete, new_order, primary

CREATES: Final = "BatchCreateOrdersV2"
CANCELS: Final = "BatchCancelOrdersV2"
CANCEL_TYPES: Final[dict[str, type]] = {
    "order_id": str,
    "market_ticker": str,
    "exchange_index": int,
    "subaccount": int,
}
UNDONE: Final = {  # of a create that was refused
    "fill_count": None,
    "remaining_count": None,
    "average_fill_price": None,
    "average_fee_paid": None,
    "ts_ms": None,
}

Member = dict[str, Any]


class _Sized(Struct, frozen=True):
    orders: list[msgspec.Raw] = []


def size(body: bytes) -> int:
    """How many members a batch has to pay for: one if there is none, or no telling."""
    try:
        return max(len(msgspec.json.decode(body, type=_Sized).orders), 1)
    except (msgspec.DecodeError, RecursionError):
        return 1


def create(exchange: Exchange, body: bytes, at: int) -> Answer:
    """Create one after the other: 201, whatever became of them. Raises Refused for a bad body."""
    members = _members(CREATES, TYPES, body)
    for form, found in members:
        complete(form, found)
    return Answer(201, {"orders": [_create(exchange, *member, at) for member in members]})


def cancel(exchange: Exchange, body: bytes, at: int) -> Answer:
    """Cancel those that are named: 200, whatever became of them. Raises Refused for a bad body."""
    members = _members(CANCELS, CANCEL_TYPES, body)
    for form, found in members:
        if not found.get("order_id"):
            raise form.wrong("OrderId", "required")
    return Answer(200, {"orders": [_cancel(exchange, found, at) for _, found in members]})


def _members(call: str, types: dict[str, type], body: bytes) -> list[tuple[Form, Member]]:
    whole = Form(call, {"orders": list})
    found = whole.read(body).get("orders")
    if not found:
        raise whole.wrong("Orders", "required")
    forms = [Form(call, types, "orders", place) for place in range(len(found))]
    return [(form, form.members(member)) for form, member in zip(forms, found, strict=True)]


def _create(exchange: Exchange, form: Form, found: Member, at: int) -> Member:
    try:
        answer = exchange.create(new_order(form, found, at), at)
    except Refused as e:
        answer = e.answer
    if answer.status == 201 and isinstance(answer.body, dict):
        return {"average_fill_price": None, "average_fee_paid": None} | answer.body
    name = found.get("client_order_id", "")
    return ({"client_order_id": name} if name else {}) | UNDONE | {"error": _error(answer)}


def _cancel(exchange: Exchange, found: Member, at: int) -> Member:
    order_id: str = found["order_id"]
    try:
        primary(found.get("subaccount", 0))
        shard = exchange.routed(found.get("exchange_index"), found.get("market_ticker", ""))
        answer = exchange.cancel(order_id, shard, at)
    except Refused as e:
        answer = e.answer
    if answer.status == 200 and isinstance(answer.body, dict):
        return _named(exchange.account.orders[order_id]) | answer.body
    nothing = {"order_id": order_id, "reduced_by": contracts(0), "ts_ms": None}
    return nothing | {"error": _error(answer)}


def _named(order: Order) -> Member:
    name = order.placed.client_order_id
    return {"client_order_id": name} if name else {}


def _error(answer: Answer) -> Any:
    """What stands in an ErrorResponse: code, message and details."""
    assert isinstance(answer.body, dict)
    return answer.body.get("error", answer.body)
