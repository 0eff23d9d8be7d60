"""Cutting frames out of reads, and what waits for the core: the same, wherever a read ends."""

from hypothesis import given
from hypothesis import strategies as st
from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode
from websockets.protocol import OPEN
from websockets.uri import parse_uri

from actors.stream.backlog import Backlog
from actors.stream.framing import Cutter
from actors.stream.wire import FramesReceived, PingReceived
from protocol.limits import FRAMES_WAITING_BYTES_MAX, FRAMES_WAITING_MAX
from protocol.machine import Cause
from tests.actors.stream.exchange import CLOSE, CONT, PING, TEXT, frame

ROOM = 70_000
PAYLOADS = st.sampled_from([0, 1, 5, 125, 126, 127, 300, 65_535, 65_536]).map(lambda n: b"p" * n)
FRAMES = st.lists(
    st.one_of(
        PAYLOADS.map(lambda p: (p, frame(p))),
        PAYLOADS.map(lambda p: (None, frame(p, TEXT, fin=False))),
        PAYLOADS.map(lambda p: (None, frame(p, CONT))),
        st.sampled_from([PING, CLOSE]).map(lambda opcode: (None, frame(b"heartbeat", opcode))),
    ),
    max_size=12,
)


def cut(reads: list[bytes]) -> list[bytes]:
    """All pieces in order: the payload of a plain text, the whole of another frame."""
    cutter, found = Cutter(ROOM), list[bytes]()
    for read in reads:
        cutter.take(read)
        while True:
            cutter.texts(found)
            other = cutter.other(ROOM)
            if not other:
                break
            found.append(other)
    return found


@given(FRAMES, st.data())
def test_wherever_reads_end_the_pieces_are_the_same(
    frames: list[tuple[bytes | None, bytes]], data: st.DataObject
) -> None:
    stream = b"".join(whole for _, whole in frames)
    places = data.draw(st.lists(st.integers(0, len(stream)), max_size=12).map(sorted))
    ends = [0, *places, len(stream)]
    reads = [stream[a:b] for a, b in zip(ends, ends[1:], strict=False)]
    assert cut(reads) == [whole if text is None else text for text, whole in frames]


def test_every_byte_a_read_of_its_own() -> None:
    pieces = [frame(b"a"), frame(b"b" * 126), frame(b"", PING), frame(b"c" * 65_536), frame(b"")]
    stream = b"".join(pieces)
    wanted = [b"a", b"b" * 126, frame(b"", PING), b"c" * 65_536, b""]
    assert cut([stream[i : i + 1] for i in range(len(stream))]) == wanted
    for place in [*range(140), *range(len(stream) - 20, len(stream))]:
        assert cut([stream[:place], stream[place:]]) == wanted, place


def test_too_big_or_masked_and_all_the_rest_is_the_librarys_at_once() -> None:
    big = b"\x81\x7f" + (ROOM + 1).to_bytes(8, "big")
    for wrong in (big, b"\x81\x85", b"\x89\x80", b"\x81\xff"):
        found = cut([frame(b"before"), wrong, b"some", frame(b"after")])
        assert found == [b"before", wrong, b"some", frame(b"after")]


def told(backlog: Backlog, most: int, now: int) -> list[Cause]:
    found = []
    while (cause := backlog.next(most, now)) is not None:
        found.append(cause)
    return found


def test_what_waits_comes_in_order_and_says_how_long_it_waited() -> None:
    backlog = Backlog("public")
    ping = PingReceived(7, "public")
    backlog.add(5, 1_000, [b"a", b"b", b"c"])
    backlog.say(ping)
    backlog.add(9, 1_500, [b"d"])
    assert (backlog.frames, backlog.bytes) == (4, 4)
    assert told(backlog, 2, 2_000) == [
        FramesReceived(5, "public", [b"a", b"b"], 1_000),
        FramesReceived(5, "public", [b"c"], 1_000),
        ping,
        FramesReceived(9, "public", [b"d"], 500),
    ]
    assert (backlog.frames, backlog.bytes, bool(backlog)) == (0, 0, False)


def test_bounded_in_frames_and_words_and_bytes() -> None:
    backlog = Backlog("public")
    backlog.add(0, 0, [b""] * (FRAMES_WAITING_MAX - 1))
    assert not backlog.overrun
    backlog.say(PingReceived(0, "public"))
    assert backlog.overrun
    backlog.clear()
    assert not backlog and not backlog.overrun
    backlog.add(0, 0, [b"x" * FRAMES_WAITING_BYTES_MAX])
    assert not backlog.overrun
    backlog.add(0, 0, [b"x"])
    assert backlog.overrun


@given(FRAMES)
def test_the_library_reads_the_same_heads(frames: list[tuple[bytes | None, bytes]]) -> None:
    """Each plain text alone, to both."""
    for text, whole in frames:
        if text is None:
            continue
        library = ClientProtocol(parse_uri("ws://localhost/"), state=OPEN, max_size=ROOM)
        library.receive_data(whole)
        (event,) = library.events_received()
        assert isinstance(event, Frame) and event.fin and event.opcode is Opcode.TEXT
        assert [bytes(event.data)] == cut([whole])
