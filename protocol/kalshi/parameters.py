"""What may be said in a read: parameters, each with a type, a bound and the rule in words.

A parameter is text by the time it is looked at, because it becomes a part of a URL. Whoever writes
a letter may say numbers, truths and lists as JSON has them.
"""

import re
from collections.abc import Callable
from typing import Any, Final

from msgspec import Struct

from protocol import topics
from protocol.limits import CURSOR_CHARS_MAX, SUBACCOUNT_MAX, TICKER_CHARS_MAX

ALL: Final = "all"  # our word for leaving a filter out where we would say one by ourselves
SECONDS_MAX: Final = 2**33  # a time in milliseconds is above it
SHARD_MAX: Final = 10_000
LABEL_CHARS_MAX: Final = 100

Said = str | int | bool | tuple[str, ...]  # what a letter may say

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII | re.IGNORECASE)
_ID = re.compile(r"[A-Za-z0-9_\-]{1,64}", re.ASCII)
_WHOLE = re.compile(r"[0-9]{1,18}", re.ASCII)


class Kind(Struct, frozen=True):
    """A type of parameter. `rule` completes the sentence "it has to be ...", and `schema` says it
    in JSON schema, as far as that can."""

    rule: str
    fits: Callable[[str], bool]
    schema: dict[str, Any] = {}


class Parameter(Struct, frozen=True):
    """One parameter of a read.

    `default` is said for whoever leaves it out; whoever wants neither that nor another value says
    "all". `repeated`: a list that goes out as one parameter for each of its members.
    """

    name: str
    kind: Kind
    required: bool = False
    default: str = ""
    unless: tuple[str, ...] = ()  # with one of these there is no default
    repeated: bool = False
    about: str = ""  # what it is for


def number(least: int, most: int) -> Kind:
    """A whole number."""

    def fits(text: str) -> bool:
        return _WHOLE.fullmatch(text) is not None and least <= int(text) <= most

    schema = {"type": "integer", "minimum": least, "maximum": most}
    return Kind(f"a whole number from {least} to {most}", fits, schema)


def one_of(*words: str) -> Kind:
    """One word of a few."""
    schema = {"type": "string", "enum": list(words)}
    return Kind(f"one of {', '.join(words)}", lambda text: text in words, schema)


def list_of(kind: Kind, plural: str, most: int) -> Kind:
    """A comma list of 1 to `most` members of a kind."""

    def fits(text: str) -> bool:
        members = text.split(",")
        return len(members) <= most and all(map(kind.fits, members))

    schema = {"type": "array", "items": kind.schema, "minItems": 1, "maxItems": most}
    return Kind(f"1 to {most} {plural}, parted by commas", fits, schema)


def _printable(text: str, chars_max: int) -> bool:
    return 1 <= len(text) <= chars_max and text.isprintable()


def _ticker(text: str) -> bool:
    """Of dots alone it would be another path."""
    return topics.is_ticker(text) and text.strip(".") != ""


def _text(pattern: str) -> dict[str, Any]:
    return {"type": "string", "pattern": pattern}


def _line(chars_max: int) -> dict[str, Any]:
    """Printable characters; of those beyond ASCII the schema promises nothing."""
    return _text(f"^[ -~]{{1,{chars_max}}}$")


_NAME: Final = f"[A-Z0-9](?:[A-Z0-9.\\-]{{0,{TICKER_CHARS_MAX - 1}}})"
TICKER: Final = Kind(
    "a ticker: capital letters, digits, dots and hyphens", _ticker, _text(f"^{_NAME}$")
)
ORDER_ID: Final = Kind(
    "an order's id: a UUID",
    lambda text: _UUID.fullmatch(text) is not None,
    _text("^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"),
)
GROUP_ID: Final = Kind(
    "an id: 1 to 64 letters, digits, hyphens or underscores",
    lambda text: _ID.fullmatch(text) is not None,
    _text("^[A-Za-z0-9_\\-]{1,64}$"),
)
TRANSFER_ID: Final = GROUP_ID  # of neither the exchange says more than that it is text
SECONDS: Final = Kind(
    f"Unix seconds: a whole number up to {SECONDS_MAX}",
    lambda text: _WHOLE.fullmatch(text) is not None and int(text) <= SECONDS_MAX,
    {"type": "integer", "minimum": 0, "maximum": SECONDS_MAX},
)
FLAG: Final = one_of("true", "false")
CURSOR: Final = Kind(
    f"the cursor of the page before, 1 to {CURSOR_CHARS_MAX} printable characters",
    lambda text: _printable(text, CURSOR_CHARS_MAX),
    _line(CURSOR_CHARS_MAX),
)
LABEL: Final = Kind(
    f"1 to {LABEL_CHARS_MAX} printable characters",
    lambda text: _printable(text, LABEL_CHARS_MAX),
    _line(LABEL_CHARS_MAX),
)
SUBACCOUNT: Final = number(0, SUBACCOUNT_MAX)
ANY_SUBACCOUNT: Final = Kind(
    f"{SUBACCOUNT.rule}, or {ALL}",
    lambda text: text == ALL or SUBACCOUNT.fits(text),
    {"anyOf": [SUBACCOUNT.schema, {"type": "string", "enum": [ALL]}]},
)
SHARD: Final = number(0, SHARD_MAX)


def text_of(said: Said) -> str:
    """A parameter as it stands in a URL."""
    if isinstance(said, bool):
        return "true" if said else "false"
    return ",".join(said) if isinstance(said, tuple) else str(said)
