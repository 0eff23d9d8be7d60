"""Halt, resume and panic over HTTP: what is asked for, and what each answer's status is."""

import json
from typing import Any

import pytest

from actors.api.asks import Ask, PressPanic, Problem, SetHalt
from actors.api.core import Api, Requested
from actors.api.replies import Reply, placed
from protocol.envelope import Letter
from protocol.machine import Answered, Started, Tell
from protocol.messages import Halt, HaltAnswer, OrderAnswer, Panic, PanicAnswer, Refused, Resume
from protocol.pulse import Identity
from tests.actors.api.reading import read, scope_of

SCOPES = {"/v1/halt": "kill", "/v1/resume": "admin", "/v1/panic": "kill"}
ASKS: dict[str, Ask] = {
    "/v1/halt": SetHalt(True, "lunch"),
    "/v1/resume": SetHalt(False, "lunch"),
    "/v1/panic": PressPanic("lunch"),
}


@pytest.mark.parametrize("path", ASKS)
def test_each_needs_a_reason_and_its_scope(path: str) -> None:
    assert read("POST", path, {}, b'{"reason":"lunch"}', "") == (SCOPES[path], ASKS[path])
    assert scope_of("POST", path) == SCOPES[path]
    for body in (b'{"reason":""}', b"{}", b'{"reason":7}', b'{"reason":"' + b"x" * 201 + b'"}'):
        found = read("POST", path, {}, body, "")
        assert isinstance(found, Problem)
        assert (found.status, found.field) == (422, "reason")


@pytest.mark.parametrize(
    ("ask", "told", "answer", "status", "code"),
    [
        (SetHalt(True, "x"), Halt("x"), HaltAnswer(True, "x"), 200, ""),
        (SetHalt(True, "x"), Halt("x"), HaltAnswer(True, "full", False), 503, "latch_not_saved"),
        (SetHalt(False, "x"), Resume("x"), HaltAnswer(False), 200, ""),
        (SetHalt(False, "x"), Resume("x"), HaltAnswer(True, "fire"), 409, "still_halted"),
        (SetHalt(False, "x"), Resume("x"), HaltAnswer(True, "f", False), 409, "still_halted"),
        (SetHalt(False, "x"), Resume("x"), Refused("no"), 502, "unexpected_answer"),
        (PressPanic("x"), Panic("x"), PanicAnswer("running", 3), 202, ""),
        (PressPanic("x"), Panic("x"), PanicAnswer("done", 0), 200, ""),
    ],
)
def test_what_the_gateway_says_is_the_status(
    ask: Ask, told: Any, answer: Any, status: int, code: str
) -> None:
    api = Api(Identity("api", 1))
    api.step(1, Started(0))
    [letter] = [
        e.letter
        for e in api.step(2, Requested(0, 1, ask))
        if isinstance(e, Tell) and e.peer == "gateway"
    ]
    assert letter.body == told
    effects = api.step(3, Answered(0, "gateway", Letter("gateway", 1, letter.id, 0, answer)))
    [reply] = [e for e in effects if isinstance(e, Reply)]
    assert reply.status == status
    assert json.loads(reply.body).get("code", "") == code


def test_a_held_create_says_when_it_is_worth_another_try() -> None:
    held = OrderAnswer("c1", "denied", None, "cancel_all_hold", "held", 41_000)
    reply = placed(1, held)
    found = json.loads(reply.body)
    assert (reply.status, found["code"], found["retry_after_ms"]) == (
        503,
        "cancel_all_hold",
        41_000,
    )
