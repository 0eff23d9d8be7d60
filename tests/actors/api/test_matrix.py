"""Everything that a stranger may try, against every route: each gets the one refusal that fits, and
no handler of ours ever runs.

Built from the route table: a route that is added is in here, and one that would let somebody in
fails. Over real sockets, against the real process with stand-ins for the rest of the engine.
"""

import json
import select
import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any, Final

import pytest

from protocol.limits import BODY_BYTES_MAX, HEAD_BYTES_MAX, HEADERS_MAX, TARGET_BYTES_MAX
from protocol.messages import AccountRequest, EntriesRequest
from protocol.tokens import SCOPES, Scope
from tests.actors.api.strangers import (
    ALL,
    SOCKET,
    Asked,
    Line,
    Refusal,
    asked,
    carriers,
    every,
    read,
    refusal,
    request,
)
from tests.front import Front

SLOW_MAX_S: Final = 9.0  # 5 s are allowed for a header
EXPIRED: Final = "expired"
KEEPING_UP: Final = (AccountRequest, EntriesRequest)
AMPLE: Final = "asks_a_second = 10000\ntrades_a_second = 10000\n"


@pytest.fixture(scope="module")
def front() -> Iterator[Front]:
    tokens: dict[str, tuple[Scope, ...]] = {ALL: SCOPES, EXPIRED: SCOPES}
    for scope in SCOPES:
        tokens[f"no-{scope}"] = tuple(s for s in SCOPES if s != scope)
    with Front([], tokens, (EXPIRED,), AMPLE) as front:
        yield front
        front.others.until_beat(lambda beat: True, 5)
        beat = front.others.until_beat(lambda beat: True, 5)  # of after the last request
        assert beat.counters["requests"] == 0, "the core was asked"
        came = [one for one in front.others.letters if not isinstance(one[1], KEEPING_UP)]
        assert came == [], "somebody of the engine was asked"


# Who asks

NOBODY: Final = Refusal(401, "unauthorized")


@pytest.mark.parametrize(
    "said",
    [None, "", "Bearer", "Bearer ", "Bearer unknown", "Basic dTpw", "bearer\tx", "Bearer x y"],
    ids=repr,
)
def test_without_a_token_that_is_known(front: Front, said: str | None) -> None:
    every(front, [(r, request(front, r, "", Authorization=said)) for r in asked()], NOBODY)


def test_a_token_in_another_place(front: Front) -> None:
    """In the address, in a cookie, under another scheme: it counts nowhere but in its header."""
    secret = front.secrets[ALL]
    for route in asked():
        there = route._replace(path=f"{route.path}?access_token={secret}&token={secret}")
        raws = [
            request(front, there, ""),
            request(front, route, "", Cookie=f"token={secret}"),
            request(front, route, "", Authorization=f"Basic {secret}"),
            request(front, route, "", X_Api_Key=secret),
        ]
        assert [refusal(front, raw) for raw in raws] == [NOBODY] * len(raws), route


def test_a_token_that_has_expired(front: Front) -> None:
    every(front, [(r, request(front, r, EXPIRED)) for r in asked()], NOBODY)


def test_a_token_that_has_every_scope_but_the_one_that_is_needed(front: Front) -> None:
    raws = [(r, request(front, r, f"no-{r.scope}")) for r in asked()]
    every(front, raws, Refusal(403, "forbidden"))


def test_where_there_is_no_route_only_who_has_a_token_learns_that(front: Front) -> None:
    for path in ("/page/", "/v1", "/v1/nothing", "/v2/orders", "/metrics", "/..", "/v1//orders"):
        nowhere = Asked("GET", path, "read")
        assert refusal(front, request(front, nowhere, "")) == NOBODY, path
        assert refusal(front, request(front, nowhere)) == Refusal(404, "not_found"), path


# From where


@pytest.mark.parametrize(
    "host",
    [
        "", "evil.example", "evil.example:{port}", "127.0.0.1", "127.0.0.1:1",
        "127.0.0.2:{port}", "localhost.evil.example:{port}", "127.0.0.1:{port}.evil.example",
        "0.0.0.0:{port}", "[::]:{port}", "user@127.0.0.1:{port}", "127.0.0.1:{port}@evil.example",
    ],
    ids=repr,
)  # fmt: skip
def test_under_a_name_that_is_not_ours(front: Front, host: str) -> None:
    raws = [(r, request(front, r, Host=host.format(port=front.port))) for r in asked()]
    every(front, raws, Refusal(421, "wrong_host"))


def test_under_no_name(front: Front) -> None:
    raws = [(r, request(front, r, Host=None)) for r in asked()]
    every(front, raws, Refusal(400, "malformed_request"))


@pytest.mark.parametrize(
    "origin",
    [
        "null", "", "http://evil.example", "http://127.0.0.1:1", "https://127.0.0.1:{port}",
        "http://127.0.0.1:{port}.evil.example", "http://evil.example:{port}", "file://",
        "chrome-extension://abcdefghijklmnop", "http://127.0.0.1:{port}/", "HTTP://LOCALHOST",
    ],
    ids=repr,
)  # fmt: skip
def test_from_a_page_of_another_origin(front: Front, origin: str) -> None:
    said = origin.format(port=front.port)
    raws = [(r, request(front, r, Origin=said)) for r in asked()]
    every(front, raws, Refusal(403, "wrong_origin"))


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_from_a_page_that_the_browser_calls_foreign(front: Front, site: str) -> None:
    raws = [(r, request(front, r, Sec_Fetch_Site=site)) for r in asked()]
    every(front, raws, Refusal(403, "cross_site"))


def test_a_browser_that_asks_whether_it_may(front: Front) -> None:
    """A preflight gets no permission: the request that it is for never comes."""
    for origin, want in (
        ("http://evil.example", Refusal(403, "wrong_origin")),
        (f"http://127.0.0.1:{front.port}", Refusal(405, "method_not_allowed")),
    ):
        asks = {"Access_Control_Request_Method": "POST", "Origin": origin}
        raws = [(r, request(front, r._replace(method="OPTIONS"), "", **asks)) for r in asked()]
        every(front, raws, want)


# In what form


@pytest.mark.parametrize(
    "kind",
    [None, "", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"]
    + ["text/json", "application/jsonx", "text/plain; application/json", "application/xml"],
    ids=repr,
)
def test_a_body_that_is_not_called_json(front: Front, kind: str | None) -> None:
    raws = [(r, request(front, r, body="{}", Content_Type=kind)) for r in carriers()]
    every(front, raws, Refusal(415, "unsupported_media_type"))


def test_a_body_that_is_too_large(front: Front) -> None:
    body = '{"a":"' + "x" * BODY_BYTES_MAX + '"}'
    raws = [(r, request(front, r, body=body)) for r in carriers()]
    every(front, raws, Refusal(413, "body_too_large"))


def test_a_body_that_is_said_to_be_too_large_is_not_waited_for(front: Front) -> None:
    raws = [(r, request(front, r, body="{}", Content_Length=str(10**9))) for r in carriers()]
    every(front, raws, Refusal(413, "body_too_large"))


def test_a_body_in_pieces_that_gets_too_large(front: Front) -> None:
    """Of which nobody says beforehand how large it will be."""
    piece = b"1000\r\n" + b"x" * 4096 + b"\r\n"
    for route in carriers():
        chunked = {"Content_Length": None, "Transfer_Encoding": "chunked"}
        raw = request(front, route, body="{}", **chunked).removesuffix(b"{}")
        with Line(front) as line:
            line.send(raw + piece * (BODY_BYTES_MAX // 4096 + 1))
            assert read(*line.answer()) == Refusal(413, "body_too_large"), route


def test_a_body_before_the_socket_is_there(front: Front) -> None:
    for body in ("{}", "x" * BODY_BYTES_MAX * 2):
        raw = request(front, Asked("GET", SOCKET, "read"), body=body)
        assert refusal(front, raw) == Refusal(400, "malformed_request")


@pytest.mark.parametrize("name", ["Host", "Authorization", "Origin", "Content-Type"])
def test_a_header_of_which_there_is_one_said_twice(front: Front, name: str) -> None:
    for route in carriers() if name == "Content-Type" else asked():
        body = "{}" if name == "Content-Type" or route.method == "POST" else ""
        raw = request(front, route, body=body, Origin=f"http://127.0.0.1:{front.port}")
        [line] = [part for part in raw.split(b"\r\n") if part.startswith(name.encode() + b": ")]
        twice = raw.replace(line, line + b"\r\n" + line, 1)
        code = "malformed_request" if name == "Host" else "repeated_header"
        assert refusal(front, twice) == Refusal(400, code), route


@pytest.mark.parametrize("what", ["one long header", "many headers", "a long name", "a long path"])
def test_headers_that_are_too_large(front: Front, what: str) -> None:
    """Told, and the connection is closed: nothing behind them is read."""
    for route in asked():
        match what:
            case "one long header":
                raw = request(front, route, X_Long="x" * HEAD_BYTES_MAX)
            case "many headers":
                raw = request(front, route, **{f"X_{n}": "x" for n in range(HEADERS_MAX)})
            case "a long name":
                raw = request(front, route, **{"X" * HEAD_BYTES_MAX: "x"})
            case _:
                long = route._replace(path=f"{route.path}?x={'x' * TARGET_BYTES_MAX}")
                raw = request(front, long)
        want = Refusal(431, "headers_too_large")
        want = Refusal(414, "target_too_long") if what == "a long path" else want
        with Line(front) as line:
            line.send(raw)
            assert read(*line.answer()) == want, route
            assert line.closed(), route


def test_a_header_that_takes_too_long(front: Front) -> None:
    """All at once: each is told after 5 s, and its connection closed."""
    with ExitStack() as open_:
        lines = [(route, open_.enter_context(Line(front))) for route in asked()]
        for route, line in lines:
            line.send(request(front, route).partition(b"\r\n\r\n")[0] + b"\r\nX-Slow: ")
        began, waiting = time.monotonic(), {line.socket: route for route, line in lines}
        while waiting and time.monotonic() - began < SLOW_MAX_S:
            ready, _, _ = select.select(waiting, [], [], 0.5)
            for found in ready:
                del waiting[found]
            for found in waiting:
                found.send(b"x")  # it goes on, a little at a time
        assert list(map(str, waiting.values())) == [], "nobody has told them"
        for route, line in lines:
            assert read(*line.answer()) == Refusal(408, "request_timeout"), route
            assert line.closed(), route


# And what is right


def test_what_is_right_passes_the_gate() -> None:
    """The same requests as they should be: each gets as far as its own reader or handler."""
    with Front([], {ALL: SCOPES}, settings=AMPLE) as front:
        for route in carriers():
            with Line(front) as line:
                line.send(request(front, route))
                status, _, body = line.answer()
            found: Any = json.loads(body)
            stopped = status in (401, 403, 405, 408, 413, 415, 421, 431)
            assert not stopped, f"{route}: {found}"
        beat = front.others.until_beat(lambda beat: beat.counters["requests"] > 10, 5)
        assert beat.ready
        came = [one for one in front.others.letters if not isinstance(one[1], KEEPING_UP)]
        assert len(came) > 10
