"""Amends over HTTP: what is asked for, what the gateway is told, what each answer's status is."""

import json
from typing import Any

import pytest

from actors.api.amends import AmendIt
from actors.api.asks import Problem
from actors.api.core import Api, Requested
from actors.api.replies import Reply, placed
from protocol.account import Account
from protocol.envelope import Letter, Outbox
from protocol.facts import OrderAccepted, OrderIntended
from protocol.limits import ORDERS_KEPT, REQUEST_MAX, SECOND
from protocol.machine import Answered, Effect, Elapsed, Heard, Started, Tell
from protocol.messages import (
    AccountAnswer,
    AmendAnswer,
    AmendOrder,
    Entry,
    ProcessHealth,
    System,
)
from protocol.pulse import Identity
from protocol.units import Count, Price
from tests.actors.api.reading import read, scope_of
from tests.actors.api.test_evidence import Host, denied
from tests.actors.writer.samples import intended

PATH = "/v1/orders/c1/amend"
TERMS = OrderIntended(
    "c1", "KXA-1", "bid", Price(500_000), Count(1_000), "good_till_canceled", "hash"
)
RESTS = (TERMS, OrderAccepted("c1", "o1", Count(0), Count(1_000), 1_000))


def asked(body: bytes, path: str = PATH) -> Any:
    return read("POST", path, {}, body, "fresh")


@pytest.mark.parametrize(
    ("body", "price", "count", "id"),
    [
        (b'{"price":"0.6000"}', 600_000, None, "fresh"),
        (b'{"count":"12"}', None, 1_200, "fresh"),
        (b'{"price":"0.61","count":"0.01","amend_id":"a.1"}', 610_000, 1, "a.1"),
    ],
)
def test_what_is_left_out_stays_as_it_is(body: bytes, price: Any, count: Any, id: str) -> None:
    assert asked(body) == ("trade", AmendIt("c1", id, price, count))
    assert scope_of("POST", PATH) == "trade"


@pytest.mark.parametrize(
    ("body", "code", "field"),
    [
        (b"{}", "invalid_amend", "price"),
        (b'{"price":null}', "invalid_amend", "price"),
        (b'{"price":"1.00"}', "invalid_price", "price"),
        (b'{"price":"0"}', "invalid_price", "price"),
        (b'{"price":0.5}', "invalid_amend", "price"),
        (b'{"count":"-1"}', "invalid_count", "count"),
        (b'{"count":"1e3"}', "invalid_amend", "count"),
        (b'{"count":true}', "invalid_amend", "count"),
        (b'{"price":"0.5","amend_id":""}', "invalid_amend_id", "amend_id"),
        (b'{"price":"0.5","amend_id":"a b"}', "invalid_amend_id", "amend_id"),
        (b'{"price":"0.5","side":"ask"}', "invalid_amend", "side"),
        (b'{"price":"0.5","price":"0.6"}', "invalid_amend", "price"),
    ],
)
def test_what_makes_no_sense_is_one_problem(body: bytes, code: str, field: str) -> None:
    found = asked(body)
    assert isinstance(found, Problem)
    assert (found.status, found.code, found.field) == (422, code, field)


def test_the_order_has_to_have_a_name_that_an_order_can_have() -> None:
    found = asked(b'{"price":"0.5"}', "/v1/orders/c%201/amend")
    assert isinstance(found, Problem)
    assert found.field == "client_order_id"


# Through the front's core


def served() -> Api:
    api = Api(Identity("api", 1))
    api.step(SECOND, Started(0))
    account = Account()
    for n, fact in enumerate(RESTS, 1):
        account.apply(Entry(n, f"e{n}", 1, "test", fact))
    restored = AccountAnswer("restored", account.state())
    api.step(SECOND, Answered(0, "rehydrator", Letter("rehydrator", 2, "account:1", 0, restored)))
    writer, supervisor = Outbox("writer", 3), Outbox("supervisor", 4)
    for envelope in writer.marks(SECOND, 0, len(RESTS)):
        api.step(SECOND, Heard(0, envelope))
    stream = {"stream": ProcessHealth("ready", "", 1, 1, 0, 0)}
    system = System(True, "open", 10_000, (), {"rehydrated": True}, stream)
    api.step(SECOND, Heard(0, supervisor.seal("system", system, 0)))
    return api


def letters(effects: list[Effect]) -> list[Letter]:
    return [e.letter for e in effects if isinstance(e, Tell) and e.peer == "gateway"]


def replies(effects: list[Effect]) -> list[tuple[int, Any]]:
    return [(e.status, json.loads(e.body)) for e in effects if isinstance(e, Reply)]


def test_the_gateway_is_asked_for_the_whole_terms() -> None:
    api = served()
    [letter] = letters(api.step(SECOND, Requested(0, 1, AmendIt("c1", "a1", None, Count(7)))))
    assert letter.body == AmendOrder("c1", "a1", Price(500_000), Count(7))
    effects = api.step(SECOND, Requested(0, 2, AmendIt("c9", "a1", None, Count(7))))
    assert [(status, body["code"]) for status, body in replies(effects)] == [
        (404, "order_not_found")
    ]


def test_an_amend_of_an_order_that_memory_has_dropped_is_answered_again() -> None:
    """The ledger knows what became of it, and the gateway asks the ledger."""
    long_ago = (f for n in range(ORDERS_KEPT) for f in (intended(f"x{n}"), denied(f"x{n}")))
    host = Host(*long_ago)
    whole = AmendIt("c1", "a1", Price(600_000), Count(700))
    [letter] = letters(host.step(Requested(0, 1, whole)))
    assert letter.body == AmendOrder("c1", "a1", Price(600_000), Count(700))
    again = AmendAnswer("c1", "a1", "accepted")
    [(status, body)] = replies(host.answer("gateway", letter.id, again))
    assert (status, body["outcome"]) == (200, "accepted")
    effects = host.step(Requested(0, 2, AmendIt("c1", "a1", Price(600_000), None)))
    [(status, body)] = replies(effects)
    assert (status, body["code"]) == (404, "order_not_found")
    assert "price and count" in body["detail"]


def test_without_an_answer_it_is_unknown() -> None:
    api = served()
    api.step(SECOND, Requested(0, 1, AmendIt("c1", "a1", Price(600_000), None)))
    [(status, body)] = replies(api.step(SECOND + REQUEST_MAX, Elapsed(0)))
    assert (status, body["outcome"], body["amend_id"]) == (202, "unknown", "a1")


@pytest.mark.parametrize(
    ("outcome", "code", "status"),
    [
        ("accepted", "", 200), ("unknown", "no_answer", 202), ("rejected", "not_found", 422),
        ("conflict", "amend_id_taken", 409), ("unavailable", "not_recorded", 503),
        ("denied", "halted", 503), ("denied", "order_count", 422), ("denied", "busy", 503),
        ("denied", "order_not_found", 404), ("denied", "order_not_open", 409),
        ("denied", "amend_under_way", 409), ("denied", "invalid_amend", 422),
    ],
)  # fmt: skip
def test_what_the_gateway_says_is_the_status(outcome: Any, code: str, status: int) -> None:
    reply = placed(1, AmendAnswer("c1", "a1", outcome, None, code, "said", field="price"))
    assert reply.status == status
    body = json.loads(reply.body)
    assert body["code"] == code
    if status >= 400:
        assert (body["detail"], body["field"]) == ("said", "price")
    else:
        assert body["outcome"] == outcome
