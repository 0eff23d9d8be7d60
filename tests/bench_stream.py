"""The stream, from a frame on its socket to a subscriber in another process.

Called by `make bench`; alone, `python -m tests.bench_stream` prints only these rows.
"""

import time
from typing import Any, Final

import zmq

from protocol.envelope import Envelope, decode
from protocol.messages import BookDelta, BookLost, BookSnapshot, BookStale
from tests import bench_parts, bench_pykalshi
from tests.bench_feed import MARKETS
from tests.bench_ledger import row, show
from tests.bench_stage import Helper, Stage, stage

RATES: Final = (20_000, 30_000, 40_000, 50_000, 60_000, 75_000, 90_000, 105_000, 120_000)
SUSTAINED_S: Final = 4
LAST_MAX_S: Final = 0.5  # what is sustained has arrived so soon after it was sent


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
    """The highest rate at which nothing is lost and nothing is late at the end.

    Processor time is that of the last rate at which nothing was lost: it says what a core of its
    own could do where others share the machine.
    """
    best, lost, cost, main = 0, 0, 0.0, 0.0
    for rate in RATES:
        count = rate * SUSTAINED_S
        before, main_before = on.cpu_s(), on.cpu_s(main_only=True)
        sent, got = on.run(rate, count)
        if got["got"] == count:
            cost = (on.cpu_s() - before) / count * 1e6
            main = (on.cpu_s(main_only=True) - main_before) / count * 1e6
        late = (got["at"][-1] - sent["slots"][-1][0]) / 1e9 if got["at"] else float("inf")
        if got["got"] < count or late > LAST_MAX_S:
            print(f"  at {rate:,}/s: {count - got['got']} lost, the last {late:.1f} s late")
            break
        best, lost = rate, count - got["got"]
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

    def let_go(self) -> None:
        """What has come by now."""
        time.sleep(1)
        while self._socket.poll(0):
            self._socket.recv()

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
    ear.let_go()
    on.feed.tell("late 10000 500")
    stale_at, changes = ear.until((BookStale, BookLost), 1, 20)
    on.feed.answer()
    name = "late data flagged after"
    rows.append(row(name if stale_at else f"{name}: never", [float(changes)], "msg", "1"))
    on.run(1_000, 2_000)
    ear.let_go()
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
    show(measure())
