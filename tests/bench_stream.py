"""The stream, from a frame on its socket to a subscriber in another process.

A feed (`bench_feed`), the real stream process, a subscriber process; the bench process stands in
for gateway, writer and supervisor. Called by `make bench`; alone, `python -m tests.bench_stream`
prints only these rows.
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
from protocol.envelope import Envelope, Outbox, decode, decode_letter, encode, encode_letter
from protocol.messages import (
    AnyMessage,
    Append,
    Appended,
    AuditAnswer,
    AuditRequest,
    BookDelta,
    BookLost,
    BookSnapshot,
    BookStale,
    ExchangeAnswer,
    ExchangeRequest,
    Heartbeat,
    MarketsAnswer,
    MarketsRequest,
    Reconcile,
    ReconcileAnswer,
    Refused,
)
from tests import bench_parts, bench_pykalshi
from tests.bench_feed import MARKETS, ROOT, Feed, tickers
from tests.bench_ledger import row, show

READY_MAX_S: Final = 60.0
RATES: Final = (20_000, 30_000, 40_000, 50_000, 60_000, 75_000, 90_000, 105_000, 120_000)
SUSTAINED_S: Final = 4
LAST_MAX_S: Final = 0.5  # what is sustained has arrived so soon after it was sent
HOP: Final = (
    b'book.KXB-26NOV-T00000 {"source":"stream","body":{"type":"BookDelta",%b"received_at":%d}}'
)
FILLING: Final = b'"filling":"' + b"x" * 150 + b'",'
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
            [sys.executable, "-m", "tests.bench_stream", what, address],
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
        self._until_live(count)

    def _settings(self) -> Settings:
        text = (ROOT / "configs" / "paper.toml").read_text()
        text = text.replace('"run/paper', f'"{self.folder}/run')
        text = text.replace('"var/paper', f'"{self.folder}/var')
        text = text.replace("ws://127.0.0.1:7602", f"ws://127.0.0.1:{self.feed.port}")
        Path(self.folder, "p.toml").write_text(text)
        return read(text, {}, "bench")

    def _until_live(self, count: int) -> None:
        deadline = time.monotonic() + READY_MAX_S
        while self.others.beats.get("books_live", 0) < count:
            if time.monotonic() > deadline:
                log = Path(self.folder, "log").read_text()
                raise AssertionError(f"not ready: {self.others.reasons}\n{log[-2_000:]}")
            time.sleep(0.1)

    def run(self, rate: int, count: int) -> tuple[dict[str, Any], dict[str, Any]]:
        """What the feed sent and what the subscriber got."""
        self.ear.tell(f"{count} {count // rate + 8}")
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
        yield made
    finally:
        made.close()


# What is measured


def bare_hops(folder: str, rate: int, count: int) -> list[float]:
    """From a bare PUB to a bare SUB in another process at this rate, in ms."""
    address = f"ipc://{folder}/hop-{rate}"
    publisher, subscriber = Helper("hop", address), Helper("ear", address)
    time.sleep(0.5)  # until the subscription is there: nothing says so
    subscriber.tell(f"{count} {count // rate + 5}")
    subscriber.answer()
    publisher.tell(f"{rate} {count}")
    found: list[float] = subscriber.answer()["ms"]
    publisher.close()
    subscriber.close()
    return found


def since_sent(sent: dict[str, Any], got: dict[str, Any]) -> list[float]:
    """From the feed's write to the subscriber, in ms, if all came and so are in order."""
    times = [at for at, count in sent["slots"] for _ in range(count)]
    if got["got"] != len(times):
        return [float("nan")]
    return [(b - a) / 1e6 for a, b in zip(times, got["at"], strict=True)]


def latencies(on: Stage) -> list[dict[str, Any]]:
    rows = []
    for rate, count, goal in ((1_000, 5_000, "twice the bare hop"), (20_000, 60_000, "- / 10 ms")):
        bare = bare_hops(on.folder, rate, count)
        sent, got = on.run(rate, count)
        lost = sent["sent"] - got["got"]
        rows += [
            row(f"bare PUB/SUB hop, {rate:,}/s (baseline)", bare, "ms", ""),
            row(f"frame on our socket to subscriber, {rate:,}/s", got["ms"], "ms", goal),
            row("  from the feed's write", since_sent(sent, got), "ms", ""),
            row("  frames lost", [float(lost)], "", "0"),
        ]
    return rows


def sustained(on: Stage) -> list[dict[str, Any]]:
    """The highest rate at which nothing is lost and nothing is late at the end."""
    best, cost, main, lost = 0, float("nan"), float("nan"), 0
    for rate in RATES:
        count = rate * SUSTAINED_S
        before, main_before = on.cpu_s(), on.cpu_s(main_only=True)
        sent, got = on.run(rate, count)
        late = (got["at"][-1] - sent["slots"][-1][0]) / 1e9 if got["at"] else float("inf")
        if got["got"] < count or late > LAST_MAX_S:
            print(f"  at {rate:,}/s: {count - got['got']} lost, the last {late:.1f} s late")
            break
        best, lost = rate, count - got["got"]
        cost = (on.cpu_s() - before) / count * 1e6
        main = (on.cpu_s(main_only=True) - main_before) / count * 1e6
    return [
        row("frames sustained, one stream process", [float(best)], "/s", "60,000, aim 90,000"),
        row("  frames lost at that rate", [float(lost)], "", "0"),
        row("  its processor time a frame", [cost], "µs", "16.7, aim 11.1"),
        row("  of it the thread that works", [main], "µs", ""),
    ]


class Following:
    """The bench process's own ear on the books, with times."""

    def __init__(self, on: Stage) -> None:
        self._context = zmq.Context()
        self._socket: zmq.Socket[bytes] = self._context.socket(zmq.SUB)
        self._socket.set(zmq.RCVHWM, 0)
        self._socket.subscribe("book.")
        self._socket.connect(on.settings.endpoint("stream.pub"))
        time.sleep(0.5)  # until the subscription is there: nothing says so

    def until(self, kinds: tuple[type, ...], topics: int, seconds: float) -> tuple[int, int]:
        """When so many topics had said one of these (wall ns; 0: they did not), and how many
        changes of books came before the first did."""
        seen: set[str] = set()
        changes, deadline = 0, time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            if not self._socket.poll(int(left * 1_000) + 1):
                continue
            envelope: Envelope = decode(self._socket.recv())
            if isinstance(envelope.body, kinds):
                seen.add(envelope.topic)
            changes += isinstance(envelope.body, BookDelta) and not seen
            if len(seen) >= topics:
                return time.time_ns(), changes
        return 0, changes

    def close(self) -> None:
        self._context.destroy(linger=0)


def faults(on: Stage) -> list[dict[str, Any]]:
    """A gap, late data, and a line that falls silent: how soon followers know."""
    ear = Following(on)
    rows = []
    on.run(1_000, 200)
    on.feed.tell("skip")
    on.feed.answer()
    on.feed.tell("run 1000 500")
    lost_at, _ = ear.until((BookLost,), MARKETS, 20)
    live_at, _ = ear.until((BookSnapshot,), MARKETS, 20)
    on.feed.answer()
    rows.append(_seen("gap to live again, all books", live_at, lost_at, 1e6, "ms", "250 ms"))
    time.sleep(1)
    on.feed.tell("late 10000 500")
    stale_at, changes = ear.until((BookStale, BookLost), 1, 20)
    on.feed.answer()
    name = "late data flagged after"
    rows.append(row(name if stale_at else f"{name}: never", [float(changes)], "msg", "1"))
    on.run(1_000, 2_000)
    on.feed.tell("mute")
    mute_at = int(on.feed.answer()["at"])
    stale_at, _ = ear.until((BookStale, BookLost), MARKETS, 40)
    rows.append(_seen("silent stall flagged, all books", stale_at, mute_at, 1e9, "s", "5 s"))
    ear.close()
    return rows


def _seen(what: str, at: int, since: int, scale: float, unit: str, goal: str) -> dict[str, Any]:
    if not at or not since:
        return row(f"{what}: never", [0.0], unit, goal)
    return row(what, [(at - since) / scale], unit, goal)


def memory() -> list[dict[str, Any]]:
    with stage(0) as empty, stage(10_000) as full:
        time.sleep(2)
        without, with_books = empty.memory_mb(), full.memory_mb()
    return [
        row("stream with 10,000 books, RSS", [with_books], "MB", "250 MB"),
        row("  without any", [without], "MB", ""),
    ]


def measure() -> list[dict[str, Any]]:
    """The rows of the table."""
    rows = bench_parts.measure()
    with stage() as on:
        rows += latencies(on) + sustained(on)
    with stage() as on:
        rows += faults(on)
    return rows + memory() + bench_pykalshi.measure()


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["ear", address]:
            ear(address)
        case ["hop", address]:
            hop(address)
        case _:
            show(measure())
