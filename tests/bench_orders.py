"""The road of an order: from a client's POST to the first byte on the wire to the exchange.

A forwarder between the gateway and the paper exchange writes down when bytes of a call arrive
there, and passes them on. Called by `make bench`; alone, `python -m tests.bench_orders` prints
only these rows.
"""

import gc
import itertools
import json
import re
import selectors
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import requests
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa

from protocol.config import read
from protocol.kalshi.signing import Signer
from tests.bench_ledger import row, show
from tests.engine.running import ROOT, Engine

ORDERS: Final = 300
WARM_UP: Final = 20
ORDER_EVERY_S: Final = 0.05  # slower than the account's budget, which is not what is measured
CANCELS: Final = 150
CANCEL_EVERY_S: Final = 0.07
FLOOD: Final = 300  # orders that wait at once, ten times what a second's budget lets out
SIGNATURES: Final = 300
ORDERS_PATH = "/trade-api/v2/portfolio/events/orders"
HEAD = re.compile(rb"(GET|POST|DELETE) (\S+) HTTP/1\.1\r\n")
ID = re.compile(rb'"client_order_id": ?"([^"]+)"')


def forward(target: int) -> None:
    """Pass bytes on, both ways; at the end of stdin, print when each order call arrived."""
    gc.disable()
    server = socket.create_server(("127.0.0.1", 0))
    print(server.getsockname()[1], flush=True)
    waiting = selectors.DefaultSelector()
    waiting.register(sys.stdin, selectors.EVENT_READ)
    waiting.register(server, selectors.EVENT_READ)
    other: dict[socket.socket, socket.socket] = {}
    notes: dict[socket.socket, list[tuple[int, bytes]]] = {}
    while True:
        for key, _ in waiting.select():
            if key.fileobj is sys.stdin:
                json.dump(arrivals(list(notes.values())), sys.stdout)
                return
            if key.fileobj is server:
                near, _ = server.accept()
                try:
                    far = socket.create_connection(("127.0.0.1", target))
                except OSError:  # it does not listen yet
                    near.close()
                    continue
                other[near], other[far], notes[near] = far, near, []
                for one in (near, far):
                    one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    waiting.register(one, selectors.EVENT_READ)
                continue
            source = key.fileobj
            assert isinstance(source, socket.socket)
            at, data = pass_on(source, other[source])
            if source in notes:
                notes[source].append((at, data))
            if not data:
                for one in (source, other[source]):
                    waiting.unregister(one)
                    one.close()


def pass_on(source: socket.socket, sink: socket.socket) -> tuple[int, bytes]:
    """What has come, and when (ns); nothing at the end of a connection."""
    try:
        data = source.recv(65_536)
        at = time.time_ns()
        sink.sendall(data)
    except OSError:
        return time.time_ns(), b""
    return at, data


def arrivals(connections: list[list[tuple[int, bytes]]]) -> dict[str, int]:
    """When the first byte of each create and cancel arrived: by `client_order_id`, and by
    `DELETE` and the path's last part."""
    found: dict[str, int] = {}
    for pieces in connections:
        began, text = 0, b""
        for at, data in pieces:
            if HEAD.match(data):  # a call begins with a piece of its own
                began, text = at, b""
            text += data
            head = HEAD.match(text)
            named = ID.search(text)
            if head is not None and head[1] == b"DELETE":
                name = head[2].partition(b"?")[0].rpartition(b"/")[2]
                found.setdefault(f"DELETE {name.decode()}", began)
            elif head is not None and named is not None and head[1] == b"POST":
                found.setdefault(named[1].decode(), began)
    return found


class Forwarder:
    """The process between the gateway and the exchange."""

    def __init__(self, engine: Engine) -> None:
        """Before the engine is started: its settings change."""
        port = engine.exchange.rpartition(":")[2]
        command = [sys.executable, "-m", "tests.bench_orders", "forward", port]
        self._process = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline())
        text = engine.config.read_text()
        direct = f'rest_url = "{engine.exchange}/'
        assert direct in text
        text = text.replace(direct, f'rest_url = "http://127.0.0.1:{self.port}/')
        engine.config.write_text(text)
        engine.settings = read(text, {}, str(engine.config))

    def arrivals(self) -> dict[str, int]:
        """End it. When the first byte of each call arrived (ns since the Unix epoch)."""
        told, _ = self._process.communicate("\n")
        found: dict[str, int] = json.loads(told)
        return found

    def close(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.communicate()


class Caller:
    """A connection that is kept, without what an HTTP library costs."""

    def __init__(self, url: str, *headers: str) -> None:
        self.host = url.removeprefix("http://")
        address, _, port = self.host.partition(":")
        self._socket = socket.create_connection((address, int(port)), 20)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._headers = "".join(f"{line}\r\n" for line in (f"Host: {self.host}", *headers))

    def request(self, method: str, path: str, body: bytes = b"", *headers: str) -> bytes:
        """The bytes of a request."""
        lines = [f"{method} {path} HTTP/1.1\r\n{self._headers}", *(f"{h}\r\n" for h in headers)]
        if body:
            lines.append(f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n")
        return "".join(lines).encode() + b"\r\n" + body

    def send(self, request: bytes) -> tuple[int, bytes]:
        """Status and body of the answer."""
        self._socket.sendall(request)
        return self.answer()

    def answer(self) -> tuple[int, bytes]:
        """Raises EOFError if the connection ended instead."""
        got = bytearray()
        while (end := got.find(b"\r\n\r\n")) < 0:
            self._take(got)
        head = bytes(got[:end]).lower()
        length = int(head.partition(b"content-length:")[2].partition(b"\r\n")[0] or 0)
        while len(got) < end + 4 + length:
            self._take(got)
        return int(head[9:12]), bytes(got[end + 4 :])

    def _take(self, got: bytearray) -> None:
        piece = self._socket.recv(65_536)
        if not piece:
            raise EOFError
        got += piece

    def close(self) -> None:
        self._socket.close()


def trader(engine: Engine) -> Caller:
    """A connection to the API that may trade."""
    token = Path(engine.settings.var_dir, "token.trade").read_text().strip()
    return Caller(engine.api, f"Authorization: Bearer {token}")


def order_body(ticker: str, id: str, **terms: Any) -> bytes:
    body = {
        "ticker": ticker, "side": "bid", "price": "0.0100", "count": "1.00",
        "time_in_force": "immediate_or_cancel", "client_order_id": id, **terms,
    }  # fmt: skip
    return json.dumps(body).encode()


def a_market(engine: Engine) -> str:
    """The first that the exchange names."""
    answer = requests.get(f"{engine.exchange}/trade-api/v2/markets?limit=1", timeout=5).json()
    return str(answer["markets"][0]["ticker"])


def orders_to_wire(engine: Engine, ticker: str, count: int) -> dict[str, int]:
    """One order at a time: when each left the client (ns)."""
    api, left = trader(engine), {}
    for i in range(count):
        id = f"alone-{i}"
        request = api.request("POST", "/v1/orders", order_body(ticker, id))
        left[id] = time.time_ns()
        status, answer = api.send(request)
        assert status == 201, answer
        time.sleep(ORDER_EVERY_S)
    api.close()
    return left


def bare_orders(engine: Engine, port: int, count: int) -> dict[str, int]:
    """The same without an engine: a commit that is fsynced, then a POST by requests."""
    left, url = {}, f"http://127.0.0.1:{port}{ORDERS_PATH}"
    with (
        closing(sqlite3.connect(engine.folder / "bare.db", isolation_level=None)) as database,
        requests.Session() as session,
    ):
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = FULL")
        database.execute("CREATE TABLE t (n INTEGER PRIMARY KEY, body BLOB)")
        for i in range(count):
            id = f"bare-{i}"
            body = order_body("KXA-1", id)
            left[id] = time.time_ns()
            database.execute("INSERT INTO t (body) VALUES (?)", (body,))
            session.post(url, data=body, timeout=5)  # unsigned: it is refused
            time.sleep(ORDER_EVERY_S)
    return left


def signatures(kind: str) -> list[float]:
    """Milliseconds of each."""
    made = (
        ed25519.Ed25519PrivateKey.generate()
        if kind == "Ed25519"
        else rsa.generate_private_key(public_exponent=65537, key_size=2048)
    )
    form, pem = serialization.PrivateFormat.PKCS8, serialization.Encoding.PEM
    signer = Signer("k", made.private_bytes(pem, form, serialization.NoEncryption()), "k")
    took = []
    for i in range(SIGNATURES):
        began = time.perf_counter()
        signer.headers(1_795_486_295_314 + i, "POST", ORDERS_PATH)
        took.append((time.perf_counter() - began) * 1e3)
    return took


class Flood:
    """Threads that post orders all the time: far more than the budget lets out."""

    def __init__(self, engine: Engine, ticker: str) -> None:
        self._over = threading.Event()
        self._numbers = itertools.count()
        self._threads = [
            threading.Thread(target=self._post, args=(engine, ticker)) for _ in range(FLOOD)
        ]

    def __enter__(self) -> "Flood":
        for thread in self._threads:
            thread.start()
        return self

    def _post(self, engine: Engine, ticker: str) -> None:
        api = trader(engine)
        while not self._over.is_set():
            body = order_body(ticker, f"flood-{next(self._numbers)}")
            status, answer = api.send(api.request("POST", "/v1/orders", body))
            assert status in (201, 202, 422, 503), answer
        api.close()

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()


def resting(engine: Engine, ticker: str) -> list[tuple[str, str]]:
    """Orders that rest: our id, and the exchange's."""
    api, found = trader(engine), []
    for i in range(CANCELS):
        terms = {"time_in_force": "good_till_canceled"}
        body = order_body(ticker, f"rests-{i}", **terms)
        status, answer = api.send(api.request("POST", "/v1/orders", body))
        assert status == 201, answer
        found.append((f"rests-{i}", json.loads(answer)["order"]["order_id"]))
    api.close()
    return found


def cancels_to_wire(engine: Engine, ticker: str) -> dict[str, int]:
    """Cancels while orders wait for tokens: when each left the client, by its arrival's name."""
    rest = resting(engine, ticker)
    api, left = trader(engine), {}
    with Flood(engine, ticker):
        time.sleep(1)  # by now the lane is full
        for id, order_id in rest:
            request = api.request("DELETE", f"/v1/orders/{id}")
            left[f"DELETE {order_id}"] = time.time_ns()
            status, answer = api.send(request)
            assert status in (200, 202, 409), answer  # 409: it was filled just before
            time.sleep(CANCEL_EVERY_S)
    api.close()
    return left


def until_wire(left: dict[str, int], arrived: dict[str, int]) -> list[float]:
    """Milliseconds from the client to the wire; of cancels that were not needed, nothing."""
    return [(arrived[id] - at) / 1e6 for id, at in left.items() if id in arrived]


def measure() -> list[dict[str, Any]]:
    """The rows of the table."""
    with Engine() as engine:
        forwarder = Forwarder(engine)
        try:
            engine.start()
            engine.until_healthy(60)
            ticker = a_market(engine)
            bare = bare_orders(engine, forwarder.port, ORDERS // 2)
            alone = orders_to_wire(engine, ticker, ORDERS + WARM_UP)
            cancels = cancels_to_wire(engine, ticker)
            arrived = forwarder.arrivals()
        finally:
            forwarder.close()
    road = until_wire(alone, arrived)[WARM_UP:]
    assert len(road) == ORDERS
    return [
        row("order POST to the wire, RSA signature", road, "ms", "4 / 15 ms"),
        row("  a signature: RSA, 2048 bits", signatures("RSA"), "ms", "apart"),
        row("  a signature: Ed25519", signatures("Ed25519"), "ms", "apart"),
        row("  bare commit and POST (baseline)", until_wire(bare, arrived), "ms", ""),
        row("cancel to the wire, orders waiting", until_wire(cancels, arrived), "ms", "- / 150 ms"),
    ]


if __name__ == "__main__":
    if sys.argv[1:2] == ["forward"]:
        forward(int(sys.argv[2]))
    else:
        show(measure())
