"""How each call is asked, and what it costs by the exchange's own table."""

from pathlib import Path

import msgspec
import pytest

from protocol.kalshi import answers, calls
from protocol.kalshi.answers import CostsBody
from protocol.kalshi.calls import Call
from protocol.kalshi.costs import Costs
from protocol.messages import PlaceOrder
from protocol.units import Count, Price

REST = Path(__file__).parents[3] / "shared" / "captures" / "rest" / "demo-2026-06-11"
recorded = pytest.mark.skipif(not REST.exists(), reason="the captures are not beside this checkout")

ORDER = PlaceOrder(
    "c1", "KXA-1", "bid", Price(560_000), Count(1_000), "good_till_canceled", post_only=True
)
WHOLE = (
    b'{"ticker":"KXA-1","side":"bid","count":"10.00","price":"0.5600",'
    b'"time_in_force":"good_till_canceled","self_trade_prevention_type":"taker_at_cross",'
    b'"client_order_id":"c1","post_only":true'
)
TABLE = CostsBody(
    10,
    (
        answers.EndpointCost("DELETE", "/trade-api/v2/portfolio/events/orders/:order_id", 2),
        answers.EndpointCost("DELETE", "/trade-api/v2/portfolio/events/orders/batched", 4),
        answers.EndpointCost("DELETE", "/trade-api/v2/portfolio/events/orders", 3),
        answers.EndpointCost("GET", "/trade-api/v2/portfolio/orders/:order_id", 5),
        answers.EndpointCost("GET", "/trade-api/v2/cfbenchmarks/*endpoint", 150),
    ),
)


def test_a_create_says_all_of_the_order_in_strings() -> None:
    call = calls.create(ORDER)
    assert (call.method, call.path, call.body) == ("POST", calls.ORDERS_PATH, WHOLE + b"}")
    sharded = calls.create(ORDER, 2)
    assert (sharded.body, sharded.shard) == (WHOLE + b',"exchange_index":2}', 2)
    grouped = calls.create(msgspec.structs.replace(ORDER, order_group_id="g-1"))
    assert grouped.body == WHOLE + b',"order_group_id":"g-1"}'


def test_a_cancel_always_names_its_market() -> None:
    call = calls.cancel("o1", "KXA-1", 3)
    assert (call.path, call.query) == (
        f"{calls.ORDERS_PATH}/o1",
        (("market_ticker", "KXA-1"), ("exchange_index", "3")),
    )
    assert calls.cancel("o1", "KXA-1").query == (("market_ticker", "KXA-1"),)


def test_a_decrease_says_what_shall_rest_and_names_its_market() -> None:
    call = calls.decrease("o1", "KXA-1", Count(300))
    assert (call.method, call.path) == ("POST", f"{calls.ORDERS_PATH}/o1/decrease")
    assert call.body == b'{"reduce_to":"3.00","market_ticker":"KXA-1"}'
    sharded = calls.decrease("o1", "KXA-1", Count(300), 2)
    assert (sharded.body, sharded.shard) == (call.body[:-1] + b',"exchange_index":2}', 2)


def test_a_name_is_one_part_of_a_path_and_never_none() -> None:
    assert calls.cancel("a/b?c#d", "KXA-1").path == f"{calls.ORDERS_PATH}/a%2Fb%3Fc%23d"
    assert calls.get_market("KXBTCD-26JUL0317-T60499.99", "order").path.endswith("T60499.99")
    with pytest.raises(AssertionError):  # it would cancel everything
        calls.cancel("", "KXA-1")


@pytest.mark.parametrize(
    "call, cost",
    [
        (calls.create(ORDER), 10),
        (calls.cancel("o1", "KXA-1"), 2),
        (calls.CANCEL_ALL, 3),
        (calls.decrease("o1", "KXA-1", Count(300)), 10),
        (calls.create_group(Count(5_000)), 10),
        (calls.delete_group("g-1"), 10),
        (calls.trigger_group("g-1", 2), 10),
        (Call("x", "DELETE", f"{calls.ORDERS_PATH}/batched", "cancel"), 4),
        (calls.get_order("o1", "cancel"), 5),
        (calls.list_orders("reconcile"), 10),
        (Call("x", "GET", "/cfbenchmarks/a/b", "read"), 150),
        (calls.BALANCE, 10),
    ],
)
def test_costs_follow_the_table(call: Call, cost: int) -> None:
    assert Costs(TABLE).of(call) == cost
    assert Costs().of(call) == 10


@recorded
def test_costs_by_the_recorded_table() -> None:
    body = (REST / "account__endpoint_costs.json").read_bytes()
    costs = Costs(answers.read(body, CostsBody))
    assert costs.of(calls.cancel("o1", "KXA-1")) == 2
    assert costs.of(calls.get_order("o1", "cancel")) == 2
    assert costs.of(calls.BALANCE) == 10
