"""What the front is measured beside: the same work by the bare libraries, in a process of its own.

`http BYTES`: uvicorn that answers a constant of that size. `ws`: a WebSocket server that sends what
it is told to everyone, by the library's own broadcast.
"""

import asyncio
import json
import subprocess
import sys
import time
from typing import Any, Final

import uvicorn
import uvloop
from websockets.asyncio.server import ServerConnection, broadcast, serve

from tests.bench_load import ROOT
from tests.engine.running import free_ports

TEXT: Final = (
    '{"topic":"book.KXF-26NOV-T00000","source":"stream","epoch":1,"seq":%d,"at":%d,"body":'
    '{"type":"BookDelta","ticker":"KXF-26NOV-T00000","side":"yes","price":"0.0100",'
    '"change":"10.00","exchange_at":1782873388379000,"received_at":1782873388379000}}'
)


def http(port: int, size: int) -> None:
    body = b"x" * size
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % size)]

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    uvicorn.run(
        app, host="127.0.0.1", port=port, lifespan="off", log_level="error", access_log=False
    )


async def ws(port: int) -> None:
    """Listen; at each line `RATE SECONDS`, say so much to everyone, and what processor it took."""
    clients: set[ServerConnection] = set()

    async def client(connection: ServerConnection) -> None:
        clients.add(connection)
        await connection.wait_closed()
        clients.discard(connection)

    loop = asyncio.get_running_loop()
    async with serve(client, "127.0.0.1", port, compression=None, ping_interval=None):
        print("{}", flush=True)
        while line := await loop.run_in_executor(None, sys.stdin.readline):
            rate, seconds = map(float, line.split())
            began, cpu = loop.time(), time.process_time()
            for n in range(int(rate * seconds)):
                await asyncio.sleep(max(began + n / rate - loop.time(), 0))
                broadcast(clients, TEXT % (n, time.time_ns() // 1_000))
            print(json.dumps({"cpu_s": time.process_time() - cpu}), flush=True)


class Bare:
    """Such a process, from outside."""

    def __init__(self, what: str, *words: str) -> None:
        [self.port] = free_ports(1)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.bench_bare", what, str(self.port), *words],
            cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip

    def say(self, rate: float, seconds: float) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{rate} {seconds}\n")
        self.process.stdin.flush()

    def said(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        found: dict[str, Any] = json.loads(self.process.stdout.readline())
        return found

    def __enter__(self) -> "Bare":
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.communicate()


if __name__ == "__main__":
    if sys.argv[1] == "http":
        http(int(sys.argv[2]), int(sys.argv[3]))
    else:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(ws(int(sys.argv[2])))
