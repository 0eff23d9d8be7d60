"""Confirming a restore over HTTP, and which orders say that the front made their ids up."""

import json
from typing import Any

import pytest

from actors.api.asks import Confirm, Place, Problem
from actors.api.core import Api, Requested
from actors.api.replies import Reply, placed
from protocol.envelope import Letter
from protocol.limits import REQUEST_MAX, SECOND
from protocol.machine import Answered, Elapsed, Started, Tell
from protocol.messages import ConfirmRestore, OrderAnswer, RestoreAnswer
from protocol.pulse import Identity
from tests.actors.api.reading import read, scope_of

WHERE = "/v1/restore/confirm"
ORDER: dict[str, Any] = {"ticker": "KXA-1", "side": "bid", "price": "0.5600", "count": "10.00"}


def test_a_confirmation_is_read_and_is_an_admin_s() -> None:
    found = read("POST", WHERE, {}, b'{"confirmed_by":"alice"}', "")
    assert found == ("admin", Confirm("alice"))
    assert scope_of("POST", WHERE) == "admin"
    assert read("GET", WHERE, {}, b"", "") == Problem(
        405, "method_not_allowed", f"{WHERE} takes POST", allow="POST"
    )


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        (b"", 400, ""),
        (b"{", 400, ""),
        (b'{"confirmed_by":"\xff"}', 400, ""),
        (b"{}", 422, "confirmed_by"),
        (b'{"confirmed_by":7}', 422, "confirmed_by"),
        (b'{"confirmed_by":""}', 422, "confirmed_by"),
        (b'{"confirmed_by":"a\\nb"}', 422, "confirmed_by"),
        (b'{"confirmed_by":"' + b"a" * 201 + b'"}', 422, "confirmed_by"),
        (b'{"confirmed_by":"alice","force":true}', 422, "force"),
    ],
)
def test_a_wrong_confirmation_names_the_field(body: bytes, status: int, field: str) -> None:
    found = read("POST", WHERE, {}, body, "")
    assert isinstance(found, Problem)
    assert (found.status, found.field) == (status, field)


@pytest.mark.parametrize(
    ("id", "name", "minted"),
    [
        ({}, "fresh", True),
        ({"client_order_id": "c1"}, "c1", False),
        ({"client_order_id": "fresh"}, "fresh", False),
    ],
)
def test_only_an_id_that_the_front_made_up_is_minted(id: Any, name: str, minted: bool) -> None:
    found = read("POST", "/v1/orders", {}, json.dumps(ORDER | id).encode(), "fresh")
    assert isinstance(found, tuple)
    assert isinstance(found[1], Place)
    assert (found[1].order.client_order_id, found[1].order.minted) == (name, minted)


def test_a_client_can_not_say_that_its_id_is_minted() -> None:
    body = json.dumps(ORDER | {"client_order_id": "c1", "minted": True}).encode()
    found = read("POST", "/v1/orders", {}, body, "fresh")
    assert isinstance(found, Problem)
    assert found.field == "minted"


def test_an_unconfirmed_restore_means_not_now() -> None:
    assert placed(1, OrderAnswer("c1", "denied", code="restore_unconfirmed")).status == 503


def asked() -> tuple[Api, str]:
    """A front that is not ready, and the letter that a confirmation became all the same."""
    core = Api(Identity("api", 7))
    core.step(SECOND, Started(0))
    effects = core.step(SECOND, Requested(0, 1, Confirm("alice")))
    [letter] = [e.letter for e in effects if isinstance(e, Tell) and e.peer == "gateway"]
    assert letter.body == ConfirmRestore("alice")
    return core, letter.id


@pytest.mark.parametrize(
    ("answer", "status", "code"),
    [
        (RestoreAnswer("confirmed"), 200, ""),
        (RestoreAnswer("none", "no restore"), 409, "no_restore"),
        (RestoreAnswer("refused", "not reconciled"), 409, "restore_refused"),
    ],
)
def test_the_gateway_s_word_as_a_status(answer: RestoreAnswer, status: int, code: str) -> None:
    core, id = asked()
    effects = core.step(SECOND, Answered(0, "gateway", Letter("gateway", 3, id, 0, answer)))
    [reply] = [e for e in effects if isinstance(e, Reply)]
    said = json.loads(reply.body)
    assert (reply.status, said.get("code", "")) == (status, code)
    assert said.get("detail", "") == answer.reason


def test_a_silent_gateway_means_no_answer() -> None:
    core, _ = asked()
    effects = core.step(SECOND + REQUEST_MAX, Elapsed(0))
    [reply] = [e for e in effects if isinstance(e, Reply)]
    assert (reply.status, json.loads(reply.body)["code"]) == (503, "no_answer")
