"""GET /v1/orders/{id}/evidence: the ledger's word, and the gateway's on an order in doubt."""

import json
from typing import Any

import pytest

from actors.api.asks import GetEvidence, GetOrder, Problem
from actors.api.core import Api, Requested
from actors.api.proofs import DOUBT_MAX
from actors.api.replies import Reply
from protocol import topics
from protocol.account import Account
from protocol.envelope import Envelope, Letter
from protocol.facts import AnyFact, OrderDenied, OrderUnknown, natural_id
from protocol.limits import MS, ORDERS_KEPT, REQUEST_MAX, SECOND
from protocol.machine import Answered, Cause, Effect, Elapsed, Heard, Started, Tell
from protocol.messages import (
    AccountAnswer,
    AnyMessage,
    DoubtAnswer,
    DoubtRequest,
    Entry,
    EvidenceAnswer,
    EvidenceRequest,
    HaltAnswer,
    Mark,
    ProcessHealth,
    Refused,
    System,
)
from protocol.pulse import Identity
from tests.actors.api.reading import read, scope_of
from tests.actors.writer.samples import accepted, fill, intended

WHERE = "/v1/orders/c1/evidence"
AT = 1_782_873_388_379_000
UNKNOWN = OrderUnknown("c1", "no answer")


def entries(*facts: AnyFact) -> tuple[Entry, ...]:
    return tuple(
        Entry(n, natural_id(fact), AT + n, "gateway", fact) for n, fact in enumerate(facts, 1)
    )


class Host:
    """A front that serves an account, and one question."""

    def __init__(self, *facts: AnyFact, order_group: str = "") -> None:
        self.core = Api(Identity("api", 7), order_group)
        self.now = SECOND
        account = Account()
        for entry in entries(*facts):
            account.apply(entry)
        self.step(Started(AT))
        stream = ProcessHealth("ready", "", 1, 1, 0, 0)
        system = System(True, "open", 10_000, (), {"rehydrated": True}, {"stream": stream})
        self.step(Heard(AT, Envelope(topics.SYSTEM, "supervisor", 1, 1, AT, system)))
        self.step(Heard(AT, Envelope(topics.MARK, "writer", 1, 1, AT, Mark({}, account.n))))
        self.answer("rehydrator", "account:1", AccountAnswer("restored", account.state()))

    def step(self, cause: Cause) -> list[Effect]:
        return self.core.step(self.now, cause)

    def ask(self, id: str = "c1") -> list[Effect]:
        return self.step(Requested(AT, 1, GetEvidence(id)))

    def answer(self, peer: str, id: str, body: AnyMessage) -> list[Effect]:
        return self.step(Answered(AT, peer, Letter(peer, 3, id, AT, body)))


def told(effects: list[Effect]) -> list[tuple[str, str, AnyMessage]]:
    """Letters about the order."""
    about = (EvidenceRequest, DoubtRequest)
    tells = [e for e in effects if isinstance(e, Tell) and isinstance(e.letter.body, about)]
    return [(e.peer, e.letter.id, e.letter.body) for e in tells]


def replied(effects: list[Effect]) -> tuple[int, Any]:
    [reply] = [e for e in effects if isinstance(e, Reply)]
    return reply.status, json.loads(reply.body)


def test_the_route_is_read_and_needs_the_right_to_read() -> None:
    assert read("GET", WHERE, {}, b"", "") == ("read", GetEvidence("c1"))
    assert scope_of("GET", WHERE) == "read"
    assert read("GET", "/v1/orders/evidence", {}, b"", "") == ("read", GetOrder("evidence"))
    assert read("GET", "/v1/orders/a:b.c-d_e/evidence", {}, b"", "") == (
        "read", GetEvidence("a:b.c-d_e"),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("POST", WHERE, 405, "method_not_allowed"),
        ("GET", "/v1/orders//evidence", 404, "not_found"),
        ("GET", "/v1/orders/c1/proof", 404, "not_found"),
        ("GET", "/v1/orders/c1/evidence/", 404, "not_found"),
        ("GET", "/v1/orders/c1/x/evidence", 404, "not_found"),
        ("GET", "/v1/fills/c1/evidence", 404, "not_found"),
        ("GET", "/v1/orders/a%20b/evidence", 422, "invalid_client_order_id"),
        ("GET", f"/v1/orders/{'c' * 65}/evidence", 422, "invalid_client_order_id"),
    ],
)
def test_a_wrong_question_is_refused(method: str, path: str, status: int, code: str) -> None:
    found = read(method, path, {}, b"", "")
    assert isinstance(found, Problem)
    assert (found.status, found.code) == (status, code)


def test_the_evidence_of_a_settled_order_is_the_ledger_s() -> None:
    facts = [intended(), accepted(), fill()]
    host = Host(*facts)
    assert told(host.ask()) == [("rehydrator", "evidence:1", EvidenceRequest("c1"))]
    found = EvidenceAnswer(entries(*facts), 3)
    effects = host.answer("rehydrator", "evidence:1", found)
    assert told(effects) == [], "nobody is in doubt"
    status, body = replied(effects)
    assert status == 200
    assert list(body) == [
        "client_order_id", "order", "evidence", "complete", "n", "resolving", "reason", "as_of",
        "age_ms",
    ]  # fmt: skip
    assert (body["client_order_id"], body["complete"], body["n"]) == ("c1", True, 3)
    assert (body["resolving"], body["reason"]) == (None, "")
    assert (body["order"]["state"], body["order"]["filled"]) == ("resting", "1.00")
    assert [(e["n"], e["at"], e["source"], e["id"]) for e in body["evidence"]] == [
        (1, AT + 1, "gateway", "intent:c1"), (2, AT + 2, "gateway", "accepted:c1:o1"),
        (3, AT + 3, "gateway", "fill:o1:t1"),
    ]  # fmt: skip
    assert body["evidence"][1]["fact"]["type"] == "OrderAccepted"


def test_the_answer_is_no_newer_than_the_account_that_it_shows() -> None:
    """The ledger was asked now, but the writer was heard a second and a half ago."""
    host = Host(intended(), accepted())
    host.now += 1_500 * MS
    host.ask()
    found = EvidenceAnswer(entries(intended(), accepted()), 2)
    _, body = replied(host.answer("rehydrator", "evidence:1", found))
    assert (body["as_of"], body["age_ms"]) == (AT - 1_500_000, 1_500)


def test_nor_is_it_newer_than_the_question() -> None:
    host = Host(intended(), accepted())
    host.step(Requested(AT - 7_000, 1, GetEvidence("c1")))
    found = EvidenceAnswer(entries(intended(), accepted()), 2)
    _, body = replied(host.answer("rehydrator", "evidence:1", found))
    assert (body["as_of"], body["age_ms"]) == (AT - 7_000, 7)


def doubted() -> Host:
    """An unknown order whose evidence has come, and the gateway is asked."""
    host = Host(intended(), UNKNOWN)
    host.ask()
    found = EvidenceAnswer(entries(intended(), UNKNOWN), 2, complete=False)
    effects = host.answer("rehydrator", "evidence:1", found)
    assert told(effects) == [("gateway", "doubt:1", DoubtRequest("c1"))]
    assert [e for e in effects if isinstance(e, Reply)] == []
    return host


def test_of_an_order_in_doubt_the_gateway_says_how_far_it_is() -> None:
    doubt = DoubtAnswer(True, AT, AT + 35_000_000, 1, 2, AT, AT + 5, "")
    status, body = replied(doubted().answer("gateway", "doubt:1", doubt))
    assert (status, body["complete"], body["reason"]) == (200, False, "")
    assert body["order"]["state"] == "unknown"
    assert body["resolving"] == {
        "type": "DoubtAnswer", "open": True, "since": AT, "settles_at": AT + 35_000_000,
        "misses": 1, "misses_needed": 2, "user_data_at": AT, "next_at": AT + 5, "trouble": "",
        "glimpsed": False,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (Refused("not yet"), "not yet"),
        (HaltAnswer(False), "the gateway answered HaltAnswer"),
    ],
)
def test_without_the_gateway_the_evidence_stands_alone(answer: AnyMessage, reason: str) -> None:
    status, body = replied(doubted().answer("gateway", "doubt:1", answer))
    assert (status, body["resolving"], body["reason"]) == (200, None, reason)
    assert [e["id"] for e in body["evidence"]] == ["intent:c1", "unknown:c1"]


def test_a_silent_gateway_is_not_waited_for() -> None:
    host = doubted()
    deadline = host.core.deadline()
    assert deadline is not None and deadline <= host.now + DOUBT_MAX
    host.now += DOUBT_MAX
    status, body = replied(host.step(Elapsed(AT)))
    assert (status, body["resolving"]) == (200, None)
    assert body["reason"] == "the gateway did not answer in time"
    late = host.answer("gateway", "doubt:1", DoubtAnswer(False))
    assert [e for e in late if isinstance(e, Reply)] == []


@pytest.mark.parametrize(
    ("found", "status", "code"),
    [
        (EvidenceAnswer((), 3), 404, "not_found"),
        (EvidenceAnswer((), 0, False, "restoring: reading the ledger"), 503, "not_ready"),
        (Refused("the rehydrator does not take EvidenceRequest"), 502, "unexpected_answer"),
    ],
)
def test_no_evidence_is_said_as_a_problem(found: AnyMessage, status: int, code: str) -> None:
    host = Host(intended())
    host.ask("c9")
    said, body = replied(host.answer("rehydrator", "evidence:1", found))
    assert (said, body["code"]) == (status, code)
    if isinstance(found, EvidenceAnswer) and found.reason:
        assert (body["detail"], body["retry_after_ms"]) == (found.reason, 1_000)


def test_an_order_that_ended_long_ago_has_evidence_and_no_order() -> None:
    host = Host(intended())
    host.ask("c9")
    found = EvidenceAnswer(entries(intended("c9")), 1)
    status, body = replied(host.answer("rehydrator", "evidence:1", found))
    assert (status, body["order"], body["resolving"]) == (200, None, None)


def test_a_silent_rehydrator_means_no_answer() -> None:
    host = Host(intended())
    host.ask()
    host.now += REQUEST_MAX
    status, body = replied(host.step(Elapsed(AT)))
    assert (status, body["code"]) == (503, "no_answer")


def test_nothing_is_shown_before_the_account_is_there() -> None:
    core = Api(Identity("api", 7))
    core.step(SECOND, Started(AT))
    status, body = replied(core.step(SECOND, Requested(AT, 1, GetEvidence("c1"))))
    assert (status, body["code"]) == (503, "not_ready")


def test_an_order_that_memory_has_dropped_is_read_from_the_ledger() -> None:
    old = (intended(), accepted())
    host = Host(*(f for n in range(ORDERS_KEPT) for f in (intended(f"x{n}"), denied(f"x{n}"))))
    asked = host.step(Requested(AT, 1, GetOrder("c1")))
    assert told(asked) == [("rehydrator", "evidence:1", EvidenceRequest("c1"))]
    found = EvidenceAnswer(entries(*old), 2)
    status, body = replied(host.answer("rehydrator", "evidence:1", found))
    assert (status, body["order"]["client_order_id"], body["order"]["order_id"]) == (
        200,
        "c1",
        "o1",
    )
    host.step(Requested(AT, 2, GetOrder("nobody")))
    status, body = replied(host.answer("rehydrator", "evidence:2", EvidenceAnswer((), 2)))
    assert (status, body["code"]) == (404, "not_found")


def denied(id: str) -> AnyFact:
    return OrderDenied(id, "long ago")
