"""What a trader does on the page, in a real browser, against the whole engine."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from protocol.runtime.loop import wall
from protocol.runtime.tokens import new_code
from tests.engine.hostile import CHROMIUM
from tests.engine.running import ROOT, Engine

pytestmark = pytest.mark.skipif(
    CHROMIUM is None and os.environ.get("CI") != "true", reason="chromium is not installed"
)
SCREENS = ROOT / "run" / "screens"
SOON_MS = 15_000


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with Engine() as engine:
        engine.start()
        engine.until_healthy()
        yield engine


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield chromium
        chromium.close()


class Trader:
    """A tab that has signed in, and what its console said."""

    def __init__(self, engine: Engine, browser: Any, **look: Any) -> None:
        self.engine = engine
        self.page = browser.new_page(**look)
        self.page.set_default_timeout(SOON_MS)
        self.said: list[str] = []
        self.page.on("console", lambda message: self._note(message))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        code = new_code(engine.settings.var_dir, wall()).decode()
        self.page.goto(f"{engine.api}/#{code}")
        self.sees("#line", "live")

    def _note(self, message: Any) -> None:
        if message.type == "error" and "Failed to load resource" not in message.text:
            self.said.append(message.text)

    def sees(self, where: str, text: str) -> None:
        """By and by it stands there."""
        self.page.wait_for_function(
            "([where, text]) => document.querySelector(where)?.innerText.includes(text)",
            arg=[where, text],
        )

    def text(self, where: str) -> str:
        return str(self.page.inner_text(where))

    def places(self, price: str, count: str, stays: str = "good_till_canceled") -> None:
        self.page.fill("#ticket [name=price]", price)
        self.page.fill("#ticket [name=count]", count)
        self.page.select_option("#ticket [name=tif]", stays)
        self.page.click("#ticket [name=send]")


@pytest.fixture(scope="module")
def trader(engine: Engine, browser: Any) -> Iterator[Trader]:
    trader = Trader(engine, browser, viewport={"width": 1400, "height": 1000})
    yield trader
    trader.page.close()


def test_the_code_is_of_no_use_to_who_reads_the_address_later(trader: Trader) -> None:
    assert "#" not in trader.page.url
    assert trader.page.evaluate("document.cookie + JSON.stringify({...localStorage})") == "{}"


def test_a_market_is_found_and_moves(trader: Trader) -> None:
    page = trader.page
    page.wait_for_selector("#markets li button")
    ticker = page.inner_text("#markets li:last-child .ticker")
    page.fill("#search", ticker.lower())
    assert page.locator("#markets li:visible").count() == 1
    page.click("#markets li:visible button")
    trader.sees("#market-ticker", ticker)
    page.fill("#search", "")
    page.wait_for_selector("#ladder tr.bid")
    before = trader.text("#markets")
    page.wait_for_function(
        "(before) => document.querySelector('#markets').innerText !== before", arg=before
    )


def test_an_order_is_placed_amended_and_canceled(trader: Trader) -> None:
    trader.places("1", "3")
    trader.sees("#ticket-told", "Placed at 1¢")
    trader.sees("#orders", "1¢")
    trader.page.click("#orders button:has-text('Amend')")
    trader.page.fill("#ticket [name=price]", "2")
    trader.page.click("#ticket [name=send]")
    trader.sees("#ticket-told", "Amended at 2¢")
    trader.sees("#orders", "2¢")
    trader.page.click("#orders button:has-text('Cancel')")
    trader.sees("#orders", "No order is open.")


def test_a_fill_and_a_position_are_seen(trader: Trader) -> None:
    trader.places("99", "2", "immediate_or_cancel")
    trader.sees("#ticket-told", "2 filled")
    trader.sees("#fills", "buy YES")
    trader.sees("#positions", trader.text("#market-ticker"))
    trader.page.screenshot(path=SCREENS / "light.png")


def test_an_order_that_is_refused_says_why_where_it_was_sent(trader: Trader) -> None:
    trader.places("50", "1000000")
    trader.sees("#ticket-told", "Refused")


def test_a_halt_is_seen_and_its_end(trader: Trader) -> None:
    trader.page.click("#halt")
    trader.sees("#gate", "gate closed")
    trader.sees("#why", "halted")
    trader.engine.resume()
    trader.sees("#gate", "gate open")


@pytest.mark.parametrize(
    "victim", ["api", "stream", "gateway", "writer", "rehydrator", "supervisor"]
)
def test_a_process_dies_and_the_page_says_so_and_recovers(trader: Trader, victim: str) -> None:
    os.kill(trader.engine.pids()[victim], signal.SIGKILL)
    wanted = (
        "() => !document.querySelector('#line').innerText.startsWith('live') || "
        "document.querySelector('#gate').innerText !== 'gate open' || "
        "document.querySelector('#book-note').innerText !== ''"
    )
    trader.page.wait_for_function(wanted)
    trader.sees("#line", "live")
    trader.sees("#gate", "gate open")
    trader.page.wait_for_selector("#ladder tr.bid")


def test_nothing_went_wrong_unseen(trader: Trader) -> None:
    assert trader.said == []


@pytest.mark.parametrize(
    ("name", "look"),
    [
        ("dark", {"viewport": {"width": 1400, "height": 1000}, "color_scheme": "dark"}),
        ("phone", {"viewport": {"width": 390, "height": 844}, "is_mobile": True}),
    ],
)
def test_other_looks(engine: Engine, browser: Any, name: str, look: dict[str, Any]) -> None:
    trader = Trader(engine, browser, **look)
    trader.page.wait_for_selector("#ladder tr.bid")
    wide = trader.page.evaluate("document.documentElement.scrollWidth > innerWidth")
    assert not wide, "nothing sticks out"
    trader.page.screenshot(path=SCREENS / f"{name}.png", full_page=name == "phone")
    trader.page.close()
    assert Path(SCREENS / f"{name}.png").stat().st_size > 10_000
