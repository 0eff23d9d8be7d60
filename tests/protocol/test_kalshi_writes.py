"""Answers after a side effect, of decreases and order groups: done, refused, or unknown."""

import pytest

from protocol.kalshi.answers import Refusal
from protocol.kalshi.writes import (
    Decreased,
    GroupDone,
    decreased,
    group_changed,
    group_made,
)
from protocol.units import Count

DONE = b'{"order_id":"o1","client_order_id":"c1","remaining_count":"3.00","ts_ms":9}'
ERROR = b'{"error":{"code":"not_found","message":"not found"}}'


@pytest.mark.parametrize(
    ("body", "rests"),
    [
        (DONE, Count(300)),
        (b'{"order_id":"o1","remaining_count":"3.00"}', Count(300)),
        (b'{"order_id":"o1","remaining_count":3}', Count(300)),
        (b'{"order_id":"o1","remaining_count":"-3.00"}', None),
        (b'{"order_id":"o1","remaining_count":"NaN"}', None),
        (b'{"order_id":"o1","remaining_count":null}', None),
        (b"{}", None),
    ],
)
def test_a_200_is_a_decrease_that_was_done_however_little_it_says(
    body: bytes, rests: Count | None
) -> None:
    assert decreased("o1", 200, body) == Decreased(rests)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 429])
def test_a_no_with_an_error_in_it_is_final(status: int) -> None:
    assert decreased("o1", status, ERROR) == Refusal("not_found", "not found")


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, b""),
        (200, b"<html>"),
        (200, b"[]"),
        (200, ERROR),
        (200, DONE.replace(b"o1", b"o2")),
        (201, DONE),
        (204, b""),
        (307, b""),
        (400, b"<html>"),
        (404, b"404 page not found"),
        (408, ERROR),
        (500, ERROR),
        (503, b""),
    ],
)
def test_everything_else_is_unknown(status: int, body: bytes) -> None:
    assert isinstance(decreased("o1", status, body), str)


def test_a_group_that_was_made_says_its_id() -> None:
    body = b'{"order_group_id":"g-1","subaccount":0,"exchange_index":0}'
    assert group_made(201, body) == GroupDone("g-1")
    assert group_made(400, ERROR) == Refusal("not_found", "not found")


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (201, b"{}"),
        (201, b"<html>"),
        (201, b'{"order_group_id":7}'),
        (201, b'{"order_group_id":"a/b"}'),
        (201, ERROR),
        (200, b'{"order_group_id":"g-1"}'),
        (409, ERROR),
        (500, ERROR),
    ],
)
def test_whether_a_group_was_made_is_unknown_otherwise(status: int, body: bytes) -> None:
    assert isinstance(group_made(status, body), str)


def test_what_is_done_to_a_group_is_answered_by_nothing_but_a_200() -> None:
    assert group_changed(200, b"{}") == GroupDone()
    assert group_changed(404, ERROR) == Refusal("not_found", "not found")
    for status, body in ((200, b""), (200, b"[]"), (200, ERROR), (204, b""), (503, ERROR)):
        assert isinstance(group_changed(status, body), str)
