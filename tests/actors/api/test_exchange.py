"""Reads of the exchange over HTTP: every read of the table has its route, its words, its page."""

import json
from pathlib import Path
from typing import Any

import pytest
from msgspec import Raw

from actors.api.asks import AskExchange, Problem
from actors.api.core import Requested
from actors.api.replies import Reply
from protocol.kalshi.inquiries import INQUIRIES
from protocol.limits import INQUIRY_MAX
from protocol.machine import Effect, Elapsed, Tell
from protocol.messages import Inquire, InquiryAnswer, Refused
from tests.actors.api.reading import read, scope_of
from tests.actors.api.test_evidence import AT, Host

PAGE = Path(__file__).parents[3] / "docs" / "API.md"
ORDER_ID = "2597b999-f887-4195-8bac-c3f97a1f2021"
MARKET = Inquire("market", {"ticker": "KXA-1"})


def get(path: str, **query: str) -> Any:
    return read("GET", f"/v1/exchange{path}", query, b"", "")


def test_every_read_has_a_route_for_whoever_may_look() -> None:
    for inquiry in INQUIRIES.values():
        said = {p.name: "KXA-1" for p in inquiry.parameters if p.required}
        said |= {name: ORDER_ID for name in said if name == "order_id"}
        times = {"start_ts": "0", "end_ts": "60", "period_interval": "60"}
        said |= {name: value for name, value in times.items() if name in said}
        path = inquiry.path.format_map(said)
        query = {name: value for name, value in said.items() if not inquiry.in_path(name)}
        assert get(path, **query) == ("read", AskExchange(Inquire(inquiry.name, said)))
        assert scope_of("GET", f"/v1/exchange{path}") == "read"


def test_the_words_of_a_query_are_the_exchange_s() -> None:
    assert get("/markets", status="open", limit="5") == (
        "read", AskExchange(Inquire("markets", {"status": "open", "limit": "5"})),
    )  # fmt: skip
    assert get("/markets/trades")[1].inquire.name == "trades", "a word, and no ticker"


@pytest.mark.parametrize(
    ("path", "query", "status", "code", "field"),
    [
        ("/markets/kxa", {}, 422, "invalid_parameter", "ticker"),
        ("/markets/{ticker}", {}, 422, "invalid_parameter", "ticker"),
        ("/markets/..", {}, 422, "invalid_parameter", "ticker"),
        ("/markets", {"limit": "1001"}, 422, "invalid_parameter", "limit"),
        ("/markets", {"limt": "1"}, 422, "unknown_parameter", "limt"),
        ("/markets/KXA-1", {"ticker": "KXB-2"}, 422, "unknown_parameter", "ticker"),
        ("/markets/orderbooks", {}, 422, "missing_parameter", "tickers"),
        ("/markets/", {}, 404, "not_found", ""),
        ("/markets/KXA-1/", {}, 404, "not_found", ""),
        ("/margin/balance", {}, 404, "not_found", ""),
        ("", {}, 404, "not_found", ""),
    ],
)
def test_a_wrong_question_is_a_problem_that_names_the_parameter(
    path: str, query: dict[str, str], status: int, code: str, field: str
) -> None:
    found = get(path, **query)
    assert isinstance(found, Problem)
    assert (found.status, found.code, found.field) == (status, code, field)
    assert found.detail


def test_nothing_but_reads_stands_there() -> None:
    for method in ("POST", "DELETE", "PUT"):
        found = read(method, "/v1/exchange/portfolio/orders", {}, b"", "")
        assert isinstance(found, Problem)
        assert (found.status, found.code) == (405, "method_not_allowed")


def asked() -> Host:
    """A read of a market has been asked of the gateway."""
    host = Host()
    effects = host.step(Requested(AT, 1, AskExchange(MARKET)))
    tells = [(e.peer, e.letter.id, e.letter.body) for e in effects if isinstance(e, Tell)]
    assert ("gateway", "inquiry:1", MARKET) in tells
    return host


def replied(effects: list[Effect]) -> Reply:
    [reply] = [e for e in effects if isinstance(e, Reply)]
    return reply


def test_the_answer_is_the_exchange_s_own_json() -> None:
    body = b'{"market": {"ticker": "KXA-1", "new": 0.10}}'
    reply = replied(
        asked().answer("gateway", "inquiry:1", InquiryAnswer("answered", 200, Raw(body)))
    )
    assert (reply.status, reply.body) == (200, body)
    closed = InquiryAnswer("answered", 503, Raw(b'{"exchange_active": false}'))
    assert replied(asked().answer("gateway", "inquiry:1", closed)).status == 200


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (InquiryAnswer("rejected", 404, code="not_found", text="t"), 404),
        (InquiryAnswer("rejected", 400, code="invalid_UUID", text="t"), 400),
        (InquiryAnswer("rejected", 401, code="authentication_error", text="t"), 502),
        (InquiryAnswer("rejected", 403, code="forbidden", text="t"), 502),
        (InquiryAnswer("rejected", 500, code="status_500", text="t"), 502),
        (InquiryAnswer("rejected", 429, code="too_many_requests", text="t", retry_after_ms=9), 503),
        (InquiryAnswer("refused", code="no_tokens", text="t", retry_after_ms=9), 503),
        (InquiryAnswer("refused", code="busy", text="t", retry_after_ms=9), 503),
        (InquiryAnswer("refused", code="too_dear", text="t"), 422),
        (InquiryAnswer("refused", code="invalid_parameter", text="t", field="limit"), 422),
        (InquiryAnswer("unknown", code="no_answer", text="t"), 502),
        (InquiryAnswer("unknown", 200, code="unreadable_answer", text="t"), 502),
        (InquiryAnswer("unknown", 200, code="answer_too_large", text="t"), 422),
    ],
)  # fmt: skip
def test_why_there_is_none(answer: InquiryAnswer, status: int) -> None:
    reply = replied(asked().answer("gateway", "inquiry:1", answer))
    body = json.loads(reply.body)
    assert (reply.status, body["status"], body["code"]) == (status, status, answer.code)
    assert (body["detail"], body.get("field", "")) == ("t", answer.field)
    assert body.get("retry_after_ms", 0) == answer.retry_after_ms


def test_a_gateway_that_does_not_answer_and_one_that_does_not_know_it() -> None:
    host = asked()
    host.now += INQUIRY_MAX - 1
    assert [e for e in host.step(Elapsed(AT)) if isinstance(e, Reply)] == []
    host.now += 1
    reply = replied(host.step(Elapsed(AT)))
    assert (reply.status, json.loads(reply.body)["code"]) == (503, "no_answer")
    assert replied(asked().answer("gateway", "inquiry:1", Refused("what?"))).status == 502


# The page


def reads_table() -> str:
    """Each read: where it is, its name in a letter, and its parameters (bold: needed)."""
    rows = ["| `GET /v1/exchange...` | name | parameters |", "|---|---|---|"]
    for inquiry in INQUIRIES.values():
        named = [p for p in inquiry.parameters if not inquiry.in_path(p.name)]
        words = " ".join(f"**`{p.name}`**" if p.required else f"`{p.name}`" for p in named)
        rows.append(f"| `{inquiry.path}` | `{inquiry.name}` | {words} |")
    return "\n".join(rows)


def parameters_table() -> str:
    """Each rule and the parameters that have it; where one has several, for which reads."""
    rules: dict[str, dict[str, list[str]]] = {}
    for inquiry in INQUIRIES.values():
        for p in inquiry.parameters:
            rule = p.kind.rule + (f"; left out: `{p.default}`" if p.default else "")
            rules.setdefault(rule, {}).setdefault(p.name, []).append(f"`{inquiry.name}`")
    often = [name for names in rules.values() for name in names]
    rows = ["| has to be | parameters |", "|---|---|"]
    for rule, names in rules.items():
        shown = [
            f"`{name}`" + (f" of {' '.join(reads)}" if often.count(name) > 1 else "")
            for name, reads in sorted(names.items())
        ]
        rows.append(f"| {rule} | {', '.join(shown)} |")
    return "\n".join(rows)


@pytest.mark.parametrize("table", [reads_table, parameters_table], ids=["reads", "parameters"])
def test_the_page_says_what_the_table_says(table: Any) -> None:
    assert f"\n{table()}\n" in PAGE.read_text(), f"docs/API.md should have\n{table()}"
