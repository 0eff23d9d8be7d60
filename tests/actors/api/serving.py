"""Real sockets: a server with our WebSocket protocol in a thread, and a client that sends what it
likes, byte by byte."""

import asyncio
import base64
import os
import socket
import struct
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import uvloop

from actors.api.bodies import Problem
from actors.api.effects import Joined, Left, Pace, Said, Say
from actors.api.sockets import Sockets
from actors.api.tickets import Tickets
from protocol.machine import Cause
from protocol.runtime.http import Server, listen, server

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
TOKENS = {"Bearer one": "first", "Bearer two": "second"}
PAGE = "http://here"


class Door:
    """Lets in who carries one of two tokens; browsers with a page of ours have none yet."""

    def __init__(self) -> None:
        self.withdrawn: set[str] = set()

    def admit(
        self, path: str, headers: Sequence[tuple[bytes, bytes]], address: str
    ) -> str | Problem:
        said = dict(headers).get(b"authorization", b"").decode()
        strange = Problem(401, "unauthorized", "a bearer token is needed")
        return self.knock(path, headers, address) or TOKENS.get(said) or strange

    def knock(
        self, path: str, headers: Sequence[tuple[bytes, bytes]], address: str
    ) -> Problem | None:
        if dict(headers).get(b"origin", PAGE.encode()) != PAGE.encode():
            return Problem(403, "wrong_origin", "pages of other origins may not ask")
        return None

    def holds(self, token: str) -> bool:
        return token not in self.withdrawn


class Front:
    """What clients say comes back to them as it was, and `say` tells all of them something."""

    def __init__(self) -> None:
        self.door, self.tickets = Door(), Tickets()
        self.sockets = Sockets(self.door, self.tickets, self.feed)
        self.causes: list[Cause] = []
        self.clients: dict[int, None] = {}
        self.changed = threading.Condition()
        self.loop: asyncio.AbstractEventLoop
        self.http: Server
        self.port = 0

    def feed(self, cause: Cause) -> None:
        with self.changed:
            self.causes.append(cause)
            match cause:
                case Joined(client=id):
                    self.clients[id] = None
                case Left(client=id):
                    self.clients.pop(id, None)
                case Said(client=id, text=text):
                    self.sockets.perform(Say((id,), text))
            self.changed.notify_all()

    def wait(self, true: Callable[[], bool], seconds: float = 20) -> None:
        with self.changed:
            assert self.changed.wait_for(true, seconds), self.causes[-5:]

    def call(self, what: Callable[[], Any]) -> Any:
        """On the server's thread."""

        async def run() -> Any:
            return what()

        return asyncio.run_coroutine_threadsafe(run(), self.loop).result(20)

    def say(self, text: bytes, count: int = 1) -> None:
        def tell() -> None:
            for _ in range(count):
                self.sockets.perform(Say(tuple(self.clients), text))

        self.call(tell)

    def connections(self) -> int:
        """How many are there, those too that are being closed."""
        return self.call(lambda: len(self.http.server_state.connections))  # type: ignore[no-any-return]

    def stop(self) -> None:
        self.http.should_exit = True

    def pace(self, client: int) -> None:
        self.call(lambda: self.sockets.perform(Pace(client)))


async def _nothing(scope: object, receive: object, send: object) -> None:
    """There is no HTTP here."""


@contextmanager
def serving() -> Iterator[Front]:
    front = Front()
    listener = listen("api", "127.0.0.1", 0)
    front.port = listener.getsockname()[1]
    front.http = http = server(_nothing, ws=front.sockets.protocol)
    began = threading.Event()

    async def run() -> None:
        front.loop = asyncio.get_running_loop()
        began.set()
        await http.serve(sockets=[listener])

    def live() -> None:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(run())

    thread = threading.Thread(target=live)
    thread.start()
    began.wait(20)
    try:
        yield front
    finally:
        http.should_exit = True
        thread.join(20)


class Raw:
    """One TCP connection that speaks WebSocket, or something like it."""

    def __init__(self, front: Front, receive_bytes: int = 0) -> None:
        self.socket = socket.socket()
        if receive_bytes:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        self.socket.settimeout(20)
        self.socket.connect(("127.0.0.1", front.port))
        self._front = front
        self._bytes = b""

    def __enter__(self) -> "Raw":
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def ask(self, path: str = "/v1/ws", token: str = "Bearer one", **headers: str) -> int:
        """The handshake; returns the status."""
        key = base64.b64encode(os.urandom(16)).decode()
        said = {
            "Host": f"127.0.0.1:{self._front.port}", "Upgrade": "websocket",
            "Connection": "Upgrade", "Sec-WebSocket-Key": key, "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Extensions": "permessage-deflate",
        }  # fmt: skip
        said |= {"Authorization": token} if token else {}
        said |= {name.replace("_", "-"): value for name, value in headers.items()}
        lines = [f"GET {path} HTTP/1.1", *(f"{k}: {v}" for k, v in said.items()), "", ""]
        self.socket.sendall("\r\n".join(lines).encode())
        while b"\r\n\r\n" not in self._bytes:
            more = self.socket.recv(65_536)
            assert more, self._bytes
            self._bytes += more
        self.head, _, self._bytes = self._bytes.partition(b"\r\n\r\n")
        return int(self.head.split(b" ")[1])

    def send(self, opcode: int, data: bytes, fin: bool = True) -> None:
        self.socket.sendall(framed(opcode, data, fin))

    def take(self) -> tuple[int, bytes]:
        """The next frame; opcode 0 and nothing at the end."""
        while (found := _frame(self._bytes)) is None:
            try:
                more = self.socket.recv(65_536)
            except ConnectionResetError:
                more = b""
            if not more:
                return 0, self._bytes
            self._bytes += more
        opcode, data, length = found
        self._bytes = self._bytes[length:]
        return opcode, data

    def rest(self) -> bytes:
        """What comes until the end."""
        while more := self.socket.recv(65_536):
            self._bytes += more
        return self._bytes

    def closed(self) -> tuple[int, str]:
        """Code and reason of the close frame, whatever came before; then the end."""
        opcode, data = self.take()
        while opcode not in (CLOSE, 0):
            opcode, data = self.take()
        assert opcode == CLOSE, "cut off without a word"
        return struct.unpack("!H", data[:2])[0], data[2:].decode()


def framed(opcode: int, data: bytes, fin: bool = True, masked: bool = True) -> bytes:
    """A frame as a client sends it (RFC 6455 section 5.2)."""
    size = len(data)
    head = bytes([opcode | (0x80 if fin else 0)])
    mask = 0x80 if masked else 0
    if size < 126:
        head += bytes([mask | size])
    elif size < 65_536:
        head += bytes([mask | 126]) + struct.pack("!H", size)
    else:
        head += bytes([mask | 127]) + struct.pack("!Q", size)
    if not masked:
        return head + data
    key = os.urandom(4)
    return head + key + bytes(byte ^ key[k % 4] for k, byte in enumerate(data))


def _frame(data: bytes) -> tuple[int, bytes, int] | None:
    if len(data) < 2:
        return None
    size, start = data[1], 2
    if size >= 126:
        start += 2 if size == 126 else 8
        if len(data) < start:
            return None
        size = int.from_bytes(data[2:start], "big")
    if len(data) < start + size:
        return None
    return data[0] & 15, data[start : start + size], start + size
