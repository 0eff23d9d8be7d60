"""Rows of the matrix of wrong orders in a running engine: real processes, a real socket, and the
exchange's own log of what came in. None of them gets there.

The whole matrix is in `tests/actors/gateway`: `test_wrong_orders.py`, `test_refused_orders.py`,
`test_wrong_letters.py`.
"""

import json
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import zmq

from protocol.envelope import decode_letter
from protocol.messages import AnyMessage, OrderAnswer, Refused
from tests.engine.running import Engine

ID = "client_order_id"
A, B = "KXW-27JAN01-A", "KXW-27JAN01-B"  # of one event
OTHER = "KXV-27JAN01-A"
SETTLED, STOPPED, CLOSED = "KXW-27JAN01-S", "KXW-27JAN01-P", "KXW-27JAN01-C"
FAR = "KXBTCD-26DEC31-T95000"  # on shard 2, where there is no cash
UNFOLLOWED = "KXBTCD-26DEC31-T100000"
LIMITS = {
    "ORDER_COUNT": "100.00",
    "ORDER_COST": "50.0000",
    "MARKET_EXPOSURE": "30.0000",
    "EVENT_EXPOSURE": "34.0000",
    "ACCOUNT_EXPOSURE": "35.0000",
    "PRICE_BAND": "0.1000",
    "SAME_ORDER_MS": "60000",
}
KNOWN = {"ticker": A, "side": "bid", "price": "0.3000", "count": "20.00", ID: "known"}
ASK = {"ticker": A, "side": "ask", "price": "0.6500", "count": "10.00", ID: "ask"}
Refusal = tuple[int, str, str]


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    """Two orders rest: a bid that costs 6 dollars and an ask that costs 3.50."""
    with Engine(
        **{
            'follow = ["*"]': f'follow = ["series:KXW", "series:KXV", "{FAR}"]',
            'tier = "advanced"': 'tier = "advanced"\nshards = {KXBTCD = 2}',
        }
    ) as engine:
        engine.environment |= {f"SIDECAR_BRAKES_{name}": value for name, value in LIMITS.items()}
        engine.launch("paper")
        engine.until_exchange()
        for ticker in (A, B, OTHER, SETTLED, STOPPED, CLOSED):
            levels = {"bids": [["0.4000", "50.00"]], "asks": [["0.6000", "50.00"]]}
            engine.deed("market", ticker=ticker, **levels)
        engine.deed("settle", ticker=SETTLED, result="yes")
        engine.deed("deactivate", ticker=STOPPED)
        engine.deed("close", ticker=CLOSED, close_ts=1_000_000_000)
        engine.deed("withdraw", amount="10000.00", exchange_index=2)
        engine.start_without("paper")
        engine.until_trading()
        for order in (KNOWN, ASK):  # the first of a market may have to wait for its book
            answer = engine.taken(A, time_in_force="good_till_canceled", **order)
            assert answer.status_code == 201, answer.text
        yield engine
        assert seen(engine) == ["known", "ask"]
        orders = engine.get("/v1/orders").json()["orders"]
        assert sorted(o[ID] for o in orders) == ["ask", "known"], "something else is on record"


def seen(engine: Engine) -> list[str]:
    """The ids of all orders of which the exchange has seen a byte."""
    return [request[ID] for request in engine.wire()]


def refused(engine: Engine, answer: requests.Response) -> Refusal:
    """Status, code and field of the one problem."""
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    problem = answer.json()
    assert problem["status"] == answer.status_code
    assert 0 < len(problem["detail"]) <= 400
    assert seen(engine) == ["known", "ask"]
    return answer.status_code, problem["code"], problem.get("field", "")


ROWS: dict[str, tuple[dict[str, Any], Refusal]] = {
    "unknown market": ({"ticker": "KXNOSUCH-1"}, (422, "market_not_found", "ticker")),
    "settled": ({"ticker": SETTLED}, (422, "market_not_open", "ticker")),
    "stopped": ({"ticker": STOPPED}, (422, "market_not_open", "ticker")),
    "closed": ({"ticker": CLOSED}, (422, "market_not_open", "ticker")),
    "off the grid": ({"price": "0.3050"}, (422, "off_grid_price", "price")),
    "nothing of it can rest": (
        {"post_only": True, "time_in_force": "immediate_or_cancel"},
        (422, "invalid_order", "post_only"),
    ),
    "size": ({"count": "100.01", "price": "0.0100"}, (422, "order_count", "count")),
    "cost": ({"count": "99.00", "price": "0.5100"}, (422, "order_cost", "count")),
    "market exposure": ({"count": "70.00", "price": "0.4000"}, (422, "market_exposure", "count")),
    "event exposure": (
        {"ticker": B, "count": "74.00", "price": "0.4000"}, (422, "event_exposure", "count"),
    ),
    "account exposure": (
        {"ticker": OTHER, "count": "74.00", "price": "0.4000"}, (422, "account_exposure", "count"),
    ),
    "the same terms again": ({**KNOWN, ID: "again"}, (422, "same_order", "")),
    "the same id, another price": ({**KNOWN, "price": "0.2900"}, (409, "order_id_taken", ID)),
    "the same id, the other side": ({**KNOWN, "side": "ask"}, (409, "order_id_taken", ID)),
    "self-crossing": ({"price": "0.6500"}, (422, "self_cross", "price")),
    "beyond the band": ({"ticker": B, "price": "0.7200"}, (422, "price_band", "price")),
    "no book": ({"ticker": UNFOLLOWED, "price": "0.0100"}, (503, "book_not_live", "ticker")),
    "wrong shard": ({"ticker": FAR, "price": "0.0100"}, (422, "wrong_shard", "ticker")),
    "an unknown field": ({"colour": "red"}, (422, "invalid_order", "colour")),
    "a number": ({"price": 0.3}, (422, "invalid_order", "price")),
    "full-width digits": ({"count": "１.00"}, (422, "invalid_order", "count")),
    "2 ** 63": ({"count": 2**63}, (422, "invalid_order", "count")),
    "a megabyte": ({"ticker": "K" * 1_000_000}, (413, "body_too_large", "")),
}  # fmt: skip


@pytest.mark.parametrize("name", ROWS)
def test_a_wrong_order(engine: Engine, name: str) -> None:
    change, want = ROWS[name]
    fine = {"ticker": A, "side": "bid", "price": "0.3100", "count": "1.00", ID: "wrong"}
    assert refused(engine, engine.post("/v1/orders", {**fine, **change})) == want


def test_a_field_that_is_said_twice(engine: Engine) -> None:
    secret = Path(engine.settings.var_dir, "token.trade").read_text().strip()
    headers = {"Authorization": f"Bearer {secret}", "Content-Type": "application/json"}
    body = json.dumps({**KNOWN, ID: "twice"}).replace("}", ', "side": "ask"}')
    answer = requests.post(f"{engine.api}/v1/orders", data=body, headers=headers, timeout=10)
    assert refused(engine, answer) == (422, "invalid_order", "side")


def told(engine: Engine, terms: str) -> AnyMessage:
    """What the gateway answers to a letter that a program has written by hand."""
    context = zmq.Context()
    try:
        ask: zmq.Socket[bytes] = context.socket(zmq.REQ)
        ask.connect(engine.settings.endpoint("gateway.in"))
        head = f'"source":"mine","epoch":1,"id":"{secrets.token_hex(8)}","at":0'
        ask.send(f'{{{head},"body":{{"type":"PlaceOrder",{terms}}}}}'.encode())
        assert ask.poll(10_000), f"no answer\n{engine.tail()}"
        answer = decode_letter(ask.recv()).body
        assert seen(engine) == ["known", "ask"]
        return answer
    finally:
        context.destroy(linger=0)


FINE = (
    f'"ticker":"{A}","side":"bid","price":"0.3100","count":"1.00",'
    f'"time_in_force":"good_till_canceled","{ID}":"letter"'
)


@pytest.mark.parametrize(
    ("old", "new", "where"),
    [
        ('"0.3100"', "0.31", "$.body.price"),
        ('"0.3100"', '"NaN"', "$.body.price"),
        ('"bid"', '"buy"', "$.body.side"),
        ('"side":"bid",', "", "`side` - at `$.body`"),
        ('"bid"', '"bid","post_onyl":true', "unknown field `post_onyl`"),
        ('"bid"', '"bid","side":"ask"', "`body.side` is said twice"),
        (f',"{ID}":"letter"', "", f"`{ID}` - at `$.body`"),
        (FINE, "", "JSON is malformed"),
        (FINE, '"', "truncated"),
    ],
)
def test_a_letter_that_can_not_be_read(engine: Engine, old: str, new: str, where: str) -> None:
    assert old in FINE
    answer = told(engine, FINE.replace(old, new, 1))
    assert isinstance(answer, Refused)
    assert where in answer.reason


@pytest.mark.parametrize(
    ("old", "new", "code", "field"),
    [
        ('"0.3100"', '"1.0000"', "invalid_order", "price"),
        ('"1.00"', '"-1.00"', "invalid_order", "count"),
        ('"letter"', '"a b"', "invalid_order", ID),
        (f'"{A}"', '"../.."', "invalid_order", "ticker"),
        ('"letter"', '"letter","lease_s":1', "invalid_order", "lease_s"),
        ('"0.3100"', '"0.3050"', "off_grid_price", "price"),
        (f'"{A}"', f'"{SETTLED}"', "market_not_open", "ticker"),
        ('"1.00"', '"100.01"', "order_count", "count"),
        ('"0.3100"', '"0.6500"', "self_cross", "price"),
    ],
)
def test_a_letter_that_makes_no_sense(
    engine: Engine, old: str, new: str, code: str, field: str
) -> None:
    answer = told(engine, FINE.replace(old, new, 1))
    assert isinstance(answer, OrderAnswer)
    assert (answer.outcome, answer.code, answer.field) == ("denied", code, field)
    assert answer.text


@pytest.mark.parametrize(
    ("limit", "want"),
    [
        ({"orders_a_second": 0}, (503, "orders_a_second", "")),
        ({"open_orders": 2}, (422, "open_orders", "")),
    ],
)
def test_one_too_many(engine: Engine, limit: dict[str, int], want: Refusal) -> None:
    """Tightened while it runs, so these come last."""
    assert engine.post("/v1/brakes", limit).status_code == 200
    order = {**KNOWN, "price": "0.3100", "count": "1.00", ID: "more"}
    assert refused(engine, engine.post("/v1/orders", order)) == want


def test_while_halted(engine: Engine) -> None:
    assert engine.post("/v1/halt", {"reason": "the end of the table"}).status_code == 200
    order = {**KNOWN, "price": "0.3100", ID: "halted"}
    assert refused(engine, engine.post("/v1/orders", order)) == (503, "halted", "")
    engine.resume("all was refused")
