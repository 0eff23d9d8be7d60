"""The front's HTTP and WebSocket: bytes in and out, for whom the gate lets in."""

import asyncio
import time
import uuid
from collections.abc import Callable, Sequence

import msgspec
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, HTTPConnection, Request
from starlette.responses import Response
from starlette.routing import WebSocketRoute
from starlette.types import ASGIApp, Receive, Send
from starlette.types import Scope as Connection
from starlette.websockets import WebSocket, WebSocketDisconnect

from actors.api.asks import Ask, read, scope_of
from actors.api.bodies import Problem
from actors.api.guard import Caller, Guard, Head
from actors.api.keyed import HEADER, Keyed, said, unminted
from actors.api.quota import weight_of
from actors.api.replies import Reply, problem_body
from protocol.limits import BODY_BYTES_MAX, PREFIXES_MAX, SOCKET_QUEUE_MAX, SOCKETS_MAX
from protocol.runtime.bus import Relay
from protocol.runtime.loop import wall

Headers = Sequence[tuple[bytes, bytes]]
PREFIX_CHARS_MAX = 100
TRY_AGAIN_LATER = 1013
POLICY_VIOLATION = 1008


AskCore = Callable[[int, Ask, Keyed | None], None]


class _Wish(msgspec.Struct, forbid_unknown_fields=True):
    subscribe: list[str] = []
    unsubscribe: list[str] = []


class Client:
    """One WebSocket: what it follows, and what waits to be sent to it."""

    def __init__(self, token_id: str) -> None:
        self.token_id = token_id
        self.withdrawn = asyncio.Event()
        self.prefixes: set[bytes] = set()
        self.queue: asyncio.Queue[str] = asyncio.Queue(SOCKET_QUEUE_MAX)
        self.slow = asyncio.Event()


class Web:
    """Turns HTTP into requests for the core, and the core's replies into HTTP."""

    def __init__(self, guard: Guard, ask: AskCore):
        self._guard = guard
        self._ask = ask
        self._waiting: dict[int, asyncio.Future[Reply]] = {}
        self._next_id = 0
        self._clients: set[Client] = set()
        self._relays: list[Relay] = []
        self._followed: dict[str, int] = {}

    def app(self) -> ASGIApp:
        """The ASGI application."""
        sockets = Starlette(routes=[WebSocketRoute("/v1/ws", self._socket)])

        async def app(scope: Connection, receive: Receive, send: Send) -> None:
            if scope["type"] != "http":
                await sockets(scope, receive, send)
                return
            try:
                response = await self._http(Request(scope, receive))
            except ClientDisconnect:  # in the middle of its body: nobody is left to answer
                return
            await response(scope, receive, send)

        return app

    def relay_from(self, relay: Relay) -> None:
        """Another publisher whose topics clients may follow."""
        self._relays.append(relay)

    def reply(self, reply: Reply) -> None:
        """The core has answered."""
        waiting = self._waiting.pop(reply.id, None)
        if waiting is not None and not waiting.done():
            waiting.set_result(reply)

    # Who opens a WebSocket

    def admit(self, path: str, headers: Headers, address: str) -> str | Problem:
        """The id of the token that a handshake carries, or why it may not come in."""
        head = Head("GET", path, headers, address)
        found = self._guard.admit(time.monotonic_ns(), wall(), head, "read")
        return found if isinstance(found, Problem) else found.token.id

    def knock(self, path: str, headers: Headers, address: str) -> Problem | None:
        """The same for one that says who it is later, but for the token."""
        return self._guard.knock(Head("GET", path, headers, address))

    def holds(self, token_id: str) -> bool:
        """Whether the token of this id still counts."""
        return self._guard.holds(token_id, wall()) is not None

    def look_again(self) -> None:
        """Close the WebSockets of tokens that were withdrawn or have expired."""
        for client in self._clients:
            if not self.holds(client.token_id):
                client.withdrawn.set()

    # HTTP

    async def _http(self, request: Request) -> Response:
        head = _head(request, request.method)
        needed = scope_of(head.method, head.path)
        caller = self._guard.admit(time.monotonic_ns(), wall(), head, needed)
        if isinstance(caller, Problem):
            return _problem(caller)
        body = await self._body(request)
        if isinstance(body, Problem):
            return _problem(body)
        twice = _said_twice(request)
        if twice:
            text = f"{twice} is said twice: a list is one parameter, parted by commas"
            return _problem(Problem(422, "repeated_parameter", text, twice))
        keyed = _keyed(request, caller, body)
        if isinstance(keyed, Problem):
            return _problem(keyed)
        fresh_id = str(uuid.uuid4()) if keyed is None else keyed.fresh_id
        found = read(head.method, head.path, request.query_params, body, fresh_id)
        if isinstance(found, Problem):
            return _problem(found)
        assert found[0] == needed, f"{head.method} {head.path}: let in for another scope"
        many = self._guard.charge(time.monotonic_ns(), caller, weight_of(found[1]) - 1)
        if many is not None:
            return _problem(many)
        end = self._guard.begin(caller)
        if isinstance(end, Problem):
            return _problem(end)
        try:
            ask = found[1] if keyed is None else unminted(found[1])
            return _response(await self._core(ask, keyed))
        finally:
            end()

    async def _core(self, ask: Ask, keyed: Keyed | None) -> Reply:
        self._next_id += 1
        waiting: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._waiting[self._next_id] = waiting
        self._ask(self._next_id, ask, keyed)
        return await waiting

    async def _body(self, request: Request) -> bytes | Problem:
        body = bytearray()
        async for chunk in request.stream():
            body += chunk
            if len(body) > BODY_BYTES_MAX:
                return Problem(413, "body_too_large", f"at most {BODY_BYTES_MAX} bytes")
        return bytes(body)

    # WebSocket

    async def _socket(self, socket: WebSocket) -> None:
        head = _head(socket, "GET")
        token_id = self.admit(head.path, head.headers, head.address)
        if isinstance(token_id, Problem) or len(self._clients) >= SOCKETS_MAX:
            await socket.close(POLICY_VIOLATION)
            return
        await socket.accept()
        client = Client(token_id)
        self._clients.add(client)
        sending = asyncio.create_task(self._send(socket, client))
        holding = asyncio.create_task(_hold(socket, client))
        try:
            while True:
                await self._wish(socket, client, await socket.receive_text())
        except (WebSocketDisconnect, RuntimeError, KeyError):
            sending.cancel()  # gone, closed by us, or it sent bytes where text is spoken
        finally:
            holding.cancel()
            self._clients.discard(client)
            for prefix in client.prefixes:
                self._unfollow(prefix.decode())

    async def _wish(self, socket: WebSocket, client: Client, text: str) -> None:
        try:
            wish = msgspec.json.decode(text, type=_Wish)
        except msgspec.DecodeError as e:
            await socket.send_text(msgspec.json.encode({"error": str(e)[:300]}).decode())
            return
        for prefix in wish.subscribe:
            fits = len(prefix) <= PREFIX_CHARS_MAX and len(client.prefixes) < PREFIXES_MAX
            if not fits or not prefix.isascii():
                error = {"error": f"at most {PREFIXES_MAX} prefixes of {PREFIX_CHARS_MAX} letters"}
                await socket.send_text(msgspec.json.encode(error).decode())
            elif prefix.encode() not in client.prefixes:
                client.prefixes.add(prefix.encode())
                self._follow(prefix)
        for prefix in wish.unsubscribe:
            if prefix.encode() in client.prefixes:
                client.prefixes.discard(prefix.encode())
                self._unfollow(prefix)

    async def _send(self, socket: WebSocket, client: Client) -> None:
        while not client.slow.is_set():
            await socket.send_text(await client.queue.get())
        await socket.close(TRY_AGAIN_LATER, "too slow: messages were missed")

    def _follow(self, prefix: str) -> None:
        self._followed[prefix] = self._followed.get(prefix, 0) + 1
        if self._followed[prefix] == 1:
            for relay in self._relays:
                relay.subscribe(prefix)

    def _unfollow(self, prefix: str) -> None:
        self._followed[prefix] -= 1
        if self._followed[prefix] == 0:
            del self._followed[prefix]
            for relay in self._relays:
                relay.unsubscribe(prefix)

    def passed(self, frame: bytes) -> None:
        """A frame of the bus: once made text, for every client that follows its topic."""
        topic, _, body = frame.partition(b" ")
        text = ""
        for client in self._clients:
            if not any(frame.startswith(prefix) for prefix in client.prefixes):
                continue
            text = text or f'{{"topic":"{topic.decode()}",{body[1:].decode()}'
            if client.queue.full():
                client.slow.set()  # it learns so when what waits has been sent: nothing is skipped
            elif not client.slow.is_set():
                client.queue.put_nowait(text)


async def _hold(socket: WebSocket, client: Client) -> None:
    await client.withdrawn.wait()
    await socket.close(POLICY_VIOLATION, "the token was withdrawn or has expired")


def _head(connection: HTTPConnection, method: str) -> Head:
    """What the gate looks at."""
    scope = connection.scope
    client = scope["client"]
    return Head(method, scope["path"], scope["headers"], client[0] if client else "")


def _keyed(request: Request, caller: Caller, body: bytes) -> Keyed | Problem | None:
    """The key that a request says, if any. It is the caller's by name: a token that took another's
    place goes on with its keys, and does not do again what was done."""
    values = request.headers.getlist(HEADER)
    if not values:
        return None
    url = request.url
    return said(caller.token.name, values, request.method, f"{url.path}?{url.query}", body)


def _response(reply: Reply) -> Response:
    kind = "application/problem+json" if reply.status >= 400 else "application/json"
    headers = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
    if reply.location:
        headers["Location"] = reply.location
    return Response(reply.body, reply.status, headers, kind)


def _said_twice(request: Request) -> str:
    """A parameter that is named more than once: which of them counts is not ours to guess."""
    if not request.scope["query_string"]:
        return ""
    names = [name for name, _ in request.query_params.multi_items()]
    return next((name[:50] for name in names if names.count(name) > 1), "")


def _problem(problem: Problem) -> Response:
    headers = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
    if problem.retry_after_ms:
        headers["Retry-After"] = str(-(-problem.retry_after_ms // 1_000))
    if problem.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    if problem.allow:
        headers["Allow"] = problem.allow
    return Response(
        problem_body(problem), problem.status, headers, media_type="application/problem+json"
    )
