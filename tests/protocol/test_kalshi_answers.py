"""What answers mean: strictly before a side effect, leniently after one, never an exception."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from protocol.errors import RemoteProtocolError
from protocol.facts import MoneyMoved, Settled
from protocol.kalshi import answers
from protocol.kalshi.answers import (
    BalanceBody,
    Canceled,
    CostsBody,
    Created,
    FillPage,
    LimitsBody,
    MarketPage,
    MarketRows,
    OneMarket,
    OneOrder,
    OrderPage,
    Refusal,
    canceled,
    outcome,
    read,
    refusal,
)
from protocol.kalshi.portfolio import DepositPage, PositionPage, SettlementPage, WithdrawalPage
from protocol.kalshi.status import CutoffBody, ShardStatus, StatusBody, UserDataBody
from protocol.units import Count, Money

TEN = Count(1_000)
SHAPES: list[type[Any]] = [
    BalanceBody, CostsBody, FillPage, LimitsBody, MarketPage, MarketRows, OneMarket, OneOrder,
    OrderPage, DepositPage, PositionPage, SettlementPage, WithdrawalPage, CutoffBody, StatusBody,
    UserDataBody,
]  # fmt: skip
ERRORS = {
    "nested": b'{"error":{"code":"invalid_order","message":"invalid order","details":"why"}}',
    "flat": b'{"code":"invalid_order","message":"invalid order","details":"why"}',
    "bare message": b'{"msg":"invalid order"}',
    "bare string": b'{"error":"too many requests"}',
}


# Table B2: what the answer to a create means


def made(**fields: Any) -> bytes:
    whole = {"order_id": "o1", "client_order_id": "c1", "fill_count": "1.00"}
    whole |= {"remaining_count": "9.00", "ts_ms": 5}  # type: ignore[dict-item]
    return json.dumps({k: v for k, v in (whole | fields).items() if v != "absent"}).encode()


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 429])
@pytest.mark.parametrize("shape", ERRORS)
def test_an_error_body_makes_a_refusal_final(status: int, shape: str) -> None:
    found = outcome("c1", status, ERRORS[shape], TEN)
    assert isinstance(found, Refusal)
    assert found.code in ("invalid_order", "invalid order", "too_many_requests")
    assert found.text in ("why", "invalid order", "too many requests")


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 429])
@pytest.mark.parametrize(
    "body",
    [
        b"", b"<html>Bad gateway</html>", b"null", b'"no"', b"[]", b"{}", b"too many requests",
        b'{"message":"Forbidden"}', b'{"error":null}', b'{"error":""}', b'{"error":[]}',
        b'{"error":{"code":7}}', b'{"error":{"code"', b'{"code":null,"msg":null}', b"\xff\xfe",
    ],
)  # fmt: skip
def test_without_an_error_body_a_4xx_is_unknown(status: int, body: bytes) -> None:
    """Whoever it was that answered: the order may have gone on from there."""
    assert outcome("c1", status, body, TEN) == f"status {status}"


@pytest.mark.parametrize(
    "status",
    [
        101, 200, 202, 203, 204, 206, 226, 300, 301, 302, 303, 304, 307, 308,
        402, 405, 406, 407, 408, 409, 411, 413, 415, 418, 421, 422, 423, 425, 451, 499,
        500, 501, 502, 503, 504, 507, 511, 520, 522, 524, 599,
    ],
)  # fmt: skip
@pytest.mark.parametrize("body", [*ERRORS.values(), made(), b"", b"<html></html>"])
def test_any_other_status_is_unknown_whatever_it_says(status: int, body: bytes) -> None:
    found = outcome("c1", status, body, TEN)
    assert isinstance(found, str)
    assert found.startswith(f"status {status}")


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{}", b"null", b"[]", b"<html></html>", made()[:-1], made()[:-20], b"\xff" + made(),
        made(order_id="absent"), made(order_id=""), made(order_id=None), made(order_id=17),
        made(order_id="x" * 257), made(client_order_id="absent"), made(client_order_id=None),
        made(client_order_id=""), made(client_order_id="c2"), made(client_order_id="C1"),
        made(client_order_id="c1 "), b'{"order":' + made() + b"}", b"[" * 100_000,
        b'{"error":{"code":"deprecated_v1_order_endpoint","message":"use V2"}}',
        b'{"error":"deprecated_v1_order_endpoint"}',
    ],
)  # fmt: skip
def test_a_201_that_does_not_name_our_order_is_unknown(body: bytes) -> None:
    assert isinstance(outcome("c1", 201, body, TEN), str)


def test_a_2xx_without_an_order_says_what_it_said_instead() -> None:
    body = b'{"error":{"code":"deprecated_v1_order_endpoint","message":"use V2"}}'
    assert outcome("c1", 201, body, TEN) == "201 without the order: deprecated_v1_order_endpoint"
    assert outcome("c1", 200, body, TEN) == "status 200: deprecated_v1_order_endpoint"


@pytest.mark.parametrize(
    "body, filled, rests",
    [
        (made(), 100, 900),
        (made(fill_count="0.00", remaining_count="0.00"), 0, 0),  # crossed ourselves, or IOC
        (made(fill_count=1, remaining_count=9.0), 100, 900),
        (made(fill_count=1, remaining_count="9"), 100, 900),
        (made(remaining_count="absent"), 100, 900),
        (made(remaining_count=None), 100, 900),
        (made(remaining_count="-1.00"), 100, 900),
        (made(remaining_count="10.00"), 100, 900),
        (made(fill_count="absent"), 0, 1_000),
        (made(fill_count="absent", remaining_count="0.00"), 0, 1_000),
        (made(fill_count="absent", fill_count_fp="1.00"), 0, 1_000),
        (made(fill_count="11.00", remaining_count="0.00"), 0, 1_000),
        (made(fill_count="-1.00"), 0, 1_000),
        (made(fill_count={"of": "1"}, remaining_count=[]), 0, 1_000),
        (made(fill_count=True, remaining_count="1e1"), 0, 1_000),
        (made(fill_count="absent", remaining_count="absent", ts_ms="absent"), 0, 1_000),
        (made(colour="red", average_fill_price=None, error=None), 100, 900),
    ],
)  # fmt: skip
def test_a_201_that_names_our_order_is_accepted_whatever_else_is_odd(
    body: bytes, filled: int, rests: int
) -> None:
    """What is not known to be filled rests: it counts as exposure until something shows."""
    found = outcome("c1", 201, body, TEN)
    assert isinstance(found, Created)
    assert (found.order_id, found.fill_count, found.remaining_count) == ("o1", filled, rests)


@pytest.mark.parametrize("ts_ms", ["absent", None, "5", -1, 1.5, 2**60, [], "2026-06-11T06:29:30Z"])
def test_an_odd_time_costs_no_order(ts_ms: Any) -> None:
    found = outcome("c1", 201, made(ts_ms=ts_ms), TEN)
    assert found == Created("o1", "c1", Count(100), Count(900), 0)


def test_without_the_count_an_accepted_order_has_to_say_what_rests() -> None:
    assert outcome("c1", 201, made()) == Created("o1", "c1", Count(100), Count(900), 5)
    assert isinstance(outcome("c1", 201, made(remaining_count="absent")), str)


def test_what_a_refusal_says_is_one_short_line() -> None:
    body = json.dumps({"error": {"code": "a\nb" * 99, "message": "x\x1b[2J\u2028" * 999}}).encode()
    found = refusal(body)
    assert found is not None
    assert (len(found.code), len(found.text)) == (100, 500)
    assert (found.code + found.text).isprintable()


# What the answer to a cancel means


@pytest.mark.parametrize(
    "body, reduced",
    [
        (b'{"order_id":"o1","reduced_by":"10.00","ts_ms":7}', 1_000),
        (b'{"order_id":"o1","client_order_id":"c1","reduced_by":10,"ts_ms":7}', 1_000),
        (b'{"order_id":"o1","reduced_by":"0.00","ts_ms":7}', 0),
        (b'{"order_id":"o1","reduced_by":"-1.00","ts_ms":7}', 0),
        (b'{"order_id":"o1","reduced_by_fp":"10.00","ts_ms":7}', 0),
        (b'{"order_id":"o1","reduced_by":null,"ts_ms":7}', 0),
        (b'{"reduced_by":"10.00","ts_ms":7}', 1_000),
        (b'{"order":{"order_id":"o1"},"reduced_by":{},"ts_ms":7}', 0),
    ],
)
def test_a_200_is_a_cancel_that_was_done(body: bytes, reduced: int) -> None:
    """0 also where it doesn't say how much it took: then somebody has to look."""
    assert canceled("o1", 200, body) == Canceled("o1", Count(reduced), 7)


@pytest.mark.parametrize(
    "body", [b"", b"null", b"[]", b"<html>", b"{", b'{"order_id":"o2"}', *ERRORS.values()]
)
def test_a_200_that_is_none_is_unknown(body: bytes) -> None:
    assert isinstance(canceled("o1", 200, body), str)


def test_a_refused_cancel_and_one_without_an_answer() -> None:
    for status in (400, 401, 403, 404, 429):
        assert isinstance(canceled("o1", status, ERRORS["nested"]), Refusal)
        assert canceled("o1", status, b"<html>") == f"status {status}"
    for status in (201, 204, 307, 408, 409, 500, 503):
        assert canceled("o1", status, ERRORS["flat"]) == f"status {status}: invalid_order"


# Reads


def test_a_number_is_taken_by_its_digits_and_by_nothing_else() -> None:
    """FACTS.md section 10.4. 0.1 + 0.2 would not be 0.3; its digits are."""

    def balance(value: str) -> int:
        body: BalanceBody = read(f'{{"balance_dollars":{value}}}'.encode(), BalanceBody)
        return body.balance_dollars

    assert balance('"98.0186"') == balance("98.0186") == 98_018_600
    assert balance("999999999999.999999") == 999_999_999_999_999_999
    assert balance("-7") == -7_000_000
    for value in (
        "1e2", "1E-2", "0.1234567", "NaN", "1e999", "true", "null", "[]", "{}", '"1e2"', '" 1"',
        "9" * 40, '"０.5"', "01", "+1", ".5", "1.",
    ):  # fmt: skip
        with pytest.raises(RemoteProtocolError):
            balance(value)


SETTLEMENT = {
    "ticker": "KXA-1", "exchange_index": 2, "event_ticker": "KXA", "market_result": "yes",
    "yes_count_fp": "10.00", "yes_total_cost_dollars": "5.000000", "no_count_fp": "0.00",
    "no_total_cost_dollars": "0.000000", "revenue": 1_000, "settled_time": "2026-06-12T00:00:00.5Z",
    "fee_cost": "0.340000", "value": None,
}  # fmt: skip


def settlement(**fields: Any) -> Settled:
    body = json.dumps({"cursor": "", "settlements": [SETTLEMENT | fields]}).encode()
    page: SettlementPage = read(body, SettlementPage)
    return page.settlements[0].fact()


def test_a_settlement_pays_in_cents() -> None:
    want = Settled(
        "KXA-1", 2, "yes", Count(1_000), Count(0), Money(10_000_000), Money(340_000),
        1_781_222_400_500_000,
    )  # fmt: skip
    assert settlement() == want
    assert settlement(market_result="scalar", value=37, revenue=370).revenue == 3_700_000


@pytest.mark.parametrize(
    "change",
    [
        {"revenue": 10.5}, {"revenue": "1000"}, {"revenue": 10**15}, {"ticker": "no such market"},
        {"settled_time": "0001-01-01T00:00:00Z"}, {"settled_time": "today"}, {"market_result": ""},
        {"yes_count_fp": "-1.00"}, {"exchange_index": -1}, {"fee_cost": None},
    ],
    ids=str,
)  # fmt: skip
def test_a_settlement_that_makes_no_sense_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(RemoteProtocolError):
        settlement(**change)


def transfers(key: str, *rows: dict[str, Any]) -> bytes:
    whole = {"id": "t1", "status": "applied", "type": "ach", "amount_cents": 10_000}
    whole |= {"fee_cents": 200, "created_ts": 1_781_000_000}
    return json.dumps({key: [whole | row for row in rows], "cursor": None}).encode()


def test_only_money_that_the_balance_reflects_has_moved() -> None:
    states = [{"status": s} for s in ("pending", "failed", "returned", "held", "Applied")]
    rows = [{"finalized_ts": None}, {"id": "t2", "finalized_ts": 1_781_000_100}, *states]
    deposits: DepositPage = read(transfers("deposits", *rows), DepositPage)
    assert deposits.facts() == [
        MoneyMoved("deposit", "t1", Money(98_000_000), 1_781_000_000_000_000),
        MoneyMoved("deposit", "t2", Money(98_000_000), 1_781_000_100_000_000),
    ]
    withdrawals: WithdrawalPage = read(transfers("withdrawals", *rows), WithdrawalPage)
    assert [fact.amount for fact in withdrawals.facts()] == [-102_000_000] * 2
    assert not withdrawals.cursor


@pytest.mark.parametrize(
    "change",
    [{"amount_cents": -1}, {"fee_cents": -1}, {"amount_cents": "1"}, {"id": ""}, {"status": None}],
    ids=str,
)
def test_a_transfer_that_makes_no_sense_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(RemoteProtocolError):
        read(transfers("deposits", change), DepositPage)


def test_positions() -> None:
    row = {"ticker": "KXA-1", "position_fp": "-3.00", "market_exposure_dollars": "2.500000"}
    body = json.dumps({"market_positions": [row], "event_positions": [], "cursor": "c"}).encode()
    page: PositionPage = read(body, PositionPage)
    [found] = page.market_positions
    assert (found.position_fp, found.market_exposure_dollars) == (-300, 2_500_000)
    assert (found.exchange_index, page.cursor) == (0, "c")


def test_the_status_is_read_as_far_as_it_goes() -> None:
    shards = [
        {"exchange_index": 2, "description": "crypto", "exchange_active": True,
         "trading_active": False, "intra_exchange_transfers_active": True},
        {"exchange_index": "three"}, None, 7,
    ]  # fmt: skip
    whole: dict[str, Any] = {"exchange_active": True, "trading_active": False}
    more = {"exchange_estimated_resume_time": "2026-06-11T06:00:00Z",
            "exchange_index_statuses": shards}  # fmt: skip
    found: StatusBody = read(json.dumps(whole | more).encode(), StatusBody)
    assert (found.exchange_active, found.trading_active) == (True, False)
    assert found.resumes_at == 1_781_157_600_000_000
    assert found.shards == (ShardStatus(2, True, False),)
    for odd in (None, "soon", 7, {}, []):
        keys = ("exchange_estimated_resume_time", "exchange_index_statuses")
        body = json.dumps(whole | dict.fromkeys(keys, odd)).encode()
        found = read(body, StatusBody)
        assert (found.resumes_at, found.shards) == (None, ())
    with pytest.raises(RemoteProtocolError):
        read(b'{"exchange_active":1,"trading_active":true}', StatusBody)


def test_times_of_the_exchange() -> None:
    seen: UserDataBody = read(b'{"as_of_time":"2026-06-11T06:00:00.000001Z"}', UserDataBody)
    assert seen.as_of_time == 1_781_157_600_000_001
    names = ("market_settled_ts", "trades_created_ts", "orders_updated_ts")
    times = dict.fromkeys(names, "2026-06-11T08:00:00+02:00")
    body: CutoffBody = read(json.dumps(times).encode(), CutoffBody)
    assert (body.orders_updated_ts, body.market_positions_last_updated_ts) == (
        1_781_157_600_000_000,
        None,
    )
    with pytest.raises(RemoteProtocolError, match="as_of_time"):
        read(b'{"as_of_time":1781157600}', UserDataBody)


@pytest.mark.parametrize("text", ["", "yesterday", "2026-06-11", "2026-13-11T06:29:30Z", "０"])
def test_what_is_not_a_time_is_refused(text: str) -> None:
    with pytest.raises(RemoteProtocolError):
        answers.micros(text)


def test_limits_with_grants() -> None:
    bucket = '{"refill_rate":300,"bucket_capacity":900}'
    grants = (
        '[{"exchange_instance":"event_contract","level":"advanced","source":"volume",'
        '"expires_ts":1790000000,"why":"so"},{"exchange_instance":"margined","level":"expert",'
        '"source":"manual","expires_ts":null}]'
    )
    text = f'{{"usage_tier":"advanced","read":{bucket},"write":{bucket},"grants":{grants}}}'
    body: LimitsBody = read(text.encode(), LimitsBody)
    assert (body.usage_tier, body.write.bucket_capacity) == ("advanced", 900)
    assert body.grants is not None
    assert [grant.expires_ts for grant in body.grants] == [1_790_000_000, None]
    bare: LimitsBody = read(f'{{"read":{bucket},"write":{bucket}}}'.encode(), LimitsBody)
    assert (bare.usage_tier, bare.grants) == ("", ())
    for odd in ("0", "-1", "1.5", "1e3", "9999999999", '"300"', "true"):
        with pytest.raises(RemoteProtocolError):
            read(text.replace("300", odd).encode(), LimitsBody)


MARKET = {
    "ticker": "KXA-1", "status": "active", "close_time": "2026-06-25T16:00:00Z",
    "price_ranges": [{"start": "0.0000", "end": "1.0000", "step": "0.0100"}],
}  # fmt: skip


def test_a_market_alone_and_in_a_list() -> None:
    one = read(json.dumps({"market": MARKET | {"exchange_index": 2}}).encode(), OneMarket).market
    assert (one.exchange_index, one.close_time) == (2, 1_782_403_200_000_000)
    page: MarketRows = read(json.dumps({"markets": [MARKET], "cursor": ""}).encode(), MarketRows)
    [row] = page.markets
    [grid] = row.price_ranges
    assert (row.exchange_index, grid.start, grid.end, grid.step) == (0, 0, 1_000_000, 10_000)


@pytest.mark.parametrize(
    "change",
    [
        {"price_ranges": None}, {"price_ranges": [{"start": "0", "end": "1"}]}, {"status": None},
        {"price_ranges": [{"start": "0.00", "end": "1.00", "step": "0.00"}]},
        {"price_ranges": [{"start": "0.50", "end": "0.10", "step": "0.01"}]},
        {"price_ranges": [{"start": "0.00", "end": "100", "step": "1"}]},
        {"close_time": None}, {"close_time": "soon"}, {"exchange_index": -1},
    ],
    ids=str,
)  # fmt: skip
def test_rules_that_make_no_sense_are_not_rules(change: dict[str, Any]) -> None:
    """One such market among many hides none of the others from a look-up of names."""
    with pytest.raises(RemoteProtocolError):
        read(json.dumps({"market": MARKET | change}).encode(), OneMarket)
    page: MarketPage = read(json.dumps({"markets": [MARKET | change, MARKET]}).encode(), MarketPage)
    assert [market.ticker for market in page.markets] == ["KXA-1"] * 2


ORDER = {
    "order_id": "o1", "client_order_id": "c1", "ticker": "KXA-1", "book_side": "bid",
    "status": "resting", "yes_price_dollars": "0.5600", "fill_count_fp": "1.00",
    "remaining_count_fp": "9.00", "initial_count_fp": "10.00",
    "created_time": "2026-06-11T06:00:00.123456Z", "last_update_time": None,
}  # fmt: skip
FILL = {
    "order_id": "o1", "trade_id": "t1", "ticker": "KXA-1", "book_side": "ask", "count_fp": "1.00",
    "yes_price_dollars": "0.5600", "fee_cost": "0.010000", "is_taker": True,
    "created_time": None, "ts": 1_781_157_600,
}  # fmt: skip


def test_an_order_and_a_fill() -> None:
    order = read(json.dumps({"order": ORDER}).encode(), OneOrder).order.fact()
    assert (order.filled, order.remaining, order.updated_at) == (100, 900, 1_781_157_600_123)
    [fill] = read(json.dumps({"fills": [FILL]}).encode(), FillPage).fills
    assert (fill.fact().side, fill.fact().exchange_at) == ("ask", 1_781_157_600_000_000)


@pytest.mark.parametrize(
    "change",
    [
        {"yes_price_dollars": "56"}, {"remaining_count_fp": "-1.00"}, {"order_id": ""},
        {"ticker": "a b"}, {"book_side": "buy"}, {"status": "pending"}, {"order_id": None},
        {"created_time": "0001-01-01T00:00:00Z"}, {"created_time": ""},
    ],
    ids=str,
)  # fmt: skip
def test_an_order_that_makes_no_sense_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(RemoteProtocolError):
        read(json.dumps({"order": ORDER | change}).encode(), OneOrder).order.fact()


@pytest.mark.parametrize(
    "change",
    [
        {"yes_price_dollars": "56"}, {"count_fp": "0.00"}, {"count_fp": "-1.00"}, {"trade_id": ""},
        {"ticker": ""}, {"book_side": "", "outcome_side": "maybe"}, {"ts": -1}, {"is_taker": "yes"},
        {"created_time": "0001-01-01T00:00:00Z"},
    ],
    ids=str,
)  # fmt: skip
def test_a_fill_that_makes_no_sense_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(RemoteProtocolError):
        read(json.dumps({"fills": [FILL | change]}).encode(), FillPage).fills[0].fact()


# Nothing that comes in breaks the reading

REST = Path(__file__).parents[3] / "shared" / "captures" / "rest" / "demo-2026-06-11"
WHOLE = [
    made(),
    json.dumps({"orders": [ORDER], "cursor": ""}).encode(),
    json.dumps({"fills": [FILL], "cursor": ""}).encode(),
    json.dumps({"settlements": [SETTLEMENT], "cursor": ""}).encode(),
    json.dumps({"market": MARKET}).encode(),
    transfers("deposits", {}),
    *ERRORS.values(),
    *(p.read_bytes()[:3_000] for p in sorted(REST.glob("*.json")) if ".meta." not in p.name),
]
SPLINTERS = [
    b"NaN", b"1e999", b"-Infinity", b"null", b"true", b'"\\ud800"', b'"\xff"', b"[[[[", b"}" * 9,
    b'{"a":1,"a":2}', b'"\\u0000"', b"9" * 5_000, b"-0", b"[" * 3_000, b'{"a":' * 3_000, b'"2026"',
]  # fmt: skip


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    raw = draw(st.sampled_from(WHOLE))
    for _ in range(draw(st.integers(1, 4))):
        at, until = sorted(draw(st.tuples(*[st.integers(0, len(raw))] * 2)))
        splinter = draw(st.sampled_from(SPLINTERS) | st.binary(max_size=4))
        raw = raw[:at] + splinter + raw[draw(st.sampled_from((at, min(at + 3, until), until))) :]
    return raw


def everything(raw: bytes) -> None:
    """Read it as whatever there is. All that may come of it are values and RemoteProtocolError."""
    for status in (200, 201, 204, 400, 404, 409, 429, 500):
        assert isinstance(outcome("c1", status, raw, TEN), Created | Refusal | str)
        assert isinstance(canceled("o1", status, raw), Canceled | Refusal | str)
    for shape in SHAPES:
        try:
            found = read(raw, shape)
        except RemoteProtocolError as e:
            assert len(str(e)) < 300
            continue
        meanings(found)


def meanings(found: Any) -> None:
    rows: tuple[Any, ...] = ()
    match found:
        case OrderPage(orders=rows) | FillPage(fills=rows) | SettlementPage(settlements=rows):
            facts: list[Callable[[], Any]] = [row.fact for row in rows]
        case OneOrder(order=order):
            facts = [order.fact]
        case DepositPage() | WithdrawalPage():
            facts = [found.facts]
        case StatusBody():
            facts = [lambda: (found.resumes_at, found.shards)]
        case _:
            facts = []
    for fact in facts:
        try:
            fact()
        except RemoteProtocolError:
            continue


@given(st.binary(max_size=200))
@example(b"[" * 100_000)
@example(b'{"orders":' * 100_000)
@example(b'{"error":' * 100_000)
@example(b"9" * 100_000)
@example(b'{"balance_dollars":' + b"9" * 4_999 + b"}")
@example(b'{"error":{"code":"\\ud800"}}')
def test_no_bytes_break_the_reading(raw: bytes) -> None:
    everything(raw)


@given(mutated())
def test_no_damaged_answer_breaks_the_reading(raw: bytes) -> None:
    everything(raw)


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
                    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))  # fmt: skip
def test_no_json_breaks_the_reading(tree: Any) -> None:
    everything(json.dumps(tree).encode("utf-8", "surrogatepass"))
    everything(json.dumps(tree, ensure_ascii=False).encode("utf-8", "surrogatepass"))
