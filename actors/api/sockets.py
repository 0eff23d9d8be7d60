"""All WebSocket connections: who may connect, and how what is said gets to them.

A message is made a frame once. What waits for a client when the event loop turns goes out in one
write, and the same bytes go to all for whom the same waits. Whoever does not take it is closed;
nobody else waits for that.
"""

import asyncio
import itertools
import time
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from websockets.frames import Frame, Opcode

from actors.api import notices
from actors.api.bodies import Problem
from actors.api.client import NOT_ALLOWED, PATH, Connection
from actors.api.effects import Drained, Joined, Left, Pace, Said, Say
from actors.api.tickets import Tickets
from protocol.limits import (
    CLIENT_LOOK,
    CLIENTS_UNSENT_BYTES_MAX,
    SECOND,
    SOCKETS_MAX,
    STRANGERS_MAX,
    UNSENT_A_CLIENT_BYTES_MAX,
)
from protocol.machine import Cause
from protocol.runtime.loop import wall

Headers = Sequence[tuple[bytes, bytes]]


class Gate(Protocol):
    """Who may come in: the same for HTTP and WebSocket."""

    def admit(self, path: str, headers: Headers, address: str) -> str | Problem:
        """The id of the token that a request carries."""
        ...

    def knock(self, path: str, headers: Headers, address: str) -> Problem | None:
        """The same, but for the token."""
        ...

    def holds(self, token: str) -> bool:
        """Whether the token of this id still counts."""
        ...


class Sockets:
    """The connections, by the numbers under which the feeds know them."""

    def __init__(
        self,
        gate: Gate,
        tickets: Tickets,
        feed: Callable[[Cause], None],
        a_token_max: int = SOCKETS_MAX,
    ) -> None:
        self.slow = 0  # how many of them do not keep up
        self._gate = gate
        self._tickets = tickets
        self._feed = feed
        self._a_token_max = a_token_max
        self._numbers = itertools.count(1)
        self._open: dict[int, Connection] = {}
        self._strangers: set[Connection] = set()
        self._by_token: dict[str, int] = {}
        self._ready: list[Connection] = []  # for whom something waits
        self._looking = False

    def protocol(
        self, config: object, server_state: Any, app_state: object, _loop: object = None
    ) -> Connection:
        """A connection, as uvicorn makes one for each upgrade (`ws=`)."""
        return Connection(self, next(self._numbers), server_state.connections)

    # What the connections ask

    def admit(self, path: str, headers: Headers, address: str, stranger: bool) -> str | Problem:
        """The token's id; "" for one that has yet to say a ticket; or why it may not come in."""
        if stranger:
            refused = self._gate.knock(path, headers, address)
            if refused is None and len(self._strangers) >= STRANGERS_MAX:
                text = "too many connections have yet to say who they are"
                refused = Problem(503, "busy", text, retry_after_ms=1_000)
            return refused or _misled(path) or ""
        token = self._gate.admit(path, headers, address)
        if isinstance(token, Problem):
            return token
        return _misled(path) or self._crowded(token) or token

    def _crowded(self, token: str) -> Problem | None:
        if len(self._open) >= SOCKETS_MAX:
            text = f"{SOCKETS_MAX} WebSocket connections are open"
            return Problem(503, "too_many_connections", text, retry_after_ms=1_000)
        if self._by_token.get(token, 0) >= self._a_token_max:
            text = f"{self._a_token_max} WebSocket connections of this token are open"
            return Problem(429, "too_many_connections", text, retry_after_ms=1_000)
        return None

    def redeem(self, now: int, ticket: str | None) -> str:
        """The id of the token that a ticket stands for; "" if it stands for none, or not now."""
        token = None if ticket is None else self._tickets.redeem(now, ticket)
        if token is None or not self._gate.holds(token) or self._crowded(token):
            return ""
        return token

    def waits(self, connection: Connection) -> None:
        """It has yet to say its ticket."""
        self._strangers.add(connection)

    def joined(self, connection: Connection, greet: bool = False) -> None:
        self._strangers.discard(connection)
        self._open[connection.id] = connection
        self._by_token[connection.token] = self._by_token.get(connection.token, 0) + 1
        self._feed(Joined(wall(), connection.id, connection.token))
        if greet:
            self._say(Say((connection.id,), notices.welcome()))
        if not self._looking:
            self._looking = True
            asyncio.get_running_loop().call_later(CLIENT_LOOK / SECOND, self._look)

    def said(self, connection: Connection, text: bytes) -> None:
        self._feed(Said(wall(), connection.id, text))

    def drained(self, connection: Connection) -> None:
        connection.paced = False
        if connection.id in self._open:
            self._feed(Drained(wall(), connection.id))

    def gone(self, connection: Connection) -> None:
        """It is closed, or being closed."""
        self._strangers.discard(connection)
        if self._open.pop(connection.id, None) is None:
            return
        self._by_token[connection.token] -= 1
        if not self._by_token[connection.token]:
            del self._by_token[connection.token]
        self._feed(Left(wall(), connection.id))

    # What the feeds want

    def perform(self, effect: Say | Pace) -> None:
        match effect:
            case Say():
                self._say(effect)
            case Pace(client=id) if id in self._open:
                self._open[id].paced = True
                self._soon(self._open[id])

    def _say(self, effect: Say) -> None:
        frame = Frame(Opcode.TEXT, effect.text).serialize(mask=False)
        find = self._open.get
        for id in effect.to:
            connection = find(id)
            if connection is not None:
                if not connection.pending:
                    self._soon(connection)
                connection.pending.append(frame)

    def _soon(self, connection: Connection) -> None:
        if not self._ready:
            asyncio.get_running_loop().call_soon(self._flush)
        self._ready.append(connection)

    def _flush(self) -> None:
        """Write what waits. Those who wait for the same stand beside each other, as a rule."""
        ready, self._ready = self._ready, []
        unsent_max = min(UNSENT_A_CLIENT_BYTES_MAX, CLIENTS_UNSENT_BYTES_MAX // max(self.slow, 1))
        before: list[bytes] = []
        data = b""
        for connection in ready:
            pending = connection.pending
            if pending:
                connection.pending = []
                if pending != before:
                    data = pending[0] if len(pending) == 1 else b"".join(pending)
                    before = pending
                connection.write(data, unsent_max)
            if connection.paced and not connection.slow:
                self.drained(connection)

    # Time, and what counts no more

    def _look(self) -> None:
        self._looking = bool(self._open)
        if not self._looking:
            return
        now = time.monotonic_ns()
        for connection in [*self._open.values()]:
            connection.look(now)
        asyncio.get_running_loop().call_later(CLIENT_LOOK / SECOND, self._look)

    def look_again(self) -> None:
        """Tokens may have been withdrawn, or have expired: their connections are closed."""
        lapsed = {token for token in self._by_token if not self._gate.holds(token)}
        for connection in [*self._open.values()] if lapsed else []:
            if connection.token in lapsed:
                connection.close(NOT_ALLOWED, "the token was withdrawn, or has expired")


def _misled(path: str) -> Problem | None:
    """What is wrong with where a handshake goes. Nothing is read from a URL's parameters: what
    stands there is written into logs."""
    where, parameters, _ = path.partition("?")
    if where != PATH:
        return Problem(404, "not_found", f"there is no WebSocket at {where[:100]}")
    if parameters:
        return Problem(422, "unknown_parameter", "a WebSocket's URL has no parameters")
    return None
