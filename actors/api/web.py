"""The front's HTTP: bytes in and out, for whom the gate lets in."""

import asyncio
import functools
import secrets
import time
import uuid
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from starlette.datastructures import QueryParams
from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Receive, Send
from starlette.types import Scope as Connection

from actors.api.asks import Ask, IssueTicket, SignIn, find
from actors.api.bodies import Problem
from actors.api.files import PAGE
from actors.api.guard import Caller, Guard, Head
from actors.api.keyed import HEADER, Keyed, said, unminted
from actors.api.quota import weight_of
from actors.api.replies import Reply, as_json, problem_body
from actors.api.route import Route
from actors.api.tickets import Tickets
from protocol.http import Answer, retry_after
from protocol.limits import BODY_BYTES_MAX, READ_CHARS_KEPT, READS_KEPT, SECOND, TICKET_KEPT
from protocol.runtime.loop import wall
from protocol.tokens import Token
from protocol.twice import repeated

Headers = Sequence[tuple[bytes, bytes]]
AskCore = Callable[[int, Ask, Keyed | None], None]
BeginSignIn = Callable[[Token], asyncio.Future[Reply]]

HARDENED: Final = ((b"cache-control", b"no-store"), (b"x-content-type-options", b"nosniff"))
KEY_HEADER: Final = HEADER.lower().encode()
NOTHING_SAID: Final = QueryParams()
WITHDRAWN: Final = Problem(401, "unauthorized", "the token does not count any more")
TOO_LARGE: Final = Problem(413, "body_too_large", f"at most {BODY_BYTES_MAX} bytes")


class Entry(NamedTuple):
    """Who asks, of which route, and what the head says."""

    caller: Caller
    route: Route
    head: Head
    query_string: bytes


class Waiting(NamedTuple):
    """The core has not answered yet. `end` is called once nobody waits any more."""

    reply: asyncio.Future[Reply]
    end: Callable[[], None]


class Web:
    """Turns HTTP into requests for the core, and the core's replies into HTTP."""

    def __init__(self, guard: Guard, ask: AskCore, sign_in: BeginSignIn):
        self._guard = guard
        self._ask = ask
        self._sign_in = sign_in
        self._waiting: dict[int, asyncio.Future[Reply]] = {}
        self._next_id = 0
        self._asking = 0  # the core, in this very moment
        self._said: Reply | None = None  # what it says to that
        self.tickets = Tickets()

    def app(self) -> ASGIApp:
        """The ASGI application. Who may not come in is told so before the body has come."""

        async def app(scope: Connection, receive: Receive, send: Send) -> None:
            entry, body = self._let_in(scope), b""
            if isinstance(entry, Entry):
                try:
                    body = await _body(scope, receive)
                except ClientDisconnect:  # in the middle of its body: nobody is left to answer
                    return
                if not self.holds(entry.caller.token.id):
                    entry = WITHDRAWN
            await _give(self._found(entry, body), send)

        return app

    def direct(self, scope: Connection, body: bytes) -> Answer | ASGIApp:
        """The answer to a request that is there as a whole, or the application that waits for
        it."""
        found = self._found(self._let_in(scope), body)
        if isinstance(found, Answer):
            return found

        async def waits(scope: Connection, receive: Receive, send: Send) -> None:
            await _give(found, send)

        return waits

    def reply(self, reply: Reply) -> None:
        """The core has answered."""
        if reply.id == self._asking:
            self._said = reply
            return
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

    def _let_in(self, scope: Connection) -> Entry | Problem | Answer:
        """Whoever may ask this. That there is no such route learns only who has a token; the page
        itself is for everybody who knocks at the right door."""
        client, method, path = scope["client"], scope["method"], scope["path"]
        head = Head(method, path, scope["headers"], client[0] if client else "")
        file = PAGE.get(path)
        if file is not None and method in ("GET", "HEAD"):
            return self._guard.visit(head) or file
        route = _route(method, path)
        needed = None if isinstance(route, Problem) else route.scope
        caller = self._guard.admit(time.monotonic_ns(), wall(), head, needed)
        if isinstance(caller, Problem):
            return caller
        if isinstance(route, Problem):
            return route
        return Entry(caller, route, head, scope["query_string"])

    def _found(self, entry: Entry | Problem | Answer, body: bytes) -> Answer | Waiting:
        """The answer, unless the core has to be waited for."""
        if isinstance(entry, Problem):
            return _problem(entry)
        if isinstance(entry, Answer):
            return entry
        if len(body) > BODY_BYTES_MAX:
            return _problem(TOO_LARGE)
        keyed = _keyed(entry, body)
        if isinstance(keyed, Problem):
            return _problem(keyed)
        asked = _read(entry, body, keyed)
        if isinstance(asked, Problem):
            return _problem(asked)
        if isinstance(asked, IssueTicket):
            return self._ticket(entry.caller)
        if isinstance(asked, SignIn):
            return Waiting(self._sign_in(entry.caller.token), lambda: None)
        many = self._guard.charge(time.monotonic_ns(), entry.caller, weight_of(asked) - 1)
        if many is not None:
            return _problem(many)
        end = self._guard.begin(entry.caller)
        if isinstance(end, Problem):
            return _problem(end)
        found = self._core(asked if keyed is None else unminted(asked), keyed)
        if isinstance(found, asyncio.Future):
            return Waiting(found, end)
        end()
        return _response(found)

    def _ticket(self, caller: Caller) -> Answer:
        ticket = secrets.token_urlsafe(32)
        if not self.tickets.issue(time.monotonic_ns(), ticket, caller.token.id):
            text = "too many tickets are waiting to be used"
            return _problem(Problem(503, "busy", text, retry_after_ms=1_000))
        body = as_json({"ticket": ticket, "expires_in_ms": TICKET_KEPT * 1_000 // SECOND})
        return _response(Reply(0, 201, body))

    def _core(self, ask: Ask, keyed: Keyed | None) -> Reply | asyncio.Future[Reply]:
        self._next_id += 1
        self._asking, self._said = self._next_id, None
        self._ask(self._next_id, ask, keyed)
        self._asking = 0
        if self._said is not None:
            return self._said
        waiting: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._waiting[self._next_id] = waiting
        return waiting


async def _give(found: Answer | Waiting, send: Send) -> None:
    """Send the answer, once it is there."""
    if isinstance(found, Waiting):
        reply, end = found
        try:
            found = _response(await reply)
        finally:
            end()
    status, headers, body = found
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _body(scope: Connection, receive: Receive) -> bytes:
    """All of it, or enough to see that it is too large. Raises ClientDisconnect."""
    body = bytearray()
    async for chunk in Request(scope, receive).stream():
        body += chunk
        if len(body) > BODY_BYTES_MAX:
            break
    return bytes(body)


def _route(method: str, path: str) -> Route | Problem:
    return (_find if len(path) <= READ_CHARS_KEPT else find)(method, path)


def _read(entry: Entry, body: bytes, keyed: Keyed | None) -> Ask | Problem:
    """What is asked."""
    head, said = entry.head, entry.query_string
    if (
        not body
        and head.method in ("GET", "HEAD")
        and len(head.path) + len(said) <= READ_CHARS_KEPT
    ):
        return _looked(head.method, head.path, said)
    fresh_id = "" if keyed is None else keyed.fresh_id
    if head.method == "POST" and keyed is None:  # nothing else makes anything
        fresh_id = str(uuid.uuid4())
    return _understood(entry.route, head.path, said, body, fresh_id)


# Reads are asked for again and again: what they say is kept, and read no second time.
_find: Final = functools.lru_cache(READS_KEPT)(find)


@functools.lru_cache(READS_KEPT)
def _looked(method: str, path: str, query_string: bytes) -> Ask | Problem:
    """What a read asks for. It has a route: it was let in."""
    route = find(method, path)
    assert isinstance(route, Route)
    return _understood(route, path, query_string, b"", "")


def _understood(
    route: Route, path: str, query_string: bytes, body: bytes, fresh_id: str
) -> Ask | Problem:
    query = QueryParams(query_string) if query_string else NOTHING_SAID
    twice = repeated(name for name, _ in query.multi_items())  # which counts is not ours to guess
    if twice:
        text = f"{twice} is said twice: a list is one parameter, parted by commas"
        return Problem(422, "repeated_parameter", text, twice)
    found: Ask | Problem = route.read(path, query, body, fresh_id)
    return found


def _keyed(entry: Entry, body: bytes) -> Keyed | Problem | None:
    """The key that a request says, if any. It is the caller's by name: a token that took another's
    place goes on with its keys, and does not do again what was done."""
    head = entry.head
    if not entry.route.keyed:
        return None
    values = [value.decode("latin-1") for name, value in head.headers if name == KEY_HEADER]
    target = f"{head.path}?{entry.query_string.decode('latin-1')}"
    return said(entry.caller.token.name, values, head.method, target, body)


def _response(reply: Reply) -> Answer:
    headers = _headers(reply.body, reply.status) + retry_after(reply.retry_after_ms)
    if reply.location:
        headers.append((b"location", reply.location.encode()))
    return Answer(reply.status, headers, reply.body)


def _headers(body: bytes, status: int) -> list[tuple[bytes, bytes]]:
    kind = b"application/problem+json" if status >= 400 else b"application/json"
    length = b"%d" % len(body)
    return [*HARDENED, (b"content-type", kind), (b"content-length", length)]


def _problem(problem: Problem) -> Answer:
    body = problem_body(problem)
    headers = _headers(body, problem.status) + retry_after(problem.retry_after_ms)
    if problem.allow:
        headers.append((b"allow", problem.allow.encode()))
    if problem.status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    return Answer(problem.status, headers, body)
