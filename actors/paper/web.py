"""The sockets' side: REST and WebSocket routes on one port (starlette)."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final, Protocol

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from actors.paper import bodies
from actors.paper.account import Entry
from actors.paper.bucket import DEFAULT_COST
from actors.paper.core import Core
from actors.paper.fanout import Faults
from actors.paper.frames import encode
from actors.paper.intake import Answer, Refused, nested, read_order
from actors.paper.routes import CHEAP, GETS, Get
from actors.paper.session import Session
from actors.paper.signing import KEY_HEADER, KeyRing
from actors.paper.store import Journal
from actors.paper.wire import Answered, Happened, Line, WireLog

ROOT: Final = "/trade-api/v2"
SOCKET: Final = "/trade-api/ws/v2"
BODY_BYTES_MAX: Final = 65_536
SEND_BATCH: Final = 500  # frames in one write to a socket


class Link(Protocol):
    """The transport of one WebSocket connection, below the messages."""

    async def send_frames(self, frames: list[bytes]) -> bool: ...

    def abort(self) -> None: ...


def wall() -> int:
    """Now, in microseconds since the Unix epoch."""
    return time.time_ns() // 1_000


class Web:
    """Requests in, answers out; every decision is the core's."""

    def __init__(
        self,
        core: Core,
        keys: KeyRing,
        journal: Journal,
        wire: WireLog,
        cut: Callable[[tuple[str, int]], None],
    ) -> None:
        self._core = core
        self._keys = keys
        self._journal = journal
        self._wire = wire
        self._cut = cut  # ends the TCP connection of a client's address, without a word
        self._links: dict[Session, tuple[Link, asyncio.Event]] = {}

    def app(self) -> Starlette:
        """The ASGI application."""
        routes = [self._get(get) for get in GETS] + self._orders() + self._paper()
        errors: Any = {404: _no_route, 405: _no_route}
        return Starlette(
            routes=[*routes, WebSocketRoute(SOCKET, self._socket)], exception_handlers=errors
        )

    def keep(self, entries: list[Entry]) -> None:
        """Write entries down, then wake the senders of what waits."""
        if entries:
            self._journal.append(Happened(entries))
        self.wake()

    def wake(self) -> None:
        """Let frames go out; end the connections that took too few of them."""
        for session, (link, waiting) in self._links.items():
            if session.outbox:
                waiting.set()
            if session.overrun:
                link.abort()

    def _orders(self) -> list[Route]:
        return [
            Route(bodies.ORDERS, self._order, methods=["POST"]),
            Route(bodies.ORDERS, self._order, methods=["DELETE"]),
            Route(f"{bodies.ORDERS}/{{order_id}}", self._order, methods=["DELETE"]),
        ]

    def _paper(self) -> list[Route]:
        def health(request: Request) -> Response:
            return _response(Answer(200, {"ok": True}))

        def feed(request: Request) -> Response:
            return _response(Answer(200, self._core.feed_status()))

        def wire(request: Request) -> Response:
            return _response(Answer(200, {"requests": self._wire.shown()}))

        return [
            Route("/paper/health", _inline(health)),
            Route("/paper/feed", _inline(feed)),
            Route("/paper/wire", _inline(wire)),
            Route("/paper/faults", self._faults, methods=["GET", "POST"]),
        ]

    def _get(self, get: Get) -> Route:
        def answer(request: Request) -> Response:
            at = wall()
            try:
                # A public read is free for a stranger and on the budget of one who signs.
                if get.signed or KEY_HEADER in request.headers:
                    self._keys.check(request.headers, "GET", request.url.path, at)
                    self._draw("GET", get.cost, at)
                name = request.path_params.get("name", "")
                return _response(get.read(self._core.exchange, name, request.query_params, at))
            except Refused as e:
                return _response(e.answer)

        return Route(f"{ROOT}{get.path}", _inline(answer), methods=["GET"])

    def _draw(self, method: str, cost: int, at: int) -> None:
        if not self._core.budgets.draw(method, cost, at):
            raise Refused(nested(429, "too_many_requests", service=""))

    # Orders

    async def _order(self, request: Request) -> Response:
        body = b""
        async for piece in request.stream():
            body += piece
            if len(body) > BODY_BYTES_MAX:
                return _response(Answer(413, "request body too large\n"))
        at = wall()
        query = f"?{request.url.query}" if request.url.query else ""
        received = self._wire.receive(
            request.method,
            f"{request.url.path}{query}",
            request.path_params.get("order_id"),
            body.decode("utf-8", "replace"),
            at,
        )
        self._journal.append(received)
        self._wire.apply(received)
        faults = self._core.faults
        if request.method == "POST" and faults.drop_requests > 0:
            faults.drop_requests -= 1
            return await self._silence(request, received.n)
        answer = self._execute(request, body, at)
        entries = self._core.settle(at)
        happened: list[Line] = [Happened(entries)] if entries else []
        if request.method == "POST" and faults.lose_replies > 0:
            faults.lose_replies -= 1
            self._journal.append(*happened)
            self.wake()
            return await self._silence(request, received.n)
        response = _response(answer)
        answered = Answered(received.n, answer.status, bytes(response.body).decode())
        self._journal.append(*happened, answered)
        self._wire.apply(answered)
        self.wake()
        return response

    def _execute(self, request: Request, body: bytes, at: int) -> Answer:
        exchange, path = self._core.exchange, request.url.path
        order_id = request.path_params.get("order_id")
        try:
            self._keys.check(request.headers, request.method, path, at)
            self._draw(request.method, DEFAULT_COST if request.method == "POST" else CHEAP, at)
            if request.method == "POST":
                return exchange.create(read_order(body, at), at)
            if order_id is not None:
                return exchange.cancel(order_id, at)
            return exchange.cancel_all(at)
        except Refused as e:
            return e.answer

    async def _silence(self, request: Request, n: int) -> Response:
        self._wire.forget_open(n)
        assert request.client is not None
        self._cut((request.client.host, request.client.port))
        while (await request.receive())["type"] != "http.disconnect":
            pass
        return Response()  # nobody is there to read it

    async def _faults(self, request: Request) -> Response:
        faults = self._core.faults
        if request.method == "POST":
            try:
                # Only what is named is armed anew; the rest stays as it is.
                names = msgspec.json.decode(await request.body(), type=dict[str, Any])
                new = msgspec.convert(names, Faults)
            except msgspec.DecodeError as e:
                return _response(Answer(400, {"error": str(e)}))
            for name in names:
                setattr(faults, name, getattr(new, name))
            if faults.close_sockets:
                faults.close_sockets = False
                for link, _ in self._links.values():
                    link.abort()
        return _response(Answer(200, msgspec.to_builtins(faults)))

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
                session.command(text, wall())
                self.wake()
        finally:
            sender.cancel()

    async def _admit(self, socket: WebSocket) -> Session | None:
        faults = self._core.faults
        try:
            if faults.refuse_handshakes > 0:
                faults.refuse_handshakes -= 1
                raise Refused(nested(faults.status, "service_unavailable", service=""))
            self._keys.check(socket.headers, "GET", SOCKET, wall())
            session = self._core.connect()
            if session is None:
                raise Refused(nested(429, "too_many_requests", service=""))
        except Refused as e:
            await socket.send_denial_response(_response(e.answer))
            return None
        return session


async def _send(session: Session, link: Link, waiting: asyncio.Event) -> None:
    while True:
        await waiting.wait()
        waiting.clear()
        while session.outbox:
            if not await link.send_frames(session.take(SEND_BATCH)):
                return


def _inline(answer: Callable[[Request], Response]) -> Callable[[Request], Awaitable[Response]]:
    # Starlette would run a plain function in a thread, beside the loop that owns the core.
    async def endpoint(request: Request) -> Response:
        return answer(request)

    return endpoint


def _response(answer: Answer) -> Response:
    if isinstance(answer.body, str):
        return PlainTextResponse(answer.body, status_code=answer.status)
    if answer.body is None:
        return Response(status_code=answer.status)
    return Response(encode(answer.body), answer.status, media_type="application/json")


async def _no_route(request: Request, error: HTTPException) -> Response:
    return PlainTextResponse("404 page not found\n", status_code=404)
