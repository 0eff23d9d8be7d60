"""Hosts the stream: two WebSockets, whose frames are taken off as they come."""

import asyncio
import os
import random
from urllib.parse import urlsplit

import websockets
from websockets.asyncio.client import ClientConnection, connect

from actors.stream.core import Stream
from actors.stream.link import (
    CloseSocket,
    FrameReceived,
    OpenFailed,
    OpenSocket,
    SendFrame,
    SocketClosed,
    SocketOpened,
)
from protocol.config import Settings
from protocol.errors import ConfigError
from protocol.kalshi.signing import Signer
from protocol.limits import CONNECT_MAX, FRAME_BYTES_MAX, SECOND
from protocol.machine import Effect
from protocol.pulse import Identity
from protocol.runtime.bus import Bus
from protocol.runtime.loop import Loop, wall
from protocol.runtime.process import generation, next_epoch, read_private

LOOPBACK = ("127.0.0.1", "localhost", "::1")
FRAMES_WAITING_MAX = 4_096  # then the socket is not read: backpressure, not memory
CLOSE_MAX_S = 1.0


async def serve(settings: Settings) -> int:
    """Run until asked to stop. Returns the exit code."""
    sockets = Sockets(settings)
    name = "stream"
    identity = Identity(name, next_epoch(settings.var_dir, name), os.getpid(), generation())
    bus = Bus(settings)
    bus.answer_on("stream.in")
    bus.publish_on("stream.pub")
    loop = Loop(Stream(identity, settings.stream.follow, random.Random()), bus, sockets.perform)
    sockets.loop = loop
    try:
        return await loop.run()
    finally:
        await sockets.close()


class Sockets:
    """One task per connection; the core says when to open, what to send, when to close."""

    def __init__(self, settings: Settings) -> None:
        """Raises ConfigError if the address or the key can't be used."""
        exchange = settings.exchange
        url = urlsplit(exchange.ws_url)
        if url.scheme != "wss" and not (url.scheme == "ws" and url.hostname in LOOPBACK):
            raise ConfigError(f"exchange.ws_url: {exchange.ws_url}: expected wss")
        key_file = exchange.read_key_file or exchange.key_file
        key_id = exchange.read_key_id or exchange.key_id
        self._signer = Signer(key_id, read_private(key_file), key_file)
        self._url, self._path = exchange.ws_url, url.path
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._open: dict[str, ClientConnection] = {}
        self.loop: Loop | None = None

    def perform(self, effect: Effect) -> None:
        match effect:
            case OpenSocket(link=link):
                former = self._tasks.get(link)
                if former is not None:
                    former.cancel()
                self._tasks[link] = asyncio.get_running_loop().create_task(self._live(link))
            case SendFrame(link=link, raw=raw):
                connection = self._open.get(link)
                if connection is not None:
                    sending = asyncio.get_running_loop().create_task(self._send(connection, raw))
                    self._tasks[f"{link} send {id(sending)}"] = sending
                    sending.add_done_callback(lambda t: self._forget(t))
            case CloseSocket(link=link):
                connection = self._open.pop(link, None)
                if connection is not None:
                    connection.transport.abort()
            case _:
                raise AssertionError(f"unexpected effect: {effect}")

    def _forget(self, task: "asyncio.Task[None]") -> None:
        self._tasks = {name: t for name, t in self._tasks.items() if t is not task}

    async def _send(self, connection: ClientConnection, raw: bytes) -> None:
        try:
            await connection.send(raw.decode())
        except websockets.ConnectionClosed:
            return  # the reading side says so

    async def _live(self, link: str) -> None:
        """One connection from handshake to end."""
        assert self.loop is not None
        headers = self._signer.headers(wall() // 1_000, "GET", self._path)
        try:
            connection = await connect(
                self._url,
                additional_headers=headers,
                open_timeout=CONNECT_MAX / SECOND,
                close_timeout=CLOSE_MAX_S,
                ping_interval=5,
                ping_timeout=5,
                max_size=FRAME_BYTES_MAX,
                max_queue=FRAMES_WAITING_MAX,
                compression=None,
                proxy=None,
            )
        except websockets.InvalidStatus as e:
            status = e.response.status_code
            self.loop.feed(OpenFailed(wall(), link, status, f"handshake refused: {status}"))
            return
        except (OSError, websockets.WebSocketException, TimeoutError) as e:
            reason = str(e)[:200] or type(e).__name__
            self.loop.feed(OpenFailed(wall(), link, 0, reason))
            return
        await self._read(link, connection)

    async def _read(self, link: str, connection: ClientConnection) -> None:
        assert self.loop is not None
        self._open[link] = connection
        self.loop.feed(SocketOpened(wall(), link))
        try:
            while True:
                raw = await connection.recv(decode=False)
                self.loop.feed(FrameReceived(wall(), link, raw))
        except websockets.ConnectionClosed as e:
            reason = f"closed: {e}"[:200]
        finally:
            if self._open.get(link) is connection:
                del self._open[link]
            connection.transport.abort()
        self.loop.feed(SocketClosed(wall(), link, reason))

    async def close(self) -> None:
        """End every connection without ceremony: the exchange expects no goodbye."""
        for task in list(self._tasks.values()):
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)
