"""The writer as a real process on real sockets, and everyone around it, played by a test."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import zmq

from protocol.envelope import Letter, decode_letter, encode_letter
from protocol.facts import AnyFact, natural_id
from protocol.messages import Append, Appended, Heartbeat
from tests.actors.writer.nursery import Life

ROOT = Path(__file__).parents[3]
SIDECAR = Path(sys.executable).with_name("sidecar")
BY_NAME, BY_MODULE = [str(SIDECAR), "actor", "writer"], [sys.executable, "-m", "actors.writer"]
COMMAND = BY_NAME if SIDECAR.exists() else BY_MODULE
Process = subprocess.Popen[bytes] | Life
PATIENCE_MS = 40_000  # generous: how long it really takes is measured elsewhere
RETELL_MS = 200


class Surroundings:
    """Tells appends and remembers every answer. No id may get two numbers, no number two ids."""

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self.var_dir = f"{folder}/var"
        self.ledger = f"{folder}/var/ledger.db"
        self.settings = ""  # more of them, as TOML
        self.acknowledged: dict[str, int] = {}
        self.unanswered: dict[str, bytes] = {}
        self._ids: dict[int, str] = {}
        self._context = zmq.Context()
        self._supervisor: zmq.Socket[bytes] | None = None
        self._processes: list[Process] = []
        self._writer = self._connect("run")

    def start(self, run: str = "run", within: Sequence[str] = ()) -> "subprocess.Popen[bytes]":
        """A writer on our `var`, with a run folder of its own if asked for."""
        config = self._configure(run)
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("SIDECAR_")}
        environment = {**inherited, "SIDECAR_CONFIG": config, "PYTHONPATH": str(ROOT)}
        command = [*within, *COMMAND]
        with open(f"{self.folder}/{run}.log", "ab") as log:
            process = subprocess.Popen(command, cwd=ROOT, env=environment, stderr=log)
        self._processes.append(process)
        return process

    def begin(self) -> Life:
        """The same, with nothing to import any more."""
        life = Life(self._configure("run"), f"{self.folder}/run.log")
        self._processes.append(life)
        return life

    def _configure(self, run: str) -> str:
        """Write the settings. Returns where they are."""
        text = (ROOT / "configs" / "paper.toml").read_text()
        text = text.replace('"run/paper"', f'"{self.folder}/{run}"')
        text = text.replace('"var/paper"', f'"{self.var_dir}"')
        config = Path(self.folder, f"{run}.toml")
        config.write_text(text + self.settings)
        return str(config)

    def log(self, run: str = "run") -> str:
        """What the writers with this run folder have said on stderr."""
        return Path(self.folder, f"{run}.log").read_text()

    def follow(self, run: str) -> None:
        """Tell the writer with this run folder from now on."""
        self._writer.close(linger=0)
        self._writer = self._connect(run)

    def tell(self, fact: AnyFact) -> str:
        """Tell an append once, and remember to tell it again. Returns its id."""
        id = natural_id(fact)
        self.unanswered[id] = encode_letter(Letter("stream", 1, id, 0, Append(fact)))
        self._writer.send(self.unanswered[id])
        return id

    def tell_again(self) -> None:
        """Tell whatever has had no answer."""
        for frame in self.unanswered.values():
            self._writer.send(frame)

    def hear(self, wait_ms: int) -> int:
        """Take the answers that are there, waiting for the first. Returns how many."""
        count = 0
        while self._writer.poll(0 if count else wait_ms):
            letter = decode_letter(self._writer.recv_multipart()[-1])
            answer = letter.body
            assert isinstance(answer, Appended) and answer.verdict in ("NEW", "REPEAT"), answer
            assert self.acknowledged.setdefault(letter.id, answer.n) == answer.n, letter
            assert self._ids.setdefault(answer.n, letter.id) == letter.id, letter
            self.unanswered.pop(letter.id, None)
            count += 1
        return count

    def settle(self, process: Process) -> bool:
        """Tell until everything is answered. False if the process ended before that."""
        for _ in range(PATIENCE_MS // RETELL_MS):
            if not self.unanswered:
                return True
            if process.poll() is not None:
                self.hear(0)  # what it had said before its end
                return False
            if not self.hear(RETELL_MS):
                self.tell_again()
        raise AssertionError(f"no answer to {sorted(self.unanswered)}: {self.log()}")

    def append(self, process: Process, *facts: AnyFact) -> bool:
        """Tell facts until they are answered. False if the process ended before that."""
        for fact in facts:
            self.tell(fact)
        return self.settle(process)

    def heartbeat(self, wanted: Callable[[Heartbeat], bool]) -> Heartbeat:
        """The next heartbeat that is as wanted."""
        if self._supervisor is None:
            self._supervisor = self._context.socket(zmq.ROUTER)
            self._supervisor.bind(f"ipc://{self.folder}/run/bus/supervisor.in")
        last: Heartbeat | None = None
        deadline = time.monotonic() + PATIENCE_MS / 1_000
        while time.monotonic() < deadline and self._supervisor.poll(PATIENCE_MS):
            body = decode_letter(self._supervisor.recv_multipart()[-1]).body
            if isinstance(body, Heartbeat):
                last = body
                if wanted(last):
                    return last
        raise AssertionError(f"the last heartbeat was {last}: {self.log()}")

    def end(self) -> None:
        """Leave no process and no socket behind."""
        for process in self._processes:
            if process.poll() is None:
                process.kill()
            process.wait()
        self._context.destroy(linger=0)

    def _connect(self, run: str) -> "zmq.Socket[bytes]":
        os.makedirs(f"{self.folder}/{run}/bus", mode=0o700, exist_ok=True)
        os.chmod(f"{self.folder}/{run}", 0o700)
        socket = self._context.socket(zmq.DEALER)
        socket.reconnect_ivl = 10
        socket.connect(f"ipc://{self.folder}/{run}/bus/writer.in")
        return socket


@contextmanager
def surroundings() -> Iterator[Surroundings]:
    """A folder with a short name, and nobody left in it at the end."""
    folder = tempfile.mkdtemp(prefix="k", dir="/tmp")  # a socket's path has 107 bytes
    around = Surroundings(folder)
    try:
        yield around
    finally:
        around.end()
        shutil.rmtree(folder)
