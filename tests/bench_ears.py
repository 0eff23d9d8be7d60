"""WebSocket clients for the bench of the front, and connections that are slow or silent: processes
of their own, as those of `bench_load`.

`ears`: clients that count what comes. `sleepers`: connections that do next to nothing.
"""

import base64
import gc
import json
import os
import select
import socket
import sys
import time
from typing import Any, Final

from tests.bench_load import request

READY_MAX_S: Final = 60.0
MASK: Final = b"\0\0\0\0"  # a mask that changes nothing
MARK: Final = b'"BookDelta"'
AT: Final = b'"at":'
SAMPLES_MAX: Final = 200_000


def handshake(port: int, token: str) -> bytes:
    """A WebSocket's request."""
    key = base64.b64encode(os.urandom(16)).decode()
    return (
        f"GET /v1/ws HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAuthorization: Bearer {token}\r\n"
        f"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        f"Sec-WebSocket-Key: {key}\r\n\r\n"
    ).encode()


def said(text: str) -> bytes:
    """A client's text frame."""
    raw = text.encode()
    head = bytes([0x81, 0x80 | len(raw)])
    if len(raw) > 125:
        head = b"\x81\xfe" + len(raw).to_bytes(2, "big")
    return head + MASK + raw


# WebSocket clients


class Ear:
    """One client: how many changes of books it got, and when."""

    __slots__ = ("buffer", "count", "opened", "socket")

    def __init__(self, port: int, token: str, prefixes: list[str]) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.sendall(handshake(port, token))
        answer = b""
        while b"\r\n\r\n" not in answer:
            some = self.socket.recv(65_536)
            assert some, f"refused: {answer[:300]!r}"
            answer += some
        assert b" 101 " in answer.partition(b"\r\n")[0], answer[:300]
        self.socket.sendall(said(json.dumps({"subscribe": prefixes})))
        self.socket.setblocking(False)
        self.buffer = answer.partition(b"\r\n\r\n")[2]
        self.count = 0
        self.opened = True

    def take(self, data: bytes, now_us: int, waits: list[float], every: int) -> int:
        """Count the whole frames; answer a ping. Returns how many changes there were."""
        if self.buffer:
            data = self.buffer + data
        at, size, before = 0, len(data), self.count
        while size - at >= 2:
            length, head = data[at + 1], 2
            if length == 126:
                length, head = int.from_bytes(data[at + 2 : at + 4], "big"), 4
            elif length == 127:
                length, head = int.from_bytes(data[at + 2 : at + 10], "big"), 10
            if size - at < head + length:
                break
            if data[at] == 0x89:
                pong = MASK + data[at + 2 : at + 2 + length]
                self.socket.send(b"\x8a" + bytes([0x80 | length]) + pong)
            elif data.find(MARK, at, at + head + length) >= 0:
                self.count += 1
                if self.count % every == 0 and len(waits) < SAMPLES_MAX:
                    word = data.find(AT, at) + len(AT)
                    waits.append((now_us - int(data[word : data.index(b",", word)])) / 1e3)
            at += head + length
        self.buffer = data[at:]
        return self.count - before


def ears(job: dict[str, Any]) -> dict[str, Any]:
    """`clients` that follow `prefixes`, until stdin says so.

    Ready once each heard a change, and again once all of what was said for that has been taken.
    """
    tokens = job["tokens"]
    made = [
        Ear(job["port"], tokens[n % len(tokens)], job["prefixes"]) for n in range(job["clients"])
    ]
    waiting = select.epoll()
    known = {ear.socket.fileno(): ear for ear in made}
    for number in known:
        waiting.register(number, select.EPOLLIN)
    waits: list[float] = []
    deaf = set(known)
    print('{"connected": true}', flush=True)
    deadline = time.monotonic() + READY_MAX_S
    while deaf:
        assert time.monotonic() < deadline, f"{len(deaf)} clients have heard nothing"
        deaf -= {n for n, count in _heard(waiting, known, waits, 1 << 30).items() if count}
    print("{}", flush=True)
    sys.stdin.readline()
    while _heard(waiting, known, [], 1 << 30, 0.1):
        continue  # what was said to get ready
    print("{}", flush=True)
    began, cpu, total, got = time.monotonic(), time.process_time(), 0, time.monotonic()
    waiting.register(sys.stdin.fileno(), select.EPOLLIN)
    known[sys.stdin.fileno()] = None  # type: ignore[assignment]
    while True:
        found = _heard(waiting, known, waits, job["every"])
        new = sum(found.values())
        total += new
        got = time.monotonic() if new else got
        if sys.stdin.fileno() in found:
            break
    return {
        "got": total, "seconds": got - began, "waits": waits, "cpu_s": time.process_time() - cpu,
        "closed": sum(not ear.opened for ear in made),
        "least": min(ear.count for ear in made),
    }  # fmt: skip


def _heard(
    waiting: select.epoll,
    known: dict[int, Ear],
    waits: list[float],
    every: int,
    patience_s: float = 1.0,
) -> dict[int, int]:
    found: dict[int, int] = {}
    ready = waiting.poll(patience_s)
    now_us = time.time_ns() // 1_000  # by now it had all arrived
    for number, _ in ready:
        ear = known.get(number)
        if ear is None:
            found[number] = 0
            continue
        try:
            data = ear.socket.recv(262_144)
        except ConnectionError:
            data = b""
        if not data:
            ear.opened = False
            waiting.unregister(number)
            continue
        found[number] = ear.take(data, now_us, waits, every)
    return found


# Connections that are slow or silent


def sleepers(job: dict[str, Any]) -> dict[str, Any]:
    """`connections`, a quarter each: silent; a byte of a header each second; silent after one
    request; a WebSocket that reads nothing. Held until stdin says so."""
    port, token = job["port"], job["token"]
    one = request("GET", job["path"], port, token)
    begins = [b"", one[:40], one, handshake(port, token) + said(json.dumps({"subscribe": [""]}))]
    made: list[tuple[int, socket.socket]] = []
    failed = 0
    for n in range(job["connections"]):
        connection = socket.socket()
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        connection.settimeout(10)
        try:
            connection.connect(("127.0.0.1", port))
            connection.sendall(begins[n % len(begins)])
        except OSError:
            failed += 1
            connection.close()
            continue
        connection.setblocking(False)
        made.append((n % len(begins), connection))
    print("{}", flush=True)
    while not select.select([sys.stdin], [], [], 1.0)[0]:
        for kind, connection in made:
            if kind == 1:
                try:
                    connection.send(b"x")
                except OSError:
                    continue
    sys.stdin.readline()
    return {"failed": failed, "held": sum(_open(connection) for _, connection in made)}


def _open(connection: socket.socket) -> bool:
    """Whether the other side still holds it: what it said before is read first."""
    try:
        while connection.recv(1 << 20):
            pass
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


if __name__ == "__main__":
    gc.disable()
    work = json.loads(sys.argv[2])
    print(json.dumps(ears(work) if sys.argv[1] == "ears" else sleepers(work)), flush=True)
