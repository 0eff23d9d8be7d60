"""The front's HTTP: who may ask, how much, and in what form."""

import asyncio
import hmac
import secrets
import time
import uuid
from collections.abc import Callable, Sequence

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from actors.api.asks import Ask, IssueTicket, Scope, read, scope_of
from actors.api.bodies import Problem
from actors.api.keyed import HEADER, Keyed, said, unminted
from actors.api.replies import Reply, as_json, problem_body
from actors.api.tickets import Tickets
from protocol.limits import BODY_BYTES_MAX, SECOND, TICKET_KEPT
from protocol.runtime.http import HEADERS_BYTES_MAX, is_local

AskCore = Callable[[int, Ask, Keyed | None], None]


class Web:
    """Turns HTTP into requests for the core, and the core's replies into HTTP."""

    def __init__(self, port: int, tokens: dict[bytes, Scope], ask: AskCore):
        self._port = port
        self._tokens = tokens
        self._ask = ask
        self._waiting: dict[int, asyncio.Future[Reply]] = {}
        self._next_id = 0
        self.tickets = Tickets()

    def app(self) -> Starlette:
        methods = ["GET", "POST", "DELETE", "PUT", "PATCH"]
        return Starlette(routes=[Route("/{path:path}", self._http, methods=methods)])

    def admit(
        self, path: str, headers: Sequence[tuple[bytes, bytes]], address: str
    ) -> str | Problem:
        """Who opens a WebSocket: the id of the token."""
        said = {name: value.decode("latin-1") for name, value in headers}
        scope = self._scope(said.get(b"authorization"))
        unknown = Problem(401, "unauthorized", "a bearer token is needed")
        return self.knock(path, headers, address) or scope or unknown

    def knock(
        self, path: str, headers: Sequence[tuple[bytes, bytes]], address: str
    ) -> Problem | None:
        said = {name: value.decode("latin-1") for name, value in headers}
        return self._stranger(said.get(b"host"), said.get(b"origin"))

    def holds(self, token: str) -> bool:
        return token in self._tokens.values()

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
        if isinstance(found[1], IssueTicket):
            return self._ticket(str(self._scope(request.headers.get("authorization"))))
        reply = await self._core(found[1] if keyed is None else unminted(found[1]), keyed)
        kind = "application/problem+json" if reply.status >= 400 else "application/json"
        headers = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
        if reply.location:
            headers["Location"] = reply.location
        return Response(reply.body, reply.status, headers, kind)

    def _ticket(self, token: str) -> Response:
        ticket = secrets.token_urlsafe(32)
        if not self.tickets.issue(time.monotonic_ns(), ticket, token):
            text = "too many tickets are waiting to be used"
            return _problem(Problem(503, "busy", text, retry_after_ms=1_000))
        body = as_json({"ticket": ticket, "expires_in_ms": TICKET_KEPT * 1_000 // SECOND})
        return Response(body, 201, {"Cache-Control": "no-store"}, "application/json")

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
        if needed == "trade" and scope != "trade":
            return Problem(403, "forbidden", "this token may only read")
        kind = request.headers.get("content-type", "").partition(";")[0].strip()
        sized = request.headers.get("content-length", "0") != "0"
        said = request.method == "POST" or sized or "transfer-encoding" in request.headers
        if said and kind != "application/json":
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


def _said_twice(request: Request) -> str:
    """A parameter that is named more than once: which of them counts is not ours to guess."""
    names = [name for name, _ in request.query_params.multi_items()]
    return next((name[:50] for name in names if names.count(name) > 1), "")


def _problem(problem: Problem) -> Response:
    headers = {"Cache-Control": "no-store"}
    if problem.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return Response(
        problem_body(problem), problem.status, headers, media_type="application/problem+json"
    )
