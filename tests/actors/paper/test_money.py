"""Cash on shards: moving it, and the one subaccount that there is."""

import json
from typing import Any

import pytest

from actors.paper.account import OPENING_CASH
from actors.paper.answers import Answer
from actors.paper.calls import ORDERS
from actors.paper.fixed import DOLLAR, SECOND

from .house import Client
from .quiet import BEGAN, EMPTY, Quiet, bare, error, new

S = BEGAN // SECOND
PATH = "/portfolio/intra_exchange_instance_transfer"
NAME = "6f1f0b5e-0000-4000-8000-000000000001"


@pytest.fixture
def quiet() -> Quiet:
    """KXEMPTY trades on shard 2."""
    return bare(shards={"KXEMPTY": 2})


def send(quiet: Quiet, **changes: Any) -> Answer:
    body = {
        "source": "event_contract", "destination": "event_contract", "amount": 25_000_000,
        "source_exchange_shard": 0, "destination_exchange_shard": 2,
    }  # fmt: skip
    return quiet.write("POST", PATH, body | changes)


def cash(quiet: Quiet) -> tuple[int, int]:
    """On shards 0 and 2, in dollars."""
    found = quiet.exchange.account.cash_on
    return found[0] // DOLLAR, found[2] // DOLLAR


def transfers(quiet: Quiet, **query: str) -> list[dict[str, Any]]:
    body = quiet.get(f"{PATH}s", **query).body
    assert isinstance(body, dict)
    found: list[dict[str, Any]] = body["transfers"]
    return found


def test_money_leaves_at_once_and_arrives_later(quiet: Quiet) -> None:
    quiet.arm(transfer_takes_ms=5_000)
    got = send(quiet)
    assert (got.status, cash(quiet)) == (200, (7_500, 10_000))
    assert isinstance(got.body, dict)
    row = {
        "amount": "2500.0000", "created_ts": S, "destination": "event_contract",
        "destination_exchange_shard": 2, "source": "event_contract", "source_exchange_shard": 0,
        "status": "pending", "transfer_id": got.body["transfer_id"],
    }  # fmt: skip
    assert transfers(quiet) == [row]
    quiet.later(4)
    assert transfers(quiet) == [row]
    again = quiet.restarted()  # it arrives though the fault is forgotten
    for one in (quiet, again):
        one.later(1)
        assert cash(one) == (7_500, 12_500)
        single = one.get(f"{PATH}s/{row['transfer_id']}").body
        assert single == {"transfer": row | {"status": "complete"}}


def test_what_has_arrived_pays_orders_there(quiet: Quiet) -> None:
    dear = new("a", count="12000.00", price="0.9900")
    assert error(quiet.write("POST", ORDERS, dear)) == (400, "insufficient_balance")
    send(quiet)
    assert error(quiet.write("POST", ORDERS, dear)) == (400, "insufficient_balance")
    quiet.later(0.01)
    assert quiet.write("POST", ORDERS, dear).status == 201
    back = {"source_exchange_shard": 2, "destination_exchange_shard": 0}
    assert error(send(quiet, **back)) == (400, "insufficient_balance")  # an order needs it


def test_a_transfer_has_a_name_once(quiet: Quiet) -> None:
    assert send(quiet, client_transfer_id=NAME).status == 200
    assert error(send(quiet, client_transfer_id=NAME)) == (409, "transfer_already_exists")
    again = quiet.restarted()
    assert error(send(again, client_transfer_id=NAME)) == (409, "transfer_already_exists")
    assert cash(again)[0] == 7_500
    again.later(1)
    assert cash(again) == (7_500, 12_500)


def test_transfers_are_paged_and_the_last_page_has_no_cursor(quiet: Quiet) -> None:
    ids = [send(quiet, amount=n).body for n in (1, 2, 3)]
    body = quiet.get(f"{PATH}s", limit="2").body
    assert isinstance(body, dict)
    assert [row["amount"] for row in body["transfers"]] == ["0.0003", "0.0002"]
    last = quiet.get(f"{PATH}s", limit="2", cursor=body["cursor"]).body
    assert isinstance(last, dict) and last.keys() == {"transfers"}
    assert isinstance(ids[0], dict)
    assert [row["transfer_id"] for row in last["transfers"]] == [ids[0]["transfer_id"]]
    assert quiet.get(f"{PATH}s", limit="501").status == 400
    assert error(quiet.get(f"{PATH}s/{NAME}")) == (404, "not_found")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"amount": 0}, "'gt' tag"),
        ({"amount": -5}, "'gt' tag"),
        ({"amount": "5"}, "of type int64"),
        ({"amount": 100_000_001}, "insufficient_balance"),
        ({"source": "margined"}, "only event_contract"),
        ({"destination": None}, "Request.Destination'"),
        ({"destination_exchange_shard": 1}, "no shard 1"),
        ({"destination_exchange_shard": 0}, "are the same"),
        ({"source_subaccount": 1}, "subaccount_not_found"),
        ({"client_transfer_id": "x"}, "invalid_UUID"),
    ],
)
def test_a_transfer_that_cannot_be_is_refused(
    quiet: Quiet, change: dict[str, Any], words: str
) -> None:
    got = send(quiet, **change)
    assert (got.status, words in json.dumps(got.body)) == (400, True), got
    quiet.later(1)
    assert (cash(quiet), transfers(quiet)) == ((10_000, 10_000), [])


def test_a_paused_exchange_moves_no_money(quiet: Quiet) -> None:
    quiet.arm(exchange_paused=True)
    assert send(quiet).status == 503


def test_reads_of_money_lag_too(quiet: Quiet) -> None:
    quiet.arm(read_lag_ms=60_000)
    quiet.later(1)
    send(quiet)
    quiet.later(1)
    assert transfers(quiet) == []
    quiet.later(60)
    assert [row["status"] for row in transfers(quiet)] == ["complete"]
    assert quiet.core.view(quiet.at).account.cash_on == quiet.exchange.account.cash_on


def test_the_one_subaccount_has_a_balance_on_each_shard(quiet: Quiet) -> None:
    quiet.order("a", price="0.5000")
    rows = [
        {"subaccount_number": 0, "exchange_index": shard, "balance": balance, "updated_ts": S}
        for shard, balance in ((0, "10000.0000"), (2, "9995.0000"))
    ]
    assert quiet.get("/portfolio/subaccounts/balances") == Answer(
        200, {"subaccount_balances": rows}
    )


def test_one_subaccount_has_nobody_to_transfer_with_and_always_nets(quiet: Quiet) -> None:
    send(quiet)  # between shards, not between subaccounts
    quiet.later(1)
    path = "/portfolio/subaccounts"
    none = Answer(200, {"cursor": "", "transfers": []})
    assert quiet.get(f"{path}/transfers") == none
    assert quiet.get(f"{path}/transfers", limit="1000", cursor="p7") == none
    assert quiet.get(f"{path}/transfers", limit="1001").status == 400
    assert quiet.get(f"{path}/transfers", limit="x").status == 400
    rows = [{"subaccount_number": 0, "exchange_index": n, "enabled": True} for n in (0, 2)]
    assert quiet.get(f"{path}/netting") == Answer(200, {"netting_configs": rows})
    for read in ("transfers", "netting"):
        assert error(quiet.get(f"{path}/{read}", subaccount="1")) == (400, "subaccount_not_found")


def test_of_another_subaccount_nobody_knows(quiet: Quiet) -> None:
    order_id = quiet.order("a", subaccount=0)
    one = f"{ORDERS}/{order_id}"
    amend = {"ticker": EMPTY, "side": "bid", "price": "0.0600", "count": "10.00"}
    refused = [
        quiet.write("POST", ORDERS, new("b", subaccount=1)),
        quiet.write("POST", f"{one}/amend", amend, subaccount="1"),
        quiet.write("POST", f"{one}/decrease", {"reduce_by": "1.00"}, subaccount="63"),
        quiet.write("DELETE", one, subaccount="1", market_ticker=EMPTY),
        quiet.write("DELETE", ORDERS, subaccount="1"),
        *(quiet.get(f"/portfolio/{path}", subaccount="1") for path in (
            "orders", "fills", "balance", "positions", "settlements", "orders/queue_positions",
            "order_groups",
        )),
    ]  # fmt: skip
    assert {error(answer) for answer in refused} == {(400, "subaccount_not_found")}
    assert [order.placed.order_id for order in quiet.exchange.account.resting()] == [order_id]
    assert quiet.exchange.account.cash == 2 * OPENING_CASH
    assert quiet.write("POST", f"{one}/amend", amend, subaccount="0").status == 200
    assert quiet.get("/portfolio/orders", subaccount="0").status == 200


def test_over_the_wire(client: Client) -> None:
    body = {
        "source": "event_contract", "destination": "event_contract", "amount": 1,
        "destination_exchange_shard": 1,
    }  # fmt: skip
    got = client.call("POST", f"/trade-api/v2{PATH}", body)
    assert (got.status_code, got.json()["error"]["code"]) == (400, "invalid_exchange_index")
    assert client.get(f"{PATH}s") == {"transfers": []}
    (row,) = client.get("/portfolio/subaccounts/balances")["subaccount_balances"]
    assert row["balance"] == "10000.0000"
    assert client.get("/portfolio/subaccounts/transfers")["transfers"] == []
    (netted,) = client.get("/portfolio/subaccounts/netting")["netting_configs"]
    assert netted == {"subaccount_number": 0, "exchange_index": 0, "enabled": True}
    assert client.wire()[-1]["body"] == body
