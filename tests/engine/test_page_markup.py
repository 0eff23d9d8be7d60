"""What the exchange says of a market is text on the page, whatever stands in it."""

from collections.abc import Iterator
from typing import Any, Final

import pytest

from tests.engine.running import Engine
from tests.engine.trader import Trader, needs_browser

pytestmark = needs_browser
TITLE: Final = (
    '<img src=x onerror=alert(1)><script>document.title="owned"</script><b>bold</b> & "quotes"'
)
TICKER: Final = "KXMARKUP-27JAN01-IMG.ONERROR"
SUBTITLE: Final = "</span><iframe src=javascript:alert(2)></iframe>&amp;"
SHOWN: Final = f"{TITLE} {SUBTITLE}"


@pytest.fixture(scope="module")
def trader(engine: Engine, browser: Any) -> Iterator[Trader]:
    engine.deed("market", ticker=TICKER, title=TITLE, bids=[["0.4000", "5.00"]])
    engine.deed("metadata", ticker=TICKER, yes_sub_title=SUBTITLE)
    trader = Trader(engine, browser)
    yield trader
    trader.page.close()


def test_a_title_with_markup_is_shown_as_it_is(trader: Trader) -> None:
    page, opened = trader.page, list[str]()
    page.on("dialog", lambda dialog: (opened.append(dialog.message), dialog.dismiss()))
    before = page.evaluate("document.querySelectorAll('img, script, iframe').length")
    title = page.title()
    trader.sees("#markets", "bold")
    page.fill("#search", "<img src=x onerror")
    assert page.locator("#markets li:visible").count() == 1
    assert page.locator("#markets li:visible .title").text_content() == SHOWN
    assert page.locator("#markets li:visible .ticker").text_content() == TICKER
    page.click("#markets li:visible button")
    trader.sees("#market-title", "bold")
    assert page.text_content("#market-title") == SHOWN
    assert page.text_content("#market-ticker") == TICKER
    trader.sees("#ladder tr.bid", "40¢")
    trader.places("1", "3")
    trader.sees("#ticket-told", "Placed")
    trader.sees("#orders", TICKER)
    page.click(f"#orders tr:has-text('{TICKER}') button:has-text('Cancel')")
    page.wait_for_function(
        "(ticker) => !document.querySelector('#orders').innerText.includes(ticker)", arg=TICKER
    )
    assert page.evaluate("document.querySelectorAll('img, script, iframe').length") == before
    assert (page.title(), opened, trader.said) == (title, [], [])


def test_a_search_at_the_exchange_for_markup_says_the_text_that_was_sought(trader: Trader) -> None:
    page = trader.page
    page.fill("#search", '<b>bold</b> & "quotes"')
    page.keyboard.press("Enter")
    trader.sees("#markets-note", "1 of")
    assert page.locator("#markets li:visible .title").text_content() == SHOWN
    assert trader.said == []
