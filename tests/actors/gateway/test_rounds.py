"""Rounds: what the exchange shows becomes entries, completely; what nothing explains halts."""

import json
from typing import Any

import pytest

from actors.gateway.desk import CallAnswered
from protocol.facts import (
    CashDiffers,
    Fill,
    MoneyMoved,
    PositionDiffers,
    Reconciled,
    Settled,
    essence,
)
from protocol.limits import (
    DIFFER_AGAIN,
    PAGE_TRIES,
    RECONCILE_INTERVAL,
    SECOND,
    SETTLING_MAX,
)
from protocol.messages import Reconcile, Resume
from protocol.units import Count, Money, Price
from tests.actors.gateway.scene import MARKET, Scene, rfc
from tests.actors.gateway.test_orders import live

FILL = {
    "order_id": "o9", "trade_id": "t9", "ticker": "KXA-1", "count_fp": "10.00",
    "yes_price_dollars": "0.5000", "fee_cost": "0.1750", "is_taker": True, "book_side": "bid",
    "created_time": "1970-01-01T00:00:01Z",
}  # fmt: skip
BOUGHT = Fill("o9", "t9", "KXA-1", "bid", Price(500_000), Count(1_000), Money(175_000), True)
HELD = {"ticker": "KXA-1", "position_fp": "10.00", "market_exposure_dollars": "5.0000"}
SETTLED = {
    "ticker": "KXA-1", "market_result": "yes", "yes_count_fp": "10.00", "no_count_fp": "0.00",
    "revenue": 1000, "settled_time": "1970-01-01T00:00:09Z", "fee_cost": "0.0000",
}  # fmt: skip
MINUTE = RECONCILE_INTERVAL + 2 * SECOND


class House(Scene):
    """An exchange with money in it."""

    @property
    def halts(self) -> list[str]:
        """Why trading was halted, each time."""
        return [saved.latch.reason for saved in self.saves if saved.latch.halted]

    def shows(self, held: Any = (), balance: str = "100.0000", **lists: Any) -> "House":
        """What the exchange's reads say from now on."""
        self.instead["/portfolio/positions"] = {"market_positions": list(held), "cursor": ""}
        self.instead["/portfolio/balance"] = {"balance_dollars": balance}
        for name, rows in lists.items():
            self.instead[f"/portfolio/{name}"] = {name: list(rows), "cursor": ""}
        return self

    def open(self, *facts: Any) -> "House":
        """Restored, read, and the cash taken over as it is."""
        self.restore(*facts).pass_time(3 * SECOND)
        live(self, 2 * DIFFER_AGAIN)
        assert self.core.ledger.account.cash is not None  # type: ignore[attr-defined]
        return self


def of(kind: type, facts: list[Any]) -> list[Any]:
    return [fact for fact in facts if isinstance(fact, kind)]


def rounds(facts: list[Any]) -> list[str]:
    return [fact.cause for fact in of(Reconciled, facts)]


def test_a_round_at_boot_when_asked_and_each_minute() -> None:
    scene = House()
    scene.restore().pass_time(3 * SECOND)
    assert rounds(live(scene, SECOND)) == ["boot"]
    live(scene, 2 * DIFFER_AGAIN)
    scene.ask(Reconcile("reconnected"))
    assert rounds(live(scene, SECOND)) == ["asked"]
    assert rounds(live(scene, 3 * MINUTE)) == ["interval"] * 3, "the first soon after it"


def test_what_is_found_says_how_much_was_new() -> None:
    scene = House().open()
    scene.shows([HELD], "94.8250", fills=[FILL])
    booked = live(scene, MINUTE)
    assert [f.trade_id for f in of(Fill, booked)] == ["t9"]
    assert [f.found for f in of(Reconciled, booked)] == [1]
    assert of(PositionDiffers, booked) == of(CashDiffers, booked) == [], "the fill explains both"
    assert scene.halts == []


def test_a_page_that_fails_is_asked_for_again_and_the_round_goes_on() -> None:
    scene = House().open()
    scene.instead["/portfolio/fills"] = None
    live(scene, MINUTE)
    made = len(scene.made)
    for _ in range(PAGE_TRIES - 1):
        scene.reply(503, b"<html>busy</html>")
        live(scene, 2 * SECOND)
    assert {m.call.path for m in scene.made[made:]} <= {"/portfolio/fills", "/portfolio/balance"}
    scene.reply(200, {"fills": [], "cursor": ""})
    assert rounds(live(scene, SECOND)) == ["interval"]


def test_a_listing_that_goes_round_proves_nothing() -> None:
    scene = House().open()
    scene.instead["/portfolio/fills"] = {"fills": [], "cursor": "again"}
    assert rounds(live(scene, MINUTE)) == []
    scene.shows(fills=[])
    assert rounds(live(scene, 5 * SECOND)) == ["interval"]


def test_what_was_held_before_the_ledger_is_taken_over() -> None:
    scene = House()
    scene.shows([HELD])
    scene.restore().pass_time(3 * SECOND)
    booked = live(scene, 4 * DIFFER_AGAIN)
    [opened] = of(PositionDiffers, booked)
    assert (opened.ours, opened.theirs, opened.cause) == (0, 1_000, "opened")
    assert [f.cause for f in of(CashDiffers, booked)] == ["opened"]
    assert booked.index(opened) < booked.index(of(Reconciled, booked)[0]), "before the first round"
    assert of(PositionDiffers, live(scene, 2 * MINUTE)) == []


def test_a_position_that_nothing_explains_halts_once_until_somebody_accepts_it() -> None:
    scene = House().open()
    scene.shows([HELD])
    booked = live(scene, MINUTE + 2 * DIFFER_AGAIN)
    [differs] = of(PositionDiffers, booked)
    assert differs.cause == "unexplained"
    [reason] = scene.halts
    assert "KXA-1: the ledger holds 0.00, the exchange shows 10.00" in reason
    assert of(PositionDiffers, live(scene, 3 * MINUTE)) == [], "said once"
    resume(scene)
    [accepted] = of(PositionDiffers, live(scene, MINUTE + 2 * DIFFER_AGAIN))
    assert accepted.cause == "accepted"
    assert scene.halts == []
    assert scene.core.ledger.account.position("KXA-1").position == 1_000  # type: ignore[attr-defined]


def resume(scene: House) -> None:
    scene.save()
    scene.ask(Resume("seen"), "resume")
    scene.save()


def test_positions_lag_behind_fills_and_that_is_no_difference() -> None:
    scene = House().open()
    scene.instead["/exchange/user_data_timestamp"] = {"as_of_time": rfc(scene.at)}
    scene.shows(balance="94.8250", fills=[FILL])
    live(scene, 2 * MINUTE)
    assert scene.halts == []
    del scene.instead["/exchange/user_data_timestamp"]
    scene.shows([HELD], "94.8250", fills=[FILL])
    booked = live(scene, 2 * MINUTE)
    assert of(PositionDiffers, booked) == of(CashDiffers, booked) == scene.halts == []


def test_a_settlement_explains_position_and_cash() -> None:
    scene = House()
    scene.shows([HELD], "94.8250", fills=[FILL])
    scene.open()
    scene.shows([], "104.8250", fills=[FILL], settlements=[SETTLED])
    booked = live(scene, MINUTE + 2 * DIFFER_AGAIN)
    assert [f.revenue for f in of(Settled, booked)] == [10_000_000]
    assert of(PositionDiffers, booked) == of(CashDiffers, booked) == scene.halts == []


def test_a_market_that_trades_no_more_may_take_its_time_to_settle() -> None:
    scene = House()
    scene.shows([HELD], "94.8250", fills=[FILL])
    scene.open()
    scene.shows([], "94.8250", fills=[FILL])
    scene.instead["/markets/KXA-1"] = {"market": {**MARKET, "status": "determined"}}
    live(scene, SETTLING_MAX - MINUTE)
    assert scene.halts == []
    live(scene, 3 * MINUTE)
    assert len(scene.halts) == 1


def test_a_position_that_vanishes_while_the_market_trades_halts_soon() -> None:
    scene = House()
    scene.shows([HELD], "94.8250", fills=[FILL])
    scene.open()
    scene.shows([], "94.8250", fills=[FILL])
    live(scene, MINUTE + 2 * DIFFER_AGAIN)
    assert len(scene.halts) == 1


def test_cash_that_nothing_explains_halts() -> None:
    scene = House().open()
    scene.shows(balance="99.0000")
    booked = live(scene, MINUTE + 2 * DIFFER_AGAIN)
    assert [f.cause for f in of(CashDiffers, booked)] == ["unexplained"]
    assert "make 100.0000, the exchange shows 99.0000" in scene.halts[0]


def test_a_deposit_explains_the_cash() -> None:
    scene = House().open()
    deposit = {
        "id": "d1", "status": "applied", "type": "ach", "amount_cents": 2_500, "fee_cents": 0,
        "created_ts": 9,
    }  # fmt: skip
    scene.shows(balance="125.0000", deposits=[deposit])
    booked = live(scene, MINUTE + 2 * DIFFER_AGAIN)
    assert [f.amount for f in of(MoneyMoved, booked)] == [25_000_000]
    assert of(CashDiffers, booked) == scene.halts == []


def test_rounding_moves_the_base() -> None:
    scene = House().open()
    scene.shows([HELD], "94.8200", fills=[FILL])
    booked = live(scene, MINUTE + 2 * DIFFER_AGAIN)
    assert [f.cause for f in of(CashDiffers, booked)] == ["rounded"]
    assert scene.halts == []


def test_an_order_that_should_rest_and_is_nowhere_is_looked_for_in_the_history() -> None:
    from tests.actors.gateway.test_orders import MADE, ROW

    scene = House().open()
    scene.ask(order_of_ours())
    scene.acknowledge()
    scene.reply(201, MADE)
    live(scene, SECOND)
    scene.instead["/portfolio/orders/o1"] = None
    scene.instead["/historical/orders"] = {
        "orders": [{**ROW, "status": "canceled", "remaining_count_fp": "0.00"}], "cursor": "",
    }  # fmt: skip
    live(scene, MINUTE)
    scene.reply(404, {"error": {"code": "not_found"}})
    live(scene, 2 * SECOND)
    assert scene.core.ledger.account.order("c1").state == "canceled"  # type: ignore[attr-defined]


def order_of_ours() -> Any:
    from tests.actors.gateway.scene import order

    return order()


@pytest.mark.parametrize("status", [404, 503])
def test_without_word_on_freshness_a_round_goes_on(status: int) -> None:
    scene = House().open()
    scene.instead["/exchange/user_data_timestamp"] = None
    live(scene, MINUTE)
    for _ in range(PAGE_TRIES):
        raw = json.dumps({"error": {"code": "x"}}).encode()
        scene.feed(CallAnswered(scene.at, scene.calls.pop(0).id, status, raw))
        live(scene, 2 * SECOND)
    assert scene.core._reconciler.done == 3, "boot, the cash looked at twice, and this one"


def trade(n: int, side: str, size: str) -> dict[str, Any]:
    at = f"1970-01-01T00:00:{n:02d}Z"
    return {**FILL, "trade_id": f"n{n}", "book_side": side, "count_fp": size, "fee_cost": "0.0000",
            "created_time": at}  # fmt: skip


def test_after_a_resume_trading_goes_on_beside_the_difference_that_was_accepted() -> None:
    scene = House().open()
    scene.shows([HELD])
    live(scene, MINUTE + 2 * DIFFER_AGAIN)
    resume(scene)
    one_more = {**HELD, "position_fp": "20.00", "market_exposure_dollars": "10.0000"}
    scene.shows([one_more], "95.0000", fills=[trade(9, "bid", "10.00")])
    booked = live(scene, 2 * MINUTE)
    assert [f.cause for f in of(PositionDiffers, booked)] == ["accepted"]
    assert scene.halts == []
    assert scene.core.ledger.account.position("KXA-1").position == 2_000  # type: ignore[attr-defined]


def test_a_difference_that_resolves_itself_is_forgotten_and_sounds_anew() -> None:
    scene = House().open()
    scene.shows([HELD])
    live(scene, MINUTE + 2 * DIFFER_AGAIN)
    resume(scene)
    scene.shows([])
    assert [f.cause for f in of(PositionDiffers, live(scene, 2 * MINUTE))] == ["resolved"]
    scene.shows([HELD])
    assert [f.cause for f in of(PositionDiffers, live(scene, 2 * MINUTE))] == ["unexplained"]
    assert len(scene.halts) == 1


def test_cash_that_comes_back_by_itself_is_forgotten() -> None:
    scene = House().open()
    scene.shows(balance="99.0000")
    live(scene, MINUTE + 2 * DIFFER_AGAIN)
    scene.shows(balance="100.0000")
    booked = live(scene, 2 * MINUTE)
    assert [f.cause for f in of(CashDiffers, booked)] == ["resolved"]


def test_a_position_that_moves_between_two_readings_is_no_difference() -> None:
    """Bought one, sold one: both readings are a fill behind, and show the same pair."""
    scene = House().open()
    first, *more = trade(1, "bid", "10.00"), trade(2, "ask", "10.00"), trade(3, "bid", "10.00")
    scene.shows([], "100.0000", fills=[first])
    scene.ask(Reconcile("now"))
    live(scene, SECOND)
    scene.shows([], "100.0000", fills=[first, *more])
    live(scene, DIFFER_AGAIN)
    scene.shows([HELD], "95.0000", fills=[first, *more])
    live(scene, 2 * DIFFER_AGAIN)
    assert scene.halts == []


def test_money_of_a_settlement_may_come_later_than_its_row() -> None:
    scene = House()
    scene.shows([HELD], "94.8250", fills=[FILL])
    scene.open()
    now = rfc(scene.at)
    scene.shows([], "94.8250", fills=[FILL], settlements=[{**SETTLED, "settled_time": now}])
    live(scene, 5 * MINUTE)
    assert scene.halts == []
    scene.shows([], "104.8250", fills=[FILL], settlements=[{**SETTLED, "settled_time": now}])
    booked = live(scene, 2 * MINUTE)
    assert of(CashDiffers, booked) == scene.halts == []


def test_a_deposit_that_is_told_with_another_time_is_the_same_deposit() -> None:
    early, late = (MoneyMoved("deposit", "d1", Money(5), at) for at in (1, 2))
    assert essence(early) == essence(late)


def test_cash_that_is_missing_beside_a_settlement_halts_all_the_same() -> None:
    scene = House()
    scene.shows([HELD], "94.8250", fills=[FILL])
    scene.open()
    settled = {**SETTLED, "settled_time": rfc(scene.at)}
    scene.shows([], "103.8250", fills=[FILL], settlements=[settled])
    live(scene, MINUTE + 2 * DIFFER_AGAIN)
    assert len(scene.halts) == 1, "it is not what the market paid that is missing"


def test_cash_that_is_missing_is_found_however_often_is_traded() -> None:
    scene = House().open()
    fills: list[dict[str, Any]] = []
    for n in range(9):
        fills = [*fills, trade(n + 1, "ask" if n % 2 else "bid", "10.00")]
        held = [] if n % 2 else [HELD]
        scene.shows(held, "98.0000" if n % 2 else "93.0000", fills=fills)
        scene.ask(Reconcile("now"))
        live(scene, DIFFER_AGAIN + SECOND)
    assert len(scene.halts) == 1
    assert "make 95.0000, the exchange shows 93.0000" in scene.halts[0] or (
        "make 100.0000, the exchange shows 98.0000" in scene.halts[0]
    )
