"""Signing in on the page: the address with a code, and tokens that are pasted."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.engine.running import Engine
from tests.engine.trader import SOON_MS, Trader, needs_browser

pytestmark = needs_browser


@pytest.fixture(scope="module")
def trader(engine: Engine, browser: Any) -> Iterator[Trader]:
    trader = Trader(engine, browser)
    yield trader
    trader.page.close()


@pytest.fixture
def page(engine: Engine, browser: Any) -> Iterator[Any]:
    """A tab that has not signed in."""
    page = browser.new_page()
    page.set_default_timeout(SOON_MS)
    page.goto(engine.api)
    page.wait_for_selector("#sign-in")
    yield page
    page.close()


def pastes(page: Any, token: str) -> None:
    page.fill("#token", token)
    page.press("#token", "Enter")


def reads(page: Any, where: str, text: str) -> None:
    found = "([where, text]) => document.querySelector(where).innerText.includes(text)"
    page.wait_for_function(found, arg=[where, text])


def test_no_request_says_where_the_page_was_or_what_it_signed_in_with(
    engine: Engine, browser: Any, trader: Trader
) -> None:
    page, asked = browser.new_page(), list[Any]()
    page.on("request", lambda request: asked.append(request))
    address = trader.address()
    code = address.partition("#")[2]
    page.goto(address)
    page.wait_for_selector("#markets li")
    page.wait_for_selector("#ladder tr.bid")
    paths = {request.url.removeprefix(engine.api).partition("?")[0] for request in asked}
    assert {"/", "/page/app.js", "/page/uplot.js", "/v1/sign-in", "/v1/markets"} <= paths
    for request in asked:
        assert "referer" not in request.all_headers(), request.url
        said = request.url.partition("#")[0] + (request.post_data or "")
        assert code not in said
    page.close()


def test_the_history_does_not_keep_the_code(engine: Engine, browser: Any, trader: Trader) -> None:
    page = browser.new_page()
    page.set_default_timeout(SOON_MS)
    page.goto(f"{engine.status_page}/?still")
    code = trader.address().partition("#")[2]
    page.goto(f"{engine.api}/#{code}")
    page.wait_for_selector("#markets li")
    assert page.evaluate("history.length") == 3, "no more than a blank tab, that page and this one"
    page.go_back()
    assert page.url == f"{engine.status_page}/?still"
    page.go_forward()
    page.wait_for_selector("#sign-in")
    assert page.url == f"{engine.api}/"
    page.close()


def test_the_status_page_leads_to_the_page(engine: Engine, browser: Any) -> None:
    page = browser.new_page()
    page.set_default_timeout(SOON_MS)
    page.goto(f"{engine.status_page}/?still")
    page.click("nav a")
    page.wait_for_selector("#sign-in")
    page.close()


def test_a_code_counts_in_one_tab_and_the_next_is_told_so(
    engine: Engine, browser: Any, trader: Trader
) -> None:
    address = trader.address()
    first, second = browser.new_page(), browser.new_page()
    first.goto(address)
    first.wait_for_selector("#markets li")
    second.goto(address)
    reads(second, "#sign-in-text", "does not count any more")
    reads(second, "#sign-in-text", "sidecar page")
    assert second.is_visible("#token") and not second.is_visible("#desk")
    assert "#" not in second.url
    reads(first, "#line", "live")
    first.close()
    second.close()


@pytest.mark.parametrize(
    "token",
    ["none-that-counts", "A" * 43, "a b", "ein Schlüssel", "\u2603", "x" * 5_000],
    ids=["short", "like one", "two words", "letters of Latin-1", "a snowman", "long"],
)
def test_a_pasted_token_that_is_none(page: Any, token: str) -> None:
    """It is told so plainly, also where a header could not even carry it."""
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    before = page.inner_text("#sign-in-text")
    pastes(page, token)
    page.wait_for_function(
        "(before) => document.querySelector('#sign-in-text').innerText !== before", arg=before
    )
    said = page.inner_text("#sign-in-text")
    assert "count" in said, f"{token[:20]!r} is told {said!r}"
    assert page.is_visible("#token") and not page.is_visible("#desk")
    assert wrong == []


def test_a_pasted_token_that_may_only_read(engine: Engine, page: Any) -> None:
    pastes(page, Path(engine.settings.var_dir, "token.read").read_text().strip())
    page.wait_for_selector("#ladder tr.bid")
    reads(page, "#line", "live")
    wire = engine.wire()
    page.fill("#ticket [name=price]", "1")
    page.fill("#ticket [name=count]", "1")
    page.click("#ticket [name=send]")
    reads(page, "#ticket-told", "Refused")
    reads(page, "#ticket-told", "`trade`")
    page.click("#halt")
    reads(page, "#told", "`kill`")
    page.click("#panic")
    page.click("#ask-yes")
    reads(page, "#told", "panic")
    reads(page, "#told", "`kill`")
    assert engine.wire() == wire, "nothing was sent"
    assert engine.until_healthy().gate == "open"
