"""The sockets' side: REST and WebSocket routes on one port (starlette)."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final, Protocol

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from actors.paper.answers import Answer, Refused, nested
from actors.paper.bucket import READ
from actors.paper.calls import ORDERS, WRITES, Call, Write
from actors.paper.control import Control
from actors.paper.core import Core
from actors.paper.desk import Desk
from actors.paper.entries import Entry
from actors.paper.faults import CallFault, honest
from actors.paper.paging import Query
from actors.paper.replies import Cut, Spoiled, response
from actors.paper.routes import GETS, Get
from actors.paper.session import Session
from actors.paper.signing import KEY_HEADER, KeyRing
from actors.paper.store import Journal
from actors.paper.wire import WireLog

ROOT: Final = "/trade-api/v2"
SOCKET: Final = "/trade-api/ws/v2"
BODY_BYTES_MAX: Final = 65_536
BATCH_BYTES_MAX: Final = 4 << 20  # the largest bucket holds 9,600 cancels of 200 bytes
SEND_BATCH: Final = 500  # frames in one write to a socket

Run = Callable[[], Awaitable[Answer]]


class Link(Protocol):
    """The transport of one WebSocket connection, below the messages."""

    async def send_frames(self, frames: list[bytes]) -> bool: ...

    def abort(self) -> None: ...


def clocks() -> tuple[int, int]:
    """Now: monotonic nanoseconds, and microseconds since the Unix epoch."""
    return time.monotonic_ns(), time.time_ns() // 1_000


class Web:
    """Requests in, answers out; every decision is the core's."""

    def __init__(
        self, core: Core, keys: KeyRing, journal: Journal, wire: WireLog, cut: Cut
    ) -> None:
        self._core = core
        self._keys = keys
        self._wire = wire
        self._cut = cut
        self._desk = Desk(core, keys, journal, wire, clocks, self.wake)
        self._links: dict[Session, tuple[Link, asyncio.Event]] = {}

    def app(self) -> Starlette:
        """The ASGI application."""
        control = Control(self._core, self._desk, self._wire, clocks, self._close_sockets)
        routes = [*map(self._write, WRITES), *(self._get(get) for get in GETS), *control.routes()]
        errors: Any = {404: _no_route, 405: _no_route}
        return Starlette(
            routes=[*routes, WebSocketRoute(SOCKET, self._socket)], exception_handlers=errors
        )

    def keep(self, entries: list[Entry]) -> None:
        """Write entries down, then wake the senders of what waits."""
        self._desk.keep(entries)

    def wake(self) -> None:
        """Let frames go out; end the connections that took too few of them."""
        for session, (link, waiting) in self._links.items():
            if session.outbox.ready:
                waiting.set()
            if session.outbox.overrun:
                link.abort()

    def _close_sockets(self) -> None:
        for link, _ in self._links.values():
            link.abort()

    # Reads

    def _get(self, get: Get) -> Route:
        async def answer(request: Request) -> Response:
            path = request.url.path.removeprefix(ROOT)
            fault = self._core.faults.take("GET", path)
            if fault is None:
                return response(honest(self._read(get, request)))

            async def run() -> Answer:
                return self._read(get, request)

            return await self._faulted(fault, path, run)

        return Route(f"{ROOT}{get.path}", answer, methods=["GET"])

    def _read(self, get: Get, request: Request) -> Answer:
        now, at = clocks()
        try:
            # A public read is free for a stranger and on the budget of one who signs.
            if get.signed or KEY_HEADER in request.headers:
                self._keys.check(request.headers, "GET", request.url.path, at)
                self._core.charge(READ, get.cost, now)
            name = request.path_params.get("name", "")
            query = Query(request.query_params.multi_items())
            return get.read(self._core.view(at), name, query, at)
        except Refused as e:
            return e.answer

    async def _faulted(self, fault: CallFault, path: str, run: Run) -> Response:
        return Spoiled(fault.reply(path, await _truth(fault, run)), self._cut)

    # Writes

    def _write(self, write: Write) -> Route:
        async def answer(request: Request) -> Response:
            return await self._written(write, request)

        return Route(f"{ROOT}{write.path}", answer, methods=[write.method])

    async def _written(self, write: Write, request: Request) -> Response:
        body, most = bytearray(), BATCH_BYTES_MAX if write.each else BODY_BYTES_MAX
        async for piece in request.stream():
            body += piece
            if len(body) > most:
                return response(honest(Answer(413, "request body too large\n")))
        path, method = request.url.path, request.method
        name = request.path_params.get("name", "")
        query = f"?{request.url.query}" if request.url.query else ""
        order_id = name if name and write.path.startswith(ORDERS) else None
        received = self._desk.receive(method, f"{path}{query}", order_id, bytes(body))
        call = Call(write, name, bytes(body), request.query_params)
        fault = self._core.faults.take(method, path.removeprefix(ROOT))

        async def run() -> Answer:
            return await self._desk.execute(call, path, request.headers, received, fault is None)

        if fault is None:
            return response(honest(await run()))
        self._desk.keep([])
        reply = fault.reply(path.removeprefix(ROOT), await _truth(fault, run))
        if reply.status:
            self._desk.answered(received, reply)
        return Spoiled(reply, self._cut)

    # WebSocket

    async def _socket(self, socket: WebSocket) -> None:
        session = await self._admit(socket)
        if session is not None:
            try:
                await self._talk(socket, session)
            finally:
                self._links.pop(session, None)
                self._core.disconnect(session)

    async def _talk(self, socket: WebSocket, session: Session) -> None:
        await socket.accept()
        link: Link = socket.scope["state"]["link"]
        waiting = asyncio.Event()
        self._links[session] = (link, waiting)
        sender = asyncio.create_task(_send(session, link, waiting))
        try:
            while (message := await socket.receive())["type"] == "websocket.receive":
                text = message.get("text")
                if text is None:
                    text = message["bytes"].decode("utf-8", "replace")
                session.command(text, clocks()[1])
                self.wake()
        finally:
            sender.cancel()

    async def _admit(self, socket: WebSocket) -> Session | None:
        faults = self._core.faults
        try:
            if faults.maintenance:
                raise Refused(nested(503, "service_unavailable", service=""))
            if faults.refuse_handshakes > 0:
                faults.refuse_handshakes -= 1
                raise Refused(nested(faults.status, "service_unavailable", service=""))
            self._keys.check(socket.headers, "GET", SOCKET, clocks()[1])
            session = self._core.connect()
            if session is None:
                raise Refused(nested(429, "too_many_requests", service=""))
        except Refused as e:
            await socket.send_denial_response(response(honest(e.answer)))
            return None
        return session


async def _send(session: Session, link: Link, waiting: asyncio.Event) -> None:
    while True:
        await waiting.wait()
        waiting.clear()
        while session.outbox.ready:
            if not await link.send_frames(session.outbox.take(SEND_BATCH)):
                return


async def _truth(fault: CallFault, run: Run) -> Answer | None:
    """Execute a call, or don't, and wait, in the order that the fault says."""
    if fault.when == "before":
        await asyncio.sleep(fault.delay_ms / 1_000)
    truth = await run() if fault.executes else None
    if fault.when == "after":
        await asyncio.sleep(fault.delay_ms / 1_000)
    return truth


async def _no_route(request: Request, error: HTTPException) -> Response:
    return PlainTextResponse("404 page not found\n", status_code=404)
