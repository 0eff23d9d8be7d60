"""A socket against an exchange that is played byte by byte: how it opens, or does not."""

import asyncio
import threading

import pytest

from actors.stream import socket as transport
from actors.stream.shell import Sockets
from actors.stream.wire import (
    CloseSocket,
    OpenFailed,
    OpenSocket,
    SocketClosed,
)
from protocol.limits import (
    SECOND,
)
from protocol.machine import Cause
from protocol.runtime.loop import wall
from tests.actors.stream.exchange import (
    DATE,
    DATE_AT,
    PATIENCE,
    SIGNER,
    Causes,
    Exchange,
    Peer,
    opened,
    play,
    run,
)


def failure(*parts: bytes, end: bool = True) -> OpenFailed:
    """How opening fails when the exchange answers so, and then ends the connection or waits."""
    found: list[Cause] = []

    def exchange(peer: Peer) -> None:
        peer.hear_request()
        for part in parts:
            peer.send(part)
        if not end:
            peer.until_gone()

    async def story(sockets: Sockets, causes: Causes) -> None:
        sockets.perform(OpenSocket("private"))
        found.append(await causes.get())
        await sockets.end()
        assert causes.empty()

    play(story, exchange)
    failed = found[0]
    assert isinstance(failed, OpenFailed) and failed.link == "private", failed
    return failed


# Opening


def test_the_handshake_is_signed_and_says_the_exchanges_clock() -> None:
    requests: list[Peer] = []

    def exchange(peer: Peer) -> None:
        peer.agree()
        requests.append(peer)
        peer.until_closed()

    async def story(sockets: Sockets, causes: Causes) -> None:
        before = wall()
        first = await opened(sockets, causes)
        assert before <= first.at <= wall()
        assert first.date == DATE_AT

    play(story, exchange)
    peer = requests[0]
    assert peer.request.startswith(b"GET /trade-api/ws/v2 HTTP/1.1\r\n")
    assert peer.header("KALSHI-ACCESS-KEY") == "the-key"
    assert peer.header("KALSHI-ACCESS-SIGNATURE")
    assert abs(int(peer.header("KALSHI-ACCESS-TIMESTAMP")) - wall() // 1_000) < 60_000
    assert peer.header("Sec-WebSocket-Extensions") == ""


def answer(status: str, body: str, *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body.encode())}", *headers, "", body]
    return "\r\n".join(lines).encode()


def test_unauthorized_with_the_exchanges_clock() -> None:
    failed = failure(answer("401 Unauthorized", '{"error":{"code":"x"}}', f"Date: {DATE}"))
    assert (failed.status, failed.date) == (401, DATE_AT)
    assert failed.reason == 'HTTP 401 {"error":{"code":"x"}}'


def test_too_many_requests_byte_by_byte_and_no_clock() -> None:
    whole = answer("429 Too Many Requests", "slow down")
    failed = failure(*(whole[i : i + 1] for i in range(len(whole))))
    assert (failed.status, failed.reason, failed.date) == (429, "HTTP 429 slow down", 0)


def test_a_body_that_ends_with_the_connection_and_is_long_and_ugly() -> None:
    body = "€\x1b[31m\n" + "x" * 5_000
    failed = failure(f"HTTP/1.1 503 No\r\nDate: soon\r\n\r\n{body}".encode())
    assert (failed.status, failed.date) == (503, 0)
    assert failed.reason.startswith("HTTP 503 €?[31m?xxx")
    assert len(failed.reason) <= 210


def test_an_answer_cut_short_still_has_its_status() -> None:
    failed = failure(f"HTTP/1.1 401 U\r\nDate: {DATE}\r\nContent-Length: 99\r\n\r\nhal".encode())
    assert (failed.status, failed.date) == (401, DATE_AT)
    assert failed.reason == ("HTTP 401, and not the whole of its body before the connection ended")


@pytest.mark.parametrize(
    "garbage",
    [b"SSH-2.0-OpenSSH_9\r\n", b"\x15\x03\x01\x00\x02\x02\x46", b"HTTP/1.1 101 \r\n\r\n", b""],
)
def test_garbage_instead_of_http(garbage: bytes) -> None:
    failed = failure(garbage)
    assert failed.reason.isprintable() and failed.reason
    assert failed.status in (0, 101)


def test_a_line_without_end_is_not_read_for_ever() -> None:
    assert failure(b"x" * 100_000, end=False).status == 0


def test_a_101_that_is_not_an_answer_to_our_key() -> None:
    head = "HTTP/1.1 101 S\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    failed = failure(f"{head}Sec-WebSocket-Accept: abcd\r\n\r\n".encode(), end=False)
    assert failed.status == 101
    assert "Sec-WebSocket-Accept" in failed.reason


def test_compression_that_nobody_asked_for_is_refused() -> None:
    def exchange(peer: Peer) -> None:
        peer.hear_request()
        more = b"\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n"
        peer.send(peer.agreement().removesuffix(b"\r\n\r\n") + more)
        peer.until_closed()

    async def story(sockets: Sockets, causes: Causes) -> None:
        sockets.perform(OpenSocket("public"))
        failed = await causes.get()
        assert isinstance(failed, OpenFailed) and "extensions" in failed.reason

    play(story, exchange)


def test_no_answer_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """The deadline is shortened; that it is the one in the limits is read there."""
    monkeypatch.setattr(transport, "CONNECT_MAX", SECOND // 5)

    def exchange(peer: Peer) -> None:
        peer.hear_request()
        peer.until_gone()

    async def story(sockets: Sockets, causes: Causes) -> None:
        sockets.perform(OpenSocket("private"))
        failed = await causes.get()
        assert isinstance(failed, OpenFailed)
        assert (failed.status, failed.date) == (0, 0)
        assert failed.reason.startswith("no answer to the handshake in ")

    play(story, exchange)


def test_half_an_answer_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "CONNECT_MAX", SECOND // 5)
    head = f"HTTP/1.1 429 T\r\nDate: {DATE}\r\nContent-Length: 99\r\n\r\nhal"
    failed = failure(head.encode(), end=False)
    assert (failed.status, failed.date) == (429, DATE_AT)


def test_nobody_there() -> None:
    with Exchange() as exchange:
        port = exchange.port  # nobody listens there from here on

    async def story() -> None:
        sockets = Sockets(f"ws://127.0.0.1:{port}/x", SIGNER, "")
        causes: Causes = asyncio.Queue()
        sockets.feed = causes.put_nowait
        sockets.perform(OpenSocket("public"))
        failed = await causes.get()
        assert isinstance(failed, OpenFailed) and failed.status == 0
        assert "ConnectionRefusedError" in failed.reason
        await sockets.end()

    run(story())


def test_given_up_before_it_was_open() -> None:
    heard = threading.Event()

    def exchange(peer: Peer) -> None:
        peer.hear_request()
        heard.set()
        peer.until_gone()

    async def story(sockets: Sockets, causes: Causes) -> None:
        sockets.perform(OpenSocket("public"))
        await asyncio.to_thread(heard.wait, PATIENCE)
        sockets.perform(CloseSocket("public"))
        sockets.perform(CloseSocket("public"))
        closed = await causes.get()
        assert isinstance(closed, SocketClosed)
        assert closed.reason == "closed before it was open"
        await sockets.end()
        assert causes.empty()

    play(story, exchange)
