"""What the stream's bench is made of: a feed, the real stream process, a subscriber process.

The bench process stands in for gateway, writer and supervisor.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import zmq

from protocol.config import Settings, read
from protocol.envelope import Outbox, decode_letter, encode, encode_letter
from protocol.messages import (
    AnyMessage,
    Append,
    Appended,
    AuditAnswer,
    AuditRequest,
    ExchangeAnswer,
    ExchangeRequest,
    Heartbeat,
    MarketsAnswer,
    MarketsRequest,
    Reconcile,
    ReconcileAnswer,
    Refused,
)
from tests.bench_feed import MARKETS, ROOT, Feed, tickers

READY_MAX_S: Final = 60.0
HOP: Final = (
    b'book.KXB-26NOV-T00000 {"source":"stream","body":{"type":"BookDelta",%b"received_at":%d}}'
)
FILLING: Final = b'"filling":"' + b"x" * 165 + b'",'
TICK: Final = os.sysconf("SC_CLK_TCK")


# The subscriber


def ear(address: str) -> None:
    """At each line `COUNT SECONDS`, take so many changes of books and say when they came."""
    context = zmq.Context()
    socket: zmq.Socket[bytes] = context.socket(zmq.SUB)
    socket.set(zmq.RCVHWM, 0)
    socket.subscribe("book.")
    socket.connect(address)
    print("{}", flush=True)
    for line in sys.stdin:
        count, seconds = map(int, line.split())
        print("{}", flush=True)
        print(json.dumps(taken(socket, count, seconds)), flush=True)


def taken(socket: "zmq.Socket[bytes]", count: int, seconds: int) -> dict[str, Any]:
    got: list[tuple[int, bytes]] = []
    deadline = time.monotonic() + seconds
    while len(got) < count and socket.poll(max(int((deadline - time.monotonic()) * 1_000), 0)):
        for _ in range(1_000):
            try:
                frame = socket.recv(zmq.DONTWAIT)
            except zmq.Again:
                break
            if b'"BookDelta"' in frame:
                got.append((time.time_ns(), frame))
    words = [frame.rpartition(b'"received_at":')[2].rstrip(b"}") for _, frame in got]
    return {
        "got": len(got),
        "at": [at for at, _ in got],
        "ms": [(at - int(word) * 1_000) / 1e6 for (at, _), word in zip(got, words, strict=True)],
    }


def hop(address: str) -> None:
    """At each line `RATE COUNT`, publish so many messages of a delta's size, bare."""
    socket: zmq.Socket[bytes] = zmq.Context().socket(zmq.PUB)
    socket.bind(address)
    print("{}", flush=True)
    for line in sys.stdin:
        rate, count = map(int, line.split())
        began = time.monotonic() + 0.5
        for n in range(count):
            while (left := began + n / rate - time.monotonic()) > 0:
                time.sleep(left if left > 0.0002 else 0)
            socket.send(HOP % (FILLING, time.time_ns() // 1_000))
        print("{}", flush=True)


class Helper:
    """A process of this file, told by lines and answering in JSON."""

    def __init__(self, what: str, address: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.bench_stage", what, address],
            cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.answer()

    def tell(self, line: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def answer(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        found: dict[str, Any] = json.loads(self.process.stdout.readline())
        return found

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()


# The others of the engine


def reply(body: AnyMessage, markets: tuple[str, ...]) -> AnyMessage:
    """What gateway and writer answer."""
    match body:
        case MarketsRequest():
            return MarketsAnswer(markets, True)
        case Reconcile():
            return ReconcileAnswer(0)
        case Append():
            return Appended("NEW", 1)
        case ExchangeRequest():
            return ExchangeAnswer()
        case AuditRequest():
            return AuditAnswer((), "the bench has no REST side")
    return Refused("not in the bench")


class StandIns(threading.Thread):
    """Gateway, writer and supervisor, as far as the stream needs them."""

    def __init__(self, settings: Settings, markets: tuple[str, ...]) -> None:
        super().__init__(daemon=True)
        self.beats: dict[str, int] = {}  # the counters of the last heartbeat
        self.reasons: tuple[str, ...] = ()
        self._markets = markets
        self._context = zmq.Context()
        self._over = threading.Event()
        self._routers = [
            self._bound(zmq.ROUTER, settings, f"{name}.in")
            for name in ("gateway", "writer", "supervisor")
        ]
        self._ledger = self._bound(zmq.PUB, settings, "ledger.pub")
        self._outbox = Outbox("writer", 1)

    def _bound(self, kind: int, settings: Settings, name: str) -> "zmq.Socket[bytes]":
        socket: zmq.Socket[bytes] = self._context.socket(kind)
        socket.bind(settings.endpoint(name))
        return socket

    def run(self) -> None:
        poller = zmq.Poller()
        for router in self._routers:
            poller.register(router, zmq.POLLIN)
        while not self._over.is_set():
            for mark in self._outbox.marks(time.monotonic_ns(), time.time_ns() // 1_000):
                self._ledger.send(encode(mark))
            for socket, _ in poller.poll(100):
                *sender, raw = socket.recv_multipart()
                letter = decode_letter(raw)
                if isinstance(letter.body, Heartbeat):
                    self.beats, self.reasons = letter.body.counters, letter.body.reasons
                    continue
                answer = self._outbox.letter(letter.id, reply(letter.body, self._markets), 0)
                socket.send_multipart([*sender, encode_letter(answer)])
        self._context.destroy(linger=0)

    def close(self) -> None:
        self._over.set()
        self.join()


class Stage:
    """A feed, a stream, and a subscriber, ready."""

    def __init__(self, count: int) -> None:
        self.folder = tempfile.mkdtemp(prefix="kb", dir="/tmp")
        markets = tuple(tickers(count))
        self.feed = Feed()
        self.settings = self._settings()
        environment = {**os.environ, "SIDECAR_CONFIG": f"{self.folder}/p.toml"}
        setup = [str(Path(sys.executable).parent / "sidecar"), "setup"]
        subprocess.run(setup, env=environment, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
        for path in (self.settings.run_dir, self.settings.bus_dir):
            os.makedirs(path, 0o700, exist_ok=True)
        self.others = StandIns(self.settings, markets)
        self.others.start()
        self.log = open(f"{self.folder}/log", "wb")  # noqa: SIM115
        self.stream = subprocess.Popen(
            [sys.executable, "-m", "actors.stream"], cwd=ROOT, env=environment, stderr=self.log
        )
        self.ear = Helper("ear", self.settings.endpoint("stream.pub"))

    def _settings(self) -> Settings:
        text = (ROOT / "configs" / "paper.toml").read_text()
        text = text.replace('"run/paper', f'"{self.folder}/run')
        text = text.replace('"var/paper', f'"{self.folder}/var')
        text = text.replace("ws://127.0.0.1:7602", f"ws://127.0.0.1:{self.feed.port}")
        Path(self.folder, "p.toml").write_text(text)
        return read(text, {}, "bench")

    def until_live(self, count: int) -> None:
        deadline = time.monotonic() + READY_MAX_S
        while self.others.beats.get("books_live", 0) < count:
            if time.monotonic() > deadline:
                log = Path(self.folder, "log").read_text()
                raise AssertionError(f"not ready: {self.others.reasons}\n{log[-2_000:]}")
            time.sleep(0.1)

    def run(self, rate: int, count: int) -> tuple[dict[str, Any], dict[str, Any]]:
        """What the feed sent and what the subscriber got."""
        self.ear.tell(f"{count} {count // rate + count // 20_000 + 8}")
        self.ear.answer()
        self.feed.tell(f"run {rate} {count}")
        return self.feed.answer(), self.ear.answer()

    def cpu_s(self, main_only: bool = False) -> float:
        """Seconds of a processor that the stream has used."""
        total = 0
        for task in Path(f"/proc/{self.stream.pid}/task").iterdir():
            if main_only and task.name != str(self.stream.pid):
                continue
            fields = (task / "stat").read_text().rpartition(") ")[2].split()
            total += int(fields[11]) + int(fields[12])
        return total / TICK

    def memory_mb(self) -> float:
        lines = Path(f"/proc/{self.stream.pid}/status").read_text().splitlines()
        return sum(int(line.split()[1]) for line in lines if line.startswith("VmRSS:")) / 1024

    def close(self) -> None:
        self.stream.terminate()
        self.stream.wait()
        self.ear.close()
        self.feed.close()
        self.others.close()
        self.log.close()
        shutil.rmtree(self.folder)


@contextmanager
def stage(count: int = MARKETS) -> Iterator[Stage]:
    made = Stage(count)
    try:
        made.until_live(count)
        yield made
    finally:
        made.close()


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["ear", address]:
            ear(address)
        case ["hop", address]:
            hop(address)
