"""Where HTTP is served, for whom, and how much each may ask: settings, and what they may be."""

import re
from typing import Final

from msgspec import Struct

from protocol.errors import ConfigError
from protocol.limits import (
    FRONT_CONNECTIONS_MAX,
    LOOKS_A_SECOND_MAX,
    NAMES_MAX,
    SOCKETS_MAX,
    TRADES_A_SECOND_MAX,
)

RATE_MIN: Final = 0.1  # a second: of a token's requests
_OF_THIS_MACHINE = re.compile(r"127(?:\.[0-9]{1,3}){3}|localhost|::1", re.ASCII)
_HOST: Final = r"(?:[a-z0-9](?:[a-z0-9.\-]{0,251}[a-z0-9])?|\[[0-9a-f:.]{2,45}\])(?::[0-9]{1,5})?"
_NAME = re.compile(_HOST, re.ASCII)
_ORIGIN = re.compile(rf"[a-z][a-z0-9+.\-]{{0,30}}://{_HOST}", re.ASCII)


class Api(Struct, frozen=True, forbid_unknown_fields=True):
    """Where the HTTP and WebSocket front listens, for whom, and how much each may ask.

    What is said of "a second" is for each token by itself.
    """

    host: str = "127.0.0.1"  # beyond this machine only with TLS, or behind a proxy that speaks it
    port: int = 7601
    order_group: str = ""  # of every order over HTTP that names none; "": they are in no group
    hosts: tuple[str, ...] = ()  # further names that may stand in Host, "name" or "name:port"
    origins: tuple[str, ...] = ()  # whose pages may ask, such as "https://desk.example"
    tls_cert: str = ""  # a file: our certificate and those that vouch for it (PEM)
    tls_key: str = ""  # its key (PEM, without a password, mode 0600)
    behind_proxy: bool = False  # who reaches `host` is a proxy of ours, which speaks TLS
    connections: int = 1_024  # HTTP and WebSocket together
    sockets_a_token: int = 100  # WebSockets of one token
    looks_a_second: float = 10_000.0  # reads that are answered from what the engine knows
    asks_a_second: float = 20.0  # reads of the exchange: the account's read budget is one
    trades_a_second: float = 100.0  # orders and amends; cancels have more, halts their own


class Status(Struct, frozen=True, forbid_unknown_fields=True):
    """Where the supervisor's status page listens. It asks nobody who they are."""

    host: str = "127.0.0.1"
    port: int = 7600
    behind_proxy: bool = False  # who reaches `host` is a proxy of ours, which asks who it is


def is_loopback(host: str) -> bool:
    """Whether only programs of this machine reach what listens there."""
    return _OF_THIS_MACHINE.fullmatch(host) is not None


def reached_at(host: str, port: int) -> str:
    """How this machine's own programs reach what listens there: "host:port", as in a URL."""
    own = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(host, host)
    return f"[{own}]:{port}" if ":" in own else f"{own}:{port}"


def front_at(api: Api) -> str:
    """The front's address as this machine's own programs write it: "http://127.0.0.1:7601"."""
    return f"{'https' if api.tls_cert else 'http'}://{reached_at(api.host, api.port)}"


def check_serving(api: Api, page: Status, where: str) -> None:
    """Whether what others can reach is guarded, and all bounds make sense. Raises ConfigError."""
    if bool(api.tls_cert) != bool(api.tls_key):
        raise ConfigError(f"{where}: api.tls_cert goes with api.tls_key")
    if not (is_loopback(api.host) or api.tls_cert or api.behind_proxy):
        wanted = "expected api.tls_cert and api.tls_key, or api.behind_proxy = true"
        text = f"api.host is {api.host[:100]!r}, which others can reach: {wanted}"
        raise ConfigError(f"{where}: {text}")
    if not (is_loopback(page.host) or page.behind_proxy):
        wanted = "expected 127.0.0.1, or supervisor.behind_proxy = true"
        text = f"supervisor.host is {page.host[:100]!r}, which others can reach: {wanted}"
        raise ConfigError(f"{where}: {text}")
    _check_names(api, where)
    _check_bounds(api, where)


def _check_names(api: Api, where: str) -> None:
    for name, said, shape, form in (
        ("hosts", api.hosts, _NAME, '"name" or "name:port", in small letters'),
        ("origins", api.origins, _ORIGIN, '"https://name" or "https://name:port"'),
    ):
        if len(said) > NAMES_MAX:
            raise ConfigError(f"{where}: api.{name} has {len(said)}, expected at most {NAMES_MAX}")
        wrong = next((text for text in said if not shape.fullmatch(text)), None)
        if wrong is not None:
            raise ConfigError(f"{where}: api.{name}: {wrong[:100]!r}, expected {form}")


def _check_bounds(api: Api, where: str) -> None:
    for bound, number, most in (
        ("connections", api.connections, FRONT_CONNECTIONS_MAX),
        ("sockets_a_token", api.sockets_a_token, SOCKETS_MAX),
    ):
        if not 1 <= number <= most:
            raise ConfigError(f"{where}: api.{bound} is {number}, expected 1 to {most}")
    for name, rate, most in (
        ("looks_a_second", api.looks_a_second, LOOKS_A_SECOND_MAX),
        ("asks_a_second", api.asks_a_second, TRADES_A_SECOND_MAX),
        ("trades_a_second", api.trades_a_second, TRADES_A_SECOND_MAX),
    ):
        if not RATE_MIN <= rate <= most:
            raise ConfigError(f"{where}: api.{name} is {rate}, expected {RATE_MIN} to {most}")
