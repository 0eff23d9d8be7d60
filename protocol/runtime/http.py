"""Serving HTTP beside a core, in the same event loop."""

import asyncio
import contextlib
import functools
import logging
import resource
import socket
import ssl
from collections.abc import Iterator
from typing import Any, Final

import uvicorn

from protocol.errors import ConfigError
from protocol.limits import FILES_BESIDE, SECOND
from protocol.runtime.http_connection import Connection
from protocol.runtime.http_room import Direct, Patience, Room
from protocol.runtime.process import read_private

BACKLOG: Final = 1_024
FRAME_BYTES_MAX: Final = 64 * 1024
CONNECTIONS: Final = 256  # where no setting says how many
PING_INTERVAL_S: Final = 20.0
PATIENCE: Final = Patience()


logging.getLogger("uvicorn").setLevel(logging.WARNING)


class Server(uvicorn.Server):
    """uvicorn without signal handlers of its own, which would end the process too early, and with
    a bound for TLS handshakes, which it has no option for."""

    def __init__(
        self, config: uvicorn.Config, tls: ssl.SSLContext | None, patience: Patience
    ) -> None:
        super().__init__(config)
        self._tls = tls
        self._handshake_s = None if tls is None else patience.head / SECOND

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        assert sockets, "the port is bound first: see listen"
        loop = asyncio.get_running_loop()
        connection: Any = self.config.http_protocol_class
        state = self.server_state
        make = functools.partial(connection, config=self.config, server_state=state, app_state={})
        self.servers = [
            await loop.create_server(
                make,
                sock=listener,
                ssl=self._tls,
                backlog=BACKLOG,
                ssl_handshake_timeout=self._handshake_s,
            )
            for listener in sockets
        ]
        self.started = True


def listen(name: str, host: str, port: int) -> socket.socket:
    """Bind before anything is served. Raises ConfigError if the port can't be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio switches Nagle's delay off only where the protocol is named.
    found = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        found.bind((host, port))
        found.listen(BACKLOG)
    except OSError as e:
        found.close()
        raise ConfigError(f"{name}.port: {host}:{port}: {e.strerror}") from None
    found.setblocking(False)
    return found


def tls_context(name: str, cert: str, key: str) -> ssl.SSLContext:
    """TLS 1.2 or newer with this certificate. Raises ConfigError that names the file."""
    read_private(key)  # ours alone, as every key

    def encrypted() -> str:
        raise ConfigError(f"{name}.tls_key: {key}: the key is encrypted")

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(cert, key, password=encrypted)
    except OSError as e:  # ssl.SSLError is one
        reason = getattr(e, "reason", None) or e.strerror or "not a certificate and its key (PEM)"
        raise ConfigError(f"{name}.tls_cert: {cert}, {key}: {reason}") from None
    return context


def open_files(count: int, setting: str) -> None:
    """Have room for so many connections. Raises ConfigError if the system does not give it."""
    wanted = count + FILES_BESIDE
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    except (ValueError, OSError):
        text = f"{wanted} open files are needed, the system allows {hard} (ulimit -Hn)"
        raise ConfigError(f"{setting} is {count}: {text}") from None


def server(
    app: object,
    connections: int = CONNECTIONS,
    tls: ssl.SSLContext | None = None,
    ws: Any = "websockets-sansio",
    ping_interval_s: float = PING_INTERVAL_S,
    ping_timeout_s: float | None = PING_INTERVAL_S,
    patience: Patience = PATIENCE,
    at_once_max: int | None = None,
    direct: Direct | None = None,
) -> Server:
    """A server for one ASGI application, hardened, without an access log.

    `ws` is what uvicorn makes of a connection that is upgraded: a class of our own adds itself to
    `server_state.connections`, so that it counts and is told to stop. `at_once_max`: of more
    requests than these at once, reads of those who ask without a pause are refused. `direct` is
    asked instead of the application where the whole request is there.
    """
    make = functools.partial(Connection, room=Room(connections, patience, at_once_max, direct))
    config = uvicorn.Config(
        app,  # type: ignore[arg-type]
        interface="asgi3",
        http=make,  # type: ignore[arg-type]
        ws=ws,
        ws_max_size=FRAME_BYTES_MAX,
        ws_ping_interval=ping_interval_s,
        ws_ping_timeout=ping_timeout_s,
        ws_per_message_deflate=False,
        timeout_keep_alive=patience.idle / SECOND,  # type: ignore[arg-type]  # it takes fractions
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=1,
    )
    return Server(config, tls, patience)


def is_local(host: str | None, port: int) -> bool:
    """Whether a Host header names this very address: a page elsewhere can't rebind to us."""
    return host in {f"{name}:{port}" for name in ("127.0.0.1", "localhost", "[::1]")}
