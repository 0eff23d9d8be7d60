"""The programs of docs/ATTACH.md, run as they stand there, beside a running engine."""

import os
import re
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from protocol.envelope import Envelope, Outbox
from protocol.follower import BookFollower
from protocol.messages import BookAnswer, BookDelta, BookRequest
from protocol.units import format_count, format_price
from tests.engine.ear import Ear
from tests.engine.running import ROOT, Engine

PAGE = (ROOT / "docs" / "ATTACH.md").read_text()
PROGRAMS = dict(re.findall(r"^<!-- (\S+) -->\n```\w+\n(.*?)^```$", PAGE, re.M | re.S))
PACKAGE = ROOT / "tests" / "node_modules" / "zeromq"
ENOUGH = 30  # states of the book that a program and we have both seen
PATIENCE_S = 60.0

Tops = dict[tuple[int, int], tuple[str, ...]]  # by epoch and seq: the best bids


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with Engine() as engine:
        engine.start()
        engine.until_healthy(40)
        yield engine


class Truth:
    """Follows the same book as the program, with the follower of the engine itself."""

    def __init__(self, engine: Engine, ear: Ear, ticker: str) -> None:
        self.tops: Tops = {}
        self._engine = engine
        self._ear = ear
        self._follower = BookFollower(ticker, Outbox("test", 1), time.monotonic_ns())
        self._ticker = ticker

    def look(self) -> None:
        """Take what was published."""
        for envelope in self._ear.rest():
            self._follower.hear(time.monotonic_ns(), envelope)
            self._note()
        if self._follower.due(time.monotonic_ns(), 0):
            answer = self._engine.tell("stream", BookRequest(self._ticker))
            assert isinstance(answer, BookAnswer)
            self._follower.adopt(answer)
            self._note()

    def _note(self) -> None:
        if self._follower.live:
            at = (self._follower.cursor.epoch, self._follower.cursor.seq)
            best = [self._follower.book.best(side) for side in ("yes", "no")]
            self.tops[at] = tuple(
                f"{format_price(level[0])} x {format_count(level[1])}" for level in best if level
            )


class Program:
    """One program of the page, while it runs, and the states that it has printed."""

    def __init__(self, name: str, engine: Engine, ticker: str, folder: Path) -> None:
        path = folder / name
        path.write_text(PROGRAMS[name])
        self.log = folder / "log"
        command = [sys.executable, "-u", str(path)]
        if name.endswith(".js"):
            command = ["node", str(path)]
            (folder / "node_modules").symlink_to(PACKAGE.parent)
        bus = f"ipc://{Path(engine.settings.bus_dir).absolute()}"
        with self.log.open("wb") as log:
            self._child = subprocess.Popen(
                [*command, bus, ticker],
                stdout=subprocess.PIPE,
                stderr=log,
                cwd=folder,
                bufsize=0,
            )
        self._rest = b""
        self.tops: Tops = {}

    def look(self) -> None:
        """Read what it has printed, or wait a moment for it."""
        assert self._child.stdout is not None
        if not select.select([self._child.stdout], [], [], 0.02)[0]:
            return
        text = os.read(self._child.stdout.fileno(), 65_536)
        assert text, f"it has ended\n{self.log.read_text()}"
        *lines, self._rest = (self._rest + text).split(b"\n")
        for line in lines:
            if line != b"lost":
                epoch, seq, rest = line.decode().split(" ", 2)
                self.tops[int(epoch), int(seq)] = best_of(rest)

    def __enter__(self) -> "Program":
        return self

    def __exit__(self, *_: object) -> None:
        self._child.kill()
        self._child.wait()
        assert self._child.stdout is not None
        self._child.stdout.close()


def best_of(text: str) -> tuple[str, ...]:
    """What a program calls the best bids, as `0.4700 x 3.00`."""
    numbers = re.findall(r"\((\d+), (\d+)\)", text)
    if numbers:
        return tuple(f"{format_price(int(p))} x {format_count(int(c))}" for p, c in numbers)
    return tuple(re.findall(r"\S+ x \S+", text))


def busiest(engine: Engine) -> str:
    """A market whose book changes."""
    seen: dict[str, int] = {}

    def often(envelope: Envelope) -> str | None:
        if not isinstance(envelope.body, BookDelta):
            return None
        ticker = envelope.body.ticker
        seen[ticker] = seen.get(ticker, 0) + 1
        return ticker if seen[ticker] >= 5 else None

    with engine.ear("stream.pub", "book.") as ear:
        return ear.until(often, PATIENCE_S)


@pytest.mark.parametrize("name", ["follower.py", "raw.py", "raw.js"])
def test_it_shows_the_books_that_there_are_before_and_after_the_stream_died(
    name: str, engine: Engine, tmp_path: Path
) -> None:
    if name.endswith(".js"):
        if shutil.which("node") is None:
            pytest.skip("node is not installed")
        if not PACKAGE.exists():
            pytest.skip("npm ci --ignore-scripts --prefix tests has not been run")
    ticker = busiest(engine)
    with (
        engine.ear("stream.pub", f"book.{ticker} ", "mark ") as ear,
        Program(name, engine, ticker, tmp_path) as program,
    ):
        truth = Truth(engine, ear, ticker)

        def agree(wanted: Callable[[tuple[int, int]], bool]) -> None:
            deadline = time.monotonic() + PATIENCE_S
            shared: set[tuple[int, int]] = set()
            while len(shared) < ENOUGH:
                assert time.monotonic() < deadline, (
                    f"{len(shared)} of {len(program.tops)} states: {program.log.read_text()}"
                )
                truth.look()
                program.look()
                shared = {at for at in program.tops.keys() & truth.tops.keys() if wanted(at)}
            for at in shared:
                assert program.tops[at] == truth.tops[at], at

        agree(lambda at: True)
        before = max(truth.tops)[0]
        os.kill(engine.pids()["stream"], signal.SIGKILL)
        agree(lambda at: at[0] > before)
        assert len(set(program.tops.values())) > 1, "nothing has moved"


def test_all_programs_of_the_page_are_run() -> None:
    assert set(PROGRAMS) == {"follower.py", "raw.py", "raw.js"}
    assert PAGE.count("```python") + PAGE.count("```javascript") == len(PROGRAMS)
