"""What a trader does on the page, in a real browser, against the whole engine."""

import os
import signal
from collections.abc import Iterator
from typing import Any

import pytest

from protocol.runtime.tokens import load_tokens
from protocol.tokens import is_page
from tests.engine.running import Engine
from tests.engine.trader import PHONE, SCREENS, Trader, needs_browser

pytestmark = needs_browser


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with Engine() as engine:
        engine.start()
        engine.until_healthy()
        yield engine


@pytest.fixture(scope="module")
def trader(engine: Engine, browser: Any) -> Iterator[Trader]:
    trader = Trader(engine, browser)
    yield trader
    trader.page.close()


def test_the_code_is_of_no_use_to_who_reads_the_address_later(trader: Trader) -> None:
    assert "#" not in trader.page.url
    kept = "document.cookie + JSON.stringify({...localStorage, ...sessionStorage})"
    assert trader.page.evaluate(kept) == "{}"


def test_a_market_is_found_and_moves(trader: Trader) -> None:
    ticker = trader.tickers()[-1]
    trader.page.fill("#search", ticker.lower())
    assert trader.page.locator("#markets li:visible").count() == 1
    trader.sees("#markets-note", "1 of 36 shown")
    trader.chooses(ticker)
    before = trader.text("#markets")
    trader.page.wait_for_function(
        "(before) => document.querySelector('#markets').innerText !== before", arg=before
    )
    trader.sees("#quote", "Open interest")
    assert trader.page.locator("#chart canvas").count() == 1


def test_an_order_is_placed_amended_and_canceled(trader: Trader) -> None:
    trader.places("1", "3")
    trader.sees("#ticket-told", "Placed at 1¢")
    trader.sees("#orders", "1¢")
    trader.sees("#ladder tr.bid .own", "3")
    trader.page.click("#orders button:has-text('Amend')")
    trader.page.fill("#ticket [name=price]", "2")
    trader.sees("#ticket [name=send]", "Amend to 3 at 2¢")
    trader.page.click("#ticket [name=send]")
    trader.sees("#ticket-told", "Amended at 2¢")
    trader.sees("#orders", "2¢")
    trader.page.click("#orders button:has-text('Cancel')")
    trader.sees("#orders", "No order is open.")


def test_a_price_of_the_ladder_goes_into_the_ticket(trader: Trader) -> None:
    trader.page.focus("#ladder tr.bid .price button")
    trader.page.keyboard.press("Enter")
    assert trader.page.is_checked("#ticket [value=ask]"), "who bids there buys: we would sell"
    assert trader.page.input_value("#ticket [name=price]")
    assert trader.page.evaluate("document.activeElement.name") == "count"


def test_a_fill_and_a_position_are_seen(trader: Trader) -> None:
    trader.places("99", "2", "immediate_or_cancel")
    trader.sees("#ticket-told", "2 filled")
    trader.sees("#fills", "buy YES")
    trader.sees("#positions", trader.text("#market-ticker"))
    trader.sees("#trades", "2")


def test_an_order_that_is_refused_says_why_where_it_was_sent(trader: Trader) -> None:
    trader.places("50", "1000000")
    trader.sees("#ticket-told", "Refused")


def test_a_halt_is_seen_and_its_end(trader: Trader) -> None:
    trader.page.click("#halt")
    trader.sees("#gate", "gate closed")
    trader.sees("#why", "sidecar resume")
    trader.places("1", "1")
    trader.sees("#ticket-told", "halted")
    trader.engine.resume()
    trader.sees("#gate", "gate open")


VICTIMS = ["api", "stream", "gateway", "writer", "rehydrator", "supervisor"]


@pytest.mark.parametrize("victim", VICTIMS)
def test_a_process_dies_and_the_page_says_so_and_recovers(trader: Trader, victim: str) -> None:
    os.kill(trader.engine.pids()[victim], signal.SIGKILL)
    if victim == "api":
        trader.sees("#line", "connection lost")
    trader.sees("#told", f"{victim}: ended and was started again.")
    trader.sees("#line", "live")
    trader.sees("#gate", "gate open")
    trader.page.wait_for_selector("#ladder tr.bid")


def test_a_supervisor_that_is_not_heard_makes_all_of_it_stale(trader: Trader) -> None:
    pid = trader.engine.pids()["supervisor"]
    os.kill(pid, signal.SIGSTOP)
    try:
        trader.sees("#line", "stale: the supervisor is not heard")
        trader.sees("#gate", "gate unknown")
        trader.page.click("#halt")
        trader.sees("#told", "Halted")
    finally:
        os.kill(pid, signal.SIGCONT)
    trader.sees("#line", "live")
    trader.engine.resume()
    trader.sees("#gate", "gate open")


def test_a_stream_that_is_not_heard_takes_the_book_away(trader: Trader) -> None:
    pid = trader.engine.pids()["stream"]
    os.kill(pid, signal.SIGSTOP)
    try:
        trader.sees("#book-note", "The book is lost")
        assert trader.text("#ladder") == "", "not even that nobody bids"
        trader.sees("#gate", "gate closed")
        trader.sees("#why", "stream")
    finally:
        os.kill(pid, signal.SIGCONT)
    trader.page.wait_for_selector("#ladder tr.bid")
    trader.sees("#gate", "gate open")


def test_a_market_that_nobody_follows_is_found_and_followed(trader: Trader) -> None:
    engine = trader.engine
    engine.post("/v1/follow", {"remove": ["*"]}).raise_for_status()
    name, title = "KXNEW-27JAN01-T5", "Something new?"
    engine.deed("market", ticker=name, title=title, bids=[["0.4000", "5.00"]])
    trader.page.fill("#search", name.lower())
    trader.page.keyboard.press("Enter")
    trader.page.click(f"#markets li:visible button[title='{name}']")
    trader.sees("#book-note", "does not follow")
    trader.page.click("#follow")
    trader.sees("#ladder tr.bid", "40¢")
    engine.post("/v1/follow", {"add": ["*"]}).raise_for_status()


@pytest.mark.parametrize(
    ("name", "looks"),
    [
        ("light", {}),
        ("dark", {"color_scheme": "dark"}),
        ("phone", {"viewport": PHONE, "is_mobile": True, "device_scale_factor": 2}),
    ],
)
def test_the_page_in_three_looks(
    engine: Engine, browser: Any, name: str, looks: dict[str, Any]
) -> None:
    trader = Trader(engine, browser, **looks)
    trader.chooses(trader.tickers()[5])
    trader.places("2", "10")
    trader.sees("#orders", "2¢")
    wide = trader.page.evaluate("document.documentElement.scrollWidth > innerWidth")
    assert not wide, "nothing sticks out"
    SCREENS.mkdir(parents=True, exist_ok=True)
    trader.page.evaluate("scrollTo(0, 0)")
    trader.page.screenshot(path=SCREENS / f"{name}.png", full_page=name == "phone")
    trader.page.close()
    assert (SCREENS / f"{name}.png").stat().st_size > 10_000


def test_panic_asks_once(trader: Trader) -> None:
    trader.sees("#orders", "2¢")  # of the looks above
    trader.page.click("#panic")
    trader.sees("#ask", "every order is canceled")
    trader.page.keyboard.press("Escape")
    trader.sees("#gate", "gate open")
    trader.page.click("#panic")
    trader.page.click("#ask-yes")
    trader.sees("#why", "panic")
    trader.sees("#orders", "No order is open.")


def test_a_new_address_in_the_same_tab_signs_in_anew(trader: Trader) -> None:
    trader.page.goto(trader.address())
    trader.sees("#line", "live")
    assert "#" not in trader.page.url


def test_a_token_that_ends_leads_back_to_the_door(trader: Trader) -> None:
    for token in load_tokens(trader.engine.settings.var_dir):
        if is_page(token.name):
            assert trader.engine.sidecar("token", "remove", token.name).returncode == 0
    trader.sees("#sign-in-text", "Your token does not count any more.")


def test_nothing_went_wrong_unseen(trader: Trader) -> None:
    assert trader.said == []
