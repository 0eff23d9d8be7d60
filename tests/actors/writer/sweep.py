"""python -m tests.actors.writer.sweep SCENARIO kill|fail: a life of the ledger for every syscall.

Each life is a fork of this process, which has imported everything. The first meets the fault at
its first pwrite64, the second at its second, and so on until one makes no more of them; then the
next syscall. What a life acknowledges comes through a pipe, and the next opening must find it.
"""

import gc
import json
import os
import shutil
import signal
import sys
import tempfile
import traceback
from typing import NamedTuple, NoReturn

from actors.writer.store import Failed
from tests.actors.writer.scenarios import MISTAKES, SCENARIOS, Scenario
from tests.actors.writer.tracing import Untraceable, allow, attach, detach

CHANGING = ["pwrite64", "ftruncate", "openat", "unlink", "rename"]  # files, and what is there
SAYING = ["write"]  # what is acknowledged, among others
CALLS = {
    # A life that is killed at a call does not make it: what it leaves is what was changed and said
    # before. So calls that change and say nothing are no boundaries of their own: a kill at a lock
    # (which dies with its holder) or at a sync leaves what one at the next of these leaves.
    "kill": CHANGING + SAYING,
    "fail": ["pwrite64", "fdatasync", "fsync", "ftruncate"],
}
FAULTS = {"kill": "signal=KILL", "fail": "error=EIO"}
FAILED = 3  # exit code of a life that met Failed
ENDS = {"kill": {-signal.SIGKILL}, "fail": {0, FAILED}}  # SQLite may do without a call
UNTRACEABLE = 77  # exit code of this program


class Life(NamedTuple):
    """What a life acknowledged, whether it met the fault, and how it ended."""

    acknowledged: dict[str, int]
    hit: bool
    exit_code: int


class Swept(NamedTuple):
    """How many boundaries there were of each syscall, and what went wrong at which."""

    boundaries: dict[str, int]
    unnoticed: list[str]  # faults after which the life went on to its end
    wrong: list[str]


def sweep(scenario: Scenario, how: str) -> Swept:
    """One life for every boundary. Raises Untraceable."""
    swept = Swept({}, [], [])
    with tempfile.TemporaryDirectory(prefix="sweep") as base:
        os.mkdir(f"{base}/before")
        scenario.prepare(f"{base}/before/ledger.db")
        scenario.run(_fresh(base), lambda n, id: None)  # imports what is imported late
        gc.collect()  # no life inherits a connection
        gc.freeze()
        for call in CALLS[how]:
            k, hit = 0, True
            while hit:
                k += 1
                path = _fresh(base)
                life = _live(scenario, path, f"{base}/log", call, f"{FAULTS[how]}:when={k}")
                wrong = scenario.check(path, life.acknowledged)
                if life.exit_code not in (ENDS[how] if life.hit else {0}):
                    wrong.append(f"it ended with {life.exit_code}")
                swept.wrong.extend(f"{call} {k}: {what}" for what in wrong)
                if life.hit and life.exit_code == 0:
                    swept.unnoticed.append(f"{call} {k}")
                hit = life.hit
            swept.boundaries[call] = k - 1
    return swept


def _fresh(base: str) -> str:
    """The path of a ledger that is as prepared."""
    shutil.rmtree(f"{base}/life", ignore_errors=True)
    shutil.copytree(f"{base}/before", f"{base}/life")
    return f"{base}/life/ledger.db"


def _live(scenario: Scenario, path: str, log: str, call: str, fault: str) -> Life:
    said, say = os.pipe()
    started, start = os.pipe()
    pid = os.fork()
    if pid == 0:
        _be_born(scenario, path, started, say)
    os.close(say)
    os.close(started)
    try:
        tracer = attach(pid, log, [call], fault)
    except Untraceable:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        raise
    os.write(start, b"!")
    os.close(start)
    with os.fdopen(said) as pipe:
        lines = [line.split() for line in pipe if line.endswith("\n")]
    exit_code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    detach(tracer)
    with open(log) as file:
        hit = exit_code == -signal.SIGKILL or "(INJECTED)" in file.read()
    return Life({id: int(n) for n, id in lines}, hit, exit_code)


def _be_born(scenario: Scenario, path: str, started: int, say: int) -> NoReturn:
    """The child: wait until it is traced, then live, and leave without a farewell."""
    exit_code = 1
    try:
        allow()
        os.read(started, 1)
        scenario.run(path, lambda n, id: os.write(say, f"{n} {id}\n".encode()))
        exit_code = 0
    except Failed:
        exit_code = FAILED
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(exit_code)


def main() -> int:
    """Sweep one scenario and print what was found, as JSON."""
    name, how = sys.argv[1:]
    try:
        swept = sweep((SCENARIOS | MISTAKES)[name], how)
    except Untraceable as e:
        print(e)
        return UNTRACEABLE
    print(json.dumps(swept._asdict()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
