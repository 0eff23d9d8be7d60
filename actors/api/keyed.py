"""A request with an idempotency key: what it says, and what the core and the disk say of it.

Pure: the header is read here, the ids that follow from a key are made here. What a key means is
decided in `keys.py`, what is known under it is kept by `answers.py`.
"""

import hashlib
import re
from collections.abc import Sequence
from typing import Final, Literal

from msgspec import Struct
from msgspec.structs import replace

from actors.api.asks import Ask, Place
from actors.api.batches import PlaceMany
from actors.api.bodies import Problem
from actors.api.replies import Reply
from protocol.limits import IDEMPOTENCY_KEY_CHARS_MAX
from protocol.machine import Cause, Effect

HEADER: Final = "Idempotency-Key"
_KEY: Final = re.compile(rf"[A-Za-z0-9._:\-]{{1,{IDEMPOTENCY_KEY_CHARS_MAX}}}", re.ASCII)
RULE: Final = f"one, of 1 to {IDEMPOTENCY_KEY_CHARS_MAX} letters, digits or . _ : -"
INVALID: Final = Problem(422, "invalid_idempotency_key", RULE, HEADER)


class Keyed(Struct, frozen=True):
    """The key of a request, who said it, and a digest of all that was asked with it."""

    caller: str
    key: str
    digest: bytes

    @property
    def name(self) -> tuple[str, str]:
        """Keys of different callers have nothing to do with each other."""
        return self.caller, self.key

    @property
    def fresh_id(self) -> str:
        """The id of an order or an amend that names none: the ledger knows it for good, so that
        nothing is doubled even where the key has been forgotten."""
        return f"k-{_sha256(self.caller.encode(), self.key.encode()).hex()[:32]}"


class Known(Struct, frozen=True):
    """What is on disk under a key: when it was first asked, and the answer once there is one."""

    digest: bytes
    at: int
    status: int = 0
    body: bytes = b""
    location: str = ""


class Begin(Effect, frozen=True):
    """Put on disk that this has begun, unless there is something under its key already. Leads to
    Begun."""

    id: int
    keyed: Keyed
    at: int


class Keep(Effect, frozen=True):
    """Put the answer to what has begun on disk. Leads to Kept."""

    reply: Reply
    keyed: Keyed


class Drop(Effect, frozen=True):
    """Nothing was done: forget that it has begun, if it began at `at` (what a former life began
    stays). Leads to Kept."""

    id: int
    keyed: Keyed
    at: int


class Begun(Cause, frozen=True):
    """It is on disk, and new; or `known` was there before; or neither, and why."""

    id: int
    known: Known | None = None
    trouble: Literal["", "full", "broken"] = ""
    text: str = ""


class Kept(Cause, frozen=True):
    """The answer is on disk, or what was to be dropped is not; or `problem` says why not."""

    id: int
    problem: str = ""


def said(
    caller: str, values: Sequence[str], method: str, target: str, body: bytes
) -> Keyed | Problem | None:
    """What a request says by this header (all its `values`); None if it says none, or is no POST.

    `target` is path and query as they were sent.
    """
    if method != "POST" or not values:
        return None
    if len(values) > 1 or not _KEY.fullmatch(values[0]):
        return INVALID
    return Keyed(caller, values[0], _sha256(method.encode(), target.encode(), body))


def unminted(ask: Ask) -> Ask:
    """An id that is made of a key may have been used before: it is not new for certain."""
    match ask:
        case Place(order=order):
            return Place(replace(order, minted=False))
        case PlaceMany(orders=orders):
            return PlaceMany(tuple(replace(order, minted=False) for order in orders))
    return ask


def _sha256(*parts: bytes) -> bytes:
    """Of all parts, each behind its length: no two lists of parts are the same bytes."""
    whole = hashlib.sha256()
    for part in parts:
        whole.update(b"%d:" % len(part) + part)
    return whole.digest()
