"""`sidecar brakes`: the limits that hold, and tighter ones from now on.

Exit codes: 0 done, 1 refused, 2 the gateway does not answer, 78 configuration.
"""

import argparse
import os
import secrets
import sys
from typing import Any, Final

import msgspec
from msgspec.structs import asdict

from protocol.brakes import Brakes, written
from protocol.envelope import Letter
from protocol.errors import ConfigError
from protocol.messages import BrakesAnswer, Refused, TightenBrakes
from protocol.runtime.bus import Line
from protocol.runtime.loop import wall
from protocol.runtime.process import MISCONFIGURED, load_settings
from protocol.units import decode_unit

DONE: Final = 0
REFUSED: Final = 1
UNREACHABLE: Final = 2
ANSWER_S: Final = 3.0  # a change is on disk before it is answered


def run(arguments: argparse.Namespace) -> int:
    """List or tighten. Returns the exit code."""
    try:
        wanted = _read(arguments.limit)
    except ValueError as e:
        return _say(e, REFUSED)
    try:
        settings = load_settings()
    except ConfigError as e:
        return _say(e, MISCONFIGURED)
    body = TightenBrakes(wanted)
    letter = Letter("sidecar", os.getpid(), f"brakes:{secrets.token_hex(8)}", wall(), body)
    with Line(settings.endpoint("gateway.in")) as line:
        answer = line.ask(letter, ANSWER_S)
    match answer:
        case None:
            return _say("the gateway does not answer", UNREACHABLE)
        case BrakesAnswer(reason=""):
            print("\n".join(_lines(answer)))
            return DONE
        case BrakesAnswer(saved=False, reason=reason):
            text = f"it holds until the gateway ends, and is not on disk: {reason}"
            return _say(text, REFUSED)
        case BrakesAnswer(reason=reason) | Refused(reason=reason):
            return _say(reason, REFUSED)
    return _say(f"the gateway answered {type(answer).__name__}", REFUSED)


def _read(said: list[str]) -> Brakes:
    """The limits of NAME=VALUE. Raises ValueError that says which is wrong."""
    found: dict[str, Any] = {}
    for pair in said:
        name, sign, value = pair.partition("=")
        if not sign or name in found:
            raise ValueError(f"{pair[:100]!r} is {'said twice' if sign else 'not NAME=VALUE'}")
        found[name] = value
    try:
        return msgspec.convert(found, Brakes, strict=False, dec_hook=decode_unit)
    except msgspec.ValidationError as e:
        raise ValueError(str(e)) from None


def _lines(found: BrakesAnswer) -> list[str]:
    """Each limit on a line, and behind them what they are held against."""
    limits = asdict(found.limits)
    width = max(map(len, limits))
    lines = [
        f"{name:<{width}}  {written(value)}{'  tightened' if name in found.tightened else ''}"
        for name, value in limits.items()
    ]
    now = f"the account can lose {written(found.exposure)}, {found.open_orders} orders are open"
    return [*lines, now]


def _say(text: object, code: int) -> int:
    print(f"brakes: {text}", file=sys.stderr)
    return code
