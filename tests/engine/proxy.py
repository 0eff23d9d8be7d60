"""A line between the engine and its exchange that can be made as bad as a line can be.

It carries TCP and reads the WebSocket in it. A thread of its own hosts it; what goes wrong is armed
by plain calls from the test, for connections that are open now, for later ones, or for both.
"""

import asyncio
import itertools
import socket
import threading
import time
from collections.abc import Callable, Coroutine
from typing import Any, Final, Literal, TypeVar

from tests.engine.armed import Armed, Faults, Line, Where
from tests.engine.carried import Carried
from tests.engine.mischief import Fault

When = Literal["now", "later", "both"]
T = TypeVar("T")
CALL_MAX: Final = 10.0  # seconds that a call from the test may take


def everywhere(line: Line) -> bool:
    """Each connection."""
    return True


def carries(channel: str) -> Where:
    """Connections that have subscribed this channel: the private one has `fill`."""
    return lambda line: channel in line.channels


def only(line: Line) -> Where:
    """This connection."""
    return lambda other: other.number == line.number


class Proxy:
    """Listens on `port`, connects to `upstream` for each connection that comes."""

    def __init__(self, upstream: int) -> None:
        self._upstream = upstream
        self._faults = Faults()
        self._lines: list[Carried] = []
        self._numbers = itertools.count(1)
        self._news = threading.Condition()
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop = asyncio.new_event_loop()
        self._trouble: list[BaseException] = []  # of our own; a test must not pass over it
        listener = socket.create_server(("127.0.0.1", 0))
        self.port: Final[int] = listener.getsockname()[1]
        self._thread = threading.Thread(target=self._run, args=(listener,), daemon=True)
        self._thread.start()

    # What the test asks and says

    @property
    def lines(self) -> list[Carried]:
        """All connections so far, in their order."""
        return list(self._lines)

    def open_lines(self, where: Where = everywhere) -> list[Carried]:
        """Connections that are open now, at one end or at both."""
        return [line for line in self._lines if line.open and where(line)]

    def arm(
        self,
        fault: Fault,
        when: When = "both",
        where: Where = everywhere,
        skip: int = 0,
        times: int | None = None,
    ) -> Armed:
        """Let this go wrong from now on: `times` times, or until it is lifted."""

        def do() -> Armed:
            newest = self._lines[-1].number if self._lines else 0
            first, last = (newest + 1, None) if when == "later" else (0, newest)
            armed = Armed(
                fault, first, None if when == "both" else last, where, skip, times, time.monotonic()
            )
            self._faults.armed.append(armed)
            self._faults.stir()
            return armed

        return self._call(do)

    def lift(self, *which: Armed) -> None:
        """Let these, or all that is armed, go wrong no more."""

        def do() -> None:
            for armed in which or self._faults.armed:
                armed.lifted = True
            self._faults.armed = [armed for armed in self._faults.armed if not armed.lifted]
            self._faults.stir()

        self._call(do)

    def cut(self, where: Where = everywhere, reset: bool = True) -> int:
        """End the connections that are open, by RST or in order. Returns how many."""

        def do() -> int:
            lines = self.open_lines(where)
            for line in lines:
                line.cut(reset)
            return len(lines)

        return self._call(do)

    def until(self, found: Callable[[], T], seconds: float, what: str = "") -> T:
        """Look again whenever something was carried, until there is something."""
        deadline = time.monotonic() + seconds
        with self._news:
            while not (seen := found()):
                left = deadline - time.monotonic()
                if left <= 0:
                    raise AssertionError(f"not within {seconds} s: {what}")
                self._news.wait(min(left, 0.25))
        return seen

    def close(self) -> None:
        """End all. Raises what went wrong in here meanwhile."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(CALL_MAX)
        if self._trouble:
            raise self._trouble[0]

    def __enter__(self) -> "Proxy":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # The thread

    def _call(self, do: Callable[[], T]) -> T:
        async def now() -> T:
            return do()

        return asyncio.run_coroutine_threadsafe(now(), self._loop).result(CALL_MAX)

    def _run(self, listener: socket.socket) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(asyncio.start_server(self._serve, sock=listener))
        try:
            self._loop.run_forever()
        finally:
            server.close()
            for line in self._lines:
                line.cut(reset=True)
            for task in self._tasks:
                task.cancel()
            gathered = asyncio.gather(*self._tasks, return_exceptions=True)
            self._loop.run_until_complete(gathered)
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
            self._loop.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line = Carried(next(self._numbers), self._faults, self._tell)
        self._lines.append(line)
        self._keep(line.carry(reader, writer, self._upstream))

    def _keep(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._trouble.append(error)
        self._tell()

    def _tell(self) -> None:
        with self._news:
            self._news.notify_all()
