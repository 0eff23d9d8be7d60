"""A recording goes through the whole engine: yesterday's books are its books."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from protocol.limits import SEGMENT_BYTES_MIN
from protocol.messages import BookAnswer, BookRequest
from tests.actors.recorder.scene import Day, Scene, Sides
from tests.engine.running import Engine

TICKERS = ("KXA-26AUG01-1", "KXA-26AUG01-2", "KXB-26AUG01-1")
PLAYED_MAX_S = 60


@pytest.fixture
def scene() -> Iterator[Scene]:
    with Scene() as scene:
        yield scene


def recorded(scene: Scene, day: Day, lost: int = 0) -> Path:
    """A recording of a day in several segments, with a hole in it if something is lost."""
    child = scene.record("--segment-bytes", str(SEGMENT_BYTES_MIN))
    for ticker in TICKERS:
        scene.raw(day.snapshot(ticker))
    for n in range(8_000):
        scene.raw(day.delta(), heard=not 4_000 <= n < 4_000 + lost)
        if n % 500 == 0:
            scene.turn()
    if lost:
        for ticker in TICKERS[:2]:
            scene.raw(day.snapshot(ticker))
            scene.raw(day.delta(ticker))
    written = 8_000 + 3 - lost + (4 if lost else 0)
    scene.until(lambda: len(scene.frames()) == written, "all is written", 60)
    assert scene.end(child) == 0
    assert len(scene.segments()) > 1
    return scene.out


def books(engine: Engine) -> dict[str, Sides]:
    found = {}
    for ticker in TICKERS:
        answer = engine.tell("stream", BookRequest(ticker))
        assert isinstance(answer, BookAnswer)
        assert answer.state == "live"
        found[ticker] = {
            side: {int(p) // 10_000: int(c) // 100 for p, c in getattr(answer, side)}
            for side in ("yes", "no")
        }
    return found


def until_played(engine: Engine) -> int:
    """Returns how many frames there were."""

    def done() -> int:
        feed = requests.get(f"{engine.exchange}/paper/feed", timeout=10).json()
        return int(feed["total"]) if feed["done"] else 0

    return engine.until(done, PLAYED_MAX_S, "all is played")


def test_the_engine_runs_on_a_recording(scene: Scene) -> None:
    day = Day(1, TICKERS)
    path = recorded(scene, day)
    with Engine() as engine:
        engine.replay(path, "--speed", "1000")
        engine.until_healthy(40)
        assert until_played(engine) == 8_003
        engine.until(lambda: books(engine) == day.books, 20, "the books of the day")
        log = engine.log.read_text()
        assert f"{len(scene.segments())} segments, 0 things damaged" in log
        assert "serving recordings on 127.0.0.1" in log


def test_from_a_hole_on_no_wrong_book_is_played(scene: Scene) -> None:
    day = Day(2, TICKERS)
    path = recorded(scene, day, lost=50)
    with Engine() as engine:
        engine.replay(path, "--speed", "1000")
        engine.until_healthy(40)
        until_played(engine)
        known = {ticker: day.books[ticker] for ticker in TICKERS[:2]}
        engine.until(
            lambda: {t: b for t, b in books(engine).items() if t in known} == known,
            20,
            "the books that were known again",
        )
        assert books(engine)[TICKERS[2]] != day.books[TICKERS[2]], "it stands as before the hole"


def test_a_damaged_recording_is_not_played_unless_one_says_so(scene: Scene) -> None:
    path = recorded(scene, Day(3, TICKERS))
    segment = scene.segments()[1]
    sound = segment.read_bytes()
    segment.write_bytes(sound[:9_000] + b"\0" + sound[9_001:])
    with Engine() as engine:
        looked = engine.sidecar("replay", str(path), "--check")
        assert looked.returncode == 1
        assert "not played" not in looked.stderr
        said = engine.sidecar("replay", str(path))
        assert said.returncode == 1
        assert f"damaged: {segment}: has the checksum" in said.stderr
        assert f"damaged: {segment}: the block at byte" in said.stderr
        assert "not played; --damaged plays what can be read" in said.stderr
        engine.replay(path, "--damaged", "--speed", "1000")
        engine.until_healthy(40)
        assert 3 < until_played(engine) < 8_003


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["/nowhere"], "/nowhere: no such file or folder"),
        (["."], ".: no segment (raw-NNNNNNNN.jsonl.gz) in it"),
        ([".", "--speed", "0"], "--speed is 0.0, expected more than 0, and finite"),
        ([".", "--speed", "inf"], "--speed is inf, expected more than 0, and finite"),
        (["configs/paper.toml", "--check"], "configs/paper.toml: no recording, so there"),
    ],
)
def test_what_can_not_be_played_is_named(words: list[str], reason: str) -> None:
    with Engine() as engine:
        said = engine.sidecar("replay", *words)
        assert said.returncode == 78
        assert reason in said.stderr
