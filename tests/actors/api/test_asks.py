"""What may be asked: strictly read, and one problem with a stable code for everything else."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.api.asks import Cancel, GetBook, GetList, Page, Place, Problem, SetHalt
from actors.api.cursors import Bookmark, bookmark_of, cursor_at
from actors.api.replies import placed
from actors.gateway.terms import answer_from
from protocol.messages import Order, OrderAnswer, PlaceOrder
from protocol.units import Count, Price
from tests.actors.api.reading import read, scope_of

GOOD = (
    b'{"ticker":"KXA-1","side":"bid","price":"0.5600","count":"10.00",'
    b'"time_in_force":"good_till_canceled","client_order_id":"c1"}'
)


def test_an_order_is_read() -> None:
    found = read("POST", "/v1/orders", {}, GOOD, "fresh")
    order = PlaceOrder("c1", "KXA-1", "bid", Price(560_000), Count(1_000), "good_till_canceled")
    assert found == ("trade", Place(order))


def test_an_order_without_a_name_gets_one() -> None:
    body = GOOD.replace(b',"client_order_id":"c1"', b"")
    found = read("POST", "/v1/orders", {}, body, "fresh")
    assert isinstance(found, tuple)
    assert isinstance(found[1], Place)
    assert found[1].order.client_order_id == "fresh"


@pytest.mark.parametrize(
    ("old", "new", "status", "field"),
    [
        (b'"0.5600"', b'"-0.5600"', 422, "price"),
        (b'"0.5600"', b'"NaN"', 422, "price"),
        (b'"0.5600"', b"NaN", 400, ""),
        (b'"0.5600"', b"0.56", 422, "price"),
        (b'"0.5600"', '"０.56"'.encode(), 422, "price"),
        (b'"0.5600"', b'"0.0000"', 422, "price"),
        (b'"0.5600"', b'"1.0000"', 422, "price"),
        (b'"10.00"', b'"0.00"', 422, "count"),
        (b'"10.00"', b'"-1.00"', 422, "count"),
        (b'"10.00"', b'"999999999999.00"', 422, "count"),
        (b'"10.00"', b"true", 422, "count"),
        (b'"bid"', b'"buy"', 422, "side"),
        (b'"KXA-1"', b'"kxa 1"', 422, "ticker"),
        (b'"KXA-1"', b"null", 422, "ticker"),
        (b'"c1"', b'"../../etc"', 422, "client_order_id"),
        (b'"c1"', b'"' + b"c" * 65 + b'"', 422, "client_order_id"),
        (b'"c1"', b'""', 422, "client_order_id"),
        (b'"c1"', b"null", 422, "client_order_id"),
        (b'"bid"', b'"bid","price":"0.9900"', 422, "price"),
        (b'"ticker"', b'"tikcer"', 422, "tikcer"),
        (b"}", b"", 400, ""),
        (b"{", b"[" * 50_000, 422, ""),
        (b"KXA", b"\xff\xfe", 400, ""),
    ],
)
def test_a_wrong_order_names_the_field(old: bytes, new: bytes, status: int, field: str) -> None:
    found = read("POST", "/v1/orders", {}, GOOD.replace(old, new), "fresh")
    assert isinstance(found, Problem)
    assert (found.status, found.field) == (status, field)
    assert found.code
    assert found.detail


@given(st.binary())
def test_any_body_is_an_order_or_a_problem(body: bytes) -> None:
    for path in ("/v1/orders", "/v1/halt"):
        assert isinstance(read("POST", path, {}, body, "fresh"), Problem)


@given(st.sampled_from(["GET", "POST", "DELETE", "PUT"]), st.text())
def test_any_path_is_a_route_or_a_problem(method: str, path: str) -> None:
    found = read(method, f"/{path}", {}, b"", "fresh")
    assert isinstance(found, Problem)
    assert found.status in (404, 405)


def test_the_routes_and_their_scopes() -> None:
    assert read("GET", "/v1/books/KXA-1", {}, b"", "") == ("read", GetBook("KXA-1"))
    assert read("DELETE", "/v1/orders/c1", {}, b"", "") == ("trade", Cancel("c1"))
    halt = read("POST", "/v1/halt", {}, b'{"reason":"lunch"}', "")
    assert halt == ("kill", SetHalt(True, "lunch"))
    assert scope_of("GET", "/v1/orders") == "read"
    assert scope_of("POST", "/v1/orders") == "trade"
    assert scope_of("PUT", "/v1/orders") is None


@pytest.mark.parametrize(
    "query",
    [
        {"limit": "0"},
        {"limit": "1001"},
        {"limit": "x"},
        {"limit": "١"},
        {"cursor": "-1"},
        {"cursor": "18"},
        {"cursor": "LTM6dDE="},
        {"x": "1"},
    ],
    ids=str,
)
def test_a_wrong_page_is_refused(query: dict[str, str]) -> None:
    assert isinstance(read("GET", "/v1/fills", query, b"", ""), Problem)


def test_a_page_is_asked_for_by_the_cursor_of_the_one_before() -> None:
    cursor = cursor_at(Bookmark(-3, "t1"))
    found = read("GET", "/v1/fills", {"limit": "2", "cursor": cursor}, b"", "")
    assert found == ("read", GetList("fills", Page(2, cursor)))
    assert bookmark_of(cursor) == (-3, "t1")
    assert read("GET", "/v1/fills", {"cursor": ""}, b"", "") == ("read", GetList("fills", Page()))


@given(st.integers(-(10**18) + 1, 10**18 - 1), st.text(max_size=64))
def test_a_cursor_keeps_its_place(number: int, name: str) -> None:
    assert bookmark_of(cursor_at(Bookmark(number, name))) == (number, name)


@given(st.text())
def test_any_text_is_a_cursor_or_a_problem(text: str) -> None:
    found = read("GET", "/v1/fills", {"cursor": text}, b"", "")
    assert isinstance(found, Problem) == (text != "" and bookmark_of(text) is None)


@pytest.mark.parametrize(
    ("outcome", "code", "status"),
    [
        ("accepted", "", 201),
        ("unknown", "no_answer", 202),
        ("rejected", "invalid_price", 422),
        ("conflict", "order_id_taken", 409),
        ("denied", "halted", 503),
        ("denied", "gate_closed", 503),
        ("denied", "invalid_order", 422),
        ("unavailable", "not_recorded", 503),
    ],
)
def test_the_status_of_an_order_s_answer(outcome: Any, code: str, status: int) -> None:
    assert placed(1, OrderAnswer("c1", outcome, code=code)).status == status


def test_a_denial_on_record_is_final_for_a_program_that_asks_until_it_is_told() -> None:
    booked = Order("c1", "", "KXA-1", "bid", Price(560_000), Count(1_000), "good_till_canceled",
                   "denied", reason="halted: fire")  # fmt: skip
    reply = placed(1, answer_from(booked))
    assert (reply.status, json.loads(reply.body)["code"]) == (422, "halted")


def test_the_answer_names_the_field_that_the_gateway_found_wrong() -> None:
    answer = OrderAnswer("c1", "denied", code="off_grid_price", text="steps", field="price")
    found = json.loads(placed(1, answer).body)
    assert (found["status"], found["code"], found["field"]) == (422, "off_grid_price", "price")


@pytest.mark.parametrize("code", ["unresolved_order", "market_not_read"])
def test_what_passes_by_itself_means_not_now(code: str) -> None:
    assert placed(1, OrderAnswer("c1", "denied", code=code)).status == 503
