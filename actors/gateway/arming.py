"""Orders for the real exchange need an arming: why none may leave, and until when they may.

The files are the truth (`protocol/arming.py`), and the wire asks them once more. For any other
exchange there is nothing to say here, and nothing is said.
"""

from actors.gateway.halt import Closed
from protocol.arming import Live
from protocol.latch import moment
from protocol.machine import Cause, Effect, Report


class ArmingSeen(Cause, frozen=True):
    """It stands differently with orders for the real exchange."""

    live: Live


class Arms:
    """What was seen last. `live` is None where the exchange is not the real one."""

    def __init__(self, live: Live | None) -> None:
        self._live = live

    def closed(self) -> Closed | None:
        """Why no order may leave now; None if no arming is wanted, or there is one."""
        if self._live is None or not self._live.why:
            return None
        return "disarmed", self._live.why, 0

    def started(self) -> list[Effect]:
        """A new life says how it finds things: also when an arming has outlived the last one."""
        return [] if self._live is None else [self._report(self._live)]

    def seen(self, live: Live) -> list[Effect]:
        """Somebody has armed or disarmed, or the time is over."""
        if live == self._live:
            return []
        self._live = live
        return [self._report(live)]

    def counters(self) -> dict[str, int]:
        """For the heartbeat: until when, in seconds since the Unix epoch; 0 if not armed."""
        return {} if self._live is None else {"armed_until": self._live.until // 1_000_000}

    def _report(self, live: Live) -> Report:
        if live.why:
            return Report(f"disarmed: {live.why}", grave=True)
        return Report(
            f"armed until {moment(live.until)}: orders leave for the real exchange", grave=True
        )
