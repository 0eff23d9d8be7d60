"""The witness: every write as it was received, and what was answered.

A line of the journal is one of these structs. A request is written down before it is executed and
its answer before it is sent, so what the log does not have did not happen, and an answer that is
missing was never given.
"""

from typing import Any, Final

import msgspec
from msgspec import Struct

from actors.paper.entries import Entry

REQUESTS_KEPT: Final = 200_000  # in memory, for GET /paper/wire; on disk there are all


class Received(Struct, frozen=True, tag="received"):
    """A write below /trade-api/v2, before anything was decided about it.

    Or whatever came after a redirect.
    """

    n: int
    at: int
    method: str
    path: str
    client_order_id: str | None
    order_id: str | None
    body: str


class Happened(Struct, frozen=True, tag="happened"):
    """What it, or the public, did to the account: all of it or nothing."""

    entries: list[Entry]


class Answered(Struct, frozen=True, tag="answered"):
    """The answer that is about to be sent."""

    n: int
    status: int
    answer: str


Line = Received | Happened | Answered


class Request(Struct):
    """A request and, where there is one, its answer."""

    received: Received
    answered: Answered | None = None

    def shown(self) -> dict[str, Any]:
        """One row of `GET /paper/wire`; `answer` is null where none was given."""
        received, answered = self.received, self.answered
        answer = None if answered is None else _parsed(answered.answer)
        order_id = received.order_id
        if order_id is None and isinstance(answer, dict):
            order_id = answer.get("order_id")
        body = _parsed(received.body)
        return {
            "n": received.n,
            "at": received.at,
            "method": received.method,
            "path": received.path,
            "client_order_id": received.client_order_id,
            "client_order_ids": _named(body),
            "order_id": order_id,
            "body": body,
            "status": None if answered is None else answered.status,
            "answer": answer,
        }


class WireLog:
    """The requests in order, as `GET /paper/wire` shows them."""

    def __init__(self) -> None:
        self._requests: list[Request] = []
        self._forgotten = 0  # how many came before the first of them

    def receive(self, method: str, path: str, order_id: str | None, body: str, at: int) -> Received:
        """Number a request; `path` has its query."""
        found = _parsed(body)
        client_order_id = found.get("client_order_id") if isinstance(found, dict) else None
        if not isinstance(client_order_id, str):
            client_order_id = None
        number = self._forgotten + len(self._requests) + 1
        return Received(number, at, method, path, client_order_id, order_id, body)

    def apply(self, line: Received | Answered) -> None:
        """Take a line, new or read back."""
        if isinstance(line, Answered):
            if line.n > self._forgotten:
                self._requests[line.n - self._forgotten - 1].answered = line
            return
        self._requests.append(Request(line))
        if len(self._requests) >= 2 * REQUESTS_KEPT:
            del self._requests[:REQUESTS_KEPT]
            self._forgotten += REQUESTS_KEPT

    def shown(self, since: int = 0, limit: int = REQUESTS_KEPT * 2) -> list[dict[str, Any]]:
        """The requests kept whose number is above `since`, oldest first, `limit` at most."""
        first = max(since - self._forgotten, 0)
        return [request.shown() for request in self._requests[first : first + limit]]


def _named(body: Any) -> list[str]:
    """The client order ids of a request: one, or those of all members of a batch."""
    members = body.get("orders", [body]) if isinstance(body, dict) else []
    rows = [row for row in members if isinstance(row, dict)] if isinstance(members, list) else []
    names = (row.get("client_order_id") for row in rows)
    return [name for name in names if isinstance(name, str)]


def _parsed(text: str) -> Any:
    """The JSON value of a text, or the text where it is none that could be shown again."""
    try:
        found = msgspec.json.decode(text)
        msgspec.json.encode(found)  # an integer beyond 64 bits is read but can't be written
    except (msgspec.DecodeError, OverflowError, RecursionError):
        return text
    return found
