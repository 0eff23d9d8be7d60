"""What letters were answered lately, for copies of them that are still on their way.

A letter is told again until its answer comes, so a copy may arrive after it. What is done by
letter alone, without an id in the ledger, would be done a second time; what was refused at the
door has left no trace, and its asker was told that nothing was sent.
"""

from collections.abc import Iterable
from typing import Generic, TypeVar

from actors.gateway.desk import Asker, Desk
from protocol.limits import REFUSALS_KEPT
from protocol.machine import Effect
from protocol.messages import AmendAnswer, BatchAnswer, DecreaseAnswer, GroupAnswer, OrderAnswer

Said = TypeVar("Said", OrderAnswer, AmendAnswer, BatchAnswer, DecreaseAnswer, GroupAnswer)


class Told(Generic[Said]):
    """The last answers, at most so many, oldest first."""

    def __init__(self, desk: Desk, most: int = REFUSALS_KEPT) -> None:
        self._desk = desk
        self._most = most
        self._kept: dict[Asker, Said] = {}

    def __len__(self) -> int:
        return len(self._kept)

    def known(self, asker: Asker) -> Said | None:
        """What this letter was answered; None if it is new, or too old."""
        return self._kept.get(asker)

    def say(self, askers: Iterable[Asker], answer: Said, at: int) -> list[Effect]:
        """Answer, and remember it."""
        askers = list(askers)
        for asker in askers:
            self._kept[asker] = answer
        while len(self._kept) > self._most:
            del self._kept[next(iter(self._kept))]
        return self._desk.answer(askers, answer, at)
