"""The process: settings in, a served port until asked to stop."""

import asyncio
import errno
import logging
import os
import random
import signal
import socket
import struct
from itertools import chain
from typing import Any, Final

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from actors.paper import idle
from actors.paper.account import Account
from actors.paper.capture import Tape
from actors.paper.core import Core
from actors.paper.entries import LifeEntry
from actors.paper.exchange import Exchange
from actors.paper.lives import Lives
from actors.paper.signing import KeyRing
from actors.paper.store import Journal, load_tape
from actors.paper.synthetic import Synthetic
from actors.paper.web import Web, clocks
from actors.paper.wire import Answered, Happened, Line, Received, WireLog
from protocol.config import Settings
from protocol.errors import ConfigError
from protocol.runtime.http import Server, open_files, server

TICK: Final = 0.01  # seconds between two looks at the clock
PING_INTERVAL: Final = 10.0  # seconds (FACTS.md section 4.1)
CONNECTIONS: Final = 1_000  # the exchange allows a user 200 of WebSocket (FACTS.md section 4.1)

log = logging.getLogger(__name__)


class Link(WebSocketsSansIOProtocol):
    """A WebSocket connection that pings as the exchange does and takes frames in batches."""

    async def run_asgi(self) -> None:
        self.scope["state"]["link"] = self
        await super().run_asgi()

    def send_keepalive_ping(self) -> None:
        self.ping_timer = None
        if self._writable():
            self.conn.send_ping(b"heartbeat")
            self.transport.write(b"".join(self.conn.data_to_send()))
            self.schedule_ping()

    async def send_frames(self, frames: list[bytes]) -> bool:
        """Write text frames in one go and wait for room. False = the connection is over."""
        if not self._writable():
            return False
        for frame in frames:
            self.conn.send_text(frame)
        self.transport.write(b"".join(self.conn.data_to_send()))
        await self.writable.wait()
        return True

    def abort(self) -> None:
        """End the connection now, without a close frame."""
        self.transport.abort()

    def _writable(self) -> bool:
        over = self.close_sent or self.disconnected or self.transport.is_closing()
        return not over and self.conn.close_rcvd is None


async def serve(settings: Settings) -> int:
    """Run until SIGTERM or SIGINT; answers the exit code. Raises ConfigError."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await run(settings, stop)
    return 0


async def run(settings: Settings, stop: asyncio.Event) -> None:
    """Be the exchange until `stop` is set. Raises ConfigError before anything is served."""
    if not settings.paper.enabled:
        log.info("parked: the exchange is %s", settings.exchange.environment)
        await stop.wait()
        return
    keys = KeyRing(settings)
    open_files(CONNECTIONS, "the paper exchange's connections")
    listener = listen(settings.paper.host, settings.paper.port)
    try:
        journal = Journal(settings.var_dir)
        try:
            core, wire = build(settings, journal)
            await _serve(core, keys, journal, wire, listener, stop)
        finally:
            journal.close()
    finally:
        listener.close()


def build(settings: Settings, journal: Journal) -> tuple[Core, WireLog]:
    """The exchange as the journal left it, over fresh markets of the feed."""
    paper = settings.paper
    account, wire, lives = Account(paper.shards), WireLog(), Lives()

    def take(line: Line) -> None:
        match line:
            case Happened():
                for entry in line.entries:
                    if isinstance(entry, LifeEntry):
                        lives.apply(entry)
                    else:
                        account.apply(entry)
            case Received() | Answered():
                wire.apply(line)

    journal.replay(take)
    _, opened = clocks()
    dice = random.Random(os.urandom(32))  # ids must differ from those of former lives
    feed: Synthetic | Tape
    if paper.feed == "synthetic":
        feed = Synthetic(paper.seed, paper.speed)
    else:
        feed = load_tape(paper.feed, paper.damaged)
    listed = chain(feed.markets(opened), idle.markets(paper.idle_markets, opened))
    exchange = Exchange(listed, account, dice, lives)
    if isinstance(feed, Synthetic):
        feed.open(exchange)
        exchange.drain()
    exchange.close_due(opened)
    return Core(exchange, feed, paper.speed, paper.tier), wire


def listen(host: str, port: int) -> socket.socket:
    """A bound socket. Raises ConfigError in one line if the address is taken or not ours."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio switches Nagle's delay off only where the protocol is named.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(128)
    except OSError as e:
        listener.close()
        if e.errno == errno.EADDRINUSE:
            raise ConfigError(f"paper.port: {host}:{port} is in use by another program") from None
        raise ConfigError(f"paper.host: {host}:{port}: {e.strerror}") from None
    return listener


async def _serve(
    core: Core,
    keys: KeyRing,
    journal: Journal,
    wire: WireLog,
    listener: socket.socket,
    stop: asyncio.Event,
) -> None:
    web: Web
    http: Server
    web = Web(core, keys, journal, wire, lambda client, how: _cut(http, client, how))
    # What the real one does about a missing pong is not known.
    http = server(
        web.app(), CONNECTIONS, ws=Link, ping_interval_s=PING_INTERVAL, ping_timeout_s=None
    )
    serving = asyncio.create_task(http.serve(sockets=[listener]))
    ticking = asyncio.create_task(_tick(core, web))
    stopping = asyncio.create_task(stop.wait())
    log.info("serving %s on %s:%d", core.feed.source, *listener.getsockname()[:2])
    try:
        await asyncio.wait({serving, ticking, stopping}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        http.should_exit = True
        stopping.cancel()
        failure = ticking.exception() if ticking.done() else None
        ticking.cancel()
        await serving
    if failure is not None:
        raise failure


def _cut(http: Server, client: tuple[str, int], how: str) -> None:
    """End a connection: `finish` sends what waits first, `close` doesn't, `reset` is a TCP RST."""
    for connection in list(http.server_state.connections):
        found: Any = connection  # uvicorn's protocols have these two, whatever they speak
        if found.client != client:
            continue
        if how == "finish":
            found.transport.close()
            continue
        if how == "reset":
            number = found.transport.get_extra_info("socket").fileno()
            # The event loop's own socket takes no options; a duplicate is the same connection.
            with socket.socket(fileno=os.dup(number)) as same:
                same.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        found.transport.abort()


async def _tick(core: Core, web: Web) -> None:
    while True:
        web.keep(core.tick(*clocks()))
        await asyncio.sleep(0 if core.behind else TICK)
