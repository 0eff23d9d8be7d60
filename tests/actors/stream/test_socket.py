"""A socket against an exchange that is played byte by byte: frames, pings, and too much of them."""

import threading

from actors.stream.shell import Sockets
from actors.stream.wire import (
    CloseSocket,
    FramesReceived,
    Overrun,
    PingReceived,
    PongReceived,
    SendFrame,
    SendPing,
    SocketClosed,
)
from protocol.limits import (
    FRAMES_A_TURN,
    FRAMES_WAITING_MAX,
)
from protocol.machine import Cause
from tests.actors.stream.exchange import (
    CLOSE,
    CONT,
    PATIENCE,
    PING,
    PONG,
    TEXT,
    Causes,
    Peer,
    close,
    frame,
    opened,
    play,
    texts,
    until_end,
)

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
