"""Everything wrong that a client can send as an order: one problem that says what and where, and
the exchange sees none of it."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.engine.running import Engine
from tests.engine.test_orders import busiest

OTHERS = ("KXBTCD-26DEC31-T90000", "KXBTCD-26DEC31-T95000")  # one is settled, one is on whole cents
ID = "client_order_id"


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with Engine() as engine:
        engine.launch("paper")
        engine.until_exchange()
        engine.deed("settle", ticker=OTHERS[0], result="yes")  # before anybody has read its rules
        engine.start_without("paper")
        engine.until_trading()
        known = engine.taken(OTHERS[1], client_order_id="known", **resting())
        assert known.status_code == 201, known.text
        yield engine
        # Of all that was sent, nothing got through, and nothing was recorded.
        assert [r[ID] for r in engine.wire()] == ["known"]
        orders = engine.get("/v1/orders").json()["orders"]
        assert [o[ID] for o in orders] == ["known"]
        assert engine.until_healthy().gate == "open"


def resting() -> dict[str, str]:
    return {"price": "0.0100", "time_in_force": "good_till_canceled"}


def post(engine: Engine, body: bytes, kind: str = "application/json") -> requests.Response:
    """Bytes as they are, as an order."""
    secret = Path(engine.settings.var_dir, "token.trade").read_text().strip()
    headers = {"Authorization": f"Bearer {secret}", "Content-Type": kind}
    return requests.post(f"{engine.api}/v1/orders", data=body, headers=headers, timeout=10)


def refused(engine: Engine, answer: requests.Response) -> tuple[int, str, str]:
    """Status, code and field of the one problem that a wrong order gets."""
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    problem = answer.json()
    assert set(problem) <= {"type", "title", "status", "code", "detail", "field", "retry_after_ms"}
    assert problem["status"] == answer.status_code
    assert problem["detail"]
    assert [r[ID] for r in engine.wire()] == ["known"], "the exchange has seen it"
    return answer.status_code, problem["code"], problem.get("field", "")


WRONG_TYPES: list[tuple[str, Any]] = [
    (field, value)
    for field, values in {
        "ticker": (None, 7, True, ["KXANY-1"], {}),
        "side": (None, 1, True, ["bid"]),
        "price": (None, 0.5, 1, True, ["0.5000"], {"dollars": "0.5000"}),
        "count": (None, 1, 1.0, False, ["1.00"]),
        "time_in_force": (None, 0, True),
        ID: (None, 7, True, ["x"]),
        "post_only": (None, 0, "false", "true"),
    }.items()
    for value in values
]
WRONG_VALUES = [
    ("price", text)
    for text in (
        "",
        " ",
        "０.5000",
        "٠.5",
        "1e2",
        "5e-1",
        "NaN",
        "nan",
        "Infinity",
        "-0.1000",
        "+0.5",
    )
    + ("0x1", "0,5", ".5", "0.", "1_0", " 0.5", "0.5\n", "0.5\x00", "1/2", "0.1234567", "12345678")
] + [
    ("count", text)
    for text in ("", "１.00", "1e2", "NaN", "+1", "1.001", "1.", ".5", "1_000", "1 ", "1" * 13)
]
OUT_OF_RANGE = [
    ("price", "0", "invalid_price"),
    ("price", "0.0000", "invalid_price"),
    ("price", "1.0000", "invalid_price"),
    ("price", "1.5000", "invalid_price"),
    ("price", "9999999.0", "invalid_price"),
    ("count", "0.00", "invalid_count"),
    ("count", "-1.00", "invalid_count"),
    ("count", "999999999999.99", "invalid_count"),
    ("ticker", "", "invalid_ticker"),
    ("ticker", "kxany-1", "invalid_ticker"),
    ("ticker", "KX ANY", "invalid_ticker"),
    ("ticker", "KXANY-1\x00", "invalid_ticker"),
    ("ticker", "../../etc", "invalid_ticker"),
    ("ticker", "ＫＸＡＮＹ", "invalid_ticker"),
    ("ticker", "K" * 65, "invalid_ticker"),
    (ID, "", "invalid_client_order_id"),
    (ID, " ", "invalid_client_order_id"),
    (ID, "a b", "invalid_client_order_id"),
    (ID, "a\nb", "invalid_client_order_id"),
    (ID, "a\x00b", "invalid_client_order_id"),
    (ID, "a\x7f", "invalid_client_order_id"),
    (ID, "é", "invalid_client_order_id"),
    (ID, "a/b", "invalid_client_order_id"),
    (ID, "c" * 65, "invalid_client_order_id"),
    ("side", "buy", "invalid_order"),
    ("side", "BID", "invalid_order"),
    ("side", "", "invalid_order"),
    ("time_in_force", "forever", "invalid_order"),
    ("time_in_force", "", "invalid_order"),
    ("colour", "red", "invalid_order"),
    ("subaccount", 1, "invalid_order"),
    ("minted", True, "invalid_order"),
]


def shown(value: Any) -> str:
    return ascii(value)[:40]


@pytest.mark.parametrize(("field", "value"), WRONG_TYPES, ids=shown)
def test_a_wrong_type(engine: Engine, field: str, value: Any) -> None:
    answer = engine.order(OTHERS[1], **{**resting(), field: value}) if field != "ticker" else None
    answer = answer if answer is not None else engine.post("/v1/orders", {**whole(), field: value})
    assert refused(engine, answer) == (422, "invalid_order", field)


@pytest.mark.parametrize(("field", "value"), WRONG_VALUES, ids=shown)
def test_what_is_no_plain_number(engine: Engine, field: str, value: str) -> None:
    answer = engine.post("/v1/orders", {**whole(), field: value})
    assert refused(engine, answer) == (422, "invalid_order", field)


@pytest.mark.parametrize(("field", "value", "code"), OUT_OF_RANGE, ids=shown)
def test_what_may_not_be(engine: Engine, field: str, value: Any, code: str) -> None:
    answer = engine.post("/v1/orders", {**whole(), field: value})
    assert refused(engine, answer) == (422, code, field)


@pytest.mark.parametrize("field", ["ticker", "side", "price", "count"])
def test_what_has_to_be_said(engine: Engine, field: str) -> None:
    answer = engine.post("/v1/orders", {k: v for k, v in whole().items() if k != field})
    assert refused(engine, answer) == (422, "invalid_order", field)


@pytest.mark.parametrize(
    ("change", "status", "code", "field"),
    [
        ({"ticker": "KXNOSUCH-1"}, 422, "market_not_found", "ticker"),
        ({"ticker": OTHERS[0]}, 422, "market_not_open", "ticker"),
        ({"price": "0.0150"}, 422, "off_grid_price", "price"),
        ({"price": "0.015001"}, 422, "off_grid_price", "price"),
        ({"post_only": True, "time_in_force": "immediate_or_cancel"}, 422, "invalid_order",
         "post_only"),
        ({ID: "known", "price": "0.0200"}, 409, "order_id_taken", ID),
        ({ID: "known", "side": "ask"}, 409, "order_id_taken", ID),
        ({ID: "known", "count": "1.01"}, 409, "order_id_taken", ID),
        ({ID: "known", "post_only": True}, 409, "order_id_taken", ID),
        ({ID: "known", "ticker": "KXBTCD-26DEC31-T100000"}, 409, "order_id_taken", ID),
    ],
    ids=shown,
)  # fmt: skip
def test_what_only_the_gateway_can_know(
    engine: Engine, change: dict[str, Any], status: int, code: str, field: str
) -> None:
    answer = engine.post("/v1/orders", {**whole(), **change})
    assert refused(engine, answer) == (status, code, field)


GOOD = (
    b'{"ticker":"KXBTCD-26DEC31-T95000","side":"bid","price":"0.0100","count":"1.00",'
    b'"client_order_id":"raw"}'
)


@pytest.mark.parametrize(
    ("body", "status", "code", "field"),
    [
        (b"", 400, "malformed_json", ""),
        (b"{", 400, "malformed_json", ""),
        (b"null", 422, "invalid_order", ""),
        (b"[]", 422, "invalid_order", ""),
        (b'"order"', 422, "invalid_order", ""),
        (b"{}", 422, "invalid_order", "ticker"),
        (b"[" * 10_000, 422, "invalid_order", ""),
        (b'{"ticker":' * 5_000, 422, "invalid_order", "ticker"),
        (b"\xef\xbb\xbf" + GOOD, 400, "malformed_json", ""),
        (GOOD.decode().encode("utf-16"), 400, "malformed_json", ""),
        (GOOD + b"{}", 400, "malformed_json", ""),
        (GOOD[:-1] + b",}", 400, "malformed_json", ""),
        (GOOD.replace(b"\"", b"'"), 400, "malformed_json", ""),
        (GOOD.replace(b'"0.0100"', b"NaN"), 400, "malformed_json", ""),
        (GOOD.replace(b'"0.0100"', b"1e400"), 422, "invalid_order", "price"),
        (GOOD.replace(b'"0.0100"', b"9" * 5_000), 422, "invalid_order", "price"),
        (GOOD.replace(b'"0.0100"', b'"' + b"9" * 60_000 + b'"'), 422, "invalid_order", "price"),
        (GOOD.replace(b"raw", b"r\xff"), 400, "malformed_json", ""),
        (GOOD.replace(b"raw", b"\\ud800"), 400, "malformed_json", ""),
        (GOOD.replace(b"}", b',"price":"0.9900"}'), 422, "invalid_order", "price"),
        (GOOD.replace(b"}", b',"client_order_id":"raw"}'), 422, "invalid_order", ID),
        (GOOD.replace(b"}", b',"pr\\u0069ce":"0.9900"}'), 422, "invalid_order", "price"),
        (b" " * 65_537 + GOOD, 413, "body_too_large", ""),
        (b"x" * 1_000_000, 413, "body_too_large", ""),
    ],
    ids=lambda value: ascii(value)[:60],
)  # fmt: skip
def test_a_body_that_is_no_order(
    engine: Engine, body: bytes, status: int, code: str, field: str
) -> None:
    assert refused(engine, post(engine, body)) == (status, code, field)


@pytest.mark.parametrize("kind", ["", "text/plain", "application/x-www-form-urlencoded"])
def test_a_body_of_another_kind(engine: Engine, kind: str) -> None:
    assert refused(engine, post(engine, GOOD, kind))[:2] == (415, "unsupported_media_type")


def test_an_order_that_is_right_is_known_again_after_all_this(engine: Engine) -> None:
    answer = engine.post("/v1/orders", {**whole(), ID: "known"})
    assert answer.status_code == 201, answer.text
    assert json.loads(answer.text)["order"]["state"] == "resting"
    assert busiest(engine)


def whole() -> dict[str, Any]:
    """An order that would rest, under an id of its own that nothing has used."""
    return {"ticker": OTHERS[1], "side": "bid", "count": "1.00", ID: "wrong", **resting()}
