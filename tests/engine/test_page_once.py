"""What a trader meant once is done once, whatever the hand, the network and the clock do."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from tests.engine.running import Engine
from tests.engine.trader import Trader, needs_browser

pytestmark = needs_browser
HELD: Final = 12  # times that a held key repeats


@pytest.fixture(scope="module")
def trader(browser: Any) -> Iterator[Trader]:
    with Engine() as engine:
        engine.start()
        engine.until_healthy()
        yield Trader(engine, browser)


@pytest.fixture(autouse=True)
def ready(trader: Trader) -> None:
    """An empty ticket of the first market, and no order open."""
    trader.engine.post("/v1/orders/cancel-all", {})
    trader.sees("#orders", "No order is open.")
    for ticker in trader.tickers()[1::-1]:  # another market empties the ticket
        trader.chooses(ticker)
    trader.sees("#ticket [name=send]", "Place")


class Wire:
    """What reaches the exchange from now on."""

    def __init__(self, trader: Trader) -> None:
        self._engine = trader.engine
        self._ticker = trader.tickers()[0]
        self._before = len(self._engine.wire())

    def sent(self) -> list[str]:
        """Method and last word of each path: POST orders, POST amend, DELETE ID.

        Two orders of our own, one after the other, give the page's requests time to be there; they
        are left out.
        """
        own = {"ticker": self._ticker, "side": "bid", "price": "0.0100", "count": "1.00"}
        for _ in range(2):
            answer = self._engine.post("/v1/orders", own | {"time_in_force": "immediate_or_cancel"})
            assert answer.status_code == 201, answer.text
        calls = self._engine.wire()[self._before :]
        sent = [f"{call['method']} {call['path'].split('?')[0].split('/')[-1]}" for call in calls]
        sent.remove("POST orders")
        sent.remove("POST orders")
        return sent


def fill_in(trader: Trader, price: str, count: str) -> None:
    trader.page.fill("#ticket [name=price]", price)
    trader.page.fill("#ticket [name=count]", count)


def hold_enter(trader: Trader) -> None:
    for _ in range(HELD):
        trader.page.keyboard.down("Enter")  # from the second on it says that it repeats
    trader.page.keyboard.up("Enter")


def until_placed(trader: Trader, price: str) -> None:
    trader.sees("#ticket-told", f"Placed at {price}")
    trader.sees("#orders", price)


def test_two_clicks_are_one_order(trader: Trader) -> None:
    wire = Wire(trader)
    fill_in(trader, "1", "3")
    trader.page.dblclick("#ticket [name=send]")
    until_placed(trader, "1¢")
    trader.page.click("#ticket [name=send]")
    assert trader.page.evaluate("document.activeElement.name") == "price", "there is none"
    assert wire.sent() == ["POST orders"]


def test_a_held_key_is_one_order(trader: Trader) -> None:
    wire = Wire(trader)
    fill_in(trader, "1", "3")
    trader.page.focus("#ticket [name=count]")
    hold_enter(trader)
    until_placed(trader, "1¢")
    hold_enter(trader)
    assert wire.sent() == ["POST orders"]


def test_a_key_held_on_a_price_of_the_ladder_trades_nothing(trader: Trader) -> None:
    wire = Wire(trader)
    trader.page.fill("#ticket [name=count]", "3")
    trader.page.focus("#ladder tr.bid .price button")
    hold_enter(trader)
    assert trader.page.evaluate("document.activeElement.name") == "count"
    assert trader.page.is_checked("#ticket [value=ask]")
    assert wire.sent() == []


def test_who_scrolls_over_a_field_changes_nothing_in_it(trader: Trader) -> None:
    fill_in(trader, "7", "9")
    field = trader.page.locator("#ticket [name=count]")
    field.click()
    trader.page.mouse.wheel(0, -300)
    trader.page.mouse.wheel(0, 300)
    trader.page.evaluate("() => new Promise((done) => requestAnimationFrame(done))")
    assert field.input_value() == "9"


def test_two_clicks_amend_and_place_nothing(trader: Trader) -> None:
    trader.places("1", "3")
    until_placed(trader, "1¢")
    wire = Wire(trader)
    trader.page.click("#orders button:has-text('Amend')")
    trader.page.fill("#ticket [name=price]", "2")
    trader.page.dblclick("#ticket [name=send]")
    trader.sees("#ticket-told", "Amended at 2¢")
    trader.page.click("#ticket [name=send]")
    trader.sees("#orders", "2¢")
    assert trader.page.locator("#orders tr").count() == 1
    assert wire.sent() == ["POST amend"]


def test_an_order_whose_answer_is_lost_is_asked_about_and_not_placed_again(trader: Trader) -> None:
    def cut(route: Any) -> None:
        route.fetch()  # the engine has it, and has answered
        route.abort()

    wire = Wire(trader)
    trader.page.route("**/v1/orders", cut, times=1)
    trader.places("1", "3")
    trader.sees("#ticket-told", "Placed at 1¢")
    assert wire.sent() == ["POST orders"]


def test_no_answer_and_no_row_holds_the_ticket_until_it_is_known(trader: Trader) -> None:
    """The request never gets out: nobody can tell, so what was sent stays what it was."""
    page, wire = trader.page, Wire(trader)
    page.route("**/v1/orders", lambda route: route.abort())
    trader.places("1", "3")
    trader.sees("#ticket-told", "It may be there.")
    trader.sees("#ticket [name=send]", "Send again")
    page.focus("#ticket [name=count]")
    page.keyboard.press("ArrowUp")
    page.click("#ladder tr.bid .price button >> nth=0")
    assert page.input_value("#ticket [name=count]") == "3"
    assert page.input_value("#ticket [name=price]") == "1"
    first, other = trader.tickers()[:2]
    trader.chooses(other)
    trader.sees("#ticket .of", first)
    page.click("#ticket [name=send]")
    trader.sees("#ticket-told", "It may be there.")
    page.unroute("**/v1/orders")
    page.click("#ticket [name=send]")
    trader.sees("#ticket-told", f"Placed at 1¢: {first}.")
    trader.sees("#ticket .of", other)
    assert page.input_value("#ticket [name=price]") == "", "typed for another market"
    assert wire.sent() == ["POST orders"]


def test_a_repeat_that_nobody_hears_leaves_it_open(trader: Trader) -> None:
    """The first try is at the exchange; the front refuses the second before it asks anybody."""
    busy = {"status": 503, "code": "busy", "detail": "too many requests wait"}
    page, wire = trader.page, Wire(trader)
    page.route("**/v1/orders", lambda route: route.abort())
    trader.places("1", "3")
    trader.sees("#ticket-told", "It may be there.")
    page.unroute("**/v1/orders")
    page.route(
        "**/v1/orders", lambda route: route.fulfill(status=503, body=json.dumps(busy)), times=1
    )
    page.click("#ticket [name=send]")
    trader.sees("#ticket-told", "too many requests wait It may be there.")
    page.click("#ticket [name=send]")
    trader.sees("#ticket-told", "Placed at 1¢")
    assert wire.sent() == ["POST orders"]


def test_two_clicks_cancel_one_order(trader: Trader) -> None:
    for price in ("1", "2"):
        trader.places(price, "3")
        until_placed(trader, f"{price}¢")
    wire = Wire(trader)
    cancel = trader.page.locator("#orders tr:first-child button:has-text('Cancel')")
    trader.page.set_viewport_size({"width": 1440, "height": 1600})  # nothing scrolls
    box = cancel.bounding_box()
    x, y = box["x"] + 10, box["y"] + 10
    trader.page.mouse.click(x, y)
    trader.page.wait_for_function("() => document.querySelectorAll('#orders tr').length === 1")
    there = trader.page.evaluate("([x, y]) => document.elementFromPoint(x, y).innerText", [x, y])
    assert there == "Cancel", "by now it is the other order's"
    trader.page.mouse.click(x, y)
    assert len(wire.sent()) == 1
    trader.sees("#orders", "1¢")


def test_an_amend_elsewhere_leaves_the_ticket_where_the_trader_looks(trader: Trader) -> None:
    engine, name = trader.engine, "KXELSEWHERE-27JAN01-T5"
    engine.deed("market", ticker=name, bids=[["0.4000", "5.00"]])
    order = {"ticker": name, "side": "ask", "price": "0.9500", "count": "2.00"}
    engine.until(
        lambda: engine.post("/v1/orders", order).status_code == 201, 20, "the market is known"
    )
    trader.sees("#orders", name)
    trader.page.click(f"#orders tr:has-text('{name}') button:has-text('Amend')")
    trader.sees("#ticket .of", name)
    assert trader.page.is_checked("#ticket [value=ask]")
    trader.page.click("#ticket [name=back]")
    trader.sees("#ticket .of", trader.text("#market-ticker"))
    assert trader.page.is_checked("#ticket [value=bid]"), "as it was before the amend"


def test_who_gives_up_waiting_is_told_where_to_look(trader: Trader) -> None:
    page, wire = trader.page, Wire(trader)
    page.route("**/v1/orders", lambda route: route.abort())
    trader.places("1", "3")
    trader.sees("#ticket-told", "It may be there.")
    page.click("#ticket [name=back]")
    trader.sees("#ticket-told", "Look for it among the orders.")
    page.unroute("**/v1/orders")
    page.click("#ticket [name=send]")
    assert wire.sent() == []


def test_what_was_typed_does_not_go_for_another_market(trader: Trader) -> None:
    fill_in(trader, "7", "9")
    trader.chooses(trader.tickers()[1])
    assert trader.page.input_value("#ticket [name=count]") == ""
    trader.sees("#ticket [name=send]", "Place")


def test_an_amend_is_of_the_market_that_is_shown_then(trader: Trader) -> None:
    first, other = trader.tickers()[:2]
    trader.places("1", "3")
    until_placed(trader, "1¢")
    trader.chooses(other)
    trader.page.click("#orders button:has-text('Amend')")
    trader.sees("#market-ticker", first)
    trader.sees("#ticket .of", first)
    trader.sees("#ticket [name=send]", "Amend to 3 at 1¢")
    trader.page.click("#ticket [name=back]")


def test_signing_in_twice_makes_one_desk(trader: Trader) -> None:
    engine = trader.engine
    page = trader.page.context.browser.new_page()
    page.goto(f"{engine.api}/")
    page.fill("#token", Path(engine.settings.var_dir, "token.trade").read_text().strip())
    page.evaluate(
        "for (let i = 0; i < 3; i++) document.querySelector('#sign-in-form').requestSubmit()"
    )
    page.wait_for_selector("#ladder tr.bid")
    wire = Wire(trader)
    page.fill("#ticket [name=price]", "1")
    page.fill("#ticket [name=count]", "3")
    page.click("#ticket [name=send]")
    page.wait_for_function("() => /Placed/.test(document.querySelector('#ticket-told').innerText)")
    assert wire.sent() == ["POST orders"]
    page.close()


def test_the_way_to_the_content_does_not_lead_out(trader: Trader) -> None:
    trader.page.focus("#skip")
    trader.page.keyboard.press("Enter")
    assert trader.page.evaluate("document.activeElement.id") == "main"
    trader.sees("#line", "live")


def test_nothing_went_wrong_unseen(trader: Trader) -> None:
    assert trader.said == []
