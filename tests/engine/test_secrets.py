"""The keys are in no log, message, database, argument or environment: they are planted, a day goes
by with everything in it that makes a program talk, and then they are looked for."""

import base64
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
import zmq
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from protocol.runtime.process import KEY_HOLDERS
from tests.engine.running import Engine
from tests.engine.secrets_sought import HEADER, SIGNATURE, Finder, family, forms
from tests.engine.test_orders import busiest

PUBLISHERS = ("stream.pub", "ledger.pub", "system.pub")
PAGES = (
    "/v1/status",
    "/v1/orders",
    "/v1/fills",
    "/v1/positions",
    "/v1/balance",
    "/v1/nowhere",
    "/",
)
KEYS = {
    "trading": generate_private_key(65537, 2048).private_bytes(
        Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()
    ),
    "read-only": Ed25519PrivateKey.generate().private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    ),
}


class Day:
    """What was left behind."""

    def __init__(self, engine: Engine) -> None:
        exchange = engine.settings.exchange
        self.engine = engine
        self.key_files = [Path(exchange.key_file), Path(exchange.read_key_file)]
        for path, pem in zip(self.key_files, KEYS.values(), strict=True):
            path.write_bytes(pem)
        self.finder = Finder(KEYS)
        self.published: list[bytes] = []
        self.answered: dict[str, bytes] = {}
        self.said: dict[str, bytes] = {}
        self.found: list[str] = []

    def go_by(self) -> None:
        context = zmq.Context()
        ears: list[zmq.Socket[bytes]] = []
        for name in PUBLISHERS:
            ear = context.socket(zmq.SUB)
            ear.set(zmq.RCVHWM, 0)
            ear.subscribe("")
            ear.connect(self.engine.settings.endpoint(name))
            ears.append(ear)
        self.engine.start()
        self.engine.until_trading()
        self.trade()
        self.suffer()
        self.ask()
        self.look_at_processes()
        self.found += self.finder.files(self.engine.folder, but=self.key_files)
        for ear in ears:
            while ear.poll(0):
                self.published.append(ear.recv())
        context.destroy(linger=0)
        self.engine.stop()
        self.start_badly()

    def trade(self) -> None:
        ticker = busiest(self.engine)
        rest = {"price": "0.0100", "time_in_force": "good_till_canceled"}
        answers = {
            "filled": self.engine.order(ticker, client_order_id="filled"),
            "resting": self.engine.order(ticker, client_order_id="resting", **rest),
            "canceled": self.engine.delete("/v1/orders/resting"),
            "gone": self.engine.delete("/v1/orders/resting"),
            "senseless": self.engine.order(ticker, client_order_id="senseless", price="NaN"),
        }
        assert [a.status_code for a in answers.values()][:3] == [201, 201, 200]
        self.engine.faults(lose_replies=1)
        answers["lost"] = self.engine.order(ticker, client_order_id="lost", **rest)
        self.answered |= {name: raw(answer) for name, answer in answers.items()}

    def suffer(self) -> None:
        """Ends of every kind: the next life of each reads its key again."""
        for victim, how in (
            ("gateway", signal.SIGABRT),
            ("stream", signal.SIGSEGV),
            ("paper", signal.SIGKILL),
            ("gateway", signal.SIGUSR1),
        ):
            self.engine.reborn(victim, how)

    def ask(self) -> None:
        for page in PAGES:
            self.answered[page] = raw(self.engine.get(page))
        for page in ("/", "/status.json", "/readyz", "/livez"):
            self.answered[page] = raw(requests.get(f"{self.engine.status_page}{page}", timeout=5))
        for page in ("/paper/wire", "/paper/faults", "/paper/health", "/trade-api/v2/nowhere"):
            self.answered[page] = raw(requests.get(f"{self.engine.exchange}{page}", timeout=5))
        for command in ("status", "preflight", "verify"):
            done = self.engine.sidecar(command)
            self.said[command] = (done.stdout + done.stderr).encode()

    def look_at_processes(self) -> None:
        assert self.engine._honcho is not None
        pids = family(self.engine._honcho.pid)
        assert len(pids) >= 15, "honcho, seven runners and seven processes"
        mine = self.engine.pids()
        self.found += self.finder.processes(pids, [mine[name] for name in KEY_HOLDERS])

    def start_badly(self) -> None:
        """A damaged key file, and one that others may read: one line each, without the key."""
        path = self.key_files[0]
        pem = path.read_bytes()
        for name, content, mode in (("half", pem[:900], 0o600), ("open", pem, 0o644)):
            path.write_bytes(content)
            path.chmod(mode)
            done = self.engine.sidecar("actor", "gateway")
            assert (done.returncode, done.stderr.count("\n")) == (78, 1), done.stderr
            assert str(path) in done.stderr
            self.said[f"a key file that is {name}"] = (done.stdout + done.stderr).encode()
        path.write_bytes(pem)


def raw(answer: requests.Response) -> bytes:
    return f"{answer.status_code} {answer.headers}\n".encode() + answer.content


@pytest.fixture(scope="module")
def day() -> Iterator[Day]:
    with Engine() as engine:
        day = Day(engine)
        day.go_by()
        yield day


def test_nothing_shows_them_while_it_runs(day: Day) -> None:
    """Arguments and environment of every process, and the files as they are then."""
    assert day.found == []
    names = [Path(place).name for place in day.finder.looked_at]
    assert names.count("cmdline") >= 15
    assert "ledger.db-wal" in names


def test_no_file_has_them_afterwards(day: Day) -> None:
    """The ledger, what the exchange keeps, epochs, locks, the log of all processes."""
    before = len(day.finder.looked_at)
    assert day.finder.files(day.engine.folder, but=day.key_files) == []
    names = {Path(place).name for place in day.finder.looked_at[before:]}
    assert {"log", "ledger.db", "paper.toml", "gateway.lock", "gateway.runner.json"} <= names


def test_no_message_has_them(day: Day) -> None:
    topics = {frame.split(b" ")[0].split(b".")[0] for frame in day.published}
    assert {b"ledger", b"mark", b"health", b"system", b"book", b"order", b"fill"} <= topics
    assert day.finder.look("messages", b"\n".join(day.published)) == []


def test_no_answer_and_no_command_has_them(day: Day) -> None:
    for name, blob in {**day.answered, **day.said}.items():
        assert day.finder.look(name, blob) == []


def test_no_signature_is_left_behind(day: Day) -> None:
    blobs = {"log": day.engine.log.read_bytes(), "messages": b"\n".join(day.published)}
    blobs |= day.answered | day.said
    for path in day.engine.folder.rglob("*"):
        if path.is_file() and path not in day.key_files:
            blobs[str(path)] = path.read_bytes()
    for name, blob in blobs.items():
        assert SIGNATURE.findall(blob) == [], name
        assert HEADER.findall(blob) == [], name


# The finder itself: what is planted is found


@pytest.mark.parametrize("name", KEYS)
def test_each_form_of_a_key_is_found_in_a_file(tmp_path: Path, name: str) -> None:
    finder = Finder(KEYS)
    for form, pieces in forms(KEYS[name]).items():
        path = tmp_path / "somewhere" / "deep.log"
        path.parent.mkdir()
        path.write_bytes(b"x" * 5_000 + pieces[len(pieces) // 2] + b"y" * 5_000)
        assert any(f"{name} key" in found for found in finder.files(tmp_path)), form
        assert finder.files(tmp_path, but=[path]) == []
        shutil.rmtree(path.parent)


def test_a_key_is_found_in_the_arguments_and_the_environment_of_a_process() -> None:
    line = KEYS["trading"].splitlines()[3].decode()
    told = [sys.executable, "-c", "import sys; print(flush=True); sys.stdin.read()"]
    places = {
        "cmdline": ([*told, f"--key={line}"], {"HOME": "/"}),
        "environ": (told, {"SIDECAR_KEY": line}),
    }
    for name, (arguments, environment) in places.items():
        with subprocess.Popen(
            arguments, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as child:
            assert child.stdin is not None
            assert child.stdout is not None
            child.stdout.readline()
            found = Finder(KEYS).processes(family(child.pid))
            child.stdin.close()
        assert (
            [f"/proc/{child.pid}/{name}" in place for place in found] == [True] * len(found) != []
        )


def test_a_signature_is_told_from_other_text() -> None:
    key = load_pem_private_key(KEYS["read-only"], None)
    assert isinstance(key, Ed25519PrivateKey)
    signature = base64.b64encode(key.sign(b"x"))
    assert SIGNATURE.findall(b"signed " + signature) == [signature]
    assert SIGNATURE.findall(b"0" * 64 + b" KXA-1 == " + b"a" * 500) == []
    assert HEADER.findall(b"{'KALSHI-ACCESS-SIGNATURE': '...'}") != []
