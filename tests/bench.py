"""make bench: what the running engine costs, ours beside a baseline in the same run.

Prints a table and writes run/bench.json. Nothing is asserted: numbers are read, not tested.
"""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import zmq

from protocol.messages import BookDelta, Trade
from tests import (
    bench_brakes,
    bench_budget,
    bench_front,
    bench_ledger,
    bench_limiter,
    bench_orders,
    bench_page,
    bench_stream,
)
from tests.bench_ledger import row, show
from tests.engine.running import ROOT, Engine

HOP = """
import sys, time, zmq
socket = zmq.Context().socket(zmq.PUB)
socket.bind(sys.argv[1])
for line in sys.stdin:
    socket.send(b"hop %d " % time.time_ns() + b"x" * 240)
"""
HOPS = 1_000
FRAMES = 1_500
WARM_UP = 10


def bare_hop(folder: Path) -> list[float]:
    """One message at a time from a bare PUB to a bare SUB in another process, in ms."""
    address = f"ipc://{folder}/hop"
    context = zmq.Context()
    sub: zmq.Socket[bytes] = context.socket(zmq.SUB)
    sub.subscribe("hop")
    sub.connect(address)
    publisher = subprocess.Popen(
        [sys.executable, "-c", HOP, address], stdin=subprocess.PIPE, text=True
    )
    assert publisher.stdin is not None
    found: list[float] = []
    while len(found) < HOPS + WARM_UP:
        publisher.stdin.write("\n")
        publisher.stdin.flush()
        if sub.poll(200):
            sent = int(sub.recv().split()[1])
            found.append((time.time_ns() - sent) / 1e6)
    publisher.stdin.close()
    publisher.wait()
    context.destroy(linger=0)
    return found[WARM_UP:]


def frames_to_subscriber(engine: Engine) -> list[float]:
    """From the moment a frame is off the socket to a subscriber in another process, in ms."""
    found: list[float] = []

    def look(envelope: Any) -> bool | None:
        if isinstance(envelope.body, BookDelta | Trade):
            found.append(time.time_ns() / 1e6 - envelope.body.received_at / 1e3)
        return True if len(found) >= FRAMES + WARM_UP else None

    with engine.ear("stream.pub", "book.", "trade.") as ear:
        ear.until(look, 120)
    return found[WARM_UP:]


def memory(engine: Engine) -> float:
    """PSS of all actors and runners, in MB.

    Those that hold keys show it to root alone; of them we count what they share with nobody.
    """
    total = 0
    for name, pid in engine.pids().items():
        told = json.loads(Path(engine.settings.run_dir, f"{name}.runner.json").read_text())
        for one in (pid, told["runner_pid"]):
            try:
                field, lines = "Pss:", Path(f"/proc/{one}/smaps_rollup").read_text().splitlines()
            except PermissionError:
                field, lines = "RssAnon:", Path(f"/proc/{one}/status").read_text().splitlines()
            total += sum(int(line.split()[1]) for line in lines if line.startswith(field))
    return total / 1024


def ended(*_: object) -> None:
    """Asked to end: not without ending what was started."""
    sys.exit(143)


def main() -> None:
    signal.signal(signal.SIGTERM, ended)
    with Engine() as engine:
        began = time.monotonic()
        engine.start()
        engine.until_healthy(60)
        healthy = time.monotonic() - began
        hop = bare_hop(engine.folder)
        frames = frames_to_subscriber(engine)
        pss = memory(engine)
    rows = [
        row("healthy after start", [healthy], "s", "5 s"),
        row("bare PUB/SUB hop (baseline)", hop, "ms", ""),
        row("frame received to subscriber", frames, "ms", "twice the bare hop"),
        row("memory, PSS of actors and runners", [pss], "MB", "300 MB"),
    ]
    for part in (
        bench_stream,
        bench_orders,
        bench_budget,
        bench_limiter,
        bench_brakes,
        bench_ledger,
        bench_front,
        bench_page,
    ):
        rows += part.measure()
    show(rows)
    print(f"in {time.monotonic() - began:.0f} s")
    (ROOT / "run").mkdir(exist_ok=True)
    (ROOT / "run" / "bench.json").write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
