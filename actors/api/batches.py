"""Batches over HTTP: each member is read as if it were alone; one that is wrong refuses all."""

from collections.abc import Callable, Mapping, Sequence

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from actors.api.bodies import Problem, decoded, misnamed
from protocol.limits import BATCH_MAX
from protocol.messages import PlaceOrder


class PlaceMany(Struct, frozen=True):
    orders: tuple[PlaceOrder, ...]


class CancelMany(Struct, frozen=True):
    client_order_ids: tuple[str, ...]


class _OrdersBody(Struct, frozen=True, forbid_unknown_fields=True):
    orders: tuple[msgspec.Raw, ...]


class _IdsBody(Struct, frozen=True, forbid_unknown_fields=True):
    client_order_ids: tuple[str, ...]


_orders_body = msgspec.json.Decoder(_OrdersBody)
_ids_body = msgspec.json.Decoder(_IdsBody)
ReadOrder = Callable[[bytes, str], PlaceOrder | Problem]
"""Reads the body of one order; the second is its id if it names none."""


def place_many(read: ReadOrder) -> Callable[..., PlaceMany | Problem]:
    """The reader of a batch of orders, made of that of one."""

    def many(
        name: str, query: Mapping[str, str], body: bytes, fresh_id: str
    ) -> PlaceMany | Problem:
        found = decoded(_orders_body, body, "invalid_batch")
        if isinstance(found, Problem):
            return found
        if not 1 <= len(found.orders) <= BATCH_MAX:
            return _sized("orders", len(found.orders))
        orders: list[PlaceOrder] = []
        for place, raw in enumerate(found.orders):
            order = read(bytes(raw), f"{fresh_id}-{place}")
            if isinstance(order, Problem):
                where = f"orders[{place}]"
                return replace(order, field=f"{where}.{order.field}" if order.field else where)
            orders.append(order)
        ids = [order.client_order_id for order in orders]
        return _twice(ids, "orders[{}].client_order_id") or PlaceMany(tuple(orders))

    return many


def cancel_many(
    name: str, query: Mapping[str, str], body: bytes, fresh_id: str
) -> CancelMany | Problem:
    """The request, or what is wrong with it."""
    found = decoded(_ids_body, body, "invalid_batch")
    if isinstance(found, Problem):
        return found
    ids = found.client_order_ids
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
