"""Pages of state: each says of when it is; positions say what they would bring; nothing is served
before the account is there."""

import json
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

from actors.api import forms
from actors.api.asks import (
    Ask,
    AskMarkets,
    CancelAll,
    GetBudget,
    GetLedger,
    GetList,
    GetOpenApi,
    GetStatus,
    Page,
    Problem,
)
from actors.api.core import Api, Requested
from actors.api.letters import BOOK_MAX
from actors.api.openapi import PAGE
from actors.api.replies import Reply
from protocol.facts import AnyFact, OrderSeen, Settled
from protocol.limits import (
    ENTRIES_MAX,
    FILLS_KEPT,
    MARKS_MAX,
    MS,
    ORDERS_KEPT,
    PAGE_MAX,
    SECOND,
    SETTLEMENTS_KEPT,
)
from protocol.machine import Effect, Elapsed, Tell
from protocol.messages import (
    AnyMessage,
    BookAnswer,
    BookRequest,
    BudgetAnswer,
    BudgetRequest,
    BudgetState,
    CancelAnswer,
    CancelOpen,
    CancelOpenAnswer,
    Entries,
    EntriesRequest,
    Inquire,
    Spender,
)
from protocol.pulse import Identity
from protocol.units import Count, Money, Price, decode_unit, format_money
from tests.actors.api.reading import read
from tests.actors.api.test_evidence import AT, Host, entries
from tests.actors.writer.samples import accepted, fill, intended

DOCS = Path(__file__).parents[3] / "docs" / "API.md"
POSITIONS = GetList("positions", Page())


def fits(kind: Any, body: dict[str, Any]) -> None:
    """The answer has the form that the page at /openapi.json says."""
    msgspec.json.decode(json.dumps(body), type=forms.told(kind), dec_hook=decode_unit)


def replied(effects: list[Effect]) -> tuple[int, dict[str, Any]]:
    [reply] = [effect for effect in effects if isinstance(effect, Reply)]
    return reply.status, json.loads(reply.body)


def told(effects: list[Effect]) -> list[tuple[str, str, AnyMessage]]:
    found = [(e.peer, e.letter.id, e.letter.body) for e in effects if isinstance(e, Tell)]
    return [one for one in found if not one[1].startswith("heartbeat")]


def holding() -> Host:
    return Host(intended(), accepted(), fill())


def book(ticker: str, **how: Any) -> BookAnswer:
    levels = ((Price(540_000), Count(100)), (Price(550_000), Count(100)))
    return BookAnswer(ticker, how.pop("state", "live"), 1, 1, levels, (), as_of=AT - 5, **how)


# Positions


def test_a_position_is_marked_by_its_book() -> None:
    host = holding()
    [(peer, letter, body)] = told(host.step(Requested(AT, 1, POSITIONS)))
    assert (peer, body) == ("stream", BookRequest("KXA-1"))
    status, found = replied(host.answer("stream", letter, book("KXA-1")))
    assert status == 200
    fits(forms.Positions, found)
    [row] = found["positions"]
    assert row["mark"] == {"price": "0.5500", "reason": "", "as_of": AT - 5}
    bought = Money(550_000 * 100 // 100) - msgspec.json.decode(
        json.dumps(row["cost"]), type=Money, dec_hook=decode_unit
    )
    assert row["unrealized"] == format_money(bought)
    assert row["realized"] == "0.0000"


@pytest.mark.parametrize("state", ["lost", "stale", "not followed"])
def test_without_a_live_book_there_is_no_profit_but_the_reason(state: Any) -> None:
    host = holding()
    [(_, letter, _)] = told(host.step(Requested(AT, 1, POSITIONS)))
    _, found = replied(host.answer("stream", letter, book("KXA-1", state=state, reason="a gap")))
    fits(forms.Positions, found)
    [row] = found["positions"]
    assert row["unrealized"] is None
    assert row["mark"] == {"price": None, "reason": f"the book is {state}: a gap", "as_of": 0}


def test_a_stream_that_is_silent_holds_no_page_back_for_long() -> None:
    host = holding()
    assert told(host.step(Requested(AT, 1, POSITIONS)))
    host.now += BOOK_MAX
    status, found = replied(host.step(Elapsed(AT)))
    assert status == 200
    [row] = found["positions"]
    assert (row["unrealized"], row["mark"]["price"]) == (None, None)
    assert "in time" in row["mark"]["reason"]
    late = host.answer("stream", "mark:1:KXA-1", book("KXA-1"))
    assert [e for e in late if isinstance(e, Reply)] == [], "it is answered once"


def test_who_holds_nothing_waits_for_no_book() -> None:
    status, found = replied(Host().step(Requested(AT, 1, POSITIONS)))
    assert (status, found["positions"], found["cursor"]) == (200, [], "")
    fits(forms.Positions, found)


def test_where_nothing_is_held_there_is_nothing_to_mark() -> None:
    """Only an order is open there. The page says it, and the form of the answer."""
    host = Host(intended(), accepted())
    asked = host.step(Requested(AT, 1, POSITIONS))
    assert told(asked) == []
    [row] = replied(asked)[1]["positions"]
    assert (row["position"], row["unrealized"], row["mark"]) == ("0.00", "0.0000", None)
    page = DOCS.read_text()
    section = page.partition("\n## A position\n")[2].partition("\n## ")[0]
    assert "Where nothing is held" in section and '`unrealized` is `"0.0000"`' in section
    assert "nothing is held" in str(forms.ShownPosition.__doc__)


def test_so_many_books_and_no_more_are_asked_for() -> None:
    facts: list[AnyFact] = [
        msgspec.structs.replace(fill(), trade_id=f"t{n}", order_id=f"o{n}", ticker=f"KXA-{n}")
        for n in range(MARKS_MAX + 2)
    ]
    host = Host(*facts)
    asked = told(host.step(Requested(AT, 1, GetList("positions", Page(PAGE_MAX)))))
    assert len(asked) == MARKS_MAX
    effects: list[Effect] = []
    for _, letter, body in asked:
        assert isinstance(body, BookRequest)
        assert [e for e in effects if isinstance(e, Reply)] == []
        effects = host.answer("stream", letter, book(body.ticker))
    _, found = replied(effects)
    assert sum(row["unrealized"] is None for row in found["positions"]) == 2


# The account


def test_settlements_say_what_was_paid_and_won() -> None:
    paid = Settled("KXA-1", 0, "yes", Count(100), Count(0), Money(1_000_000), Money(7), AT)
    host = Host(intended(), accepted(), fill(), paid)
    status, found = replied(host.step(Requested(AT, 1, GetList("settlements", Page()))))
    assert status == 200
    fits(forms.Settlements, found)
    [row] = found["settlements"]
    assert (row["ticker"], row["settled_at"], row["revenue"]) == ("KXA-1", AT, "1.0000")
    assert (row["fee"], row["n"], found["cursor"]) == ("0.000007", 4, "")


@pytest.mark.parametrize("what", ["orders", "fills", "balance", "settlements", "positions"])
def test_a_list_says_how_long_ago_the_writer_was_heard(what: Any) -> None:
    host = Host()
    host.now += 1_500 * MS
    status, found = replied(host.step(Requested(AT, 1, GetList(what, Page()))))
    assert (status, found["as_of"], found["age_ms"]) == (200, AT - 1_500_000, 1_500)
    fits(getattr(forms, "Balances" if what == "balance" else what.capitalize()), found)


def test_the_status_says_when_the_supervisor_spoke() -> None:
    host = Host()
    status, found = replied(host.step(Requested(AT + 2_000_000, 1, GetStatus())))
    assert (status, found["as_of"], found["age_ms"]) == (200, AT, 2_000)
    fits(forms.Status, found)


def test_the_page_says_what_the_lists_end_with() -> None:
    kept = {ORDERS_KEPT, FILLS_KEPT, SETTLEMENTS_KEPT}
    assert len(kept) == 1
    most = kept.pop()
    assert f"{most * 9 // 10:,} to {most:,} of each" in DOCS.read_text()
    many = FILLS_KEPT + 1
    host = Host(*(msgspec.structs.replace(fill(), trade_id=f"t{n}") for n in range(many)))
    cursor, seen = "", 0
    while cursor or not seen:
        page = GetList("fills", Page(PAGE_MAX, cursor))
        _, found = replied(host.step(Requested(AT, 1, page)))
        cursor, seen = found["cursor"], seen + len(found["fills"])
    assert seen == many - FILLS_KEPT // 10, "the oldest tenth is gone at once"


def test_times_are_microseconds_but_those_two_of_orders_that_the_page_names() -> None:
    page = DOCS.read_text()
    digits: dict[int, set[str]] = {}
    for name, text in re.findall(r'"(\w+_at|at|as_of)": ([1-9][0-9]*)', page):
        digits.setdefault(len(text), set()).add(name)
    assert digits.pop(13) == {"updated_at"}
    assert set(digits) == {16}, "an example has a time of another kind"
    assert "but `updated_at` and `amended_at` of orders" in page
    moment = AT // 1_000
    sighting = OrderSeen("o1", "c1", "KXA-1", "bid", Price(560_000), "resting",
                       Count(100), Count(0), Count(100), moment)  # fmt: skip
    _, found = replied(Host(sighting).step(Requested(AT, 1, GetList("orders", Page()))))
    [row] = found["orders"]
    assert (row["updated_at"], row["created_at"]) == (moment, AT + 1), "as the ledger has them"


# The ledger, the budget


def test_the_ledger_is_paged_by_number() -> None:
    host, facts = Host(), entries(intended(), accepted(), fill())
    asked = told(host.step(Requested(AT, 1, GetLedger(0, 2))))
    assert asked == [("writer", "page:1", EntriesRequest(0, 2))]
    status, found = replied(host.answer("writer", "page:1", Entries(facts[:2], 3)))
    assert (status, found["head"], found["cursor"]) == (200, 3, "2")
    assert [entry["n"] for entry in found["entries"]] == [1, 2]
    fits(forms.Ledger, found)
    host.step(Requested(AT, 2, GetLedger(2, 2)))
    _, found = replied(host.answer("writer", "page:2", Entries(facts[2:], 3)))
    assert ([entry["n"] for entry in found["entries"]], found["cursor"]) == ([3], "")


@pytest.mark.parametrize(
    "query",
    [{"limit": "0"}, {"limit": str(ENTRIES_MAX + 1)}, {"since": "-1"}, {"cursor": "1"}],
    ids=str,
)
def test_a_wrong_page_of_the_ledger_is_refused(query: dict[str, str]) -> None:
    found = read("GET", "/v1/ledger", query, b"", "")
    assert isinstance(found, Problem)
    assert (found.status, found.field) == (422, next(iter(query)))


def test_the_budget_is_the_gateway_s_word() -> None:
    host = Host()
    asked = told(host.step(Requested(AT, 1, GetBudget())))
    assert asked == [("gateway", "budget:1", BudgetRequest())]
    states = (BudgetState("read", 90, 98, 30, 20, 0),)
    answer = BudgetAnswer(states, (Spender("reads", 10, 1),), {"order": 2}, 1, True)
    status, found = replied(host.answer("gateway", "budget:1", answer))
    assert status == 200
    fits(forms.BudgetNow, found)
    assert found["spenders"] == [{"name": "reads", "tokens": 10, "calls": 1}]


# All orders


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (CancelOpenAnswer(), 200),
        (CancelOpenAnswer((CancelAnswer("a", "canceled"), CancelAnswer("b", "gone"))), 200),
        (CancelOpenAnswer((CancelAnswer("a", "canceled"), CancelAnswer("b", "unknown"))), 202),
        (CancelOpenAnswer((CancelAnswer("a", "unavailable"),)), 202),
        (CancelOpenAnswer((CancelAnswer("a", "canceled"),), left=3), 202),
        (CancelOpenAnswer((), 0, 4), 200),
    ],
)
def test_all_are_canceled_or_it_says_which_are_not(answer: CancelOpenAnswer, status: int) -> None:
    host = Host()
    asked = told(host.step(Requested(AT, 1, CancelAll("KXA-1"))))
    assert asked == [("gateway", "cancel-all:1", CancelOpen("KXA-1"))]
    found, body = replied(host.answer("gateway", "cancel-all:1", answer))
    assert found == status
    fits(forms.CanceledAll, body)
    assert [row["client_order_id"] for row in body["orders"]] == [
        one.client_order_id for one in answer.answers
    ]
    assert (body["left"], body["external"]) == (answer.left, answer.external)


def test_a_gateway_without_an_account_says_so() -> None:
    host = Host()
    host.step(Requested(AT, 1, CancelAll()))
    answer = CancelOpenAnswer(code="not_restored", text="panic")
    status, body = replied(host.answer("gateway", "cancel-all:1", answer))
    assert (status, body["code"]) == (503, "not_restored")


@pytest.mark.parametrize(
    ("body", "want"),
    [
        (b"", CancelAll()),
        (b"{}", CancelAll()),
        (b'{"ticker":"KXA-1"}', CancelAll("KXA-1")),
        (b'{"ticker":"kxa"}', "ticker"),
        (b'{"ticker":""}', "ticker"),
        (b'{"tiker":"KXA-1"}', "tiker"),
    ],
)
def test_which_orders_are_meant_is_read_strictly(body: bytes, want: CancelAll | str) -> None:
    found = read("POST", "/v1/orders/cancel-all", {}, body, "")
    if isinstance(want, CancelAll):
        assert found == ("kill", want)
    else:
        assert isinstance(found, Problem)
        assert (found.status, found.field) == (422, want)


# Before there is an account

EARLY: list[tuple[Ask, bool]] = [
    (POSITIONS, False),
    (GetList("settlements", Page()), False),
    (GetLedger(), False),
    (GetBudget(), False),
    (AskMarkets("market", Inquire("market", {"ticker": "KXA-1"})), False),
    (CancelAll(), True),
    (GetOpenApi(), True),
]


@pytest.mark.parametrize(("ask", "goes"), EARLY)
def test_before_the_account_is_there_only_what_stops_is_served(ask: Ask, goes: bool) -> None:
    api = Api(Identity("api", 1))
    effects = api.step(SECOND, Requested(AT, 1, ask))
    refused = [e.status for e in effects if isinstance(e, Reply) and e.status == 503]
    assert refused == ([] if goes else [503])


def test_the_page_is_the_same_each_time() -> None:
    [reply] = [e for e in Host().step(Requested(AT, 1, GetOpenApi())) if isinstance(e, Reply)]
    assert (reply.status, reply.body) == (200, PAGE)
