"""The page in real Chromium: its frames while 40 markets move, how soon it shows live data, and
what it weighs. Beside bare pages in the same browser, in the same run.

Playwright's driver hears each frame of the page's WebSocket, and it, the browser and the engine
have the same processors: what is printed is the page on a busy machine.
Called by `make bench`; alone, `python -m tests.bench_page [frames|paint]` prints only these rows,
and `python -m tests.bench_page costs` which functions of the page take how long.
"""

import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import requests

from protocol.runtime.loop import wall
from protocol.runtime.tokens import new_code
from tests.bench_ledger import row, show
from tests.bench_tape import BUSIEST, MARKETS, RECORDED, write_tape
from tests.bench_trace import CATEGORIES, PROFILED, Outcome, Trace, frame_times, late
from tests.engine.hostile import CHROMIUM
from tests.engine.running import Engine

Rows = list[dict[str, Any]]

SPEED: Final = 10
TAPE_S: Final = 600.0  # of the recording: a tenth of it is played
WATCHED_S: Final = 8.0
WARM_UP_S: Final = 2.0
LOADS: Final = 10
CODE_AGE_S: Final = 3.0  # a code counts once the front has read the file of tokens again
PATIENCE_MS: Final = 30_000
SCREEN: Final = {"width": 1400, "height": 1000}

# What is done is one number, 60 times a second: what this browser can do on this machine, beside
# this engine.
BARE: Final = """<!doctype html><meta charset="utf-8"><p id="n">0</p><script>
let n = 0;
function draw() { document.getElementById("n").textContent = ++n; requestAnimationFrame(draw); }
draw();
</script>"""

# The moments of a load, by `performance.now()`: each when it is seen first, at a frame's beginning.
WATCH: Final = """
window.seen = {};
const shown = {
  line: () => document.querySelector("#line")?.textContent === "live",
  ladder: () => document.querySelector("#ladder tr.bid, #ladder tr.ask") !== null,
};
(function look() {
  for (const [name, is] of Object.entries(shown))
    if (!(name in window.seen) && is()) window.seen[name] = performance.now();
  if (Object.keys(window.seen).length < 2) requestAnimationFrame(look);
})();
"""
MOMENTS: Final = """() => {
  const found = {...window.seen};
  for (const entry of performance.getEntriesByType("paint")) found[entry.name] = entry.startTime;
  const [page] = performance.getEntriesByType("navigation");
  found.document = page.responseEnd;
  found.ready = page.domContentLoadedEventEnd;
  for (const entry of performance.getEntriesByType("resource")) {
    const path = new URL(entry.name).pathname;
    if (!(path in found)) found[path] = entry.responseEnd;
  }
  return found;
}"""
# The least that shows live data of this engine: one file, one question, one text. The front
# serves no page of ours, so it is the page's icon with a question of its own.
LEAST: Final = """
fetch("/v1/status", {headers: {Authorization: "Bearer TOKEN"}}).then((answer) => answer.json())
  .then(() => requestAnimationFrame(() => { window.took = performance.now(); }));
"""


def without() -> str:
    """Why nothing can be measured, or ""."""
    if CHROMIUM is None:
        return "chromium is not installed"
    try:
        import playwright.sync_api  # noqa: F401
    except ImportError:
        return "playwright is not installed"
    return ""


@contextmanager
def chromium() -> Iterator[Any]:
    """A browser, which is gone afterwards."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()


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


def sign_in(engine: Engine, page: Any) -> None:
    code = new_code(engine.settings.var_dir, wall()).decode()
    time.sleep(CODE_AGE_S)
    page.goto(f"{engine.api}/#{code}")
    page.wait_for_selector("#ladder tr.bid, #ladder tr.ask", timeout=PATIENCE_MS)


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
    """Show the busiest market; how many there are in the list."""
    page.wait_for_selector("#markets li button", timeout=PATIENCE_MS)
    busiest = page.locator("#markets li button", has=page.get_by_text(BUSIEST, exact=True))
    if busiest.count():
        busiest.click()
    page.wait_for_selector("#ladder tr.bid, #ladder tr.ask", timeout=PATIENCE_MS)
    return int(page.locator("#markets li").count())


class Weighed:
    """What a page loads, in bytes as they came over the network, heads included."""

    def __init__(self, page: Any) -> None:
        self._paths: dict[str, str] = {}
        self._bytes: Counter[str] = Counter()
        network = page.context.new_cdp_session(page)
        network.on("Network.requestWillBeSent", self._asked)
        network.on("Network.loadingFinished", self._came)
        network.send("Network.enable")

    def _asked(self, event: Any) -> None:
        self._paths[event["requestId"]] = event["request"]["url"].split("/", 3)[3]

    def _came(self, event: Any) -> None:
        self._bytes[self._paths[event["requestId"]]] += event["encodedDataLength"]

    def rows(self) -> Rows:
        answers = sum(size for path, size in self._bytes.items() if path.startswith("v1/"))
        files = sum(self._bytes.values()) - answers
        return [
            row("page and what it loads", [files / 1e3], "kB", "200 kB"),
            row("  files", [sum(not path.startswith("v1/") for path in self._bytes)], "", ""),
            row("  answers of the API beside them", [answers / 1e3], "kB", ""),
        ]


# First paint


def paint() -> Rows:
    """From the navigation's start to live data, each time in a browser that has seen nothing."""
    with Engine() as engine, chromium() as browser:
        engine.start()
        engine.until_healthy(60)
        codes = [new_code(engine.settings.var_dir, wall()).decode() for _ in range(LOADS)]
        time.sleep(CODE_AGE_S)
        loads, least = [], []
        token = Path(engine.settings.var_dir, "token.read").read_text().strip()
        for code in codes:
            loads.append(load(browser, f"{engine.api}/#{code}"))
            least.append(_least(browser, engine.api, token))
    both = [max(found["line"], found["ladder"]) for found in loads]

    def moments(name: str) -> list[float]:
        return [found[name] for found in loads]

    return [
        row(f"page opened: live, {LOADS} loads", both, "ms", "1,000 ms"),
        row("  the quickest", [min(both)], "ms", ""),
        row("  first contentful paint", moments("first-contentful-paint"), "ms", ""),
        row("  the document is there", moments("document"), "ms", ""),
        row("  scripts have run", moments("ready"), "ms", ""),
        row("  signed in", moments("/v1/sign-in"), "ms", ""),
        row("  ticket of the WebSocket", moments("/v1/ws/ticket"), "ms", ""),
        row("  list of markets", moments("/v1/markets"), "ms", ""),
        row("  line says live", moments("line"), "ms", ""),
        row("  ladder has rows", moments("ladder"), "ms", ""),
        row("  an icon and one answer", least, "ms", ""),
    ]


def load(browser: Any, address: str) -> dict[str, float]:
    """The moments of one load."""
    context = browser.new_context(viewport=SCREEN)
    context.add_init_script(WATCH)
    page = context.new_page()
    page.goto(address)
    page.wait_for_function("() => 'line' in seen && 'ladder' in seen", timeout=PATIENCE_MS)
    found: dict[str, float] = page.evaluate(MOMENTS)
    context.close()
    return found


def _least(browser: Any, api: str, token: str) -> float:
    context = browser.new_context(viewport=SCREEN)
    context.add_init_script(LEAST.replace("TOKEN", token))
    page = context.new_page()
    page.goto(f"{api}/page/icon.svg")
    page.wait_for_function("() => 'took' in window", timeout=PATIENCE_MS)
    took = float(page.evaluate("window.took"))
    context.close()
    return took


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


PARTS: Final = {"frames": frames, "paint": paint}


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
