"""Order groups: a limit on what is matched in 15 seconds, and what happens beyond it."""

import json
from typing import Any

import pytest

from actors.paper.answers import Answer
from actors.paper.calls import GROUPS, ORDERS
from actors.paper.matching import Side

from .house import TICKER, Client
from .quiet import BEGAN, EMPTY, A, Quiet, bare, error, new

MS = BEGAN // 1_000
CHANNEL = "order_group_updates"


def make(quiet: Quiet, limit: str = "10.00", **more: Any) -> str:
    answer = quiet.write("POST", f"{GROUPS}/create", {"contracts_limit_fp": limit} | more)
    assert answer.status == 201, answer
    assert isinstance(answer.body, dict)
    group_id: str = answer.body["order_group_id"]
    return group_id


def put(quiet: Quiet, group_id: str, word: str, body: Any = None, **query: str) -> Answer:
    return quiet.write("PUT", f"{GROUPS}/{group_id}/{word}", body, **query)


def shown(quiet: Quiet, group_id: str) -> dict[str, Any]:
    body = quiet.get(f"{GROUPS}/{group_id}").body
    assert isinstance(body, dict)
    return body


def status(quiet: Quiet, order_id: str) -> str:
    return quiet.exchange.account.orders[order_id].status


def words(frames: list[dict[str, Any]]) -> list[str]:
    return [frame["msg"]["event_type"] for frame in frames if frame["type"] == CHANNEL]


def test_a_group_is_made_listed_and_told() -> None:
    quiet = bare(shards={"KXB": 2})
    one = quiet.connect()
    one.subscribe(CHANNEL)
    answer = quiet.write("POST", f"{GROUPS}/create", {"contracts_limit": 150, "exchange_index": 2})
    assert isinstance(answer.body, dict)
    group_id = answer.body["order_group_id"]
    assert answer == Answer(201, {"order_group_id": group_id, "subaccount": 0, "exchange_index": 2})
    (frame,) = one.told()
    assert (frame["type"], frame["seq"]) == (CHANNEL, 1)
    assert frame["msg"] == {
        "event_type": "created", "order_group_id": group_id, "contracts_limit_fp": "150.00",
        "ts_ms": MS,
    }  # fmt: skip
    row = {"contracts_limit_fp": "150.00", "exchange_index": 2, "is_auto_cancel_enabled": True}
    assert shown(quiet, group_id) == row | {"orders": []}
    other = make(quiet)
    listed = quiet.get(GROUPS).body
    assert isinstance(listed, dict)
    assert listed["order_groups"][0] == {"id": group_id} | row
    assert [found["id"] for found in listed["order_groups"]] == [group_id, other]


def test_what_exceeds_the_limit_cancels_the_group_and_nothing_else() -> None:
    quiet = bare()
    group = make(quiet)
    inside = [quiet.order(name, order_group_id=group, count="6.00") for name in "abc"]
    elsewhere = quiet.order("d", ticker=A, order_group_id=group)
    outside = quiet.order("e")
    assert shown(quiet, group)["orders"] == [*inside, elsewhere]
    one = quiet.connect()
    one.subscribe(CHANNEL, "user_orders", "fill")
    quiet.sell("10.00")
    assert words(one.told()) == []  # as much as it may
    quiet.sell("0.01")
    told = one.told()
    assert words(told) == ["triggered"]
    gone = [
        (frame["msg"]["client_order_id"], frame["msg"]["status"])
        for frame in told
        if frame["type"] == "user_order"
    ]
    assert gone == [("b", "canceled"), ("c", "canceled"), ("d", "canceled")]
    assert {frame["msg"].get("order_group_id") for frame in told if "ticker" in frame["msg"]} == {
        group
    }
    assert (status(quiet, inside[0]), status(quiet, outside)) == ("executed", "resting")
    assert shown(quiet, group)["orders"] == []
    refused = quiet.write("POST", ORDERS, new("f", order_group_id=group))
    assert error(refused) == (400, "exceeded_order_group_risk_limit")
    assert error(quiet.write("POST", ORDERS, new("f", order_group_id="none"))) == (
        400, "order_group_not_found",
    )  # fmt: skip
    assert put(quiet, group, "reset") == Answer(200, {})
    assert words(one.told()) == ["reset"]
    quiet.order("f", order_group_id=group, count="20.00")
    quiet.sell("20.01")  # ten of them to e, which came first
    assert words(one.told()) == ["triggered"]


def test_codes_that_nobody_has_seen_may_be_in_upper_case() -> None:
    quiet = bare()
    group = make(quiet)
    put(quiet, group, "trigger")
    quiet.arm(uppercase_codes=True)
    body = new("a", order_group_id=group)
    assert error(quiet.write("POST", ORDERS, body)) == (400, "EXCEEDED_ORDER_GROUP_RISK_LIMIT")
    batch = quiet.write("POST", f"{ORDERS}/batched", {"orders": [body, new("b", price="0.0550")]})
    assert isinstance(batch.body, dict)
    codes = [member["error"]["code"] for member in batch.body["orders"]]
    assert codes == ["EXCEEDED_ORDER_GROUP_RISK_LIMIT", "invalid_price"]


def test_one_incoming_order_counts_whole() -> None:
    quiet = bare()
    group = make(quiet)
    first, second = (quiet.order(name, order_group_id=group, count="12.00") for name in "ab")
    quiet.sell("20.00")
    filled = [quiet.exchange.account.orders[order_id].filled for order_id in (first, second)]
    assert filled == [1_200, 800]
    assert (status(quiet, first), status(quiet, second)) == ("executed", "canceled")


def test_the_window_rolls() -> None:
    quiet = bare()
    group = make(quiet)
    order_id = quiet.order("a", order_group_id=group, count="100.00")
    for _ in range(3):
        quiet.sell("5.00")
        quiet.later(7.5)  # two of them are in the window, the third has just left it
        assert status(quiet, order_id) == "resting"
    quiet.sell("10.00")
    assert status(quiet, order_id) == "canceled"


def test_a_taker_counts_too_and_what_is_left_of_it_goes() -> None:
    quiet = bare()
    group = make(quiet)
    quiet.do("public", ticker=EMPTY, side="ask", price="0.5200", count="12.00")
    resting = quiet.order("a", order_group_id=group)
    body = quiet.write(
        "POST", ORDERS, new("b", order_group_id=group, price="0.5200", count="20.00")
    ).body
    assert isinstance(body, dict)
    assert (body["fill_count"], body["remaining_count"]) == ("12.00", "0.00")
    assert {status(quiet, order_id) for order_id in (resting, body["order_id"])} == {"canceled"}
    assert quiet.exchange.markets[EMPTY].book.shown(Side.BID) == {}


def test_an_amend_that_crosses_counts() -> None:
    quiet = bare()
    group = make(quiet, "1.00")
    quiet.do("public", ticker=EMPTY, side="ask", price="0.5200", count="2.00")
    order_id = quiet.order("a", order_group_id=group)
    change = {"ticker": EMPTY, "side": "bid", "price": "0.5200", "count": "10.00"}
    body = quiet.write("POST", f"{ORDERS}/{order_id}/amend", change).body
    assert isinstance(body, dict)
    assert (body["fill_count"], body["remaining_count"]) == ("2.00", "0.00")
    assert status(quiet, order_id) == "canceled"


def test_a_lower_limit_may_trigger_at_once() -> None:
    quiet = bare()
    group = make(quiet)
    order_id = quiet.order("a", order_group_id=group)
    quiet.sell("4.00")
    one = quiet.connect()
    one.subscribe(CHANNEL)
    assert put(quiet, group, "limit", {"contracts_limit": 4, "contracts_limit_fp": "4.00"}).status
    (frame,) = one.told()
    assert (frame["msg"]["event_type"], frame["msg"]["contracts_limit_fp"]) == (
        "limit_updated", "4.00",
    )  # fmt: skip
    assert status(quiet, order_id) == "resting"
    assert put(quiet, group, "limit", {"contracts_limit_fp": "3.99"}) == Answer(200, {})
    assert words(one.told()) == ["limit_updated", "triggered"]
    assert status(quiet, order_id) == "canceled"
    assert shown(quiet, group)["contracts_limit_fp"] == "3.99"


def test_a_group_is_triggered_by_hand_and_deleted() -> None:
    quiet = bare()
    group = make(quiet)
    first = quiet.order("a", order_group_id=group)
    one = quiet.connect()
    one.subscribe(CHANNEL)
    for _ in range(2):
        assert put(quiet, group, "trigger", {}) == Answer(200, {})
    assert (words(one.told()), status(quiet, first)) == (["triggered"], "canceled")
    put(quiet, group, "reset")
    second = quiet.order("b", order_group_id=group)
    one.told()
    assert quiet.write("DELETE", f"{GROUPS}/{group}") == Answer(200, {})
    assert (words(one.told()), status(quiet, second)) == (["deleted"], "canceled")
    assert error(quiet.get(f"{GROUPS}/{group}")) == (404, "not_found")
    for word in ("reset", "trigger"):
        assert error(put(quiet, group, word)) == (404, "not_found")
    assert error(quiet.write("POST", ORDERS, new("c", order_group_id=group)))[0] == 400


def test_groups_are_of_one_shard() -> None:
    quiet = bare(shards={"KXEMPTY": 2})
    here, there = make(quiet), make(quiet, exchange_index=2)
    refused = quiet.write("POST", ORDERS, new("a", order_group_id=here))
    assert error(refused) == (400, "order_group_not_found")
    order_id = quiet.order("a", order_group_id=there)
    assert error(put(quiet, there, "trigger")) == (404, "not_found")
    assert put(quiet, there, "trigger", exchange_index="2").status == 200
    assert status(quiet, order_id) == "canceled"


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({}, "CreateOrderGroupRequest.ContractsLimit"),
        ({"contracts_limit": 0}, "'gte' tag"),
        ({"contracts_limit": "5"}, "of type int64"),
        ({"contracts_limit": 5, "contracts_limit_fp": "6.00"}, "differ"),
        ({"contracts_limit_fp": "0.00"}, "invalid_order_size"),
        ({"contracts_limit": 1_000_001}, "'lte' tag"),
        ({"contracts_limit": 5, "exchange_index": 3}, "no shard 3"),
        ({"contracts_limit": 5, "subaccount": 1}, "subaccount_not_found"),
    ],
)
def test_a_group_that_cannot_be_is_refused(body: Any, words: str) -> None:
    quiet = bare()
    got = quiet.write("POST", f"{GROUPS}/create", body)
    assert (got.status, words in json.dumps(got.body)) == (400, True), got
    assert quiet.journal == bare().journal


def test_groups_come_back_as_they_were() -> None:
    quiet = bare()
    active, tripped, deleted = make(quiet), make(quiet, "1.00"), make(quiet)
    resting = quiet.order("a", order_group_id=active, count="30.00")
    quiet.sell("9.00")
    quiet.order("b", order_group_id=tripped, price="0.0600")
    quiet.sell("2.00", "0.0600")
    quiet.write("DELETE", f"{GROUPS}/{deleted}")
    quiet.later(10)
    again = quiet.restarted()
    assert again.get(GROUPS) == quiet.get(GROUPS)
    assert shown(again, active) == shown(quiet, active)
    refused = again.write("POST", ORDERS, new("c", order_group_id=tripped))
    assert error(refused) == (400, "exceeded_order_group_risk_limit")
    again.sell("2.00")  # with the nine of ten seconds ago it is too much
    assert status(again, resting) == "canceled"


def test_reads_of_groups_lag_too() -> None:
    quiet = bare()
    group = make(quiet)
    quiet.order("a", order_group_id=group)
    quiet.arm(read_lag_ms=60_000)
    quiet.later(1)
    before = shown(quiet, group)
    put(quiet, group, "trigger")
    make(quiet)
    assert shown(quiet, group) == before
    listed = quiet.get(GROUPS).body
    assert isinstance(listed, dict) and len(listed["order_groups"]) == 1
    quiet.later(61)
    assert shown(quiet, group)["orders"] == []


def test_over_the_wire(client: Client) -> None:
    root = f"/trade-api/v2{GROUPS}"
    group = client.call("POST", f"{root}/create", {"contracts_limit": 5}).json()["order_group_id"]
    order = client.order("a", ticker=TICKER, order_group_id=group).json()["order_id"]
    assert client.get(f"/portfolio/orders/{order}")["order"]["order_group_id"] == group
    got = client.call("PUT", f"{root}/{group}/trigger")
    assert (got.status_code, got.json()) == (200, {})
    assert client.get(f"{GROUPS}/{group}")["orders"] == []
    assert client.call("DELETE", f"{root}/{group}").status_code == 200
    rows = [(row["method"], row["order_id"], row["status"]) for row in client.wire()]
    assert rows == [
        ("POST", None, 201), ("POST", order, 201), ("PUT", None, 200), ("DELETE", None, 200),
    ]  # fmt: skip
    spent = {name: bucket["spent"] for name, bucket in client.budget().items()}
    assert spent == {"read": 2 + 10, "write": 4 * 10}
