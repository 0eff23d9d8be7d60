"""A full, read-only or failing disk, a database held by others: no answer is a lie."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import pytest

from protocol.runtime.process import LOCKED, STOPPED
from tests.actors.writer.audit import audit
from tests.actors.writer.mounting import Island, Unmountable, island
from tests.actors.writer.samples import fill
from tests.actors.writer.surroundings import PATIENCE_MS, ROOT, Surroundings, surroundings
from tests.actors.writer.tracing import Untraceable, attach, detach

PATIENCE_S = PATIENCE_MS / 1_000
NEXT_LIFE_S = 1.0  # enough to start and to find no room
NOBODY = 65_534
BATCH = 50
HELD_BEATS = 12  # how long somebody else holds the database: ten seconds and more
HOLD = """
import sqlite3, sys
database = sqlite3.connect(sys.argv[1], isolation_level=None)
database.execute("BEGIN IMMEDIATE")
print("held", flush=True)
sys.stdin.read()
database.execute("ROLLBACK")
"""


@pytest.fixture
def around() -> Iterator[Surroundings]:
    with surroundings() as around:
        yield around


@pytest.fixture
def small(around: Surroundings) -> Iterator[Island]:
    """A disk of one megabyte under `var`."""
    os.mkdir(around.var_dir, 0o700)
    try:
        with island(around.var_dir, "size=1m") as small:
            yield small
    except Unmountable as e:
        pytest.skip(f"nothing can be mounted here: {e}")


def stop(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    assert process.wait(PATIENCE_S) == STOPPED


# Full, or read-only


def test_a_full_disk_ends_the_writer_and_room_lets_it_go_on(
    around: Surroundings, small: Island, tmp_path: Path
) -> None:
    writer, told = around.start(within=small.within), 0
    while around.append(writer, *(fill(f"t{told + i}") for i in range(BATCH))):
        told += BATCH
    assert writer.wait() not in (STOPPED, -signal.SIGTERM)
    assert around.acknowledged and around.unanswered
    small.rescue(f"{tmp_path}/full")
    assert audit(f"{tmp_path}/full/ledger.db", around.acknowledged) == []

    writer = around.start(within=small.within)
    with suppress(subprocess.TimeoutExpired):  # it ends again, or waits for room
        writer.wait(NEXT_LIFE_S)
    small.remount("size=64m")
    if not around.append(writer, fill("after")):
        writer = around.start(within=small.within)
        assert around.append(writer, fill("after"))
    stop(writer)
    small.rescue(f"{tmp_path}/roomy")
    assert audit(f"{tmp_path}/roomy/ledger.db", around.acknowledged) == []


def opened_by(user: int, path: str, within: Sequence[str] = ()) -> str:
    """What a process of another user, or on another disk, is told when it opens a ledger."""
    command = [*within, sys.executable, "-m", "tests.actors.writer.opener", path, str(user)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.stderr == ""
    return done.stdout


def test_a_folder_that_we_may_not_write_is_named_and_stays_empty(around: Surroundings) -> None:
    if os.getuid():
        pytest.skip("only root may become nobody")
    os.chmod(around.folder, 0o755)
    os.mkdir(around.var_dir, 0o755)
    said = opened_by(NOBODY, around.ledger)
    assert said.count("\n") == 1 and around.var_dir in said
    assert os.listdir(around.var_dir) == []


def test_a_read_only_disk_is_named_and_stays_as_it_is(
    around: Surroundings, small: Island, tmp_path: Path
) -> None:
    small.remount("ro")
    said = opened_by(os.getuid(), around.ledger, small.within)
    assert said.count("\n") == 1 and around.var_dir in said
    small.rescue(f"{tmp_path}/found")
    assert os.listdir(tmp_path / "found") == []


# Failing


@pytest.mark.parametrize("call", ["fdatasync", "pwrite64"])
def test_nothing_is_acknowledged_after_the_disk_has_failed(around: Surroundings, call: str) -> None:
    writer = around.start()
    assert around.append(writer, fill("first"))
    log = f"{around.folder}/strace"
    try:
        tracer = attach(writer.pid, log, [call], "error=EIO:when=5")
    except Untraceable as e:
        pytest.skip(f"no process can be traced here: {e}")
    told = 0
    while around.append(writer, fill(f"t{told}")):
        told += 1
    detach(tracer)
    assert writer.wait() not in (STOPPED, -signal.SIGTERM)
    assert "(INJECTED)" in Path(log).read_text()
    assert list(around.unanswered) == [f"fill:o1:t{told}"]

    writer = around.start()
    assert around.append(writer, fill("after"))
    stop(writer)
    assert audit(around.ledger, around.acknowledged) == []


# Held by somebody else


def test_what_is_told_while_somebody_holds_the_database_waits_for_it(
    around: Surroundings,
) -> None:
    writer = around.start()
    assert around.append(writer, fill("before"))
    assert around.heartbeat(lambda beat: beat.ready)
    pipe = subprocess.PIPE
    command = [sys.executable, "-c", HOLD, around.ledger]
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as other:
        assert other.stdout is not None and other.stdout.readline() == "held\n"
        meanwhile = around.tell(fill("meanwhile"))
        beats = [around.heartbeat(lambda beat: True) for _ in range(HELD_BEATS)]
        assert beats[1].ready, "it is patient"
        assert "locked" in " ".join(beats[-1].reasons)
        assert not beats[-1].ready
        around.hear(0)
        assert meanwhile in around.unanswered
        other.communicate()
    assert around.settle(writer)
    assert around.heartbeat(lambda beat: beat.ready).reasons == ()
    stop(writer)
    assert around.acknowledged == {"fill:o1:before": 1, meanwhile: 2}
    assert audit(around.ledger, around.acknowledged) == []


def test_a_second_writer_on_the_same_ledger_leaves_and_touches_nothing(
    around: Surroundings,
) -> None:
    first = around.start()
    assert around.append(first, fill("before"))
    files = [*Path(around.var_dir).glob("ledger.db*"), *Path(around.var_dir, "epochs").iterdir()]
    before = [os.stat(file) for file in files]
    second = around.start("run2")
    assert second.wait(PATIENCE_S) == LOCKED
    assert around.var_dir in around.log("run2")
    after = [os.stat(file) for file in files]
    assert [(s.st_ino, s.st_size, s.st_mtime_ns) for s in after] == [
        (s.st_ino, s.st_size, s.st_mtime_ns) for s in before
    ]
    assert around.append(first, fill("after"))
    stop(first)
    assert audit(around.ledger, around.acknowledged) == []


def test_of_two_writers_started_at_once_one_leaves(around: Surroundings) -> None:
    winner, loser = around.start("run"), around.start("run2")
    if not around.append(winner, fill("one")):
        winner, loser = loser, winner
        around.follow("run2")
        assert around.settle(winner)
    assert loser.wait(PATIENCE_S) == LOCKED
    stop(winner)
    assert audit(around.ledger, around.acknowledged) == []
