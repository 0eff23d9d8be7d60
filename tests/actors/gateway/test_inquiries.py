"""Reads for whoever asks: in the one budget, behind all that trades, and never half an answer."""

import json
from typing import Any

import pytest
from msgspec import Raw

from actors.gateway.desk import MakeCall
from protocol.limits import (
    INQUIRIES_MAX,
    INQUIRY_ASKERS_MAX,
    INQUIRY_BYTES_MAX,
    INQUIRY_WAIT_MAX,
    SECOND,
)
from protocol.messages import CancelOrder, Inquire, InquiryAnswer, MarketsRequest
from tests.actors.gateway.scene import LIMITS, Scene, order
from tests.actors.gateway.test_orders import MADE, live, scarce

PATH = "/portfolio/orders/queue_positions"
QUEUE = Inquire("queue_positions", {"market_tickers": "KXA-1"})
BODY = b'{ "queue_positions": [], "new": 0.1 }'
DONE = InquiryAnswer("answered", 200, Raw(BODY))


def ready() -> Scene:
    """Tokens are there, and what was said before is forgotten."""
    scene = Scene().ready()
    scene.pass_time(SECOND)
    scene.answers.clear()
    return scene


def made(scene: Scene, path: str = PATH) -> list[MakeCall]:
    return [m for m in scene.made if m.call.path == path]


def told(scene: Scene) -> list[Any]:
    found, scene.answers = scene.answers, []
    return found


def refused(scene: Scene) -> tuple[str, str, str]:
    [answer] = told(scene)
    assert answer.state == "refused"
    assert (answer.status, answer.body) == (0, Raw(b"null"))
    return answer.code, answer.field, answer.text


def test_what_the_exchange_answers_is_handed_on_as_it_is() -> None:
    scene = ready()
    scene.ask(QUEUE)
    [one] = made(scene)
    assert (one.call.method, one.call.lane) == ("GET", "read")
    assert one.call.query == (("market_tickers", "KXA-1"),)
    scene.reply(200, BODY)
    assert told(scene) == [DONE]
    assert bytes(DONE.body) == BODY


@pytest.mark.parametrize(
    ("name", "said", "code", "field", "says"),
    [
        ("queue_position", {"order_id": "o1"}, "invalid_parameter", "order_id", "a UUID"),
        ("queue_positions", {"tickers": "A"}, "unknown_parameter", "tickers", "market_tickers"),
        ("market", {}, "missing_parameter", "ticker", "market needs ticker"),
        ("panic", {}, "unknown_inquiry", "name", "no such read: 'panic'"),
    ],
)
def test_a_wrong_question_is_refused_and_costs_nothing(
    name: str, said: Any, code: str, field: str, says: str
) -> None:
    scene = ready()
    before = len(scene.made)
    scene.ask(Inquire(name, said))
    found = refused(scene)
    assert found[:2] == (code, field)
    assert says in found[2]
    assert len(scene.made) == before


@pytest.mark.parametrize(
    ("status", "body", "code", "says"),
    [
        (404, {"error": {"code": "not_found", "message": "not found"}}, "not_found", "not found"),
        (404, b"404 page not found", "status_404", "it says no more"),
        (400, {"msg": "Limit failed"}, "Limit failed", "Limit failed"),
        (403, {"code": "forbidden", "message": "locked"}, "forbidden", "locked"),
        (500, b"", "status_500", "it says no more"),
        (503, b"<html>", "status_503", "it says no more"),
        (302, b"", "status_302", "it says no more"),
        (204, b"", "status_204", "it says no more"),
    ],
)
def test_what_the_exchange_rejects_is_told_as_its_word(
    status: int, body: Any, code: str, says: str
) -> None:
    scene = ready()
    scene.ask(QUEUE)
    scene.reply(status, body)
    text = f"the exchange answers {status}: {says}"
    assert told(scene) == [InquiryAnswer("rejected", status, code=code, text=text)]


def test_a_429_says_when_it_is_worth_another_try() -> None:
    scene = ready()
    scene.ask(QUEUE)
    scene.reply(429, {"error": "too many requests"})
    [answer] = told(scene)
    assert (answer.state, answer.status, answer.code) == ("rejected", 429, "too_many_requests")
    assert answer.retry_after_ms > 0
    assert len(made(scene)) == 1, "asked again by whoever asks, and nobody else"


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "truncated"),
        (b"<html>", "malformed"),
        (b"null", "Expected `object`"),
        (b'{"queue_positions": [{"order_id": "o1"', "truncated"),
        (b'{"error": "too many requests"}', "missing required field `queue_positions`"),
        (b'{"queue_positions": [{"order_id": "o1", "market_ticker": "A"}]}', "no place in a queue"),
        (b'{"queue_positions": [], "x": "\xff"}', "not UTF-8"),
    ],
)
def test_an_odd_answer_is_one_clear_error_and_not_half_an_answer(body: bytes, says: str) -> None:
    scene = ready()
    scene.ask(QUEUE)
    scene.reply(200, body)
    [answer] = told(scene)
    assert (answer.state, answer.status, answer.code) == ("unknown", 200, "unreadable_answer")
    assert says in answer.text
    assert bytes(answer.body) == b"null"


def test_one_that_fits_no_letter_says_how_to_ask_for_less() -> None:
    scene = ready()
    scene.ask(Inquire("series_list"))
    scene.reply(200, b'{"series": [], "x": "' + b"x" * INQUIRY_BYTES_MAX + b'"}')
    [answer] = told(scene)
    assert (answer.state, answer.code) == ("unknown", "answer_too_large")
    assert answer.text.endswith(
        f"at most {INQUIRY_BYTES_MAX} are handed on: "
        "ask for less, with category or tags or min_updated_ts"
    )


def test_no_answer_is_told() -> None:
    scene = ready()
    scene.ask(QUEUE)
    scene.fail(sent=True)
    [answer] = told(scene)
    assert (answer.state, answer.code) == ("unknown", "no_answer")
    assert answer.text == "nothing is known of it: no answer"
    scene.pass_time(10 * SECOND)
    assert len(made(scene)) == 1, "nobody asks again"


def test_a_paused_exchange_says_so_with_a_503_that_is_an_answer() -> None:
    scene = ready()
    scene.hush = True
    body = {"exchange_active": False, "trading_active": False}
    for status, said, state in ((503, body, "answered"), (503, b"<html>", "unknown"),
                                (503, {"error": "busy"}, "rejected")):  # fmt: skip
        scene.ask(Inquire("exchange_status"))
        assert scene.calls[-1].call.path == "/exchange/status"
        scene.calls = scene.calls[-1:]
        scene.reply(status, said)
        [answer] = told(scene)
        assert (answer.state, answer.status) == (state, 503)
        assert (bytes(answer.body) != b"null") == (state == "answered")


def test_one_without_tokens_is_given_up_in_time_and_never_sent() -> None:
    scene = scarce(PATH)
    scene.ask(QUEUE)
    scene.ask(Inquire("queue_positions"))
    assert len(made(scene)) == 1
    scene.pass_time(INQUIRY_WAIT_MAX - 1)
    assert told(scene) == []
    scene.pass_time(1)
    [answer] = told(scene)
    assert (answer.state, answer.code) == ("refused", "no_tokens")
    assert answer.retry_after_ms > 1_000
    live(scene, 30 * SECOND)
    assert len(made(scene)) == 1
    scene.answers.clear()
    scene.calls = [c for c in scene.calls if c.call.path == PATH]
    scene.reply(200, BODY)
    assert told(scene) == [DONE], "it had left, and ends"


def test_one_that_can_never_leave_is_told_at_once() -> None:
    scene = ready()
    dear = {"method": "GET", "path": PATH, "cost": 5_000}
    scene.instead["/account/endpoint_costs"] = {"default_cost": 10, "endpoint_costs": [dear]}
    live(scene, 70 * SECOND)
    scene.answers.clear()
    scene.ask(QUEUE)
    assert refused(scene)[:1] == ("too_dear",)


def test_the_same_letter_is_one_read() -> None:
    scene = ready()
    for _ in range(3):
        scene.ask(QUEUE, "inquiry-1")
    scene.reply(200, BODY)
    assert told(scene) == [DONE]
    assert len(made(scene)) == 1


def test_a_read_that_waits_is_shared_and_one_that_has_left_is_not() -> None:
    scene = scarce(PATH)
    scene.ask(QUEUE)
    for _ in range(3):
        scene.ask(Inquire("queue_positions", {"market_tickers": ("KXA-1",)}))
    assert len(made(scene)) == 1, "one has left; the tokens for another are not there yet"
    scene.instead["/account/limits"] = LIMITS
    scene.reply(429, b"")  # limits and costs are read anew, so that there are more tokens
    assert len(told(scene)) == 1
    live(scene, 4 * SECOND)
    assert len(made(scene)) == 2
    scene.reply(200, BODY)
    assert told(scene) == [DONE] * 3


def test_who_shares_a_read_is_bounded() -> None:
    scene = scarce(PATH)
    for _ in range(INQUIRY_ASKERS_MAX + 2):
        scene.ask(QUEUE)
    assert len(made(scene)) == 1
    scene.pass_time(INQUIRY_WAIT_MAX)
    answers = told(scene)
    assert [a.code for a in answers] == ["no_tokens"] * (INQUIRY_ASKERS_MAX + 1)


def flood(scene: Scene) -> None:
    """As many reads as may wait, none of which is answered."""
    for number in range(INQUIRIES_MAX):
        scene.ask(Inquire("market", {"ticker": f"KXB-{number}"}))


def test_so_many_wait_and_the_next_is_told_when_to_come_again() -> None:
    scene = ready()
    flood(scene)
    assert told(scene) == []
    scene.ask(QUEUE)
    [answer] = told(scene)
    assert (answer.state, answer.code) == ("refused", "busy")
    assert answer.retry_after_ms > 0
    scene.ask(MarketsRequest(("series:KXA",)))
    assert told(scene) == [], "look-ups find room in the same lane"


def test_orders_and_cancels_do_not_wait_behind_reads() -> None:
    scene = ready()
    flood(scene)
    before = len(scene.made)
    scene.ask(order())
    scene.acknowledge()
    assert [m.call.name for m in scene.made[before:]] == ["market", "create"]
    scene.calls = scene.calls[-1:]
    scene.reply(201, MADE)
    scene.acknowledge()
    scene.ask(CancelOrder("c1"))
    assert scene.made[-1].call.name == "cancel"


def test_what_the_exchange_s_reconciliation_reads_goes_first() -> None:
    scene = scarce(PATH)
    scene.ask(QUEUE)
    scene.ask(Inquire("queue_positions"))  # waits for 300 tokens, longer than it may
    before = len(scene.made)
    live(scene, 4 * SECOND)
    assert [m.call.lane for m in scene.made[before:] if m.call.path != PATH], "polls have gone"
    assert len(made(scene)) == 1


def test_what_reads_have_spent_is_counted() -> None:
    scene = ready()
    scene.ask(QUEUE)
    scene.reply(200, BODY)
    scene.pass_time(2 * SECOND)
    counters = scene.beats[-1].counters
    assert (counters["calls.inquiries"], counters["spent.inquiries"]) == (1, 10)


def test_the_default_of_a_read_is_said_in_its_call() -> None:
    scene = ready()
    scene.ask(Inquire("fills", {"limit": 5}))
    assert scene.made[-1].call.query == (("subaccount", "0"), ("limit", "5"))
    [answer] = told(scene)
    assert json.loads(bytes(answer.body)) == {"fills": [], "cursor": ""}
