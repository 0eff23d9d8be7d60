"""What happens to the account without the engine: settlements, transfers, orders from elsewhere."""

import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from .house import TICKER, Client, hear_until, say, settings_in, snapshot_line
from .test_life import Life, folder  # noqa: F401


@pytest.mark.parametrize(
    ("result", "revenue", "cash"), [("yes", 250, "10001.1563"), ("no", 0, "9998.6563")]
)
def test_a_settled_market_pays_the_winners_and_is_over(
    client: Client, result: str, revenue: int, cash: str
) -> None:
    client.order("holds", price="0.5200", count="2.50", time_in_force="immediate_or_cancel")
    resting = client.order("rests", price="0.0300").json()["order_id"]
    with client.socket() as ws:
        say(ws, "subscribe", channels=["user_orders", "orderbook_delta"], market_ticker=TICKER)
        hear_until(ws, "orderbook_snapshot")
        got = client.paper("settle", ticker=TICKER, result=result)
        assert got.json() == {"ticker": TICKER, "result": result, "revenue": revenue}
        book = hear_until(ws, "orderbook_snapshot")["msg"]
        assert not {"yes_dollars_fp", "no_dollars_fp"} & book.keys()
        order = hear_until(ws, "user_order")["msg"]
        assert (order["order_id"], order["last_update_reason"]) == (resting, "CloseCancel")
    assert client.cash() == cash
    (row,) = client.get("/portfolio/settlements")["settlements"]
    assert row.pop("settled_time").endswith("Z")
    assert row == {
        "event_ticker": TICKER.rpartition("-")[0], "exchange_index": 0, "fee_cost": "0.043700",
        "market_result": result, "no_count_fp": "0.00", "no_total_cost_dollars": "0.000000",
        "revenue": revenue, "ticker": TICKER, "value": 100 if result == "yes" else 0,
        "yes_count_fp": "2.50", "yes_total_cost_dollars": "1.300000",
    }  # fmt: skip
    assert client.held() == {}
    settled = client.get("/portfolio/positions?settlement_status=settled")["market_positions"]
    assert [p["position_fp"] for p in settled] == ["0.00"]
    market = client.get(f"/markets/{TICKER}")["market"]
    assert (market["status"], market["result"]) == ("finalized", result)
    assert client.get("/markets?status=open")["markets"] == []
    assert len(client.get("/markets?status=settled")["markets"]) == 1
    for refused in (client.order("more"), client.cancel(resting)):
        assert refused.status_code == 400
        assert refused.json()["error"]["code"] == "market_inactive"


def test_the_no_side_wins_too(client: Client) -> None:
    client.order("no", side="ask", price="0.4700", time_in_force="immediate_or_cancel")
    client.paper("settle", ticker=TICKER, result="no")
    (row,) = client.get("/portfolio/settlements")["settlements"]
    assert (row["no_count_fp"], row["no_total_cost_dollars"]) == ("1.00", "0.530000")
    assert (row["revenue"], row["value"]) == (100, 0)


def test_money_comes_and_goes_and_is_listed(client: Client) -> None:
    client.paper("deposit", amount="250.00")
    client.paper("withdraw", amount="0.50")
    assert client.cash() == "10249.5000"
    (came,) = client.get("/portfolio/deposits")["deposits"]
    (went,) = client.get("/portfolio/withdrawals")["withdrawals"]
    assert (came["amount_cents"], went["amount_cents"]) == (25_000, 50)
    for row in (came, went):
        assert row.keys() == {
            "id", "status", "type", "amount_cents", "fee_cents", "created_ts", "finalized_ts",
        }  # fmt: skip
        assert (row["status"], row["type"], row["fee_cents"]) == ("applied", "ach", 0)


def test_tampering_leaves_no_trace(client: Client) -> None:
    client.paper("tamper", cash="-1.00")
    client.paper("tamper", ticker=TICKER, position="-1.50")
    assert client.cash() == "9999.0000"
    assert client.held() == {TICKER: "-1.50"}
    for path, rows in (
        ("fills", "fills"), ("orders", "orders"), ("settlements", "settlements"),
        ("deposits", "deposits"), ("withdrawals", "withdrawals"),
    ):  # fmt: skip
        assert client.get(f"/portfolio/{path}")[rows] == []


def test_an_order_of_the_owner_from_elsewhere(client: Client) -> None:
    with client.socket() as ws:
        say(ws, "subscribe", channels=["user_orders", "fill"])
        hear_until(ws, "subscribed")
        order = {"ticker": TICKER, "side": "bid", "count": "1.00", "price": "0.5200"}
        fills = client.paper("external", **order, time_in_force="fill_or_kill").json()
        assert hear_until(ws, "fill")["msg"]["order_id"] == fills["order_id"]
        rests = client.paper("external", **(order | {"price": "0.0200"})).json()
        while hear_until(ws, "user_order")["msg"]["order_id"] != rests["order_id"]:
            pass
    listed = client.get("/portfolio/orders")["orders"]
    assert [o["order_id"] for o in listed] == [rests["order_id"], fills["order_id"]]
    assert [o["client_order_id"] for o in listed] == ["", ""]
    assert client.held() == {TICKER: "1.00"}
    assert (client.wire(), client.budget()["write"]["requests"]) == ([], 0)
    gone = client.session.delete(f"{client.root}/paper/external/{rests['order_id']}")
    assert (gone.status_code, gone.json()["reduced_by"]) == (200, "1.00")


@pytest.mark.parametrize(
    ("deed", "body", "words"),
    [
        ("settle", {"ticker": "NONE", "result": "yes"}, "no market 'NONE'"),
        ("settle", {"ticker": TICKER, "result": "maybe"}, "$.result"),
        ("settle", {"ticker": TICKER}, "result"),
        ("deposit", {"amount": "1.001"}, "whole cents"),
        ("deposit", {"amount": "-1.00"}, "above zero"),
        ("deposit", {"amount": "1e2"}, "amount"),
        ("deposit", {"amount": "1.00", "exchange_index": 3}, "no shard 3"),
        ("withdraw", {"amount": "10000.01"}, "not available"),
        ("tamper", {}, "expected cash"),
        ("tamper", {"ticker": "NONE", "position": "1.00"}, "'NONE'"),
        ("tamper", {"cash": "--1.00"}, "cash"),
    ],
)
def test_what_cannot_be_is_named(
    client: Client, deed: str, body: dict[str, object], words: str
) -> None:
    got = client.paper(deed, **body)
    assert got.status_code == 400
    assert words in got.json()["error"]
    assert client.cash() == "10000.0000"


def test_a_market_settles_once(client: Client) -> None:
    client.paper("settle", ticker=TICKER, result="no")
    again = client.paper("settle", ticker=TICKER, result="yes")
    assert (again.status_code, "settled already" in again.json()["error"]) == (400, True)
    assert client.get("/portfolio/settlements")["settlements"] == []  # nothing was held


def test_each_shard_has_its_own_cash(tmp_path: Path, opened: Callable[..., Client]) -> None:
    (tmp_path / "f.jsonl").write_text(snapshot_line() + snapshot_line("KXB-1"))
    client = opened(str(tmp_path / "f.jsonl"), shards={"KXB": 2})
    client.play(TICKER, "KXB-1")
    client.order("a", ticker="KXB-1", price="0.5200", time_in_force="immediate_or_cancel")
    client.order("b", ticker="KXB-1", price="0.0100")
    found = client.get("/portfolio/balance")
    breakdown = [
        {"balance": "10000.0000", "exchange_index": 0},
        {"balance": "9999.4525", "exchange_index": 2},
    ]
    assert (found["balance_breakdown"], found["balance_dollars"]) == (breakdown, "19999.4525")
    assert client.get("/portfolio/balance?exchange_index=2")["balance_dollars"] == "9999.4525"
    rows = {
        "orders": "orders", "fills": "fills", "positions": "market_positions",
    }  # fmt: skip
    for path, name in rows.items():
        assert {row["exchange_index"] for row in client.get(f"/portfolio/{path}")[name]} == {2}
        assert client.get(f"/portfolio/{path}?exchange_index=0")[name] == []
    markets = client.get("/markets")["markets"]
    assert {m["ticker"]: m["exchange_index"] for m in markets} == {TICKER: 0, "KXB-1": 2}
    client.paper("deposit", amount="1.00", exchange_index=2)
    client.paper("settle", ticker="KXB-1", result="yes")
    assert client.get("/portfolio/balance?exchange_index=2")["balance_dollars"] == "10001.4625"
    assert client.get("/portfolio/settlements")["settlements"][0]["exchange_index"] == 2
    status = client.get("/exchange/status")["exchange_index_statuses"]
    assert [shard["exchange_index"] for shard in status] == [0, 2]


def test_all_of_it_survives_kill_9(folder: Path) -> None:  # noqa: F811
    feed = folder / "f.jsonl"
    feed.write_text(snapshot_line() + snapshot_line("KXB-1"))
    settings = settings_in(folder, str(feed), shards={"KXB": 2})
    client, life = Client(settings), Life(settings, folder)
    client.open()
    client.play(TICKER, "KXB-1")
    client.order("a", price="0.5200", time_in_force="immediate_or_cancel")
    client.paper("external", ticker="KXB-1", side="ask", count="2.00", price="0.9900")
    client.paper("settle", ticker=TICKER, result="yes")
    client.paper("deposit", amount="250.00", exchange_index=2)
    client.paper("withdraw", amount="3.00")
    client.paper("tamper", cash="-1.00")
    client.paper("tamper", ticker="KXB-1", position="4.00")
    reads = (
        "/portfolio/positions?settlement_status=all", "/portfolio/settlements",
        "/portfolio/deposits", "/portfolio/withdrawals", "/portfolio/orders",
    )  # fmt: skip
    before = [client.get(path) for path in reads] + [client.cash(), client.held()]
    assert life.end(signal.SIGKILL) == -signal.SIGKILL
    client.session.close()
    client, life = Client(settings), Life(settings, folder)
    client.open()
    assert [client.get(path) for path in reads] + [client.cash(), client.held()] == before
    assert client.get(f"/markets/{TICKER}")["market"]["status"] == "finalized"
    assert client.order("b").json()["error"]["code"] == "market_inactive"
    client.session.close()
    assert life.end(signal.SIGTERM) == 0
