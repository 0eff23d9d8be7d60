"""How the exchange's answers to decreases, and to what is done to order groups, are read.

Leniently, as all answers after a side effect (`answers.py`): what can't be read means unknown.
"""

from msgspec import Raw, Struct

from protocol.kalshi.answers import REJECTIONS, Refusal, refusal
from protocol.kalshi.parameters import GROUP_ID
from protocol.kalshi.reading import lenient
from protocol.units import Count


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


def refused(status: int, body: bytes) -> Refusal | str:
    """The exchange's no, where it is final (table B2); else why nothing is known."""
    said = refusal(body)
    if said is not None and status in REJECTIONS:
        return said
    return f"status {status}" if said is None else f"status {status}: {said.code}"
