"""What is followed, over HTTP: asked of the stream, changed by whoever may trade."""

import json
from typing import Any

import pytest

from actors.api.asks import GetFollow, Problem, SetFollow
from actors.api.core import Reply, Requested
from actors.api.letters import BOOK_MAX
from protocol.limits import REQUEST_MAX, WISHES_MAX
from protocol.machine import Effect, Elapsed, Tell
from protocol.messages import AnyMessage, Follow, FollowAnswer, Refused
from tests.actors.api.reading import read, scope_of
from tests.actors.api.test_evidence import AT, Host

SERIES = ("series:KXBTCD", "*")


def post(body: Any) -> Any:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return read("POST", "/v1/follow", {}, raw, "")


def replied(effects: list[Effect]) -> tuple[int, Any]:
    [reply] = [e for e in effects if isinstance(e, Reply)]
    return reply.status, json.loads(reply.body)


def told(effects: list[Effect]) -> list[tuple[str, AnyMessage]]:
    return [(e.peer, e.letter.body) for e in effects if isinstance(e, Tell) and e.peer == "stream"]


def test_whoever_reads_may_look_and_whoever_trades_may_change() -> None:
    assert read("GET", "/v1/follow", {}, b"", "") == ("read", GetFollow())
    assert (scope_of("GET", "/v1/follow"), scope_of("POST", "/v1/follow")) == ("read", "trade")
    assert post({"add": ["KXA-1", "trade:*"]}) == ("trade", SetFollow(("KXA-1", "trade:*"), ()))
    assert post({"add": ["*"], "remove": ["event:KXE-1"]}) == (
        "trade", SetFollow(("*",), ("event:KXE-1",)),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("body", "status", "code", "field"),
    [
        ({}, 422, "invalid_follow", "add"),
        ({"add": [], "remove": []}, 422, "invalid_follow", "add"),
        ({"add": "KXA-1"}, 422, "invalid_follow", "add"),
        ({"remove": [7]}, 422, "invalid_follow", "remove"),
        ({"add": ["KXA-1"], "until": 5}, 422, "invalid_follow", "until"),
        ({"add": ["KXA-1", "kxa"]}, 422, "invalid_wish", "add"),
        ({"add": [""]}, 422, "invalid_wish", "add"),
        ({"add": ["fill:*"]}, 422, "invalid_wish", "add"),
        ({"remove": ["series:"]}, 422, "invalid_wish", "remove"),
        ({"remove": ["event:" + "X" * 65]}, 422, "invalid_wish", "remove"),
        ({"add": ["KXA-1"], "remove": ["KXB-2", "KXA-1"]}, 422, "invalid_follow", "remove"),
        ({"add": ["KXA-1"] * (WISHES_MAX + 1)}, 422, "invalid_follow", "add"),
        (b'{"add":["KXA-1"],"add":[]}', 422, "invalid_follow", "add"),
        (b"[1]", 422, "invalid_follow", ""),
        (b"", 400, "malformed_json", ""),
        (b"[" * 50_000, 422, "invalid_follow", ""),
    ],
    ids=lambda case: str(case)[:40],
)
def test_a_wrong_change_names_the_field(body: Any, status: int, code: str, field: str) -> None:
    found = post(body)
    assert isinstance(found, Problem), found
    assert (found.status, found.code, found.field) == (status, code, field)
    assert found.detail


def test_a_look_asks_the_stream_for_nothing_else() -> None:
    host = Host()
    assert told(host.step(Requested(AT, 1, GetFollow()))) == [("stream", Follow())]
    answer = FollowAnswer(SERIES, 188, 187, 12)
    assert replied(host.answer("stream", "follow:1", answer)) == (
        200, {"wishes": [*SERIES], "markets": 188, "live": 187, "left_out": 12, "as_of": AT,
              "age_ms": 0},
    )  # fmt: skip


def test_a_change_is_answered_with_what_is_followed_then() -> None:
    host = Host()
    ask = SetFollow(("*",), ("KXA-1",))
    assert told(host.step(Requested(AT, 1, ask))) == [("stream", Follow(("*",), ("KXA-1",)))]
    status, body = replied(host.answer("stream", "follow:1", FollowAnswer(SERIES, 0, 0)))
    assert (status, body["wishes"]) == (200, [*SERIES])


@pytest.mark.parametrize(
    ("answer", "status", "code"),
    [
        (FollowAnswer(SERIES, 188, 187, 0, "at most 1000 wishes"), 422, "follow_refused"),
        (Refused("the stream does not take Follow"), 502, "unexpected_answer"),
    ],
)
def test_a_change_that_is_refused_says_why(answer: Any, status: int, code: str) -> None:
    host = Host()
    host.step(Requested(AT, 1, SetFollow(("*",), ())))
    found, body = replied(host.answer("stream", "follow:1", answer))
    assert (found, body["code"], body["detail"]) == (status, code, answer.reason)


@pytest.mark.parametrize(
    ("ask", "patience"), [(GetFollow(), BOOK_MAX), (SetFollow(("*",), ()), REQUEST_MAX)]
)
def test_a_stream_that_does_not_answer(ask: Any, patience: int) -> None:
    host = Host()
    host.step(Requested(AT, 1, ask))
    host.now += patience - 1
    assert [e for e in host.step(Elapsed(AT)) if isinstance(e, Reply)] == []
    host.now += 1
    status, body = replied(host.step(Elapsed(AT)))
    assert (status, body["code"]) == (503, "no_answer")
