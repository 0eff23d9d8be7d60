"""Answers those who ask for books, a bounded number at a time, so that data is not kept waiting."""

from collections.abc import Callable

from msgspec import Struct

from protocol.envelope import Letter, Outbox
from protocol.limits import BOOK_ANSWERS_A_TURN, BOOK_ANSWERS_PAUSE, BOOK_REQUESTS_MAX
from protocol.machine import Answer, Effect
from protocol.messages import BookAnswer


class _Request(Struct):
    sender: tuple[bytes, ...]
    letter: Letter
    ticker: str


class BookAnswers:
    """Requests in the order they came. Beyond the bound they are dropped: askers ask again."""

    def __init__(self, outbox: Outbox, answer: Callable[[str], BookAnswer]) -> None:
        self.dropped = 0
        self._outbox = outbox
        self._answer = answer
        self._waiting: dict[tuple[tuple[bytes, ...], str], _Request] = {}
        self._next_at = 0
        self._left = BOOK_ANSWERS_A_TURN

    def ask(
        self, now: int, at: int, sender: tuple[bytes, ...], letter: Letter, ticker: str
    ) -> list[Effect]:
        """Answered at once if it is quiet. Asked again before its turn has come, it waits once."""
        if len(self._waiting) >= BOOK_REQUESTS_MAX:
            self.dropped += 1
            return []
        self._waiting[sender, letter.id] = _Request(sender, letter, ticker)
        return self.due(now, at)

    def due(self, now: int, at: int) -> list[Effect]:
        """The next ones, if it is time."""
        if now >= self._next_at:
            self._next_at = now + BOOK_ANSWERS_PAUSE
            self._left = BOOK_ANSWERS_A_TURN
        effects: list[Effect] = []
        while self._waiting and self._left:
            self._left -= 1
            request = self._waiting.pop(next(iter(self._waiting)))
            letter = self._outbox.letter(request.letter.id, self._answer(request.ticker), at)
            effects.append(Answer(request.sender, letter))
        return effects

    def deadline(self) -> int | None:
        return self._next_at if self._waiting else None
