"""Amends over HTTP: the body read strictly, and the letter that it becomes."""

import msgspec
from msgspec import Struct

from actors.api.bodies import Problem, misnamed
from actors.api.fields import Id, OrderCount, OrderPrice
from actors.api.route import Said
from protocol.limits import COUNT_MAX
from protocol.messages import AmendOrder, Order
from protocol.units import DOLLAR, Count, Price, format_count


class AmendIt(Struct, frozen=True):
    """Other terms for an order; what is None stays as it is."""

    client_order_id: str
    amend_id: str
    price: Price | None
    count: Count | None

    def letter(self, order: Order | None) -> AmendOrder | None:
        """What the gateway is asked, for an order as the account shows it. Of one that it does not
        show only whole terms can be asked: None without them."""
        price = order.price if self.price is None and order is not None else self.price
        count = order.count if self.count is None and order is not None else self.count
        if price is None or count is None:
            return None
        return AmendOrder(self.client_order_id, self.amend_id, price, count)


class AmendBody(Struct, frozen=True, forbid_unknown_fields=True):
    """Other terms: a price, a count of the whole order, or both. What is null stays."""

    price: OrderPrice | None = None
    count: OrderCount | None = None
    amend_id: Id | msgspec.UnsetType = msgspec.UNSET  # "" is a mistake, not a wish for one


def amend(said: Said) -> AmendIt | Problem:
    """The request, or what is wrong with it. A fresh id becomes the amend_id that is left out."""
    found = said.body
    if found.price is None and found.count is None:
        return Problem(422, "invalid_amend", "neither a price nor a count", "price")
    if found.price is not None and not 0 < found.price < DOLLAR:
        return Problem(422, "invalid_price", "more than 0 and less than 1 dollar", "price")
    if found.count is not None and not 0 < found.count <= COUNT_MAX:
        detail = f"more than 0 contracts, at most {format_count(COUNT_MAX)}"
        return Problem(422, "invalid_count", detail, "count")
    id = said.fresh_id if isinstance(found.amend_id, msgspec.UnsetType) else found.amend_id
    name = said.parts["client_order_id"]
    return misnamed(id, "amend_id") or AmendIt(name, id, found.price, found.count)
