"""Streams over real sockets: lives of markets, many books, faults that the transport carries."""

import time
from collections.abc import Callable

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from .house import PATIENCE, TICKER, Client, hear, hear_until, say

NEW = "KXNEW-27JAN01-T5"


def refused(client: Client) -> int:
    """The status of a handshake that is refused."""
    with pytest.raises(InvalidStatus) as found:
        client.socket()
    return found.value.response.status_code


def test_a_market_is_born_traded_and_settled(client: Client) -> None:
    with client.socket() as ws:
        say(ws, "subscribe", channels=["market_lifecycle_v2"])
        hear(ws)
        made = client.paper("market", ticker=NEW, asks=[["0.6000", "7.00"]])
        assert made.json() == {"ticker": NEW, "event_ticker": "KXNEW-27JAN01"}
        assert [hear(ws)["seq"] for _ in range(3)] == [1, 2, 3]
        assert [m["ticker"] for m in client.get("/markets")["markets"]] == [TICKER, NEW]
        assert client.get("/events/KXNEW-27JAN01")["markets"][0]["ticker"] == NEW
        say(ws, "subscribe", 2, channels=["orderbook_delta", "fill"], market_tickers=[NEW])
        assert hear_until(ws, "orderbook_snapshot")["msg"]["no_dollars_fp"] == [["0.4000", "7.00"]]
        assert client.order("mine", ticker=NEW, price="0.6000").status_code == 201
        assert hear_until(ws, "fill")["msg"]["market_ticker"] == NEW
        assert client.paper("settle", ticker=NEW, result="yes").json()["revenue"] == 100
        while (found := hear_until(ws, "market_lifecycle_v2")["msg"])["event_type"] != "settled":
            assert found["market_ticker"] == NEW
    for deed in ("deactivate", "activate", "close", "grid", "metadata", "fee", "group", "public"):
        answer = client.paper(deed, nonsense=1)
        assert (answer.status_code, "nonsense" in answer.json()["error"]) == (400, True)


def test_books_and_the_schedule_by_rest(client: Client) -> None:
    root = f"{client.root}/trade-api/v2"
    answer = client.session.get(f"{root}/markets/orderbooks?tickers=X&tickers={TICKER}")
    books = answer.json()["orderbooks"]
    assert [book["ticker"] for book in books] == ["X", TICKER]
    single = client.session.get(f"{root}/markets/{TICKER}/orderbook").json()
    assert books[1]["orderbook_fp"] == single["orderbook_fp"]
    spent = client.budget()["read"]["spent"]
    client.get(f"/markets/orderbooks?tickers={TICKER}")
    assert client.budget()["read"]["spent"] == spent + 10
    schedule = client.session.get(f"{root}/exchange/schedule").json()["schedule"]
    assert len(schedule["standard_hours"][0]["thursday"]) == 2
    (window,) = schedule["maintenance_windows"]
    assert window["start_datetime"] < window["end_datetime"]


def test_maintenance_ends_sockets_and_lets_nobody_in(client: Client) -> None:
    with client.socket() as ws:
        client.arm(maintenance=True)
        with pytest.raises(ConnectionClosed):
            ws.recv(PATIENCE)
    assert refused(client) == 503
    assert client.get("/exchange/status")["exchange_active"] is False
    assert client.order("a").status_code == 503
    client.arm(maintenance=False)
    assert client.get("/exchange/status")["exchange_active"] is True
    with client.socket() as ws:
        ws.send('{"id":1,"cmd":"list_subscriptions"}')
        assert hear(ws)["msg"] == []


def test_one_connection_too_many(client: Client) -> None:
    client.arm(connections_max=2)
    with client.socket(), client.socket():
        assert refused(client) == 429
    answer = client.arm(connections_max=201)
    assert (answer.status_code, "connections_max" in answer.json()["error"]) == (400, True)


@pytest.mark.parametrize("late_in", ["network", "engine"])
def test_late_frames_leave_late_and_pongs_do_not(client: Client, late_in: str) -> None:
    with client.socket() as ws:
        say(ws, "subscribe", channels=["orderbook_delta"], market_ticker=TICKER)
        hear_until(ws, "orderbook_snapshot")
        client.arm(late_ms=300, late_in=late_in)
        client.paper("public", ticker=TICKER, side="bid", price="0.4700", count="1.00")
        pong = ws.ping()
        assert pong.wait(PATIENCE)
        found = hear(ws)
        now = time.time_ns() // 1_000_000
        assert found["type"] == "orderbook_delta"
        assert now - found["msg"]["ts_ms"] >= 300
        assert found["sending_ts_ms"] - found["msg"]["ts_ms"] >= (300 if late_in == "engine" else 0)
        if late_in == "network":
            assert now - found["sending_ts_ms"] >= 300


def test_a_lie_that_only_an_audit_sees(client: Client) -> None:
    with client.socket() as ws:
        say(ws, "subscribe", channels=["orderbook_delta"], market_ticker=TICKER)
        told = hear_until(ws, "orderbook_snapshot")["msg"]
        assert client.arm(lie_in_book=TICKER).json()["lie_in_book"] == ""
        ws.send('{"id":2,"cmd":"list_subscriptions"}')
        assert hear(ws)["id"] == 2  # and nothing before it
        truth = client.get(f"/markets/orderbooks?tickers={TICKER}")["orderbooks"][0]
        assert told["yes_dollars_fp"] == [["0.4700", "3.00"]]
        assert truth["orderbook_fp"]["yes_dollars"] == [["0.4700", "4.00"]]
    assert client.arm(lie_in_book="X").json() == {"error": "lie_in_book: no market 'X'"}
    assert client.arm(end_subscriptions={"channel": "x", "code": 10}).status_code == 400


def test_ten_thousand_more_markets(opened: Callable[..., Client]) -> None:
    client = opened(idle_markets=10_000, tier="prestige")
    found, cursor = [], ""
    while cursor or not found:
        page = client.get(f"/markets?limit=1000&cursor={cursor}&series_ticker=KXIDLE")
        found += [market["ticker"] for market in page["markets"]]
        cursor = page["cursor"]
    assert len(found) == len(set(found)) == 10_000
    with client.socket() as ws:
        say(ws, "subscribe", channels=["orderbook_delta"], market_tickers=found[:500])
        books = {hear_until(ws, "orderbook_snapshot")["msg"]["market_ticker"] for _ in range(500)}
        for start in range(500, 10_000, 500):
            say(ws, "update_subscription", start, sid=1, action="add_markets",
                market_tickers=found[start : start + 500], skip_ticker_ack=True)  # fmt: skip
            for _ in range(500):
                books.add(hear_until(ws, "orderbook_snapshot")["msg"]["market_ticker"])
        assert books == set(found)
        bid = client.get(f"/markets/{found[-1]}")["market"]["yes_bid_dollars"]
        assert client.order("mine", ticker=found[-1], price=bid).status_code == 201
        delta = hear_until(ws, "orderbook_delta")["msg"]
        assert (delta["market_ticker"], delta["delta_fp"]) == (found[-1], "1.00")
