"""How the exchange's answers to amends, decreases, and what is done to order groups, are read.

Leniently, as all answers after a side effect (`answers.py`): what can't be read means unknown.
"""

from msgspec import Raw, Struct

from protocol.kalshi.answers import Refusal, refusal, refused
from protocol.kalshi.parameters import GROUP_ID
from protocol.kalshi.reading import Millis, lenient
from protocol.units import Count


class Amended(Struct, frozen=True):
    """An amend that was done, and when: milliseconds of the exchange."""

    order_id: str
    ts_ms: int


class _Changed(Struct, frozen=True):
    order_id: Raw = Raw(b"null")
    ts_ms: Raw = Raw(b"null")


def amended(order_id: str, status: int, body: bytes) -> Amended | Refusal | str:
    """What the answer to an amend means: done, refused, or why it is unknown.

    A 200 that does not name the order or the moment proves nothing: until 2026-09 such bodies
    were wrong in rare cases (FACTS.md section 10).
    """
    if status != 200:
        return refused(status, body)
    found = lenient(body, _Changed)
    if found is None or refusal(body) is not None:
        return "200 that is not the answer to an amend"
    if lenient(found.order_id, str) != order_id:
        return "200 for another order"
    ms = lenient(found.ts_ms, Millis)
    return Amended(order_id, ms) if ms else "200 that does not say when"


class Decreased(Struct, frozen=True):
    """A decrease that was done. `remaining` is what rests, None where it does not say."""

    remaining: Count | None


class _Less(Struct, frozen=True):
    order_id: Raw = Raw(b"null")
    remaining_count: Raw = Raw(b"null")


def decreased(order_id: str, status: int, body: bytes) -> Decreased | Refusal | str:
    """What the answer to a decrease means: done, refused, or why it is unknown."""
    if status != 200:
        return refused(status, body)
    less = lenient(body, _Less)
    if less is None or refusal(body) is not None:
        return "200 that is not the answer to a decrease"
    named = lenient(less.order_id, str)
    if named is not None and named != order_id:
        return "200 for another order"
    rests = lenient(less.remaining_count, Count)
    return Decreased(rests if rests is not None and rests >= 0 else None)


class GroupDone(Struct, frozen=True):
    """It was done. The id is that of a group that was made, "" otherwise."""

    order_group_id: str = ""


class _Group(Struct, frozen=True):
    order_group_id: Raw = Raw(b"null")


def group_made(status: int, body: bytes) -> GroupDone | Refusal | str:
    """What the answer to a create of an order group means. A 201 without an id is unknown."""
    if status != 201:
        return refused(status, body)
    made = lenient(body, _Group)
    id = None if made is None else lenient(made.order_group_id, str)
    if id is None or not GROUP_ID.fits(id):
        return "201 that names no group"
    return GroupDone(id)


def group_changed(status: int, body: bytes) -> GroupDone | Refusal | str:
    """What the answer to anything else that is done to an order group means."""
    if status != 200:
        return refused(status, body)
    if lenient(body, dict) is None or refusal(body) is not None:
        return "200 that is not the answer to this"
    return GroupDone()
