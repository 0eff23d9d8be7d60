"""The exchange's recorded answers, read by the code that will read the next ones."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.errors import RemoteProtocolError
from protocol.kalshi import answers, calls
from protocol.kalshi.answers import (
    BalanceBody,
    Created,
    FillPage,
    LimitsBody,
    MarketPage,
    OneOrder,
    OrderPage,
    Refusal,
)
from protocol.kalshi.costs import Costs

REST = Path(__file__).parents[3] / "shared" / "captures" / "rest" / "demo-2026-06-11"
recorded = pytest.mark.skipif(not REST.exists(), reason="the captures are not beside this checkout")


def body(name: str) -> bytes:
    return (REST / f"{name}.json").read_bytes()


def meta(name: str) -> Any:
    return json.loads((REST / f"{name}.meta.json").read_text())


CREATES = [
    "orders__create_v2_maker",
    "orders__create_v2_taker_ioc",
    "orders__stp_self_cross",
    "orders__stp_setup",
    "orders__settlement_seed",
]
REFUSALS = {
    "orders__insufficient_balance": "insufficient_balance",
    "orders__invalid_price_structure": "invalid_price",
    "orders__numeric_field_types": "bad_request",
    "orders__post_only_cross": "invalid_order",
}


@recorded
@pytest.mark.parametrize("name", CREATES)
def test_a_recorded_create_is_accepted(name: str) -> None:
    about = meta(name)
    id = about["request_body"]["client_order_id"]
    assert isinstance(answers.outcome(id, about["status"], body(name)), Created)
    assert isinstance(answers.outcome("another", about["status"], body(name)), str)


@recorded
@pytest.mark.parametrize("name", REFUSALS)
def test_a_recorded_refusal_is_final(name: str) -> None:
    found = answers.outcome("x", meta(name)["status"], body(name))
    assert isinstance(found, Refusal)
    assert found.code == REFUSALS[name]


@recorded
def test_a_recorded_409_is_unknown() -> None:
    assert answers.outcome("x", 409, body("orders__duplicate_client_order_id")) == "status 409"


@recorded
def test_recorded_listings() -> None:
    orders = answers.read(body("portfolio__orders_list"), OrderPage)
    assert {o.fact().status for o in orders.orders} <= {"resting", "canceled", "executed"}
    [first, *_] = answers.read(body("fills__after_taker"), FillPage).fills
    fact = first.fact()
    assert (fact.price, fact.count, fact.fee, fact.exchange_at) == (
        520_000,
        100,
        17_500,
        1_781_159_370_164_956,
    )
    assert answers.read(body("orders__get_after_create"), OneOrder).order.status == "resting"
    assert answers.read(body("auth__balance_ok"), BalanceBody).balance_dollars == 98_018_600
    assert answers.read(body("account__limits"), LimitsBody).write.refill_rate == 100
    assert answers.read(body("markets__page1"), MarketPage).cursor


@recorded
def test_recorded_costs() -> None:
    costs = Costs(answers.read(body("account__endpoint_costs"), answers.CostsBody))
    assert costs.of(calls.cancel("o1", "KXA-1")) == 2
    assert costs.of(calls.BALANCE) == 10


@given(st.integers(0, 999), st.binary())
def test_no_answer_breaks_the_reading(status: int, raw: bytes) -> None:
    assert isinstance(answers.outcome("x", status, raw), Created | Refusal | str)


@pytest.mark.parametrize("text", ["", "yesterday", "2026-06-11", "2026-13-11T06:29:30Z", "０"])
def test_what_is_not_a_time_is_refused(text: str) -> None:
    with pytest.raises(RemoteProtocolError):
        answers.micros(text)
