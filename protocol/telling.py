"""Letters that have to arrive: told again, under one id, until they are answered."""

from msgspec import Struct

from protocol.envelope import Letter, Outbox
from protocol.limits import TELL_RETRY, TELL_RETRY_BATCH, TELLS_MAX
from protocol.machine import Effect, Tell
from protocol.messages import AnyMessage


class _Waiting(Struct):
    peer: str
    letter: Letter
    repeat_at: int


class Outstanding:
    """The letters of one process that nobody has answered yet, oldest first.

    Bounded: `full` says when no more may be added, and the caller decides what to drop instead
    (an order is refused at the door; the stream gives up its connection, never a fill).
    """

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox
        self._waiting: dict[str, _Waiting] = {}
        self._due = 0  # no letter repeats before this moment

    def __len__(self) -> int:
        return len(self._waiting)

    def __contains__(self, id: str) -> bool:
        return id in self._waiting

    @property
    def full(self) -> bool:
        return len(self._waiting) >= TELLS_MAX

    @property
    def crowded(self) -> bool:
        """Half full: what may wait should; what must not be lost still finds room."""
        return len(self._waiting) >= TELLS_MAX // 2

    def tell(self, now: int, at: int, peer: str, id: str, body: AnyMessage) -> list[Effect]:
        """Send, and keep until `answered`. An id that already waits is not told twice at once."""
        if id in self._waiting:
            return []
        assert not self.full, "the caller must look at full before it tells"
        letter = self._outbox.letter(id, body, at)
        if not self._waiting:
            self._due = now + TELL_RETRY
        self._waiting[id] = _Waiting(peer, letter, now + TELL_RETRY)
        return [Tell(peer, letter)]

    def answered(self, id: str) -> AnyMessage | None:
        """Forget a letter that has its answer. Returns what it said, or None if unknown."""
        waiting = self._waiting.pop(id, None)
        return None if waiting is None else waiting.letter.body

    def due(self, now: int) -> list[Effect]:
        """Repeat what has waited too long: the oldest first, a batch at a time."""
        if not self._waiting or now < self._due:
            return []
        late = [(id, w) for id, w in self._waiting.items() if w.repeat_at <= now]
        for id, waiting in late[:TELL_RETRY_BATCH]:
            waiting.repeat_at = now + TELL_RETRY
            self._waiting[id] = self._waiting.pop(id)  # behind the others: everyone's turn comes
        if len(late) > TELL_RETRY_BATCH:
            self._due = now + TELL_RETRY // 10
        else:
            self._due = min((w.repeat_at for w in self._waiting.values()), default=now)
        return [Tell(w.peer, w.letter) for _, w in late[:TELL_RETRY_BATCH]]

    def deadline(self) -> int | None:
        return self._due if self._waiting else None
