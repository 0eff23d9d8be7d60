"""What the connections of a server share, and where the answers of one are written."""

from collections.abc import Awaitable, Callable
from typing import Any

from msgspec import Struct
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from protocol.http import Answer
from protocol.limits import ANSWER_TIME, BODY_TIME, HEAD_TIME, KEEP_ALIVE, LINGER

App = Callable[[Any, Any, Any], Awaitable[None]]  # an ASGI application
# What answers a request whose body is there: with the answer, or with what will give it. It is
# called in the loop's own turn and must not wait.
Direct = Callable[[Any, bytes], Answer | App]


class Patience(Struct, frozen=True):
    """How long a client has, in nanoseconds."""

    head: int = HEAD_TIME
    body: int = BODY_TIME
    answer: int = ANSWER_TIME
    idle: int = KEEP_ALIVE
    linger: int = LINGER


class Room:
    """How many connections a server has, how long it waits for each, how many above that are
    being told that there is no room, and how many requests were read and not taken up yet: from
    `at_once_max` on, reads of those who ask without a pause are refused (None: never)."""

    def __init__(
        self,
        connections_max: int,
        patience: Patience,
        at_once_max: int | None = None,
        direct: Direct | None = None,
    ) -> None:
        self.connections_max = connections_max
        self.patience = patience
        self.at_once_max = at_once_max
        self.direct = direct
        self.told = 0
        self.read = 0


def failing(error: Exception) -> App:
    """An application that fails like this: the server says so, in its log and to the client."""

    async def fail(*_: Any) -> None:
        raise error

    return fail


class Joined:
    """Where an answer is written: its head leaves with what follows it, in one call of the kernel,
    which costs as much as all the rest of a small answer."""

    def __init__(self, cycle: RequestResponseCycle) -> None:
        self._cycle = cycle
        self._transport = cycle.transport
        self._begun = False
        self._head = b""

    def write(self, data: bytes) -> None:
        if self._cycle.response_started and not self._begun:
            self._begun, self._head = True, data
            return
        self._transport.write(self._head + data if self._head else data)
        self._head = b""

    def flush(self) -> None:
        """No body follows."""
        if self._head:
            self.write(b"")

    def is_closing(self) -> bool:
        return self._transport.is_closing()

    def close(self) -> None:
        self.flush()
        self._transport.close()
