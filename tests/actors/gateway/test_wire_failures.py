"""Table B2's question, over real sockets: is it certain that not a byte of the request left?"""

import socket
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from actors.gateway.desk import CallAnswered, CallFailed
from actors.gateway.passes import Pass, digest_of
from protocol.kalshi import answers
from tests.actors.gateway.peer import (
    CALL,
    MS,
    PASS,
    Connection,
    Peer,
    answer,
    certificate,
    wire_to,
)

Talk = Callable[[Connection], None]


def failed(cause: object, sent: bool) -> str:
    assert isinstance(cause, CallFailed), cause
    assert cause.sent is sent, cause
    assert cause.reason.startswith("no answer: " if sent else "not sent: ")
    return cause.reason


# Not a byte


def test_nobody_listens(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    assert "refused" in failed(wire_to(tmp_path, port).send(1, CALL, PASS), sent=False)


def test_the_name_is_not_known(tmp_path: Path) -> None:
    wire = wire_to(tmp_path, 1)
    wire._url = "http://nobody.invalid:1/trade-api/v2"  # the allow-list knows only names that exist
    assert "gaierror" in failed(wire.send(1, CALL, PASS), sent=False)


def test_nobody_takes_the_connection(tmp_path: Path) -> None:
    """A full backlog answers no SYN, as a black hole would not."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        port = listener.getsockname()[1]
        waiting = [socket.socket() for _ in range(4)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(("127.0.0.1", port))
        said = failed(wire_to(tmp_path, port, connect_max=200 * MS).send(1, CALL, PASS), sent=False)
        for one in waiting:
            one.close()
    assert "timed out" in said


def hang_up(connection: Connection) -> None:
    connection.socket.recv(1)


def say_nothing(connection: Connection) -> None:
    connection.peer.over.wait(5)


def speak_http(connection: Connection) -> None:
    connection.socket.recv(1)
    connection.send(answer())


@pytest.mark.parametrize(
    "talk, said", [(hang_up, ""), (say_nothing, "timed out"), (speak_http, "SSL")]
)
def test_no_handshake(tmp_path: Path, talk: Talk, said: str) -> None:
    with Peer(talk) as peer:
        wire = wire_to(tmp_path, peer, "https", connect_max=200 * MS)
        assert said in failed(wire.send(1, CALL, PASS), sent=False)
        assert peer.requests == []


def test_a_certificate_that_nobody_vouches_for_or_of_another_name(tmp_path: Path) -> None:
    for address, trust in (("127.0.0.1", False), ("127.0.0.2", True)):
        tls, file = certificate(tmp_path, address)
        with Peer(say_nothing, tls) as peer:
            wire = wire_to(tmp_path, peer, "https", trusted=file if trust else "")
            assert "CERTIFICATE_VERIFY_FAILED" in failed(wire.send(1, CALL, PASS), sent=False)
            assert peer.requests == []


def test_no_time_left_before_the_first_byte(tmp_path: Path) -> None:
    with Peer(say_nothing) as peer:
        said = failed(wire_to(tmp_path, peer, total_max=0).send(1, CALL, PASS), sent=False)
    assert "too long as a whole" in said


# Perhaps all of it


def eof(connection: Connection) -> None:
    connection.request()


def rst(connection: Connection) -> None:
    connection.request()
    connection.reset()


def half_a_body(connection: Connection) -> None:
    connection.request()
    connection.send(answer(b'{"order_id":"o1"}')[:-5])


def half_a_chunk(connection: Connection) -> None:
    connection.request()
    connection.send(b"HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n20\r\n{}")


def no_last_chunk(connection: Connection) -> None:
    connection.request()
    connection.send(b"HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n")


def half_a_head(connection: Connection) -> None:
    connection.request()
    connection.send(b"HTTP/1.1 201 Cre")


def not_http(connection: Connection) -> None:
    connection.request()
    connection.send(b"SSH-2.0-OpenSSH_9.6\r\n\r\n")


def silence(connection: Connection) -> None:
    connection.request()
    connection.peer.over.wait(5)


@pytest.mark.parametrize(
    "talk, said",
    [
        (eof, "RemoteDisconnected"),
        (rst, "reset"),
        (half_a_body, "IncompleteRead"),
        (half_a_chunk, ""),
        (no_last_chunk, ""),
        (not_http, "BadStatusLine"),
        (silence, "timed out"),
    ],
)
@pytest.mark.parametrize("kept", [False, True], ids=["first call", "kept connection"])
def test_the_request_left_and_no_whole_answer_came(
    tmp_path: Path, talk: Talk, said: str, kept: bool
) -> None:
    def first_an_answer(connection: Connection) -> None:
        if kept:
            connection.request()
            connection.send(answer())
        talk(connection)

    with Peer(first_an_answer) as peer:
        wire = wire_to(tmp_path, peer, read_max=200 * MS)
        if kept:
            wire.send(1, CALL, PASS)
        assert said in failed(wire.send(2, CALL, PASS), sent=True)
        assert (peer.connections, len(peer.requests)) == (1, 1 + kept)


def test_an_answer_that_ends_in_its_head_has_no_body(tmp_path: Path) -> None:
    """What status it began with is an answer; what it means is for who reads the body."""
    with Peer(half_a_head) as peer:
        said = wire_to(tmp_path, peer).send(1, CALL, PASS)
    assert isinstance(said, CallAnswered)
    assert isinstance(answers.outcome("c1", said.status, said.body), str)


def test_a_request_that_nobody_reads_to_its_end(tmp_path: Path) -> None:
    """Most of it stays in buffers, and some of it has left."""
    body = b"{" + b" " * 32 * 1024 * 1024 + b"}"
    with Peer(say_nothing) as peer:
        call = type(CALL)("create", "POST", CALL.path, "order", (), body)
        failed(
            wire_to(tmp_path, peer, read_max=200 * MS).send(1, call, Pass(digest_of(call))),
            sent=True,
        )


@pytest.mark.parametrize("from_byte", [0, 40], ids=["head", "body"])
def test_an_answer_that_drips_is_not_waited_for_forever(tmp_path: Path, from_byte: int) -> None:
    """Each byte comes in time; all together never would."""

    def drip(connection: Connection) -> None:
        connection.request()
        raw = answer(b" " * 4_000)
        connection.send(raw[:from_byte])
        connection.drip(raw[from_byte:])

    before = threading.active_count()
    with Peer(drip) as peer:
        wire = wire_to(tmp_path, peer, read_max=1_000 * MS, total_max=300 * MS)
        assert "TimeoutError" in failed(wire.send(1, CALL, PASS), sent=True)
        assert threading.active_count() == before + 2, "the peer's own: listening, and talking"
        failed(wire.send(2, CALL, PASS), sent=True)
        assert peer.connections == 2, "half an answer would be in the next one's way"
    assert threading.active_count() == before
