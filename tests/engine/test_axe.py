"""The page and the status page are for everybody: axe-core finds nothing wrong in any state."""

import os
import signal
from collections.abc import Iterator
from typing import Any, Final

import pytest

from tests.engine.axe import faults, installed
from tests.engine.running import Engine
from tests.engine.trader import DESKTOP, PHONE, SOON_MS, Trader, needs_browser

pytestmark = needs_browser
LOOKS: Final[dict[str, dict[str, Any]]] = {
    "light": {"viewport": DESKTOP, "color_scheme": "light"},
    "dark": {"viewport": DESKTOP, "color_scheme": "dark"},
    "phone": {"viewport": PHONE, "is_mobile": True, "color_scheme": "light"},
    "dark phone": {"viewport": PHONE, "is_mobile": True, "color_scheme": "dark"},
}


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    installed()
    with Engine() as engine:
        engine.start()
        engine.until_trading()
        yield engine


@pytest.fixture(scope="module", params=LOOKS.values(), ids=LOOKS.keys())
def look(request: pytest.FixtureRequest) -> dict[str, Any]:
    return dict(request.param)


@pytest.fixture(scope="module")
def trader(engine: Engine, browser: Any, look: dict[str, Any]) -> Iterator[Trader]:
    """With a market that moves, an order in it, a fill and a position."""
    trader = Trader(engine, browser, **look)
    trader.chooses(trader.tickers()[3])
    trader.places("1", "3")
    trader.sees("#orders", "1¢")
    trader.places("99", "2", "immediate_or_cancel")
    trader.sees("#positions", trader.text("#market-ticker"))
    yield trader
    trader.page.close()


def bare(browser: Any, url: str, look: dict[str, Any]) -> Any:
    page = browser.new_page(**look)
    page.set_default_timeout(SOON_MS)
    page.goto(url)
    return page


def test_before_signing_in(engine: Engine, browser: Any, look: dict[str, Any]) -> None:
    page = bare(browser, engine.api, look)
    assert faults(page) == []
    page.fill("#token", "none that counts")
    page.press("#token", "Enter")
    page.wait_for_function(
        "() => document.querySelector('#sign-in-text').innerText.includes('count')"
    )
    assert faults(page) == []
    page.close()


def test_while_trading(trader: Trader) -> None:
    assert faults(trader.page) == []


def test_while_an_order_is_amended(trader: Trader) -> None:
    trader.page.click("#orders button:has-text('Amend')")
    found = faults(trader.page)
    trader.page.click("#ticket [name=back]")
    assert found == []


def test_with_an_order_that_was_refused(trader: Trader) -> None:
    trader.places("50", "1000000")
    trader.sees("#ticket-told", "Refused")
    assert faults(trader.page) == []


def test_while_the_panic_button_asks(trader: Trader) -> None:
    trader.page.click("#panic")
    trader.sees("#ask", "every order is canceled")
    found = faults(trader.page)
    trader.page.keyboard.press("Escape")
    assert found == []


def test_with_nothing_found(trader: Trader) -> None:
    trader.page.fill("#search", "nothing is called that")
    trader.sees("#markets-note", "0 of")
    found = faults(trader.page)
    trader.page.fill("#search", "")
    assert found == []


def test_while_halted_and_what_the_status_page_says_to_that(
    trader: Trader, browser: Any, look: dict[str, Any]
) -> None:
    trader.page.click("#halt")
    trader.sees("#gate", "gate closed")
    found = faults(trader.page)
    page = bare(browser, f"{trader.engine.status_page}/?still", look)
    why = page.inner_text(".why")
    of_status = faults(page)
    page.close()
    trader.engine.resume()
    trader.sees("#gate", "gate open")
    assert (found, of_status) == ([], [])
    assert "halted" in why


def test_while_the_connection_is_lost(trader: Trader) -> None:
    trader.page.context.set_offline(True)
    os.kill(trader.engine.pids()["api"], signal.SIGKILL)
    trader.sees("#line", "connection lost")
    found = faults(trader.page)
    trader.page.context.set_offline(False)
    trader.sees("#line", "live")
    trader.sees("#gate", "gate open")
    assert found == []


def test_the_status_page(engine: Engine, browser: Any, look: dict[str, Any]) -> None:
    engine.until_healthy()
    page = bare(browser, f"{engine.status_page}/?still", look)
    assert faults(page) == []
    page.close()


def test_what_is_wrong_is_found(browser: Any) -> None:
    """A page that has faults: so what says nothing above has looked."""
    page = browser.new_page()
    page.set_content("<title>A page</title><main><img src=x><p style='color:#ddd'>pale</p></main>")
    broken = {fault.partition(":")[0] for fault in faults(page)}
    page.close()
    assert {"html-has-lang", "image-alt", "color-contrast", "page-has-heading-one"} <= broken
