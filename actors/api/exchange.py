"""Reads of the exchange over HTTP: its own paths and parameters below /v1/exchange.

The table of what there is, and within which bounds, is `protocol/kalshi/inquiry_table.py`.
"""

from collections.abc import Mapping
from typing import Final

from msgspec import Struct

from actors.api.bodies import Problem
from protocol.kalshi import inquiries
from protocol.kalshi.inquiries import INQUIRIES, UnfitInquiry
from protocol.kalshi.parameters import Said
from protocol.messages import Inquire

PREFIX: Final = "/v1/exchange"
PATTERNS: Final = tuple(PREFIX + inquiry.path for inquiry in INQUIRIES.values())


class AskExchange(Struct, frozen=True):
    """A read of the exchange that makes sense."""

    inquire: Inquire


def pattern_of(path: str) -> str:
    """The pattern that a path follows; the path itself if there is none."""
    found = inquiries.find(path.removeprefix(PREFIX))
    return path if found is None else PREFIX + found[0].path


def look(path: str, query: Mapping[str, str], body: bytes, fresh_id: str) -> AskExchange | Problem:
    """The read that stands at a path of one of the PATTERNS, or what is wrong with it."""
    found = inquiries.find(path.removeprefix(PREFIX))
    assert found is not None, path
    inquiry, parts = found
    twice = next((name for name in parts if name in query), None)
    if twice is not None:
        return Problem(422, "unknown_parameter", f"{twice} stands in the path already", twice)
    said: dict[str, Said] = {**parts, **query}
    try:
        inquiries.call(inquiry.name, said)
    except UnfitInquiry as e:
        return Problem(422, e.code, e.text, e.field)
    return AskExchange(Inquire(inquiry.name, said))
