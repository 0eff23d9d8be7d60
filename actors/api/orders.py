"""Orders over HTTP: the body of one, what is wrong with it, and the letter that it becomes."""

from typing import Final

import msgspec
from msgspec import Struct

from actors.api.bodies import Problem, decoded, misnamed
from actors.api.fields import GroupId, Id, Lease, OrderCount, OrderPrice, Ticker
from actors.api.route import Said
from protocol import topics
from protocol.facts import OrderSide, TimeInForce
from protocol.kalshi.parameters import GROUP_ID
from protocol.limits import COUNT_MAX, LEASE_S_MAX, LEASE_S_MIN
from protocol.messages import DecreaseOrder, PlaceOrder
from protocol.units import DOLLAR, decode_unit, format_count


class GetOrder(Struct, frozen=True):
    client_order_id: str


class GetEvidence(Struct, frozen=True):
    client_order_id: str


class Place(Struct, frozen=True):
    order: PlaceOrder


class Cancel(Struct, frozen=True):
    client_order_id: str


class CancelAll(Struct, frozen=True):
    """Every order of ours that may still fill: in one market, or in all ("")."""

    ticker: str = ""


class Decrease(Struct, frozen=True):
    wanted: DecreaseOrder


class OrderBody(Struct, frozen=True, forbid_unknown_fields=True):
    """An order. What is left out of it has the value that stands here."""

    ticker: Ticker
    side: OrderSide
    price: OrderPrice
    count: OrderCount
    time_in_force: TimeInForce = "good_till_canceled"
    client_order_id: Id | msgspec.UnsetType = msgspec.UNSET  # "" is a mistake, not a wish for one
    post_only: bool = False
    order_group_id: GroupId | msgspec.UnsetType = msgspec.UNSET  # "" would not be in none
    lease_s: Lease = 0


class DecreaseBody(Struct, frozen=True, forbid_unknown_fields=True):
    """How much of an order shall rest at most."""

    reduce_to: OrderCount


class CancelAllBody(Struct, frozen=True, forbid_unknown_fields=True):
    """In which market; left out: in all."""

    ticker: Ticker | msgspec.UnsetType = msgspec.UNSET


_order_body: Final = msgspec.json.Decoder(OrderBody, dec_hook=decode_unit)


def place(said: Said) -> Place | Problem:
    """An order that is to be sent."""
    found = order_of(said.body, said.fresh_id)
    return found if isinstance(found, Problem) else Place(found)


def order(body: bytes, fresh_id: str) -> PlaceOrder | Problem:
    """One order of a batch, as if it were alone."""
    found = decoded(_order_body, body, "invalid_order")
    return found if isinstance(found, Problem) else order_of(found, fresh_id)


def order_of(body: OrderBody, fresh_id: str) -> PlaceOrder | Problem:
    """The letter that an order becomes, or what is wrong with it."""
    if not topics.is_ticker(body.ticker):
        return Problem(422, "invalid_ticker", "not the name of a market", "ticker")
    if not 0 < body.price < DOLLAR:
        return Problem(422, "invalid_price", "more than 0 and less than 1 dollar", "price")
    if not 0 < body.count <= COUNT_MAX:
        detail = f"more than 0 contracts, at most {format_count(COUNT_MAX)}"
        return Problem(422, "invalid_count", detail, "count")
    id, minted = body.client_order_id, False
    if isinstance(id, msgspec.UnsetType):
        id, minted = fresh_id, True
    group = body.order_group_id
    if isinstance(group, msgspec.UnsetType):
        group = ""
    elif not GROUP_ID.fits(group):
        return Problem(422, "invalid_order_group_id", GROUP_ID.rule, "order_group_id")
    if body.lease_s and not LEASE_S_MIN <= body.lease_s <= LEASE_S_MAX:
        detail = f"{LEASE_S_MIN} to {LEASE_S_MAX} seconds; 0: none"
        return Problem(422, "invalid_lease_s", detail, "lease_s")
    return misnamed(id) or PlaceOrder(
        id, body.ticker, body.side, body.price, body.count, body.time_in_force,
        body.post_only, minted=minted, order_group_id=group, lease_s=body.lease_s,
    )  # fmt: skip


def one(said: Said) -> GetOrder:
    """An order as it is known."""
    return GetOrder(said.parts["client_order_id"])


def evidence(said: Said) -> GetEvidence:
    """What is known of an order, and from whom."""
    return GetEvidence(said.parts["client_order_id"])


def cancel(said: Said) -> Cancel:
    """An order that is not to rest any more."""
    return Cancel(said.parts["client_order_id"])


def decrease(said: Said) -> Decrease | Problem:
    """An order of which less is to rest."""
    if not 0 < said.body.reduce_to <= COUNT_MAX:
        detail = "more than 0 contracts; to let nothing rest, cancel the order"
        return Problem(422, "invalid_reduce_to", detail, "reduce_to")
    return Decrease(DecreaseOrder(said.parts["client_order_id"], said.body.reduce_to))


def cancel_all(said: Said) -> CancelAll | Problem:
    """All orders of ours, or those in one market."""
    ticker = said.body.ticker
    if isinstance(ticker, msgspec.UnsetType):
        return CancelAll()
    if not topics.is_ticker(ticker):
        return Problem(422, "invalid_ticker", "not the name of a market", "ticker")
    return CancelAll(ticker)
