"""`sidecar ask`: one read of the exchange, through the gateway and its budget.

Exit codes: 0 answered, 1 refused by us or by the exchange, 2 no answer, 78 configuration.
"""

import argparse
import os
import secrets
import sys
from typing import Final

from protocol.envelope import Letter
from protocol.errors import ConfigError
from protocol.kalshi.inquiries import INQUIRIES
from protocol.limits import INQUIRY_MAX, SECOND
from protocol.messages import Inquire, InquiryAnswer, Refused
from protocol.runtime.bus import Line
from protocol.runtime.loop import wall
from protocol.runtime.process import MISCONFIGURED, load_settings

DONE: Final = 0
REFUSED: Final = 1
UNREACHABLE: Final = 2
ANSWER_S: Final = INQUIRY_MAX / SECOND


def run(arguments: argparse.Namespace) -> int:
    """Ask and print the exchange's JSON; without a name, what can be asked. Returns the code."""
    if not arguments.read:
        print("\n".join(_listed()))
        return DONE
    pairs = [said.partition("=") for said in arguments.parameter]
    odd = next((name for name, sign, _ in pairs if not sign or not name), None)
    if odd is not None:
        return _say(f"{odd!r} is not NAME=VALUE", REFUSED)
    named = [name for name, _, _ in pairs]
    twice = next((name for name in named if named.count(name) > 1), None)
    if twice is not None:
        return _say(f"{twice} is said twice: a list is one parameter, parted by commas", REFUSED)
    try:
        settings = load_settings()
    except ConfigError as e:
        return _say(e, MISCONFIGURED)
    body = Inquire(arguments.read, {name: value for name, _, value in pairs})
    letter = Letter("sidecar", os.getpid(), f"ask:{secrets.token_hex(8)}", wall(), body)
    with Line(settings.endpoint("gateway.in")) as line:
        answer = line.ask(letter, ANSWER_S)
    match answer:
        case None:
            return _say("the gateway does not answer", UNREACHABLE)
        case InquiryAnswer(state="answered", body=found):
            print(bytes(found).decode())
            return DONE
        case InquiryAnswer(state=state, code=code, text=text):
            return _say(f"{code}: {text}", UNREACHABLE if state == "unknown" else REFUSED)
        case Refused(reason=reason):
            return _say(reason, REFUSED)
    return _say(f"the gateway answered {type(answer).__name__}", REFUSED)


def _listed() -> list[str]:
    """Each read on a line, with the parameters that it takes; * are needed."""
    return [
        " ".join((inquiry.name, *(f"{p.name}{'*' * p.required}" for p in inquiry.parameters)))
        for inquiry in INQUIRIES.values()
    ]


def _say(text: object, code: int) -> int:
    print(f"ask: {text}", file=sys.stderr)
    return code
