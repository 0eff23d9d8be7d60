"""`sidecar record` beside a real PUB socket: what is in its files, whatever happens to it."""

import contextlib
import json
import resource
import signal
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest

from actors.paper.capture import Frame, Moved, Replaced
from actors.paper.store import load_tape
from protocol.errors import ConfigError
from protocol.limits import SEGMENT_BYTES_MIN
from protocol.messages import RawFrame

from .scene import Day, Scene, Sides

TICKERS = ("KXA-1", "KXA-2", "KXB-1")
SMALL = str(SEGMENT_BYTES_MIN)


@pytest.fixture
def scene() -> Iterator[Scene]:
    with Scene() as scene:
        yield scene


def played(path: Path, damaged: bool = False) -> list[Frame]:
    tape = load_tape(str(path), damaged)
    frames = tape.due(0, 1.0)
    while not tape.done:
        frames += tape.due(10**18, 1.0)
    return frames


def books_of(frames: list[Frame]) -> dict[str, Sides]:
    """The books after what was played, in cents and whole contracts."""
    books: dict[str, Sides] = {}
    for frame in frames:
        if isinstance(frame, Replaced):
            yes = {p // 10_000: c // 100 for p, c in frame.bids.items()}
            no = {100 - p // 10_000: c // 100 for p, c in frame.asks.items()}
            books[frame.ticker] = {"yes": yes, "no": no}
        elif isinstance(frame, Moved):
            is_yes = frame.side.value == "bid"
            levels = books[frame.ticker]["yes" if is_yes else "no"]
            price = frame.price // 10_000 if is_yes else 100 - frame.price // 10_000
            levels[price] = levels.get(price, 0) + frame.delta // 100
            if not levels[price]:
                del levels[price]
    return books


def speak(scene: Scene, day: Day, count: int) -> list[RawFrame]:
    """So many changes, and the recorder is given time to take them."""
    said = []
    for n in range(0, count, 1_000):
        said += [scene.raw(day.delta()).body for _ in range(min(1_000, count - n))]
        scene.turn()
    return said


def begin(scene: Scene, *words: str) -> tuple[Day, object]:
    day = Day(1, TICKERS)
    child = scene.record(*words)
    for ticker in TICKERS:
        scene.raw(day.snapshot(ticker))
    return day, child


def test_every_frame_is_there_as_it_came_and_plays_to_the_same_books(scene: Scene) -> None:
    day = Day(1, TICKERS)
    child = scene.record()
    sent = [scene.raw(b'{"type":"subscribed","id":1,"msg":{"sid":1}}', "control").body]
    sent += [scene.raw(day.snapshot(ticker)).body for ticker in TICKERS]
    sent += speak(scene, day, 3_000)
    odd = [b"\xff\xfe", b'{"a":1e999}', b'{"a":\n1}', b"", b"[" * 5_000, b'{"a":1} ']
    scene.until(lambda: len(scene.frames()) == len(sent), "all is written")
    broken = [scene.raw(frame, "malformed", link="public").body for frame in odd]
    scene.until(lambda: len(scene.lines()) == 2 + len(sent) + len(odd), "all is written")
    assert scene.end(child) == 0

    assert [hole["why"] for hole in scene.holes()] == ["start"]
    found = scene.lines()[2:]
    assert [line["at"] for line in found] == [body.received_at for body in sent + broken]
    assert [json.dumps(line["frame"]) for line in found[: len(sent)]] == [
        json.dumps(json.loads(body.frame)) for body in sent
    ]
    assert all("base64" in line and "frame" not in line for line in found[len(sent) :])
    assert books_of(played(scene.out)) == day.books
    assert "ended: 3010 frames" in scene.said()

    (index,) = scene.indexes()
    (segment,) = scene.segments()
    assert index["sha256"] == sha256(segment.read_bytes()).hexdigest()
    assert index["size"] == segment.stat().st_size
    assert (index["frames"], index["holes"]) == (len(sent) + len(odd), 1)
    assert (index["first_at"], index["last_at"]) == (sent[0].received_at, broken[-1].received_at)
    ends = [block["offset"] + block["size"] for block in index["blocks"]]
    assert [block["offset"] for block in index["blocks"]] == [0, *ends[:-1]]
    assert scene.out.stat().st_mode & 0o077 == 0
    assert segment.stat().st_mode & 0o077 == 0


def test_a_lost_message_becomes_a_hole_and_the_book_after_it_comes_from_the_stream(
    scene: Scene,
) -> None:
    day = Day(2, TICKERS)
    child = scene.record()
    for ticker in TICKERS:
        scene.raw(day.snapshot(ticker))
    scene.raw(day.delta())
    for _ in range(3):
        scene.raw(day.delta("KXA-1"), heard=False)
    last = scene.raw(day.delta("KXA-1")).body.received_at
    scene.until(lambda: len(scene.holes()) == 2, "a hole is written")
    hole = scene.holes()[1]
    assert (hole["why"], hole["topic"], hole["missing"]) == ("gap", "raw.orderbook_delta", 3)
    assert hole["from"] <= last <= hole["to"]
    assert books_of(played(scene.out))["KXA-1"] != day.books["KXA-1"], "it is not played on"

    scene.answer = lambda ticker: scene.live(ticker, day.books[ticker], last)
    scene.until(lambda: sum("book" in line for line in scene.lines()) == 3, "the books are there")
    for _ in range(100):
        scene.raw(day.delta())
    scene.until(lambda: len(scene.frames()) == 105, "all is written")
    assert scene.end(child) == 0
    assert books_of(played(scene.out)) == day.books


def test_the_last_message_before_a_mark_is_not_lost_silently(scene: Scene) -> None:
    day, child = begin(scene)
    scene.until(lambda: len(scene.frames()) == 3, "the beginning is written")
    scene.raw(day.delta(), heard=False)
    scene.until(lambda: len(scene.holes()) == 2, "the mark tells of it")
    assert scene.holes()[1]["why"] == "tail"
    assert scene.holes()[1]["missing"] == 1
    assert scene.end(child) == 0


def test_silence_a_new_life_and_a_new_connection_are_holes(scene: Scene) -> None:
    day, child = begin(scene)
    scene.until(lambda: len(scene.frames()) == 3, "the beginning is written")
    scene.marking = False
    scene.until(lambda: "the stream is silent" in scene.said(), "silence is said")
    scene.marking = True
    scene.until(lambda: len(scene.holes()) == 2, "the silence has ended")
    scene.restart()
    scene.raw(day.snapshot("KXA-1"))
    scene.raw(day.delta("KXA-1"), connection=2)
    scene.until(lambda: len(scene.holes()) == 4, "holes are written")
    found = scene.holes()
    assert [hole["why"] for hole in found] == ["start", "silence", "epoch", "connection"]
    assert found[1]["to"] - found[1]["from"] > 3_000_000
    assert found[3]["link"] == "market1"
    assert scene.end(child, signal.SIGINT) == 0


def test_a_kill_loses_no_whole_block(scene: Scene) -> None:
    day = Day(3, TICKERS)
    child = scene.record()
    for ticker in TICKERS:
        scene.raw(day.snapshot(ticker))
    speak(scene, day, 3_000)
    scene.until(lambda: len(scene.frames()) == 3_003, "so much is on disk")
    at_least = {ticker: {s: dict(x) for s, x in b.items()} for ticker, b in day.books.items()}
    assert books_of(played(scene.out)) == at_least, "a segment that is being written plays"
    for _ in range(2_000):
        scene.raw(day.delta())
    child.kill()
    child.wait()
    assert scene.indexes() == []
    frames = played(scene.out)
    assert len(frames) >= 3_003
    assert [line["frame"]["seq"] for line in scene.lines() if "frame" in line] == list(
        range(1, len(frames) + 1)
    )

    torn = scene.segments()[0]
    torn.write_bytes(torn.read_bytes()[:-7])  # as if the kernel had not had the last of it
    assert len(played(scene.out)) < len(frames)
    again = scene.record()
    for ticker in TICKERS:
        scene.raw(day.snapshot(ticker))
    speak(scene, day, 10)
    scene.until(lambda: len(scene.holes()) == 2, "it goes on in a segment of its own")
    assert scene.end(again) == 0
    start = scene.holes()[1]
    assert start["why"] == "start"
    assert start["from"] > 0, "it knows when the last frame before came"
    assert books_of(played(scene.out)) == day.books


def test_segments_are_bounded_in_all_and_each_can_be_played_alone(scene: Scene) -> None:
    day = Day(4, TICKERS)
    last: dict[str, int] = {}
    scene.answer = lambda ticker: scene.live(ticker, day.books[ticker], last[ticker])
    bound = 8 * SEGMENT_BYTES_MIN
    child = scene.record("--segment-bytes", SMALL, "--max-bytes", str(bound))
    for ticker in TICKERS:
        last[ticker] = scene.raw(day.snapshot(ticker)).body.received_at

    def speaks(count: int) -> None:
        for _ in range(count):
            ticker = TICKERS[day.seq % 3]
            last[ticker] = scene.raw(day.delta(ticker)).body.received_at
        scene.turn()

    worst = 0
    while len(scene.segments()) < 3 or scene.segments()[0].name == "raw-00000001.jsonl.gz":
        speaks(500)
        worst = max(worst, taken(scene.out))

    def known() -> bool:
        newest = scene.segments()[-1]
        nearly_full = newest.stat().st_size > SEGMENT_BYTES_MIN // 2
        speaks(500 if nearly_full else 1)
        lines = scene.lines_of(newest)
        caught_up = any(day.seq - line["frame"]["seq"] < 100 for line in lines if "frame" in line)
        books = {line["book"]["ticker"] for line in lines if "book" in line}
        return caught_up and not nearly_full and len(books) == 3

    scene.until(known, "the newest segment knows the books by itself", 60)
    assert scene.end(child) == 0
    assert 3 * SEGMENT_BYTES_MIN < worst <= bound
    assert taken(scene.out) <= bound
    assert len(scene.indexes()) == len(scene.segments())
    assert books_of(played(scene.out)) == day.books, "the beginning is gone, the books are known"
    assert books_of(played(scene.segments()[-1])) == day.books


def taken(folder: Path) -> int:
    """Bytes of the segments and their indexes."""
    sizes = 0
    for path in folder.glob("raw-*"):
        with contextlib.suppress(FileNotFoundError):  # it has just been deleted
            sizes += path.stat().st_size
    return sizes


def test_a_flipped_byte_is_found_and_what_is_whole_can_be_played(scene: Scene) -> None:
    day = Day(5, TICKERS)
    child = scene.record()
    for ticker in TICKERS:
        scene.raw(day.snapshot(ticker))
    speak(scene, day, 4_000)
    scene.until(lambda: len(scene.frames()) == 4_003, "all is written")
    for ticker in TICKERS:
        scene.raw(day.snapshot(ticker))
    scene.until(lambda: len(scene.frames()) == 4_006, "all is written")
    assert scene.end(child) == 0
    (index,), (segment,) = scene.indexes(), scene.segments()
    assert len(index["blocks"]) >= 3
    sound = segment.read_bytes()
    block = index["blocks"][1]
    place = block["offset"] + block["size"] // 2
    segment.write_bytes(sound[:place] + bytes([sound[place] ^ 4]) + sound[place + 1 :])

    with pytest.raises(ConfigError, match="checksum"):
        played(scene.out)
    look = scene.command("replay", str(scene.out), "--check")
    assert look.wait(30) == 1
    assert f"the block at byte {block['offset']}" in scene.said()
    frames = played(scene.out, damaged=True)
    assert len(frames) < 4_006 - block["frames"] + 1
    assert books_of(frames) == day.books, "from the next snapshots on it is right again"

    segment.write_bytes(sound[: block["offset"]])
    with pytest.raises(ConfigError, match="its index says"):
        played(scene.out)

    segment.write_bytes(sound)
    (path,) = scene.out.glob("*.index.json")
    for blocks, flaw in (
        (index["blocks"][:-1], f"its blocks end at byte {index['blocks'][-1]['offset']} of"),
        (index["blocks"][:1] + index["blocks"][2:], f"no block at byte {block['offset']}"),
    ):
        path.write_text(json.dumps({**index, "blocks": blocks}))
        with pytest.raises(ConfigError, match=flaw):
            played(scene.out)
        assert len(played(scene.out, damaged=True)) == 4_006, "the segment itself is whole"


def test_a_missing_segment_is_damage(scene: Scene) -> None:
    day, child = begin(scene, "--segment-bytes", SMALL)
    while len(scene.segments()) < 3:
        speak(scene, day, 1_000)
    assert scene.end(child) == 0
    scene.segments()[1].unlink()
    with pytest.raises(ConfigError, match="the segments between 1 and 3 are missing"):
        played(scene.out)


def test_one_folder_has_one_recorder(scene: Scene) -> None:
    child = scene.record()
    second = scene.command("record", "--dir", str(scene.out))
    assert second.wait(30) == 73
    assert f"another instance holds {scene.out}/.lock (pid {child.pid})" in scene.said()
    assert scene.end(child) == 0


def test_a_full_disk_ends_it_with_one_error_and_whole_blocks(scene: Scene) -> None:
    def little_room() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (150_000, 150_000))

    day = Day(6, TICKERS)
    child = scene.record(preexec_fn=little_room)
    for ticker in TICKERS:
        scene.raw(day.snapshot(ticker))
    while child.poll() is None:
        speak(scene, day, 1_000)
    assert child.returncode == 1
    assert scene.said().count("ERROR") == 1
    assert "the recording ends" in scene.said()
    assert "File too large" in scene.said()
    (index,), (segment,) = scene.indexes(), scene.segments()
    assert index["size"] == segment.stat().st_size <= 150_000
    assert len(played(scene.out)) == index["frames"] > 1_000


def test_it_tells_the_supervisor_how_it_follows(scene: Scene) -> None:
    day, child = begin(scene)
    scene.until(lambda: scene.reports and scene.reports[-1].followed, "it reports")
    scene.raw(day.delta(), heard=False)
    scene.raw(day.delta())
    scene.until(lambda: scene.reports[-1].gaps == 1, "the gap is reported")
    assert scene.reports[-1].name == "recorder"
    assert 0 <= scene.reports[-1].lag_ms < 5_000
    assert scene.end(child) == 0


def test_only_the_channels_that_are_named(scene: Scene) -> None:
    scene.listened.clear()
    child = scene.command("record", "--dir", str(scene.out), "--channels", "trade")
    wanted = {b"mark ", b"raw.trade ", b"raw.control ", b"raw.malformed "}
    scene.until(lambda: scene.listened == wanted, "it listens")
    scene.raw(b'{"type":"ticker"}', "ticker")
    scene.raw(b'{"type":"trade","sid":2,"seq":1}', "trade")
    scene.until(lambda: len(scene.frames()) == 1, "the trade is written")
    assert scene.end(child) == 0
    assert [frame["type"] for frame in scene.frames()] == ["trade"]


def test_it_ends_after_so_many_seconds(scene: Scene) -> None:
    child = scene.record("--seconds", "1.5")
    scene.raw(b'{"type":"ticker"}', "ticker")
    scene.until(lambda: child.poll() is not None, "it ends")
    assert child.returncode == 0
    assert len(scene.frames()) == 1


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("--segment-bytes", "5"), "--segment-bytes: 5, expected"),
        (("--segment-bytes", SMALL, "--max-bytes", SMALL), "--max-bytes: "),
        (("--channels", "trade,b b"), "'b b' is no channel's name"),
        (("--seconds", "-1"), "--seconds: -1.0"),
        (("--seconds", "inf"), "--seconds: inf, expected 0 (no end) to 31622400"),
        (("--dir", "/dev/null"), "/dev/null: "),
    ],
)
def test_what_makes_no_sense_is_refused(scene: Scene, words: tuple[str, ...], reason: str) -> None:
    assert scene.command("record", *words).wait(30) == 78
    assert reason in scene.said()
