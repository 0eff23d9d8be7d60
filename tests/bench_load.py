"""Clients for the bench of the front: processes of their own, cheap enough not to be the limit.

Each runs one job, says `{}` once it is ready, begins at a line on its stdin and answers with one
line of JSON. Here is `asks`: requests over kept connections, each at once after the one before or
at a given rate; the others are in `bench_ears`.
"""

import asyncio
import gc
import json
import os
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any, Final

import uvloop

ROOT: Final = Path(__file__).parent.parent
FLOOD_NICE: Final = 10
HOMES: Final = {"asks": "bench_load", "ears": "bench_ears", "sleepers": "bench_ears"}


def request(method: str, path: str, port: int, token: str, body: str = "") -> bytes:
    """A request with its headers, as a program sends it."""
    lines = [f"{method} {path} HTTP/1.1", f"Host: 127.0.0.1:{port}"]
    lines += [f"Authorization: Bearer {token}", "Accept: application/json"]
    if body:
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    return ("\r\n".join(lines) + "\r\n\r\n" + body).encode()


# Requests


class Asker(asyncio.Protocol):
    """One kept connection that asks the same again and again.

    A wait begins when the request was due, also where the one before was not answered by then:
    what did not get its turn has waited, too. Of a flood it begins when the request was sent: how
    long its own queue is says nothing.
    """

    def __init__(self, raw: bytes, flood: bool, every_s: float, first_s: float) -> None:
        self._flood = flood
        self._raw, self._every_s, self._first_s = raw, every_s, first_s
        self.waits: dict[int, list[float]] = {}  # by status, in ms
        self.lost = False
        self._buffer = b""
        self._until = self._due = self._since = 0.0
        self._waiting = False
        self._loop = asyncio.get_running_loop()

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def begin(self, until: float) -> None:
        self._until = until
        self._due = time.monotonic() + self._first_s
        self._loop.call_at(self._due, self._ask)

    def data_received(self, data: bytes) -> None:
        data = self._buffer + data
        head, blank, body = data.partition(b"\r\n\r\n")
        length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
        if not blank or len(body) < int(length):
            self._buffer = data
            return
        self._buffer = b""
        now = time.monotonic()  # the loop's own time is cut to milliseconds
        self.waits.setdefault(int(data[9:12]), []).append((now - self._since) * 1e3)
        self._waiting = False
        if not self._every_s:
            self._due = now
            self._ask()
            return
        self._due += self._every_s
        self._loop.call_at(max(self._due, now), self._ask)

    def connection_lost(self, error: Exception | None) -> None:
        self.lost = True

    def _ask(self) -> None:
        if self._due < self._until and not self.lost and not self._waiting:
            self._waiting = True
            self._since = time.monotonic() if self._flood else self._due
            self.transport.write(self._raw)


async def asks(job: dict[str, Any]) -> dict[str, Any]:
    """Each of `streams` has so many `connections`, together asking `rate` times a second (0: as
    fast as they are answered). Answers with the waits of each, by status."""
    loop = asyncio.get_running_loop()
    if any(stream.get("flood") for stream in job["streams"]):
        os.nice(FLOOD_NICE)  # it is not to take the processor from those that are measured
    made: list[list[Asker]] = []
    for stream in job["streams"]:
        count, rate = stream["connections"], stream["rate"]
        every_s = count / rate if rate else 0.0
        raws = [request(port=job["port"], **one) for one in stream["requests"]]
        some = []
        for n in range(count):
            raw, flood = raws[n % len(raws)], stream.get("flood", False)
            maker = partial(Asker, raw, flood, every_s, every_s * n / count)
            some.append((await loop.create_connection(maker, "127.0.0.1", job["port"]))[1])
        made.append(some)
    await started(loop)
    began = time.monotonic()
    for some in made:
        for asker in some:
            asker.begin(began + job["seconds"])
    await asyncio.sleep(job["seconds"] + job.get("grace_s", 0.5))
    found = []
    for some in made:
        waits: dict[int, list[float]] = {}
        for asker in some:
            for status, those in asker.waits.items():
                waits.setdefault(status, []).extend(those)
        found.append({"waits": waits, "lost": sum(asker.lost for asker in some)})
    return {"streams": found, "cpu_s": time.process_time()}


async def started(loop: asyncio.AbstractEventLoop) -> None:
    print("{}", flush=True)
    await loop.run_in_executor(None, sys.stdin.readline)


class Load:
    """Such a process, from outside."""

    def __init__(self, what: str, **job: Any) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", f"tests.{HOMES[what]}", what, json.dumps(job)],
            cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip

    def ready(self) -> dict[str, Any]:
        """Its next line."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, "the load has ended"
        found: dict[str, Any] = json.loads(line)
        return found

    def go(self) -> None:
        """Begin; or end, where it goes on until it is told."""
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def result(self) -> dict[str, Any]:
        found = self.ready()
        self.close()
        return found

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()


if __name__ == "__main__":
    gc.disable()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        print(json.dumps(runner.run(asks(json.loads(sys.argv[2])))), flush=True)
