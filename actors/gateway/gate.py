"""The supervisor's word on new risk, and how long it holds.

It comes with a lease. What counts against the lease is also the time that the word lay about
before it was heard; and a host that slept, whose monotonic clock stood still meanwhile, has heard
nothing.
"""

from protocol.envelope import Envelope
from protocol.limits import GATE_LEASE, MS, SECOND, SLEPT_MIN, US
from protocol.messages import System


class Gate:
    """Closed until the supervisor says otherwise."""

    def __init__(self) -> None:
        self._epoch = 0
        self._until: int | None = None
        self._reasons: tuple[str, ...] = ("no word from the supervisor yet",)
        self._ahead: int | None = None  # the wall clock's lead over the monotonic one

    def hear(self, now: int, at: int, envelope: Envelope, system: System) -> None:
        """Take the supervisor's word; that of a former one is a ghost's."""
        if envelope.epoch < self._epoch:
            return
        self._epoch = envelope.epoch
        lease = min(system.lease_ms * MS, GATE_LEASE) - max(at - envelope.at, 0) * US
        self._until = now + lease if system.gate == "open" and lease > 0 else None
        self._reasons = system.reasons

    def slept(self, now: int, at: int) -> str:
        """Whether the host slept since the last call (or its clock was set): then the gate is
        closed until the next word, and this says why."""
        ahead = at * US - now
        slept, self._ahead = ahead - (ahead if self._ahead is None else self._ahead), ahead
        if slept < SLEPT_MIN:
            return ""
        self._until = None
        self._reasons = ("the host slept: no word from the supervisor since",)
        return f"the wall clock went on by {slept // SECOND} s more than this process"

    def closed(self, now: int) -> str:
        """Why it is closed, "" if it is open."""
        if self._until is None:
            return "; ".join(self._reasons) or "the supervisor's word was too old"
        if now >= self._until:
            return "the supervisor is silent: the gate's lease has run out"
        return ""
