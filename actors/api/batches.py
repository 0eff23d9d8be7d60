"""Batches over HTTP: each member is read as if it were alone; one that is wrong refuses all."""

from collections.abc import Sequence
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct
from msgspec.structs import replace

from actors.api.bodies import Problem, misnamed
from actors.api.fields import Id
from actors.api.orders import OrderBody, order
from actors.api.route import Said
from protocol.limits import BATCH_MAX
from protocol.messages import PlaceOrder


class PlaceMany(Struct, frozen=True):
    orders: tuple[PlaceOrder, ...]


class CancelMany(Struct, frozen=True):
    client_order_ids: tuple[str, ...]


_MEMBERS: dict[str, Any] = {"minItems": 1, "maxItems": BATCH_MAX, "uniqueItems": True}


class OrdersBody(Struct, frozen=True, forbid_unknown_fields=True):
    """Orders, each read as if it were alone."""

    orders: tuple[msgspec.Raw, ...]


class ShownOrders(Struct, frozen=True, forbid_unknown_fields=True):
    """The orders of a batch, no id twice."""

    orders: Annotated[tuple[OrderBody, ...], Meta(extra_json_schema=_MEMBERS)]


class IdsBody(Struct, frozen=True, forbid_unknown_fields=True):
    """The orders that are not to rest any more."""

    client_order_ids: Annotated[tuple[Id, ...], Meta(extra_json_schema=_MEMBERS)]


def place_many(said: Said) -> PlaceMany | Problem:
    """The orders, or what is wrong with the first that is not right."""
    found = said.body
    if not 1 <= len(found.orders) <= BATCH_MAX:
        return _sized("orders", len(found.orders))
    orders: list[PlaceOrder] = []
    for place, raw in enumerate(found.orders):
        one = order(bytes(raw), f"{said.fresh_id}-{place}")
        if isinstance(one, Problem):
            where = f"orders[{place}]"
            return replace(one, field=f"{where}.{one.field}" if one.field else where)
        orders.append(one)
    ids = [one.client_order_id for one in orders]
    return _twice(ids, "orders[{}].client_order_id") or PlaceMany(tuple(orders))


def cancel_many(said: Said) -> CancelMany | Problem:
    """The ids, or what is wrong with them."""
    ids = said.body.client_order_ids
    if not 1 <= len(ids) <= BATCH_MAX:
        return _sized("client_order_ids", len(ids))
    for place, id in enumerate(ids):
        wrong = misnamed(id)
        if wrong is not None:
            return replace(wrong, field=f"client_order_ids[{place}]")
    return _twice(ids, "client_order_ids[{}]") or CancelMany(ids)


def _sized(field: str, count: int) -> Problem:
    return Problem(422, "invalid_batch", f"1 to {BATCH_MAX} in one batch, not {count}", field)


def _twice(ids: Sequence[str], field: str) -> Problem | None:
    for place, id in enumerate(ids):
        if ids.index(id) != place:
            detail = f"{id} is named twice in one batch"
            return Problem(422, "invalid_batch", detail, field.format(place))
    return None
