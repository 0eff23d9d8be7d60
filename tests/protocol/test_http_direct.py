"""Answers that need no task: the same to whoever asks, and never in another order."""

import socket
from collections.abc import Iterator

import pytest

from protocol.runtime.http_room import Patience
from tests.protocol.test_http import LARGE, LAST, Site, answers, get, post, talk, through, until


@pytest.fixture
def site() -> Iterator[Site]:
    site = Site(patience=Patience(), direct=True)
    try:
        yield site
    finally:
        site.close()


def test_what_has_to_be_waited_for_goes_before_what_was_asked_after_it(site: Site) -> None:
    with site.connect() as connection:
        connection.sendall(get("/one") + get("/wait") + get("/two") + get("/three", LAST))
        assert through(connection, b"/one 0")
        until(lambda: site.asked == ["/one", "/wait"])
        site.let_go.set()
        assert answers(connection) == [(200, "/wait 0"), (200, "/two 0"), (200, "/three 0")]


def test_a_body_that_is_not_there_yet_is_waited_for(site: Site) -> None:
    with site.connect() as connection:
        connection.sendall(post(b"ab", "Content-Length: 5", LAST))
        until(lambda: site.asked == ["/ok"])
        connection.sendall(b"cde")
        assert answers(connection) == [(200, "/ok 5")]
    assert talk(site, post(b"abcde", "Content-Length: 5", LAST)) == [(200, "/ok 5")]


def test_who_wants_to_be_told_to_go_on_is_told(site: Site) -> None:
    with site.connect() as connection:
        connection.sendall(post(b"", "Content-Length: 5", "Expect: 100-continue", LAST))
        assert through(connection, b"\r\n\r\n").startswith(b"HTTP/1.1 100 ")
        connection.sendall(b"abcde")
        assert answers(connection) == [(200, "/ok 5")]


def test_a_head_alone_says_how_long_the_body_would_be(site: Site) -> None:
    asked = get("/ok", LAST)
    with site.connect() as line:
        line.sendall(asked.replace(b"GET", b"HEAD", 1))
        head = through(line, b"\r\n\r\n")
        assert line.recv(1) == b""
    with site.connect() as line:
        line.sendall(asked)
        whole = through(line, b"/ok 0")
    assert without_date(whole) == without_date(head) + [b"/ok 0"]


def without_date(answer: bytes) -> list[bytes]:
    return [line for line in answer.split(b"\r\n") if not line.startswith(b"date: ") and line]


def test_an_old_client_is_answered_and_left(site: Site) -> None:
    assert talk(site, b"GET /ok HTTP/1.0\r\n\r\n") == [(200, "/ok 0")]


def test_who_takes_nothing_is_not_answered_on_and_on(site: Site) -> None:
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        connection.connect(("127.0.0.1", site.port))
        connection.sendall(get("/large") + get("/ok") + get("/last", LAST))
        until(lambda: len(site.asked) == 2)  # the second one waits until the first is taken
        got = answers(connection)
    assert [(status, len(text)) for status, text in got] == [(200, LARGE), (200, 5), (200, 7)]
    assert site.asked == ["/large", "/ok", "/last"]


def test_what_fails_is_told_and_the_next_is_served(site: Site) -> None:
    with site.connect() as connection:
        connection.sendall(get("/fail"))
        assert answers(connection) == [(500, "Internal Server Error")]
    assert talk(site, get("/ok", LAST)) == [(200, "/ok 0")]
