"""What a WebSocket client may say: read strictly, as a whole, with one error that names the field.

Each command declares the scope that it needs, as each route does.
"""

from typing import Final

import msgspec
from msgspec import Struct

from actors.api.bodies import Problem, decoded
from actors.api.notices import Id
from protocol import topics
from protocol.limits import COMMAND_ID_CHARS_MAX, PREFIX_CHARS_MAX, PREFIXES_MAX

BARE: Final = (topics.LEDGER, topics.MARK, topics.SYSTEM)
KINDS: Final = tuple(kind for kind in topics.ALL if kind.endswith(".")) + ("raw.",)
SCOPES: Final = {"subscribe": "read", "unsubscribe": "read"}


class _Command(Struct, frozen=True, forbid_unknown_fields=True):
    id: str | int | None = None
    subscribe: tuple[str, ...] = ()
    unsubscribe: tuple[str, ...] = ()
    since: int | None = None


class _Ticket(Struct, frozen=True, forbid_unknown_fields=True):
    ticket: str


class Command(Struct, frozen=True):
    """`since`: the ledger's entries with larger numbers; None: those that are yet to come."""

    id: Id
    subscribe: tuple[str, ...]
    unsubscribe: tuple[str, ...]
    since: int | None


class Amiss(Struct, frozen=True):
    """What is wrong with a command, and the id that it carried, if that can be told."""

    id: Id
    code: str
    detail: str
    field: str = ""
    retry_after_ms: int = 0


_command: Final = msgspec.json.Decoder(_Command)
_ticket: Final = msgspec.json.Decoder(_Ticket)


def read_command(text: bytes) -> Command | Amiss:
    """What a client wants, or why that makes no sense."""
    found = decoded(_command, text, "invalid_command")
    if isinstance(found, Problem):
        return Amiss(None, found.code, found.detail, found.field)
    if isinstance(found.id, str) and len(found.id) > COMMAND_ID_CHARS_MAX:
        return Amiss(None, "invalid_id", f"at most {COMMAND_ID_CHARS_MAX} characters", "id")
    if not found.subscribe and not found.unsubscribe:
        detail = "nothing to subscribe to and nothing to unsubscribe from"
        return Amiss(found.id, "invalid_command", detail, "subscribe")
    for field in ("subscribe", "unsubscribe"):
        prefixes: tuple[str, ...] = getattr(found, field)
        if len(prefixes) > PREFIXES_MAX:
            return Amiss(found.id, "too_many_prefixes", f"at most {PREFIXES_MAX}", field)
        for number, prefix in enumerate(prefixes):
            wrong = unfit(prefix)
            if wrong:
                return Amiss(found.id, "invalid_prefix", wrong, f"{field}[{number}]")
    ledger = any(kind_of(prefix) == topics.LEDGER for prefix in found.subscribe)
    if found.since is not None and (found.since < 0 or not ledger):
        detail = "a number of the ledger, 0 or more, together with a subscription to `ledger`"
        return Amiss(found.id, "invalid_since", detail, "since")
    return Command(found.id, found.subscribe, found.unsubscribe, found.since)


def read_ticket(text: bytes) -> str | None:
    """The ticket that a first message says, or None."""
    found = decoded(_ticket, text, "invalid_ticket")
    return None if isinstance(found, Problem) else found.ticket


def kind_of(topic: str) -> str:
    """The first part of a topic or a prefix, with its dot; of a bare word, that word."""
    head, dot, _ = topic.partition(".")
    return head + dot if dot else topic.rstrip(" ")


def unfit(prefix: str) -> str:
    """What is wrong with a prefix; "" if nothing is."""
    if not 1 <= len(prefix) <= PREFIX_CHARS_MAX or not (prefix.isascii() and prefix.isprintable()):
        return f"1 to {PREFIX_CHARS_MAX} printable ASCII characters"
    if " " in prefix[:-1] or kind_of(prefix) not in (*BARE, *KINDS):
        return f"it has to begin with one of {' '.join((*KINDS, *BARE))}"
    if prefix[-1] == " " and prefix[-2] == ".":
        return "there is no topic of that name"
    return ""
