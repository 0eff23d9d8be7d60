"""Serving HTTP beside a core, in the same event loop."""

import contextlib
import logging
import socket
from collections.abc import Iterator

import uvicorn

from protocol.errors import ConfigError

BACKLOG = 128
HEADERS_BYTES_MAX = 16 * 1024


logging.getLogger("uvicorn").setLevel(logging.WARNING)


class Server(uvicorn.Server):
    """uvicorn without signal handlers of its own: they would end the process too early."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def listen(name: str, host: str, port: int) -> socket.socket:
    """Bind before anything is served. Raises ConfigError if the port can't be had."""
    found = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        found.bind((host, port))
        found.listen(BACKLOG)
    except OSError as e:
        found.close()
        raise ConfigError(f"{name}.port: {host}:{port}: {e.strerror}") from None
    found.setblocking(False)
    return found


def server(app: object, upgraded: object = "none") -> Server:
    """A server for one ASGI application, hardened, without an access log.

    `upgraded` makes the protocol that takes over a connection which becomes a WebSocket.
    """
    return Server(
        uvicorn.Config(
            app,  # type: ignore[arg-type]
            http="h11",  # httptools lets a header of megabytes through
            ws=upgraded,  # type: ignore[arg-type]
            h11_max_incomplete_event_size=HEADERS_BYTES_MAX,
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=1,
        )
    )


def is_local(host: str | None, port: int) -> bool:
    """Whether a Host header names this very address: a page elsewhere can't rebind to us."""
    return host in {f"{name}:{port}" for name in ("127.0.0.1", "localhost", "[::1]")}
