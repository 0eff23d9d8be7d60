"""One letter to one process of the engine, for a command: the answer, or the code to end with."""

import os
import secrets
import sys
from typing import Final

from protocol.envelope import Letter
from protocol.errors import ConfigError
from protocol.messages import AnyMessage, Refused
from protocol.runtime.bus import Line
from protocol.runtime.loop import wall
from protocol.runtime.process import MISCONFIGURED, load_settings

DONE: Final = 0
REFUSED: Final = 1
UNREACHABLE: Final = 2


def ask(command: str, peer: str, body: AnyMessage, seconds: float) -> AnyMessage | int:
    """What a process answers within `seconds`. An exit code, if the settings are wrong, if it
    does not answer, or refuses the letter: it has been said why."""
    try:
        settings = load_settings()
    except ConfigError as e:
        return say(command, e, MISCONFIGURED)
    letter = Letter("sidecar", os.getpid(), f"{command}:{secrets.token_hex(8)}", wall(), body)
    with Line(settings.endpoint(f"{peer}.in")) as line:
        answer = line.ask(letter, seconds)
    if answer is None:
        return say(command, f"the {peer} does not answer", UNREACHABLE)
    if isinstance(answer, Refused):
        return say(command, answer.reason, REFUSED)
    return answer


def unexpected(command: str, peer: str, answer: AnyMessage) -> int:
    """An answer of a kind that nobody asked for."""
    return say(command, f"the {peer} answered {type(answer).__name__}", REFUSED)


def say(command: str, text: object, code: int) -> int:
    """Say what went wrong. Returns the code to end with."""
    print(f"{command}: {text}", file=sys.stderr)
    return code
