"""What hostile clients do to an HTTP server of ours, over real sockets: each gets the right answer
or none, and the server goes on as if nothing had been."""

import asyncio
import contextlib
import json
import resource
import socket
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest
import uvloop

from protocol.http import Answer
from protocol.limits import (
    HEAD_BYTES_MAX,
    HEADERS_MAX,
    MS,
    OVERFLOW_MAX,
    PIPELINED_MAX,
    TARGET_BYTES_MAX,
)
from protocol.runtime.http import listen, server, tls_context
from protocol.runtime.http_room import Patience
from tests.protocol.certificates import certificate

UNHURRIED = Patience(answer=600 * MS, idle=300 * MS)  # busy machines stand still for a while
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

    def __init__(
        self,
        connections: int = 64,
        tls: Any = None,
        patience: Patience = HURRY,
        at_once_max: int | None = None,
        direct: bool = False,
    ) -> None:
        """`direct`: what is there as a whole is answered without a task, but /wait."""
        self.asked: list[str] = []
        self.let_go = threading.Event()
        self.held = threading.Event()
        listener = listen("test", "127.0.0.1", 0)
        self.port: int = listener.getsockname()[1]
        bounds: Any = {"patience": patience, "at_once_max": at_once_max}
        if direct:
            bounds["direct"] = self._direct
        self.server = server(self._app, connections, tls, **bounds)
        serve = self.server.serve(sockets=[listener])
        runner = asyncio.Runner(loop_factory=uvloop.new_event_loop)  # as the processes do
        self._thread = threading.Thread(target=lambda: self._run(runner, serve), daemon=True)
        self._thread.start()

    @staticmethod
    def _run(runner: asyncio.Runner, serve: Coroutine[Any, Any, None]) -> None:
        with runner:
            runner.run(serve)

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
        status, headers, body = self._answer(scope, size)
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    def _direct(self, scope: dict[str, Any], body: bytes) -> Any:
        if scope["path"] == "/wait":
            return self._app
        self.asked.append(scope["path"])
        if scope["path"] == "/fail":
            raise RuntimeError("it is broken")
        return self._answer(scope, len(body))

    def _answer(self, scope: dict[str, Any], size: int) -> Answer:
        path = scope["path"]
        if path == "/hold":  # the loop does not turn meanwhile
            self.held.set()
            self.let_go.wait(10)
        body = b"x" * LARGE if path == "/large" else f"{path} {size}".encode()
        if path == "/headers":
            body = b"".join(name + b"=" + value + b";" for name, value in scope["headers"])
        return Answer(200, [(b"content-length", str(len(body)).encode())], body)

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=10)

    @property
    def connections(self) -> int:
        return len(self.server.server_state.connections)

    def close(self) -> None:
        self.let_go.set()
        self.server.should_exit = True
        self._thread.join()


@pytest.fixture(params=[False, True], ids=["task", "direct"])
def site(request: pytest.FixtureRequest) -> Iterator[Site]:
    site = Site(direct=request.param)
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


def through(connection: socket.socket, end: bytes) -> bytes:
    """What comes until it ends so."""
    data = b""
    while not data.endswith(end):
        piece = connection.recv(1_000)
        assert piece, data
        data += piece
    return data


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


def drip(connection: socket.socket, data: bytes) -> Got:
    """Send byte by byte, until the other end has had enough."""
    connection.settimeout(0.02)
    for place in range(len(data)):
        try:
            connection.sendall(data[place : place + 1])
            if connection.recv(1, socket.MSG_PEEK):
                break
        except (TimeoutError, BrokenPipeError):
            continue
    connection.settimeout(10)
    return answers(connection)


def test_a_head_that_drips_is_given_up_and_so_is_a_body(site: Site) -> None:
    with site.connect() as connection:
        assert drip(connection, get("/ok", "X-Long: " + "a" * 5_000)) == [(408, "request_timeout")]
    assert site.asked == []
    with site.connect() as connection:
        connection.sendall(post(b"", "Content-Length: 5000"))
        assert drip(connection, b"a" * 5_000) == [(408, "request_timeout")]
    with site.connect() as connection:
        connection.sendall(post(b"", CHUNKED))
        assert drip(connection, b"1\r\na\r\n" * 5_000) == [(408, "request_timeout")]
    until(lambda: site.asked == ["/ok", "gone"] * 2)


def test_whoever_says_nothing_is_left_without_a_word(site: Site) -> None:
    assert talk(site, b"") == []
    assert talk(site, get()) == [(200, "/ok 0")], "its connection was kept, and then let go"
    assert talk(site, get(), b"\r\n") == [(200, "/ok 0")]


def test_a_body_without_end_that_nobody_reads_is_cut(site: Site) -> None:
    begun = time.monotonic()
    endless = (b"10000\r\n" + b"a" * 65_536 + b"\r\n" for _ in range(10_000))
    with site.connect() as connection:
        connection.sendall(post(b"", CHUNKED).replace(b"/ok", b"/deaf"))
        with contextlib.suppress(ConnectionResetError, BrokenPipeError):
            for piece in endless:
                connection.sendall(piece)
        assert time.monotonic() - begun < 8
    with site.connect() as connection:
        connection.sendall(post(b"", CHUNKED).replace(b"/ok", b"/deaf"))
        assert answers(connection) == [(200, "/deaf 0")]


def test_a_small_body_that_comes_late_costs_no_connection(site: Site) -> None:
    with site.connect() as connection:
        connection.sendall(post(b"", "Content-Length: 5").replace(b"/ok", b"/deaf"))
        assert through(connection, b"/deaf 0")
        connection.sendall(b"abcde" + post(b"abc", "Content-Length: 3", LAST))
        assert answers(connection) == [(200, "/ok 3")]


def test_requests_in_one_packet_are_answered_in_their_order(site: Site) -> None:
    several = [get(f"/{number}") for number in range(PIPELINED_MAX)]
    got = talk(site, b"".join(several) + get("/last", LAST))
    assert got == [(200, f"/{number} 0") for number in range(PIPELINED_MAX)] + [(200, "/last 0")]


def test_of_very_many_in_one_packet_some_are_answered_and_the_rest_is_not_read(site: Site) -> None:
    got = talk(site, get() * 5_000)
    assert got == [(200, "/ok 0")] * (PIPELINED_MAX + 1)
    assert len(site.asked) == PIPELINED_MAX + 1


@pytest.mark.parametrize(
    "rubbish",
    [
        b"rubbish\r\n\r\n",
        get("http://evil.example/"),
        get("/", "A: " + "b" * 20_000),
        get("/") + b"x",
    ],
    ids=["garbage", "absolute", "large", "half"],
)
def test_rubbish_behind_a_request_takes_nothing_from_it(site: Site, rubbish: bytes) -> None:
    """Nor is it answered in its place: the answers would be taken for one another's."""
    with site.connect() as connection:
        connection.sendall(get("/wait") + rubbish)
        until(lambda: site.asked == ["/wait"])
        site.let_go.set()
        got = answers(connection)
    assert got[0] == (200, "/wait 0")
    assert [status for status, _ in got[1:]] in ([], [200], [200, 400], [200, 408])


def test_what_comes_behind_a_body_is_no_header(site: Site) -> None:
    said = post(b"0\r\nX-Admin: yes\r\n\r\n", CHUNKED, LAST).replace(b"/ok", b"/headers")
    ((status, text),) = talk(site, said)
    assert status == 200
    assert "x-admin" not in text
    many = b"".join(b"X-%d: yes\r\n" % number for number in range(HEADERS_MAX))
    assert talk(site, post(b"0\r\n" + many + b"\r\n", CHUNKED)) == TOO_LARGE


def test_another_protocol_is_not_spoken(site: Site) -> None:
    plain = get("/ok", "Connection: Upgrade", "Upgrade: h2c")
    assert talk(site, plain) == [(200, "/ok 0")]
    handshake = (
        "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    )  # fmt: skip
    assert talk(site, get("/ws", *handshake) + b"\x81\x01a") == MALFORMED
    with site.connect() as connection:
        connection.sendall(get("/wait") + get("/ws", *handshake))
        until(lambda: site.asked[-1] == "/wait")
        site.let_go.set()
        assert answers(connection) == [(200, "/wait 0")]


def test_above_the_bound_a_connection_is_told_so_and_nobody_else_feels_it() -> None:
    site = Site(connections=3)
    with contextlib.ExitStack() as at_the_end:
        at_the_end.callback(site.close)
        kept = [at_the_end.enter_context(site.connect()) for _ in range(3)]
        for connection in kept:
            connection.sendall(get("/wait"))
        until(lambda: site.asked == ["/wait"] * 3)
        assert talk(site, get()) == [(503, "too_many_connections")]
        crowd = [at_the_end.enter_context(site.connect()) for _ in range(OVERFLOW_MAX * 2)]
        got = [answers(connection) for connection in crowd]
        assert set(map(tuple, got)) <= {((503, "too_many_connections"),), ()}
        site.let_go.set()
        for connection in kept:
            assert through(connection, b"/wait 0")
            connection.close()
        for connection in crowd:
            connection.close()
        until(lambda: site.connections == 0)
        assert talk(site, get("/ok", LAST)) == [(200, "/ok 0")]


@pytest.mark.parametrize("header", ["X-Kept: yes", LAST])
def test_whoever_does_not_take_its_answer_is_cut(site: Site, header: str) -> None:
    with site.connect() as connection:
        connection.sendall(get("/large", header))
        until(lambda: site.asked == ["/large"])
        until(lambda: site.connections == 0)


@pytest.mark.parametrize(
    "behind", [get("/ok"), get("/ok") * 5, post(b"", "Content-Length: 5"), b"GE"]
)
def test_nor_does_it_help_to_ask_for_more_meanwhile(site: Site, behind: bytes) -> None:
    with site.connect() as connection:
        connection.sendall(get("/large") + behind)
        until(lambda: site.asked[:1] == ["/large"])
        until(lambda: site.connections == 0)


@pytest.mark.parametrize("header", ["X-Kept: yes", LAST])
@pytest.mark.parametrize("direct", [False, True], ids=["task", "direct"])
def test_whoever_takes_its_answer_slowly_gets_all_of_it(direct: bool, header: str) -> None:
    """It takes many times as long as one may that takes nothing, and so little at a time that the
    system, which keeps a few megabytes of it, asks us for no more for longer than that.
    """
    site = Site(patience=UNHURRIED, direct=direct)
    try:
        with site.connect() as connection:
            connection.sendall(get("/large", header) + get("/ok", LAST))
            taken = 0
            while piece := connection.recv(LARGE // 120):
                taken += len(piece)
                threading.Event().wait(0.06)
        assert taken > LARGE + (0 if header == LAST else 100)
    finally:
        site.close()


def test_what_hostile_clients_send_is_nowhere_kept() -> None:
    """5 MB of header from 40 clients at once, five times over."""
    site = Site()
    try:
        large = get("/ok", "A: " + "b" * 5_000_000)
        assert talk(site, large) == TOO_LARGE
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for _ in range(5):
            crowd = [site.connect() for _ in range(40)]
            for connection in crowd:
                connection.settimeout(0.001)
                with contextlib.suppress(OSError):
                    connection.sendall(large)
            for connection in crowd:
                connection.close()
        until(lambda: site.connections == 0)
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        assert grown < 8 * 1024, "KiB"
    finally:
        site.close()


def test_a_tls_handshake_that_does_not_come_is_given_up(tmp_path: Path) -> None:
    site = Site(tls=tls_context("test", *certificate(tmp_path)))
    with contextlib.closing(site), site.connect() as silent, site.connect() as slow:
        slow.sendall(bytes.fromhex("16030100a5010000a10303"))
        for connection in (silent, slow):
            with contextlib.suppress(ConnectionResetError):
                assert connection.recv(100) == b""
        assert site.asked == []


def test_a_stop_waits_for_who_is_being_answered() -> None:
    site = Site()
    with contextlib.closing(site), site.connect() as idle, site.connect() as busy:
        busy.sendall(get("/wait"))
        until(lambda: site.asked == ["/wait"])
        site.server.should_exit = True
        assert answers(idle) == []
        site.let_go.set()
        assert answers(busy) == [(200, "/wait 0")]
