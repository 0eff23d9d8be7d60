"""Arming: whether an order may leave for the real exchange. Decided here and nowhere else.

Four things must hold at once: the settings say so, the key was registered as one of the real
exchange, the host is the real exchange's, and somebody has armed this very boot of the engine. A
boot has a random name (`protocol/runtime/process.py`), and an arming names the boot it was made
for: "newer than the boot" then needs no comparison of clocks.
"""

from typing import Final, Literal, TypeVar
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct

from protocol.config import REST_HOSTS, Exchange
from protocol.errors import RemoteProtocolError
from protocol.latch import moment
from protocol.limits import ARMING_MAX, US

T = TypeVar("T")

REGISTER: Final = "run `sidecar register-key --live`"
ARM: Final = "run `sidecar arm`"


class Moment(Struct, frozen=True):
    """Now, by two clocks, in microseconds: the wall's, which can be set, and one that only runs
    on, in sleep, too, from the start of the machine."""

    wall: int
    steady: int


class Registration(Struct, frozen=True, forbid_unknown_fields=True):
    """For which exchange somebody has said that a key is. `at` is the wall clock's."""

    key_id: str
    environment: Literal["live", "demo"]
    at: int


class Arming(Struct, frozen=True, forbid_unknown_fields=True):
    """Leave to send orders, for one key, during one boot, for some time. Microseconds."""

    key_id: str
    boot: str
    at: int  # of the wall clock, as `until`
    until: int
    since: int  # of the steady clock, as `ends`
    ends: int


class Unread(Struct, frozen=True):
    """There is a file, and it does not say what it should: it counts for nothing."""

    why: str


class Live(Struct, frozen=True):
    """How it stands with orders for the real exchange."""

    why: str  # none may leave; "" if they may
    until: int = 0  # then: so long, microseconds since the Unix epoch


def is_real(exchange: Exchange) -> bool:
    """Whether orders would go to the real exchange, by the settings' word or by the host."""
    return exchange.environment == "live" or _host(exchange) in REST_HOSTS["live"]


def why_not(
    exchange: Exchange,
    key: Registration | Unread | None,
    arming: Arming | Unread | None,
    boot: str,
    now: Moment,
) -> str:
    """All that keeps an order from leaving for the real exchange; "" if nothing does."""
    missing = [
        ""
        if exchange.environment == "live"
        else f'the settings say environment "{exchange.environment}", not "live"',
        wrong_key(exchange.key_id, key),
        ""
        if _host(exchange) in REST_HOSTS["live"]
        else f"{_host(exchange)[:100]!r} is no host of the real exchange",
        _wrong_arming(exchange.key_id, arming, boot, now),
    ]
    return "; ".join(text for text in missing if text)


def wrong_key(key_id: str, key: Registration | Unread | None) -> str:
    """Why the key may not sign orders for the real exchange; "" if it may."""
    match key:
        case None:
            return f"the key is not registered: {REGISTER}"
        case Unread(why=why):
            return f"the key's registration can't be read: {why}: {REGISTER}"
    if not key_id or key.key_id != key_id:
        return f"another key is registered than the settings name: {REGISTER}"
    if key.environment != "live":
        return f"the key is registered for the {key.environment} exchange"
    return ""


def _wrong_arming(key_id: str, arming: Arming | Unread | None, boot: str, now: Moment) -> str:
    match arming:
        case None:
            return f"not armed: {ARM}"
        case Unread(why=why):
            return f"not armed, the arming can't be read: {why}: {ARM}"
    if arming.key_id != key_id:
        return f"not armed, the arming is for another key: {ARM}"
    if not boot or arming.boot != boot:
        return f"not armed, the arming is older than this start of the engine: {ARM}"
    if max(arming.until - arming.at, arming.ends - arming.since) > ARMING_MAX // US:
        return f"not armed, the arming is for longer than may be: {ARM}"
    if now.wall < arming.at or now.steady < arming.since:
        return f"not armed, the clock says a time before the arming: {ARM}"
    if now.wall >= arming.until or now.steady >= arming.ends:
        return f"not armed, the arming has ended ({moment(arming.until)}): {ARM}"
    return ""


def decode_registration(raw: bytes) -> Registration:
    """What a file says. Raises RemoteProtocolError, and never anything else."""
    return _decoded(raw, Registration)


def decode_arming(raw: bytes) -> Arming:
    """What a file says. Raises RemoteProtocolError, and never anything else."""
    return _decoded(raw, Arming)


def _decoded(raw: bytes, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(raw, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as e:
        raise RemoteProtocolError(f"{e}") from None


def encode(told: Registration | Arming) -> bytes:
    """A file's content."""
    return msgspec.json.encode(told) + b"\n"


def _host(exchange: Exchange) -> str:
    try:
        return urlsplit(exchange.rest_url).hostname or ""
    except ValueError:
        return ""
