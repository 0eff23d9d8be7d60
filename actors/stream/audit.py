"""Compares each followed book with the exchange's own listing, about once a minute.

The stream has no number in common with REST, so a book counts as the same if it was so at any
moment around the listing (`comparison.py`). One difference is looked at once more, since listings
may lag; two make the book lost, and it is got anew. A book that is different again and again is
put in quarantine: somebody reads the exchange wrong.
"""

from collections import deque
from typing import Final

from actors.stream.books import Books, Followed
from actors.stream.comparison import Comparison, Finding
from protocol.book import Book
from protocol.envelope import Outbox
from protocol.errors import RemoteProtocolError
from protocol.limits import (
    AUDIT_ANSWER_MAX,
    AUDIT_GRACE,
    AUDIT_LEAD,
    AUDIT_PACE_MIN,
    AUDIT_ROUND,
    AUDIT_TICKERS_MAX,
    AUDITS_UNDER_WAY_MAX,
    QUARANTINE,
    QUARANTINE_AFTER,
    SECOND,
)
from protocol.machine import Effect, Report, Tell
from protocol.messages import AuditAnswer, AuditRequest

AGAIN: Final = 2 * SECOND  # from a first difference to the second look


class _Batch:
    """The books of one request, and when what is due of it."""

    def __init__(self, books: list[Followed], begin: int) -> None:
        self.books = [(each, Comparison(each.book)) for each in books]
        for followed, comparison in self.books:
            followed.comparison = comparison
        self.id = ""
        self.due = begin + AUDIT_LEAD  # to ask; then: to give up; then: to settle
        self.answered = False


class Audit:
    """Rounds of batches. `findings` are books found to be wrong, for whoever carries them."""

    def __init__(self, books: Books, outbox: Outbox) -> None:
        self.findings: list[tuple[str, str]] = []  # tickers, and what differs
        self.done = self.differences = self.unread = 0
        self.quarantined: dict[str, int] = {}  # until
        self._books = books
        self._outbox = outbox
        self._batches: list[_Batch] = []
        self._round: deque[str] = deque()  # whose turn is still to come
        self._round_at = 0
        self._next_at = 0
        self._asked = 0
        self._suspects: set[str] = set()  # differed once

    def due(self, now: int, at: int) -> list[Effect]:
        """Begin a batch, ask for it, settle it: whatever is due."""
        effects: list[Effect] = []
        self.quarantined = {t: until for t, until in self.quarantined.items() if until > now}
        for batch in [each for each in self._batches if each.due <= now]:
            if not batch.id:
                effects.append(self._ask(now, at, batch))
            elif batch.answered:
                effects += self._settle(now, at, batch)
            else:
                self.unread += len(batch.books)
                self._end(now, batch)
        if now >= self._next_at and len(self._batches) < AUDITS_UNDER_WAY_MAX:
            self._begin(now)
        return effects

    def deadline(self) -> int | None:
        if not self._books.by_ticker:
            return None
        found = [batch.due for batch in self._batches]
        if len(self._batches) < AUDITS_UNDER_WAY_MAX:
            found.append(self._next_at)
        return min(found)

    def answered(self, now: int, id: str, answer: AuditAnswer) -> None:
        """The gateway's answer to a request of ours."""
        batch = next((b for b in self._batches if b.id == id and not b.answered), None)
        if batch is None:
            return
        batch.answered = True
        listed = {each.ticker: each for each in answer.books}
        for followed, comparison in batch.books:
            theirs = listed.get(followed.ticker)
            if followed.comparison is not comparison or theirs is None:
                continue  # a book that was installed anew meanwhile is another one
            try:
                comparison.listed(Book(theirs.yes, theirs.no))
            except RemoteProtocolError:
                comparison.finding = Finding.BUSY  # it can't be compared with that
        still = any(
            followed.comparison is comparison and comparison.finding is Finding.OPEN
            for followed, comparison in batch.books
        )
        batch.due = now + AUDIT_GRACE if still else now

    def covered(self, at: int) -> int:
        """Books that were found right within the last round, and some slack."""
        since = at - (AUDIT_ROUND + AUDIT_ROUND // 4) // 1_000
        return sum(f.live and f.audited_at >= since for f in self._books.by_ticker.values())

    def _begin(self, now: int) -> None:
        chosen = self._choose(now)
        if chosen:
            self._batches.append(_Batch(chosen, now))
        batches = -(-len(self._books.by_ticker) // AUDIT_TICKERS_MAX)
        self._next_at = now + max(AUDIT_PACE_MIN, min(AUDIT_ROUND // (batches + 1), AGAIN))

    def _choose(self, now: int) -> list[Followed]:
        """Books that somebody doubts come first; then whose turn it is in this round."""
        if now >= self._round_at and not self._round and self._books.live:
            self._round_at = now + AUDIT_ROUND
            self._round.extend(self._books.by_ticker)
        doubted = [t for t, when in self._books.doubted.items() if when <= now]
        chosen: dict[str, Followed] = {}
        while (doubted or self._round) and len(chosen) < AUDIT_TICKERS_MAX:
            ticker = doubted.pop() if doubted else self._round.popleft()
            self._books.doubted.pop(ticker, None)
            followed = self._books.by_ticker.get(ticker)
            if followed is not None and self._fit(followed):
                chosen[ticker] = followed
        return list(chosen.values())

    @staticmethod
    def _fit(followed: Followed) -> bool:
        return followed.live and not followed.stale and followed.comparison is None

    def _ask(self, now: int, at: int, batch: _Batch) -> Effect:
        self._asked += 1
        batch.id = f"audit:{self._outbox.epoch}:{self._asked}"
        batch.due = now + AUDIT_ANSWER_MAX
        request = AuditRequest(tuple(each.ticker for each, _ in batch.books))
        return Tell("gateway", self._outbox.letter(batch.id, request, at))

    def _settle(self, now: int, at: int, batch: _Batch) -> list[Effect]:
        effects: list[Effect] = []
        for followed, comparison in batch.books:
            fit = followed.comparison is comparison and not followed.stale
            finding = comparison.settle() if fit else Finding.OPEN
            if finding is Finding.SAME:
                self.done += 1
                followed.audited_at = at
                followed.differences = 0
                self._suspects.discard(followed.ticker)
            elif finding is Finding.DIFFERENT:
                effects += self._different(now, followed, comparison.text())
            else:
                self.unread += 1
        self._end(now, batch)
        return effects

    def _different(self, now: int, followed: Followed, text: str) -> list[Effect]:
        ticker = followed.ticker
        if ticker not in self._suspects:
            self._suspects.add(ticker)
            self._books.doubted[ticker] = now + AGAIN
            return []
        self._suspects.discard(ticker)
        self.differences += 1
        followed.differences += 1
        reason = f"differs from the exchange's listing: {text}"
        if followed.differences >= QUARANTINE_AFTER:
            followed.held_until = self.quarantined[ticker] = now + QUARANTINE
            reason = f"quarantined: {reason}"
        self._books.doubted[ticker] = now + AGAIN  # is it right afterwards?
        self.findings.append((ticker, reason))
        return [Report(f"audit: {ticker} {reason}", grave=True)]

    def _end(self, now: int, batch: _Batch) -> None:
        for followed, comparison in batch.books:
            if followed.comparison is comparison:
                followed.comparison = None
        self._batches.remove(batch)
