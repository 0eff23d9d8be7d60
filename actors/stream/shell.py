"""Hosts the stream: two WebSocket connections to the exchange, signed, watched, never hanging."""

import asyncio
import os
import random
from collections.abc import Callable
from ipaddress import ip_address
from typing import Any, Final
from urllib.parse import urlsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException
from websockets.frames import Opcode

from actors.stream.core import (
    CloseSocket,
    FramesReceived,
    Link,
    OpenFailed,
    OpenSocket,
    PingReceived,
    SendFrame,
    SocketClosed,
    SocketOpened,
    Stream,
)
from protocol.config import Exchange, Settings
from protocol.errors import ConfigError
from protocol.kalshi.signing import Signer
from protocol.limits import CONNECT_MAX, FRAME_BYTES_MAX, SECOND
from protocol.machine import Cause, Effect
from protocol.pulse import Identity
from protocol.runtime.bus import Bus
from protocol.runtime.loop import Loop, wall
from protocol.runtime.process import generation, next_epoch, read_private

FRAMES_WAITING_MAX: Final = 1_024  # beyond it the socket is not read: TCP holds the exchange back
OUTGOING_MAX: Final = 1_000  # commands waiting to be sent
CLOSE_SECONDS_MAX: Final = 1.0  # then the transport is aborted
PING_SECONDS: Final = 5.0

Feed = Callable[[Cause], None]


async def serve(settings: Settings) -> int:
    """Run until asked to stop. Returns the exit code. Raises ConfigError on a bad key or URL."""
    url = checked(settings.exchange.ws_url)
    signer = signer_of(settings.exchange)
    identity = Identity("stream", next_epoch(settings.var_dir, "stream"), os.getpid(), generation())
    bus = Bus(settings)
    bus.publish_on("stream.pub")
    bus.answer_on("stream.in")
    bus.hear("ledger.pub", ["mark "])
    sockets = Sockets(url, signer)
    loop = Loop(Stream(identity, settings.stream.follow, random.Random()), bus, sockets.perform)
    sockets.feed = loop.feed
    try:
        return await loop.run()
    finally:
        await sockets.end()


def signer_of(exchange: Exchange) -> Signer:
    """With the read-only key where there is one: the trading key is the gateway's."""
    if exchange.read_key_id:
        path = exchange.read_key_file
        return Signer(exchange.read_key_id, read_private(path), path)
    return Signer(exchange.key_id, read_private(exchange.key_file), exchange.key_file)


def checked(url: str) -> str:
    """The URL itself. Raises ConfigError unless it is encrypted or stays on this machine."""
    parts = urlsplit(url)
    if parts.scheme == "wss" or (parts.scheme == "ws" and _is_loopback(parts.hostname or "")):
        return url
    raise ConfigError(f"exchange.ws_url is {url!r}, expected wss:// (ws:// only on this machine)")


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class Sockets:
    """Performs the stream's effects: at most one socket a link, each with a task of its own."""

    def __init__(self, url: str, signer: Signer) -> None:
        self.feed: Feed | None = None
        self._url = url
        self._signer = signer
        self._lives: dict[Link, Life] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def perform(self, effect: Effect) -> None:
        match effect:
            case OpenSocket(link=link):
                life = self._lives[link] = Life(self, link)
                life.start(self._url, self._signer)
                self._keep(life.run())
            case SendFrame(link=link, raw=raw):
                self._lives[link].send(raw)
            case CloseSocket(link=link):
                self._keep(self._lives[link].close())
            case _:
                raise AssertionError(f"unexpected effect: {effect}")

    def tell(self, life: "Life", cause: Cause) -> None:
        """Feed the core, unless the socket has been replaced by a newer one."""
        assert self.feed is not None
        if self._lives.get(life.link) is life:
            self.feed(cause)

    async def end(self) -> None:
        """Close what is still open, within CLOSE_SECONDS_MAX."""
        lives, self._lives = self._lives, {}
        await asyncio.gather(*(life.close() for life in lives.values()))
        await asyncio.gather(*self._tasks)

    def _keep(self, work: Any) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)  # the event loop itself keeps tasks only weakly
        task.add_done_callback(self._tasks.discard)


class Life:
    """One socket from its handshake to its end."""

    def __init__(self, sockets: Sockets, link: Link) -> None:
        self.link: Final[Link] = link
        self._sockets = sockets
        self._outgoing: asyncio.Queue[bytes] = asyncio.Queue(OUTGOING_MAX)
        self._socket: ClientConnection | None = None
        self._work: asyncio.Task[None]

    def start(self, url: str, signer: Signer) -> None:
        self._work = asyncio.ensure_future(self._live(url, signer))

    async def run(self) -> None:
        """Never raises: however it ends, the core is told so, once."""
        await asyncio.wait([self._work])
        if self._work.cancelled():
            self._tell(SocketClosed(wall(), self.link, "closed before it was open"))
        elif (error := self._work.exception()) is not None:
            self._tell(SocketClosed(wall(), self.link, repr(error)[:200]))

    def send(self, raw: bytes) -> None:
        self._outgoing.put_nowait(raw)

    async def close(self) -> None:
        """End it politely, then not; one that is not open yet is given up at once."""
        if self._socket is None:
            self._work.cancel()
            return
        closing = asyncio.ensure_future(self._socket.close())
        await asyncio.wait([closing], timeout=CLOSE_SECONDS_MAX)
        self._socket.transport.abort()
        await asyncio.wait([closing])

    async def _live(self, url: str, signer: Signer) -> None:
        try:
            self._socket = await self._connect(url, signer)
        except InvalidStatus as e:
            response = e.response
            text = bytes(response.body or b"")[:200].decode("utf-8", "replace")
            reason = f"HTTP {response.status_code} {text}".strip()
            self._tell(OpenFailed(wall(), self.link, response.status_code, reason))
            return
        except (OSError, TimeoutError, WebSocketException) as e:
            self._tell(OpenFailed(wall(), self.link, 0, f"{type(e).__name__}: {e}"[:200]))
            return
        self._tell(SocketOpened(wall(), self.link))
        sending = asyncio.ensure_future(self._send_all(self._socket))
        try:
            reason = await self._receive_all(self._socket)
        finally:
            sending.cancel()
            self._socket.transport.abort()
        self._tell(SocketClosed(wall(), self.link, reason))

    async def _connect(self, url: str, signer: Signer) -> ClientConnection:
        headers = signer.headers(wall() // 1_000, "GET", urlsplit(url).path)
        socket = await connect(
            url,
            additional_headers=headers,
            create_connection=Watched,
            compression=None,
            proxy=None,
            max_size=FRAME_BYTES_MAX,
            max_queue=FRAMES_WAITING_MAX,
            open_timeout=CONNECT_MAX / SECOND,
            ping_interval=PING_SECONDS,
            ping_timeout=PING_SECONDS,
            close_timeout=CLOSE_SECONDS_MAX,
        )
        assert isinstance(socket, Watched)
        socket.pinged = self._pinged
        return socket

    async def _receive_all(self, socket: ClientConnection) -> str:
        """What has already arrived is taken in one go: receiving waits only if there is nothing."""
        try:
            while True:
                raw = await socket.recv(decode=False)
                self._tell(FramesReceived(wall(), self.link, [raw]))
        except ConnectionClosed as e:
            frame = e.rcvd or e.sent
            code, text = (1006, "") if frame is None else (frame.code, frame.reason)
            return f"closed {code} {text}".strip()

    async def _send_all(self, socket: ClientConnection) -> None:
        try:
            while True:
                await socket.send(await self._outgoing.get(), text=True)
        except ConnectionClosed:
            return  # receiving says so, with its reason

    def _pinged(self) -> None:
        self._tell(PingReceived(wall(), self.link))

    def _tell(self, cause: Cause) -> None:
        self._sockets.tell(self, cause)


class Watched(ClientConnection):
    """A connection that says when the exchange pings: in a quiet market nothing else is heard."""

    pinged: Callable[[], None] | None = None

    def process_event(self, event: Any) -> None:
        super().process_event(event)
        if self.pinged is not None and getattr(event, "opcode", None) is Opcode.PING:
            self.pinged()
