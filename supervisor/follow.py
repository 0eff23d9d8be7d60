"""`sidecar follow`: what the stream follows, and more or less of it from now on.

Exit codes: 0 done, 1 refused, 2 the stream does not answer, 78 configuration.
"""

import argparse
import os
import secrets
import sys
from typing import Final

from protocol import wishes
from protocol.envelope import Letter
from protocol.errors import ConfigError
from protocol.limits import WISHES_MAX
from protocol.messages import Follow, FollowAnswer, Refused
from protocol.runtime.bus import Line
from protocol.runtime.loop import wall
from protocol.runtime.process import MISCONFIGURED, load_settings

DONE: Final = 0
REFUSED: Final = 1
UNREACHABLE: Final = 2
ANSWER_S: Final = 3.0  # a change is on disk before it is answered


def run(arguments: argparse.Namespace) -> int:
    """List, add or remove. Returns the exit code."""
    named = tuple(arguments.wish)
    wrong = _flaw(arguments.action, named)
    if wrong:
        return _say(wrong, REFUSED)
    try:
        settings = load_settings()
    except ConfigError as e:
        return _say(e, MISCONFIGURED)
    body = Follow(
        named if arguments.action == "add" else (), named if arguments.action == "remove" else ()
    )
    letter = Letter("sidecar", os.getpid(), f"follow:{secrets.token_hex(8)}", wall(), body)
    with Line(settings.endpoint("stream.in")) as line:
        answer = line.ask(letter, ANSWER_S)
    match answer:
        case None:
            return _say("the stream does not answer", UNREACHABLE)
        case FollowAnswer(reason=""):
            print("\n".join(_lines(answer)))
            return DONE
        case FollowAnswer(reason=reason) | Refused(reason=reason):
            return _say(reason, REFUSED)
    return _say(f"the stream answered {type(answer).__name__}", REFUSED)


def _flaw(action: str, named: tuple[str, ...]) -> str:
    """What is wrong with the command line; "" if nothing is."""
    if action == "list":
        return f"list takes no wishes: {' '.join(named)[:200]}" if named else ""
    if not named:
        return f"{action} what? {wishes.FORMS}"
    if len(named) > WISHES_MAX:
        return f"{len(named)} wishes, at most {WISHES_MAX} at once"
    return wishes.first_unfit(named)


def _lines(found: FollowAnswer) -> list[str]:
    """Each wish on a line, and behind them what they come to."""
    lines = [*found.wishes, f"{found.markets} markets with books, {found.live} of them live"]
    if found.left_out:
        lines.append(f"{found.left_out} or more markets are left out: more than can be followed")
    return lines


def _say(text: object, code: int) -> int:
    print(f"follow: {text}", file=sys.stderr)
    return code
