"""A front of its own: the real `api` process, and stand-ins for everyone else of the engine.

What reaches the stand-ins is kept, so a test can show that nothing did; what they publish is what
a test or a bench wants published.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import zmq

from protocol.book import Book
from protocol.config import Settings, read
from protocol.envelope import Letter, Outbox, decode_letter, encode, encode_letter
from protocol.messages import (
    AccountAnswer,
    AccountRequest,
    AccountState,
    AnyMessage,
    BookAnswer,
    BookDelta,
    BookRequest,
    BookSnapshot,
    CancelAnswer,
    CancelOrder,
    Entries,
    EntriesRequest,
    Follow,
    FollowAnswer,
    Halt,
    HaltAnswer,
    Heartbeat,
    ProcessHealth,
    Refused,
    Resume,
    System,
)
from protocol.runtime.tokens import load_tokens, new_secret, new_token, store_tokens
from protocol.tokens import USUAL, Scope
from protocol.units import Count, Price
from tests.engine.running import ROOT, free_ports

READY_MAX_S: Final = 20.0
IN_FORCE: Final = " tokens are in force"  # says the front whenever they are others
LEVELS: Final = 20  # on each side of a book
TICK: Final = os.sysconf("SC_CLK_TCK")
PEERS: Final = ("stream", "gateway", "writer", "rehydrator", "supervisor")
KEEPING_UP: Final = (AccountRequest, EntriesRequest, BookRequest)  # asked by timers, not clients


def tickers(count: int) -> list[str]:
    return [f"KXF-26NOV-T{n:05d}" for n in range(count)]


class StandIns(threading.Thread):
    """Stream, gateway, writer, rehydrator and supervisor, as far as the front needs them."""

    def __init__(self, settings: Settings, names: list[str]) -> None:
        super().__init__(daemon=True)
        self.letters: list[tuple[str, AnyMessage]] = []  # to whom, and what
        self.beat: Heartbeat | None = None  # the last one
        self._news = threading.Condition()
        self._context = zmq.Context()
        self._over = threading.Event()
        self._lock = threading.Lock()  # of the publishers: a test's thread publishes, too
        self._routers = {self._bound(zmq.ROUTER, settings, f"{n}.in"): n for n in PEERS}
        self._outboxes = {name: Outbox(name, 1) for name in ("stream", "writer", "supervisor")}
        self._pubs = {
            "stream": self._bound(zmq.PUB, settings, "stream.pub"),
            "writer": self._bound(zmq.PUB, settings, "ledger.pub"),
            "supervisor": self._bound(zmq.PUB, settings, "system.pub"),
        }
        levels = [(Price(10_000 * (n + 1)), Count(50_000)) for n in range(LEVELS)]
        self._books = {name: Book(levels, levels) for name in names}
        self._turns = dict.fromkeys(names, 0)
        self._system_at = 0.0

    def _bound(self, kind: int, settings: Settings, name: str) -> "zmq.Socket[bytes]":
        socket: zmq.Socket[bytes] = self._context.socket(kind)
        socket.set(zmq.SNDHWM, 0)
        socket.bind(settings.endpoint(name))
        return socket

    # What a test or a bench does

    def change(self, ticker: str) -> None:
        """Publish the next change of a book: up by ten contracts, then down again, by level."""
        with self._lock:
            turn = self._turns[ticker]
            self._turns[ticker] = turn + 1
            at, price = _at(), Price(10_000 * (turn // 2 % LEVELS + 1))
            change = Count(-1_000 if turn % 2 else 1_000)
            self._books[ticker].apply("yes", price, change)
            delta = BookDelta(ticker, "yes", price, change, at, at)
            self._say("stream", f"book.{ticker}", delta)

    def publish(self, name: str, topic: str, body: AnyMessage) -> None:
        with self._lock:
            self._say(name, topic, body)

    def asked(self) -> list[tuple[str, AnyMessage]]:
        """The letters so far that clients brought about."""
        with self._news:
            return [one for one in self.letters if not isinstance(one[1], KEEPING_UP)]

    def until_beat(self, wanted: Callable[[Heartbeat], bool], seconds: float) -> Heartbeat:
        """The first heartbeat from now on that is as wanted."""
        deadline = time.monotonic() + seconds
        with self._news:
            self.beat = None
            while self.beat is None or not wanted(self.beat):
                left = deadline - time.monotonic()
                assert left > 0, f"no such heartbeat; the last one was {self.beat}"
                self._news.wait(left)
            return self.beat

    # The thread

    def run(self) -> None:
        poller = zmq.Poller()
        for router in self._routers:
            poller.register(router, zmq.POLLIN)
        while not self._over.is_set():
            self._regularly()
            for socket, _ in poller.poll(50):
                self._drain(socket)
        self._context.destroy(linger=0)

    def _drain(self, socket: "zmq.Socket[bytes]") -> None:
        while True:
            try:
                *sender, raw = socket.recv_multipart(zmq.DONTWAIT)
            except zmq.Again:
                return
            letter = decode_letter(raw)
            answer = self._answer(self._routers[socket], letter)
            if answer is not None:
                told = Letter(self._routers[socket], 1, letter.id, _at(), answer)
                socket.send_multipart([*sender, encode_letter(told)])

    def _answer(self, peer: str, letter: Letter) -> AnyMessage | None:
        if isinstance(letter.body, Heartbeat):
            with self._news:
                self.beat = letter.body
                self._news.notify_all()
            return None
        with self._news:
            self.letters.append((peer, letter.body))
        match letter.body:
            case AccountRequest():
                return AccountAnswer("restored", AccountState(0))
            case EntriesRequest():
                return Entries((), 0)
            case BookRequest(ticker=ticker):
                return self._book(ticker)
            case Follow():
                return FollowAnswer(("*",), len(self._books), len(self._books))
            case CancelOrder(client_order_id=name):
                return CancelAnswer(name, "not_found")
            case Halt(reason=reason):
                return HaltAnswer(True, reason)
            case Resume():
                return HaltAnswer(False)
        return Refused("not here")

    def _book(self, ticker: str) -> BookAnswer:
        with self._lock:
            book = self._books.get(ticker)
            if book is None:
                return BookAnswer(ticker, "not followed", 1, 0)
            seq, at = self._outboxes["stream"].seq(f"book.{ticker}"), _at()
            yes, no = tuple(book.levels("yes")), tuple(book.levels("no"))
            return BookAnswer(ticker, "live", 1, seq, yes, no, "", at, 1, at, at)

    def _regularly(self) -> None:
        """The marks of all who publish, and the supervisor's word."""
        now, at = time.monotonic_ns(), _at()
        with self._lock:
            for name, outbox in self._outboxes.items():
                for mark in outbox.marks(now, at):
                    self._pubs[name].send(encode(mark))
            if time.monotonic() >= self._system_at:
                self._system_at = time.monotonic() + 1.0
                self._say("supervisor", "system", _system())

    def _say(self, name: str, topic: str, body: AnyMessage) -> None:
        self._pubs[name].send(encode(self._outboxes[name].seal(topic, body, _at())))

    def snapshot(self, ticker: str) -> None:
        """Publish a whole book."""
        with self._lock:
            book = self._books[ticker]
            yes, no = tuple(book.levels("yes")), tuple(book.levels("no"))
            self._say("stream", f"book.{ticker}", BookSnapshot(ticker, yes, no, _at(), 1))

    def close(self) -> None:
        self._over.set()
        self.join()


def cpu_s(pid: int) -> float:
    """Seconds of a processor that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def _at() -> int:
    return time.time_ns() // 1_000


def _system() -> System:
    well = ProcessHealth("ready", "", 1, 1, 0, 0)
    flags = {"rehydrated": True, "db_ready": True, "rest_ready": True, "streams_ready": True}
    return System(True, "open", 10_000, (), flags, dict.fromkeys(PEERS, well))


class Front:
    """The process, ready, and its stand-ins."""

    def __init__(
        self,
        names: list[str],
        tokens: dict[str, tuple[Scope, ...]] | None = None,
        expired: tuple[str, ...] = (),
        settings: str = "",
    ) -> None:
        """Books of these names. `tokens` are more of them, by name, with their scopes; `settings`
        are more of `[api]`, as TOML."""
        self.folder = tempfile.mkdtemp(prefix="kf", dir="/tmp")
        [self.port] = free_ports(1)
        self.url = f"http://127.0.0.1:{self.port}"
        text = (ROOT / "configs" / "paper.toml").read_text()
        text = text.replace('"run/paper', f'"{self.folder}/run')
        text = text.replace("port = 7601", f"port = {self.port}\n{settings}")
        text = text.replace('"var/paper', f'"{self.folder}/var')
        Path(self.folder, "p.toml").write_text(text)
        self.settings = read(text, {}, "front")
        self._environment = {**os.environ, "SIDECAR_CONFIG": f"{self.folder}/p.toml"}
        self.sidecar("setup")
        self.secrets = {name: self.token(name) for name in USUAL}
        for name, scopes in (tokens or {}).items():
            self._add(name, scopes, 1 if name in expired else 0)
        for path in (self.settings.run_dir, self.settings.bus_dir):
            os.makedirs(path, 0o700, exist_ok=True)
        self.others = StandIns(self.settings, names)
        self.others.start()
        self.log = Path(self.folder, "log")
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "actors.api"], cwd=ROOT, env=self._environment, stderr=log
            )
        self.until_ready()

    def sidecar(self, *words: str) -> str:
        """Run the `sidecar` command to its end. Returns what it printed."""
        command = [str(Path(sys.executable).parent / "sidecar"), *words]
        done = subprocess.run(
            command, env=self._environment, cwd=ROOT, capture_output=True, text=True, timeout=30
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def until_ready(self) -> None:
        try:
            self.others.until_beat(lambda beat: beat.ready, READY_MAX_S)
        except AssertionError as e:
            raise AssertionError(f"{e}\n{self.log.read_text()[-2_000:]}") from None

    def page(self) -> tuple[str, str]:
        """The address of the page and a code for it, which the front knows by now."""
        before, deadline = self.log.read_text().count(IN_FORCE), time.monotonic() + READY_MAX_S
        address, _, code = self.sidecar("page").strip().partition("/#")
        while self.log.read_text().count(IN_FORCE) == before:
            assert time.monotonic() < deadline, "the front does not take the code over"
            time.sleep(0.05)
        return address, code

    def _add(self, name: str, scopes: tuple[Scope, ...], expires_at: int) -> None:
        secret, var_dir = new_secret(), self.settings.var_dir
        token = new_token(name, secret, scopes, _at(), expires_at)
        store_tokens(var_dir, load_tokens(var_dir).having(token))
        self.secrets[name] = secret.decode()

    def token(self, name: str) -> str:
        return Path(self.settings.var_dir, f"token.{name}").read_text().strip()

    def cpu_s(self) -> float:
        """Seconds of a processor that the front has used."""
        return cpu_s(self.process.pid)

    def memory_mb(self) -> float:
        """Its resident memory."""
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        return sum(int(line.split()[1]) for line in lines if line.startswith("VmRSS:")) / 1024

    def close(self) -> None:
        self.process.terminate()
        self.process.wait()
        self.others.close()
        shutil.rmtree(self.folder)

    def __enter__(self) -> "Front":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            print(self.log.read_text()[-5_000:])
        self.close()
