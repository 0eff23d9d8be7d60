"""Decreases over HTTP: strictly read, and one status for each outcome."""

import json

import pytest

from actors.api.asks import Decrease, Problem
from actors.api.core import Api, Requested
from actors.api.replies import translate
from protocol.limits import REQUEST_MAX
from protocol.machine import Elapsed, Tell
from protocol.messages import DecreaseAnswer, DecreaseOrder
from protocol.pulse import Identity
from protocol.units import Count
from tests.actors.api.reading import read, scope_of

PATH = "/v1/orders/c1/decrease"
THREE = Decrease(DecreaseOrder("c1", Count(300)))


def test_a_decrease_is_read() -> None:
    assert read("POST", PATH, {}, b'{"reduce_to":"3.00"}', "") == ("trade", THREE)
    assert scope_of("POST", PATH) == "trade"


@pytest.mark.parametrize("count", ["0.00", "-1.00", "999999999999.00", "1e2", "3.001"])
def test_a_count_that_makes_no_sense_names_its_field(count: str) -> None:
    found = read("POST", PATH, {}, json.dumps({"reduce_to": count}).encode(), "")
    assert isinstance(found, Problem)
    assert (found.status, found.code, found.field) == (422, "invalid_reduce_to", "reduce_to")


@pytest.mark.parametrize("body", [b"{}", b'{"reduce_to":3}', b'{"reduce_by":"3.00"}', b"[]"])
def test_a_body_that_is_none_is_refused(body: bytes) -> None:
    found = read("POST", PATH, {}, body, "")
    assert isinstance(found, Problem)
    assert found.status == 422


def test_a_name_that_is_none_is_refused() -> None:
    found = read("POST", "/v1/orders/a b/decrease", {}, b'{"reduce_to":"3.00"}', "")
    assert isinstance(found, Problem)
    assert found.field == "client_order_id"


@pytest.mark.parametrize(
    ("outcome", "code", "status"),
    [
        ("decreased", "", 200),
        ("unknown", "no_answer", 202),
        ("not_found", "", 404),
        ("gone", "", 409),
        ("rejected", "invalid_order", 422),
        ("unavailable", "busy", 503),
    ],
)
def test_each_outcome_has_its_status(outcome: str, code: str, status: int) -> None:
    answer = DecreaseAnswer("c1", outcome, Count(300), code, "why")  # type: ignore[arg-type]
    reply = translate(1, THREE, answer, 0)
    assert reply.status == status
    told = json.loads(reply.body)
    if status < 400:
        assert (told["outcome"], told["remaining"]) == (outcome, "3.00")
    else:
        assert told["code"] == (code or outcome)


def test_it_needs_no_account_and_without_an_answer_it_is_unknown() -> None:
    api = Api(Identity("api", 1))
    sent = api.step(1, Requested(0, 7, THREE))
    [letter] = [e.letter for e in sent if isinstance(e, Tell) and e.peer == "gateway"]
    assert letter.body == THREE.wanted
    replies = [e for e in api.step(1 + REQUEST_MAX, Elapsed(0)) if hasattr(e, "status")]
    [reply] = replies
    assert (reply.status, json.loads(reply.body)["outcome"]) == (202, "unknown")
