"""A stream of our own on real sockets, whose day is known, and recorders that attach to it."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import zmq

from protocol import topics
from protocol.envelope import Envelope, Letter, Outbox, decode_letter, encode, encode_letter
from protocol.messages import (
    AnyMessage,
    BookAnswer,
    BookRequest,
    FollowerReport,
    Noted,
    RawFrame,
)
from protocol.units import Count, Price

ROOT = Path(__file__).parents[3]
PATIENCE = 30.0  # seconds
SETTINGS = """
profile = "test"
run_dir = "{0}/run"
var_dir = "{0}/var"
[exchange]
environment = "paper"
rest_url = "http://127.0.0.1:7602/trade-api/v2"
ws_url = "ws://127.0.0.1:7602/trade-api/ws/v2"
key_id = "paper"
key_file = "{0}/key.pem"
[stream]
follow = ["*"]
[paper]
enabled = true
"""
Sides = dict[str, dict[int, int]]
T = TypeVar("T")


def wall() -> int:
    return time.time_ns() // 1_000


def dollars(price: int) -> str:
    return f"{price / 100:.4f}"


class Day:
    """Books that change at random, and the frames that say so, on one subscription."""

    def __init__(self, seed: int, tickers: tuple[str, ...]) -> None:
        self._dice = random.Random(seed)
        self.books: dict[str, Sides] = {t: {"yes": {}, "no": {}} for t in tickers}
        self.seq = 0

    def _frame(self, kind: str, body: dict[str, Any]) -> bytes:
        self.seq += 1
        return json.dumps({"type": kind, "sid": 1, "seq": self.seq, "msg": body}).encode()

    def snapshot(self, ticker: str) -> bytes:
        body: dict[str, Any] = {"market_ticker": ticker, "market_id": "m-" + ticker}
        for side, levels in self.books[ticker].items():
            if levels:
                rows = [[dollars(p), f"{c}.00"] for p, c in sorted(levels.items())]
                body[f"{side}_dollars_fp"] = rows
        return self._frame("orderbook_snapshot", body)

    def delta(self, ticker: str = "") -> bytes:
        ticker = ticker or self._dice.choice(sorted(self.books))
        side = self._dice.choice(("yes", "no"))
        levels = self.books[ticker][side]
        price = self._dice.randint(1, 49)
        held = levels.get(price, 0)
        change = -held if held and self._dice.random() < 0.4 else self._dice.randint(1, 900)
        levels[price] = held + change
        if not levels[price]:
            del levels[price]
        return self._frame(
            "orderbook_delta",
            {
                "market_ticker": ticker,
                "market_id": "m-" + ticker,
                "price_dollars": dollars(price),
                "delta_fp": f"{change}.00",
                "side": side,
            },
        )


class Scene:
    """The sockets of a stream and of a supervisor, in a folder of their own."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="kr-", dir="/tmp"))
        bus = self.folder / "run" / "bus"
        for path in (self.folder / "run", bus, self.folder / "var"):
            path.mkdir(mode=0o700)
        self.config = self.folder / "paper.toml"
        self.config.write_text(SETTINGS.format(self.folder))
        self.out = self.folder / "recordings"
        self.log = self.folder / "log"
        self._context = zmq.Context()
        self._pub = self._socket(zmq.XPUB, bus / "stream.pub")
        self._stream = self._socket(zmq.ROUTER, bus / "stream.in")
        self._supervisor = self._socket(zmq.ROUTER, bus / "supervisor.in")
        self.epoch = wall()
        self.outbox = Outbox("stream", self.epoch)
        self.answer: Callable[[str], BookAnswer] | None = None
        self.asked: list[str] = []
        self.reports: list[FollowerReport] = []
        self.listened: set[bytes] = set()
        self.marking = True
        self._children: list[subprocess.Popen[bytes]] = []

    def _socket(self, kind: int, path: Path) -> "zmq.Socket[bytes]":
        socket: zmq.Socket[bytes] = self._context.socket(kind)
        socket.set(zmq.SNDHWM, 0)
        socket.bind(f"ipc://{path}")
        return socket

    def __enter__(self) -> "Scene":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        for child in self._children:
            if child.poll() is None:
                child.kill()
            child.wait()
        self._context.destroy(linger=0)
        if kind is not None:
            print(self.said())
        shutil.rmtree(self.folder)

    # What the stream says

    def publish(self, envelope: Envelope) -> None:
        self._pub.send(encode(envelope))

    def raw(self, frame: bytes, channel: str = "orderbook_delta", **how: Any) -> Envelope:
        """One frame, as the stream says it; `heard=False`: it is lost on the way."""
        at = how.get("at") or wall()
        body = RawFrame(how.get("link", "market1"), how.get("connection", 1), at, frame)
        envelope = self.outbox.seal(topics.raw(channel), body, wall())
        if how.get("heard", True):
            self.publish(envelope)
        return envelope

    def restart(self) -> None:
        """The stream begins a new life."""
        self.epoch += 1
        self.outbox = Outbox("stream", self.epoch)

    def live(self, ticker: str, book: Sides, received_at: int) -> BookAnswer:
        """What the stream answers of a book."""
        rows = {
            side: tuple((Price(p * 10_000), Count(c * 100)) for p, c in sorted(levels.items()))
            for side, levels in book.items()
        }
        return BookAnswer(
            ticker, "live", self.epoch, 1, rows["yes"], rows["no"], received_at=received_at
        )

    # What happens meanwhile

    def until(self, found: Callable[[], T], what: str, seconds: float = PATIENCE) -> T:
        """Be the stream and the supervisor until there is something."""
        deadline = time.monotonic() + seconds
        while not (seen := found()):
            assert time.monotonic() < deadline, f"not within {seconds} s: {what}\n{self.said()}"
            self.turn()
        return seen

    def turn(self) -> None:
        """Take what has come, or wait a moment for it."""
        if self.marking:
            for envelope in self.outbox.marks(time.monotonic_ns(), wall()):
                self.publish(envelope)
        poller = zmq.Poller()
        for socket in (self._pub, self._stream, self._supervisor):
            poller.register(socket, zmq.POLLIN)
        for socket, _ in poller.poll(20):
            if socket is self._pub:
                word = socket.recv()
                (self.listened.add if word[0] else self.listened.discard)(word[1:])
                continue
            sender, frame = socket.recv_multipart()
            letter = decode_letter(frame)
            answer: AnyMessage | None = None
            if isinstance(letter.body, FollowerReport):
                self.reports.append(letter.body)
                answer = Noted()
            elif isinstance(letter.body, BookRequest):
                self.asked.append(letter.body.ticker)
                if self.answer is not None:
                    answer = self.answer(letter.body.ticker)
            if answer is not None:
                said = Letter("stream", self.epoch, letter.id, wall(), answer)
                socket.send_multipart([sender, encode_letter(said)])

    # Who attaches

    def command(self, *words: str, **how: Any) -> "subprocess.Popen[bytes]":
        """Start a `sidecar` command."""
        with self.log.open("ab") as log:
            child = subprocess.Popen(
                [str(Path(sys.executable).parent / "sidecar"), *words],
                env=self.environment(),
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=how.pop("stdout", log),
                stderr=log,
                **how,
            )
        self._children.append(child)
        return child

    def environment(self) -> dict[str, str]:
        kept = {k: v for k, v in os.environ.items() if not k.startswith("SIDECAR_")}
        return {**kept, "SIDECAR_CONFIG": str(self.config), "PYTHONUNBUFFERED": "1"}

    def record(self, *words: str, **how: Any) -> "subprocess.Popen[bytes]":
        """A recorder that listens already."""
        self.listened.clear()
        child = self.command("record", "--dir", str(self.out), *words, **how)
        self.until(lambda: b"raw." in self.listened, "the recorder listens")
        return child

    def end(self, child: "subprocess.Popen[bytes]", number: int = signal.SIGTERM) -> int:
        """Ask a command to stop; returns its exit code."""
        child.send_signal(number)
        self.until(lambda: child.poll() is not None, "it ends")
        return child.returncode

    def said(self) -> str:
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def segments(self) -> list[Path]:
        return sorted(self.out.glob("raw-*.jsonl.gz"))

    def indexes(self) -> list[Any]:
        return [json.loads(path.read_text()) for path in sorted(self.out.glob("*.index.json"))]

    def lines(self) -> list[Any]:
        """All lines, by the plainest means there is: zcat, one segment after the other."""
        return [line for path in self.segments() for line in self.lines_of(path)]

    def lines_of(self, segment: Path) -> list[Any]:
        out = subprocess.run(["zcat", str(segment)], capture_output=True).stdout
        return [json.loads(line) for line in out.splitlines()]

    def frames(self) -> list[Any]:
        return [line["frame"] for line in self.lines() if "frame" in line]

    def holes(self) -> list[Any]:
        return [line["hole"] for line in self.lines() if "hole" in line]
