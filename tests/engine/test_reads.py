"""Every read of the table, over real sockets: front, gateway, paper exchange and back."""

import json
import time
from pathlib import Path

import pytest
import requests
import zmq

from protocol.envelope import Letter, decode_letter, encode_letter
from protocol.kalshi import inquiries
from protocol.kalshi.inquiries import INQUIRIES
from protocol.kalshi.signing import Signer
from protocol.messages import Inquire, InquiryAnswer
from tests.engine.conftest import SHARD
from tests.engine.running import Engine
from tests.engine.test_orders import busiest, signed

# What the paper exchange may not have: then it says so, and the word arrives.
LACKING = {"order_group", "event_metadata"}  # there is no such group, and no such page
YOUNG = {"historical_market", "historical_candlesticks"}  # nothing is in its archive yet
STILL = {  # they answer the same when they are asked a moment later
    "exchange_schedule", "account_limits", "endpoint_costs", "order", "orders", "fills",
    "settlements", "deposits", "withdrawals", "series", "series_list", "series_fee_changes",
    "historical_orders", "historical_positions", "subaccount_transfers", "subaccount_netting",
    "shard_transfers", "shard_transfer",
}  # fmt: skip
TRANSFERS = "/portfolio/intra_exchange_instance_transfers"
ARRIVES_MAX_S = 10.0  # the exchange looks at its clock a hundred times a second


def transferred(engine: Engine) -> str:
    """The id of 12.34 dollars that the account's owner has moved to the other shard."""
    exchange, path = engine.settings.exchange, TRANSFERS.removesuffix("s")
    signer = Signer(exchange.key_id, Path(exchange.key_file).read_bytes(), exchange.key_file)
    headers = signer.headers(time.time_ns() // 1_000_000, "POST", f"/trade-api/v2{path}")
    body = {
        "source": "event_contract", "destination": "event_contract", "amount": 123_400,
        "destination_exchange_shard": SHARD,
    }  # fmt: skip
    answer = requests.post(f"{exchange.rest_url}{path}", json=body, headers=headers, timeout=5)
    assert answer.status_code == 200, answer.text
    made = str(answer.json()["transfer_id"])

    def arrived() -> bool:
        return bool(signed(engine, f"{TRANSFERS}/{made}")["transfer"]["status"] == "complete")

    engine.until(arrived, ARRIVES_MAX_S, "the money arrives")
    return made


@pytest.fixture(scope="module")
def said(engine: Engine) -> dict[str, str]:
    """What the parameters that a read needs may be, after an order that rests, one that fills, and
    a transfer to another shard.

    A market that has just been traded in is named in each of them.
    """
    ticker = busiest(engine)
    assert engine.order(ticker).status_code == 201
    resting = engine.order(ticker, price="0.0100", time_in_force="good_till_canceled")
    assert resting.status_code == 201, resting.text
    now = int(time.time())
    return {
        "ticker": ticker,
        "tickers": ticker,
        "market_tickers": ticker,
        "event_ticker": ticker.rpartition("-")[0],
        "series_ticker": ticker.partition("-")[0],
        "order_id": resting.json()["order"]["order_id"],
        "order_group_id": "none",
        "transfer_id": transferred(engine),
        "start_ts": str(now - 3_600),
        "end_ts": str(now + 60),
        "period_interval": "1",
    }


def where(name: str, said: dict[str, str]) -> str:
    """The read's path and query, with no more than it needs."""
    inquiry = INQUIRIES[name]
    needed = [p.name for p in inquiry.parameters if p.required and not inquiry.in_path(p.name)]
    query = "&".join(f"{key}={said[key]}" for key in needed)
    return f"{inquiry.path.format_map(said)}{'?' if query else ''}{query}"


@pytest.mark.parametrize("name", INQUIRIES)
def test_a_read_is_answered_as_the_exchange_answers_it(
    engine: Engine, said: dict[str, str], name: str
) -> None:
    answer = engine.get(f"/v1/exchange{where(name, said)}")
    if answer.status_code != 200:
        assert name in LACKING | YOUNG
        assert answer.status_code in (400, 404), answer.text
        assert answer.json()["detail"].startswith(f"the exchange answers {answer.status_code}: ")
        return
    assert answer.headers["content-type"] == "application/json"
    inquiries.proved(name, answer.content)
    if name in STILL:
        assert answer.json() == signed(engine, where(name, said))


def test_what_has_just_been_traded_is_in_the_candles(engine: Engine, said: dict[str, str]) -> None:
    body = engine.get(f"/v1/exchange{where('candlesticks', said)}").json()
    assert sum(float(c["volume_fp"]) for c in body["candlesticks"]) >= 1.0
    many = engine.get(f"/v1/exchange{where('candlesticks_of_markets', said)}").json()
    assert [m["market_ticker"] for m in many["markets"]] == [said["ticker"]]


def test_a_transfer_between_shards_is_read_as_it_was_made(
    engine: Engine, said: dict[str, str]
) -> None:
    row = engine.get(f"/v1/exchange{where('shard_transfer', said)}").json()["transfer"]
    moved = (row["source_exchange_shard"], row["destination_exchange_shard"], row["amount"])
    assert moved == (0, SHARD, "12.3400")
    assert engine.get(f"/v1/exchange{TRANSFERS}?limit=1").json() == {"transfers": [row]}
    none = engine.get(f"/v1/exchange{TRANSFERS}/nobody-knows-it")
    assert problem(none) == (404, "not_found", "")
    assert problem(engine.get(f"/v1/exchange{TRANSFERS}?limit=501")) == (
        422, "invalid_parameter", "limit",
    )  # fmt: skip


def test_of_the_one_subaccount(engine: Engine) -> None:
    path = "/v1/exchange/portfolio/subaccounts"
    assert engine.get(f"{path}/transfers").json() == {"cursor": "", "transfers": []}
    netted = engine.get(f"{path}/netting").json()["netting_configs"]
    assert [(row["exchange_index"], row["enabled"]) for row in netted] == [(0, True), (SHARD, True)]


def test_the_same_by_letter(engine: Engine, said: dict[str, str]) -> None:
    wish = Inquire("orderbooks", {"tickers": (said["ticker"], "KXNOBODY-1")})
    answer = engine.tell("gateway", wish)
    assert isinstance(answer, InquiryAnswer)
    assert (answer.state, answer.status) == ("answered", 200)
    books = json.loads(bytes(answer.body))["orderbooks"]
    assert [book["ticker"] for book in books] == [said["ticker"], "KXNOBODY-1"]
    wrong = engine.tell("gateway", Inquire("orderbook", {"ticker": said["ticker"], "depth": 101}))
    assert isinstance(wrong, InquiryAnswer)
    assert (wrong.state, wrong.field) == ("refused", "depth")


def problem(answer: requests.Response) -> tuple[int, str, str]:
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    body = answer.json()
    return answer.status_code, body["code"], body.get("field", "")


def test_what_is_wrong_never_reaches_the_exchange_and_what_is_missing_is_its_word(
    engine: Engine,
) -> None:
    for path, want in {
        "/markets/KXNOBODY-1": (404, "not_found", ""),
        "/markets?limit=1001": (422, "invalid_parameter", "limit"),
        "/markets?status=open&status=closed": (422, "repeated_parameter", "status"),
        "/markets/orderbooks?tickers=A&tickers=B": (422, "repeated_parameter", "tickers"),
        "/markets/orderbooks": (422, "missing_parameter", "tickers"),
        "/portfolio/orders/x": (422, "invalid_parameter", "order_id"),
        "/nothing": (404, "not_found", ""),
    }.items():
        assert problem(engine.get(f"/v1/exchange{path}")) == want, path
    refused = engine.post("/v1/exchange/portfolio/orders", {})
    assert problem(refused) == (405, "method_not_allowed", "")


def test_an_odd_answer_is_a_problem_and_the_next_one_is_not(engine: Engine) -> None:
    path = "/exchange/schedule"
    for answer, want in {
        "truncate": (502, "no_answer", ""),
        "json": (502, "unreadable_answer", ""),
        "html": (502, "status_502", ""),
    }.items():
        engine.faults(calls=[{"method": "GET", "path": path, "answer": answer}])
        assert problem(engine.get(f"/v1/exchange{path}")) == want
        assert engine.get(f"/v1/exchange{path}").status_code == 200


def spent(engine: Engine) -> tuple[int, int]:
    """Of the read budget, and how often it was too little."""
    found = requests.get(f"{engine.exchange}/paper/budget", timeout=5).json()["buckets"]["read"]
    return found["spent"], found["refused"]


def test_more_than_the_budget_holds_waits_for_it_and_gets_no_429(engine: Engine) -> None:
    """Tier Advanced: 300 tokens a second, 900 at once, 10 a read; so many letters at one go."""
    many, before = 110, spent(engine)
    context = zmq.Context()
    try:
        ask: zmq.Socket[bytes] = context.socket(zmq.DEALER)
        ask.connect(engine.settings.endpoint("gateway.in"))
        for n in range(many):  # each a read of its own: none is shared
            wish = Inquire("market", {"ticker": f"KXNOBODY-{n}"})
            ask.send(encode_letter(Letter("test", 1, str(n), 0, wish)))
        told = []
        while len(told) < many:
            assert ask.poll(20_000), f"{len(told)} of {many} answered\n{engine.tail()}"
            told.append(decode_letter(ask.recv()).body)
    finally:
        context.destroy(linger=0)
    assert {(a.state, a.status) for a in told if isinstance(a, InquiryAnswer)} == {
        ("rejected", 404)
    }
    after = spent(engine)
    assert after[0] - before[0] >= 10 * many
    assert (before[1], after[1]) == (0, 0)
