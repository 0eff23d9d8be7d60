"""What may be done again of a request that had no answer, and what is said where that is unsafe."""

from actors.api.asks import Ask, CancelAll, Confirm, PressPanic, SetFollow, SetHalt
from actors.api.groups import AskGroup
from actors.api.replies import Reply, as_json


def repeatable(ask: Ask) -> bool:
    """Whether it may be done again: under the same ids, or because that only lowers risk.

    Another group would be one too many; a reset, a limit or a change of what is followed might undo
    what somebody did since, and a confirmation mean another restore. A resume says how old it is.
    """
    if isinstance(ask, AskGroup):
        return ask.wanted.action == "trigger"
    return not isinstance(ask, Confirm | SetFollow)


def stops(ask: Ask) -> bool:
    """Whether it stops something, so that it waits for no disk: a halt, a panic, a cancel-all."""
    return isinstance(ask, PressPanic | CancelAll) or (isinstance(ask, SetHalt) and ask.halted)


def timed(ask: Ask) -> bool:
    """Whether it matters when it was first asked: a resume must not lift a later halt, however
    often it is tried."""
    return isinstance(ask, SetHalt) and not ask.halted


def interrupted(id: int, ask: Ask) -> Reply:
    """What is said of something that can't be done again, and may have been done."""
    where = "look at the order groups (GET /v1/exchange/portfolio/order_groups)"
    if isinstance(ask, Confirm):
        where = "see whether orders are still refused as restore_unconfirmed"
    if isinstance(ask, SetFollow):
        where = "look at what is followed (GET /v1/follow)"
    text = f"it had no answer the first time, and may have been done: {where}, then use another key"
    return Reply(id, 202, as_json({"state": "unknown", "code": "interrupted", "text": text}))
