"""Restarts one process when it dies, alone. Standard library only: no threads, no sockets.

honcho stops everything when one of its children exits, so restarts belong below it: each line of
the Procfile is a runner. It holds the process's lock and hands it down, restarts with jittered
back-off, and gives up after too many exits, which makes honcho stop the whole.
"""

import ctypes
import fcntl
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Final

NAMES: Final = ("stream", "gateway", "writer", "rehydrator", "api", "paper", "supervisor")

STOPPED: Final = 0
GAVE_UP: Final = 70
LOCKED: Final = 73
RESTART: Final = 75
MISCONFIGURED: Final = 78

EXITS_MAX: Final = 5  # more than this many within EXITS_WINDOW_S is a crash loop
EXITS_WINDOW_S: Final = 60.0
BACKOFF_MIN_S: Final = 0.2
BACKOFF_MAX_S: Final = 10.0
GRACE_S: Final = 4.0  # from SIGTERM to SIGKILL; honcho kills at 5
PARENT_CHECK_S: Final = 1.0
PR_SET_PDEATHSIG: Final = 1
BOOT_BYTES: Final = 16
SIGNALS: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD)


class Runner:
    """One process and its restarts."""

    def __init__(
        self, name: str, command: Sequence[str], run_dir: str, grace_s: float = GRACE_S
    ) -> None:
        self._name = name
        self._command = list(command)
        self._run_dir = run_dir
        self._grace_s = grace_s
        self._child: subprocess.Popen[bytes] | None = None
        self._generation = 0
        self._exits: list[float] = []
        self._last_exit: int | None = None
        self._grandparent = _grandparent()

    def run(self) -> int:
        """Until asked to stop, told not to restart, or out of tries. Returns the exit code."""
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        for number in SIGNALS:
            signal.signal(number, lambda *_: None)  # blocked, and taken by sigtimedwait
        try:
            lock = self._take_lock()
        except BlockingIOError:
            print(f"{self._name}: another instance holds {self._path('lock')}", file=sys.stderr)
            return LOCKED
        backoff = BACKOFF_MIN_S
        while True:
            started = time.monotonic()
            self._spawn(lock)
            code = self._watch()
            if code is None:
                return STOPPED
            if time.monotonic() - started > EXITS_WINDOW_S:
                backoff = BACKOFF_MIN_S
            verdict = self._judge(code)
            if verdict is not None:
                return verdict
            delay = 0.0 if code == RESTART else backoff * random.uniform(0.5, 1.0)
            print(f"{self._name}: exited {code}, restart in {delay:.1f} s", file=sys.stderr)
            self._write("backing off", time.time() + delay)
            if self._asked_to_stop(delay):
                self._write("stopped")
                return STOPPED
            backoff = min(backoff * 2, BACKOFF_MAX_S)
            self._generation += 1

    def _take_lock(self) -> int:
        descriptor = os.open(self._path("lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.ftruncate(descriptor, 0)
        boot = os.urandom(BOOT_BYTES).hex()  # see boot_of in protocol/runtime/process.py
        os.pwrite(descriptor, f"{os.getpid()}\n{boot}\n".encode(), 0)
        return descriptor

    def _spawn(self, lock: int) -> None:
        environment = os.environ | {
            "SIDECAR_LOCK_FD": str(lock),
            "SIDECAR_GENERATION": str(self._generation),
        }
        self._child = subprocess.Popen(
            self._command,
            env=environment,
            pass_fds=(lock,),
            stdin=subprocess.DEVNULL,
            preexec_fn=_die_with_parent,  # safe: there are no threads here
        )
        self._write("running")

    def _watch(self) -> int | None:
        """Wait for the child's end. None: we were asked to stop, and it has ended."""
        assert self._child is not None
        while True:
            code = self._child.poll()
            if code is not None:
                return code
            if self._asked_to_stop(PARENT_CHECK_S, wake_on_child=True):
                self._stop_child()
                self._write("stopped")
                return None

    def _judge(self, code: int) -> int | None:
        """The runner's own exit code, or None to restart."""
        self._last_exit = code
        if code in (MISCONFIGURED, LOCKED):
            self._write("gave up")
            return code
        now = time.monotonic()
        self._exits = [at for at in self._exits if now - at < EXITS_WINDOW_S] + [now]
        if len(self._exits) > EXITS_MAX:
            print(
                f"{self._name}: gave up: {len(self._exits)} exits in {EXITS_WINDOW_S:.0f} s, "
                f"the last with {code}",
                file=sys.stderr,
            )
            self._write("gave up")
            return GAVE_UP
        return None

    def _asked_to_stop(self, wait_s: float, wake_on_child: bool = False) -> bool:
        """Wait so long, or until a signal; True if we have to stop (or honcho has died)."""
        until = time.monotonic() + wait_s
        while (left := until - time.monotonic()) > 0:
            found = signal.sigtimedwait(SIGNALS, min(left, PARENT_CHECK_S))
            if found is not None and found.si_signo != signal.SIGCHLD:
                return True
            if found is not None and wake_on_child:
                return False
            if "HONCHO_PROCESS_NAME" in os.environ and _grandparent() != self._grandparent:
                return True
        return False

    def _stop_child(self) -> None:
        """SIGTERM, then SIGKILL after the grace, or at once when asked a second time."""
        assert self._child is not None
        self._child.terminate()
        until = time.monotonic() + self._grace_s
        while self._child.poll() is None:
            left = until - time.monotonic()
            found = signal.sigtimedwait(SIGNALS, max(left, 0))
            again = found is not None and found.si_signo != signal.SIGCHLD
            if self._child.poll() is None and (left <= 0 or again):
                print(f"{self._name}: did not stop, killed", file=sys.stderr)
                self._child.kill()
                self._child.wait()

    def _path(self, suffix: str) -> str:
        return f"{self._run_dir}/{self._name}.{suffix}"

    def _write(self, state: str, retry_at: float | None = None) -> None:
        """Tell the status page, in a file that is replaced in one step."""
        told = {
            "name": self._name,
            "runner_pid": os.getpid(),
            "pid": 0 if self._child is None else self._child.pid,
            "generation": self._generation,
            "restarts": self._generation,
            "state": state,
            "last_exit": self._last_exit,
            "retry_at": retry_at,
        }
        temporary = self._path("runner.json.new")
        with open(temporary, "w", encoding="ascii") as file:
            json.dump(told, file)
        os.replace(temporary, self._path("runner.json"))


def _die_with_parent() -> None:
    """In the child, before exec: end when the runner ends, and take signals again."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)


def _grandparent() -> int:
    """The pid of our parent's parent, 0 where it can't be told: a change means honcho died."""
    try:
        with open(f"/proc/{os.getppid()}/stat", encoding="utf-8") as file:
            return int(file.read().rpartition(")")[2].split()[1])
    except (OSError, ValueError, IndexError):
        return 0
