"""Lives of the writer that begin quickly: each is a fork of a process that has imported all of it.

What is left out is what a start does before its first line, which is most of a start and touches
no ledger. From there on a life is that of `python -m actors.writer`.
"""

import multiprocessing
import os
import subprocess
from multiprocessing.context import ForkServerProcess
from typing import NoReturn

from actors.writer.shell import serve
from protocol.runtime.process import main

FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload([__name__])


def live(config: str, log: str) -> NoReturn:
    """Be a writer with these settings."""
    for name in [name for name in os.environ if name.startswith("SIDECAR_")]:
        del os.environ[name]
    os.environ["SIDECAR_CONFIG"] = config
    os.dup2(os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), 2)
    main("writer", serve)


class Life:
    """One of them, to be treated as what `subprocess.Popen` gives."""

    def __init__(self, config: str, log: str) -> None:
        self._process: ForkServerProcess = FORKS.Process(target=live, args=(config, log))
        self._process.start()

    def poll(self) -> int | None:
        """Its exit code, None while it lives."""
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end. Raises subprocess.TimeoutExpired if it lives on."""
        self._process.join(timeout)
        code = self._process.exitcode
        if code is None:
            assert timeout is not None
            raise subprocess.TimeoutExpired("a life", timeout)
        return code

    def kill(self) -> None:
        """kill -9"""
        self._process.kill()

    def terminate(self) -> None:
        """Ask it to stop."""
        self._process.terminate()
