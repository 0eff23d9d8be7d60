"""Starts and ends the keeper's process, and hears how it is: on a thread that does little else."""

import contextlib
import subprocess
import sys
import threading
from collections.abc import Callable

import msgspec

from actors.writer.market.wire import Standing
from actors.writer.wire import KeeperEnded, KeeperSaid
from protocol.limits import KEEP_STOP_MAX, SECOND
from protocol.machine import Cause
from protocol.runtime.loop import wall

COMMAND = [sys.executable, "-m", "actors.writer.market"]


class KeeperProcess:
    """One keeper at a time. It ends when its standard input does, so it never outlives us."""

    def __init__(self, feed: Callable[[Cause], None]) -> None:
        self._feed = feed
        self._process: subprocess.Popen[bytes] | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start it; what it says and its end are fed."""
        self._thread = threading.Thread(target=self._watch, name="keeper", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Let it save what waits, or end it. Returns when it is gone."""
        process, thread = self._process, self._thread
        if process is None or thread is None:
            return
        assert process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close()
        thread.join(KEEP_STOP_MAX / SECOND)
        if thread.is_alive():
            process.kill()
            thread.join()

    def _watch(self) -> None:
        self._feed(KeeperEnded(wall(), self._life()))

    def _life(self) -> str:
        """Hear one keeper out. Returns how it ended."""
        pipe = subprocess.PIPE
        try:
            process = subprocess.Popen(COMMAND, stdin=pipe, stdout=pipe)
        except OSError as e:
            return f"its process can't be started: {e.strerror}"
        self._process = process
        assert process.stdout is not None
        for line in process.stdout:
            said = msgspec.json.decode(line, type=Standing)
            self._feed(KeeperSaid(wall(), said.kept, said.holes, said.lag_ms, said.trouble))
        return f"its process ended with {process.wait()}"
