"""A socket against an exchange that is played byte by byte: what ends it, and how that is told."""

import asyncio
import resource

import pytest

from actors.stream import socket as transport
from actors.stream.shell import Sockets
from actors.stream.wire import (
    CloseSocket,
    FramesReceived,
    OpenSocket,
    SendFrame,
    SocketClosed,
    SocketOpened,
)
from protocol.limits import (
    FRAME_BYTES_MAX,
    FRAMES_A_TURN,
)
from protocol.machine import Cause
from tests.actors.stream.exchange import (
    BINARY,
    CLOSE,
    CONT,
    PING,
    TEXT,
    Causes,
    Peer,
    close,
    ended,
    frame,
    opened,
    play,
    texts,
    until_end,
)


def test_invalid_utf_8_ends_it_and_what_came_before_counts() -> None:
    raws = [b"good", "schön".encode(), b'{"a":"\xff\xfe"}', b"never"]
    found = ended(b"".join(map(frame, raws)), heard=1007)
    assert texts(found) == raws[:2]
    assert isinstance(found[-1], SocketClosed)
    assert found[-1].reason == "closed 1007 invalid start byte at 6"


def test_invalid_utf_8_over_two_fragments() -> None:
    found = ended(frame(b"\xc3", TEXT, fin=False) + frame(b"a", CONT), heard=1007)
    assert texts(found) == []


def test_a_letter_that_is_split_over_two_fragments_is_valid() -> None:
    stream = frame(b"\xc3", TEXT, fin=False) + frame(b"", CONT, fin=False) * 5
    found = ended(stream + frame(b"\xbc", CONT) + close(1000, "bye"), heard=1000)
    assert texts(found) == ["ü".encode()]
    assert isinstance(found[-1], SocketClosed) and found[-1].reason == "closed 1000 bye"


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        (frame(b"data", BINARY), 1003),
        (frame(b"x", CONT), 1002),
        (frame(b"a", TEXT, fin=False) + frame(b"b"), 1002),
        (b"\x83\x01x", 1002),  # no such opcode
        (b"\xc1\x01x", 1002),  # a reserved bit
        (b"\x81\x81abcdx", 1002),  # masked
        (b"\x81\xfe\x00\x81" + b"m" * 200, 1002),  # masked, longer
        (frame(b"p" * 126, PING), 1002),
        (b"\x09\x01x", 1002),  # a ping in fragments
    ],
)
def test_what_breaks_the_rules_ends_it(wrong: bytes, code: int) -> None:
    found = ended(frame(b"before") + wrong + frame(b"after"), heard=code)
    assert texts(found) == [b"before"]
    assert isinstance(found[-1], SocketClosed)
    assert found[-1].reason.startswith(f"closed {code}")


def test_fifty_megabytes_are_refused_at_their_head() -> None:
    size = 50 * 1024 * 1024
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found = ended(frame(b"before"), b"\x81\x7f" + size.to_bytes(8, "big"), heard=1009)
    assert texts(found) == [b"before"]
    assert isinstance(found[-1], SocketClosed)
    assert found[-1].reason.startswith("closed 1009 ") and str(size) in found[-1].reason
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < FRAME_BYTES_MAX // 1024, "KiB"


def test_fifty_megabytes_that_keep_coming_are_thrown_away() -> None:
    size = 50 * 1024 * 1024
    piece = b"x" * 65_536

    def exchange(peer: Peer) -> None:
        peer.agree(b"\x81\x7f" + size.to_bytes(8, "big"))
        try:
            for _ in range(size // len(piece)):
                peer.send(piece)
        except ConnectionError:
            return  # it need not take all of it

    async def story(sockets: Sockets, causes: Causes) -> None:
        await opened(sockets, causes)
        closed = await causes.get()
        assert isinstance(closed, SocketClosed) and closed.reason.startswith("closed 1009 ")

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    play(story, exchange)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < FRAME_BYTES_MAX // 1024, "KiB"


def test_fragments_are_bounded_together() -> None:
    third = b"x" * (FRAME_BYTES_MAX // 3)
    stream = frame(third, TEXT, fin=False) + frame(third, CONT, fin=False) * 2
    found = ended(stream, frame(b"x" * 10, CONT), heard=1009)
    assert texts(found) == []


def test_the_biggest_frame_that_is_taken() -> None:
    most = b"m" * FRAME_BYTES_MAX
    found = ended(frame(most), frame(b"after") + close(1000), heard=1000)
    assert texts(found) == [most, b"after"]


# Ends


def test_the_exchange_ends_it_with_code_and_reason() -> None:
    found = ended(frame(b"last") + close(1001, "maintenance") + frame(b"no"), heard=1001)
    assert texts(found) == [b"last"]
    assert isinstance(found[-1], SocketClosed)
    assert found[-1].reason == "closed 1001 maintenance"


def test_what_waits_is_told_before_the_end() -> None:
    count = 5 * FRAMES_A_TURN
    found = ended(frame(b"x") * count + close(1001), heard=1001)
    assert len(texts(found)) == count
    assert isinstance(found[-1], SocketClosed)


def test_a_reset_in_the_middle_of_a_frame() -> None:
    def exchange(peer: Peer) -> None:
        peer.agree()
        peer.send(frame(b"whole") + frame(b"half" * 100)[:200])
        peer.hear()
        peer.reset()

    async def story(sockets: Sockets, causes: Causes) -> None:
        await opened(sockets, causes)
        assert texts([await causes.get()]) == [b"whole"]
        sockets.perform(SendFrame("public", b"go on"))
        closed = await causes.get()
        assert isinstance(closed, SocketClosed) and closed.reason.startswith("closed 1006")
        sockets.perform(SendFrame("public", b"too late"))
        sockets.perform(CloseSocket("public"))
        await sockets.end()
        assert causes.empty()

    play(story, exchange)


def test_an_end_without_a_word() -> None:
    async def story(sockets: Sockets, causes: Causes) -> None:
        await opened(sockets, causes)
        closed = await causes.get()
        assert isinstance(closed, SocketClosed) and closed.reason.startswith("closed 1006")

    play(story, Peer.agree)


@pytest.mark.parametrize("after", [close(1001, "bye"), frame(b"\xff"), frame(b"x", BINARY)])
def test_closed_by_the_core_while_the_same_read_closes_it(after: bytes) -> None:
    def exchange(peer: Peer) -> None:
        peer.agree()
        peer.hear()
        peer.send(frame(b"bad") + after)
        assert peer.hear()[0] == CLOSE

    async def story(sockets: Sockets, causes: Causes) -> None:
        def core(cause: Cause) -> None:
            causes.put_nowait(cause)
            if isinstance(cause, FramesReceived):
                sockets.perform(CloseSocket("public"))
                sockets.perform(SendFrame("public", b"too late"))

        sockets.feed = core
        await opened(sockets, causes)
        sockets.perform(SendFrame("public", b"go on"))
        assert [type(cause) for cause in await until_end(causes)] == [FramesReceived, SocketClosed]
        await sockets.end()
        assert causes.empty()

    play(story, exchange)


def test_closing_is_polite_and_told_once() -> None:
    def exchange(peer: Peer) -> None:
        peer.agree()
        opcode, payload = peer.hear()
        assert opcode == CLOSE
        peer.send(frame(b"too late") + frame(b"", PING) + frame(payload, CLOSE))

    async def story(sockets: Sockets, causes: Causes) -> None:
        await opened(sockets, causes)
        sockets.perform(CloseSocket("public"))
        sockets.perform(CloseSocket("public"))
        sockets.perform(SendFrame("public", b"too late"))
        closed = await causes.get()
        assert isinstance(closed, SocketClosed) and closed.reason == "closed 1000"
        await sockets.end()
        assert causes.empty()

    play(story, exchange)


def test_an_exchange_that_does_not_close_is_aborted() -> None:
    def exchange(peer: Peer) -> None:
        peer.agree()
        peer.until_gone()

    async def story(sockets: Sockets, causes: Causes) -> None:
        await opened(sockets, causes)
        sockets.perform(CloseSocket("public"))
        closed = await asyncio.wait_for(causes.get(), 5 * transport.CLOSE_SECONDS_MAX)
        assert isinstance(closed, SocketClosed) and closed.reason == "closed 1000"

    play(story, exchange)


def test_a_newer_life_hears_nothing_of_an_older_one() -> None:
    """The older one has frames and an end to tell, and a newer one takes its place meanwhile."""

    def older(peer: Peer) -> None:
        peer.agree()
        peer.hear()
        peer.send(frame(b"old") * 3 * FRAMES_A_TURN + close(1001))
        peer.until_closed()

    def newer(peer: Peer) -> None:
        peer.agree(frame(b"new"))
        peer.until_closed()

    async def story(sockets: Sockets, causes: Causes) -> None:
        def core(cause: Cause) -> None:
            causes.put_nowait(cause)
            if isinstance(cause, FramesReceived) and cause.raws[0] == b"old":
                sockets.perform(OpenSocket("public"))

        sockets.feed = core
        await opened(sockets, causes)
        sockets.perform(SendFrame("public", b"go on"))
        found = [await causes.get(), await causes.get(), await causes.get()]
        assert [type(c) for c in found] == [FramesReceived, SocketOpened, FramesReceived]
        assert texts(found[2:]) == [b"new"]

    play(story, older, newer)
