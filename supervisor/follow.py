"""`sidecar follow`: what the stream follows, and more or less of it from now on.

Exit codes: 0 done, 1 refused, 2 the stream does not answer, 78 configuration.
"""

import argparse
from typing import Final

from protocol import wishes
from protocol.limits import WISHES_MAX
from protocol.messages import Follow, FollowAnswer
from supervisor import letters
from supervisor.letters import DONE, REFUSED

COMMAND: Final = "follow"
ANSWER_S: Final = 3.0  # a change is on disk before it is answered


def run(arguments: argparse.Namespace) -> int:
    """List, add or remove. Returns the exit code."""
    named = tuple(arguments.wish)
    wrong = _flaw(arguments.action, named)
    if wrong:
        return letters.say(COMMAND, wrong, REFUSED)
    body = Follow(
        named if arguments.action == "add" else (), named if arguments.action == "remove" else ()
    )
    answer = letters.ask(COMMAND, "stream", body, ANSWER_S)
    match answer:
        case int():
            return answer
        case FollowAnswer(reason=""):
            print("\n".join(_lines(answer)))
            return DONE
        case FollowAnswer(reason=reason):
            return letters.say(COMMAND, reason, REFUSED)
    return letters.unexpected(COMMAND, "stream", answer)


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
