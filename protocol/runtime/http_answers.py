"""How one connection answers: at once where that can be done, in a task where something has to be
waited for, and with a refusal where more is asked than can be answered in time.

A task for each request, and the messages of ASGI, cost more than all the rest of a small answer.
"""

import asyncio
from typing import Any

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from protocol.http import BUSY, Answer
from protocol.limits import HOT, REFUSED_AFTER, SECOND
from protocol.runtime.http_room import App, Joined, Room, failing


class Answering(HttpToolsProtocol):
    """uvicorn's connection from the moment a request's head is there."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
        *,
        room: Room,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._room = room
        self._running: RequestResponseCycle | None = None
        self._written: Joined | None = None  # what a task answers it with
        self._answered_at = -HOT / SECOND  # the loop's seconds
        self._shedding: asyncio.TimerHandle | None = None  # when it is told that there is too much

    def connection_lost(self, exc: Exception | None) -> None:
        if self._shedding is not None:
            self._shedding.cancel()
        super().connection_lost(exc)

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: App) -> None:
        self._running, self._written = cycle, None
        if self._hurries(cycle):
            self._shedding = self.loop.call_later(REFUSED_AFTER / SECOND, self._shed, cycle)
            return
        self._room.read += 1
        self.loop.call_soon(self._take_up, cycle, app)

    def _take_up(self, cycle: RequestResponseCycle, app: App) -> None:
        """Answer it now if that can be done, else begin to."""
        self._room.read -= 1
        direct = self._room.direct
        if cycle.disconnected or self.transport.is_closing():
            return
        waits = cycle.more_body or cycle.waiting_for_100_continue or self.flow.write_paused
        if direct is None or waits:
            self._begin(cycle, app)
            return
        try:
            found = direct(cycle.scope, bytes(cycle.body))
        except Exception as e:
            found = failing(e)
        if isinstance(found, Answer):
            self._respond(cycle, found)
        else:
            self._begin(cycle, found)

    def _begin(self, cycle: RequestResponseCycle, app: App) -> None:
        """In a task: it has to wait for something."""
        cycle.transport = self._written = Joined(cycle)  # type: ignore[assignment]
        super()._start_asgi_task(cycle, app)

    def _respond(self, cycle: RequestResponseCycle, answer: Answer) -> None:
        """Give the whole answer at once."""
        cycle.response_started = cycle.response_complete = True
        close, head_only = not cycle.keep_alive, cycle.scope["method"] == "HEAD"
        self.transport.write(answer.written(self.server_state.default_headers, close, head_only))
        if close:
            self.transport.close()
        self.on_response_complete()

    def _hurries(self, cycle: RequestResponseCycle) -> bool:
        """Whether it is a read of somebody who makes no pause, while more was read than can be
        answered in time. What changes something, and who asks now and then, goes on."""
        most = self._room.at_once_max
        if most is None or self._room.read < most or cycle.scope["method"] not in ("GET", "HEAD"):
            return False
        return self.loop.time() - self._answered_at < HOT / SECOND

    def _shed(self, cycle: RequestResponseCycle) -> None:
        """Refuse it, and stay connected."""
        self._shedding = None
        if not cycle.disconnected and not self.transport.is_closing():
            self._respond(cycle, BUSY.answer())

    def on_response_complete(self) -> None:
        self._answered_at = self.loop.time()
        if self._written is not None:
            self._written.flush()
        super().on_response_complete()
