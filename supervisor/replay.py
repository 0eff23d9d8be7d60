"""`sidecar replay`: the whole engine on a recording, once it is known to be whole."""

import argparse
import math
import os
import sys
from pathlib import Path
from typing import NoReturn

from protocol.errors import ConfigError
from protocol.runtime.process import LOCKED, MISCONFIGURED, LockHeld, load_settings
from protocol.runtime.segments import findings_of, is_recording, segments_of
from supervisor.runner import NAMES
from supervisor.setup import check, set_up

DAMAGED = 1


def run(arguments: argparse.Namespace) -> int:
    """Look, say what is wrong, and become `honcho start`. Returns an exit code if it does not."""
    path = arguments.path
    os.umask(0o077)
    try:
        settings = load_settings()
        if not settings.paper.enabled:
            raise ConfigError("a recording is played in the paper profile, not beside real money")
        if not 0 < arguments.speed < math.inf:
            raise ConfigError(f"--speed is {arguments.speed}, expected more than 0, and finite")
        damaged = _look(path, arguments.check)
        if arguments.check:
            return DAMAGED if damaged else 0
        if damaged and not arguments.damaged:
            print("replay: not played; --damaged plays what can be read", file=sys.stderr)
            return DAMAGED
        set_up(settings)
        check(settings, NAMES)
    except (ConfigError, LockHeld, OSError) as e:
        reason = f"{e.filename}: {e.strerror}" if isinstance(e, OSError) else e
        print(f"replay: {reason}", file=sys.stderr)
        return LOCKED if isinstance(e, LockHeld) else MISCONFIGURED
    _start(path, arguments.speed, arguments.damaged)


def _look(path: str, only: bool) -> bool:
    """Say what a recording is and what is wrong with it. Returns whether that is damage.

    Raises ConfigError where there is nothing to play, or nothing to look at (`only`).
    """
    if not is_recording(path):  # a plain capture has nothing to be held against
        if not os.path.isfile(path):
            raise ConfigError(f"{path}: no such file or folder")
        if only:
            raise ConfigError(f"{path}: no recording, so there is nothing to hold it against")
        return False
    findings = findings_of(path)
    for finding in findings:
        word = "note" if finding.harmless else "damaged"
        print(f"{word}: {finding}", file=sys.stderr)
    harmful = sum(not finding.harmless for finding in findings)
    print(f"{len(segments_of(path))} segments, {harmful} things damaged", flush=True)
    return harmful > 0


def _start(path: str, speed: float, damaged: bool) -> NoReturn:
    """The processes of the Procfile, as `make run FEED=… SPEED=…` starts them."""
    environment = {
        **os.environ,
        "SIDECAR_PAPER_FEED": path,
        "SIDECAR_PAPER_SPEED": repr(speed),
        "SIDECAR_PAPER_DAMAGED": "true" if damaged else "false",
        "SIDECAR_BIN": os.environ.get("SIDECAR_BIN", str(Path(sys.executable).parent / "sidecar")),
    }
    honcho = str(Path(sys.executable).parent / "honcho")
    os.execve(honcho, [honcho, "start"], environment)
