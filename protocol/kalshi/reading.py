"""How a REST body becomes a shape: exactly, or with a RemoteProtocolError that says where not.

Prices, counts and money are decimal strings. Now and then one arrives as a JSON number (FACTS.md
section 10.4): it is taken by its digits, as they stand in the body, so that no float comes about;
whatever is not plain digits (`1e2`, `true`) is refused as it would be in a string.
"""

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

from protocol.errors import RemoteProtocolError
from protocol.units import decode_unit, parse_money

Id = Annotated[str, Meta(min_length=1, max_length=256)]
Millis = Annotated[int, Meta(ge=0, le=(2**53 - 1) // 1_000)]  # exact as microseconds, too

_MALFORMED = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d)", re.ASCII)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_decoders: dict[Any, msgspec.json.Decoder[Any]] = {}  # one for each shape in the code


class Micros(int):
    """A time that came as RFC 3339 text, in microseconds since the Unix epoch."""

    __slots__ = ()


class Factor(int):
    """A plain number that is no money, such as a fee's multiplier, in millionths."""

    __slots__ = ()


def read(body: bytes, shape: type[Any]) -> Any:
    """Decode an answer strictly. Raises RemoteProtocolError, and never anything else."""
    try:
        return _decoder(shape).decode(body)
    except _MALFORMED as e:
        raise RemoteProtocolError(f"{_name(shape)}: {printable(str(e), 200)}") from None


def lenient(body: bytes | msgspec.Raw, shape: Any) -> Any:
    """The same of an answer, or a part of one, that may be anything: None if it does not fit."""
    try:
        return _decoder(shape).decode(body)
    except _MALFORMED:
        return None


def micros(text: str) -> int:
    """Microseconds since the Unix epoch of an RFC 3339 time. Raises RemoteProtocolError."""
    try:
        return _micros(text)
    except ValueError as e:
        raise RemoteProtocolError(str(e)) from None


def since_1970(text: str) -> int:
    """The same for what goes into the ledger: a time before 1970 is an empty one, and none."""
    at = micros(text)
    if at < 0:
        raise RemoteProtocolError(f"{text[:40]!r} is before 1970")
    return at


def printable(text: str, chars: int) -> str:
    """A text from outside, fit for one line of a log and for the ledger."""
    return "".join(c if c.isprintable() else "?" for c in text[:chars])


def _decoder(shape: Any) -> msgspec.json.Decoder[Any]:
    found = _decoders.get(shape)
    if found is None:
        found = msgspec.json.Decoder(shape, dec_hook=_decode, float_hook=str)
        _decoders[shape] = found
    return found


def _decode(kind: type, value: Any) -> Any:
    if kind is Micros:
        return Micros(_micros(value))
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if kind is Factor:
        return Factor(parse_money(value))
    return decode_unit(kind, value)


def _micros(text: object) -> int:
    if not isinstance(text, str) or _TIME.fullmatch(text) is None:
        raise ValueError(f"{str(text)[:40]!r} is not a time")
    try:
        return (datetime.fromisoformat(text) - _EPOCH) // timedelta(microseconds=1)
    except OverflowError as e:
        raise ValueError(f"{text[:40]!r}: {e}") from None


def _name(shape: Any) -> str:
    return str(getattr(shape, "__name__", shape)).lstrip("_")
