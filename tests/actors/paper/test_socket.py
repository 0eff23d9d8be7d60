"""The WebSocket: handshake, subscriptions, sequence numbers, private channels, faults."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from .house import PATIENCE, SOCKET, TICKER, Client, capture, hear, hear_until, say, snapshot_line


def test_the_handshake_is_signed(client: Client) -> None:
    url = client.root.replace("http", "ws") + SOCKET
    with pytest.raises(InvalidStatus) as refused:
        connect(url, proxy=None)
    assert refused.value.response.status_code == 401
    body = json.loads(refused.value.response.body)
    assert body["error"]["code"] == "signature_is_missing_from_headers"


def test_a_first_subscription_a_second_and_their_numbers(client: Client) -> None:
    with client.socket() as ws:
        say(ws, "subscribe", 7, channels=["orderbook_delta"], market_tickers=[TICKER])
        assert hear(ws)["msg"] == {"channel": "orderbook_delta", "sid": 1}
        book = hear(ws)
        assert (book["type"], book["sid"], book["seq"]) == ("orderbook_snapshot", 1, 1)
        assert book["msg"]["no_dollars_fp"] == [["0.4800", "3.00"]]
        say(ws, "subscribe", 8, channels=["orderbook_delta"], market_tickers=[TICKER])
        again = hear(ws)
        assert (again["type"], again["id"], again["seq"]) == ("ok", 8, 2)
        say(ws, "update_subscription", 9, sids=[1], market_tickers=[TICKER], action="get_snapshot")
        fresh = hear(ws)
        assert (fresh["type"], fresh["id"], fresh["seq"]) == ("orderbook_snapshot", 9, 3)
        ws.send('{"id":10,"cmd":"list_subscriptions"}')
        assert hear(ws)["msg"] == [{"channel": "orderbook_delta", "sid": 1}]
        say(ws, "update_subscription", 11, sid=1, market_tickers=["X"], action="get_snapshot")
        error = hear(ws)
        assert (error["sid"], error["seq"], error["msg"]["code"]) == (1, 4, 11)
        say(ws, "update_subscription", 12, sid=1, market_tickers=[TICKER], action="delete_markets")
        assert hear(ws)["msg"] == {"market_tickers": []}
        say(ws, "unsubscribe", 13, sids=[1])
        gone = hear(ws)
        assert (gone["type"], gone["sid"], gone["seq"]) == ("unsubscribed", 1, 6)


@pytest.mark.parametrize(
    ("command", "code"),
    [
        ("no json", 1),
        ("[]", 1),
        ('{"id":1,"cmd":"dance"}', 5),
        ('{"id":1,"cmd":"subscribe"}', 2),
        ('{"id":1,"cmd":"subscribe","params":{}}', 3),
        ('{"id":1,"cmd":"subscribe","params":{"channels":["x"]}}', 8),
        ('{"id":1,"cmd":"subscribe","params":{"channels":["orderbook_delta"]}}', 14),
        ('{"id":1,"cmd":"unsubscribe","params":{}}', 4),
        ('{"id":1,"cmd":"unsubscribe","params":{"sids":[9]}}', 7),
        ('{"id":1,"cmd":"update_subscription","params":{"sids":[1,2]}}', 12),
        ('{"id":1,"cmd":"update_subscription","params":{"sid":[]}}', 7),
    ],
)
def test_commands_that_cannot_be_obeyed(client: Client, command: str, code: int) -> None:
    with client.socket() as ws:
        ws.send(command)
        found = hear(ws)
        assert (found["type"], found["msg"]["code"]) == ("error", code)


def test_members_of_the_captured_frames(client: Client) -> None:
    lines = capture("stream/demo-2026-06-30-five-markets.jsonl").read_text().splitlines()
    captured = [json.loads(line) for line in lines if line]
    want = {found["type"]: found["msg"].keys() for found in captured if found["type"] != "ok"}
    with client.socket() as ws:
        say(ws, "subscribe", channels=["orderbook_delta", "fill"], market_tickers=[TICKER])
        assert hear_until(ws, "orderbook_snapshot")["msg"].keys() == want["orderbook_snapshot"]
        hear_until(ws, "subscribed")
        client.order("t", price="0.9900", time_in_force="immediate_or_cancel")
        fill = hear_until(ws, "fill")
        assert fill["msg"].keys() == want["fill"] | {"client_order_id", "exchange_index"}
        assert "seq" not in fill


def test_what_an_order_says_on_every_channel(opened: Callable[..., Client]) -> None:
    client = opened()
    market = client.get("/markets?limit=1")["markets"][0]
    ticker = market["ticker"]
    with client.socket() as ws:
        channels = ["user_orders", "fill", "market_positions", "trade", "orderbook_delta"]
        say(ws, "subscribe", channels=channels, market_ticker=ticker)
        hear_until(ws, "orderbook_snapshot")
        got = client.order(
            "mine",
            ticker=ticker,
            price=market["yes_ask_dollars"],
            time_in_force="good_till_canceled",
        ).json()
        heard = {}
        while "user_order" not in heard:
            found = hear(ws)
            if found["type"] != "orderbook_delta" or "client_order_id" in found["msg"]:
                heard[found["type"]] = found
        assert heard["orderbook_delta"]["msg"]["client_order_id"] == "mine"
        order = heard["user_order"]["msg"]
        assert (order["order_id"], order["fill_count_fp"]) == (got["order_id"], got["fill_count"])
        if order["status"] == "executed":
            assert heard["fill"]["msg"]["trade_id"] == heard["trade"]["msg"]["trade_id"]
            assert heard["market_position"]["msg"]["position_fp"] == "1.00"


def test_yes_prices_on_request(client: Client) -> None:
    with client.socket() as ws:
        say(ws, "subscribe", channels=["orderbook_delta"], market_ticker=TICKER, use_yes_price=True)
        found = hear_until(ws, "orderbook_snapshot")["msg"]
        assert found["no_dollars_fp"] == [["0.5200", "3.00"]]


def test_an_empty_side_has_no_key(tmp_path: Path, opened: Callable[..., Client]) -> None:
    (tmp_path / "f.jsonl").write_text("\n" + snapshot_line())
    client = opened(str(tmp_path / "f.jsonl"))
    with client.socket() as ws:
        say(ws, "subscribe", channels=["orderbook_delta"], market_ticker=TICKER)
        before = hear_until(ws, "orderbook_snapshot")["msg"]
        assert set(before) == {"market_ticker", "market_id"}


def test_a_skipped_frame_leaves_a_gap(opened: Callable[..., Client]) -> None:
    client = opened(speed=20.0)
    tickers = [m["ticker"] for m in client.get("/markets")["markets"]]
    with client.socket() as ws:
        say(ws, "subscribe", channels=["orderbook_delta"], market_tickers=tickers)
        hear_until(ws, "orderbook_delta")
        assert client.arm(skip_frames=1).json()["skip_frames"] == 1
        last = hear_until(ws, "orderbook_delta")["seq"]
        while (found := hear_until(ws, "orderbook_delta"))["seq"] == last + 1:
            last = found["seq"]
        assert found["seq"] == last + 2


def test_handshakes_refused_and_sockets_closed(client: Client) -> None:
    client.arm(refuse_handshakes=1, status=429)
    with pytest.raises(InvalidStatus) as refused:
        client.socket()
    assert refused.value.response.status_code == 429
    with client.socket() as ws:
        ws.send('{"id":1,"cmd":"list_subscriptions"}')
        hear(ws)
        client.arm(close_sockets=True)
        with pytest.raises(ConnectionClosed):
            ws.recv(PATIENCE)
    assert client.arm(no_such_fault=1).status_code == 400
