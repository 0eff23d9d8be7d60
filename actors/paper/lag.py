"""Reads that lag writes: the account as it was a while ago (FACTS.md section 6.1)."""

from collections import deque

from actors.paper.account import Account
from actors.paper.entries import AccountEntry, Entry, LifeEntry


class Lag:
    """While armed, a copy that follows the account at a distance. Times in microseconds."""

    def __init__(self, account: Account) -> None:
        self._account = account
        self._copy: Account | None = None
        self._as_of = 0
        self._waiting: deque[AccountEntry] = deque()  # no longer than what happens in the distance

    def arm(self, distance: int, at: int) -> None:
        """Show from now on what was `distance` ago; never older than this moment. 0 = the truth."""
        if not distance:
            self._copy = None
            self._waiting.clear()
        elif self._copy is None:
            self._copy, self._as_of = self._account.copied(), at

    def note(self, entries: list[Entry]) -> None:
        """These have just happened."""
        if self._copy is not None:
            self._waiting.extend(e for e in entries if not isinstance(e, LifeEntry))

    def seen(self, distance: int, at: int) -> tuple[Account, int]:
        """The account that a read at `at` shows, and as of when that is."""
        if self._copy is None:
            return self._account, at
        self._as_of = max(self._as_of, at - distance)
        while self._waiting and self._waiting[0].at <= self._as_of:
            self._copy.apply(self._waiting.popleft())
        return self._copy, self._as_of
