"""Books and what is followed, over HTTP."""

from typing import Annotated, Any

from msgspec import Meta, Struct

from actors.api.bodies import Problem
from actors.api.route import Said
from protocol import wishes
from protocol.kalshi.parameters import TICKER
from protocol.limits import WISHES_MAX


class GetBook(Struct, frozen=True):
    ticker: str
    stale: bool = False  # a book of a past moment will do
    depth: int = 0  # at most so many levels of a side, the best; 0: all


class GetFollow(Struct, frozen=True):
    pass


class SetFollow(Struct, frozen=True):
    add: tuple[str, ...]
    remove: tuple[str, ...]


_NAME = TICKER.schema["pattern"][1:-1]
Wish = Annotated[
    str,
    Meta(
        extra_json_schema={
            "pattern": rf"^(\*|trade:\*|ticker:\*|((event|series):)?{_NAME})$",
            "description": f"what is to be followed: {wishes.FORMS}",
        }
    ),
]
_MOST: dict[str, Any] = {"maxItems": WISHES_MAX}
Wishes = Annotated[tuple[Wish, ...], Meta(extra_json_schema=_MOST)]


class FollowBody(Struct, frozen=True, forbid_unknown_fields=True):
    """What is to be followed beside the rest, and what no more. One of the two is needed, and no
    wish stands in both."""

    add: Wishes = ()
    remove: Wishes = ()


def book(said: Said) -> GetBook:
    """The book of a market."""
    stale = said.query.get("allow_stale") == "1"
    return GetBook(said.parts["ticker"], stale, said.number("depth"))


def followed(said: Said) -> GetFollow:
    """What is followed."""
    return GetFollow()


def follow(said: Said) -> SetFollow | Problem:
    """Other wishes."""
    found = said.body
    if not found.add and not found.remove:
        return Problem(422, "invalid_follow", "nothing to add and nothing to remove", "add")
    for field, named in (("add", found.add), ("remove", found.remove)):
        if len(named) > WISHES_MAX:
            return Problem(422, "invalid_follow", f"at most {WISHES_MAX} at once", field)
        wrong = wishes.first_unfit(named)
        if wrong:
            return Problem(422, "invalid_wish", wrong, field)
    added = set(found.add)
    both = next((wish for wish in found.remove if wish in added), None)
    if both is not None:
        return Problem(422, "invalid_follow", f"{both} is to be added as well", "remove")
    return SetFollow(found.add, found.remove)
