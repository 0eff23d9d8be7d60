"""More is asked at once than can be answered in time: who asks without a pause is refused first."""

import socket
from collections.abc import Iterator

import pytest

from protocol.limits import SECOND
from protocol.runtime import http_answers
from protocol.runtime.http_room import Patience
from tests.protocol.test_http import Site, get, post

AT_ONCE = 2
OK = b"HTTP/1.1 200"
BUSY = b"HTTP/1.1 503"


@pytest.fixture(params=[False, True], ids=["task", "direct"])
def site(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.setattr(http_answers, "HOT", 60 * SECOND)  # however slow this machine is
    site = Site(patience=Patience(), at_once_max=AT_ONCE, direct=request.param)
    try:
        yield site
    finally:
        site.close()


def answer(line: socket.socket, head_only: bool = False) -> tuple[bytes, bytes]:
    """The first line and the body of what is answered, and not a byte more."""
    data = b""
    while b"\r\n\r\n" not in data:
        data += line.recv(1_000)
    head, _, body = data.partition(b"\r\n\r\n")
    [length] = [h for h in head.lower().split(b"\r\n") if h.startswith(b"content-length")]
    while len(body) < int(length.split(b":")[1]) and not head_only:
        body += line.recv(1_000)
    return head[: len(OK)], body


def all_at_once(site: Site, lines: dict[socket.socket, bytes]) -> None:
    """Everything is there before the server reads any of it."""
    with site.connect() as holding:
        holding.sendall(get("/hold"))
        assert site.held.wait(10)
        for line, request in lines.items():
            line.sendall(request)
        site.let_go.set()
        assert answer(holding)[0] == OK


def asked_before(site: Site) -> socket.socket:
    line = site.connect()
    line.sendall(get())
    assert answer(line)[0] == OK
    return line


def test_reads_without_a_pause_are_refused_and_stay_connected(site: Site) -> None:
    hasty = [asked_before(site) for _ in range(8)]
    all_at_once(site, dict.fromkeys(hasty, get()))
    found = [answer(line) for line in hasty]
    assert 1 <= sum(first == OK for first, _ in found) <= AT_ONCE
    refused = [body for first, body in found if first != OK]
    assert all(b'"code":"busy"' in body and b'"retry_after_ms":100' in body for body in refused)
    for line in hasty:  # one after the other there is room
        line.sendall(get())
        assert answer(line)[0] == OK
        line.close()


def test_who_asks_now_and_then_and_what_changes_something_goes_on(site: Site) -> None:
    hasty = [asked_before(site) for _ in range(6)]
    calm = [site.connect() for _ in range(4)]
    changing = asked_before(site)
    wanted = dict.fromkeys([*hasty, *calm], get())
    all_at_once(site, wanted | {changing: post(b"abc", "Content-Length: 3")})
    assert [answer(line)[0] for line in [*calm, changing]] == [OK] * 5
    assert BUSY in [answer(line)[0] for line in hasty]
    for line in wanted | {changing: b""}:
        line.close()


def test_what_is_asked_for_its_head_alone_is_refused_without_a_body(site: Site) -> None:
    hasty = [asked_before(site) for _ in range(6)]
    all_at_once(site, dict.fromkeys(hasty, get().replace(b"GET", b"HEAD", 1)))
    found = [answer(line, head_only=True) for line in hasty]
    assert {first for first, _ in found} == {OK, BUSY}
    assert {body for _, body in found} == {b""}
    for line in hasty:
        line.sendall(get())
        assert answer(line)[0] == OK
        line.close()


def test_who_hangs_up_meanwhile_costs_nobody_anything(site: Site) -> None:
    hasty = [asked_before(site) for _ in range(6)]
    all_at_once(site, dict.fromkeys(hasty, get()))
    for line in hasty:
        line.close()
    with site.connect() as line:
        line.sendall(get())
        assert answer(line)[0] == OK


def test_where_nothing_is_said_nobody_is_refused() -> None:
    site = Site(patience=Patience())
    try:
        hasty = [asked_before(site) for _ in range(8)]
        all_at_once(site, dict.fromkeys(hasty, get()))
        assert [answer(line)[0] for line in hasty] == [OK] * 8
        for line in hasty:
            line.close()
    finally:
        site.close()
