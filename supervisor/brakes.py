"""`sidecar brakes`: the limits that hold, and tighter ones from now on.

Exit codes: 0 done, 1 refused, 2 the gateway does not answer, 78 configuration.
"""

import argparse
from typing import Any, Final

import msgspec
from msgspec.structs import asdict

from protocol.brakes import Brakes, written
from protocol.messages import BrakesAnswer, TightenBrakes
from protocol.units import decode_unit
from supervisor import letters
from supervisor.letters import DONE, REFUSED

COMMAND: Final = "brakes"
ANSWER_S: Final = 3.0  # a change is on disk before it is answered


def run(arguments: argparse.Namespace) -> int:
    """List or tighten. Returns the exit code."""
    try:
        wanted = _read(arguments.limit)
    except ValueError as e:
        return letters.say(COMMAND, e, REFUSED)
    body = TightenBrakes(wanted)
    answer = letters.ask(COMMAND, "gateway", body, ANSWER_S)
    match answer:
        case int():
            return answer
        case BrakesAnswer(reason=""):
            print("\n".join(_lines(answer)))
            return DONE
        case BrakesAnswer(saved=False, reason=reason):
            text = f"it holds until the gateway ends, and is not on disk: {reason}"
            return letters.say(COMMAND, text, REFUSED)
        case BrakesAnswer(reason=reason):
            return letters.say(COMMAND, reason, REFUSED)
    return letters.unexpected(COMMAND, "gateway", answer)


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
