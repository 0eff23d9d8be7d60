"""Whether the exchange takes orders, by its own word (FACTS.md section 9), and who wants to know.

A word older than PAUSE_LOOK is worth another look before it is passed on.
"""

from actors.gateway.desk import Asker, Desk
from protocol.kalshi import answers
from protocol.kalshi.reading import lenient
from protocol.kalshi.status import StatusBody
from protocol.latch import moment
from protocol.limits import PAUSE_ANSWER, PAUSE_ASKERS_MAX, PAUSE_LOOK
from protocol.machine import Effect
from protocol.messages import ExchangeAnswer


class Pause:
    """The last word, and those who wait for a newer one."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self.why = ""  # it takes no orders now
        self._read_at: int | None = None
        self._waiting: dict[Asker, int] = {}  # and until when
        self._looked = False

    @property
    def wanted(self) -> bool:
        """Whether somebody waits for the status to be read."""
        return bool(self._waiting)

    def learn(self, now: int, body: bytes) -> None:
        """Take the exchange's status. Raises RemoteProtocolError if it is none."""
        self._take(now, answers.read(body, StatusBody))

    def learn_if(self, now: int, body: bytes) -> None:
        """The same of an error's body, which may be a status: one that says what pauses."""
        status: StatusBody | None = lenient(body, StatusBody)
        if status is not None and _why(status):
            self._take(now, status)

    def _take(self, now: int, status: StatusBody) -> None:
        self.why, self._read_at = _why(status), now

    def looked(self) -> None:
        """A look has ended, whatever came of it: whoever waited for it need not any more."""
        self._looked = True

    def ask(self, now: int, at: int, asker: Asker) -> list[Effect]:
        """Answer at once from a fresh word, else after the next look."""
        if asker in self._waiting:
            return []
        if self._fresh(now) or len(self._waiting) >= PAUSE_ASKERS_MAX:
            return self._answer(now, at, [asker])
        self._waiting[asker] = now + PAUSE_ANSWER
        return []

    def due(self, now: int, at: int) -> list[Effect]:
        """Answer those who waited for a look, or long enough."""
        done = self._looked or self._fresh(now)
        self._looked = False
        told = [asker for asker, until in self._waiting.items() if done or until <= now]
        for asker in told:
            del self._waiting[asker]
        return self._answer(now, at, told)

    def deadline(self) -> int | None:
        return min(self._waiting.values(), default=None)

    def _fresh(self, now: int) -> bool:
        return self._read_at is not None and now - self._read_at <= PAUSE_LOOK

    def _answer(self, now: int, at: int, askers: list[Asker]) -> list[Effect]:
        return self._desk.answer(askers, ExchangeAnswer(self.why, self._fresh(now)), at)


def _why(status: StatusBody) -> str:
    if status.exchange_active and status.trading_active:
        return ""
    what = "trading" if status.exchange_active else "the exchange"
    resumes = "" if status.resumes_at is None else f", it hopes until {moment(status.resumes_at)}"
    return f"{what} pauses{resumes}"
