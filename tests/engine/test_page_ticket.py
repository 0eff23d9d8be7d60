"""Terms that can't be: the ticket says what is wrong where it was typed, and sends no order."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any, Final

import pytest

from tests.engine.running import Engine
from tests.engine.trader import Trader, needs_browser

pytestmark = needs_browser
TICKER: Final = "KXCENT-27JAN01-T5"  # of whole cents
WORD_MAX_S: Final = 30.0
IMPOSSIBLE: Final = {
    "no price": ("", "1", "price"),
    "a price of 0": ("0", "1", "price"),
    "a price below 0": ("-5", "1", "price"),
    "a price of 100": ("100", "1", "price"),
    "a price finer than there is": ("10.005", "1", "price"),
    "no count": ("10", "", "count"),
    "a count of 0": ("10", "0", "count"),
    "a count below 0": ("10", "-1", "count"),
    "a count finer than there is": ("10", "0.001", "count"),
}


@pytest.fixture(scope="module")
def trader(engine: Engine, browser: Any) -> Iterator[Trader]:
    engine.deed("market", ticker=TICKER, title="Whole cents?", bids=[["0.4000", "5.00"]])
    trader = Trader(engine, browser)
    trader.page.wait_for_selector(f"#markets button[title='{TICKER}']")
    trader.chooses(TICKER)
    yield trader
    trader.page.close()


@pytest.fixture(autouse=True)
def asked(trader: Trader) -> Iterator[list[Any]]:
    """What the page asks of orders; nothing of it may reach the exchange."""
    asked: list[Any] = []

    def note(request: Any) -> None:
        if "/v1/orders" in request.url:
            asked.append(request)

    wire = trader.engine.wire()
    trader.page.on("request", note)
    yield asked
    trader.page.remove_listener("request", note)
    assert trader.engine.wire() == wire, "an order has reached the exchange"


@pytest.mark.parametrize("terms", IMPOSSIBLE.values(), ids=IMPOSSIBLE.keys())
def test_what_no_market_takes_is_not_sent(
    trader: Trader, asked: list[Any], terms: tuple[str, str, str]
) -> None:
    price, count, wrong = terms
    trader.places(price, count)
    field = f"#ticket [name={wrong}]"
    assert trader.page.evaluate("document.activeElement.name") == wrong
    assert trader.page.eval_on_selector(field, "field => field.validationMessage")
    assert asked == []


def test_a_price_between_two_of_the_grid_is_refused_at_its_field(
    trader: Trader, asked: list[Any]
) -> None:
    trader.places("10.5", "1")
    trader.sees("#ticket-told", "off_grid_price")
    trader.sees("#ticket-told", "0.01")
    assert trader.page.evaluate("document.activeElement.name") == "price"
    assert len(asked) == 1


def test_more_contracts_than_one_order_may_be_are_refused(trader: Trader, asked: list[Any]) -> None:
    trader.places("50", "1000000")
    trader.sees("#ticket-told", "Refused")
    trader.sees("#ticket-told", "10000.00")
    assert len(asked) == 1


def cash(engine: Engine) -> Decimal:
    """What can be spent in this market."""
    rows = engine.get("/v1/balance").json()["balance"]
    return Decimal(next(row["balance"] for row in rows if row["shard"] == 0))


def test_more_than_the_account_has_is_refused(trader: Trader, asked: list[Any]) -> None:
    engine = trader.engine
    before = cash(engine)
    taken = f"{before - 10:.2f}"
    engine.deed("withdraw", amount=taken)
    try:
        engine.until(lambda: cash(engine) < 20, WORD_MAX_S, "the withdrawal is seen")
        trader.places("50", "9000")
        trader.sees("#ticket-told", "Refused")
        told = trader.text("#ticket-told")
    finally:
        engine.deed("deposit", amount=taken)
        engine.until(lambda: cash(engine) > before - 20, WORD_MAX_S, "the deposit is seen")
    assert "4500" in told and "10." in told, f"what it costs, and what there is: {told}"
    assert len(asked) == 1


def test_nothing_went_wrong_unseen(trader: Trader) -> None:
    assert trader.said == []
