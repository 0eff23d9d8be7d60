"""What came off one socket and waits for the core, in order and bounded.

Taking frames off a socket must not wait for the work on them: pongs would be late, and nobody
could tell that it is we who are slow.
"""

from collections import deque

from msgspec import Struct

from actors.stream.wire import FramesReceived, Link
from protocol.limits import FRAMES_WAITING_BYTES_MAX, FRAMES_WAITING_MAX
from protocol.machine import Cause


class _Read(Struct, gc=False):
    """The frames of one read, when they were taken off, and how many of them are done."""

    at: int
    taken: int
    raws: list[bytes]
    done: int = 0


class Backlog:
    """Reads, and what else the socket said between them."""

    def __init__(self, link: Link) -> None:
        self.frames = 0
        self.bytes = 0
        self._link = link
        self._items: deque[_Read | Cause] = deque()

    def __bool__(self) -> bool:
        return bool(self._items)

    @property
    def overrun(self) -> bool:
        """Whether more waits than there is room for."""
        frames = self.frames + len(self._items)
        return frames > FRAMES_WAITING_MAX or self.bytes > FRAMES_WAITING_BYTES_MAX

    def add(self, at: int, now: int, raws: list[bytes]) -> None:
        """The frames of one read, taken off at the wall time `at` and the monotonic time `now`."""
        self._items.append(_Read(at, now, raws))
        self.frames += len(raws)
        self.bytes += sum(map(len, raws))

    def say(self, cause: Cause) -> None:
        """To be told behind all that waits now."""
        self._items.append(cause)

    def clear(self) -> None:
        self._items.clear()
        self.frames = self.bytes = 0

    def next(self, most: int, now: int) -> Cause | None:
        """What is to be told next, with at most so many frames."""
        if not self._items:
            return None
        item = self._items[0]
        if isinstance(item, Cause):
            self._items.popleft()
            return item
        raws = item.raws[item.done : item.done + most]
        item.done += len(raws)
        self.frames -= len(raws)
        self.bytes -= sum(map(len, raws))
        if item.done >= len(item.raws):
            self._items.popleft()
        return FramesReceived(item.at, self._link, raws, max(now - item.taken, 0))
