"""The page opened: how soon it shows live data, and what it waits for. Called by `bench_page`."""

import time
from pathlib import Path
from typing import Any, Final

from protocol.runtime.loop import wall
from protocol.runtime.tokens import new_code
from tests.bench_browser import CODE_AGE_S, PATIENCE_MS, SCREEN, Rows
from tests.bench_ledger import row
from tests.engine.running import Engine
from tests.engine.trader import chromium

LOADS: Final = 10
LOADING_MAX_S: Final = 35.0  # on a machine that is too busy for it there are fewer

# The moments of a load, by `performance.now()`: each when it is seen first, at a frame's beginning.
WATCH: Final = """
window.seen = {};
const shown = {
  line: () => document.querySelector("#line")?.textContent.startsWith("live"),
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
# What a load waits for, in this order; a book comes once the front knows that it hears all of it:
# with the stream's next mark, of which there is one a second.
STEPS: Final = {
    "document": "the document is there",
    "first-contentful-paint": "first contentful paint",
    "ready": "scripts have run",
    "/v1/sign-in": "signed in",
    "/v1/ws/ticket": "ticket of the WebSocket",
    "/v1/follow": "tickers that are followed",
    "line": "line says live",
    "/v1/markets": "list of markets",
    "ladder": "ladder has rows",
}
# The least that shows live data of this engine: one file, one question, one text. The front
# serves no page of ours, so it is the page's icon with a question of its own.
LEAST: Final = """
fetch("/v1/status", {headers: {Authorization: "Bearer TOKEN"}}).then((answer) => answer.json())
  .then(() => requestAnimationFrame(() => { window.took = performance.now(); }));
"""


def opened() -> Rows:
    """From the navigation's start to live data, each time in a browser that has seen nothing."""
    with Engine() as engine, chromium() as browser:
        engine.start()
        engine.until_healthy(60)
        codes = [new_code(engine.settings.var_dir, wall()).decode() for _ in range(LOADS)]
        time.sleep(CODE_AGE_S)
        loads, least = [], []
        token = Path(engine.settings.var_dir, "token.read").read_text().strip()
        began = time.monotonic()
        for code in codes:
            if time.monotonic() - began > LOADING_MAX_S:
                break
            loads.append(load(browser, f"{engine.api}/#{code}"))
            least.append(_least(browser, engine.api, token))
    both = [max(found["line"], found["ladder"]) for found in loads]
    return [
        row(f"page opened: live, {len(loads)} loads", both, "ms", "1,000 ms"),
        row("  the quickest", [min(both)], "ms", ""),
        *(
            row(f"  {name}", [found[moment] for found in loads], "ms", "")
            for moment, name in STEPS.items()
            if all(moment in found for found in loads)
        ),
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
