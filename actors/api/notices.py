"""What a WebSocket client is told, as JSON text: frames of the bus, and words of our own.

Words of our own have a `kind`; what was published never has one.
"""

from typing import Any, Final, Literal

import msgspec

from protocol import continuity
from protocol.envelope import Envelope, encode
from protocol.units import encode_unit

Id = str | int | None  # of a client's command

_encode: Final = msgspec.json.Encoder(enc_hook=encode_unit).encode

# Why something was not heard, and what the stream says of a book.
Why = Literal[continuity.Why, "missed", "book_lost", "not_followed", "too_many"]


def passed_on(envelope: Envelope, frame: bytes) -> bytes:
    """A published message, with its topic, as the one who said it wrote it."""
    body = (frame or encode(envelope)).partition(b" ")[2]
    return b'{"topic":%b,%b' % (_encode(envelope.topic), body[1:])


def snapshot(topic: str, **more: Any) -> bytes:
    return _encode({"kind": "snapshot", "topic": topic, **more})


def entries(rows: tuple[Any, ...], head: int) -> bytes:
    """A page of the ledger that was said before, or not heard when it was said."""
    return _encode({"kind": "entries", "topic": "ledger", "entries": rows, "head": head})


def lost(topic: str, why: Why, detail: str, again: bool, missing: int = 0) -> bytes:
    """`again`: a snapshot comes, as soon as there is one. A topic may be a prefix of several."""
    said = {"kind": "lost", "topic": topic, "why": why, "detail": detail}
    return _encode(said | {"missing": missing, "snapshot": again})


def subscribed(id: Id, prefixes: tuple[str, ...]) -> bytes:
    return _encode({"kind": "subscribed", "id": id, "prefixes": prefixes})


def unsubscribed(id: Id, prefixes: tuple[str, ...]) -> bytes:
    return _encode({"kind": "unsubscribed", "id": id, "prefixes": prefixes})


def welcome() -> bytes:
    """The answer to a ticket."""
    return _encode({"kind": "welcome"})


def error(id: Id, code: str, detail: str, field: str = "", retry_after_ms: int = 0) -> bytes:
    """Nothing was changed by this command."""
    said = {"kind": "error", "id": id, "code": code, "detail": detail, "field": field}
    return _encode(said | ({"retry_after_ms": retry_after_ms} if retry_after_ms else {}))
