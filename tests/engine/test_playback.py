"""A whole recorded day through the WebSocket: the final books are the recording's."""

import time
from pathlib import Path

import pytest
import requests

from protocol.messages import BookAnswer, BookRequest
from tests.engine.running import ROOT, Engine, replay

DAY = ROOT.parent / "shared" / "captures" / "stream" / "prod-2023-08-31-inxd.jsonl.gz"
PLAY_MAX_S = 240


@pytest.mark.skipif(not DAY.exists(), reason="the captures are not beside this checkout")
def test_the_books_of_a_recorded_day() -> None:
    truth = replay(DAY)
    assert len(truth) == 10
    with Engine(feed=str(Path("..") / DAY.relative_to(ROOT.parent)), speed=100_000) as engine:
        engine.start()
        engine.until_healthy(30)
        until_played(engine)
        counters = (
            engine.until_system(
                lambda s: s.processes["stream"].counters["book_frames"] >= 110_476, 60
            )
            .processes["stream"]
            .counters
        )
        assert counters["gaps"] == 0
        assert counters["malformed"] == 0
        assert counters["book_frames"] == counters["frames_applied"]
        for ticker, sides in truth.items():
            answer = engine.tell("stream", BookRequest(ticker))
            assert isinstance(answer, BookAnswer)
            assert answer.state == "live"
            for side in ("yes", "no"):
                found = {f"{p / 1_000_000:.4f}": int(c) for p, c in getattr(answer, side)}
                assert found == sides[side], (ticker, side)


def until_played(engine: Engine) -> None:
    """The exchange says when the recording has ended; ask whenever the engine says something."""
    deadline = time.monotonic() + PLAY_MAX_S
    with engine.ear("system.pub", "system ") as ear:
        while time.monotonic() < deadline:
            ear.until(lambda e: True, 20)
            feed = requests.get(f"{engine.exchange}/paper/feed", timeout=10).json()
            if feed["done"]:
                return
    raise AssertionError(f"not played within {PLAY_MAX_S} s: {feed}")
