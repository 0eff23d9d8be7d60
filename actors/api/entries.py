"""The ledger's entries for whoever follows them: from a number on, each once and in order.

Whoever is at the last entry that was heard is in step, and gets the next one as it is published.
Everybody else is behind, and gets pages of what the writer has, until he is in step. So what was
not heard is fetched for all, and nothing is lost.
"""

from msgspec import Struct

from actors.api import notices
from actors.api.effects import Pace, Say
from protocol.limits import CATCH_UP_RETRY, ENTRIES_A_PAGE, PAGES_ASKED_MAX
from protocol.machine import Effect
from protocol.messages import AnyMessage, Entries, EntriesRequest, Entry
from protocol.telling import Outstanding


class _Behind(Struct):
    """A client, the last number that it has, and whether it takes more now."""

    at: int
    ready: bool = True
    asked_at: int = 0


class Ledger:
    """Positions of clients in the ledger."""

    def __init__(self, tells: Outstanding) -> None:
        self._tells = tells
        self.head = 0  # the last entry that was heard of
        self._behind: dict[int, _Behind] = {}
        self._step: dict[int, None] = {}  # clients in step
        self._to: tuple[int, ...] = ()
        self._asked: dict[str, int] = {}  # letters: the number since which they ask

    def __contains__(self, client: int) -> bool:
        return client in self._step or client in self._behind

    def join(self, client: int, since: int) -> bytes:
        """From here on. The first thing that is said."""
        if since == self.head:
            self._step[client] = None
            self._to = tuple(self._step)
        else:
            self._behind[client] = _Behind(since)
        return notices.snapshot("ledger", n=since, head=self.head)

    def leave(self, client: int) -> None:
        self._behind.pop(client, None)
        if self._step.pop(client, 0) is None:
            self._to = tuple(self._step)

    def heard(self, entry: Entry, text: bytes) -> list[Effect]:
        """An entry was published. If the one before it was not heard, all have to fetch."""
        if entry.n == self.head + 1:
            self.head = entry.n
            return [Say(self._to, text)] if self._to else []
        self.reach(entry.n)
        return []

    def reach(self, head: int) -> None:
        """The ledger goes up to here, whatever was heard of it."""
        if head <= self.head:
            return
        for client in self._step:
            self._behind[client] = _Behind(self.head)
        self._step.clear()
        self._to = ()
        self.head = head

    def ready(self, client: int) -> None:
        """It has taken what it was told."""
        if client in self._behind:
            self._behind[client].ready = True

    def due(self, now: int, at: int) -> list[Effect]:
        """Ask the writer for what those behind are to get next: once for all at one number."""
        effects: list[Effect] = []
        for behind in self._behind.values():
            letter = letter_of(behind)
            waits = letter in self._asked or now < behind.asked_at + CATCH_UP_RETRY
            if not behind.ready or waits:
                continue
            behind.asked_at = now
            if len(self._asked) >= PAGES_ASKED_MAX:
                continue
            self._asked[letter] = behind.at
            request = EntriesRequest(behind.at, ENTRIES_A_PAGE)
            effects += self._tells.tell(now, at, "writer", letter, request)
        return effects

    def deadline(self) -> int | None:
        waiting = [b for b in self._behind.values() if b.ready and letter_of(b) not in self._asked]
        return min((b.asked_at + CATCH_UP_RETRY for b in waiting), default=None)

    def answered(self, letter: str, answer: AnyMessage) -> list[Effect]:
        """A page, for all who are at its beginning. What has not been published so far, as far
        as we know, they will hear."""
        since = self._asked.pop(letter, None)
        if since is None or not isinstance(answer, Entries):
            return []
        rows = tuple(entry for entry in answer.entries if entry.n <= self.head)
        whole = all(entry.n == since + k for k, entry in enumerate(rows, 1))
        to = tuple(c for c, b in self._behind.items() if b.at == since and b.ready)
        if not rows or not whole or not to:
            return []
        end = rows[-1].n
        effects: list[Effect] = [Say(to, notices.entries(rows, self.head))]
        for client in to:
            if end == self.head:
                del self._behind[client]
                self._step[client] = None
            else:
                self._behind[client] = _Behind(end, ready=False)
                effects.append(Pace(client))
        self._to = tuple(self._step)
        return effects


def letter_of(behind: _Behind) -> str:
    return f"since:{behind.at}"
