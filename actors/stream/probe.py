"""Asks a silent book subscription for one snapshot now and then: a quiet market, or a dead one?

The answer continues the numbers of the subscription, so it also shows that nothing is missing.
"""

import enum
from collections.abc import Iterable

from protocol.limits import COMMAND_MAX, QUIET_PROBE


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
        self._asked_at = 0
        self._done: dict[str, None] = {}  # markets that have had their turn

    def clear(self) -> None:
        """The subscription is another one."""
        self._by = None

    def forget(self, ticker: str) -> None:
        """Its market is carried no more: an answer may not come."""
        if ticker == self._ticker:
            self._by = None

    def next(self, now: int, heard_at: int, live: Iterable[str]) -> str | None:
        """The market to ask for, if one is due. `heard_at`: the subscription's last frame."""
        if self._by is not None or now < max(heard_at, self._asked_at) + QUIET_PROBE:
            return None
        first: str | None = None
        for ticker in live:
            first = ticker if first is None else first
            if ticker not in self._done:
                return ticker
        self._done.clear()
        if first is None:
            self._asked_at = now  # no book is live: their snapshots are asked for elsewhere
        return first

    def sent(self, now: int, id: int, ticker: str) -> None:
        self._id, self._ticker = id, ticker
        self._asked_at, self._by = now, now + COMMAND_MAX
        self._done[ticker] = None

    def shown(self, id: int | None, ticker: str) -> Shown:
        """A snapshot has come; `id` is that of the command it answers."""
        if self._by is None or id != self._id or ticker != self._ticker:
            return Shown.UNASKED
        self._by = None
        return Shown.PROBED

    def failed(self, now: int) -> bool:
        """Whether the answer has not come in time. Said once."""
        if self._by is None or now < self._by:
            return False
        self._by = None
        return True

    def deadline(self, heard_at: int) -> int:
        if self._by is not None:
            return self._by
        return max(heard_at, self._asked_at) + QUIET_PROBE
