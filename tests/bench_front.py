"""The front under load: books over HTTP, fan-out and latency over WebSocket, ten times too much of
it, and thousands of connections that are slow or silent. Each beside what the bare libraries do in
the same run, on the same machine.

The front is the real process, alone; the others of the engine are stand-ins that answer at once.
Called by `make bench`; alone, `python -m tests.bench_front [SECONDS [PART...]]`.
"""

import sys
import threading
import time
from typing import Any, Final

import requests

from tests.bench_bare import Bare
from tests.bench_flood import (
    ALLOWED_A_SECOND,
    BOOKS,
    CONNECTIONS,
    DRAIN_S,
    MESSAGES_A_SECOND,
    WARM_UP_S,
    Rows,
    asleep,
    books,
    crowded,
    overload,
    paced,
)
from tests.bench_ledger import row, show
from tests.bench_load import Load
from tests.front import Front, cpu_s, tickers

SECONDS: Final = 8.0
GOAL_A_SECOND: Final = 4_000
CLIENTS_MANY: Final = 1_000
CLIENTS_FEW: Final = 100
WARM_UP_A_SECOND: Final = 20


# Requests


def asked(front: Front, seconds: float) -> Rows:
    """`GET /v1/books/TICKER`, each connection again and again, and a bare uvicorn."""
    size = len(
        requests.get(
            f"{front.url}/v1/books/{tickers(1)[0]}",
            headers={"Authorization": f"Bearer {front.token('read')}"},
            timeout=10,
        ).content
    )
    # From the first request on it keeps these books.
    _asking(front.port, books(front), WARM_UP_S, front.process.pid)
    time.sleep(WARM_UP_S)
    ours = _asking(front.port, books(front), seconds, front.process.pid)
    paced = _asking(front.port, books(front), seconds, front.process.pid, GOAL_A_SECOND)
    with Bare("http", str(size)) as bare:
        _until_open(bare.port)
        theirs = _asking(bare.port, books(front), seconds, bare.process.pid)
        theirs_paced = _asking(bare.port, books(front), seconds, bare.process.pid, GOAL_A_SECOND)
    named = f"GET /v1/books, {CONNECTIONS} connections"
    return [
        row(f"{named}: rate", [ours[0]], "/s", f"{GOAL_A_SECOND:,}/s"),
        row("  wait, each again at once", ours[1], "ms", ""),
        row(f"  wait at {GOAL_A_SECOND:,}/s", paced[1], "ms", "- / 5 ms"),
        row("  processor of the front, each", [ours[2]], "µs", ""),
        row(f"  bare uvicorn, {size} bytes: rate", [theirs[0]], "/s", ""),
        row("  bare uvicorn: wait, each again at once", theirs[1], "ms", ""),
        row(f"  bare uvicorn: wait at {GOAL_A_SECOND:,}/s", theirs_paced[1], "ms", ""),
        row("  bare uvicorn: processor, each", [theirs[2]], "µs", ""),
    ]


def _asking(
    port: int, wanted: list[dict[str, Any]], seconds: float, pid: int, rate: int = 0
) -> tuple[float, list[float], float]:
    """Answers a second, their waits, and microseconds of the process's processor for each."""
    stream = {"connections": CONNECTIONS, "rate": rate, "requests": wanted}
    load = Load("asks", port=port, seconds=seconds, streams=[stream])
    load.ready()
    before = cpu_s(pid)
    load.go()
    [found] = load.result()["streams"]
    used = cpu_s(pid) - before
    assert set(found["waits"]) == {"200"}, {k: len(v) for k, v in found["waits"].items()}
    waits = found["waits"]["200"]
    return len(waits) / seconds, waits, used / len(waits) * 1e6


def _until_open(port: int) -> None:
    deadline = time.monotonic() + 10
    while True:
        try:
            requests.get(f"http://127.0.0.1:{port}/", timeout=5)
            return
        except requests.ConnectionError:
            assert time.monotonic() < deadline
            time.sleep(0.05)


# WebSocket


def told(front: Front, clients: int, seconds: float) -> dict[str, Any]:
    """So many clients of one book that changes 100 times a second."""
    [name] = tickers(1)
    load = Load(
        "ears", port=front.port, clients=clients, tokens=[front.token("read")],
        prefixes=[f"book.{name} "], every=max(clients // CLIENTS_FEW, 1),
    )  # fmt: skip
    try:
        load.ready()
        _while_changing(front, name, load)
        load.go()
        load.ready()
        cpu = front.cpu_s()
        sent = paced(MESSAGES_A_SECOND, seconds, lambda: front.others.change(name))
        time.sleep(DRAIN_S)
        load.go()
        return load.result() | {"front_s": front.cpu_s() - cpu, "sent": sent * clients}
    finally:
        load.close()


def _while_changing(front: Front, name: str, load: Load) -> None:
    """Until each client has heard a change: nothing else says that it is subscribed."""
    over = threading.Event()

    def change() -> None:
        while not over.wait(1 / WARM_UP_A_SECOND):
            front.others.change(name)

    changing = threading.Thread(target=change)
    changing.start()
    try:
        load.ready()
    finally:
        over.set()
        changing.join()


def bare_told(clients: int, seconds: float) -> dict[str, Any]:
    """The same by the broadcast of the websockets library."""
    with Bare("ws") as bare:
        bare.said()  # it listens
        load = Load(
            "ears", port=bare.port, clients=clients, tokens=[""], prefixes=[],
            every=max(clients // CLIENTS_FEW, 1),
        )  # fmt: skip
        try:
            load.ready()
            bare.say(WARM_UP_A_SECOND, 0.5)
            load.ready()
            bare.said()
            load.go()
            load.ready()
            bare.say(MESSAGES_A_SECOND, seconds)
            used = bare.said()["cpu_s"]
            time.sleep(DRAIN_S)
            load.go()
            return load.result() | {"front_s": used}
        finally:
            load.close()


def fan_out(front: Front, seconds: float) -> Rows:
    ours, theirs = told(front, CLIENTS_MANY, seconds), bare_told(CLIENTS_MANY, seconds)
    named = f"{CLIENTS_MANY:,} clients x {MESSAGES_A_SECOND}/s"
    return [
        row(f"{named}: deliveries", [ours["got"] / ours["seconds"]], "/s", "100,000/s"),
        row("  not delivered", [ours["sent"] - ours["got"]], "", "0"),
        row("  clients closed", [ours["closed"]], "", "0"),
        row("  added latency", ours["waits"], "ms", "apart"),
        row("  a second of a processor delivers", [ours["got"] / ours["front_s"]], "", "100,000"),
        row("  bare broadcast: deliveries", [theirs["got"] / theirs["seconds"]], "/s", ""),
        row("  bare broadcast: latency", theirs["waits"], "ms", ""),
        row("  bare: a second of a processor", [theirs["got"] / theirs["front_s"]], "", ""),
    ]


def latency(front: Front, seconds: float) -> Rows:
    ours, theirs = told(front, CLIENTS_FEW, seconds), bare_told(CLIENTS_FEW, seconds)
    named = f"{CLIENTS_FEW} clients x {MESSAGES_A_SECOND}/s"
    return [
        row(f"{named}: bus to client", ours["waits"], "ms", "1 / 10 ms"),
        row("  bare broadcast: to client", theirs["waits"], "ms", ""),
    ]


PARTS: Final = {
    "asked": asked,
    "latency": latency,
    "fan_out": fan_out,
    "overload": overload,
    "crowded": crowded,
    "asleep": asleep,
}

SETTINGS: Final = {
    "overload": f"looks_a_second = {ALLOWED_A_SECOND}\n",
    "latency": f"sockets_a_token = {CLIENTS_FEW}\n",
    "fan_out": f"sockets_a_token = {CLIENTS_MANY}\nconnections = {2 * CLIENTS_MANY}\n",
}


def measure(seconds: float = SECONDS, parts: list[str] | None = None) -> Rows:
    """The rows of the table."""
    rows: Rows = []
    for name in parts or PARTS:
        with Front(tickers(BOOKS), settings=SETTINGS.get(name, "")) as front:
            rows += PARTS[name](front, seconds)
    return rows


if __name__ == "__main__":
    show(measure(float(sys.argv[1]) if sys.argv[1:] else SECONDS, sys.argv[2:]))
