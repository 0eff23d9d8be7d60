"""`sidecar register-key`, `arm` and `disarm`: who may send orders to the real exchange, and when.

They write files alone (`protocol/runtime/arming.py`), so `disarm` works whatever hangs. Exit
codes: 0 done, 1 refused, 78 configuration, 130 Ctrl-C.
"""

import argparse
import os
import re
import sys
from typing import Final, Literal

from protocol.arming import ARM, Registration, wrong_key
from protocol.config import Settings
from protocol.errors import ConfigError
from protocol.latch import moment
from protocol.limits import ARMING_MAX, ARMING_MIN, ARMING_USUAL, MINUTE, SECOND
from protocol.runtime.arming import ArmingFiles
from protocol.runtime.loop import wall
from protocol.runtime.process import (
    MISCONFIGURED,
    LockHeld,
    load_settings,
    private_folder,
    take_lock,
)

DONE: Final = 0
REFUSED: Final = 1
UNITS: Final = {"s": SECOND, "m": MINUTE, "h": 60 * MINUTE}


class Refusal(Exception):
    """It can't be done; the text says why."""


def run(arguments: argparse.Namespace) -> int:
    """Run the command that `arguments.name` names. Returns its exit code."""
    os.umask(0o077)
    name = arguments.name
    try:
        settings = load_settings()
        match name:
            case "register-key":
                said = _register(settings, arguments.environment, arguments.key_id)
            case "arm":
                said = _arm(settings, arguments.duration)
            case _:
                said = _disarm(settings)
    except ConfigError as e:
        return _say(name, e, MISCONFIGURED)
    except Refusal as e:
        return _say(name, e, REFUSED)
    except OSError as e:
        return _say(name, f"{e.filename or settings.var_dir}: {e.strerror}", REFUSED)
    print(said)
    return DONE


def notes(settings: Settings) -> list[str]:
    """What whoever starts the engine on the real exchange should know; nothing elsewhere."""
    if settings.exchange.environment != "live":
        return []
    wrong = wrong_key(settings.exchange.key_id, ArmingFiles(settings).key())
    return [
        f"live: no order leaves: {wrong}" if wrong else "live: the key is registered",
        f"live: each start is disarmed; once it runs, {ARM}",
    ]


def _register(settings: Settings, environment: Literal["live", "demo"], typed: str | None) -> str:
    found = settings.exchange
    if found.environment != environment:
        raise Refusal(f'--{environment}: the settings say environment "{found.environment}"')
    if not found.key_id:
        raise Refusal("exchange.key_id in the settings is empty: put the key's id there first")
    if typed is None:
        print("the key's id, as the exchange shows it: ", end="", file=sys.stderr, flush=True)
        typed = sys.stdin.readline()
    if typed.strip() != found.key_id:
        raise Refusal("what was typed is not exchange.key_id of the settings")
    private_folder(settings.var_dir)
    files = ArmingFiles(settings)
    files.register(Registration(found.key_id, environment, wall()))
    return f"registered for the {environment} exchange: {files.key_path}"


def _arm(settings: Settings, typed: str | None) -> str:
    duration = ARMING_USUAL if typed is None else _duration(typed)
    if settings.exchange.environment != "live":
        text = f'the settings say environment "{settings.exchange.environment}"'
        raise Refusal(f"{text}: only the real exchange needs an arming")
    if not _gateway_runs(settings):
        text = "an arming counts for one start of the engine: start it first"
        raise Refusal(f"no gateway runs, and {text}")
    live = ArmingFiles(settings).arm(duration)
    if live.why:
        raise Refusal(live.why)
    return f"armed until {moment(live.until)}: orders leave for {settings.exchange.rest_url}"


def _gateway_runs(settings: Settings) -> bool:
    try:
        os.close(take_lock(f"{settings.run_dir}/gateway.lock"))
    except (LockHeld, FileNotFoundError) as e:
        return isinstance(e, LockHeld)
    return False


def _duration(typed: str) -> int:
    """Nanoseconds. Raises Refusal."""
    found = re.fullmatch(r"([0-9]{1,6})([smh])", typed, re.ASCII)
    duration = int(found[1]) * UNITS[found[2]] if found else 0
    if ARMING_MIN <= duration <= ARMING_MAX:
        return duration
    most = f"{ARMING_MAX // UNITS['h']}h"
    raise Refusal(f"--for is {typed[:40]!r}, expected 1s to {most}, such as 90m or 12h")


def _disarm(settings: Settings) -> str:
    if ArmingFiles(settings).disarm():
        return "disarmed: no order leaves for the real exchange from now on"
    return "it was not armed"


def _say(name: str, text: object, code: int) -> int:
    print(f"{name}: {text}", file=sys.stderr)
    return code
