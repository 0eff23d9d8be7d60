"""The front's HTTP and WebSocket: who may ask, how much, and in what form."""

import asyncio
import hmac
import uuid
from collections.abc import Callable

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from actors.api.asks import Ask, Scope, read, scope_of
from actors.api.bodies import Problem
from actors.api.keyed import HEADER, Keyed, said, unminted
from actors.api.replies import Reply, problem_body
from protocol.limits import BODY_BYTES_MAX, PREFIXES_MAX, SOCKET_QUEUE_MAX, SOCKETS_MAX
from protocol.runtime.bus import Relay
from protocol.runtime.http import HEADERS_BYTES_MAX, is_local

PREFIX_CHARS_MAX = 100
TRY_AGAIN_LATER = 1013
POLICY_VIOLATION = 1008


AskCore = Callable[[int, Ask, Keyed | None], None]


class _Wish(msgspec.Struct, forbid_unknown_fields=True):
    subscribe: list[str] = []
    unsubscribe: list[str] = []


class Client:
    """One WebSocket: what it follows, and what waits to be sent to it."""

    def __init__(self) -> None:
        self.prefixes: set[bytes] = set()
        self.queue: asyncio.Queue[str] = asyncio.Queue(SOCKET_QUEUE_MAX)
        self.slow = asyncio.Event()


class Web:
    """Turns HTTP into requests for the core, and the core's replies into HTTP."""

    def __init__(self, port: int, tokens: dict[bytes, Scope], ask: AskCore):
        self._port = port
        self._tokens = tokens
        self._ask = ask
        self._waiting: dict[int, asyncio.Future[Reply]] = {}
        self._next_id = 0
        self._clients: set[Client] = set()
        self._relays: list[Relay] = []
        self._followed: dict[str, int] = {}

    def app(self) -> Starlette:
        methods = ["GET", "HEAD", "POST", "DELETE", "PUT", "PATCH", "OPTIONS", "TRACE"]
        return Starlette(
            routes=[
                WebSocketRoute("/v1/ws", self._socket),
                Route("/{path:path}", self._http, methods=methods),
            ]
        )

    def relay_from(self, relay: Relay) -> None:
        """Another publisher whose topics clients may follow."""
        self._relays.append(relay)

    def reply(self, reply: Reply) -> None:
        """The core has answered."""
        waiting = self._waiting.pop(reply.id, None)
        if waiting is not None and not waiting.done():
            waiting.set_result(reply)

    # HTTP

    async def _http(self, request: Request) -> Response:
        path = request.url.path
        problem = self._stranger(request.headers.get("host"), request.headers.get("origin"))
        problem = problem or self._oversized(request) or self._forbidden(request)
        if problem is not None:
            return _problem(problem)
        body = await self._body(request)
        if isinstance(body, Problem):
            return _problem(body)
        twice = _said_twice(request)
        if twice:
            text = f"{twice} is said twice: a list is one parameter, parted by commas"
            return _problem(Problem(422, "repeated_parameter", text, twice))
        keyed = self._keyed(request, body)
        if isinstance(keyed, Problem):
            return _problem(keyed)
        fresh_id = str(uuid.uuid4()) if keyed is None else keyed.fresh_id
        found = read(request.method, path, request.query_params, body, fresh_id)
        if isinstance(found, Problem):
            return _problem(found)
        reply = await self._core(found[1] if keyed is None else unminted(found[1]), keyed)
        kind = "application/problem+json" if reply.status >= 400 else "application/json"
        headers = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
        if reply.location:
            headers["Location"] = reply.location
        return Response(reply.body, reply.status, headers, kind)

    def _keyed(self, request: Request, body: bytes) -> Keyed | Problem | None:
        caller = self._scope(request.headers.get("authorization"))
        url, values = request.url, request.headers.getlist(HEADER)
        return said(str(caller), values, request.method, f"{url.path}?{url.query}", body)

    async def _core(self, ask: Ask, keyed: Keyed | None) -> Reply:
        self._next_id += 1
        waiting: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._waiting[self._next_id] = waiting
        self._ask(self._next_id, ask, keyed)
        return await waiting

    def _stranger(self, host: str | None, origin: str | None) -> Problem | None:
        if not is_local(host, self._port):
            return Problem(421, "wrong_host", "this address is not served under that name")
        if origin is not None and not is_local(origin.partition("://")[2], self._port):
            return Problem(403, "wrong_origin", "pages of other origins may not ask")
        return None

    def _oversized(self, request: Request) -> Problem | None:
        size = sum(len(name) + len(value) for name, value in request.headers.raw)
        if size > HEADERS_BYTES_MAX:
            return Problem(431, "headers_too_large", f"at most {HEADERS_BYTES_MAX} bytes")
        return None

    def _forbidden(self, request: Request) -> Problem | None:
        scope = self._scope(request.headers.get("authorization"))
        if scope is None:
            return Problem(401, "unauthorized", "a bearer token is needed")
        needed = scope_of(request.method, request.url.path)
        if needed not in (None, "read") and scope != "trade":
            return Problem(403, "forbidden", "this token may only read")
        kind = request.headers.get("content-type", "").partition(";")[0].strip()
        sized = request.headers.get("content-length", "0") != "0"
        said = request.method == "POST" or sized or "transfer-encoding" in request.headers
        if needed is not None and said and kind != "application/json":
            return Problem(415, "unsupported_media_type", "send application/json")
        return None

    def _scope(self, authorization: str | None) -> Scope | None:
        """Which scope a header gives. Every token is compared, so the time tells nothing."""
        word, _, given = (authorization or "").partition(" ")
        found: Scope | None = None
        for token, scope in self._tokens.items():
            if hmac.compare_digest(token, given.strip().encode()) and word.lower() == "bearer":
                found = scope
        return found

    async def _body(self, request: Request) -> bytes | Problem:
        body = bytearray()
        async for chunk in request.stream():
            body += chunk
            if len(body) > BODY_BYTES_MAX:
                return Problem(413, "body_too_large", f"at most {BODY_BYTES_MAX} bytes")
        return bytes(body)

    # WebSocket

    async def _socket(self, socket: WebSocket) -> None:
        headers = socket.headers
        refused = self._stranger(headers.get("host"), headers.get("origin"))
        allowed = self._scope(headers.get("authorization")) is not None
        if refused or not allowed or len(self._clients) >= SOCKETS_MAX:
            await socket.close(POLICY_VIOLATION)
            return
        await socket.accept()
        client = Client()
        self._clients.add(client)
        sending = asyncio.create_task(self._send(socket, client))
        try:
            while True:
                await self._wish(socket, client, await socket.receive_text())
        except (WebSocketDisconnect, RuntimeError, KeyError):
            sending.cancel()  # gone, closed by us, or it sent bytes where text is spoken
        finally:
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


def _said_twice(request: Request) -> str:
    """A parameter that is named more than once: which of them counts is not ours to guess."""
    names = [name for name, _ in request.query_params.multi_items()]
    return next((name[:50] for name in names if names.count(name) > 1), "")


def _problem(problem: Problem) -> Response:
    headers = {"Cache-Control": "no-store"}
    if problem.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    if problem.allow:
        headers["Allow"] = problem.allow
    return Response(
        problem_body(problem), problem.status, headers, media_type="application/problem+json"
    )
