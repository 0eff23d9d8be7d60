"""WebSocket over real sockets: who may come in, what may be said, who is closed and how."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest

from actors.api import client, sockets
from actors.api.effects import Drained, Left
from protocol.limits import (
    CLIENT_READ_BYTES,
    COMMAND_FRAME_BYTES_MAX,
    COMMANDS_BURST,
    SECOND,
    TICKET_KEPT,
    UNSENT_A_CLIENT_BYTES_MAX,
)
from tests.actors.api.serving import (
    BINARY,
    CLOSE,
    PAGE,
    PING,
    PONG,
    TEXT,
    Front,
    Raw,
    framed,
    serving,
)
from tests.simulation.planting import planted

MILLISECOND = SECOND // 1_000


@pytest.fixture
def front() -> Iterator[Front]:
    with serving() as found:
        yield found


def joined(front: Front, **more: Any) -> Raw:
    raw = Raw(front, **more)
    assert raw.ask() == 101
    return raw


def works(front: Front) -> None:
    """Whatever happened to others, a client is served."""
    with joined(front) as raw:
        raw.send(TEXT, b'"hello"')
        assert raw.take() == (TEXT, b'"hello"')


# Who may come in


def test_what_a_client_says_is_heard_and_what_is_said_to_it_comes(front: Front) -> None:
    with joined(front) as raw:
        assert b"sec-websocket-extensions" not in raw.head.lower()
        raw.send(TEXT, b'"a"', fin=False)
        raw.send(0, b'"b"')
        assert raw.take() == (TEXT, b'"a""b"')
        for size in (0, 125, 126, 65_535, 65_536, 200_000):
            front.say(b"x" * size)
            assert raw.take() == (TEXT, b"x" * size)
        raw.send(PING, b"there?")
        assert raw.take() == (PONG, b"there?")
        raw.send(CLOSE, b"\x03\xe8")
        assert raw.closed()[0] == 1000
        assert raw.take() == (0, b"")
        front.wait(lambda: not front.clients)


@pytest.mark.parametrize(
    ("said", "status", "code"),
    [
        ({"token": ""}, 401, "unauthorized"),
        ({"token": "Bearer wrong"}, 401, "unauthorized"),
        ({"Origin": "http://evil.example"}, 403, "wrong_origin"),
        ({"token": "", "Origin": "http://evil.example"}, 403, "wrong_origin"),
        ({"token": "", "Origin": "null"}, 403, "wrong_origin"),
        ({"path": "/v1/wss"}, 404, "not_found"),
        ({"path": "/"}, 404, "not_found"),
        ({"path": "/v1/ws?token=one"}, 422, "unknown_parameter"),
        ({"path": "/v1/ws?token=one", "token": ""}, 401, "unauthorized"),
    ],
)
def test_a_handshake_is_refused_with_a_problem(
    front: Front, said: dict[str, str], status: int, code: str
) -> None:
    with Raw(front) as raw:
        assert raw.ask(**said) == status
        assert b"application/problem+json" in raw.head
        assert json.loads(raw.rest())["code"] == code
    assert not front.causes


@pytest.mark.parametrize("said", [{"Sec_WebSocket_Version": "12"}, {"Sec_WebSocket_Key": "short"}])
def test_a_handshake_that_is_none_is_refused(front: Front, said: dict[str, str]) -> None:
    with Raw(front) as raw:
        assert 400 <= raw.ask(**said) < 500
        assert b"application/problem+json" in raw.head
        assert json.loads(raw.rest())["code"] == "malformed_handshake"
    assert not front.causes


def test_a_handshake_with_a_line_that_is_too_long_is_refused_with_a_problem(front: Front) -> None:
    with Raw(front) as raw:
        assert raw.ask(Cookie="x" * 9_000) == 431
        assert b"application/problem+json" in raw.head
        assert json.loads(raw.rest())["code"] == "headers_too_large"
    with Raw(front) as raw:
        assert raw.ask(Cookie="x" * 8_000) == 101


def test_connections_are_bounded_in_all_and_for_each_token(front: Front) -> None:
    with planted(front.sockets, "_a_token_max", 2), planted(sockets, "SOCKETS_MAX", 3):
        first, second = joined(front), joined(front)
        with Raw(front) as raw:
            assert raw.ask() == 429
        third = Raw(front)
        assert third.ask(token="Bearer two") == 101
        with Raw(front) as raw:
            assert raw.ask(token="Bearer two") == 503
        first.socket.close()
        front.wait(lambda: len(front.clients) == 2)
        works(front)
        second.socket.close(), third.socket.close()


# Tickets


def issued(front: Front, ticket: str = "t", token: str = "first") -> bytes:
    front.call(lambda: front.tickets.issue(time.monotonic_ns(), ticket, token))
    return json.dumps({"ticket": ticket}).encode()


def test_a_page_of_ours_says_its_ticket_first_and_once(front: Front) -> None:
    ticket = issued(front)
    with Raw(front) as raw:
        assert raw.ask(token="", Origin=PAGE) == 101
        assert not front.clients
        raw.send(TEXT, ticket)
        assert raw.take() == (TEXT, b'{"kind":"welcome"}')
        raw.send(TEXT, b'"hello"')
        assert raw.take() == (TEXT, b'"hello"')
    with Raw(front) as raw:
        assert raw.ask(token="", Origin=PAGE) == 101
        raw.send(TEXT, ticket)
        assert raw.closed() == (1008, "no such ticket")


@pytest.mark.parametrize("said", [b'{"ticket":"other"}', b'{"subscribe":["mark"]}', b"?"])
def test_whoever_says_something_else_first_is_closed(front: Front, said: bytes) -> None:
    issued(front)
    with Raw(front) as raw:
        assert raw.ask(token="", Origin=PAGE) == 101
        raw.send(TEXT, said)
        assert raw.closed() == (1008, "no such ticket")
    assert not front.causes


def test_a_ticket_of_a_withdrawn_token_and_an_old_one_are_none(front: Front) -> None:
    front.door.withdrawn.add("second")
    withdrawn = issued(front, "w", "second")
    front.call(lambda: front.tickets.issue(time.monotonic_ns() - TICKET_KEPT, "old", "first"))
    for said in (withdrawn, b'{"ticket":"old"}'):
        with Raw(front) as raw:
            assert raw.ask(token="", Origin=PAGE) == 101
            raw.send(TEXT, said)
            assert raw.closed()[0] == 1008


def test_whoever_says_nothing_is_closed_and_there_are_few_of_them(front: Front) -> None:
    with (
        planted(client, "TICKET_MAX", 300 * MILLISECOND),
        planted(sockets, "STRANGERS_MAX", 1),
        Raw(front) as raw,
        Raw(front) as second,
    ):
        assert raw.ask(token="", Origin=PAGE) == 101
        assert second.ask(token="", Origin=PAGE) == 503
        assert raw.closed() == (1008, "no ticket was said in time")


# What may be said


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (framed(BINARY, b"{}"), 1003),
        (framed(TEXT, b"\xff\xfe"), 1007),
        (framed(TEXT, b"x" * (COMMAND_FRAME_BYTES_MAX + 1)), 1009),
        (framed(TEXT, b"x" * 40_000, fin=False) + framed(0, b"x" * 40_000), 1009),
        (framed(TEXT, b"{}", masked=False), 1002),
        (framed(3, b"{}"), 1002),
        (framed(0, b"{}"), 1002),
        (framed(PING, b"x" * 126), 1002),
        (framed(PING, b"", fin=False), 1002),
        (framed(CLOSE, b"\x03"), 1002),
        (b"\xff" * 100, 1002),
    ],
    ids=lambda value: value if isinstance(value, int) else "",
)
def test_what_makes_no_sense_is_closed_with_its_code(front: Front, sent: bytes, code: int) -> None:
    with joined(front) as raw:
        raw.socket.sendall(sent)
        assert raw.closed()[0] == code
        front.wait(lambda: not front.clients)
    works(front)


def test_a_message_of_exactly_the_size_that_is_allowed_is_taken(front: Front) -> None:
    with joined(front) as raw:
        raw.send(TEXT, b"x" * COMMAND_FRAME_BYTES_MAX)
        assert len(raw.take()[1]) == COMMAND_FRAME_BYTES_MAX


@pytest.mark.parametrize("opcode", [TEXT, PING])
def test_a_flood_of_commands_is_closed(front: Front, opcode: int) -> None:
    with joined(front) as raw:
        raw.socket.sendall(framed(opcode, b"{}") * (10 * COMMANDS_BURST))
        assert raw.closed() == (1008, "too many commands")
        front.wait(lambda: not front.clients)
    works(front)


def test_of_a_flood_in_one_piece_little_is_read_even_of_a_stranger(front: Front) -> None:
    with Raw(front) as raw:
        assert raw.ask(token="", Origin=PAGE) == 101
        raw.socket.sendall(framed(PING, b"") * 40_000)
        pongs, (opcode, data) = 0, raw.take()
        while opcode == PONG:
            pongs, (opcode, data) = pongs + 1, raw.take()
        assert (opcode, data[2:]) == (CLOSE, b"too many commands")
        assert COMMANDS_BURST <= pongs <= COMMANDS_BURST + CLIENT_READ_BYTES // 6 + 1
        assert raw.rest() == b""
    works(front)


def test_behind_our_own_close_pings_are_answered_no_longer_than_before_it(front: Front) -> None:
    with joined(front) as raw:
        raw.send(BINARY, b"{}")
        assert raw.take()[0] == CLOSE
        raw.socket.sendall(framed(PING, b"x" * 125) * 2_000)
        assert len(raw.rest()) <= (COMMANDS_BURST + CLIENT_READ_BYTES // 131 + 2) * 127
    works(front)


def test_a_close_behind_pings_ends_what_we_closed(front: Front) -> None:
    with joined(front) as raw:
        raw.send(BINARY, b"{}")
        assert raw.take()[0] == CLOSE
        raw.socket.sendall(framed(PING, b"") * 50 + framed(CLOSE, b"\x03\xe8"))
        for _ in range(50):
            assert raw.take() == (PONG, b"")
        assert raw.take() == (0, b"")


# Who takes nothing, or says nothing


def fed(front: Front, total: int, piece: int = 10_000) -> None:
    for _ in range(total // (10 * piece)):
        front.say(b"x" * piece, 10)


def test_whoever_takes_too_little_is_closed_with_its_reason_and_nobody_else_feels_it(
    front: Front,
) -> None:
    slow = joined(front, receive_bytes=4_096)
    with joined(front) as quick:
        total = 0
        while len(front.clients) == 2:
            front.say(b"x" * 10_000, 10)
            for _ in range(10):
                assert len(quick.take()[1]) == 10_000
            total += 100_000
            assert total < 20 * UNSENT_A_CLIENT_BYTES_MAX
        assert slow.closed() == (1013, "too slow: it did not take what it was told")
        front.say(b'"on"')
        assert quick.take() == (TEXT, b'"on"')
    slow.socket.close()


def test_one_byte_a_second_is_too_little_and_it_is_cut_off(front: Front) -> None:
    with planted(client, "CLIENT_CLOSE_MAX", 500 * MILLISECOND):
        slow = joined(front, receive_bytes=4_096)
        while front.clients:
            front.say(b"x" * 10_000, 10)
        front.wait(lambda: any(isinstance(cause, Left) for cause in front.causes))
        deadline = time.monotonic() + 20
        while front.connections():
            assert time.monotonic() < deadline
            slow.socket.recv(1)
        slow.socket.close()
    works(front)


def test_whoever_takes_nothing_for_too_long_is_closed_whatever_it_says(front: Front) -> None:
    """Its pings would be answered for ever, and the answers wait for it."""
    with (
        planted(client, "CLIENT_SILENCE_MAX", 1_000 * MILLISECOND),
        planted(sockets, "CLIENT_LOOK", 50 * MILLISECOND),
        joined(front, receive_bytes=4_096) as deaf,
    ):
        front.say(b"x" * (UNSENT_A_CLIENT_BYTES_MAX // 2))
        begun = time.monotonic()
        while front.clients:
            deaf.send(PING, b"x")
            assert time.monotonic() - begun < 10
            threading.Event().wait(0.1)
        assert deaf.closed() == (1013, "too slow: it took nothing for 1 s")
    works(front)


LISTENER = """
import os, socket, sys
s = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
s.sendall(b"GET /v1/ws HTTP/1.1\\r\\nHost: x\\r\\nUpgrade: websocket\\r\\nConnection: Upgrade\\r\\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\\r\\nSec-WebSocket-Version: 13\\r\\n"
    b"Authorization: Bearer one\\r\\n\\r\\n")
while s.recv(65536):
    pass
"""


def test_a_stopped_program_is_closed_and_cut_off(front: Front) -> None:
    with planted(client, "CLIENT_CLOSE_MAX", 300 * MILLISECOND):
        command = [sys.executable, "-c", LISTENER, str(front.port)]
        with subprocess.Popen(command) as program, joined(front) as quick:
            front.wait(lambda: len(front.clients) == 2)
            os.kill(program.pid, signal.SIGSTOP)
            while len(front.clients) == 2:
                front.say(b"x" * 10_000, 10)
                for _ in range(10):
                    assert len(quick.take()[1]) == 10_000
            while front.connections() > 1:
                front.say(b'"on"')
                assert quick.take() == (TEXT, b'"on"')
            os.kill(program.pid, signal.SIGKILL)


def test_whoever_is_silent_is_asked_and_then_closed(front: Front) -> None:
    with (
        planted(client, "CLIENT_PING", 200 * MILLISECOND),
        planted(client, "CLIENT_SILENCE_MAX", 1_000 * MILLISECOND),
        planted(sockets, "CLIENT_LOOK", 50 * MILLISECOND),
        joined(front) as silent,
        joined(front) as alive,
    ):
        pings = 0
        while len(front.clients) == 2:
            opcode, data = alive.take()
            assert opcode == PING
            alive.send(PONG, data)
            pings += 1
        assert pings >= 3
        assert silent.closed() == (1011, "nothing came for 1 s")
        alive.send(TEXT, b'"here"')
        assert alive.take() == (TEXT, b'"here"')


def test_the_tokens_that_count_no_more_close_their_connections(front: Front) -> None:
    with joined(front) as first, Raw(front) as second:
        assert second.ask(token="Bearer two") == 101
        front.wait(lambda: len(front.clients) == 2)
        front.door.withdrawn.add("first")
        front.call(front.sockets.look_again)
        assert first.closed() == (1008, "the token was withdrawn, or has expired")
        second.send(TEXT, b'"here"')
        assert second.take() == (TEXT, b'"here"')


def test_whoever_is_paced_is_said_to_have_taken_it_once_it_has(front: Front) -> None:
    def drained() -> bool:
        return any(isinstance(cause, Drained) for cause in front.causes)

    with joined(front, receive_bytes=4_096) as raw:
        [id] = front.clients
        front.say(b"x" * 900_000)
        front.pace(id)
        assert not drained()
        raw.take()
        front.wait(drained)
        front.causes.clear()
        front.pace(id)
        front.wait(drained)


def test_the_end_of_the_front_is_said(front: Front) -> None:
    with joined(front) as raw:
        front.stop()
        assert raw.closed()[0] == 1012


def test_what_is_said_to_one_client_stays_in_order(front: Front) -> None:
    with joined(front) as raw:
        [id] = front.clients
        for k in range(500):
            if k % 10:
                front.say(b"%d" % k)
            else:
                count = len(front.causes)
                raw.send(TEXT, b"%d" % k)
                front.wait(lambda count=count: len(front.causes) > count)  # type: ignore[misc]
        numbers = [int(raw.take()[1]) for _ in range(500)]
        assert all(a < b for a, b in pairwise(numbers))
