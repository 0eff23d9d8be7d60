"""Whether the exchange pauses: by its calendar, or by its own word, which the gateway reads."""

from protocol.envelope import Outbox
from protocol.kalshi import hours
from protocol.limits import PAUSE_AGAIN, PAUSE_LOOK
from protocol.machine import Effect, Tell
from protocol.messages import ExchangeAnswer, ExchangeRequest


class Pause:
    """Asks when something begins to be missing, then slowly while it is, or a pause is known.

    Without an answer nothing is known, and nothing is excused.
    """

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox
        self.wanted = False  # a connection is missing: is that a pause?
        self._was_wanted = False
        self._said = ""
        self._answered = True  # since we last asked
        self._next_at = self._soonest = 0
        self._asked = 0

    def text(self, at: int) -> str:
        """What pauses, "" if nothing is known to."""
        if hours.maintenance(at):
            return hours.TEXT
        return self._said

    def due(self, now: int, at: int) -> list[Effect]:
        """Ask the gateway. It rides on the heartbeat: no timer of its own."""
        if self.wanted and not self._was_wanted:
            self._next_at = min(self._next_at, self._soonest)
        self._was_wanted = self.wanted
        if now < self._next_at or not (self.wanted or self._said):
            return []
        if not self._answered:
            self._said = ""
        self._answered = False
        self._next_at, self._soonest = now + PAUSE_LOOK, now + PAUSE_AGAIN
        self._asked += 1
        id = f"exchange:{self._outbox.epoch}:{self._asked}"
        return [Tell("gateway", self._outbox.letter(id, ExchangeRequest(), at))]

    def told(self, answer: ExchangeAnswer) -> None:
        self._answered = True
        self._said = answer.paused if answer.known else ""
