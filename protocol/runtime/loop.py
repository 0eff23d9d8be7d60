"""The host of a core in production: real clock, real sockets, one cause at a time.

Nothing here decides anything. It reads the clocks, hands causes to the core one by one, and
performs the effects it answers with, in order.
"""

import asyncio
import collections
import logging
import signal
import time
from collections.abc import Callable

from protocol.envelope import Letter, decode, decode_letter
from protocol.errors import RemoteProtocolError
from protocol.limits import DRAIN_MAX, SECOND
from protocol.machine import (
    Answer,
    Answered,
    Asked,
    Cause,
    Core,
    Effect,
    Elapsed,
    Finish,
    Heard,
    Publish,
    Report,
    Started,
    Stopping,
    Tell,
)
from protocol.messages import Refused
from protocol.runtime.bus import Bus

Perform = Callable[[Effect], None]

log = logging.getLogger(__name__)


def wall() -> int:
    """The wall clock, in microseconds since the Unix epoch."""
    return time.time_ns() // 1_000


class Loop:
    """Feeds one core. `perform` starts what only this actor can do, and never waits for it."""

    def __init__(self, core: Core, bus: Bus, perform: Perform) -> None:
        self._core = core
        self._bus = bus
        self._perform_own = perform
        self._causes: collections.deque[Cause] = collections.deque()
        self._stepping = False
        self._alarm: asyncio.TimerHandle | None = None
        self._alarm_at: int | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ended: asyncio.Future[int] | None = None
        self.malformed = 0

    def feed(self, cause: Cause) -> None:
        """Step the core, on the loop's thread. A cause that an effect brings about waits."""
        self._causes.append(cause)
        if self._stepping:
            return
        self._stepping = True
        publish = self._bus.publish
        try:
            while self._causes:
                cause = self._causes.popleft()
                for effect in self._core.step(time.monotonic_ns(), cause):
                    if type(effect) is Publish:  # these first: there are very many
                        publish(effect.envelope)
                    else:
                        self._perform(effect)
        except Exception as e:
            self._fail(e)
        finally:
            self._stepping = False
        self._arm()

    def feed_from_thread(self, cause: Cause) -> None:
        """Step the core from any thread. Drops the cause if the loop has already ended."""
        assert self._loop is not None
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self.feed, cause)

    async def run(self) -> int:
        """Serve until the core finishes. Returns its exit code; a core's bug is raised."""
        self._loop = asyncio.get_running_loop()
        self._ended = self._loop.create_future()
        for number in (signal.SIGTERM, signal.SIGINT):
            self._loop.add_signal_handler(number, self._stop)
        self._bus.start(self._heard, self._asked, self._answered)
        try:
            self.feed(Started(wall()))
            return await self._ended
        finally:
            if self._alarm is not None:
                self._alarm.cancel()
            self._bus.close()

    def _stop(self) -> None:
        assert self._loop is not None
        self._loop.call_later(DRAIN_MAX / SECOND, self._end, 0)
        self.feed(Stopping(wall()))

    def _end(self, code: int) -> None:
        assert self._ended is not None
        if not self._ended.done():
            self._ended.set_result(code)

    def _fail(self, error: Exception) -> None:
        """A bug of ours: let it crash, starting again is the recovery path."""
        assert self._ended is not None
        if not self._ended.done():
            self._ended.set_exception(error)

    def _perform(self, effect: Effect) -> None:
        match effect:
            case Answer():
                self._bus.answer(effect.sender, effect.letter)
            case Tell():
                self._bus.tell(effect.peer, effect.letter)
            case Report(text, grave):
                log.log(logging.ERROR if grave else logging.INFO, text)
            case Finish(code):
                self._end(code)
            case _:
                self._perform_own(effect)

    def _arm(self) -> None:
        deadline = self._core.deadline()
        if deadline == self._alarm_at or self._loop is None:
            return
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        self._alarm_at = deadline
        if deadline is not None:
            delay = max(deadline - time.monotonic_ns(), 0) / SECOND
            self._alarm = self._loop.call_later(delay, self._ring)

    def _ring(self) -> None:
        self._alarm = self._alarm_at = None
        deadline = self._core.deadline()
        if deadline is None or deadline > time.monotonic_ns():
            self._arm()  # alarms may ring early
        elif self._ended is not None and not self._ended.done():
            self.feed(Elapsed(wall()))

    def _heard(self, frame: bytes) -> None:
        try:
            envelope = decode(frame)
        except RemoteProtocolError as e:
            self.malformed += 1
            log.warning("dropped a message: %s", e)
            return
        self.feed(Heard(wall(), envelope, frame))

    def _asked(self, sender: tuple[bytes, ...], frame: bytes) -> None:
        try:
            letter = decode_letter(frame)
        except RemoteProtocolError as e:
            self.malformed += 1
            refusal = self._letterhead(Refused(str(e)[:500]))
            self._bus.answer(sender, refusal)
            return
        self.feed(Asked(wall(), sender, letter))

    def _answered(self, peer: str, frame: bytes) -> None:
        try:
            letter = decode_letter(frame)
        except RemoteProtocolError as e:
            self.malformed += 1
            log.warning("dropped an answer of %s: %s", peer, e)
            return
        self.feed(Answered(wall(), peer, letter))

    @staticmethod
    def _letterhead(body: Refused) -> Letter:
        return Letter("", 0, "", wall(), body)
