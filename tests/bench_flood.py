"""More than the front can take, or than it allows: floods, and thousands that do next to nothing.

Beside each, how the others fare: another token's books, cancels and halts.
"""

import time
from collections.abc import Callable
from typing import Any, Final

import requests

from tests.bench_ledger import row
from tests.bench_load import Load
from tests.front import Front, tickers

BOOKS: Final = 16
CONNECTIONS: Final = 16  # as many as the front answers in time
WARM_UP_S: Final = 2.0
DRAIN_S: Final = 2.0
MESSAGES_A_SECOND: Final = 100
SLEEPERS: Final = 5_000
TOO_MUCH: Final = 10
ALLOWED_A_SECOND: Final = 500  # of one token, of books and the like
FLOODING: Final = 64  # connections
CROWDED: Final = TOO_MUCH * CONNECTIONS
SETTLED_S: Final = 0.5

Rows = list[dict[str, Any]]


def ask(method: str, path: str, token: str, body: str = "") -> dict[str, Any]:
    return {"method": method, "path": path, "token": token, "body": body}


def books(front: Front) -> list[dict[str, Any]]:
    token = front.token("read")
    return [ask("GET", f"/v1/books/{name}", token) for name in tickers(BOOKS)]


def paced(rate: int, seconds: float, act: Callable[[], None]) -> int:
    began, count = time.monotonic(), int(rate * seconds)
    for n in range(count):
        time.sleep(max(began + n / rate - time.monotonic(), 0))
        act()
    return count


def overload(front: Front, seconds: float) -> Rows:
    """One token asks ten times what it may, while another goes on as ever, cancels and halts."""
    _calm(front, WARM_UP_S)  # the front's lines to the others are made by the first
    alone = _calm(front, seconds)
    rate = TOO_MUCH * ALLOWED_A_SECOND
    admitted, refused, loaded = _flooded(front, FLOODING, rate, seconds)
    done = (len(admitted) + len(refused)) / (seconds + 1)
    return [
        row(f"{rate:,}/s of a token that may {ALLOWED_A_SECOND}", [done], "/s", "answered"),
        row("  refused", [len(refused) / (seconds + 1)], "/s", ""),
        row("  wait for a refusal", refused or [0.0], "ms", "- / 50 ms"),
        row("  wait of its admitted", admitted or [0.0], "ms", "twice the unloaded"),
        *_compared(alone, loaded),
    ]


def crowded(front: Front, seconds: float) -> Rows:
    """Ten times as many connections as before, none of them over its limit, each asking again at
    once: more than the front can answer."""
    _calm(front, WARM_UP_S)
    alone = _calm(front, seconds)
    admitted, refused, loaded = _flooded(front, CROWDED, 0, seconds)
    return [
        row(f"{CROWDED} connections at once: rate", [len(admitted) / (seconds + 1)], "/s", ""),
        row("  wait", admitted, "ms", f"a turn of {CROWDED}"),
        row("  refused", [len(refused) / (seconds + 1)], "/s", ""),
        *_compared(alone, loaded),
    ]


def _compared(alone: list[list[float]], loaded: list[list[float]]) -> Rows:
    return [
        row("  another token's books, unloaded", alone[0], "ms", ""),
        row("  another token's books meanwhile", loaded[0], "ms", "twice the unloaded"),
        row("  cancels, unloaded", alone[1], "ms", ""),
        row("  cancels meanwhile", loaded[1], "ms", "- / 150 ms"),
        row("  halts, unloaded", alone[2], "ms", ""),
        row("  halts meanwhile", loaded[2], "ms", "- / 150 ms"),
    ]


def _flooded(
    front: Front, connections: int, rate: int, seconds: float
) -> tuple[list[float], list[float], list[list[float]]]:
    """The waits of what a flood had answered and refused, and of the calm ones meanwhile."""
    stream = {"connections": connections, "rate": rate, "requests": books(front), "flood": True}
    load = Load("asks", port=front.port, seconds=seconds + 1, streams=[stream])
    load.ready()
    calm = _calm_load(front, seconds)  # it is connected before
    load.go()
    time.sleep(SETTLED_S)
    loaded = _waits(calm)
    [found] = load.result()["streams"]
    waits = found["waits"]
    refused = [wait for status, some in waits.items() if status != "200" for wait in some]
    return waits.get("200", []), refused, loaded


def _calm(front: Front, seconds: float) -> list[list[float]]:
    """The waits for books, cancels and halts of a token that asks as it should."""
    return _waits(_calm_load(front, seconds))


def _calm_load(front: Front, seconds: float) -> Load:
    token = front.token("trade")
    [book, *_] = books(front)
    halt = ask("POST", "/v1/halt", token, '{"reason":"bench"}')
    streams = [
        {"connections": 25, "rate": 100, "requests": [book | {"token": token}]},
        {"connections": 10, "rate": 20, "requests": [ask("DELETE", "/v1/orders/c1", token)]},
        {"connections": 5, "rate": 5, "requests": [halt]},
    ]
    load = Load("asks", port=front.port, seconds=seconds, streams=streams)
    load.ready()
    return load


def _waits(load: Load) -> list[list[float]]:
    load.go()
    found = load.result()["streams"]
    assert all(set(one["waits"]) <= {"200", "404"} for one in found), "a calm one was refused"
    return [[wait for some in one["waits"].values() for wait in some] for one in found]


def asleep(front: Front, seconds: float) -> Rows:
    """5,000 connections that are slow or silent, while a book changes and others ask."""
    [name] = tickers(1)
    [path] = [one["path"] for one in books(front)[:1]]
    before = front.memory_mb()
    calm = ask("GET", path, front.token("trade"))
    stream = {"connections": 4, "rate": 100, "requests": [calm]}
    load = Load("asks", port=front.port, seconds=seconds, streams=[stream])
    load.ready()  # its connections were there before
    crowd = Load(
        "sleepers", port=front.port, connections=SLEEPERS, token=front.token("read"), path=path
    )
    most = [before]

    def look() -> None:
        front.others.change(name)
        most[0] = max(most[0], front.memory_mb())

    try:
        crowd.ready()
        load.go()
        paced(MESSAGES_A_SECOND, seconds, look)
        [found] = load.result()["streams"]
        fresh = [_served(front, path) for _ in range(10)]
        crowd.go()
        held = crowd.result()
    finally:
        crowd.close()
    time.sleep(DRAIN_S)
    served = found["waits"].get("200", [])
    return [
        row(f"{SLEEPERS:,} slow or silent: memory before", [before], "MB", ""),
        row("  meanwhile, at most", most, "MB", "bounded"),
        row("  after", [front.memory_mb()], "MB", ""),
        row("  connections still held", [held["held"]], "", "apart"),
        row("  others on kept connections: served", [100 * len(served) / (100 * seconds)], "%", ""),
        row("  others on kept connections: wait", served or [0.0], "ms", ""),
        row("  others on new connections: served", [10 * sum(fresh)], "%", "apart"),
    ]


def _served(front: Front, path: str) -> bool:
    headers = {"Authorization": f"Bearer {front.token('trade')}"}
    try:
        return requests.get(f"{front.url}{path}", headers=headers, timeout=2).ok
    except requests.RequestException:
        return False
