"""Call faults hit every write, and batches can be lied about member by member."""

from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
import requests

from actors.paper.batch_faults import STRANGER
from actors.paper.calls import WRITES

from .house import ORDERS, TICKER, Client

ROOT = "/trade-api/v2"
PATH = "/portfolio/events/orders"
GROUPS = "/portfolio/order_groups"
TRANSFER = "/portfolio/intra_exchange_instance_transfer"


def order(name: str, **changes: Any) -> dict[str, Any]:
    body = {
        "ticker": TICKER, "client_order_id": name, "side": "bid", "count": "9.00",
        "price": "0.0100", "time_in_force": "good_till_canceled",
        "self_trade_prevention_type": "taker_at_cross",
    }  # fmt: skip
    return body | changes


def change(name: str, price: int) -> dict[str, str]:
    return {"ticker": TICKER, "side": "bid", "count": "9.00", "price": f"0.{price:02}00"}


class Deed(NamedTuple):
    """A call that is done to one order and its group, the n-th time, and how often it was done."""

    method: str
    ends: str
    path: str
    body: Callable[[str, int], Any]
    done: Callable[[Client], Any]


def resting(client: Client) -> Any:
    return [(o["client_order_id"], o["yes_price_dollars"], o["remaining_count_fp"])
            for o in client.get("/portfolio/orders")["orders"]]  # fmt: skip


def groups(client: Client) -> Any:
    rows = client.get(GROUPS)["order_groups"]
    return [client.get(f"{GROUPS}/{row['id']}") for row in rows]


DEEDS = {
    "amend": Deed("POST", "/amend", f"{PATH}/ORDER/amend", lambda o, n: change(o, n + 2), resting),
    "decrease": Deed(
        "POST", "/decrease", f"{PATH}/ORDER/decrease",
        lambda o, n: {"reduce_by": "0.01", "market_ticker": TICKER}, resting,
    ),
    "batch create": Deed(
        "POST", "/batched", f"{PATH}/batched",
        lambda o, n: {"orders": [order(f"b{n}"), order(f"c{n}")]}, resting,
    ),
    "group": Deed(
        "POST", "/create", f"{GROUPS}/create", lambda o, n: {"contracts_limit": 5}, groups,
    ),
    "limit": Deed(
        "PUT", "/limit", f"{GROUPS}/GROUP/limit", lambda o, n: {"contracts_limit": n + 6}, groups,
    ),
    "transfer": Deed(
        "POST", TRANSFER, TRANSFER,
        lambda o, n: {"source": "event_contract", "destination": "event_contract", "amount": n + 1,
                      "destination_exchange_shard": 2},
        lambda client: client.get(f"{TRANSFER}s")["transfers"],
    ),
}  # fmt: skip
STATUSES = (307, 408, 409, 429, 500, 502, 503, 504)


@pytest.fixture
def client(client: Client, tmp_path: Any, opened: Callable[..., Client]) -> Client:
    """The one market of the captures, and a shard 2 beside it."""
    found = opened(str(tmp_path / "book.jsonl"), shards={"KXB": 2}, tier="prestige")
    found.play(TICKER)
    return found


@pytest.mark.parametrize("name", DEEDS)
def test_every_fault_hits_it_and_says_truly_whether_it_was_done(client: Client, name: str) -> None:
    deed = DEEDS[name]
    made = client.call("POST", f"{ROOT}{GROUPS}/create", {"contracts_limit": 5}).json()
    group_id = made["order_group_id"]
    order_id = client.order("a", count="9.00").json()["order_id"]
    path = ROOT + deed.path.replace("ORDER", order_id).replace("GROUP", group_id)
    number = 0

    def hit(**fault: Any) -> Any:
        """Arm, call, and answer what came, or how the connection ended; with its effect."""
        nonlocal number
        number += 1
        before = deed.done(client)
        armed = client.arm(calls=[{"method": deed.method, "ends": deed.ends} | fault]).json()
        assert len(armed["calls"]) == 1
        try:
            got: Any = client.call(deed.method, path, deed.body(order_id, number))
        except (requests.ConnectionError, requests.exceptions.ChunkedEncodingError) as e:
            got = e
        assert client.arm().json()["calls"] == []
        return got, deed.done(client) != before

    for when, effect in (("before", False), ("after", True)):
        for answer in ("reset", "close", "truncate"):
            got, done = hit(answer=answer, when=when)
            assert (isinstance(got, Exception), done) == (True, effect), (answer, when, got)
        for status in STATUSES:
            got, done = hit(answer="empty", status=status, when=when)
            assert (got.status_code, got.content, done) == (status, b"", effect), (status, when)
        got, done = hit(answer="html", when=when)
        assert (got.status_code, got.headers["content-type"], done) == (502, "text/html", effect)
        got, done = hit(answer="json", status=200, body={}, when=when)
        assert (got.status_code, got.json(), done) == (200, {}, effect)
    got, done = hit(delay_ms=20, status=202)
    assert (got.status_code, done) == (202, True)
    rows = [row for row in client.wire() if row["path"] == path]
    assert len(rows) >= number
    assert {row["status"] for row in rows} >= {None, 307, 408, 409, 429, 503}


def test_every_write_can_be_hit(client: Client) -> None:
    for write in WRITES:
        path = write.path.replace("{name}", "some-name")
        client.arm(calls=[{"method": write.method, "path": path, "answer": "empty", "status": 503}])
        assert client.call(write.method, ROOT + path).status_code == 503, write.path


def members(client: Client, method: str, rows: list[Any], **fault: Any) -> list[dict[str, Any]]:
    client.arm(calls=[{"method": method, "ends": "/batched"} | fault])
    got = client.call(method, f"{ORDERS}/batched", {"orders": rows})
    assert got.status_code == (201 if method == "POST" else 200)
    found: list[dict[str, Any]] = got.json()["orders"]
    return found


def test_a_batch_of_creates_is_lied_about(client: Client) -> None:
    def names(manner: str) -> list[str]:
        rows = [order(f"{manner}-{letter}") for letter in "abc"]
        found = members(client, "POST", rows, batch=manner)
        assert client.listed()[2::-1] == [row["client_order_id"] for row in rows]  # all were made
        return [row["client_order_id"].removeprefix(f"{manner}-") for row in found]

    assert names("missing") == ["b", "c"]
    assert names("reordered") == ["c", "b", "a"]
    assert names("extra") == ["stranger", "a", "b", "c"]
    assert names("repeated") == ["a", "a", "b", "c"]
    failed = members(client, "POST", [order("x"), order("y")], batch="failed")
    assert failed[0] == {
        "client_order_id": "x", "fill_count": None, "remaining_count": None,
        "average_fill_price": None, "average_fee_paid": None, "ts_ms": None,
        "error": {"code": "exchange_unavailable", "message": "exchange unavailable"},
    }  # fmt: skip
    assert "error" not in failed[1]
    assert client.listed()[:2] == ["y", "x"]


def test_a_batch_of_cancels_is_lied_about(client: Client) -> None:
    for manner, want in (
        ("missing", [1]),
        ("reordered", [1, 0]),
        ("extra", [None, 0, 1]),
        ("repeated", [0, 0, 1]),
        ("failed", [0, 1]),
    ):
        ids = [client.order(f"{manner}{n}").json()["order_id"] for n in range(2)]
        rows = [{"order_id": order_id, "market_ticker": TICKER} for order_id in ids]
        found = members(client, "DELETE", rows, batch=manner)
        assert [row["order_id"] for row in found] == [
            STRANGER if place is None else ids[place] for place in want
        ]
        unsure = [row["order_id"] for row in found if row["reduced_by"] == "0.00"]
        assert unsure == (ids[:1] if manner == "failed" else [])
        assert client.listed("?status=resting") == []


def test_what_is_no_batch_stays_as_it_is(client: Client) -> None:
    client.arm(calls=[{"method": "POST", "batch": "missing"}])
    made = client.order("a", count="9.00").json()
    assert made["client_order_id"] == "a"
    client.arm(calls=[{"ends": "/amend", "merge": {"ts_ms": None, "order_id": "other"}}])
    got = client.call("POST", f"{ORDERS}/{made['order_id']}/amend", change("a", 2)).json()
    assert (got["order_id"], "ts_ms" in got) == ("other", False)
    assert got["fill_count"] is None  # what is null in truth is there all the same
    assert client.arm(calls=[{"batch": "shuffled"}]).status_code == 400
