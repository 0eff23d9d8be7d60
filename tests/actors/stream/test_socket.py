"""One socket against an exchange that is played byte by byte: how it opens, receives and ends."""

import asyncio
import resource
import threading

import pytest

from actors.stream import socket as transport
from actors.stream.shell import Sockets
from actors.stream.wire import (
    CloseSocket,
    FramesReceived,
    OpenFailed,
    OpenSocket,
    Overrun,
    PingReceived,
    PongReceived,
    SendFrame,
    SendPing,
    SocketClosed,
    SocketOpened,
)
from protocol.limits import (
    FRAME_BYTES_MAX,
    FRAMES_A_TURN,
    FRAMES_WAITING_MAX,
    SECOND,
)
from protocol.machine import Cause
from protocol.runtime.loop import wall
from tests.actors.stream.exchange import (
    BINARY,
    CLOSE,
    CONT,
    DATE,
    DATE_AT,
    PATIENCE,
    PING,
    PONG,
    SIGNER,
    TEXT,
    Exchange,
    Peer,
    close,
    frame,
    play,
    run,
)

Causes = asyncio.Queue[Cause]


async def opened(sockets: Sockets, causes: Causes, link: str = "public") -> SocketOpened:
    sockets.perform(OpenSocket(link))
    first = await causes.get()
    assert isinstance(first, SocketOpened) and first.link == link, first
    return first


async def until_end(causes: Causes) -> list[Cause]:
    """All causes to the one that says that a socket is no more."""
    found = [await causes.get()]
    while not isinstance(found[-1], SocketClosed | OpenFailed):
        found.append(await causes.get())
    return found


def texts(causes: list[Cause]) -> list[bytes]:
    return [raw for cause in causes if isinstance(cause, FramesReceived) for raw in cause.raws]


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


# Frames


def test_frames_of_one_read_are_one_cause_that_begins_with_the_answer() -> None:
    wanted = [b"first", b"second " * 30, b"third" * 20_000, b""]

    def exchange(peer: Peer) -> None:
        peer.agree(b"".join(map(frame, wanted[:2])))
        peer.hear()
        peer.send(b"".join(map(frame, wanted[2:])))
        peer.until_closed()

    async def story(sockets: Sockets, causes: Causes) -> None:
        await opened(sockets, causes)
        first = await causes.get()
        assert isinstance(first, FramesReceived)
        assert (first.link, first.raws, first.waited) == ("public", wanted[:2], 0)
        sockets.perform(SendFrame("public", b"go on"))
        rest: list[bytes] = []
        while len(rest) < 2:
            rest += texts([await causes.get()])
        assert rest == wanted[2:]

    play(story, exchange)


def test_bytes_one_at_a_time() -> None:
    """Of all kinds of heads; `test_framing` cuts at every byte for certain."""
    stream = b"".join(
        [frame(b"one"), frame(b"\xc3\xbc" * 100), frame(b"", PING), frame(b"tw", TEXT, fin=False)]
        + [frame(b"17", PONG), frame(b"o", CONT), close(1000)]
    )

    def exchange(peer: Peer) -> None:
        peer.hear_request()
        for byte in peer.agreement() + stream:
            peer.send(bytes([byte]))
        assert peer.hear() == (PONG, b"")
        assert peer.hear()[0] == CLOSE

    async def story(sockets: Sockets, causes: Causes) -> None:
        await opened(sockets, causes)
        found = await until_end(causes)
        assert texts(found) == [b"one", b"\xc3\xbc" * 100, b"two"]
        assert [c.number for c in found if isinstance(c, PongReceived)] == [17]
        assert sum(isinstance(c, PingReceived) for c in found) == 1

    play(story, exchange)


def ended(*parts: bytes, heard: int) -> tuple[list[Cause], int]:
    """What the core hears of a connection on which this is sent, to its end; the close code that
    the exchange gets must be `heard`."""
    found: list[Cause] = []
    codes: list[int] = []

    def exchange(peer: Peer) -> None:
        peer.agree()
        for part in parts:
            peer.send(part)
        opcode, payload = peer.hear()
        while opcode != CLOSE:
            opcode, payload = peer.hear()
        codes.append(int.from_bytes(payload[:2], "big"))

    async def story(sockets: Sockets, causes: Causes) -> None:
        await opened(sockets, causes)
        found.extend(await until_end(causes))
        await sockets.end()
        assert causes.empty()

    play(story, exchange)
    assert codes == [heard]
    return found, codes[0]


def test_invalid_utf_8_ends_it_and_what_came_before_counts() -> None:
    raws = [b"good", "schön".encode(), b'{"a":"\xff\xfe"}', b"never"]
    found, _ = ended(b"".join(map(frame, raws)), heard=1007)
    assert texts(found) == raws[:2]
    assert isinstance(found[-1], SocketClosed)
    assert found[-1].reason == "closed 1007 invalid start byte at 6"


def test_invalid_utf_8_over_two_fragments() -> None:
    found, _ = ended(frame(b"\xc3", TEXT, fin=False) + frame(b"a", CONT), heard=1007)
    assert texts(found) == []


def test_a_letter_that_is_split_over_two_fragments_is_valid() -> None:
    stream = frame(b"\xc3", TEXT, fin=False) + frame(b"", CONT, fin=False) * 5
    found, _ = ended(stream + frame(b"\xbc", CONT) + close(1000, "bye"), heard=1000)
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
    found, _ = ended(frame(b"before") + wrong + frame(b"after"), heard=code)
    assert texts(found) == [b"before"]
    assert isinstance(found[-1], SocketClosed)
    assert found[-1].reason.startswith(f"closed {code}")


def test_fifty_megabytes_are_refused_at_their_head() -> None:
    size = 50 * 1024 * 1024
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found, _ = ended(frame(b"before"), b"\x81\x7f" + size.to_bytes(8, "big"), heard=1009)
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
    found, _ = ended(stream, frame(b"x" * 10, CONT), heard=1009)
    assert texts(found) == []


def test_the_biggest_frame_that_is_taken() -> None:
    most = b"m" * FRAME_BYTES_MAX
    found, _ = ended(frame(most), frame(b"after") + close(1000), heard=1000)
    assert texts(found) == [most, b"after"]


# Pings


def test_our_ping_comes_back_with_its_number() -> None:
    def exchange(peer: Peer) -> None:
        peer.agree()
        assert peer.hear() == (PING, b"42")
        peer.send(frame(b"", PONG) + frame(b"heartbeat", PONG) + frame(b"42", PONG))
        peer.until_closed()

    async def story(sockets: Sockets, causes: Causes) -> None:
        await opened(sockets, causes)
        sockets.perform(SendPing("public", 42))
        pong = await causes.get()
        assert isinstance(pong, PongReceived) and (pong.link, pong.number) == ("public", 42)

    play(story, exchange)


def test_a_ping_is_answered_before_the_core_has_worked() -> None:
    """The core does not return from its frames until the exchange has its pong."""
    ponged = threading.Event()

    def exchange(peer: Peer) -> None:
        peer.agree()
        peer.hear()
        peer.send(frame(b"work") + frame(b"heartbeat", PING) + frame(b"more"))
        assert peer.hear() == (PONG, b"heartbeat")
        ponged.set()
        peer.until_closed()

    async def story(sockets: Sockets, causes: Causes) -> None:
        in_time: list[bool] = []

        def core(cause: Cause) -> None:
            if isinstance(cause, FramesReceived):
                in_time.append(ponged.wait(PATIENCE))
            causes.put_nowait(cause)

        sockets.feed = core
        await opened(sockets, causes)
        sockets.perform(SendFrame("public", b"go on"))
        first, second = await causes.get(), await causes.get()
        assert isinstance(first, FramesReceived) and first.raws == [b"work", b"more"]
        assert isinstance(second, PingReceived) and second.at == first.at
        assert in_time == [True]

    play(story, exchange)


def test_work_that_takes_long_delays_no_pong_and_is_done_in_order() -> None:
    """The core does not return from its last frames until the exchange has its pong."""
    numbers = [b"%d" % n for n in range(20 * FRAMES_A_TURN)]
    all_sent, ponged = threading.Event(), threading.Event()

    def exchange(peer: Peer) -> None:
        peer.agree()
        peer.hear()
        peer.send(b"".join(map(frame, numbers)))
        peer.send(frame(b"heartbeat", PING))
        all_sent.set()
        assert peer.hear() == (PONG, b"heartbeat")
        ponged.set()
        peer.until_closed()

    async def story(sockets: Sockets, causes: Causes) -> None:
        in_time: list[bool] = []

        def core(cause: Cause) -> None:
            if isinstance(cause, FramesReceived):
                assert all_sent.wait(PATIENCE)
                if cause.raws[-1] == numbers[-1]:
                    in_time.append(ponged.wait(PATIENCE))
            causes.put_nowait(cause)

        sockets.feed = core
        await opened(sockets, causes)
        sockets.perform(SendFrame("public", b"go on"))
        found = [await causes.get()]
        while not isinstance(found[-1], PingReceived):
            found.append(await causes.get())
        assert in_time == [True]
        assert texts(found) == numbers, "and what the exchange said last is told last"
        turns = [cause for cause in found if isinstance(cause, FramesReceived)]
        assert max(len(turn.raws) for turn in turns) <= FRAMES_A_TURN
        assert turns[-1].waited > 0

    play(story, exchange)


# Too much


def test_more_than_there_is_room_for_is_dropped_and_told() -> None:
    """Of the other link nothing is dropped."""

    def flood(peer: Peer) -> None:
        peer.agree()
        peer.hear()
        try:
            for _ in range(100):
                peer.send(frame(b"x") * FRAMES_WAITING_MAX)
        except ConnectionError:
            return  # it is closed meanwhile

    def calm(peer: Peer) -> None:
        peer.agree()
        peer.hear()
        peer.send(frame(b"calm"))
        peer.until_closed()

    async def story(sockets: Sockets, causes: Causes) -> None:
        worked: list[int] = []

        def core(cause: Cause) -> None:
            if isinstance(cause, FramesReceived) and cause.link == "public":
                worked.append(len(cause.raws))
                return
            causes.put_nowait(cause)
            if isinstance(cause, Overrun):
                sockets.perform(SendFrame("private", b"go on"))
                sockets.perform(CloseSocket("public"))

        sockets.feed = core
        await opened(sockets, causes, "public")
        await opened(sockets, causes, "private")
        sockets.perform(SendFrame("public", b"go on"))
        overrun = await causes.get()
        assert isinstance(overrun, Overrun) and overrun.link == "public"
        assert overrun.frames > FRAMES_WAITING_MAX
        told = {type(await causes.get()), type(await causes.get())}
        assert told == {FramesReceived, SocketClosed}
        assert sum(worked) > 0

    play(story, flood, calm)


def test_an_exchange_that_does_not_read_is_given_up() -> None:
    over = threading.Event()

    def exchange(peer: Peer) -> None:
        peer.agree()
        assert over.wait(PATIENCE)

    async def story(sockets: Sockets, causes: Causes) -> None:
        await opened(sockets, causes)
        for _ in range(100):
            sockets.perform(SendFrame("public", b"x" * 1_000_000))
        closed = await causes.get()
        over.set()
        assert isinstance(closed, SocketClosed)
        assert closed.reason == "closed: more than 4194304 bytes that could not be sent"
        await sockets.end()
        assert causes.empty()

    play(story, exchange)


# Ends


def test_the_exchange_ends_it_with_code_and_reason() -> None:
    found, _ = ended(frame(b"last") + close(1001, "maintenance") + frame(b"no"), heard=1001)
    assert texts(found) == [b"last"]
    assert isinstance(found[-1], SocketClosed)
    assert found[-1].reason == "closed 1001 maintenance"


def test_what_waits_is_told_before_the_end() -> None:
    count = 5 * FRAMES_A_TURN
    found, _ = ended(frame(b"x") * count + close(1001), heard=1001)
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
