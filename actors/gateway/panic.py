"""python -m actors.gateway.panic: halt, cancel everything and look until nothing rests, alone.

For when the gateway does not answer: it needs no other process, no bus and no database, only the
settings, the key and the exchange. The latch that it writes keeps a gateway that hangs from
sending orders when it wakes up.

Exit codes: 0 nothing rests, 1 not so far (--timeout, or the latch is not on disk), 78
configuration, 130 Ctrl-C.
"""

import argparse
import os
import sys
import threading
import time
from collections.abc import Callable
from typing import Final

from actors.gateway.desk import CallAnswered, CallFailed
from actors.gateway.sweep import Sweep, may_have_worked
from actors.gateway.wire import Wire
from protocol.config import Settings
from protocol.errors import ConfigError
from protocol.kalshi import calls
from protocol.latch import Latch, joined, moment, unfit_reason
from protocol.limits import ABSENCE_AFTER, HOLD_AFTER_CANCEL_ALL, SECOND, US
from protocol.machine import Cause
from protocol.runtime.latch import LatchFile
from protocol.runtime.loop import wall
from protocol.runtime.process import MISCONFIGURED, load_settings

NOT_DONE: Final = 1
INTERRUPTED: Final = 130
LATCH_WAIT_S: Final = 1.0  # for the disk, before the exchange is told all the same
SAY_AGAIN: Final = 10 * SECOND  # what has not changed is said again after this


class Alone:
    """A panic without a gateway."""

    def __init__(self, file: LatchFile, reason: str) -> None:
        self._file = file
        self._reason = reason
        self._said = ""
        self._said_at = 0
        self.saved = True

    def latch(self, panic: bool) -> None:
        """Halt, and hold creates for a minute from now; `panic`: this is not done yet.

        A disk that hangs holds up nothing: canceling is what counts.
        """
        writing = threading.Thread(target=self._write, args=(panic,), daemon=True)
        writing.start()
        writing.join(LATCH_WAIT_S)
        if writing.is_alive():
            self.saved = False
            self.say(f"the disk does not take the halt latch: {self._file.path}")

    def _write(self, panic: bool) -> None:
        found = self._file.read()
        since = found.at if found.halted and found.at else wall()
        hold = wall() + HOLD_AFTER_CANCEL_ALL // US if panic else found.hold_until
        try:
            reason = joined(found.reason if found.halted else "", self._reason)
            self._file.write(Latch(True, reason, since, hold, panic))
        except OSError as e:
            self.saved = False
            self.say(f"the halt latch can't be written: {self._file.path}: {e.strerror}")

    def say(self, text: str) -> None:
        """A line, unless it has just been said."""
        now = time.monotonic_ns()
        if text != self._said or now >= self._said_at + SAY_AGAIN:
            self._said, self._said_at = text, now
            print(f"{moment(wall())}  {text}", flush=True)

    def sweep(self, send: Callable[[int, calls.Call], Cause], until: int | None) -> bool:
        """Cancel and look until nothing rests. False if `until` (monotonic) came first."""
        sweep = Sweep(time.monotonic_ns())
        # The gateway, if there was one, may have sent an order just before it died.
        sweep.lands_until = time.monotonic_ns() + ABSENCE_AFTER
        number = 0
        while not sweep.done:
            now = time.monotonic_ns()
            if until is not None and now >= until:
                self.say(f"given up: {sweep.trouble}")
                return False
            call = sweep.next(now)
            if call is None:
                deadline = sweep.deadline()
                assert deadline is not None
                ends = deadline if until is None else min(deadline, until)
                time.sleep(max(ends - now, 0) / SECOND)
                continue
            number += 1
            ended = send(number, call)
            assert isinstance(ended, CallAnswered | CallFailed)
            if call is calls.CANCEL_ALL and may_have_worked(ended):
                self.latch(panic=True)
            said = sweep.ended(time.monotonic_ns(), wall(), ended)
            if said:
                self.say(said)
        return True


def main(arguments: list[str]) -> int:
    """Run to the end. Returns the exit code."""
    os.umask(0o077)
    parser = argparse.ArgumentParser("sidecar panic")
    parser.add_argument("--reason", default="panic")
    parser.add_argument("--timeout", type=float, default=0.0, help="seconds; 0: until it is done")
    found = parser.parse_args(arguments)
    wrong = unfit_reason(found.reason)
    if wrong:
        parser.error(wrong)
    try:
        settings = load_settings()
    except ConfigError as e:
        print(f"panic: {e}", file=sys.stderr)
        return MISCONFIGURED
    until = time.monotonic_ns() + int(found.timeout * SECOND) if found.timeout > 0 else None
    try:
        return _panic(settings, found.reason, until)
    except KeyboardInterrupt:
        print("stopped by Ctrl-C: trading stays halted; orders may still rest", flush=True)
        return INTERRUPTED


def _panic(settings: Settings, reason: str, until: int | None) -> int:
    alone = Alone(LatchFile(settings.var_dir), reason)
    alone.latch(panic=True)
    if alone.saved:
        alone.say(f"halted: {reason} ({settings.var_dir}/halt); no gateway sends an order any more")
    try:
        wire = Wire(settings)
    except ConfigError as e:
        print(f"panic: nothing can be canceled: {e}", file=sys.stderr)
        return MISCONFIGURED
    alone.say(f"canceling everything that rests, at {settings.exchange.rest_url}")
    if not alone.sweep(wire.send, until):
        return NOT_DONE
    alone.latch(panic=False)
    alone.say("done. Trading stays halted; `sidecar resume --reason TEXT` lifts it")
    return 0 if alone.saved else NOT_DONE


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
