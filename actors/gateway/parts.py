"""Letters that ask for several things at once: each is answered once all of it has its answer."""

from collections.abc import Callable
from typing import Any

from msgspec import Struct

from actors.gateway.desk import ALONE, Asker, Desk
from protocol.limits import BATCHES_MAX
from protocol.machine import Effect
from protocol.messages import AnyMessage

Whole = Callable[[tuple[Any, ...]], AnyMessage]
"""The answer to a letter, made of those to its parts, in the order in which it asked."""


class _Letter(Struct):
    answers: list[AnyMessage | None]
    left: int
    whole: Whole


class Parts:
    """The letters that are not answered yet, by who asked."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._open: dict[Asker, _Letter] = {}

    @property
    def full(self) -> bool:
        return len(self._open) >= BATCHES_MAX

    def waits(self, asker: Asker) -> bool:
        """Whether this letter is under way already."""
        return asker in self._open

    def begin(self, asker: Asker, count: int, whole: Whole) -> list[Asker]:
        """Take a letter of so many parts. Returns who asks for each."""
        self._open[asker] = _Letter([None] * count, count, whole)
        return [asker._replace(place=place) for place in range(count)]

    def due(self, at: int) -> list[Effect]:
        """Take what the parts were answered, and answer the letters that have all."""
        parts, self._desk.parts = self._desk.parts, []
        effects: list[Effect] = []
        for part, body in parts:
            asker = part._replace(place=ALONE)
            letter = self._open.get(asker)
            if letter is None or letter.answers[part.place] is not None:
                continue
            letter.answers[part.place] = body
            letter.left -= 1
            if not letter.left:
                del self._open[asker]
                effects += self._desk.answer([asker], letter.whole(tuple(letter.answers)), at)
        return effects
