"""The front's HTTP: bytes in and out, for whom the gate lets in."""

import asyncio
import secrets
import time
import uuid
from collections.abc import Callable, Sequence
from typing import Final

from starlette.requests import ClientDisconnect, HTTPConnection, Request
from starlette.types import ASGIApp, Receive, Send
from starlette.types import Scope as Connection

from actors.api.asks import Ask, IssueTicket, read, scope_of
from actors.api.bodies import Problem
from actors.api.guard import Caller, Guard, Head
from actors.api.keyed import HEADER, Keyed, said, unminted
from actors.api.quota import weight_of
from actors.api.replies import Reply, as_json, problem_body
from actors.api.tickets import Tickets
from protocol.limits import BODY_BYTES_MAX, SECOND, TICKET_KEPT
from protocol.runtime.loop import wall

Headers = Sequence[tuple[bytes, bytes]]
Answer = tuple[int, list[tuple[bytes, bytes]], bytes]  # status, headers, body
AskCore = Callable[[int, Ask, Keyed | None], None]

HARDENED: Final = ((b"cache-control", b"no-store"), (b"x-content-type-options", b"nosniff"))


class Web:
    """Turns HTTP into requests for the core, and the core's replies into HTTP."""

    def __init__(self, guard: Guard, ask: AskCore):
        self._guard = guard
        self._ask = ask
        self._waiting: dict[int, asyncio.Future[Reply]] = {}
        self._next_id = 0
        self.tickets = Tickets()

    def app(self) -> ASGIApp:
        """The ASGI application."""

        async def app(scope: Connection, receive: Receive, send: Send) -> None:
            try:
                status, headers, body = await self._http(Request(scope, receive))
            except ClientDisconnect:  # in the middle of its body: nobody is left to answer
                return
            await send({"type": "http.response.start", "status": status, "headers": headers})
            await send({"type": "http.response.body", "body": body})

        return app

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

    # HTTP

    async def _http(self, request: Request) -> Answer:
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
        fresh_id = "" if keyed is None else keyed.fresh_id
        if head.method == "POST" and keyed is None:  # nothing else makes anything
            fresh_id = str(uuid.uuid4())
        found = read(head.method, head.path, request.query_params, body, fresh_id)
        if isinstance(found, Problem):
            return _problem(found)
        assert found[0] == needed, f"{head.method} {head.path}: let in for another scope"
        if isinstance(found[1], IssueTicket):
            return self._ticket(caller)
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

    def _ticket(self, caller: Caller) -> Answer:
        ticket = secrets.token_urlsafe(32)
        if not self.tickets.issue(time.monotonic_ns(), ticket, caller.token.id):
            text = "too many tickets are waiting to be used"
            return _problem(Problem(503, "busy", text, retry_after_ms=1_000))
        body = as_json({"ticket": ticket, "expires_in_ms": TICKET_KEPT * 1_000 // SECOND})
        return _response(Reply(0, 201, body))

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


def _response(reply: Reply) -> Answer:
    headers = _headers(reply.body, reply.status)
    if reply.location:
        headers.append((b"location", reply.location.encode()))
    return reply.status, headers, reply.body


def _headers(body: bytes, status: int) -> list[tuple[bytes, bytes]]:
    kind = b"application/problem+json" if status >= 400 else b"application/json"
    length = b"%d" % len(body)
    return [*HARDENED, (b"content-type", kind), (b"content-length", length)]


def _said_twice(request: Request) -> str:
    """A parameter that is named more than once: which of them counts is not ours to guess."""
    if not request.scope["query_string"]:
        return ""
    names = [name for name, _ in request.query_params.multi_items()]
    return next((name[:50] for name in names if names.count(name) > 1), "")


def _problem(problem: Problem) -> Answer:
    body = problem_body(problem)
    headers = _headers(body, problem.status)
    if problem.retry_after_ms:
        headers.append((b"retry-after", b"%d" % -(-problem.retry_after_ms // 1_000)))
    if problem.allow:
        headers.append((b"allow", problem.allow.encode()))
    if problem.status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    return problem.status, headers, body
