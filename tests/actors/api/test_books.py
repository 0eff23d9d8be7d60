"""GET /v1/books/{ticker}: levels only of a book that may be used, and how far to trust it."""

import json
from typing import Any

import pytest

from actors.api.asks import GetBook, Problem
from actors.api.core import Reply, Requested
from protocol.machine import Tell
from protocol.messages import BookAnswer, BookRequest
from protocol.units import Count, Price
from tests.actors.api.reading import read
from tests.actors.api.test_evidence import AT, Host

YES = ((Price(470_000), Count(300)),)
SECONDS = 1_000_000


def book(state: Any, **more: Any) -> BookAnswer:
    levels = {"yes": YES} if state in ("live", "stale") else {}
    return BookAnswer("KXA-1", state, 7, 12, **levels, **more)


def got(answer: BookAnswer, stale: bool = False) -> tuple[int, Any]:
    host = Host()
    effects = host.step(Requested(AT, 1, GetBook("KXA-1", stale)))
    [tell] = [e for e in effects if isinstance(e, Tell) and e.letter.id == "book:1"]
    assert (tell.peer, tell.letter.body) == ("stream", BookRequest("KXA-1"))
    [reply] = [e for e in host.answer("stream", tell.letter.id, answer) if isinstance(e, Reply)]
    return reply.status, json.loads(reply.body)


def test_a_live_book_says_how_far_it_can_be_trusted() -> None:
    answer = book(
        "live", received_at=AT - 90 * SECONDS, generation=3, as_of=AT - 2 * SECONDS,
        audited_at=AT - 40 * SECONDS,
    )  # fmt: skip
    status, body = got(answer)
    assert status == 200
    assert body == {
        "type": "BookAnswer", "ticker": "KXA-1", "state": "live", "epoch": 7, "seq": 12,
        "yes": [["0.4700", "3.00"]], "no": [], "reason": "", "received_at": AT - 90 * SECONDS,
        "generation": 3, "as_of": AT - 2 * SECONDS, "audited_at": AT - 40 * SECONDS,
        "age_ms": 2_000,
    }  # fmt: skip


def test_where_only_the_last_change_is_known_it_is_as_old_as_that() -> None:
    _, body = got(book("live", received_at=AT - 90 * SECONDS))
    assert (body["as_of"], body["age_ms"]) == (AT - 90 * SECONDS, 90_000)


def test_an_age_is_never_negative() -> None:
    assert got(book("live", as_of=AT + SECONDS))[1]["age_ms"] == 0


@pytest.mark.parametrize(
    ("state", "stale", "status", "code"),
    [
        ("stale", False, 409, "book_stale"),
        ("stale", True, 200, None),
        ("lost", False, 409, "book_lost"),
        ("lost", True, 409, "book_lost"),
        ("not followed", True, 404, "not_followed"),
    ],
)
def test_levels_that_may_not_be_used_are_not_shown(
    state: Any, stale: bool, status: int, code: str | None
) -> None:
    found, body = got(book(state, reason="data is late: 2.4 s"), stale)
    assert (found, body.get("code")) == (status, code)
    assert ("yes" in body) == (status == 200)
    if status == 200:
        assert (body["state"], body["reason"]) == ("stale", "data is late: 2.4 s")
    elif status == 409:
        assert (body["detail"], body["retry_after_ms"]) == ("data is late: 2.4 s", 1_000)


@pytest.mark.parametrize(
    ("query", "code", "field"),
    [
        ({"allow_stale": "yes"}, "invalid_allow_stale", "allow_stale"),
        ({"allow_stale": ""}, "invalid_allow_stale", "allow_stale"),
        ({"depth": "0"}, "invalid_depth", "depth"),
        ({"depth": "-1"}, "invalid_depth", "depth"),
        ({"depth": ""}, "invalid_depth", "depth"),
        ({"depth": "10001"}, "invalid_depth", "depth"),
        ({"dept": "5"}, "unknown_parameter", "dept"),
    ],
)
def test_a_wrong_parameter_is_refused(query: dict[str, str], code: str, field: str) -> None:
    found = read("GET", "/v1/books/KXA-1", query, b"", "")
    assert isinstance(found, Problem)
    assert (found.status, found.code, found.field) == (422, code, field)


def test_a_book_of_a_past_moment_has_to_be_asked_for() -> None:
    for query, stale in (({}, False), ({"allow_stale": "0"}, False), ({"allow_stale": "1"}, True)):
        assert read("GET", "/v1/books/KXA-1", query, b"", "") == ("read", GetBook("KXA-1", stale))
