"""Reads of the exchange over HTTP: its own paths and parameters below /v1/exchange.

The table of what there is, and within which bounds, is `protocol/kalshi/inquiry_table.py`.
"""

from typing import Final

from msgspec import Struct

from actors.api.bodies import Problem
from actors.api.route import Said
from protocol.kalshi import inquiries
from protocol.kalshi.inquiries import UnfitInquiry
from protocol.kalshi.parameters import Said as Text
from protocol.messages import Inquire

PREFIX: Final = "/v1/exchange"


class AskExchange(Struct, frozen=True):
    """A read of the exchange that makes sense."""

    inquire: Inquire


def look(said: Said) -> AskExchange | Problem:
    """The read that stands at a path of the exchange, or what is wrong with it."""
    path, query = said.path, said.query
    found = inquiries.find(path.removeprefix(PREFIX))
    assert found is not None, path
    inquiry, parts = found
    twice = next((name for name in parts if name in query), None)
    if twice is not None:
        return Problem(422, "unknown_parameter", f"{twice} stands in the path already", twice)
    wanted: dict[str, Text] = {**parts, **query}
    try:
        inquiries.call(inquiry.name, wanted)
    except UnfitInquiry as e:
        return Problem(422, e.code, e.text, e.field)
    return AskExchange(Inquire(inquiry.name, wanted))
