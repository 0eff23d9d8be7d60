"""How the answers to batches are read: by identity, never by position (FACTS.md section 6.2).

A member of a batch of creates goes by its client_order_id, one of a batch of cancels by its
order_id. One that is absent, unreadable, or named twice in ways that contradict each other, is
unknown; one that nobody asked for says nothing about those that somebody did.
"""

from collections.abc import Collection, Mapping
from typing import Final

from msgspec import Raw, Struct

from protocol.kalshi import answers
from protocol.kalshi.answers import Canceled, Created, Refusal
from protocol.kalshi.reading import lenient, printable
from protocol.units import Count

STRANGERS_NAMED: Final = 5  # of those that nobody asked for; the others are counted
_REFUSED: Final = frozenset(
    {"available_balance_too_low", "bad_request", "fok_insufficient_volume", "forbidden"}
    | {"not_found", "order_group_not_found", "permission_denied", "post_only_cross"}
    | {"subaccount_not_found", "too_many_requests", "trading_paused"}
)
_REFUSED_BEGINS: Final = ("exceeded_", "insufficient_", "invalid_", "market_")

Outcome = Created | Refusal | str
"""Made, refused, or why it is unknown."""


class Creates(Struct, frozen=True):
    """What became of each member that was asked for, and who else was named."""

    outcomes: dict[str, Outcome]  # by client_order_id
    strangers: tuple[str, ...] = ()


class Cancels(Struct, frozen=True):
    """The same of cancels: done, or why one has to look."""

    outcomes: dict[str, Canceled | str]  # by order_id
    strangers: tuple[str, ...] = ()


class _Members(Struct, frozen=True):
    orders: tuple[Raw, ...]


class _Member(Struct, frozen=True):
    order_id: Raw = Raw(b"null")
    client_order_id: Raw = Raw(b"null")
    error: Raw = Raw(b"null")


def created(wanted: Mapping[str, Count], status: int, body: bytes) -> Creates:
    """What the answer to a batch of creates means for each of `wanted` (table B2): counts by
    client_order_id.

    Under another status than 201 it is one word for all of them, as for a single create.
    """
    if status != 201:
        return Creates({id: answers.outcome(id, status, body, wanted[id]) for id in wanted})
    members = lenient(body, _Members)
    if members is None:
        said = answers.refusal(body)
        why = f"201 without the orders{'' if said is None else f': {said.code}'}"
        return Creates(dict.fromkeys(wanted, why))
    found: dict[str, Outcome] = {}
    strangers: list[str] = []
    for raw in members.orders:
        member = lenient(raw, _Member) or _Member()
        id = lenient(member.client_order_id, str)
        if id is None or id not in wanted:
            strangers.append(_name(id if id is not None else lenient(member.order_id, str)))
            continue
        outcome = _created(id, bytes(raw), member, wanted[id])
        if found.setdefault(id, outcome) != outcome:
            found[id] = "named twice, and each time as something else"
    _part(found)
    absent: dict[str, Outcome] = dict.fromkeys(wanted, "absent from the answer to its batch")
    return Creates(absent | found, _few(strangers))


def _created(id: str, raw: bytes, member: _Member, count: Count) -> Outcome:
    """What one member says."""
    if bytes(member.error) == b"null":
        return answers.outcome(id, 201, raw, count)
    said = answers.refusal(b'{"error":%b}' % bytes(member.error))
    if said is None:
        return "an error that makes no sense"
    if bytes(member.order_id) != b"null":
        return f"an error beside an order: {said.code}"
    return said if _refused(said.code) else f"error {said.code}"


def _refused(code: str) -> bool:
    """Whether an error is one that leaves no doubt: a member has no status of its own, and some
    codes (`exchange_unavailable`, `order_already_exists`) don't say that there is no order."""
    plain = code.lower().replace(" ", "_")
    return plain in _REFUSED or plain.startswith(_REFUSED_BEGINS)


def _part(found: dict[str, Outcome]) -> None:
    """No two orders have one order_id: then nobody knows whose it is."""
    owners: dict[str, list[str]] = {}
    for id, outcome in found.items():
        if isinstance(outcome, Created):
            owners.setdefault(outcome.order_id, []).append(id)
    for ids in owners.values():
        if len(ids) > 1:
            found.update(dict.fromkeys(ids, "two orders under one order_id"))


def canceled(wanted: Collection[str], status: int, body: bytes) -> Cancels | str:
    """What the answer to a batch of cancels means for each of `wanted`, order ids; or why it says
    nothing about any of them."""
    members = lenient(body, _Members) if status == 200 else None
    if members is None:
        said = answers.refusal(body)
        return f"status {status}" if said is None else f"status {status}: {said.code}"
    found: dict[str, Canceled | str] = {}
    strangers: list[str] = []
    for raw in members.orders:
        member = lenient(raw, _Member) or _Member()
        order_id = lenient(member.order_id, str)
        if order_id is None or order_id not in wanted:
            strangers.append(_name(order_id))
        elif order_id in found:
            found[order_id] = "named twice"
        else:
            found[order_id] = _canceled(order_id, bytes(raw))
    absent: dict[str, Canceled | str]
    absent = dict.fromkeys(wanted, "absent from the answer to its batch")
    return Cancels(absent | found, _few(strangers))


def _canceled(order_id: str, raw: bytes) -> Canceled | str:
    done = answers.canceled(order_id, 200, raw)
    return f"error {done.code}" if isinstance(done, Refusal) else done


def _name(said: str | None) -> str:
    return printable(said or "nobody", 80)


def _few(strangers: list[str]) -> tuple[str, ...]:
    more = len(strangers) - STRANGERS_NAMED
    rest = [f"{more} more"] if more > 0 else []
    return (*strangers[:STRANGERS_NAMED], *rest)
