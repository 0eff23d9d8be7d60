"""What a stranger may say over a WebSocket: every message, before anybody knows who says it, and in
forms that are none. Nobody is told anything but why it is closed."""

import json
from collections.abc import Iterator
from typing import Any, Final

import pytest
import requests

from actors.api.commands import SCOPES as COMMANDS
from protocol.limits import COMMAND_FRAME_BYTES_MAX
from tests.actors.api.strangers import ALL, SOCKET, Asked, Line, read, request
from tests.front import Front

COMING: Final = Asked("GET", SOCKET, "read")
MESSAGES: Final = {
    "subscribe": '{"subscribe":["system ","ledger"]}',
    "unsubscribe": '{"unsubscribe":["system "]}',
}
MASK: Final = b"\x01\x02\x03\x04"
TEXT, BINARY, CLOSE = 0x1, 0x2, 0x8
NOT_TEXT, NOT_ALLOWED, TOO_LARGE, NO_PROTOCOL = 1003, 1008, 1009, 1002


@pytest.fixture(scope="module")
def front() -> Iterator[Front]:
    with Front([], {ALL: ("read", "trade", "kill", "admin")}) as front:
        yield front


def frame(text: bytes, opcode: int = TEXT, first: int = 0x80, masked: bool = True) -> bytes:
    """One frame of a client."""
    size, bit = len(text), 0x80 if masked else 0
    length = bytes([bit | size]) if size < 126 else bytes([bit | 127]) + size.to_bytes(8, "big")
    if not masked:
        return bytes([first | opcode]) + length + text
    hidden = bytes(b ^ MASK[n % 4] for n, b in enumerate(text))
    return bytes([first | opcode]) + length + MASK + hidden


class Wire:
    """A WebSocket by hand."""

    def __init__(self, front: Front, token: str, path: str = SOCKET, **headers: str | None) -> None:
        self.line = Line(front)
        self.line.send(request(front, COMING._replace(path=path), token, **headers))
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            some = self.line.socket.recv(1)
            assert some, head
            head += some
        self.status = int(head.split(b" ")[1])

    def say(self, raw: bytes) -> None:
        self.line.send(raw)

    def heard(self) -> tuple[int, bytes]:
        """The next frame: its opcode and what it carries."""
        first, length = self._take(2)
        if length == 126:
            length = int.from_bytes(self._take(2), "big")
        return first & 0x0F, self._take(length)

    def told(self) -> Any:
        opcode, data = self.heard()
        assert opcode == TEXT, (opcode, data)
        return json.loads(data)

    def closed(self) -> int:
        """The code with which it is closed; anything else that is told before fails."""
        opcode, data = self.heard()
        assert opcode == CLOSE, (opcode, data)
        return int.from_bytes(data[:2], "big")

    def _take(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            some = self.line.socket.recv(count - len(data))
            assert some, f"cut off after {data!r}"
            data += some
        return data

    def __enter__(self) -> "Wire":
        return self

    def __exit__(self, *_: object) -> None:
        self.line.socket.close()


def ticket(front: Front) -> str:
    said = {"Authorization": f"Bearer {front.secrets[ALL]}"}
    answer = requests.post(f"{front.url}/v1/ws/ticket", json={}, headers=said, timeout=5)
    return str(answer.json()["ticket"])


def page(front: Front, path: str = SOCKET) -> Wire:
    """A page of our own: it can't say a header, and has yet to say who it is."""
    return Wire(front, "", path, Origin=f"http://127.0.0.1:{front.port}")


def test_every_message_is_in_here() -> None:
    assert set(MESSAGES) == set(COMMANDS)


@pytest.mark.parametrize("text", MESSAGES.values(), ids=MESSAGES)
def test_said_before_anybody_knows_by_whom(front: Front, text: str) -> None:
    with page(front) as wire:
        assert wire.status == 101
        wire.say(frame(text.encode()))
        assert wire.closed() == NOT_ALLOWED


@pytest.mark.parametrize("text", MESSAGES.values(), ids=MESSAGES)
def test_said_behind_a_ticket_that_is_none(front: Front, text: str) -> None:
    for wrong in ('{"ticket":"none"}', '{"ticket":7}', '{"ticket":""}', "{}", "[]", "no"):
        with page(front) as wire:
            wire.say(frame(wrong.encode()) + frame(text.encode()))
            assert wire.closed() == NOT_ALLOWED, wrong


def test_a_ticket_counts_once_and_nowhere_but_in_the_first_message(front: Front) -> None:
    given = ticket(front)
    with page(front, f"{SOCKET}?ticket={given}") as wire:
        if wire.status == 101:  # in the address it says nothing
            wire.say(frame(MESSAGES["subscribe"].encode()))
            assert wire.closed() == NOT_ALLOWED
    with page(front) as wire:
        wire.say(frame(json.dumps({"ticket": given}).encode()))
        assert wire.told() == {"kind": "welcome"}
    with page(front) as wire:
        wire.say(frame(json.dumps({"ticket": given}).encode()))
        assert wire.closed() == NOT_ALLOWED


@pytest.mark.parametrize("text", MESSAGES.values(), ids=MESSAGES)
def test_in_a_form_that_is_none(front: Front, text: str) -> None:
    """Each closes the connection with its own code, and nobody else notices."""
    raw = text.encode()
    with Wire(front, ALL) as other:
        for said, code in (
            (frame(raw, BINARY), NOT_TEXT),
            (frame(raw, masked=False), NO_PROTOCOL),
            (frame(raw, first=0xC0), NO_PROTOCOL),  # as if it were compressed
            (frame(raw, opcode=0x3), NO_PROTOCOL),  # of no kind
            (frame(raw + b" " * COMMAND_FRAME_BYTES_MAX), TOO_LARGE),
        ):
            with Wire(front, ALL) as wire:
                wire.say(said)
                assert wire.closed() == code, said[:20]
        other.say(frame(b'{"id":1,"subscribe":["mark"]}'))
        assert other.told()["kind"] == "subscribed"


@pytest.mark.parametrize("text", MESSAGES.values(), ids=MESSAGES)
def test_with_something_in_it_that_there_is_not(front: Front, text: str) -> None:
    """One error that names it; nothing of the message is done, and the next one is heard."""
    with Wire(front, ALL) as wire:
        for field in ("subscrbe", "token", "scope", "order"):
            wire.say(frame(json.dumps(json.loads(text) | {"id": 7, field: "x"}).encode()))
            told = wire.told()
            assert (told["kind"], told["code"], told["field"]) == (
                "error", "invalid_command", field,
            )  # fmt: skip
        wire.say(frame(b'{"id":8,"unsubscribe":["system "]}'))
        assert wire.told()["code"] == "not_subscribed"


def test_a_token_that_may_not_read_does_not_come_in() -> None:
    with Front([], {"blind": ("trade", "kill", "admin")}) as front, Line(front) as line:
        line.send(request(front, COMING, "blind"))
        assert read(*line.answer()).status == 403
