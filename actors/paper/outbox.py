"""What waits to be sent on one connection, and, while a fault makes everything late, until when."""

from collections import deque
from typing import Final

from actors.paper.faults import Faults

FRAMES_MAX: Final = 50_000  # waiting for a slow reader; one more ends a subscription
FRAMES_HARD_MAX: Final = FRAMES_MAX + 5_000  # answers too; more closes the socket
STAMP: Final = b',"sending_ts_ms":'


class Outbox:
    """Frames in their order. Those in `ready` may go out at once."""

    def __init__(self, faults: Faults) -> None:
        self.ready: list[bytes] = []
        self._faults = faults
        self._late: deque[tuple[int, bytes]] = deque()  # from when on (µs) each may go out

    def __len__(self) -> int:
        return len(self.ready) + len(self._late)

    @property
    def overrun(self) -> bool:
        """Whether not even answers fit: the connection must be closed."""
        return len(self) > FRAMES_HARD_MAX

    def offer(self, frame: bytes, at: int) -> bool:
        """Queue a data frame if it fits; answers whether it does."""
        ready, late = self.ready, self._late
        if len(ready) + len(late) >= FRAMES_MAX:
            return False
        if late or self._faults.late_ms:
            self.put(frame, at)
        else:
            ready.append(frame)
        return True

    def put(self, frame: bytes, at: int) -> None:
        """Queue a frame that was produced at `at` (µs)."""
        if not self._late and not self._faults.late_ms:
            self.ready.append(frame)
            return
        # A stream keeps its order: when the delay shrinks, the later waits behind the earlier.
        self._late.append((at + self._faults.late_ms * 1_000, frame))

    def release(self, at: int) -> None:
        """Let go out what was late by enough."""
        while self._late and self._late[0][0] <= at:
            _, frame = self._late.popleft()
            if self._faults.late_in == "engine":
                frame = b"%b%b%d}" % (frame[: frame.rindex(STAMP)], STAMP, at // 1_000)
            self.ready.append(frame)

    def take(self, most: int) -> list[bytes]:
        """Up to `most` ready frames, which wait no longer."""
        if len(self.ready) <= most:
            frames, self.ready = self.ready, []
            return frames
        frames = self.ready[:most]
        del self.ready[:most]
        return frames
