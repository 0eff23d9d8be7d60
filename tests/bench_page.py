"""The page in real Chromium: its frames while 40 markets move, how soon it shows live data, and
what it weighs. Beside bare pages in the same browser, in the same run.

Playwright's driver hears each frame of the page's WebSocket, and it, the browser and the engine
have the same processors: what is printed is the page on a busy machine.
Called by `make bench`; alone, `python -m tests.bench_page [frames|opened]` prints only these rows,
and `python -m tests.bench_page costs` which functions of the page take how long.
"""

import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import requests

from tests.bench_browser import PATIENCE_MS, SCREEN, Rows, Weighed, sign_in, without
from tests.bench_ledger import row, show
from tests.bench_opening import opened
from tests.bench_tape import BUSIEST, MARKETS, RECORDED, write_tape
from tests.bench_trace import CATEGORIES, PROFILED, Outcome, Trace, frame_times, late
from tests.engine.running import Engine
from tests.engine.trader import chromium

SPEED: Final = 10
TAPE_S: Final = 600.0  # of the recording: a tenth of it is played
WATCHED_S: Final = 8.0
WARM_UP_S: Final = 2.0

# What is done is one number, 60 times a second: what this browser can do on this machine, beside
# this engine.
BARE: Final = """<!doctype html><meta charset="utf-8"><p id="n">0</p><script>
let n = 0;
function draw() { document.getElementById("n").textContent = ++n; requestAnimationFrame(draw); }
draw();
</script>"""


@contextmanager
def moving() -> Iterator[tuple[Engine, str]]:
    """A running engine in whose markets much happens, and the name of what happens there."""
    folder = Path(tempfile.mkdtemp(prefix="ks-tape-"))
    try:
        feed, named = "synthetic", f"synthetic markets x {SPEED}"
        if RECORDED.exists():
            feed, named = str(folder / "tape.jsonl"), f"{MARKETS} markets x {SPEED}"
            write_tape(Path(feed), TAPE_S)
        else:
            print(f"the page: {RECORDED} is not there, so the markets are made up")
        with Engine(feed=feed, speed=SPEED) as engine:
            engine.start()
            engine.until_healthy(60)
            yield engine, named
    finally:
        shutil.rmtree(folder)


# Frames


class Watched:
    """What a page, and its browser, did in some seconds."""

    def __init__(
        self, browser: Any, page: Any, feed: str, categories: tuple[str, ...] = CATEGORIES
    ) -> None:
        """`feed`: where the paper exchange tells how far it has played."""
        time.sleep(WARM_UP_S)
        processes = browser.new_browser_cdp_session()
        browser.start_tracing(page=page, categories=list(categories))
        played, used, began = _played(feed), _used(processes), time.monotonic_ns()
        # Not by Playwright's own wait: it would read what its driver hears of the page meanwhile.
        time.sleep(WATCHED_S)
        ended, after = time.monotonic_ns(), _used(processes)
        self.seconds = (ended - began) / 1e9
        self.moves = (_played(feed) - played) / self.seconds
        self.trace = Trace(browser.stop_tracing(), began // 1_000, ended // 1_000)
        self.page_share = (after[self.trace.pid] - used[self.trace.pid]) / self.seconds
        self.browser_share = (
            sum(after[pid] - used.get(pid, 0) for pid in after if pid != self.trace.pid)
            / self.seconds
        )

    def rows(self, name: str, goal: str = "") -> Rows:
        frames = self.trace.frames()
        times = frame_times(frames)
        met = [f for f in frames if f.outcome is not Outcome.MISSED]
        shown = [f for f in frames if f.outcome is Outcome.SHOWN]
        work = self.trace.work()
        return [
            row(f"{name}: frames", [len(met) / self.seconds], "/s", goal),
            row("  of them with something new", [len(shown) / self.seconds], "/s", ""),
            row("  time of a frame", times, "ms", "16.7" if goal else ""),
            row("  frames over 16.7 ms", [late(times)], "%", ""),
            row("  longest frame", [max(times)], "ms", ""),
            row("  main thread busy", [100 * work.busy], "%", ""),
            row("  main thread on a processor", [100 * work.processor], "%", ""),
            *(row(f"    {kind}", [100 * share], "%", "") for kind, share in work.kinds.items()),
            row("  processor, page with its raster", [100 * self.page_share], "%", ""),
            row("  processor, rest of the browser", [100 * self.browser_share], "%", ""),
        ]


def _used(processes: Any) -> dict[int, float]:
    """Seconds of a processor that each process of the browser has used, by its pid."""
    found = processes.send("SystemInfo.getProcessInfo")["processInfo"]
    return {process["id"]: process["cpuTime"] for process in found}


def _played(feed: str) -> int:
    return int(requests.get(feed, timeout=10).json().get("played", 0))


def frames() -> Rows:
    """The page while much moves, what it weighs, and a bare page."""
    with moving() as (engine, named), chromium() as browser:
        feed = f"{engine.exchange}/paper/feed"
        page = browser.new_page(viewport=SCREEN)
        weighed = Weighed(page)
        sign_in(engine, page)
        listed = choose(page)
        ours = Watched(browser, page, feed)
        page.close()
        (engine.folder / "bare.html").write_text(BARE)
        page = browser.new_page(viewport=SCREEN)
        page.goto(f"file://{engine.folder}/bare.html")
        theirs = Watched(browser, page, feed)
        heard = ours.trace.count("WebSocketReceive") / ours.seconds
        return [
            *ours.rows(f"page, {named}", "60/s"),
            row("  markets in its list", [listed], "", ""),
            row("  changes of books, all markets", [ours.moves], "/s", ""),
            row("  WebSocket messages it took", [heard], "/s", ""),
            *theirs.rows("  bare page, a number a frame"),
            *weighed.rows(),
        ]


def choose(page: Any) -> int:
    """Show the busiest market, if it is known which; how many there are in the list."""
    page.wait_for_selector("#markets li button", timeout=PATIENCE_MS)
    if RECORDED.exists():
        named = page.get_by_text(BUSIEST, exact=True)
        page.locator("#markets li button", has=named).click(timeout=PATIENCE_MS)
    page.wait_for_selector("#ladder tr.bid, #ladder tr.ask", timeout=PATIENCE_MS)
    return int(page.locator("#markets li").count())


# What costs


def costs() -> None:
    """Print which work of the browser and which functions of the page take how long."""
    with moving() as (engine, named), chromium() as browser:
        page = browser.new_page(viewport=SCREEN)
        sign_in(engine, page)
        choose(page)
        trace = Watched(browser, page, f"{engine.exchange}/paper/feed", PROFILED).trace
    for title, found in (
        ("main thread, ms of a processor in a second, each its own", trace.spans()),
        ("functions, ms in a second with all that they call", trace.functions()),
    ):
        print(f"{named}: {title}")
        for name, spent in found.most_common(20):
            print(f"{spent / trace.seconds:10.2f}  {name}")


PARTS: Final = {"frames": frames, "opened": opened}


def measure(parts: list[str] | None = None) -> Rows:
    """The rows of the table; none, and why, where there is no browser."""
    if why := without():
        print(f"the page is not measured: {why}")
        return []
    return [found for name in parts or PARTS for found in PARTS[name]()]


if __name__ == "__main__":
    if sys.argv[1:2] == ["costs"]:
        costs()
    else:
        show(measure(sys.argv[1:]))
