"""The heartbeat of one process: each second, and at once when its health changes."""

from msgspec import Struct

from protocol.envelope import Outbox
from protocol.limits import HEARTBEAT_INTERVAL, REASONS_MAX
from protocol.machine import Effect, Tell
from protocol.messages import Heartbeat, Signal


class Vitals(Struct, frozen=True):
    """What a core says of itself: ready, or unready because of these reasons."""

    reasons: tuple[str, ...] = ()
    flags: dict[str, bool] = {}

    @property
    def ready(self) -> bool:
        return not self.reasons


class Identity(Struct, frozen=True):
    """Which life of which process this is."""

    name: str
    epoch: int
    pid: int = 0
    generation: int = 0


class Pulse:
    """Tells the supervisor how we are. Unanswered on purpose: the next beat repeats it."""

    def __init__(self, identity: Identity, outbox: Outbox) -> None:
        self._identity = identity
        self._outbox = outbox
        self._beat_at = 0
        self._said: Vitals | None = None
        self._count = 0

    def due(self, now: int, vitals: Vitals) -> bool:
        """Whether `beat` would say something: the counters need not be put together before."""
        return now >= self._beat_at or vitals != self._said

    def beat(self, now: int, at: int, vitals: Vitals, counters: dict[str, int]) -> list[Effect]:
        """The heartbeat, if one is due or the vitals have changed."""
        if not self.due(now, vitals):
            return []
        self._beat_at = now + HEARTBEAT_INTERVAL
        self._said = vitals
        heartbeat = Heartbeat(
            vitals.ready,
            vitals.reasons[:REASONS_MAX],
            self._identity.pid,
            self._identity.generation,
            vitals.flags,
            counters,
        )
        return [self._to_supervisor(heartbeat, at)]

    def signal(self, at: int, signal: Signal) -> Effect:
        """Tell the supervisor a life-cycle signal."""
        return self._to_supervisor(signal, at)

    def deadline(self) -> int:
        return self._beat_at

    def _to_supervisor(self, body: Heartbeat | Signal, at: int) -> Tell:
        self._count += 1
        return Tell("supervisor", self._outbox.letter(f"beat:{self._count}", body, at))
