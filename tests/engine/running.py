"""A running engine of its own: a profile in a short folder, free ports, honcho around it all."""

import contextlib
import gzip
import json
import os
import random
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import msgspec
import requests
import zmq

from protocol.config import read
from protocol.envelope import Envelope, Letter, decode_letter, encode_letter
from protocol.messages import AnyMessage, System
from tests.engine.ear import Ear
from tests.engine.proxy import Proxy

ROOT = Path(__file__).parent.parent.parent
ACTORS = ("supervisor", "writer", "rehydrator", "gateway", "stream", "api", "paper")
PORTS = range(10_000, 32_000)  # below those that Linux, and others, connect from
DICE = random.SystemRandom()
HEALTHY_MAX_S = 40.0  # generous: how long it really takes is measured elsewhere
COMMAND_MAX_S = 120.0  # also of one that proves a long ledger beside other work
STOP_MAX_S = 20.0
TRADING_MAX_S = 20.0  # from the supervisor's word that the gate is open, on a busy machine
REBORN_MAX_S = 40.0
SUPERVISED_US = 1_000_000  # in which the supervisor looks at the latch at least once

USED_UP = ("not_recorded", "withdrawn")  # of the order's id
ADMIN = ("/v1/resume", "/v1/brakes", "/v1/restore/confirm")  # what a trading token may not

T = TypeVar("T")


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on now.

    They are none of those that the system gives to whoever connects somewhere: such a one may be
    taken again by the time that somebody listens on it.
    """
    probes: list[socket.socket] = []
    while len(probes) < count:
        probe = socket.socket()
        try:
            probe.bind(("127.0.0.1", DICE.choice(PORTS)))
        except OSError:
            probe.close()
            continue
        probes.append(probe)
    ports: list[int] = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return ports


class Engine:
    """Start it, talk to it, hurt it, stop it."""

    _made: "ClassVar[tempfile.TemporaryDirectory[str] | None]" = None

    def __init__(
        self,
        feed: str = "synthetic",
        speed: float = 1.0,
        proxied: bool = False,
        **overrides: str,
    ) -> None:
        """`proxied`: the stream reaches the exchange through `proxy`, all others as ever."""
        self.folder = Path(tempfile.mkdtemp(prefix="ks-", dir="/tmp"))
        api, status, paper = free_ports(3)
        self.api = f"http://127.0.0.1:{api}"
        self.status_page = f"http://127.0.0.1:{status}"
        self.exchange = f"http://127.0.0.1:{paper}"
        self._proxy = Proxy(paper) if proxied else None
        socket_port = paper if self._proxy is None else self._proxy.port
        text = (ROOT / "configs" / "paper.toml").read_text()
        for old, new in {
            "7601": str(api),
            "7600": str(status),
            "ws://127.0.0.1:7602": f"ws://127.0.0.1:{socket_port}",
            "7602": str(paper),
            '"run/paper': f'"{self.folder}/run',
            '"var/paper': f'"{self.folder}/var',
            'feed = "synthetic"': f'feed = "{feed}"',
            "speed = 1.0": f"speed = {float(speed)}",
            **overrides,
        }.items():
            assert old in text, old
            text = text.replace(old, new)
        self.config = self.folder / "paper.toml"
        self.config.write_text(text)
        self.settings = read(text, {}, str(self.config))
        self.environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith("SIDECAR_")},
            "SIDECAR_CONFIG": str(self.config),
            "SIDECAR_BIN": str(Path(sys.executable).parent / "sidecar"),
            "PYTHONUNBUFFERED": "1",
            # What one token may ask is tested by itself; here one stands for many programs.
            "SIDECAR_API_ASKS_A_SECOND": "10000",
            "SIDECAR_API_TRADES_A_SECOND": "10000",
            "SIDECAR_API_SOCKETS_A_TOKEN": "2000",
        }
        self.log = self.folder / "log"
        self._honcho: subprocess.Popen[bytes] | None = None
        self._launched: dict[str, subprocess.Popen[bytes]] = {}  # beside honcho, by name
        self._set_up()

    def _set_up(self) -> None:
        """`sidecar setup`, once; other engines get a copy of the keys and tokens that it made."""
        if Engine._made is not None:
            shutil.copytree(Engine._made.name, self.folder, dirs_exist_ok=True)
            return
        done = self.sidecar("setup")
        assert done.returncode == 0, done.stderr
        Engine._made = tempfile.TemporaryDirectory(prefix="ks-made-")
        for name in ("run", "var"):
            shutil.copytree(self.folder / name, Path(Engine._made.name, name))

    def sidecar(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Run the `sidecar` command to its end."""
        return subprocess.run(
            [self.environment["SIDECAR_BIN"], *arguments],
            env=self.environment,
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=COMMAND_MAX_S,
        )

    def start(self, *names: str) -> None:
        """honcho start, with all processes of the Procfile or only these."""
        self._honcho = self._spawn(str(Path(sys.executable).parent / "honcho"), "start", *names)

    def replay(self, path: Path, *words: str) -> None:
        """`sidecar replay`, which becomes honcho."""
        self._honcho = self._spawn(self.environment["SIDECAR_BIN"], "replay", str(path), *words)

    def beside(self, *words: str) -> "subprocess.Popen[bytes]":
        """A `sidecar` command that runs on, beside honcho."""
        child = self._spawn(self.environment["SIDECAR_BIN"], *words)
        self._launched[words[0]] = child
        return child

    def start_without(self, *names: str) -> None:
        """honcho start, with all processes but these."""
        self.start(*(name for name in ACTORS if name not in names))

    def strike(self, name: str) -> None:
        """kill -9 of a process that was launched beside honcho; returns once it is gone."""
        child = self._launched[name]
        child.kill()
        child.wait()

    def launch(self, name: str) -> "subprocess.Popen[bytes]":
        """One process beside honcho and without a runner: nobody restarts it."""
        child = self._spawn(self.environment["SIDECAR_BIN"], "actor", name)
        self._launched[name] = child
        return child

    def _spawn(self, *command: str) -> "subprocess.Popen[bytes]":
        with self.log.open("ab") as log:
            return subprocess.Popen(
                command,
                env=self.environment,
                cwd=ROOT,
                stdout=log,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
            )

    def stop(self) -> int:
        """As Ctrl-C would. Returns honcho's exit code."""
        assert self._honcho is not None
        self._honcho.send_signal(signal.SIGINT)
        try:
            return self._honcho.wait(STOP_MAX_S)
        except subprocess.TimeoutExpired:
            self._honcho.kill()
            raise AssertionError(f"did not stop within {STOP_MAX_S} s\n{self.tail()}") from None

    def kill(self) -> None:
        """honcho dies and can tell nobody."""
        assert self._honcho is not None
        self._honcho.kill()
        self._honcho.wait()

    def close(self) -> None:
        """Stop what still runs and remove the folder."""
        if self._honcho is not None and self._honcho.poll() is None:
            self.stop()
        for child in self._launched.values():
            if child.poll() is None:
                child.kill()
            child.wait()
        shutil.rmtree(self.folder)
        if self._proxy is not None:
            self._proxy.close()

    def __enter__(self) -> "Engine":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            print(self.tail(200))
        self.close()

    def tail(self, lines: int = 60) -> str:
        """The end of what the processes have logged."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    @property
    def proxy(self) -> Proxy:
        """The line between the stream and the exchange."""
        assert self._proxy is not None, "started without"
        return self._proxy

    # What it says of itself

    def ear(self, name: str, *prefixes: str) -> Ear:
        return Ear(self.settings, name, prefixes)

    def until_system(
        self, wanted: Callable[[System], bool], seconds: float, since: int = 0
    ) -> System:
        """Wait for a state of the whole, as the supervisor publishes it.

        `since` (wall clock, in microseconds): what it said before does not count.
        """

        def look(envelope: Envelope) -> System | None:
            body = envelope.body
            said = isinstance(body, System) and envelope.at >= since
            return body if said and wanted(body) else None

        with self.ear("system.pub", "system ") as ear:
            try:
                return ear.until(look, seconds)
            except AssertionError as e:
                raise AssertionError(f"{e}\n{self.tail()}") from None

    def until_healthy(self, seconds: float = HEALTHY_MAX_S, since: int = 0) -> System:
        """Wait until the supervisor says that all is well and the gate is open."""
        return self.until_system(lambda s: s.healthy and s.gate == "open", seconds, since)

    def until_trading(self, seconds: float = HEALTHY_MAX_S, since: int = 0) -> System:
        """Wait until the gateway takes orders: it hears that its gate is open after we do."""
        system = self.until_healthy(seconds, since)
        self.until_refused("market_not_found")
        return system

    def until_refused(self, *codes: str, seconds: float = TRADING_MAX_S) -> None:
        """Wait until the gateway refuses an order for a market that there is not with one of these
        codes.

        Such an order leaves no trace: nothing is recorded, and no order request is sent. Halts,
        the gate and the account are looked at before its market, the brakes after it; so
        `market_not_found` says that an order for another market would be taken.
        """
        terms = {"ticker": "KXNOBODY-1", "side": "bid", "price": "0.0100", "count": "1.00"}
        order = {**terms, "time_in_force": "immediate_or_cancel"}  # an id of the engine's own
        said: list[str] = []

        def refused() -> bool:
            answer = self.post("/v1/orders", order)
            said.append(str(answer.json().get("code")))
            return said[-1] in codes

        try:
            self.until(refused, seconds)
        except AssertionError as e:
            raise AssertionError(f"refused not with {codes} but with {said[-1]}: {e}") from None

    def reborn(self, name: str, how: int = signal.SIGKILL, seconds: float = REBORN_MAX_S) -> System:
        """End one process; returns once its next life is well and orders are taken.

        That there is another pid proves little: for seconds the supervisor counts what the former
        life has said. Each life has a higher epoch; where the supervisor knows none it has a moment
        to notice.
        """
        before, epoch = self.pids()[name], 0
        if name not in ("supervisor", "paper"):
            epoch = self.until_system(lambda s: name in s.processes, 10).processes[name].epoch
        os.kill(before, how)
        self.until(lambda: self.pids()[name] != before, seconds, f"another {name}")
        since = 0 if epoch else time.time_ns() // 1_000 + SUPERVISED_US

        def back(system: System) -> bool:
            well = system.healthy and system.gate == "open"
            return well and (not epoch or system.processes[name].epoch > epoch)

        self.until_system(back, seconds, since)
        return self.until_trading(seconds)

    def resume(self, reason: str = "go on") -> None:
        """Lift a halt; returns once orders are taken.

        The supervisor reads the latch twice a second, and closes the gate for what it has read:
        what it says of the gate before it has read it again may be from before, or change.
        """
        answer = self.post("/v1/resume", {"reason": reason})
        assert answer.status_code == 200, answer.text
        self.until_trading(since=time.time_ns() // 1_000 + SUPERVISED_US)

    def until(self, found: Callable[[], T], seconds: float, what: str = "") -> T:
        """Look again at each message about money or readiness, until there is something."""
        deadline = time.monotonic() + seconds
        with self.ear("ledger.pub", "ledger", "mark ") as ear:
            while not (seen := found()):
                if time.monotonic() > deadline:
                    raise AssertionError(f"not within {seconds} s: {what}\n{self.tail()}")
                ear.pause(0.25)
        return seen

    def pids(self) -> dict[str, int]:
        """The actors' pids, by what their runners wrote."""
        found = {}
        for name in ACTORS:
            path = Path(self.settings.run_dir) / f"{name}.runner.json"
            if path.exists():
                found[name] = json.loads(path.read_text())["pid"]
        return found

    # What one may ask it

    def get(self, path: str, token: str = "read") -> requests.Response:
        return self._ask("GET", path, None, token)

    def post(self, path: str, body: Any, token: str = "") -> requests.Response:
        """With the token that is made for it, unless another is named."""
        usual = "admin" if path in ADMIN else "trade"
        return self._ask("POST", path, body, token or usual)

    def delete(self, path: str, token: str = "trade") -> requests.Response:
        return self._ask("DELETE", path, None, token)

    def _ask(self, method: str, path: str, body: Any, token: str) -> requests.Response:
        secret = Path(self.settings.var_dir, f"token.{token}").read_text().strip()
        return requests.request(
            method,
            f"{self.api}{path}",
            json=body,
            headers={"Authorization": f"Bearer {secret}"},
            timeout=20,
        )

    def order(self, ticker: str, /, **terms: Any) -> requests.Response:
        """Post an order: a bid for one contract at 99 cents, unless told otherwise."""
        body = {
            "ticker": ticker,
            "side": "bid",
            "price": "0.9900",
            "count": "1.00",
            "time_in_force": "immediate_or_cancel",
            "client_order_id": f"t-{secrets.token_hex(8)}",
            **terms,
        }
        return self.post("/v1/orders", body)

    def taken(
        self, ticker: str, /, seconds: float = TRADING_MAX_S, **terms: Any
    ) -> requests.Response:
        """Post an order until it is not put off any more: with 503 nothing was sent.

        If its refusal is on record, or the intent could not be recorded in time, the id is used up
        (docs/API.md, An order): then the order has another.
        """
        terms = {"client_order_id": f"t-{secrets.token_hex(8)}", **terms, "ticker": ticker}
        codes: list[str] = []

        def look() -> list[requests.Response]:
            answer = self.order(ticker, **terms)
            code = answer.json().get("code", "")
            if code in USED_UP or (answer.status_code == 422 and code in codes):
                terms["client_order_id"] += "-again"
            elif answer.status_code != 503:
                return [answer]
            codes.append(code)
            return []

        try:
            (answer,) = self.until(look, seconds, f"an order is taken in {ticker}")
        except AssertionError as e:
            raise AssertionError(
                f"put off {len(codes)} times, at last by {codes[-1:]}: {e}"
            ) from None
        return answer

    def wire(self) -> list[dict[str, Any]]:
        """Every order request that the exchange has received."""
        answer = requests.get(f"{self.exchange}/paper/wire", timeout=10).json()
        return list(answer["requests"])

    def until_exchange(self) -> None:
        """Until the paper exchange answers, whoever else is there."""

        def answers() -> bool:
            with contextlib.suppress(requests.ConnectionError):
                return requests.get(f"{self.exchange}/paper/health", timeout=5).ok
            return False

        self.until(answers, HEALTHY_MAX_S, "the exchange answers")

    def deed(self, name: str, **body: Any) -> Any:
        """What the account's owner or the exchange's staff does there (docs/PAPER.md)."""
        answer = requests.post(f"{self.exchange}/paper/{name}", json=body, timeout=10)
        assert answer.status_code < 300, answer.text
        return answer.json()

    def faults(self, **faults: Any) -> None:
        answer = requests.post(f"{self.exchange}/paper/faults", json=faults, timeout=10)
        assert answer.status_code == 200, answer.text

    def tell(self, peer: str, body: AnyMessage, seconds: float = 10.0) -> AnyMessage:
        """One letter to one process, as a ten-line script with a REQ socket would send it."""
        context = zmq.Context()
        try:
            ask: zmq.Socket[bytes] = context.socket(zmq.REQ)
            ask.connect(self.settings.endpoint(f"{peer}.in"))
            ask.send(encode_letter(Letter("test", 1, secrets.token_hex(8), 0, body)))
            assert ask.poll(int(seconds * 1000)), f"{peer} did not answer\n{self.tail()}"
            return decode_letter(ask.recv()).body
        finally:
            context.destroy(linger=0)


def lines_of(path: Path) -> Iterator[bytes]:
    """The frames of a recording: a line may be blank, the file may be packed."""
    with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as file:
        for line in file:
            if line.strip():
                yield line


def replay(path: Path) -> dict[str, dict[str, dict[str, int]]]:
    """The final books of a recording, by plain JSON and dicts: counts in hundredths by price."""
    books: dict[str, dict[str, dict[str, int]]] = {}
    for line in lines_of(path):
        frame = msgspec.json.decode(line)
        msg = frame.get("msg")
        if frame["type"] == "orderbook_snapshot":
            books[msg["market_ticker"]] = {
                side: {p: hundredths(c) for p, c in msg.get(f"{side}_dollars_fp", [])}
                for side in ("yes", "no")
            }
        elif frame["type"] == "orderbook_delta":
            levels = books[msg["market_ticker"]][msg["side"]]
            price = msg["price_dollars"]
            levels[price] = levels.get(price, 0) + hundredths(msg["delta_fp"])
            if levels[price] == 0:
                del levels[price]
    return books


def hundredths(text: str) -> int:
    whole, _, part = text.lstrip("-").partition(".")
    size = int(whole) * 100 + int(part.ljust(2, "0"))
    return -size if text.startswith("-") else size
