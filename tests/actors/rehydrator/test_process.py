"""The writer and the rehydrator as real processes on real sockets, one of them killed."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import zmq

from protocol.envelope import Letter, decode_letter, encode_letter
from protocol.facts import AnyFact, natural_id
from protocol.messages import (
    AccountAnswer,
    AccountRequest,
    AnyMessage,
    Append,
    Appended,
    EvidenceAnswer,
    EvidenceRequest,
    Heartbeat,
    Reconcile,
    ReconcileAnswer,
)
from tests.actors.writer.samples import accepted, fill, intended

ROOT = Path(__file__).parents[3]
PATIENCE_MS = 30_000  # generous: how long it really takes is measured elsewhere


class Neighbours:
    """The two processes, and all the others, played by the test."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        text = (ROOT / "configs" / "paper.toml").read_text()
        text = text.replace('"run/paper"', f'"{folder}/run"')
        text = text.replace('"var/paper"', f'"{folder}/var"')
        Path(folder, "paper.toml").write_text(text)
        os.makedirs(f"{folder}/run/bus", mode=0o700)
        os.chmod(f"{folder}/run", 0o700)
        self._context = zmq.Context()
        self._peers: dict[str, zmq.Socket[bytes]] = {}
        self.gateway = self._bind("gateway.in")
        self.supervisor = self._bind("supervisor.in")
        self._processes: list[subprocess.Popen[bytes]] = []

    def start(self, name: str) -> "subprocess.Popen[bytes]":
        environment = {**os.environ, "SIDECAR_CONFIG": f"{self._folder}/paper.toml"}
        process = subprocess.Popen(
            [sys.executable, "-m", f"actors.{name}"],
            cwd=ROOT,
            env=environment,
            stderr=subprocess.DEVNULL,
        )
        self._processes.append(process)
        return process

    def ask(self, peer: str, id: str, body: AnyMessage) -> AnyMessage:
        """Tell until it is answered, as everyone does."""
        if peer not in self._peers:
            socket = self._context.socket(zmq.DEALER)
            socket.connect(f"ipc://{self._folder}/run/bus/{peer}.in")
            self._peers[peer] = socket
        frame = encode_letter(Letter("stream", 1, id, 0, body))
        for _ in range(PATIENCE_MS // 200):
            self._peers[peer].send(frame)
            while self._peers[peer].poll(200):
                answer = decode_letter(self._peers[peer].recv_multipart()[-1])
                if answer.id == id:
                    return answer.body
        raise AssertionError(f"no answer from {peer}")

    def append(self, fact: AnyFact) -> AnyMessage:
        return self.ask("writer", natural_id(fact), Append(fact))

    def reconcile(self, n: int) -> None:
        """Be the gateway once: wait for the question and answer it."""
        assert self.gateway.poll(PATIENCE_MS), "nobody asked for a reconciliation"
        *sender, frame = self.gateway.recv_multipart()
        letter = decode_letter(frame)
        assert letter.body == Reconcile("boot_rehydrate")
        answer = Letter("gateway", 1, letter.id, 0, ReconcileAnswer(n))
        self.gateway.send_multipart([*sender, encode_letter(answer)])

    def heartbeat(self, source: str, wanted: Callable[[Heartbeat], bool]) -> Heartbeat:
        """The next heartbeat of a process that is as wanted."""
        last: Heartbeat | None = None
        deadline = time.monotonic() + PATIENCE_MS / 1_000
        while time.monotonic() < deadline and self.supervisor.poll(PATIENCE_MS):
            letter = decode_letter(self.supervisor.recv_multipart()[-1])
            if letter.source == source and isinstance(letter.body, Heartbeat):
                last = letter.body
                if wanted(last):
                    return last
        raise AssertionError(f"the last of {source} was {last}")

    def end(self) -> None:
        for process in self._processes:
            if process.poll() is None:
                process.kill()
            process.wait()
        self._context.destroy(linger=0)

    def _bind(self, name: str) -> "zmq.Socket[bytes]":
        socket = self._context.socket(zmq.ROUTER)
        socket.bind(f"ipc://{self._folder}/run/bus/{name}")
        return socket


@pytest.fixture
def neighbours() -> Iterator[Neighbours]:
    folder = tempfile.mkdtemp(prefix="k", dir="/tmp")  # short: a socket's path has 107 bytes
    neighbours = Neighbours(folder)
    yield neighbours
    neighbours.end()
    shutil.rmtree(folder)


def test_a_killed_writer_is_followed_on_and_forgets_nothing(neighbours: Neighbours) -> None:
    neighbours.start("rehydrator")  # first: it has to wait for the writer
    writer = neighbours.start("writer")
    assert neighbours.append(intended()) == Appended("NEW", 1)
    assert neighbours.append(accepted()) == Appended("NEW", 2)
    neighbours.reconcile(2)
    beat = neighbours.heartbeat("rehydrator", lambda beat: beat.ready)
    assert beat.flags == {"restored": True, "rehydrated": True}

    writer.send_signal(signal.SIGKILL)
    writer.wait()
    writer = neighbours.start("writer")
    assert neighbours.append(accepted()) == Appended("REPEAT", 2)
    assert neighbours.append(fill()) == Appended("NEW", 3)
    assert neighbours.heartbeat("writer", lambda beat: beat.ready).flags == {"db_ready": True}
    beat = neighbours.heartbeat("rehydrator", lambda b: b.ready and b.counters["n"] == 3)
    assert beat.flags == {"restored": True, "rehydrated": True}
    answer = neighbours.ask("rehydrator", "account:1", AccountRequest())
    assert isinstance(answer, AccountAnswer) and answer.account is not None
    assert [(p.position, p.n) for p in answer.account.positions] == [(100, 3)]
    evidence = neighbours.ask("rehydrator", "evidence:1", EvidenceRequest("c1"))
    assert isinstance(evidence, EvidenceAnswer) and (evidence.n, evidence.complete) == (3, True)
    assert [entry.fact for entry in evidence.entries] == [intended(), accepted(), fill()]

    writer.send_signal(signal.SIGTERM)
    assert writer.wait(PATIENCE_MS // 1_000) == 0
