"""Says whether the stream can be relied on and, if not, why: in words that name the cause."""

from collections.abc import Callable

from actors.stream.audit import Audit
from actors.stream.books import Books
from actors.stream.connection import State
from actors.stream.follows import Follows
from actors.stream.lines import Lines
from protocol.machine import Effect
from protocol.messages import Signal
from protocol.pulse import Pulse, Vitals


class Health:
    """Reasons with numbers in them are renewed each second, all else at once."""

    def __init__(
        self, pulse: Pulse, follows: Follows, lines: Lines, books: Books, audit: Audit
    ) -> None:
        self._pulse = pulse
        self._follows = follows
        self._lines = lines
        self._books = books
        self._audit = audit
        self._vitals = Vitals(("starting",), {"streams_ready": False})
        self._mood: tuple[object, ...] = ()

    def beat(
        self, now: int, at: int, stopping: bool, counters: Callable[[], dict[str, int]]
    ) -> list[Effect]:
        """The heartbeat, if one is due or something has changed."""
        books = self._books
        mood = (
            self._follows.known,
            self._follows.why,
            tuple((line.connection.why, line.fresh.verdict) for line in self._lines.all),
            books.awaited == 0,
            books.lost == 0,
            books.stale == 0,
            self._lines.private.why_not(),
            stopping,
        )
        if mood == self._mood and now < self._pulse.deadline():
            return []
        self._mood = mood
        was = self._vitals
        reasons = self._reasons(stopping)
        self._vitals = Vitals(reasons, {"streams_ready": not reasons})
        effects: list[Effect] = []
        if was.ready != self._vitals.ready:
            subject = "degraded" if reasons else "ready"
            cause = "; ".join(reasons) or "streams_ready"
            effects = [self._pulse.signal(at, Signal("health_state", cause, subject))]
        if not self._pulse.due(now, self._vitals):
            return effects
        return effects + self._pulse.beat(now, at, self._vitals, counters())

    def _reasons(self, stopping: bool) -> tuple[str, ...]:
        """What is missing for market data and the private side to be relied on."""
        reasons = ["stopping"] if stopping else []
        reasons.append(self._markets())
        for line in (*self._lines.markets, self._lines.public):
            reasons.append(f"{line.link}: {why}" if (why := line.why_not()) else "")
        reasons += self._of_books()
        reasons.append(self._lines.private.why_not())
        return tuple(reason for reason in reasons if reason)

    def _markets(self) -> str:
        follows = self._follows
        if not follows.known:
            why = f" ({follows.why})" if follows.why else ""
            return f"waiting for gateway: which markets to follow{why}"
        if follows.asked and not self._books.by_ticker:
            return "markets: none found to follow"
        return ""

    def _of_books(self) -> list[str]:
        books = self._books
        reasons = []
        if books.lost:
            reasons.append(f"books: {books.lost} lost")
        if books.stale:
            reasons.append(f"books: {books.stale} stale")
        if books.awaited > self._lines.left_out and any(
            line.connection.state is State.OPEN for line in self._lines.markets
        ):
            reasons.append(f"books: {books.awaited - self._lines.left_out} waiting for a snapshot")
        if self._audit.quarantined:
            names = ", ".join(sorted(self._audit.quarantined)[:3])
            reasons.append(f"books: {len(self._audit.quarantined)} in quarantine: {names}")
        return reasons
