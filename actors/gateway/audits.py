"""Books as the exchange's REST side lists them, for whoever holds copies of them.

Behind everything else that reads, and never without an answer: what has no tokens in time, or
fails, is answered with no books and the reason.
"""

from typing import Final

from msgspec import Struct

from actors.gateway.desk import Asker, CallAnswered, Desk, Ended
from protocol import topics
from protocol.errors import RemoteProtocolError
from protocol.kalshi import answers, calls
from protocol.kalshi.orderbooks import listed_books
from protocol.limits import AUDIT_TICKERS_MAX, AUDIT_WAIT_MAX, AUDITS_MAX
from protocol.machine import Effect
from protocol.messages import AnyMessage, AuditAnswer, Refused

KEY: Final = "audit"


class Audit(Struct):
    """One listing that is under way."""

    asker: Asker
    tickers: tuple[str, ...]
    leaves_by: int | None  # None: it has left, and will end


class Audits:
    """Listings of books, a few at a time."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._open: dict[int, Audit] = {}
        self._number = 0

    def ask(self, now: int, at: int, asker: Asker, tickers: tuple[str, ...]) -> list[Effect]:
        """List these books, unless the same letter has been taken already."""
        if any(audit.asker == asker for audit in self._open.values()):
            return []
        wrong = _flaw(tickers)
        if wrong:
            return self._say(at, asker, Refused(f"AuditRequest.tickers: {wrong}"))
        if len(self._open) >= AUDITS_MAX:
            return self._say(at, asker, AuditAnswer((), f"{AUDITS_MAX} listings are under way"))
        wanted = tuple(dict.fromkeys(tickers))
        place = self._desk.lanes.submit(f"{KEY}:{self._number + 1}", calls.list_books(wanted))
        if not place:
            return self._say(at, asker, AuditAnswer((), place.value))
        self._number += 1
        self._open[self._number] = Audit(asker, wanted, now + AUDIT_WAIT_MAX)
        return []

    def ended(self, at: int, number: int, ended: Ended) -> list[Effect]:
        """The listing has come, or has not."""
        audit = self._open.pop(number)
        return self._say(at, audit.asker, _answer(audit.tickers, ended))

    def due(self, now: int, at: int) -> list[Effect]:
        """Give up what still waits for tokens; what has left ends by itself."""
        effects: list[Effect] = []
        for number, audit in list(self._open.items()):
            if audit.leaves_by is None or now < audit.leaves_by:
                continue
            if self._desk.lanes.withdraw(f"{KEY}:{number}"):
                del self._open[number]
                effects += self._say(at, audit.asker, AuditAnswer((), "no tokens in time"))
            audit.leaves_by = None
        return effects

    def deadline(self) -> int | None:
        found = [audit.leaves_by for audit in self._open.values()]
        return min((by for by in found if by is not None), default=None)

    def _say(self, at: int, asker: Asker, body: AnyMessage) -> list[Effect]:
        return self._desk.answer([asker], body, at)


def _flaw(tickers: tuple[str, ...]) -> str:
    if not 1 <= len(tickers) <= AUDIT_TICKERS_MAX:
        return f"{len(tickers)} of them, not 1 to {AUDIT_TICKERS_MAX}"
    odd = next((ticker for ticker in tickers if not topics.is_ticker(ticker)), None)
    return "" if odd is None else f"{odd[:80]!r} is not a market's name"


def _answer(tickers: tuple[str, ...], ended: Ended) -> AuditAnswer:
    if not isinstance(ended, CallAnswered):
        return AuditAnswer((), ended.reason)
    if ended.status != 200:
        said = answers.refusal(ended.body)
        return AuditAnswer((), f"status {ended.status} {said.code if said else ''}".strip())
    try:
        return AuditAnswer(*listed_books(ended.body, tickers))
    except RemoteProtocolError as e:
        return AuditAnswer((), str(e))
