"""A day goes through the engine, is recorded beside it, and comes out of the recording the same."""

import contextlib
import gzip
import json
from pathlib import Path

import pytest
import requests

from actors.paper.store import load_tape
from protocol.errors import ConfigError
from protocol.messages import BookAnswer, BookRequest
from tests.actors.recorder.scene import Day, Sides
from tests.actors.recorder.test_recorder import books_of
from tests.engine.running import Engine

TICKERS = ("KXA-26AUG01-1", "KXA-26AUG01-2", "KXB-26AUG01-1")
CHANGES = 12_000


@pytest.fixture
def day(tmp_path: Path) -> tuple[Day, Path]:
    """A capture of a known day, a millisecond between two changes."""
    day, path = Day(11, TICKERS), tmp_path / "day.jsonl"
    lines = [day.snapshot(ticker) for ticker in TICKERS]
    for n in range(CHANGES):
        frame = json.loads(day.delta())
        frame["msg"]["ts_ms"] = 1_795_486_295_000 + n
        lines.append(json.dumps(frame).encode())
    path.write_bytes(b"\n".join(lines))
    return day, path


def played(folder: Path) -> dict[str, Sides]:
    tape = load_tape(str(folder))
    frames = tape.due(0, 1.0)
    while not tape.done:
        frames += tape.due(10**18, 1.0)
    return books_of(frames)


@pytest.mark.parametrize("late", [False, True])
def test_what_was_recorded_beside_the_engine_plays_to_its_books(
    day: tuple[Day, Path], late: bool
) -> None:
    """`late`: the recorder comes when the day has begun, and asks the stream for the books."""
    truth, feed = day
    with Engine(feed=str(feed), speed=1.0) as engine:
        folder = engine.folder / "recordings"
        words = ("record", "--dir", str(folder))
        if not late:
            recorder = engine.beside(*words)
        engine.start()
        if late:
            engine.until(lambda: feed_of(engine)["played"] > 1_000, 60, "the day has begun")
            recorder = engine.beside(*words)
        engine.until(lambda: feed_of(engine)["played"] == CHANGES + 3, 60, "all is played")
        want = truth.books
        engine.until(lambda: books_now(engine) == want, 20, "the books of the day")
        engine.until(lambda: played_or_nothing(folder) == want, 20, "the recording has them, too")
        recorder.terminate()
        assert recorder.wait(15) == 0
        assert holes_of(folder) == ["start"]
        assert played(folder) == want
        system = engine.until_system(lambda s: bool(s.processes), 20)
        assert system.followers["recorder"].gaps == 0


def feed_of(engine: Engine) -> dict[str, int]:
    """How far the exchange has played; nothing while it does not answer."""
    with contextlib.suppress(requests.ConnectionError):
        found: dict[str, int] = requests.get(f"{engine.exchange}/paper/feed", timeout=10).json()
        return found
    return {"played": 0}


def played_or_nothing(folder: Path) -> dict[str, Sides]:
    """What the recording plays to by now; nothing while there is no book in it yet."""
    with contextlib.suppress(ConfigError):
        return played(folder)
    return {}


def holes_of(folder: Path) -> list[str]:
    found = []
    for path in sorted(folder.glob("raw-*.jsonl.gz")):
        with gzip.open(path) as lines:
            found += [json.loads(line) for line in lines]
    return [line["hole"]["why"] for line in found if "hole" in line]


def books_now(engine: Engine) -> dict[str, Sides]:
    found = {}
    for ticker in TICKERS:
        answer = engine.tell("stream", BookRequest(ticker))
        assert isinstance(answer, BookAnswer)
        found[ticker] = {
            side: {int(p) // 10_000: int(c) // 100 for p, c in getattr(answer, side)}
            for side in ("yes", "no")
        }
    return found
