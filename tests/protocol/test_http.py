"""What hostile clients do to an HTTP server of ours, over real sockets: each gets the right answer
or none, and the server goes on as if nothing had been."""

import asyncio
import contextlib
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from protocol.limits import (
    HEAD_BYTES_MAX,
    HEADERS_MAX,
    MS,
    TARGET_BYTES_MAX,
)
from protocol.runtime.http import listen, server
from protocol.runtime.http_connection import Patience

HURRY = Patience(head=300 * MS, body=300 * MS, answer=300 * MS, idle=300 * MS, linger=200 * MS)
LARGE = 8_000_000  # bytes of an answer: no socket's buffers hold it
Got = list[tuple[int, str]]  # the status of each answer, and its code or its text


def get(path: str = "/ok", *headers: str) -> bytes:
    lines = (f"GET {path} HTTP/1.1", "Host: here", *headers)
    return "".join(f"{line}\r\n" for line in lines).encode() + b"\r\n"


def post(body: bytes, *headers: str) -> bytes:
    return get("/ok", *headers).replace(b"GET", b"POST", 1) + body


LAST = "Connection: close"
CHUNKED = "Transfer-Encoding: chunked"


class Site:
    """A server in a thread of its own, whose application says what it was asked."""

    def __init__(self, connections: int = 64, tls: Any = None) -> None:
        self.asked: list[str] = []
        self.let_go = threading.Event()
        listener = listen("test", "127.0.0.1", 0)
        self.port: int = listener.getsockname()[1]
        self.server = server(self._app, connections, tls, patience=HURRY)
        serve = self.server.serve(sockets=[listener])
        self._thread = threading.Thread(target=lambda: asyncio.run(serve), daemon=True)
        self._thread.start()

    async def _app(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        self.asked.append(scope["path"])
        size, more = 0, scope["path"] != "/deaf"
        while more:
            message = await receive()
            if message["type"] != "http.request":
                self.asked.append("gone")
                return
            size += len(message["body"])
            more = message["more_body"]
        while scope["path"] == "/wait" and not self.let_go.is_set():
            await asyncio.sleep(0.005)
        body = b"x" * LARGE if scope["path"] == "/large" else f"{scope['path']} {size}".encode()
        if scope["path"] == "/headers":
            body = b"".join(name + b"=" + value + b";" for name, value in scope["headers"])
        length = (b"content-length", str(len(body)).encode())
        await send({"type": "http.response.start", "status": 200, "headers": [length]})
        await send({"type": "http.response.body", "body": body})

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=10)

    @property
    def connections(self) -> int:
        return len(self.server.server_state.connections)

    def close(self) -> None:
        self.let_go.set()
        self.server.should_exit = True
        self._thread.join()


@pytest.fixture
def site() -> Iterator[Site]:
    site = Site()
    try:
        yield site
        until(lambda: site.connections == 0)
        assert talk(site, get("/ok", LAST)) == [(200, "/ok 0")], "it does not serve any more"
    finally:
        site.close()


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not true():
        assert time.monotonic() < deadline
        threading.Event().wait(0.005)


def answers(connection: socket.socket) -> Got:
    """All that is answered until the other end closes."""
    data = bytearray()
    with contextlib.suppress(ConnectionResetError):
        while piece := connection.recv(1 << 20):
            data += piece
    found = []
    while data:
        head, _, rest = bytes(data).partition(b"\r\n\r\n")
        lines = head.decode().split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in lines[1:])
        status, length = int(lines[0].split()[1]), int(headers.get("content-length", 0))
        text = rest[:length].decode()
        if headers.get("content-type") == "application/problem+json":
            problem = json.loads(text)
            assert problem["status"] == status
            assert headers["connection"] == "close"
            text = problem["code"]
        found.append((status, text))
        data = bytearray(rest[length:])
    return found


def talk(site: Site, *pieces: bytes) -> Got:
    """What is answered to these bytes, until the server closes."""
    with site.connect() as connection:
        with contextlib.suppress(ConnectionResetError, BrokenPipeError):
            for piece in pieces:
                connection.sendall(piece)
        return answers(connection)


MALFORMED = [(400, "malformed_request")]
TOO_LARGE = [(431, "headers_too_large")]


@pytest.mark.parametrize(
    "name",
    WRONG := {
        "bytes that are nothing": (b"\x00\xff\xfe garbage \r\n\r\n", MALFORMED),
        "TLS where none is spoken": (
            bytes.fromhex("16030100a5010000a10303") + b"x" * 64,
            MALFORMED,
        ),
        "the preface of HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", MALFORMED),
        "HTTP of another version": (get().replace(b"1.1", b"3.7"), MALFORMED),
        "a whole URI": (get("http://evil.example/ok"), MALFORMED),
        "CONNECT": (b"CONNECT here:80 HTTP/1.1\r\nHost: here\r\n\r\n", MALFORMED),
        "all of the server": (b"OPTIONS * HTTP/1.1\r\nHost: here\r\n\r\n", MALFORMED),
        "two hosts": (get("/ok", "Host: there"), MALFORMED),
        "no host": (b"GET /ok HTTP/1.1\r\n\r\n", MALFORMED),
        "chunked and sized": (post(b"0\r\n\r\n", CHUNKED, "Content-Length: 5"), MALFORMED),
        "sized and chunked": (post(b"0\r\n\r\n", "Content-Length: 5", CHUNKED), MALFORMED),
        "chunked twice": (post(b"0\r\n\r\n", CHUNKED, CHUNKED), MALFORMED),
        "another coding": (post(b"0\r\n\r\n", "Transfer-Encoding: gzip, chunked"), MALFORMED),
        "nearly chunked": (post(b"0\r\n\r\n", "Transfer-Encoding: xchunked"), MALFORMED),
        "two sizes": (post(b"abcde", "Content-Length: 5", "Content-Length: 5"), MALFORMED),
        "a list of sizes": (post(b"abcde", "Content-Length: 5, 5"), MALFORMED),
        "a size below nothing": (post(b"", "Content-Length: -1"), MALFORMED),
        "a size with a sign": (post(b"abcde", "Content-Length: +5"), MALFORMED),
        "a size beyond counting": (post(b"", "Content-Length: 99999999999999999999"), MALFORMED),
        "no size of a chunk": (post(b"zz\r\n", CHUNKED), MALFORMED),
        "a space before the colon": (get("/ok", "X-Odd : 1"), MALFORMED),
        "a header over two lines": (get("/ok", "X-Odd: 1\r\n 2"), MALFORMED),
        "a zero byte": (get("/ok", "X-Odd: \x00"), MALFORMED),
        "letters that are none": (get("/\u00e9"), MALFORMED),
        "a line without end": (b"GET /" + b"a" * 200_000, [(414, "target_too_long")]),
        "a long line": (get("/" + "a" * TARGET_BYTES_MAX), [(414, "target_too_long")]),
        "many headers": (get("/ok", *["A: b"] * HEADERS_MAX), TOO_LARGE),
        "a large header": (get("/ok", "A: " + "b" * HEAD_BYTES_MAX), TOO_LARGE),
        "5 MB of header": (get("/ok", "A: " + "b" * 5_000_000), TOO_LARGE),
        "5 MB of name": (get("/ok", "b" * 5_000_000 + ": A"), TOO_LARGE),
        "5 MB of headers": (get("/ok", *["A: " + "b" * 90] * 50_000), TOO_LARGE),
        "headers without end": (get("/ok")[:-2] + b"A: b\r\n" * 100_000, TOO_LARGE),
        "a header without end": (get("/ok")[:-2] + b"A: " + b"b" * 1_000_000, TOO_LARGE),
        "empty lines without end": (b"\r\n" * 20 + b"GET", [(408, "request_timeout")]),
    },
)
def test_what_is_no_request_is_told_so_and_cut(site: Site, name: str) -> None:
    said, got = WRONG[name]
    assert talk(site, said) == got
    assert site.asked == []
