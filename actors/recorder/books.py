"""Which books the recording does not know yet: asked of the stream, by a timer, a few at once."""

from typing import Any

from protocol.envelope import Outbox
from protocol.limits import BOOKS_ASKED_MAX, MARKETS_MAX, SNAPSHOT_RETRY
from protocol.machine import Effect, Tell
from protocol.messages import BookAnswer, BookRequest


class Books:
    """Follows by which link the books of the markets come, and wants those without a base."""

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox
        self._links: dict[str, str] = {}  # by ticker
        self._wanted: dict[str, int] = {}  # by ticker: an answer must be at least this young
        self._ask_at = 0
        self._asked = 0

    @property
    def wanted(self) -> int:
        return len(self._wanted)

    def passed(self, now: int, at: int, link: str, body: dict[str, Any]) -> None:
        """A frame is being written."""
        kind = body.get("type")
        if kind not in ("orderbook_snapshot", "orderbook_delta"):
            return
        said = body.get("msg")
        ticker = said.get("market_ticker") if isinstance(said, dict) else None
        if not isinstance(ticker, str):
            return
        known = ticker in self._links
        if not known and len(self._links) >= MARKETS_MAX:
            return
        self._links[ticker] = link
        if kind == "orderbook_snapshot":
            self._wanted.pop(ticker, None)
        elif not known:
            self._want(now, ticker, at)

    def doubt(self, now: int, at: int, link: str) -> None:
        """From this moment on nothing is known of the books of a link; "": of any."""
        for ticker, of_link in self._links.items():
            if not link or link == of_link:
                self._want(now, ticker, at)

    def answered(self, answer: BookAnswer, at: int) -> bool:
        """Whether this answer of that moment is the base that was wanted.

        A last change after the answer itself is one of a clock that was set back since: what
        follows could not be told from what is in it.
        """
        since = self._wanted.get(answer.ticker)
        if since is None:
            return False
        if answer.state == "not followed":
            del self._wanted[answer.ticker], self._links[answer.ticker]
            return False
        if answer.state not in ("live", "stale") or at < since or answer.received_at > at:
            return False
        del self._wanted[answer.ticker]
        return True

    def due(self, now: int, at: int) -> list[Effect]:
        """Ask for the next few; who is asked for once stands behind all others."""
        if not self._wanted or now < self._ask_at:
            return []
        self._ask_at = now + SNAPSHOT_RETRY
        effects: list[Effect] = []
        for ticker in list(self._wanted)[:BOOKS_ASKED_MAX]:
            self._wanted[ticker] = self._wanted.pop(ticker)
            self._asked += 1
            letter = self._outbox.letter(f"book:{self._asked}", BookRequest(ticker), at)
            effects.append(Tell("stream", letter))
        return effects

    def deadline(self) -> int | None:
        return self._ask_at if self._wanted else None

    def _want(self, now: int, ticker: str, at: int) -> None:
        if not self._wanted:
            self._ask_at = max(self._ask_at, now)
        self._wanted[ticker] = max(self._wanted.get(ticker, 0), at)
