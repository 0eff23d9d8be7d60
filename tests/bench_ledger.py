"""What the ledger costs: the real writer over the real bus, beside a bare sqlite3 loop.

Called by `make bench`; alone, `python -m tests.bench_ledger` prints only these rows, and
`python -m tests.bench_ledger beside` only those about trades and quotes kept beside the ledger.
"""

import os
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import zmq

from protocol.envelope import Letter, Outbox, decode_letter, encode, encode_letter
from protocol.facts import AnyFact, Fill, OrderAccepted, OrderIntended, OrderSeen, natural_id
from protocol.limits import SEND_QUEUE_MAX
from protocol.messages import Append, Appended, Heartbeat, Quote
from protocol.units import Count, Money, Price

ROOT = Path(__file__).parent.parent
ONE_BY_ONE = 3_000
ENTRIES = 1_000_000
PRODUCERS = 4
IN_FLIGHT = 500  # of each producer
WARM_UP = 100
AT = 1_795_486_295_314_000
BARE_ROWS = 100_000
BARE_GROUP = 500
BOOT_MAX_S = 180.0
MARKET_RATE = 5_000


def story(first: int) -> Iterator[AnyFact]:
    """Orders one after the other, each intended, accepted, filled and seen executed."""
    number = first
    while True:
        id, order_id, ticker = f"c{number}", f"o-{number:08d}", f"KXBTC-{number % 40}"
        price, count, side = Price(560_000), Count(1_000), "bid" if number % 2 else "ask"
        terms: Any = (ticker, side, price, count, "good_till_canceled", "a" * 64)
        yield OrderIntended(id, *terms)
        yield OrderAccepted(id, order_id, Count(0), count, AT + number)
        fee: Any = (Money(17_300), True, AT, id)
        yield Fill(order_id, f"t{number}", ticker, side, price, count, *fee)  # type: ignore[arg-type]
        seen: Any = ("executed", count, count, Count(0), AT // 1_000 + number)
        yield OrderSeen(order_id, id, ticker, side, price, *seen)  # type: ignore[arg-type]
        number += 1


def frames(first: int, count: int) -> list[bytes]:
    """Letters that append the facts of a story."""
    facts = story(first)
    return [
        encode_letter(Letter("bench", 1, natural_id(fact), AT, Append(fact)))
        for fact, _ in zip(facts, range(count), strict=False)
    ]


class Ledger:
    """A writer, and a rehydrator if wanted, in a folder of their own."""

    def __init__(self, settings: str = "") -> None:
        """`settings` are more of them, as TOML."""
        self.folder = tempfile.mkdtemp(prefix="kb", dir="/tmp")
        text = (ROOT / "configs" / "paper.toml").read_text()
        text = text.replace('"run/paper"', f'"{self.folder}/run"')
        Path(self.folder, "p.toml").write_text(
            text.replace('"var/paper', f'"{self.folder}/var') + settings
        )
        for name in ("run", "run/bus", "var"):
            os.mkdir(f"{self.folder}/{name}", 0o700)
        self.database = f"{self.folder}/var/ledger.db"
        self.address = f"ipc://{self.folder}/run/bus/writer.in"
        self.context = zmq.Context()
        self._supervisor: zmq.Socket[bytes] = self.context.socket(zmq.ROUTER)
        self._supervisor.bind(f"ipc://{self.folder}/run/bus/supervisor.in")
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str) -> None:
        self._running[name] = subprocess.Popen(
            [sys.executable, "-m", f"actors.{name}"],
            cwd=ROOT,
            env=os.environ | {"SIDECAR_CONFIG": f"{self.folder}/p.toml"},
            stderr=subprocess.DEVNULL,
        )

    def until(self, name: str, wanted: Callable[[Heartbeat], bool]) -> None:
        """Wait for a heartbeat."""
        end = time.monotonic() + BOOT_MAX_S
        while time.monotonic() < end:
            if not self._supervisor.poll(1_000):
                continue
            letter = decode_letter(self._supervisor.recv_multipart()[-1])
            beat = letter.body
            if letter.source == name and isinstance(beat, Heartbeat) and wanted(beat):
                return
        raise AssertionError(f"{name} did not get there")

    def memory(self) -> float:
        """PSS of the writer, in MB."""
        path = Path(f"/proc/{self._running['writer'].pid}/smaps_rollup")
        [line] = [row for row in path.read_text().splitlines() if row.startswith("Pss:")]
        return int(line.split()[1]) / 1024

    def stop(self) -> None:
        for process in self._running.values():
            process.terminate()
        for process in self._running.values():
            process.wait()
        self._running.clear()
        while self._supervisor.poll(0):
            self._supervisor.recv_multipart()

    def close(self) -> None:
        self.stop()
        self.context.destroy(linger=0)
        shutil.rmtree(self.folder)


def produce(address: str, first: int, count: int, in_flight: int) -> list[float]:
    """Tell appends, so many at a time, until all are acknowledged. Returns the waits, in ms."""
    letters = frames(first, count)
    context = zmq.Context()
    socket: zmq.Socket[bytes] = context.socket(zmq.DEALER)
    socket.set(zmq.SNDHWM, 0)
    socket.set(zmq.RCVHWM, 0)
    socket.connect(address)
    if in_flight > 1:
        print("ready", flush=True)
        sys.stdin.readline()  # all begin at once
    waits: list[float] = []
    sent = answered = 0
    while answered < count:
        while sent < count and sent - answered < in_flight:
            began = time.perf_counter()
            socket.send(letters[sent])
            sent += 1
        answer = (
            decode_letter(socket.recv_multipart()[-1]).body if in_flight == 1 else socket.recv()
        )
        assert in_flight > 1 or isinstance(answer, Appended)
        waits.append((time.perf_counter() - began) * 1e3)
        answered += 1
    context.destroy(linger=0)
    return waits


def sustained(ledger: Ledger) -> float:
    """Entries a second, acknowledged, from many producers at once."""
    share = ENTRIES // PRODUCERS
    command = [sys.executable, "-m", "tests.bench_ledger", "produce", ledger.address]
    producers = [
        subprocess.Popen(
            [*command, str((i + 1) * share), str(share), str(IN_FLIGHT)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        for i in range(PRODUCERS)
    ]
    for producer in producers:
        assert producer.stdout is not None
        producer.stdout.readline()
    began = time.perf_counter()
    for producer in producers:
        producer.communicate(b"\n")
    return ENTRIES / (time.perf_counter() - began)


def boot(ledger: Ledger) -> float:
    """Seconds from the start of the processes to an account that is restored and proved."""
    began = time.monotonic()
    ledger.start("writer")
    ledger.start("rehydrator")
    ledger.until("rehydrator", lambda beat: beat.flags.get("restored", False))
    seconds = time.monotonic() - began
    ledger.stop()
    return seconds


def bare(folder: str, group: int, count: int) -> list[float]:
    """Milliseconds of each commit of a bare sqlite3 loop: one table, WAL, FULL, no index."""
    body = "x" * 300
    waits = []
    with closing(sqlite3.connect(f"{folder}/bare.db", isolation_level=None)) as database:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = FULL")
        database.execute("CREATE TABLE IF NOT EXISTS t (n INTEGER PRIMARY KEY, body TEXT)")
        for _ in range(count // group):
            began = time.perf_counter()
            database.execute("BEGIN IMMEDIATE")
            database.executemany("INSERT INTO t (body) VALUES (?)", [(body,)] * group)
            database.execute("COMMIT")
            waits.append((time.perf_counter() - began) * 1e3)
    return waits


def measure() -> list[dict[str, Any]]:
    """The rows of the table."""
    ledger = Ledger()
    try:
        ledger.start("writer")
        ledger.until("writer", lambda beat: beat.ready)
        one = produce(ledger.address, 0, ONE_BY_ONE + WARM_UP, 1)[WARM_UP:]
        bare_one = bare(ledger.folder, 1, ONE_BY_ONE)
        rate = sustained(ledger)
        bare_many = bare(ledger.folder, BARE_GROUP, BARE_ROWS)
        memory = ledger.memory()
        ledger.stop()
        from_snapshot = boot(ledger)
        with closing(sqlite3.connect(ledger.database)) as database, database:
            database.execute("DELETE FROM snapshots")
        from_nothing = boot(ledger)
    finally:
        ledger.close()
    kept = kept_beside()
    bare_rate = BARE_ROWS / (sum(bare_many) / 1e3)
    return [
        row("append to acknowledgement", one, "ms", "1 / 10 ms"),
        row("  bare sqlite3 commit (baseline)", bare_one, "ms", ""),
        row(f"appends, {PRODUCERS} x {IN_FLIGHT} in flight", [rate], "/s", "20,000/s"),
        row(f"  bare sqlite3, {BARE_GROUP} a commit", [bare_rate], "/s", ""),
        row(f"writer's PSS after {ENTRIES:,}", [memory], "MB", "120 MB"),
        row(f"boot, {ENTRIES:,}, snapshot", [from_snapshot], "s", "3 s"),
        row(f"boot, {ENTRIES:,}, no snapshot", [from_nothing], "s", "30 s"),
        *kept,
    ]


def market_beside(folder: str, rate: int) -> None:
    """Be a stream that says so many quotes a second, until it is killed."""
    context = zmq.Context()
    socket: zmq.Socket[bytes] = context.socket(zmq.PUB)
    socket.set(zmq.SNDHWM, SEND_QUEUE_MAX)
    socket.bind(f"ipc://{folder}/run/bus/stream.pub")
    outbox = Outbox("stream", time.time_ns() // 1_000)
    price, count = Price(560_000), Count(1_000)
    said, began = 0, time.monotonic()
    while True:
        for _ in range(int((time.monotonic() - began) * rate) - said):
            ticker, at = f"KXBTC-26JUL0317-T{said % 300}", time.time_ns() // 1_000
            quote = Quote(ticker, price, price, price, *[count] * 4, at, at, count)
            socket.send(encode(outbox.seal(f"ticker.{ticker}", quote, at)))
            said += 1
        time.sleep(0.001)


def kept_beside() -> list[dict[str, Any]]:
    """What an append costs while a market is kept beside the ledger, and while it is only said."""
    only_said, _, _ = beside("")
    kept, counters, row_bytes = beside("\n[writer]\nkeep_market_days = 1\n")
    return [
        row(f"append, {MARKET_RATE:,} quotes/s said", only_said, "ms", ""),
        row("  and kept beside the ledger", kept, "ms", ""),
        row("  the keeper behind", [float(counters["keep_lag_ms"])], "ms", ""),
        row("  holes meanwhile", [float(counters["kept_holes"])], "", ""),
        row("  a quote on disk", [row_bytes], "B", ""),
    ]


def beside(settings: str) -> tuple[list[float], dict[str, int], float]:
    """The waits of appends, how well the keeper did meanwhile, and the bytes of a row."""
    ledger = Ledger(settings)
    command = [sys.executable, "-m", "tests.bench_ledger", "market", ledger.folder]
    market = subprocess.Popen([*command, str(MARKET_RATE)], cwd=ROOT)
    beats: list[Heartbeat] = []
    try:
        ledger.start("writer")
        ledger.until("writer", lambda beat: beat.ready)
        if settings:
            ledger.until("writer", lambda beat: beat.counters["kept_rows"] > MARKET_RATE)
            ledger.until("writer", lambda beat: not beats.append(beat))
        waits = produce(ledger.address, 0, ONE_BY_ONE + WARM_UP, 1)[WARM_UP:]
        if not settings:
            return waits, {}, 0.0
        enough = beats[0].counters["kept_rows"] + 2 * MARKET_RATE
        ledger.until("writer", lambda beat: not beats.append(beat) and _kept(beat) > enough)
        was, now = beats[0].counters, beats[-1].counters
        path = f"file:{ledger.folder}/var/market.db?mode=ro"
        with closing(sqlite3.connect(path, uri=True)) as kept:
            [[count]] = kept.execute("SELECT count(*) FROM quotes").fetchall()
            [[pages]] = kept.execute("PRAGMA page_count").fetchall()
        meanwhile = {"kept_holes": now["kept_holes"] - was["kept_holes"]}
        return waits, now | meanwhile, pages * 4096 / count
    finally:
        market.kill()
        market.wait()
        ledger.close()


def _kept(beat: Heartbeat) -> int:
    return beat.counters["kept_rows"]


def percentile(values: list[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)]


def row(name: str, values: list[float], unit: str, goal: str) -> dict[str, Any]:
    """One line of the table: the median, and the 99th of a hundred."""
    p50, p99 = statistics.median(values), percentile(values, 0.99)
    return {"what": name, "p50": round(p50, 3), "p99": round(p99, 3), "unit": unit, "goal": goal}


def show(rows: list[dict[str, Any]]) -> None:
    """Print the table."""
    print(f"{'':38}{'p50':>12}{'p99':>12}  unit  goal")
    for r in rows:
        print(f"{r['what']:38}{r['p50']:12,.3f}{r['p99']:12,.3f}  {r['unit']:4}  {r['goal']}")


if __name__ == "__main__":
    if sys.argv[1:2] == ["market"]:
        market_beside(sys.argv[2], int(sys.argv[3]))
    elif sys.argv[1:2] == ["beside"]:
        show(kept_beside())
    elif sys.argv[1:2] == ["produce"]:
        produce(sys.argv[2], *map(int, sys.argv[3:6]))
    else:
        show(measure())
