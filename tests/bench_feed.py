"""An exchange for the bench: it answers as the real one does, and sends deltas at a given rate.

A process of its own (`python -m tests.bench_feed`), told what to do on its stdin, a line each:
`run RATE COUNT`, `late MS COUNT`, `skip`, `mute`, `end`. What it did is one line of JSON.
"""

import gc
import json
import selectors
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.protocol import CONNECTING, OPEN
from websockets.server import ServerProtocol

ROOT: Final = Path(__file__).parent.parent
MARKETS: Final = 100
LEVELS: Final = 20
PING_EVERY_S: Final = 10.0
SLOT_S: Final = 0.001  # frames that are due within it leave together, as on a busy line
PAUSE_S: Final = 0.2  # between the building of a run and its first frame
NO_TIME: Final = 9_999_999_999_999  # milliseconds: stands for the time that is not known yet
BOOKS: Final = "orderbook_delta"


def tickers(count: int) -> list[str]:
    return [f"KXB-26NOV-T{n:05d}" for n in range(count)]


def text_frame(text: str) -> bytes:
    """One unmasked frame."""
    raw = text.encode()
    head = bytes([0x81, len(raw)]) if len(raw) < 126 else b"\x81\x7e" + len(raw).to_bytes(2, "big")
    return head + raw


class Venue:
    """What the exchange says on one connection (FACTS.md sections 4.2 to 4.4)."""

    def __init__(self) -> None:
        self.sids: dict[str, int] = {}
        self.seqs: dict[int, int] = {}
        self.books: list[str] = []  # whose deltas are subscribed here
        self._changes: dict[str, int] = {}

    def answer(self, raw: bytes | str) -> list[str]:
        """What a command leads to."""
        command = json.loads(raw)
        params, id = command.get("params", {}), command["id"]
        named = params.get("market_tickers", ())
        if command["cmd"] == "subscribe":
            return [text for c in params["channels"] for text in self._subscribe(id, c, named)]
        if command["cmd"] == "list_subscriptions":
            known = [{"channel": c, "sid": sid} for c, sid in self.sids.items()]
            return [json.dumps({"id": id, "type": "ok", "msg": known})]
        sid = params["sids"][0] if "sids" in params else params["sid"]
        if params.get("action") == "get_snapshot":
            return [self._snapshot(sid, ticker, id) for ticker in named]
        ok = {"id": id, "sid": sid, "seq": self.next(sid), "type": "ok", "msg": {}}
        added = params.get("action") == "add_markets" and self.sids.get(BOOKS) == sid
        new = self._add(named) if added else []
        return [json.dumps(ok), *(self._snapshot(sid, ticker) for ticker in new)]

    def _subscribe(self, id: int, channel: str, named: Sequence[str]) -> Iterator[str]:
        sid = self.sids.setdefault(channel, len(self.sids) + 1)
        msg = {"channel": channel, "sid": sid}
        yield json.dumps({"id": id, "type": "subscribed", "msg": msg})
        if channel == BOOKS:
            for ticker in self._add(named):
                yield self._snapshot(sid, ticker)

    def _add(self, named: Sequence[str]) -> list[str]:
        new = [ticker for ticker in named if ticker not in self._changes]
        self._changes.update(dict.fromkeys(new, 0))
        self.books += new
        return new

    def next(self, sid: int) -> int:
        self.seqs[sid] = self.seqs.get(sid, 0) + 1
        return self.seqs[sid]

    def _snapshot(self, sid: int, ticker: str, id: int | None = None) -> str:
        change = self._changes[ticker]
        yes = [[f"0.{20 + n}00", "500.00"] for n in range(LEVELS)]
        if change % 2:
            yes[change // 2 % LEVELS][1] = "510.00"
        no = [[f"0.{40 + n}00", "500.00"] for n in range(LEVELS)]
        msg = {"market_ticker": ticker, "yes_dollars_fp": yes, "no_dollars_fp": no}
        frame = {"type": "orderbook_snapshot", "sid": sid, "seq": self.next(sid), "msg": msg}
        return json.dumps(frame if id is None else {**frame, "id": id})

    def delta(self, ticker: str, ts_ms: int) -> str:
        """The next change of a book: up by ten contracts, then down again, level by level."""
        sid, change = self.sids[BOOKS], self._changes[ticker]
        self._changes[ticker] = change + 1
        return (
            f'{{"type":"orderbook_delta","sid":{sid},"seq":{self.next(sid)},'
            f'"msg":{{"market_ticker":"{ticker}","market_id":"{MARKET_ID}",'
            f'"price_dollars":"0.{20 + change // 2 % LEVELS}00",'
            f'"delta_fp":"{"-" if change % 2 else ""}10.00","side":"yes",'
            f'"ts":"2026-11-28T02:29:32Z","ts_ms":{ts_ms}}}}}'
        )


MARKET_ID: Final = uuid.UUID(int=0x9B0F6B435B684F9F9F029A2D1B8AC1A1)


class Line:
    """One connection of the feed."""

    def __init__(self, connection: socket.socket) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket = connection
        self.venue = Venue()
        self._protocol = ServerProtocol(max_size=None)

    def take(self) -> bool:
        """Read what has come, and answer it. False at the end."""
        try:
            data = self.socket.recv(262_144)
        except ConnectionError:
            data = b""
        if not data:
            return False
        self._protocol.receive_data(data)
        for event in self._protocol.events_received():
            if isinstance(event, Request):
                self._protocol.send_response(self._protocol.accept(event))
            elif isinstance(event, Frame) and event.opcode is Opcode.TEXT:
                if self._protocol.state is not OPEN:
                    break
                for text in self.venue.answer(bytes(event.data)):
                    self._protocol.send_text(text.encode())
        return self._write()

    def ping(self) -> bool:
        if self._protocol.state is OPEN:
            self._protocol.send_ping(b"heartbeat")
        return self._write()

    def _write(self) -> bool:
        data = b"".join(self._protocol.data_to_send())
        try:
            self.socket.sendall(data)
        except ConnectionError:
            return False
        return self._protocol.state in (CONNECTING, OPEN)


class Server:
    """All connections, and what is to be sent when."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._waiting = selectors.DefaultSelector()
        self._waiting.register(self._listener, selectors.EVENT_READ)
        self._waiting.register(sys.stdin, selectors.EVENT_READ)
        self._lines: list[Line] = []
        self._ping_at = time.monotonic() + PING_EVERY_S
        print(self._listener.getsockname()[1], flush=True)

    def serve(self) -> None:
        while True:
            for key, _ in self._waiting.select(self._ping_at - time.monotonic()):
                if key.fileobj is sys.stdin:
                    command, *numbers = sys.stdin.readline().split() or ["end"]
                    if command == "end":
                        return
                    print(json.dumps(self._do(command, *map(int, numbers))), flush=True)
                else:
                    self._look(key)
            self._pings()

    def _do(self, command: str, *numbers: int) -> dict[str, Any]:
        match command:
            case "run":
                return self._run(*numbers)
            case "late":  # one frame each millisecond, that old
                return self._run(1_000, numbers[1], numbers[0])
            case "skip":  # a number that no frame will have
                for line in self._booked():
                    line.venue.next(line.venue.sids[BOOKS])
                return {}
            case "mute":  # nothing is read or sent until `end`
                print(json.dumps({"at": time.time_ns()}), flush=True)
                sys.stdin.readline()
                sys.exit()
        raise AssertionError(command)

    def _look(self, key: selectors.SelectorKey) -> None:
        if key.fileobj is self._listener:
            line = Line(self._listener.accept()[0])
            self._lines.append(line)
            self._waiting.register(line.socket, selectors.EVENT_READ, line)
        elif not key.data.take():
            self._drop(key.data)

    def _drop(self, line: Line) -> None:
        self._waiting.unregister(line.socket)
        line.socket.close()
        self._lines.remove(line)

    def _pings(self) -> None:
        if time.monotonic() >= self._ping_at:
            self._ping_at += PING_EVERY_S
            for line in self._lines.copy():
                if not line.ping():
                    self._drop(line)

    def _booked(self) -> list[Line]:
        return [line for line in self._lines if line.venue.books]

    def _run(self, rate: int, count: int, late_ms: int = 0) -> dict[str, Any]:
        """Send so many deltas, round all books, each when it is due; their time is when they are
        sent, less what they are late."""
        owners = [(line, ticker) for line in self._booked() for ticker in line.venue.books]
        slots: list[tuple[int, dict[Line, bytes]]] = []
        a_slot = max(int(rate * SLOT_S), 1)
        for first in range(0, count, a_slot):
            pieces: dict[Line, list[bytes]] = {}
            for n in range(first, min(first + a_slot, count)):
                line, ticker = owners[n % len(owners)]
                pieces.setdefault(line, []).append(text_frame(line.venue.delta(ticker, NO_TIME)))
            whole = {line: b"".join(some) for line, some in pieces.items()}
            slots.append((min(a_slot, count - first), whole))
            self._serve_others(0)
        began, done, sent = time.monotonic() + PAUSE_S, 0, []
        for number, pieces_of in slots:
            sent.append([self._send(began + done / rate, pieces_of, late_ms), number])
            done += number
        return {"sent": count, "slots": sent}

    def _send(self, due: float, pieces: dict[Line, bytes], late_ms: int) -> int:
        """When a slot left, in wall nanoseconds. A line that is gone gets nothing more."""
        self._serve_others(0)
        while (left := due - time.monotonic()) > 0:
            self._serve_others(left if left > 0.0002 else 0)
        at = time.time_ns()
        now = b"%d" % (at // 1_000_000 - late_ms)
        for line, data in pieces.items():
            try:
                line.socket.sendall(data.replace(b"%d" % NO_TIME, now))
            except OSError:
                print(f"feed: a line of {len(line.venue.books)} books is gone", file=sys.stderr)
        self._pings()
        return at

    def _serve_others(self, seconds: float) -> None:
        """Commands and pings are answered meanwhile."""
        for key, _ in self._waiting.select(seconds):
            if key.fileobj is not sys.stdin:
                self._look(key)


class Feed:
    """The process, from outside."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.bench_feed"],
            cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.port = int(self._line())

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/trade-api/ws/v2"

    def tell(self, command: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(command + "\n")
        self._process.stdin.flush()

    def answer(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self._line())
        return found

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline()

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()


if __name__ == "__main__":
    gc.disable()
    Server().serve()
