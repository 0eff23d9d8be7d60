"""A trader in a real browser: a tab of the page that has signed in, and what was seen there."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import pytest

from protocol.runtime.loop import wall
from protocol.runtime.tokens import new_code
from tests.engine.hostile import CHROMIUM
from tests.engine.running import ROOT, Engine

SCREENS: Final = ROOT / "run" / "screens"
SOON_MS: Final = 20_000
DESKTOP: Final = {"width": 1440, "height": 1000}
PHONE: Final = {"width": 390, "height": 844}
needs_browser = pytest.mark.skipif(
    CHROMIUM is None and os.environ.get("CI") != "true", reason="chromium is not installed"
)


@contextmanager
def chromium() -> Iterator[Any]:
    """Debian's browser, for as long as somebody looks."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()


class Trader:
    """A tab that has signed in with a code of its own."""

    def __init__(self, engine: Engine, browser: Any, **looks: Any) -> None:
        self.engine = engine
        self.page = browser.new_page(**({"viewport": DESKTOP} | looks))
        self.page.set_default_timeout(SOON_MS)
        self.said: list[str] = []  # by the console, and errors
        self.page.on("console", self._note)
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.goto(self.address())
        self.sees("#line", "live")

    def address(self) -> str:
        """One to sign in at, once."""
        return f"{self.engine.api}/#{new_code(self.engine.settings.var_dir, wall()).decode()}"

    def _note(self, message: Any) -> None:
        # A request that is refused, or finds nobody, is told by the browser, too: it is no fault.
        if message.type == "error" and "Failed to load resource" not in message.text:
            self.said.append(message.text)

    def sees(self, where: str, text: str) -> None:
        """By and by it stands there, for everybody to see."""
        from playwright.sync_api import TimeoutError

        try:
            self.page.wait_for_function(
                """([where, text]) => [...document.querySelectorAll(where)]
                .some((found) => found.checkVisibility() && found.innerText.includes(text))""",
                arg=[where, text],
            )
        except TimeoutError:
            found = self.page.locator(where).all_inner_texts()
            raise AssertionError(f"{where} says {found}, expected {text!r}") from None

    def text(self, where: str) -> str:
        return str(self.page.inner_text(where))

    def chooses(self, ticker: str) -> None:
        """Search for a market by its ticker, take it, and wait for its book."""
        self.page.fill("#search", ticker)
        self.page.click(f"#markets li:visible button[title='{ticker}']")
        self.page.fill("#search", "")
        self.sees("#market-ticker", ticker)
        self.page.wait_for_selector("#ladder tr.bid")

    def tickers(self) -> list[str]:
        """Of the markets in the list, in its order."""
        self.page.wait_for_selector("#markets li button")
        return list(self.page.locator("#markets .ticker").all_inner_texts())

    def places(
        self, price: str, count: str, stays: str = "good_till_canceled", side: str = "buy"
    ) -> None:
        self.page.click(f"#ticket label.{side}")
        self.page.fill("#ticket [name=price]", price)
        self.page.fill("#ticket [name=count]", count)
        self.page.select_option("#ticket [name=tif]", stays)
        self.page.click("#ticket [name=send]")
