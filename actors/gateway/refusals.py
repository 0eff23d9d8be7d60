"""What was refused at the door, for copies of the same letter that are on their way.

Whatever is refused there has left no trace; the same letter told again gets the same refusal,
because its asker may have been told that nothing was sent.
"""

from collections.abc import Iterable
from typing import Generic, TypeVar

from actors.gateway.desk import Asker, Desk
from protocol.limits import REFUSALS_KEPT
from protocol.machine import Effect
from protocol.messages import AmendAnswer, BatchAnswer, OrderAnswer

Said = TypeVar("Said", OrderAnswer, AmendAnswer, BatchAnswer)


class Refusals(Generic[Said]):
    """The last REFUSALS_KEPT of them, oldest first."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._kept: dict[Asker, Said] = {}

    def known(self, asker: Asker) -> Said | None:
        """What this letter was answered, if it was refused."""
        return self._kept.get(asker)

    def say(self, askers: Iterable[Asker], denied: Said, at: int) -> list[Effect]:
        """Answer, and remember it."""
        askers = list(askers)
        for asker in askers:
            self._kept[asker] = denied
        while len(self._kept) > REFUSALS_KEPT:
            del self._kept[next(iter(self._kept))]
        return self._desk.answer(askers, denied, at)
