"""The halt latch: what its file says. Whoever stops trading writes it, whoever asks reads it.

The file is the truth about "halted": while it says so no order leaves, whichever process wrote it
and whatever else is alive.
"""

import datetime
from typing import Final

import msgspec
from msgspec import Struct

from protocol.errors import RemoteProtocolError

LATCH_BYTES_MAX: Final = 64 * 1024
REASON_CHARS_MAX: Final = 200


class Latch(Struct, frozen=True):
    """One state of the latch. Times are microseconds since the Unix epoch."""

    halted: bool = True  # a file that does not say is a halt
    reason: str = ""
    at: int = 0  # since when it is as it is
    hold_until: int = 0  # creates are held, after a cancel-all, even once it is resumed
    panic: bool = False  # a panic that has not come to its end


NO_LATCH: Final = Latch(halted=False)
"""There is no file."""


def encode_latch(latch: Latch) -> bytes:
    """The file's content."""
    return msgspec.json.encode(latch)


def decode_latch(raw: bytes) -> Latch:
    """What a file says. Raises RemoteProtocolError, and never anything else."""
    try:
        latch = msgspec.json.decode(raw, type=Latch)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as e:
        raise RemoteProtocolError(f"{e}") from None
    if latch.halted and not latch.reason:
        return msgspec.structs.replace(latch, reason="halted")
    return latch


def joined(first: str, then: str) -> str:
    """The reason of a halt upon a halt: the first one is not forgotten."""
    if not first or then in first:
        return first or then
    return f"{first}; then: {then}"[:REASON_CHARS_MAX]


def unfit_reason(reason: str) -> str:
    """What is wrong with the reason for a halt, a resume or a panic; "" if nothing."""
    if 1 <= len(reason) <= REASON_CHARS_MAX and reason.isprintable():
        return ""
    return f"reason: 1 to {REASON_CHARS_MAX} printable characters"


def moment(at: int) -> str:
    """A time as people read it, to the second, in UTC."""
    try:
        found = datetime.datetime.fromtimestamp(at // 1_000_000, datetime.UTC)
    except (ValueError, OverflowError, OSError):
        return "an unknown time"
    return found.strftime("%Y-%m-%d %H:%M:%SZ")
