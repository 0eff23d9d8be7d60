"""`sidecar halt`, `resume` and `panic`: the gateway is asked, and done without if it is silent.

Exit codes: 0 done, 1 refused or not done so far, 2 the gateway does not answer and nothing can be
done without it, 78 configuration, 130 Ctrl-C.
"""

import argparse
import os
import secrets
import sys
import time
from typing import Final

from protocol.config import Settings
from protocol.envelope import Letter
from protocol.errors import ConfigError
from protocol.latch import NO_LATCH, Latch, joined, unfit_reason
from protocol.limits import PANIC_ANSWER, SECOND
from protocol.messages import AnyMessage, Halt, HaltAnswer, Panic, PanicAnswer, Resume
from protocol.runtime.bus import Line
from protocol.runtime.latch import LatchFile, Overtaken
from protocol.runtime.loop import wall
from protocol.runtime.process import MISCONFIGURED, LockHeld, load_settings, take_lock

DONE: Final = 0
REFUSED: Final = 1
UNREACHABLE: Final = 2
ANSWER_S: Final = 1.0  # a gateway that takes longer is taken for dead, or hangs
PANIC_ANSWER_S: Final = PANIC_ANSWER / SECOND + 2.0


def run(arguments: argparse.Namespace) -> int:
    """Run the command that `arguments.name` names. Returns its exit code."""
    os.umask(0o077)
    wrong = unfit_reason(arguments.reason)
    if wrong:
        return _say(arguments.name, wrong, REFUSED)
    try:
        settings = load_settings()
    except ConfigError as e:
        return _say(arguments.name, e, MISCONFIGURED)
    match arguments.name:
        case "halt":
            return _halt(arguments, settings)
        case "resume":
            return _resume(arguments, settings)
    return _panic(arguments, settings)


def _halt(arguments: argparse.Namespace, settings: Settings) -> int:
    answer = _ask(settings, Halt(arguments.reason))
    if isinstance(answer, HaltAnswer):
        if answer.saved:
            print(f"halted: {answer.reason}")
            return DONE
        return _say("halt", f"halted, but not on disk: {answer.reason}", REFUSED)
    file = LatchFile(settings.var_dir)
    found = file.read()
    reason = joined(found.reason if found.halted else "", arguments.reason)
    since = found.at if found.halted else wall()
    latch = Latch(True, reason, since, found.hold_until, found.panic)
    try:
        file.write(latch)
    except OSError as e:
        text = f"the gateway does not answer, and {file.path} can't be written: {e.strerror}"
        return _say("halt", text, UNREACHABLE)
    print(f"halted: the gateway does not answer, so its latch was written here: {file.path}")
    return DONE


def _resume(arguments: argparse.Namespace, settings: Settings) -> int:
    answer = _ask(settings, Resume(arguments.reason))
    if isinstance(answer, HaltAnswer):
        if answer.halted:
            return _say("resume", f"still halted: {answer.reason}", REFUSED)
        print(f"resumed{f', but {answer.reason}' if answer.reason else ''}")
        return DONE
    if answer is not None:
        return _say("resume", getattr(answer, "reason", "not taken"), REFUSED)
    try:
        lock = take_lock(f"{settings.run_dir}/gateway.lock")
    except LockHeld as e:
        return _say("resume", f"the gateway runs and does not answer: {e}", UNREACHABLE)
    except OSError as e:
        return _say("resume", f"{settings.run_dir}: {e.strerror}", MISCONFIGURED)
    file = LatchFile(settings.var_dir)
    found = file.read()
    hold = found.hold_until > wall()
    lifted = Latch(False, arguments.reason, wall(), found.hold_until) if hold else NO_LATCH
    try:
        file.lift(lifted, found)
    except Overtaken as e:
        return _say("resume", e, REFUSED)
    except OSError as e:
        return _say("resume", f"{file.path}: {e.strerror}", REFUSED)
    finally:
        os.close(lock)
    print(f"resumed: no gateway runs, so its latch was lifted here: {file.path}")
    return DONE


def _panic(arguments: argparse.Namespace, settings: Settings) -> int:
    started = time.monotonic()
    if isinstance(_ask(settings, Halt(arguments.reason)), HaltAnswer):
        print(f"halted: {arguments.reason}", flush=True)
        code = _follow(arguments, settings, started)
        if code is not None:
            return code
    print("the gateway does not answer: this command does it by itself", flush=True)
    left = arguments.timeout - (time.monotonic() - started)
    command = [sys.executable, "-m", "actors.gateway.panic", "--reason", arguments.reason]
    if arguments.timeout > 0:
        command += ["--timeout", f"{max(left, 1.0):.1f}"]
    os.execv(command[0], command)


def _follow(arguments: argparse.Namespace, settings: Settings, started: float) -> int | None:
    """Ask the gateway for a panic until it is done. None if the gateway falls silent."""
    id, said = f"panic:{secrets.token_hex(8)}", ""  # one letter: asked again, it is the same panic
    letter = Letter("sidecar", os.getpid(), id, wall(), Panic(arguments.reason))
    with Line(settings.endpoint("gateway.in")) as line:
        while True:
            answer = line.ask(letter, PANIC_ANSWER_S)
            if not isinstance(answer, PanicAnswer):
                return None
            saved = "" if answer.saved else " (the halt is not on disk)"
            if answer.state == "done":
                print(f"done: nothing rests; cancel-alls sent: {answer.cancel_alls}{saved}")
                print("trading stays halted; `sidecar resume --reason TEXT` lifts it")
                return DONE if answer.saved else REFUSED
            if answer.reason != said:
                said = answer.reason
                print(f"running: {said}; cancel-alls sent: {answer.cancel_alls}{saved}", flush=True)
            if 0 < arguments.timeout <= time.monotonic() - started:
                return _say("panic", "not done in time; the gateway goes on with it", REFUSED)


def _ask(settings: Settings, body: Halt | Resume) -> AnyMessage | None:
    letter = Letter("sidecar", os.getpid(), f"stop:{secrets.token_hex(8)}", wall(), body)
    with Line(settings.endpoint("gateway.in")) as line:
        return line.ask(letter, ANSWER_S)


def _say(name: str, text: object, code: int) -> int:
    print(f"{name}: {text}", file=sys.stderr)
    return code
