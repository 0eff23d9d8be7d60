"""What the parts of the gateway share: its letters, its lanes, its copy of the account."""

from collections.abc import Iterable
from typing import Final, NamedTuple

from actors.gateway.lanes import Lanes
from actors.gateway.passes import Pass
from protocol.envelope import Outbox
from protocol.facts import AnyFact, natural_id
from protocol.follower import LedgerFollower
from protocol.kalshi.calls import Call
from protocol.machine import Answer, Cause, Effect
from protocol.messages import AnyMessage, Append
from protocol.telling import Outstanding

ALONE: Final = -1


class Asker(NamedTuple):
    """Where an answer goes, the id of the letter that it answers, and the life that wrote it.

    The same letter told again has the same one: it is the same wish.
    """

    sender: tuple[bytes, ...]
    id: str
    epoch: int
    place: int = ALONE  # which part of a letter asks that asks for several things


class CallAnswered(Cause, frozen=True):
    """The exchange answered a call."""

    id: int
    status: int
    body: bytes


class CallFailed(Cause, frozen=True):
    """No answer. `sent` unless it is certain that not a byte of the request left."""

    id: int
    reason: str
    sent: bool


class MakeCall(Effect, frozen=True):
    """Sign a call and send it, once."""

    id: int
    call: Call
    passed: Pass | None = None  # what may add risk is not signed without one


Ended = CallAnswered | CallFailed


class Desk:
    """Shared by the order, cancel and reconciliation desks of one gateway."""

    def __init__(self, outbox: Outbox, now: int) -> None:
        self.outbox = outbox
        self.tells = Outstanding(outbox)
        self.lanes = Lanes(now)
        self.ledger = LedgerFollower(outbox)
        self.parts: list[tuple[Asker, AnyMessage]] = []  # answers to parts of letters (`parts.py`)
        self.counters: dict[str, int] = dict.fromkeys(
            ("calls", "calls_429", "sent", "accepted", "rejected", "unknown", "denied", "absent"), 0
        )

    def append(self, now: int, at: int, fact: AnyFact) -> list[Effect]:
        """Tell the writer a fact until it acknowledges it, under the fact's own name."""
        return self.tells.tell(now, at, "writer", natural_id(fact), Append(fact))

    def answer(self, askers: Iterable[Asker], body: AnyMessage, at: int) -> list[Effect]:
        """Answer letters. What answers a part of one is kept until all of it has its answer."""
        effects: list[Effect] = []
        for asker in askers:
            if asker.place == ALONE:
                effects.append(Answer(asker.sender, self.outbox.letter(asker.id, body, at)))
            else:
                self.parts.append((asker, body))
        return effects
