"""`sidecar ask`: one read of the exchange, through the gateway and its budget.

Exit codes: 0 answered, 1 refused by us or by the exchange, 2 no answer, 78 configuration.
"""

import argparse
from typing import Final

from protocol.kalshi.inquiries import INQUIRIES
from protocol.limits import INQUIRY_MAX, SECOND
from protocol.messages import Inquire, InquiryAnswer
from protocol.twice import repeated
from supervisor import letters
from supervisor.letters import DONE, REFUSED, UNREACHABLE

COMMAND: Final = "ask"
ANSWER_S: Final = INQUIRY_MAX / SECOND


def run(arguments: argparse.Namespace) -> int:
    """Ask and print the exchange's JSON; without a name, what can be asked. Returns the code."""
    if not arguments.read:
        print("\n".join(_listed()))
        return DONE
    pairs = [said.partition("=") for said in arguments.parameter]
    odd = next((name for name, sign, _ in pairs if not sign or not name), None)
    if odd is not None:
        return letters.say(COMMAND, f"{odd!r} is not NAME=VALUE", REFUSED)
    twice = repeated(name for name, _, _ in pairs)
    if twice:
        return letters.say(
            COMMAND, f"{twice} is said twice: a list is one parameter, parted by commas", REFUSED
        )
    body = Inquire(arguments.read, {name: value for name, _, value in pairs})
    answer = letters.ask(COMMAND, "gateway", body, ANSWER_S)
    match answer:
        case int():
            return answer
        case InquiryAnswer(state="answered", body=found):
            print(bytes(found).decode())
            return DONE
        case InquiryAnswer(state=state, code=code, text=text):
            return letters.say(
                COMMAND, f"{code}: {text}", UNREACHABLE if state == "unknown" else REFUSED
            )
    return letters.unexpected(COMMAND, "gateway", answer)


def _listed() -> list[str]:
    """Each read on a line, with the parameters that it takes; * are needed."""
    return [
        " ".join((inquiry.name, *(f"{p.name}{'*' * p.required}" for p in inquiry.parameters)))
        for inquiry in INQUIRIES.values()
    ]
