"""Settings: TOML and environment in, one frozen tree out. An unknown key is an error.

Every field has its meaning and unit beside it. Paths are relative to the folder that the
processes are started in (the project's root, for honcho). A variable `SIDECAR_<SECTION>_<KEY>`
overrides `[section] key`, so `SIDECAR_PAPER_SPEED=200` overrides `[paper] speed`.
"""

import math
import re
import tomllib
from collections.abc import Mapping
from types import UnionType
from typing import Any, Literal, get_args

import msgspec
from msgspec import Struct
from msgspec.structs import fields

from protocol import brakes, wishes
from protocol.brakes import Brakes
from protocol.errors import ConfigError
from protocol.kalshi.parameters import GROUP_ID
from protocol.limits import (
    CONNECTIONS_MAX,
    KEEP_BYTES_MAX,
    KEEP_BYTES_MIN,
    KEEP_DAYS_MAX,
    TICKERS_A_CONNECTION_MAX,
    WISHES_MAX,
)
from protocol.serving import Api, Status, check_serving
from protocol.units import Count, Money, Price, decode_unit

PREFIX = "SIDECAR_"
RESERVED = frozenset({"SIDECAR_CONFIG", "SIDECAR_BIN", "SIDECAR_LOCK_FD", "SIDECAR_GENERATION"})
IPC_PATH_BYTES_MAX = 107  # zmq_ipc(7): the kernel's sockaddr_un leaves room for no more

# Where the exchange may be (FACTS.md section 1). Whole addresses: what is not one of them to the
# letter goes nowhere, so no two readings of an address can differ. Keys, and orders with real
# money, follow these and nothing else.
REST_PATH = "/trade-api/v2"
WS_PATH = "/trade-api/ws/v2"
REST_HOSTS = {
    "live": ("external-api.kalshi.com", "api.elections.kalshi.com"),
    "demo": ("external-api.demo.kalshi.co", "demo-api.kalshi.co"),
}
WS_HOSTS = {
    "live": ("external-api-ws.kalshi.com", "api.elections.kalshi.com"),
    "demo": ("external-api-ws.demo.kalshi.co", "demo-api.kalshi.co"),
}
_WRITTEN = frozenset({str, Count, Money, Price})  # taken from the environment as they stand
_LOOPBACK = r"(?:127\.0\.0\.1|localhost|\[::1\])(?::[0-9]{1,5})?"


class Exchange(Struct, frozen=True, forbid_unknown_fields=True):
    """Where the exchange is, and who we are there."""

    environment: str  # "paper", "demo" or "live"
    rest_url: str  # up to and including /trade-api/v2
    ws_url: str  # up to and including /trade-api/ws/v2
    key_id: str  # of the key that may trade: the gateway's alone
    key_file: str  # its PEM (RSA or Ed25519), mode 0600
    read_key_id: str = ""  # of a read-only key for the stream; "" = use key_id
    read_key_file: str = ""


class Stream(Struct, frozen=True, forbid_unknown_fields=True):
    """Which markets to follow, and over how many connections.

    The exchange allows 200 connections to a user, its demo 10 (FACTS.md section 4.1); private
    channels have one of their own beside these.
    """

    follow: tuple[str, ...]  # tickers, "series:KX…", "event:KX…", "*", "trade:*", "ticker:*"
    connections: int = 8  # for market data, at most
    tickers_a_connection: int = 2_500  # then the next connection is opened, while there is one


class Writer(Struct, frozen=True, forbid_unknown_fields=True):
    """Whether trades and quotes are kept beside the ledger, in `market.db`."""

    keep_market_days: float = 0  # how long; 0: not at all
    keep_market_bytes: int = 4 * 1024**3  # what the file and its log may take; the oldest go first


PaperTier = Literal["basic", "advanced", "expert", "premier", "paragon", "prime", "prestige"]
SHARD_MAX = 15  # of the paper exchange
IDLE_MARKETS_MAX = 200_000


class Paper(Struct, frozen=True, forbid_unknown_fields=True):
    """The exchange of our own. In demo and live it is not enabled, and its process parks."""

    enabled: bool = False
    host: str = "127.0.0.1"
    port: int = 7602
    feed: str = "synthetic"  # or the path of a capture (.jsonl, .jsonl.gz) or a recording
    speed: float = 1.0  # how many times faster than recorded a capture is played
    seed: int = 1  # of the synthetic markets
    tier: PaperTier = "advanced"  # whose rate budget the account has
    shards: dict[str, int] = {}  # exchange_index by series, such as {KXBTCD = 2}; 0 if not named
    idle_markets: int = 0  # so many more markets, in which nothing happens
    damaged: bool = False  # play a recording that is damaged: what can't be read is a hole


class Settings(Struct, frozen=True, forbid_unknown_fields=True):
    """All that a process may be told from outside."""

    profile: str
    run_dir: str  # volatile: sockets, locks, the runners' files
    var_dir: str  # lasting: ledger, halt latch, epochs, keys, tokens
    exchange: Exchange
    stream: Stream
    api: Api = Api()
    supervisor: Status = Status()
    paper: Paper = Paper()
    writer: Writer = Writer()
    brakes: Brakes = Brakes()

    @property
    def bus_dir(self) -> str:
        return f"{self.run_dir}/bus"

    def endpoint(self, name: str) -> str:
        """The ZeroMQ address of a named socket, such as `stream.pub` or `writer.in`."""
        return f"ipc://{self.bus_dir}/{name}"


def read(text: str, environment: Mapping[str, str], where: str) -> Settings:
    """Settings from the text of a TOML file and the environment's overrides.

    `where` names the file in errors. Raises ConfigError, and never anything else.
    """
    try:
        tree = tomllib.loads(text)
    except tomllib.TOMLDecodeError as e:
        raise ConfigError(f"{where}: {e}") from None
    _override(tree, environment)
    try:
        settings = msgspec.convert(tree, Settings, dec_hook=decode_unit)
    except msgspec.ValidationError as e:
        raise ConfigError(f"{where}: {e}") from None
    _check(settings, where)
    return settings


def _override(tree: dict[str, Any], environment: Mapping[str, str]) -> None:
    sections: dict[str, type[Struct]] = {
        "EXCHANGE": Exchange,
        "STREAM": Stream,
        "API": Api,
        "SUPERVISOR": Status,
        "PAPER": Paper,
        "WRITER": Writer,
        "BRAKES": Brakes,
    }
    for name in sorted(environment):
        if not name.startswith(PREFIX) or name in RESERVED:
            continue
        section, _, key = name.removeprefix(PREFIX).partition("_")
        shape = sections.get(section)
        types = {} if shape is None else {f.name: f.type for f in fields(shape)}
        if key.lower() not in types:
            raise ConfigError(f"environment: {name} is not the name of a setting")
        value: Any = environment[name]
        kind = types[key.lower()]
        kinds = get_args(kind) if isinstance(kind, UnionType) else (kind,)
        if _WRITTEN.isdisjoint(kinds):
            try:
                value = _parse(value)
            except tomllib.TOMLDecodeError:
                raise ConfigError(f"environment: {name}={value!r} is not a TOML value") from None
        tree.setdefault(section.lower(), {})[key.lower()] = value


def _parse(value: str) -> Any:
    return tomllib.loads(f"value = {value}")["value"]


def check_exchange(exchange: Exchange, where: str) -> None:
    """Whether the addresses are the exchange's, of that environment. Raises ConfigError.

    Real and demo exchange: the known hosts, encrypted. Paper: this machine and no other.
    """
    environment = exchange.environment
    if environment not in ("paper", "demo", "live"):
        raise ConfigError(
            f'{where}: exchange.environment is {environment!r}, expected "paper", "demo" or "live"'
        )
    for name, url, scheme, hosts, path in (
        ("rest_url", exchange.rest_url, "http", REST_HOSTS, REST_PATH),
        ("ws_url", exchange.ws_url, "ws", WS_HOSTS, WS_PATH),
    ):
        if environment == "paper":
            known = re.fullmatch(f"{scheme}s?://{_LOOPBACK}{path}", url, re.ASCII) is not None
            wanted = f"{scheme}://127.0.0.1:PORT{path}"
        else:
            allowed = [f"{scheme}s://{host}{path}" for host in hosts[environment]]
            known, wanted = url in allowed, " or ".join(allowed)
        if not known:
            said = f"exchange.{name} is {url[:200]!r}, expected {wanted}"
            raise ConfigError(f'{where}: {said} in environment "{environment}"')


def _check_stream(stream: Stream, where: str) -> None:
    if len(stream.follow) > WISHES_MAX:
        text = f"stream.follow has {len(stream.follow)} wishes, expected at most {WISHES_MAX}"
        raise ConfigError(f"{where}: {text}")
    wrong = wishes.first_unfit(stream.follow)
    if wrong:
        raise ConfigError(f"{where}: stream.follow: {wrong}")
    for name, number, most in (
        ("connections", stream.connections, CONNECTIONS_MAX),
        ("tickers_a_connection", stream.tickers_a_connection, TICKERS_A_CONNECTION_MAX),
    ):
        if not 1 <= number <= most:
            raise ConfigError(f"{where}: stream.{name} is {number}, expected 1 to {most}")


def _check(settings: Settings, where: str) -> None:
    check_exchange(settings.exchange, where)
    _check_stream(settings.stream, where)
    check_serving(settings.api, settings.supervisor, where)
    brakes.limits(settings.brakes, settings.exchange.environment == "live", where)
    if settings.paper.enabled != (settings.exchange.environment == "paper"):
        raise ConfigError(f'{where}: paper.enabled goes with exchange.environment = "paper"')
    for section, port in (
        ("api", settings.api.port),
        ("supervisor", settings.supervisor.port),
        ("paper", settings.paper.port),
    ):
        if not 1 <= port <= 65535:
            raise ConfigError(f"{where}: {section}.port is {port}, expected 1 to 65535")
    if not 0 < (speed := settings.paper.speed) < math.inf:
        raise ConfigError(f"{where}: paper.speed is {speed}, expected more than 0, and finite")
    if not 0 <= settings.paper.idle_markets <= IDLE_MARKETS_MAX:
        raise ConfigError(
            f"{where}: paper.idle_markets is {settings.paper.idle_markets}, "
            f"expected 0 to {IDLE_MARKETS_MAX}"
        )
    for series, shard in settings.paper.shards.items():
        if not 0 <= shard <= SHARD_MAX:
            raise ConfigError(
                f"{where}: paper.shards.{series} is {shard}, expected 0 to {SHARD_MAX}"
            )
    if settings.api.order_group and not GROUP_ID.fits(settings.api.order_group):
        said = f"api.order_group is {settings.api.order_group[:100]!r}, expected {GROUP_ID.rule}"
        raise ConfigError(f"{where}: {said}")
    kept = settings.writer
    if not 0 <= kept.keep_market_days <= KEEP_DAYS_MAX:
        raise ConfigError(
            f"{where}: writer.keep_market_days is {kept.keep_market_days}, "
            f"expected 0 (off) to {KEEP_DAYS_MAX}"
        )
    if not KEEP_BYTES_MIN <= kept.keep_market_bytes <= KEEP_BYTES_MAX:
        raise ConfigError(
            f"{where}: writer.keep_market_bytes is {kept.keep_market_bytes}, "
            f"expected {KEEP_BYTES_MIN} to {KEEP_BYTES_MAX}"
        )
    longest = f"{settings.bus_dir}/rehydrator.in"
    if len(longest.encode()) > IPC_PATH_BYTES_MAX:
        raise ConfigError(
            f"{where}: run_dir is too long: {longest} has {len(longest.encode())} bytes, "
            f"a socket's path may have {IPC_PATH_BYTES_MAX}"
        )
