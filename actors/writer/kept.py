"""What the writer says of its keeper of trades and quotes, and when that is started again.

The keeper's troubles are counted and reported, and never a reason to be unready: no money rests
on what it keeps.
"""

from actors.writer.wire import KeeperEnded, KeeperSaid, StartKeeper
from protocol.limits import KEEP_REOPEN, KEEP_SILENT, SECOND
from protocol.machine import Effect, Report

SILENT = f"says nothing for {KEEP_SILENT // SECOND} s"


class Kept:
    """The keeper, as the writer sees it. One that is not wanted is never started nor mentioned."""

    def __init__(self, wanted: bool) -> None:
        self._wanted = wanted
        self._start_at: int | None = None
        self._heard_at: int | None = None  # None while none runs
        self._before = (0, 0)  # rows and holes of former keepers of this life
        self._last = (0, 0)
        self._lag_ms = 0
        self._trouble = ""

    @property
    def counters(self) -> dict[str, int]:
        """For the heartbeat."""
        if not self._wanted:
            return {}
        return {
            "kept_rows": self._before[0] + self._last[0],
            "kept_holes": self._before[1] + self._last[1],
            "keep_lag_ms": self._lag_ms,
            "keep_trouble": int(self._trouble != ""),
        }

    def begin(self, now: int) -> None:
        """The ledger was tried: from here on the start of a keeper is in nobody's way."""
        if self._wanted and self._heard_at is None and self._start_at is None:
            self._start_at = now

    def said(self, now: int, cause: KeeperSaid) -> list[Effect]:
        """It says how it is, each second."""
        self._heard_at = now
        self._last, self._lag_ms = (cause.kept, cause.holes), cause.lag_ms
        return self._changed(cause.trouble)

    def ended(self, now: int, cause: KeeperEnded) -> list[Effect]:
        """Its process is gone: what it had not saved is a hole that the next one notes."""
        self._before = (self._before[0] + self._last[0], self._before[1] + self._last[1])
        self._last = (0, 0)
        self._heard_at, self._start_at = None, now + KEEP_REOPEN
        return self._changed(cause.reason)

    def due(self, now: int) -> list[Effect]:
        """Start it, and notice its silence."""
        if self._start_at is not None and now >= self._start_at:
            self._heard_at, self._start_at = now, None
            return [StartKeeper()]
        if self._heard_at is not None and now - self._heard_at > KEEP_SILENT:
            return self._changed(SILENT)
        return []

    def _changed(self, trouble: str) -> list[Effect]:
        """Each trouble is reported once, and its end."""
        former, self._trouble = self._trouble, trouble
        if trouble == former:
            return []
        if not trouble:
            return [Report("trades and quotes are kept again")]
        return [Report(f"trades and quotes are not kept: {trouble}", grave=True)]
