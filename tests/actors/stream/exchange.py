"""An exchange that is played byte by byte, in a thread of its own: the stream can't hold it up."""

import asyncio
import base64
import hashlib
import queue
import socket
import ssl
import struct
import threading
from collections.abc import Awaitable, Callable

import uvloop
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from actors.stream.shell import Sockets
from actors.stream.wire import (
    FramesReceived,
    OpenFailed,
    OpenSocket,
    SocketClosed,
    SocketOpened,
)
from protocol.kalshi.signing import Signer
from protocol.machine import Cause

PATIENCE = 30.0
DATE = "Fri, 24 Nov 2028 02:51:35 GMT"
DATE_AT = 1_858_647_095_000_000
MAGIC = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
TEXT, CONT, BINARY, CLOSE, PING, PONG = 1, 0, 2, 8, 9, 10

_PEM = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
SIGNER = Signer("the-key", _PEM, "test")

Play = Callable[["Peer"], None]
Causes = asyncio.Queue[Cause]
Story = Callable[[Sockets, Causes], Awaitable[None]]


def frame(payload: bytes, opcode: int = TEXT, fin: bool = True) -> bytes:
    """One frame as a server sends it."""
    size = len(payload)
    first = opcode | (0x80 if fin else 0)
    if size < 126:
        return struct.pack("!BB", first, size) + payload
    if size < 65_536:
        return struct.pack("!BBH", first, 126, size) + payload
    return struct.pack("!BBQ", first, 127, size) + payload


def close(code: int, reason: str = "") -> bytes:
    return frame(struct.pack("!H", code) + reason.encode(), CLOSE)


class Peer:
    """The exchange's end of one connection."""

    def __init__(self, connection: socket.socket) -> None:
        connection.settimeout(PATIENCE)
        self._connection = connection
        self._got = b""
        self.request = b""

    def hear_request(self) -> bytes:
        while b"\r\n\r\n" not in self._got:
            self._more()
        self.request, _, self._got = self._got.partition(b"\r\n\r\n")
        return self.request

    def header(self, name: str) -> str:
        for line in self.request.decode().split("\r\n")[1:]:
            key, _, value = line.partition(": ")
            if key.lower() == name.lower():
                return value
        return ""

    def agreement(self) -> bytes:
        """The answer that makes it a WebSocket."""
        key = self.header("Sec-WebSocket-Key").encode()
        accept = base64.b64encode(hashlib.sha1(key + MAGIC).digest()).decode()
        return (
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Accept: {accept}\r\nDate: {DATE}\r\n\r\n"
        ).encode()

    def agree(self, more: bytes = b"") -> None:
        self.hear_request()
        self.send(self.agreement() + more)

    def send(self, data: bytes) -> None:
        self._connection.sendall(data)

    def hear(self) -> tuple[int, bytes]:
        """Opcode and payload of the next frame, unmasked. Raises EOFError at the end."""
        first, second = self._exactly(2)
        assert second & 0x80, "a client masks"
        size = second & 0x7F
        if size >= 126:
            size = int.from_bytes(self._exactly(2 if size == 126 else 8), "big")
        mask, payload = self._exactly(4), self._exactly(size)
        return first & 0x0F, bytes(b ^ mask[i % 4] for i, b in enumerate(payload))

    def until_closed(self) -> None:
        """Answer the other side's close as a server does, and end."""
        try:
            while (heard := self.hear())[0] != CLOSE:
                continue
            self.send(frame(heard[1], CLOSE))
        except (EOFError, ConnectionError):
            return

    def until_gone(self) -> None:
        """Read to the end of the connection, however it ends."""
        try:
            while self._connection.recv(65_536):
                continue
        except ConnectionError:
            return

    def reset(self) -> None:
        """End it as a crash does: without a word."""
        linger = struct.pack("ii", 1, 0)
        self._connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self._connection.close()

    def end(self) -> None:
        self._connection.close()

    def _exactly(self, count: int) -> bytes:
        while len(self._got) < count:
            self._more()
        found, self._got = self._got[:count], self._got[count:]
        return found

    def _more(self) -> None:
        piece = self._connection.recv(65_536)
        if not piece:
            raise EOFError
        self._got += piece


class Exchange:
    """Plays one part for each connection, in their order."""

    def __init__(self, *parts: Play, tls: ssl.SSLContext | None = None) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(PATIENCE)
        self._parts = parts
        self._tls = tls
        self._troubles: queue.SimpleQueue[BaseException] = queue.SimpleQueue()
        self.port = self._listener.getsockname()[1]
        self._threads = [
            threading.Thread(target=self._run, args=(i,), daemon=True) for i in range(len(parts))
        ]

    def __enter__(self) -> "Exchange":
        if self._threads:
            self._threads[0].start()
        return self

    def _run(self, which: int) -> None:
        try:
            connection, _ = self._listener.accept()
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if which + 1 < len(self._threads):
                self._threads[which + 1].start()
            if self._tls is not None:
                connection = self._tls.wrap_socket(connection, server_side=True)
            peer = Peer(connection)
            try:
                self._parts[which](peer)
            finally:
                peer.end()
        except BaseException as e:
            self._troubles.put(e)

    def __exit__(self, *_: object) -> None:
        for thread in self._threads:
            if thread.ident is not None:
                thread.join(PATIENCE)
        self._listener.close()

    def check(self) -> None:
        """Raise what went wrong on the exchange's side."""
        for thread in self._threads:
            thread.join(PATIENCE)
            assert not thread.is_alive()
        if not self._troubles.empty():
            raise self._troubles.get()


def run(story: Awaitable[None]) -> None:
    """On the event loop that the processes use. What is raised in its callbacks is a failure."""
    raised: list[object] = []

    async def whole() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: raised.append(context))
        await asyncio.wait_for(story, 3 * PATIENCE)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(whole())
    assert raised == []


def play(story: Story, *parts: Play, tls: ssl.SSLContext | None = None, folder: str = "") -> None:
    """Tell a story to sockets whose other ends play these parts."""

    async def whole(exchange: Exchange) -> None:
        scheme, host = ("ws", "127.0.0.1") if tls is None else ("wss", "localhost")
        url = f"{scheme}://{host}:{exchange.port}/trade-api/ws/v2"
        sockets = Sockets(url, SIGNER, folder)
        causes: Causes = asyncio.Queue()
        sockets.feed = causes.put_nowait
        try:
            await story(sockets, causes)
        finally:
            await sockets.end()

    with Exchange(*parts, tls=tls) as exchange:
        run(whole(exchange))
        exchange.check()


# What a story does with sockets


async def opened(sockets: Sockets, causes: Causes, link: str = "public") -> SocketOpened:
    sockets.perform(OpenSocket(link))
    first = await causes.get()
    assert isinstance(first, SocketOpened) and first.link == link, first
    return first


async def until_end(causes: Causes) -> list[Cause]:
    """All causes to the one that says that a socket is no more."""
    found = [await causes.get()]
    while not isinstance(found[-1], SocketClosed | OpenFailed):
        found.append(await causes.get())
    return found


def texts(causes: list[Cause]) -> list[bytes]:
    return [raw for cause in causes if isinstance(cause, FramesReceived) for raw in cause.raws]


def ended(*parts: bytes, heard: int) -> list[Cause]:
    """What the core hears of a connection on which this is sent, to its end; the close code that
    the exchange gets must be `heard`."""
    found: list[Cause] = []
    codes: list[int] = []

    def exchange(peer: Peer) -> None:
        peer.agree()
        for part in parts:
            peer.send(part)
        opcode, payload = peer.hear()
        while opcode != CLOSE:
            opcode, payload = peer.hear()
        codes.append(int.from_bytes(payload[:2], "big"))

    async def story(sockets: Sockets, causes: Causes) -> None:
        await opened(sockets, causes)
        found.extend(await until_end(causes))
        await sockets.end()
        assert causes.empty()

    play(story, exchange)
    assert codes == [heard]
    return found
