"""What a request of HTTP/1.1 may look like before anybody reads it, and what it gets otherwise."""

from collections.abc import Iterable
from http import HTTPStatus
from typing import Final, NamedTuple

import msgspec
from msgspec import Struct

from protocol.limits import (
    BODY_BYTES_MAX,
    HEAD_BYTES_MAX,
    HEADERS_MAX,
    PIPELINED_MAX,
    TARGET_BYTES_MAX,
)

HEADER_BYTES: Final = 4  # of a header, beside name and value: colon, space and the line's end
FIRST_LINES: Final = {
    status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus
}
Headers = list[tuple[bytes, bytes]]


class Answer(NamedTuple):
    """To a request: its headers say how long the body is."""

    status: int
    headers: Headers
    body: bytes

    def written(self, more: Headers, close: bool = False, head_only: bool = False) -> bytes:
        """As it goes over the wire. `more` headers come first; `close`: it is the last one;
        `head_only`: to a HEAD."""
        said = [*more, *self.headers, (b"connection", b"close")] if close else more + self.headers
        lines = b"".join([b"%b: %b\r\n" % header for header in said])
        body = b"" if head_only else self.body
        return b"%b%b\r\n%b" % (FIRST_LINES[self.status], lines, body)


class Refusal(Struct, frozen=True):
    """What a client sent is not taken: the status that it gets, a stable code, and why."""

    status: int
    code: str
    detail: str
    retry_after_ms: int = 0

    def answer(self) -> Answer:
        """As application/problem+json."""
        problem: dict[str, str | int] = {
            "type": "about:blank",
            "title": self.code.replace("_", " "),
            "status": self.status,
            "code": self.code,
            "detail": self.detail,
        }
        if self.retry_after_ms:
            problem["retry_after_ms"] = self.retry_after_ms
        body = msgspec.json.encode(problem)
        headers = [
            (b"content-type", b"application/problem+json"),
            (b"content-length", b"%d" % len(body)),
            (b"cache-control", b"no-store"),
            *retry_after(self.retry_after_ms),
        ]
        return Answer(self.status, headers, body)


def retry_after(milliseconds: int) -> Headers:
    """The header that says so in seconds, rounded up; none for 0."""
    return [(b"retry-after", b"%d" % -(-milliseconds // 1_000))] if milliseconds else []


def malformed(detail: str) -> Refusal:
    """It is not HTTP as we read it."""
    return Refusal(400, "malformed_request", detail)


TOO_LARGE: Final = Refusal(
    431, "headers_too_large", f"at most {HEAD_BYTES_MAX} bytes and {HEADERS_MAX} headers"
)
TOO_LONG: Final = Refusal(414, "target_too_long", f"at most {TARGET_BYTES_MAX} bytes")
TOO_SLOW: Final = Refusal(408, "request_timeout", "the request was not finished in time")
TOO_MANY: Final = Refusal(503, "too_many_connections", "all connections are in use")
BUSY: Final = Refusal(503, "busy", "more is asked at once than can be answered in time", 100)
TOO_DEEP: Final = Refusal(429, "too_many_pipelined", f"at most {PIPELINED_MAX} wait for answers")


def is_little(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    """Whether the body is small and surely comes, so that nobody need close for its sake."""
    said = dict(headers)
    if b"expect" in said:  # it comes, or never, as the client likes
        return False
    return int(said.get(b"content-length", BODY_BYTES_MAX + 1)) <= BODY_BYTES_MAX


def flaw(target: bytes, headers: list[tuple[bytes, bytes]], version: str) -> str:
    """What is wrong with a head that two readers could take for two different things; "" if
    nothing is. Names of headers in small letters."""
    if not target.startswith(b"/"):
        return "the target is not a path"
    hosts: list[bytes] = []
    lengths: list[bytes] = []
    codings: list[bytes] = []
    framing = {b"host": hosts, b"content-length": lengths, b"transfer-encoding": codings}
    for name, value in headers:
        if name in framing:
            framing[name].append(value)
    if len(hosts) > 1 or (not hosts and version != "1.0"):
        return "one Host is needed, and not more"
    if codings and (lengths or version == "1.0" or [c.lower() for c in codings] != [b"chunked"]):
        return "Transfer-Encoding is chunked, alone, and without Content-Length"
    if len(lengths) > 1:
        return "Content-Length is said twice"
    return ""
