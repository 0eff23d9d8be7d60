"""Requests as bytes, over connections of one's own, and what each of them is refused with."""

import itertools
import json
import socket
from collections.abc import Iterable
from typing import Final, NamedTuple

from actors.api.route import Route
from actors.api.routes import TABLE
from protocol.tokens import Scope
from tests.front import Front

ANSWER_MAX_S: Final = 10.0
ALL: Final = "all"  # the name of a token that may do everything
SOCKET: Final = "/v1/ws"
UPGRADE: Final = {
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}
NAMES: Final = {
    "ticker": "KXNONE-1",
    "event_ticker": "KXNONE",
    "series_ticker": "KXNONE",
    "order_id": "00000000-0000-4000-8000-000000000000",
}
addresses = itertools.count()


class Asked(NamedTuple):
    """A request that would be let in."""

    method: str
    path: str
    scope: Scope

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


def asked() -> list[Asked]:
    """One of each route, the WebSocket among them."""
    ways = [Asked(route.method, path_of(route), route.scope) for route in TABLE.routes]
    return [Asked("GET", SOCKET, "read"), *ways]


def carriers() -> list[Asked]:
    """Those that may carry a body: all but the WebSocket."""
    return [route for route in asked() if route.path != SOCKET]


def path_of(route: Route) -> str:
    """A path that fits, of things that there are not."""
    path = route.path
    for parameter in route.parameters:
        path = path.replace(f"{{{parameter.name}}}", NAMES.get(parameter.name, "m-1"))
    assert "{" not in path, path
    return path


class Refusal(NamedTuple):
    status: int
    code: str


def request(front: Front, route: Asked, token: str = ALL, **changes: str | None) -> bytes:
    """The request as a program sends it, with headers that are changed, added or (None) left out;
    `body` is another one. Names have `_` for `-`."""
    body = changes.pop("body", "{}" if route.method == "POST" else "") or ""
    headers: dict[str, str | None] = {
        "Host": f"127.0.0.1:{front.port}",
        "Authorization": f"Bearer {front.secrets[token]}" if token else None,
    }
    if route.method == "GET" and route.path.partition("?")[0] == SOCKET:
        headers |= UPGRADE
    if body:
        headers |= {"Content-Type": "application/json", "Content-Length": str(len(body))}
    headers |= {name.replace("_", "-"): value for name, value in changes.items()}
    lines = [f"{route.method} {route.path} HTTP/1.1"]
    lines += [f"{name}: {value}" for name, value in headers.items() if value is not None]
    return ("\r\n".join(lines) + "\r\n\r\n" + body).encode("latin-1")


class Line:
    """A connection from an address of its own: failures are counted by address."""

    def __init__(self, front: Front) -> None:
        number = next(addresses)
        source = f"127.1.{number // 250}.{number % 250 + 1}"
        self.socket = socket.create_connection(("127.0.0.1", front.port), ANSWER_MAX_S, (source, 0))

    def send(self, raw: bytes) -> None:
        try:
            self.socket.sendall(raw)
        except (BrokenPipeError, ConnectionResetError):
            return  # it has been refused already: what was said of it can be read

    def answer(self) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body."""
        data = b""
        while b"\r\n\r\n" not in data:
            some = self.socket.recv(65_536)
            assert some, f"closed after {data!r}"
            data += some
        head, _, body = data.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = {n.lower(): v for n, v in (line.split(": ", 1) for line in lines)}
        while len(body) < int(headers["content-length"]):
            body += self.socket.recv(65_536)
        return int(first.split(" ")[1]), headers, body

    def closed(self) -> bool:
        """Whether the other side has ended it."""
        self.socket.settimeout(ANSWER_MAX_S)
        try:
            return self.socket.recv(1) == b""
        except ConnectionResetError:
            return True
        except TimeoutError:
            return False

    def __enter__(self) -> "Line":
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()


def refusal(front: Front, raw: bytes) -> Refusal:
    """What a request is refused with."""
    with Line(front) as line:
        line.send(raw)
        return read(*line.answer())


def read(status: int, headers: dict[str, str], body: bytes) -> Refusal:
    assert status >= 400, f"let in: {status} {body[:300]!r}"
    assert headers["content-type"] == "application/problem+json", headers
    assert headers["cache-control"] == "no-store", headers
    assert ("www-authenticate" in headers) == (status == 401), headers
    assert not any(name.startswith("access-control-") for name in headers), headers
    problem = json.loads(body)
    assert problem["status"] == status
    assert problem["detail"]
    return Refusal(status, problem["code"])


def every(front: Front, raws: Iterable[tuple[Asked, bytes]], want: Refusal) -> None:
    """Each of these requests is refused in this way."""
    found = {str(route): refusal(front, raw) for route, raw in raws}
    assert {route: got for route, got in found.items() if got != want} == {}
