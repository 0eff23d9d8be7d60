"""The requests that wait for the engine, by the ids of their letters."""

from collections import Counter

from msgspec import Struct

from actors.api.asks import Ask
from actors.api.quota import Kind
from actors.api.rooms import ROOM, room_of
from protocol.messages import EvidenceAnswer


class Open(Struct):
    """A request that waits for an answer."""

    id: int
    ask: Ask
    deadline: int
    at: int  # the wall clock when it was asked
    found: EvidenceAnswer | None = None  # the first half of an answer


class Pending:
    """One request for each letter, each in the room of its kind (`rooms.py`)."""

    def __init__(self) -> None:
        self._open: dict[str, Open] = {}
        self._in: Counter[Kind] = Counter()
        self._late_at = 0  # none of them is late before this moment

    def __len__(self) -> int:
        return len(self._open)

    def crowded(self, ask: Ask) -> bool:
        """Whether there is no room for one more of its kind."""
        room = room_of(ask)
        return self._in[room] >= ROOM[room]

    def keep(self, letter: str, waiting: Open) -> None:
        """It waits for the answer to this letter from now on."""
        assert letter not in self._open
        earlier = self._open and self._late_at < waiting.deadline
        self._late_at = self._late_at if earlier else waiting.deadline
        self._open[letter] = waiting
        self._in[room_of(waiting.ask)] += 1

    def pop(self, letter: str) -> Open | None:
        """What waited for this letter, and waits no more."""
        waiting = self._open.pop(letter, None)
        if waiting is not None:
            self._in[room_of(waiting.ask)] -= 1
        return waiting

    def late(self, now: int) -> list[tuple[str, Open]]:
        """Those that have waited long enough, with their letters: they wait no more."""
        if not self._open or now < self._late_at:
            return []
        found = [one for one in self._open.items() if one[1].deadline <= now]
        for letter, _ in found:
            self.pop(letter)
        self._late_at = min((waiting.deadline for waiting in self._open.values()), default=0)
        return found

    def deadline(self) -> int | None:
        """When the next one may be late."""
        return self._late_at if self._open else None
