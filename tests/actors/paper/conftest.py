"""Exchanges for the stories: one small capture market, or whatever feed a story asks for."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from .house import TICKER, Client, House, settings_in, snapshot_line


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Callable[..., Client]]:
    """Open an exchange on a feed; it closes with the test."""
    with ExitStack() as stack:

        def open_one(feed: str = "synthetic", speed: float = 1.0, **paper: Any) -> Client:
            return stack.enter_context(House(settings_in(tmp_path, feed, speed, **paper)))

        yield open_one


@pytest.fixture
def client(tmp_path: Path, opened: Callable[..., Client]) -> Client:
    """One market, as the captured orders found it: yes bid 0.47, yes ask 0.52."""
    feed = tmp_path / "book.jsonl"
    feed.write_text(snapshot_line())
    found = opened(str(feed))
    found.play(TICKER)
    return found
