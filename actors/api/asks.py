"""What may be asked over HTTP: routes, their scopes, and bodies read strictly.

Pure: the web layer hands in what came over the wire and gets back either a request or a problem
with one stable code.
"""

import re
from collections.abc import Callable, Mapping
from typing import Final, Literal

import msgspec
from msgspec import Struct

from actors.api import exchange, groups
from actors.api.amends import AmendIt, amend
from actors.api.batches import CancelMany, PlaceMany, cancel_many, place_many
from actors.api.bodies import Problem, decoded, misnamed, stranger, unfit
from actors.api.exchange import AskExchange
from actors.api.groups import AskGroup
from protocol import topics, wishes
from protocol.brakes import UNSAID, Brakes, said
from protocol.facts import OrderSide, TimeInForce
from protocol.kalshi.parameters import GROUP_ID
from protocol.latch import REASON_CHARS_MAX
from protocol.limits import (
    CONFIRMED_BY_CHARS_MAX,
    COUNT_MAX,
    DEPTH_MAX,
    LEASE_S_MAX,
    LEASE_S_MIN,
    PAGE_MAX,
    WISHES_MAX,
)
from protocol.messages import DecreaseOrder, PlaceOrder
from protocol.tokens import Scope
from protocol.units import DOLLAR, Count, Price, decode_unit, format_count

PAGE_DEFAULT: Final = 100


class Page(Struct, frozen=True):
    """Which part of a list: `limit` rows before ledger position `before` (0: from the newest)."""

    limit: int = PAGE_DEFAULT
    before: int = 0


class GetBook(Struct, frozen=True):
    ticker: str
    stale: bool = False  # a book of a past moment will do
    depth: int = 0  # at most so many levels of a side, the best; 0: all


class GetFollow(Struct, frozen=True):
    pass


class SetFollow(Struct, frozen=True):
    add: tuple[str, ...]
    remove: tuple[str, ...]


class IssueTicket(Struct, frozen=True):
    """A one-time ticket for a WebSocket; not a matter for the engine."""


class GetList(Struct, frozen=True):
    what: Literal["orders", "fills", "positions", "balance"]
    page: Page


class GetOrder(Struct, frozen=True):
    client_order_id: str


class GetEvidence(Struct, frozen=True):
    client_order_id: str


class GetStatus(Struct, frozen=True):
    pass


class Place(Struct, frozen=True):
    order: PlaceOrder


class Cancel(Struct, frozen=True):
    client_order_id: str


class Decrease(Struct, frozen=True):
    wanted: DecreaseOrder


class SetHalt(Struct, frozen=True):
    halted: bool
    reason: str


class PressPanic(Struct, frozen=True):
    reason: str


class Confirm(Struct, frozen=True):
    confirmed_by: str


class SetBrakes(Struct, frozen=True):
    """Tighter limits; with none said, which there are."""

    brakes: Brakes


Ask = (
    GetBook | GetList | GetOrder | GetEvidence | GetStatus | GetFollow | SetFollow | Place | Cancel
    | AmendIt | Decrease | AskGroup | PlaceMany | CancelMany | SetHalt | PressPanic | Confirm
    | AskExchange | SetBrakes | IssueTicket
)  # fmt: skip


class _OrderBody(Struct, frozen=True, forbid_unknown_fields=True):
    ticker: str
    side: OrderSide
    price: Price
    count: Count
    time_in_force: TimeInForce = "good_till_canceled"
    client_order_id: str | msgspec.UnsetType = msgspec.UNSET  # "" is a mistake, not a wish for one
    post_only: bool = False
    order_group_id: str | msgspec.UnsetType = msgspec.UNSET  # "" would not be in none
    lease_s: int = 0


class _DecreaseBody(Struct, frozen=True, forbid_unknown_fields=True):
    reduce_to: Count


class _ReasonBody(Struct, frozen=True, forbid_unknown_fields=True):
    reason: str


class _FollowBody(Struct, frozen=True, forbid_unknown_fields=True):
    add: tuple[str, ...] = ()
    remove: tuple[str, ...] = ()


class _ConfirmBody(Struct, frozen=True, forbid_unknown_fields=True):
    confirmed_by: str


_order_body = msgspec.json.Decoder(_OrderBody, dec_hook=decode_unit)
_decrease_body = msgspec.json.Decoder(_DecreaseBody, dec_hook=decode_unit)
_reason_body = msgspec.json.Decoder(_ReasonBody)
_brakes_body = msgspec.json.Decoder(Brakes, dec_hook=decode_unit)
_confirm_body = msgspec.json.Decoder(_ConfirmBody)
_follow_body = msgspec.json.Decoder(_FollowBody)

Read = Callable[[str, Mapping[str, str], bytes, str], Ask | Problem]


def read(
    method: str, path: str, query: Mapping[str, str], body: bytes, fresh_id: str
) -> tuple[Scope, Ask] | Problem:
    """The request and the scope it needs, or what is wrong with it.

    `fresh_id` becomes the client_order_id of an order that names none.
    """
    pattern, name = _split(path)
    methods = ROUTES.get(pattern)
    if methods is None:
        return Problem(404, "not_found", f"there is nothing at {path[:100]}")
    route = methods.get(method)
    if route is None:
        allowed = ", ".join(methods)
        return Problem(405, "method_not_allowed", f"{path[:100]} takes {allowed}")
    scope, reader = route
    ask = reader(name, query, body, fresh_id)
    return ask if isinstance(ask, Problem) else (scope, ask)


def scope_of(method: str, path: str) -> Scope | None:
    """The scope a route needs; None where there is no such route."""
    route = ROUTES.get(_split(path)[0], {}).get(method)
    return None if route is None else route[0]


def _split(path: str) -> tuple[str, str]:
    """`/v1/orders/x` is the pattern `/v1/orders/*` and the name `x`, with or without a last part
    such as `/evidence`. A read of the exchange has its path for a name."""
    if path.startswith(f"{exchange.PREFIX}/"):
        return exchange.pattern_of(path), path
    if path in ROUTES:
        return path, ""
    head, _, name = path.rpartition("/")
    parent, _, middle = head.rpartition("/")
    if middle and f"{parent}/*/{name}" in ROUTES:
        return f"{parent}/*/{name}", middle
    return (f"{head}/*", name) if name else (path, "")


def _book(name: str, query: Mapping[str, str], body: bytes, fresh_id: str) -> Ask | Problem:
    if not topics.is_ticker(name):
        return Problem(422, "invalid_ticker", "not the name of a market", "ticker")
    stale = query.get("allow_stale", "0")
    if stale not in ("0", "1"):
        return Problem(422, "invalid_allow_stale", "0 or 1", "allow_stale")
    text = query.get("depth", "")
    if "depth" in query and not (re.fullmatch(r"[0-9]{1,5}", text) and 1 <= int(text) <= DEPTH_MAX):
        return Problem(422, "invalid_depth", f"a number from 1 to {DEPTH_MAX}", "depth")
    wrong = stranger(query, ("allow_stale", "depth"))
    return wrong or GetBook(name, stale == "1", int(text or "0"))


def _list(what: Literal["orders", "fills", "positions", "balance"]) -> Read:
    def rows(name: str, query: Mapping[str, str], body: bytes, fresh_id: str) -> Ask | Problem:
        numbers = {}
        for field, most in (("limit", PAGE_MAX), ("cursor", 1 << 62)):
            text = query.get(field, "")
            if text and not (re.fullmatch(r"[0-9]{1,19}", text) and 1 <= int(text) <= most):
                return Problem(422, f"invalid_{field}", f"a number from 1 to {most}", field)
            if text:
                numbers[field] = int(text)
        page = Page(numbers.get("limit", PAGE_DEFAULT), numbers.get("cursor", 0))
        return stranger(query, ("limit", "cursor")) or GetList(what, page)

    return rows


def _one(name: str, query: Mapping[str, str], body: bytes, fresh_id: str) -> Ask | Problem:
    return misnamed(name) or GetOrder(name)


def _evidence(name: str, query: Mapping[str, str], body: bytes, fresh_id: str) -> Ask | Problem:
    return misnamed(name) or GetEvidence(name)


def _cancel(name: str, query: Mapping[str, str], body: bytes, fresh_id: str) -> Ask | Problem:
    return misnamed(name) or Cancel(name)


def _decrease(name: str, query: Mapping[str, str], body: bytes, fresh_id: str) -> Ask | Problem:
    found = decoded(_decrease_body, body, "invalid_reduce_to")
    if isinstance(found, Problem):
        return found
    if not 0 < found.reduce_to <= COUNT_MAX:
        detail = "more than 0 contracts; to let nothing rest, cancel the order"
        return Problem(422, "invalid_reduce_to", detail, "reduce_to")
    return misnamed(name) or Decrease(DecreaseOrder(name, found.reduce_to))


def _status(name: str, query: Mapping[str, str], body: bytes, fresh_id: str) -> Ask | Problem:
    return GetStatus()


def _ticket(name: str, query: Mapping[str, str], body: bytes, fresh_id: str) -> Ask | Problem:
    if body.strip() not in (b"", b"{}"):
        return Problem(422, "invalid_body", "nothing is to be said here: {}")
    return stranger(query, ()) or IssueTicket()


def _place(name: str, query: Mapping[str, str], body: bytes, fresh_id: str) -> Ask | Problem:
    order = _order(body, fresh_id)
    return order if isinstance(order, Problem) else Place(order)


def _order(body: bytes, fresh_id: str) -> PlaceOrder | Problem:
    order = decoded(_order_body, body, "invalid_order")
    if isinstance(order, Problem):
        return order
    if not topics.is_ticker(order.ticker):
        return Problem(422, "invalid_ticker", "not the name of a market", "ticker")
    if not 0 < order.price < DOLLAR:
        return Problem(422, "invalid_price", "more than 0 and less than 1 dollar", "price")
    if not 0 < order.count <= COUNT_MAX:
        detail = f"more than 0 contracts, at most {format_count(COUNT_MAX)}"
        return Problem(422, "invalid_count", detail, "count")
    id, minted = order.client_order_id, False
    if isinstance(id, msgspec.UnsetType):
        id, minted = fresh_id, True
    group = order.order_group_id
    if isinstance(group, msgspec.UnsetType):
        group = ""
    elif not GROUP_ID.fits(group):
        return Problem(422, "invalid_order_group_id", GROUP_ID.rule, "order_group_id")
    if order.lease_s and not LEASE_S_MIN <= order.lease_s <= LEASE_S_MAX:
        detail = f"{LEASE_S_MIN} to {LEASE_S_MAX} seconds; 0: none"
        return Problem(422, "invalid_lease_s", detail, "lease_s")
    return misnamed(id) or PlaceOrder(
        id, order.ticker, order.side, order.price, order.count, order.time_in_force,
        order.post_only, minted=minted, order_group_id=group, lease_s=order.lease_s,
    )  # fmt: skip


def _reason(make: Callable[[str], Ask]) -> Read:
    def reason(name: str, query: Mapping[str, str], body: bytes, fresh_id: str) -> Ask | Problem:
        found = decoded(_reason_body, body, "invalid_reason")
        if isinstance(found, Problem):
            return found
        return unfit("reason", found.reason, REASON_CHARS_MAX) or make(found.reason)

    return reason


def _followed(name: str, query: Mapping[str, str], body: bytes, fresh_id: str) -> Ask | Problem:
    return GetFollow()


def _follow(name: str, query: Mapping[str, str], body: bytes, fresh_id: str) -> Ask | Problem:
    found = decoded(_follow_body, body, "invalid_follow")
    if isinstance(found, Problem):
        return found
    if not found.add and not found.remove:
        return Problem(422, "invalid_follow", "nothing to add and nothing to remove", "add")
    for field, named in (("add", found.add), ("remove", found.remove)):
        if len(named) > WISHES_MAX:
            return Problem(422, "invalid_follow", f"at most {WISHES_MAX} at once", field)
        wrong = wishes.first_unfit(named)
        if wrong:
            return Problem(422, "invalid_wish", wrong, field)
    both = next((wish for wish in found.remove if wish in found.add), None)
    if both is not None:
        return Problem(422, "invalid_follow", f"{both} is to be added as well", "remove")
    return SetFollow(found.add, found.remove)


def _limits(name: str, query: Mapping[str, str], body: bytes, fresh_id: str) -> Ask | Problem:
    return SetBrakes(UNSAID)


def _tighten(name: str, query: Mapping[str, str], body: bytes, fresh_id: str) -> Ask | Problem:
    found = decoded(_brakes_body, body, "invalid_brakes")
    if isinstance(found, Problem):
        return found
    if not said(found):
        return Problem(422, "invalid_brakes", "no limit to tighten is named")
    return SetBrakes(found)


def _confirm(name: str, query: Mapping[str, str], body: bytes, fresh_id: str) -> Ask | Problem:
    found = decoded(_confirm_body, body, "invalid_confirmed_by")
    if isinstance(found, Problem):
        return found
    wrong = unfit("confirmed_by", found.confirmed_by, CONFIRMED_BY_CHARS_MAX)
    return wrong or Confirm(found.confirmed_by)


ROUTES: Final[dict[str, dict[str, tuple[Scope, Read]]]] = {
    "/v1/status": {"GET": ("read", _status)},
    "/v1/ws/ticket": {"POST": ("read", _ticket)},
    "/v1/books/*": {"GET": ("read", _book)},
    "/v1/follow": {"GET": ("read", _followed), "POST": ("trade", _follow)},
    "/v1/orders": {"GET": ("read", _list("orders")), "POST": ("trade", _place)},
    "/v1/orders/batch": {
        "GET": ("read", lambda name, query, body, fresh_id: GetOrder("batch")),  # may be an id
        "POST": ("trade", place_many(_order)),
        "DELETE": ("trade", cancel_many),
    },
    "/v1/orders/*": {"GET": ("read", _one), "DELETE": ("trade", _cancel)},
    "/v1/orders/*/decrease": {"POST": ("trade", _decrease)},
    "/v1/orders/*/amend": {"POST": ("trade", amend)},
    "/v1/orders/*/evidence": {"GET": ("read", _evidence)},
    "/v1/groups": {"POST": ("trade", groups.doing("create"))},
    "/v1/groups/*": {"DELETE": ("trade", groups.delete)},
    "/v1/groups/*/reset": {"POST": ("trade", groups.doing("reset"))},
    "/v1/groups/*/trigger": {"POST": ("trade", groups.doing("trigger"))},
    "/v1/groups/*/limit": {"POST": ("trade", groups.doing("limit"))},
    "/v1/fills": {"GET": ("read", _list("fills"))},
    "/v1/positions": {"GET": ("read", _list("positions"))},
    "/v1/balance": {"GET": ("read", _list("balance"))},
    "/v1/halt": {"POST": ("kill", _reason(lambda text: SetHalt(True, text)))},
    "/v1/resume": {"POST": ("admin", _reason(lambda text: SetHalt(False, text)))},
    "/v1/panic": {"POST": ("kill", _reason(PressPanic))},
    "/v1/brakes": {"GET": ("read", _limits), "POST": ("admin", _tighten)},
    "/v1/restore/confirm": {"POST": ("admin", _confirm)},
    **{pattern: {"GET": ("read", exchange.look)} for pattern in exchange.PATTERNS},
}
