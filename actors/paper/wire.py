"""The witness: every order request as it was received, and what was answered.

A line of the journal is one of these structs. A request is written down before it is executed and
its answer before it is sent, so what the log does not have did not happen, and an answer that is
missing was never given.
"""

from collections import deque
from typing import Any, Final

import msgspec
from msgspec import Struct

from actors.paper.account import Entry

REQUESTS_KEPT: Final = 200_000  # in memory, for GET /paper/wire; on disk there are all


class Received(Struct, frozen=True, tag="received"):
    """A POST or DELETE under portfolio/events/orders, before anything was decided about it."""

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


class WireLog:
    """The requests in order, as `GET /paper/wire` shows them."""

    def __init__(self) -> None:
        self._requests: deque[dict[str, Any]] = deque(maxlen=REQUESTS_KEPT)
        self._open: dict[int, dict[str, Any]] = {}
        self._last = 0

    def receive(self, method: str, path: str, order_id: str | None, body: str, at: int) -> Received:
        """Number a request; `path` has its query."""
        found = _parsed(body)
        client_order_id = found.get("client_order_id") if isinstance(found, dict) else None
        if not isinstance(client_order_id, str):
            client_order_id = None
        return Received(self._last + 1, at, method, path, client_order_id, order_id, body)

    def apply(self, line: Received | Answered) -> None:
        """Take a line, new or read back."""
        if isinstance(line, Received):
            self._last = line.n
            request = {
                "n": line.n,
                "at": line.at,
                "method": line.method,
                "path": line.path,
                "client_order_id": line.client_order_id,
                "order_id": line.order_id,
                "body": _parsed(line.body),
                "status": None,
                "answer": None,
            }
            self._requests.append(request)
            self._open[line.n] = request
            return
        request = self._open.pop(line.n)
        request["status"], request["answer"] = line.status, _parsed(line.answer)
        if request["order_id"] is None and isinstance(request["answer"], dict):
            request["order_id"] = request["answer"].get("order_id")

    def forget_open(self, n: int) -> None:
        """No answer will come for request `n`."""
        self._open.pop(n, None)

    def shown(self) -> list[dict[str, Any]]:
        """Every request kept, oldest first; `answer` is null where none was given."""
        return list(self._requests)


def _parsed(text: str) -> Any:
    """The JSON value of a text, or the text where it is none that could be shown again."""
    try:
        found = msgspec.json.decode(text)
        msgspec.json.encode(found)  # an integer beyond 64 bits is read but can't be written
    except (msgspec.DecodeError, OverflowError, RecursionError):
        return text
    return found
