"""One order from HTTP to fill: the bus, the database, the API and the exchange all agree."""

import json
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from protocol.envelope import Envelope
from protocol.kalshi.signing import Signer
from protocol.messages import BookedFill, Position
from protocol.units import parse_count, parse_price
from tests.engine.running import Engine


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with Engine() as engine:
        engine.start()
        engine.until_healthy()
        yield engine


def busiest(engine: Engine) -> str:
    """A market where an order at 99 cents meets somebody."""
    markets = requests.get(f"{engine.exchange}/trade-api/v2/markets?limit=100", timeout=5).json()
    with_asks = [m for m in markets["markets"] if float(m["yes_ask_size_fp"]) >= 5]
    return str(max(with_asks, key=lambda m: float(m["yes_ask_size_fp"]))["ticker"])


def booked(ticker: str) -> Any:
    def look(envelope: Envelope) -> BookedFill | None:
        body = envelope.body
        return body if isinstance(body, BookedFill) and body.ticker == ticker else None

    return look


def signed(engine: Engine, path: str) -> Any:
    """What the exchange itself says, asked with the account's key."""
    exchange = engine.settings.exchange
    signer = Signer(exchange.key_id, Path(exchange.key_file).read_bytes(), exchange.key_file)
    headers = signer.headers(time.time_ns() // 1_000_000, "GET", f"/trade-api/v2{path}")
    return requests.get(f"{exchange.rest_url}{path}", headers=headers, timeout=5).json()


def test_topics_over_a_websocket(engine: Engine) -> None:
    address = f"{engine.api.replace('http', 'ws')}/v1/ws"
    secret = Path(engine.settings.var_dir, "token.read").read_text().strip()
    headers = {"Authorization": f"Bearer {secret}"}
    with connect(address, additional_headers=headers, proxy=None) as socket:
        socket.send('{"id": 1, "subscribe": ["mark"]}')
        assert json.loads(socket.recv(timeout=10))["kind"] == "subscribed"
        told = json.loads(socket.recv(timeout=10))
        assert (told["topic"], told["body"]["type"]) == ("mark", "Mark")
        socket.send('{"id": 2, "subscrbe": ["mark"]}')
        while (told := json.loads(socket.recv(timeout=10))).get("kind") != "error":
            continue
        assert "subscrbe" in told["detail"]
        ticker = busiest(engine)
        prefixes = [f"book.{ticker} ", "system", "balance."]
        socket.send(json.dumps({"unsubscribe": ["mark"], "subscribe": prefixes}))
        snapshots = {}
        while len(snapshots) < 3:
            told = json.loads(socket.recv(timeout=10))
            if told.get("kind") == "snapshot":
                snapshots[told["topic"].partition(".")[0]] = told["body"]
        assert snapshots["book"]["ticker"] == ticker
        assert snapshots["book"]["state"] == "live"
        assert snapshots["system"]["type"] == "System"
        assert snapshots["balance"]
    stranger = {"Authorization": "Bearer wrong"}
    with pytest.raises(InvalidStatus), connect(address, additional_headers=stranger, proxy=None):
        pass
    hostile = {**headers, "Origin": "http://evil.example"}
    with pytest.raises(InvalidStatus), connect(address, additional_headers=hostile, proxy=None):
        pass


def test_the_tap_and_the_status_on_the_command_line(engine: Engine) -> None:
    tapped = engine.sidecar("tap", "mark", "--count", "2")
    assert [line.split(" ")[0] for line in tapped.stdout.splitlines()] == ["mark", "mark"]
    status = engine.sidecar("status")
    assert status.returncode == 0
    assert "healthy  yes" in status.stdout


def test_a_fill_is_the_same_everywhere(engine: Engine) -> None:
    ticker = busiest(engine)
    with engine.ear("ledger.pub", f"fill.{ticker} ", f"position.{ticker} ").attached() as ear:
        answer = engine.order(ticker, client_order_id="one-order")
        assert answer.status_code == 201, answer.text
        fill = ear.until(booked(ticker), 5)
        ear.until(lambda e: e.body if isinstance(e.body, Position) else None, 5)
    assert fill.client_order_id == "one-order"

    with sqlite3.connect(f"file:{engine.settings.var_dir}/ledger.db?mode=ro", uri=True) as ledger:
        rows = ledger.execute(
            "SELECT order_id, price, count FROM fills WHERE trade_id = ?", (fill.trade_id,)
        ).fetchall()
    assert rows == [(fill.order_id, int(fill.price), int(fill.count))]

    [position] = [
        p for p in engine.get("/v1/positions").json()["positions"] if p["ticker"] == ticker
    ]
    [ours] = [f for f in engine.get("/v1/fills").json()["fills"] if f["trade_id"] == fill.trade_id]
    assert ours["client_order_id"] == "one-order"
    assert parse_count(position["position"]) == fill.position

    [sent] = [r for r in engine.wire() if r["client_order_id"] == "one-order"]
    assert sent["status"] == 201
    assert sent["answer"]["order_id"] == fill.order_id
    assert parse_count(sent["answer"]["fill_count"]) == 100

    [theirs] = [
        f for f in signed(engine, "/portfolio/fills")["fills"] if f["trade_id"] == fill.trade_id
    ]
    assert (parse_price(theirs["yes_price_dollars"]), parse_count(theirs["count_fp"])) == (
        fill.price,
        fill.count,
    )
    [held] = [
        p
        for p in signed(engine, "/portfolio/positions")["market_positions"]
        if p["ticker"] == ticker
    ]
    assert parse_count(held["position_fp"]) == fill.position


def test_the_same_order_twice_is_one_order(engine: Engine) -> None:
    ticker = busiest(engine)
    first = engine.order(
        ticker, client_order_id="twice", price="0.0100", time_in_force="good_till_canceled"
    )
    again = engine.order(
        ticker, client_order_id="twice", price="0.0100", time_in_force="good_till_canceled"
    )
    other = engine.order(
        ticker, client_order_id="twice", price="0.0200", time_in_force="good_till_canceled"
    )
    assert [first.status_code, again.status_code, other.status_code] == [201, 201, 409]
    assert len([r for r in engine.wire() if r["client_order_id"] == "twice"]) == 1
    canceled = engine.delete("/v1/orders/twice")
    assert canceled.status_code == 200, canceled.text


def test_a_lost_reply_is_found_out(engine: Engine) -> None:
    """The exchange took the order, its answer was lost: unknown at first, never sent again."""
    ticker = busiest(engine)
    engine.faults(lose_replies=1)

    def settled(envelope: Envelope) -> str | None:
        body = envelope.body
        if getattr(body, "client_order_id", "") != "lost-reply":
            return None
        state = getattr(body, "state", "")
        return state if state in ("resting", "executed", "canceled") else None

    with engine.ear("ledger.pub", f"order.{ticker} ").attached() as ear:
        answer = engine.order(
            ticker, client_order_id="lost-reply", price="0.0100", time_in_force="good_till_canceled"
        )
        assert answer.status_code in (201, 202), answer.text
        assert ear.until(settled, 15) == "resting"
    assert len([r for r in engine.wire() if r["client_order_id"] == "lost-reply"]) == 1
    assert engine.delete("/v1/orders/lost-reply").status_code == 200


def test_a_halt_stops_orders_and_not_cancels(engine: Engine) -> None:
    ticker = busiest(engine)
    resting = engine.order(
        ticker, client_order_id="before-halt", price="0.0100", time_in_force="good_till_canceled"
    )
    assert resting.status_code == 201, resting.text
    assert engine.post("/v1/halt", {"reason": "lunch"}).status_code == 200
    refused = engine.order(ticker, client_order_id="during-halt")
    assert refused.status_code == 503
    assert refused.json()["code"] == "halted"
    assert engine.delete("/v1/orders/before-halt").status_code == 200
    assert Path(engine.settings.var_dir, "halt").exists()
    assert engine.post("/v1/resume", {"reason": "back"}).status_code == 200
    assert not Path(engine.settings.var_dir, "halt").exists()
    engine.until_healthy()
    assert "during-halt" not in {r["client_order_id"] for r in engine.wire()}


@pytest.mark.parametrize(
    "change",
    [
        {"price": "-0.1000"},
        {"price": "NaN"},
        {"price": "０.5000"},
        {"price": "1.5000"},
        {"price": 0.5},
        {"count": "0.00"},
        {"count": "1e2"},
        {"side": "buy"},
        {"ticker": "no such market"},
        {"colour": "red"},
    ],
    ids=str,
)
def test_a_wrong_order_gets_a_reason_and_goes_nowhere(engine: Engine, change: Any) -> None:
    before = len(engine.wire())
    answer = engine.order("KXANY-1", **change)
    assert 400 <= answer.status_code < 500, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["code"]
    assert len(engine.wire()) == before


def test_malformed_and_oversized_bodies(engine: Engine) -> None:
    secret = Path(engine.settings.var_dir, "token.trade").read_text().strip()
    headers = {"Authorization": f"Bearer {secret}", "Content-Type": "application/json"}
    for body, status in ((b"{", 400), (b"[" * 10_000, 422), (b"x" * 1_000_000, 413)):
        answer = requests.post(f"{engine.api}/v1/orders", data=body, headers=headers, timeout=10)
        assert answer.status_code == status, answer.text
    assert requests.get(f"{engine.api}/v1/orders", timeout=5).status_code == 401
    assert engine.post("/v1/orders", {}, token="read").status_code == 403
    assert engine.get("/v1/status").status_code == 200
