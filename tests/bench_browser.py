"""Debian's chromium, a trader's tab in it, and what that tab loads."""

import time
from collections import Counter
from typing import Any, Final
from urllib.parse import urlsplit

from protocol.runtime.loop import wall
from protocol.runtime.tokens import new_code
from tests.bench_ledger import row
from tests.engine.hostile import CHROMIUM
from tests.engine.running import Engine

Rows = list[dict[str, Any]]

CODE_AGE_S: Final = 3.0  # a code counts once the front has read the file of tokens again
PATIENCE_MS: Final = 30_000
SCREEN: Final = {"width": 1400, "height": 1000}


def without() -> str:
    """Why nothing can be measured, or ""."""
    if CHROMIUM is None:
        return "chromium is not installed"
    try:
        import playwright.sync_api  # noqa: F401
    except ImportError:
        return "playwright is not installed"
    return ""


def sign_in(engine: Engine, page: Any) -> None:
    code = new_code(engine.settings.var_dir, wall()).decode()
    time.sleep(CODE_AGE_S)
    page.goto(f"{engine.api}/#{code}")
    page.wait_for_selector("#ladder tr.bid, #ladder tr.ask", timeout=PATIENCE_MS)


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
        self._paths[event["requestId"]] = urlsplit(event["request"]["url"]).path

    def _came(self, event: Any) -> None:
        self._bytes[self._paths[event["requestId"]]] += event["encodedDataLength"]

    def rows(self) -> Rows:
        answers = sum(size for path, size in self._bytes.items() if path.startswith("/v1/"))
        files = sum(self._bytes.values()) - answers
        return [
            row("page and what it loads", [files / 1e3], "kB", "200 kB"),
            row("  files", [sum(not path.startswith("/v1/") for path in self._bytes)], "", ""),
            row("  answers of the API beside them", [answers / 1e3], "kB", ""),
        ]
