"""Money that could not be booked as it was told: trading is halted for it, once.

It is set aside in the database, under a number. The gateway is told to halt until it has that on
its disk; that it was told goes on record in the ledger. From then on its latch holds, until
somebody resumes, and nobody halts again for the same fact.
"""

from actors.writer.batch import Result, stops_trading
from actors.writer.wire import TellAside
from protocol.envelope import Letter, Outbox
from protocol.facts import AnyFact
from protocol.machine import Effect, Report
from protocol.messages import Halt, HaltAnswer
from protocol.telling import Outstanding


class Asides:
    """What was set aside and is not settled yet. Numbers only go forward."""

    def __init__(self, outbox: Outbox) -> None:
        self._tells = Outstanding(outbox)
        self._last = (0, "")  # the last one that trading is not known to be halted for, and why
        self._latched = 0  # up to which one the gateway has halted
        self._told = 0  # up to which one that is on record

    @property
    def troubles(self) -> tuple[str, ...]:
        """Why the gate must stay closed until the halt is on record."""
        return (self._last[1],) if self._last[0] else ()

    def opened(self, aside: int, reason: str, told: int) -> None:
        """What a former life left: the last one that nobody was told of, 0 if there is none."""
        self._last, self._told = (aside, reason), told

    def noted(self, fact: AnyFact, result: Result) -> list[Effect]:
        """A fact was not booked."""
        if not stops_trading(fact, result) or result.aside <= max(self._told, self._last[0]):
            return []  # told again: trading has been halted for it, and somebody may have resumed
        text = f"ledger: {result.verdict.lower()}: {result.reason}"
        self._last = (result.aside, text)
        return [Report(text, grave=True)]

    def due(self, now: int, at: int) -> list[Effect]:
        """Tell the gateway, until it has halted."""
        aside, reason = self._last
        effects: list[Effect] = []
        if aside > self._latched:
            effects += self._tells.tell(now, at, "gateway", f"aside:{aside}", Halt(reason))
        return effects + self._tells.due(now)

    def answered(self, letter: Letter) -> list[Effect]:
        """The gateway answered. A halt that is not on its disk is told again."""
        answer = letter.body
        if not isinstance(answer, HaltAnswer) or not (answer.halted and answer.saved):
            return []
        if self._tells.answered(letter.id) is None:
            return []
        self._latched = max(self._latched, int(letter.id.partition(":")[2]))
        return [TellAside(self._latched)]

    def recorded(self, aside: int) -> None:
        """It is on record that trading was halted up to this one."""
        self._told = max(self._told, aside)
        if self._last[0] <= aside:
            self._last = (0, "")

    def deadline(self) -> int | None:
        """When the gateway is told again."""
        return self._tells.deadline()
