"""Asks a silent book subscription for one snapshot now and then: a quiet market, or a dead one?

The answer continues the numbers of the subscription, so it also shows that nothing is missing; and
it stands in line behind all that waits for us there, so a quick one shows that nothing waits.
"""

import enum
from collections.abc import Iterable

from protocol.limits import LATE_PROBE, PROBE_MAX, QUIET_PROBE, SILENCE_MAX


class Shown(enum.Enum):
    """Why a snapshot has come."""

    PROBED = enum.auto()
    UNASKED = enum.auto()


class Probe:
    """At most one is under way; each time of another market."""

    def __init__(self) -> None:
        self._id = 0
        self._ticker = ""
        self._by: int | None = None
        self.asked_at = 0
        self._done: dict[str, None] = {}  # markets that have had their turn

    def clear(self) -> None:
        """The subscription is another one."""
        self._by = None

    def forget(self, ticker: str) -> None:
        """Its market is carried no more: an answer may not come."""
        if ticker == self._ticker:
            self._by = None

    def next(self, now: int, heard_at: int, late: bool, live: Iterable[str]) -> str | None:
        """The market to ask for, if one is due. `heard_at`: the subscription's last frame.

        `late`: its data was, and we want to know whether it still is.
        """
        if self._by is not None or now < self._due_at(heard_at, late):
            return None
        first: str | None = None
        for ticker in live:
            first = ticker if first is None else first
            if ticker not in self._done:
                return ticker
        self._done.clear()
        if first is None:
            self.asked_at = now  # no book is live: their snapshots are asked for elsewhere
        return first

    def sent(self, now: int, id: int, ticker: str) -> None:
        self._id, self._ticker = id, ticker
        self.asked_at, self._by = now, now + PROBE_MAX
        self._done[ticker] = None

    def shown(self, id: int | None, ticker: str) -> Shown:
        """A snapshot has come; `id` is that of the command it answers."""
        if self._by is None or id != self._id or ticker != self._ticker:
            return Shown.UNASKED
        self._by = None
        return Shown.PROBED

    def failed(self, now: int, heard_at: int, alive_at: int) -> bool:
        """Whether the answer has not come in time. Said once.

        As long as anything comes, the subscription lives: its answer stands in line. `alive_at` is
        the last sign of life of the whole connection: without one since we asked, it may be the
        connection that is dead, and that is found out elsewhere.
        """
        if self._by is None or now < self._answer_by(self._by, heard_at, alive_at):
            return False
        self._by = None
        return True

    def deadline(self, heard_at: int, alive_at: int, late: bool) -> int:
        if self._by is not None:
            return self._answer_by(self._by, heard_at, alive_at)
        return self._due_at(heard_at, late)

    def _answer_by(self, by: int, heard_at: int, alive_at: int) -> int:
        by = max(by, heard_at + PROBE_MAX)
        return by if alive_at > self.asked_at else max(by, alive_at + SILENCE_MAX + 1)

    def _due_at(self, heard_at: int, late: bool) -> int:
        if late:
            return self.asked_at + LATE_PROBE
        return max(heard_at, self.asked_at) + QUIET_PROBE
