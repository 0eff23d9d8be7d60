"""How a request's body is read: strictly, and with one problem that names the field."""

import re
from collections.abc import Mapping
from typing import Final, TypeVar, get_args, get_type_hints

import msgspec
from msgspec import Struct

from protocol.limits import CLIENT_ORDER_ID_CHARS_MAX
from protocol.twice import said_twice

_ID = re.compile(rf"[A-Za-z0-9._:\-]{{1,{CLIENT_ORDER_ID_CHARS_MAX}}}", re.ASCII)
T = TypeVar("T")


class Problem(Struct, frozen=True):
    """Why a request is refused: `code` is stable, `detail` is for people."""

    status: int
    code: str
    detail: str
    field: str = ""
    retry_after_ms: int = 0
    limit: str = ""  # the most that a brake lets pass, and what it found
    value: str = ""
    allow: str = ""  # the methods that there are


BUSY: Final = Problem(503, "busy", "too many requests are waiting", retry_after_ms=500)


def decoded(decoder: msgspec.json.Decoder[T], body: bytes, code: str) -> T | Problem:
    """What a body says; what makes no sense is a problem with this code."""
    try:
        found = decoder.decode(body)
        twice = said_twice(body)
    except msgspec.ValidationError as e:
        return Problem(422, code, f"{str(e)[:300]}{_allowed(decoder, e)}", _field(str(e)))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as e:
        return Problem(400, "malformed_json", str(e)[:300])
    return Problem(422, code, f"`{twice}` is said twice", twice) if twice else found


def stranger(query: Mapping[str, str], known: tuple[str, ...]) -> Problem | None:
    """A parameter that there is not."""
    for field in query:
        if field not in known:
            return Problem(422, "unknown_parameter", f"no such parameter: {field[:50]}", field)
    return None


def misnamed(id: str, field: str = "client_order_id") -> Problem | None:
    """What is wrong with an id that a client chose."""
    if _ID.fullmatch(id):
        return None
    detail = f"1 to {CLIENT_ORDER_ID_CHARS_MAX} letters, digits or . _ : -"
    return Problem(422, f"invalid_{field}", detail, field)


def unfit(field: str, text: str, chars_max: int) -> Problem | None:
    """What is wrong with a text for people."""
    if 1 <= len(text) <= chars_max and text.isprintable():
        return None
    return Problem(422, f"invalid_{field}", f"1 to {chars_max} printable characters", field)


def _allowed(decoder: msgspec.json.Decoder[T], error: msgspec.ValidationError) -> str:
    """The words that a field takes, if it was none of them."""
    field = _field(str(error))
    if not str(error).startswith("Invalid enum value") or not field:
        return ""
    words = get_args(get_type_hints(decoder.type)[field])
    return f": one of {', '.join(map(str, words))}"


def _field(text: str) -> str:
    """The field that a decoder's message names."""
    found = re.search(r"\$\.(\w+)|field `(\w+)`", text)
    return "" if found is None else found[1] or found[2]
