"""A sweep of the exchange, told call by call: what makes "nothing rests" the last word."""

import datetime
import json
from collections.abc import Sequence
from typing import Any

import pytest

from actors.gateway.desk import CallAnswered, CallFailed, Ended
from actors.gateway.sweep import Sweep
from protocol.kalshi.calls import Call
from protocol.limits import (
    ABSENCE_AFTER,
    CANCEL_RETRY_MAX,
    CLOCK_SKEW_MAX,
    MS,
    PANIC_RETRY,
    RESOLVE_INTERVAL,
    SECOND,
)

BOOT = 1_000 * SECOND  # monotonic; by the wall it is as many seconds after the epoch


class Story:
    """A sweep, and an exchange that answers as the story wants."""

    def __init__(self) -> None:
        self.now = BOOT
        self.sweep = Sweep(self.now)
        self.reads_as_of: int | None = None  # on the same clock as now; None: it does not say
        self.rests: list[str] = []
        self.made: list[str] = []

    def call(self) -> Call:
        """The next call, when its time has come."""
        deadline = self.sweep.deadline()
        assert deadline is not None
        self.now = max(self.now, deadline) + MS
        call = self.sweep.next(self.now)
        assert call is not None
        self.made.append(f"{call.method} {call.path.rpartition('/')[2]}")
        return call

    def end(self, ended: Ended) -> str:
        self.now += MS
        return self.sweep.ended(self.now, self.now // 1_000, ended)

    def answer(self, status: int, body: Any = None) -> str:
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self.end(CallAnswered(0, 1, status, raw))

    def play(self, call: Call) -> str:
        """Answer a call as a healthy exchange does."""
        if call.method == "DELETE":
            return self.answer(204, b"")
        if call.name == "user data":
            if self.reads_as_of is None:
                return self.answer(404, {"error": {"code": "not_found"}})
            return self.answer(200, {"as_of_time": rfc3339(self.reads_as_of)})
        return self.answer(200, page(self.rests))

    def round(self) -> list[str]:
        """Play until a listing is complete. Returns the calls made for it."""
        first = len(self.made)
        while True:
            call = self.call()
            self.play(call)
            if call.name == "orders":
                return self.made[first:]


def rfc3339(at: int) -> str:
    found = datetime.datetime.fromtimestamp(at / SECOND, datetime.UTC)
    return found.isoformat().replace("+00:00", "Z")


def page(ids: Sequence[str], cursor: str = "") -> dict[str, Any]:
    rows = [{"order_id": id, "ticker": f"KX-{id}", "status": "resting"} for id in ids]
    return {"orders": rows, "cursor": cursor}


def test_what_is_read_after_the_cancel_all_is_the_last_word() -> None:
    story = Story()
    story.reads_as_of = BOOT + CLOCK_SKEW_MAX + SECOND
    assert story.round() == ["DELETE orders", "GET user_data_timestamp", "GET orders"]
    assert (story.sweep.done, story.sweep.resting, story.sweep.cancel_alls) == (True, 0, 1)
    assert story.sweep.deadline() is None


def test_reads_that_may_be_older_prove_nothing() -> None:
    story = Story()
    story.reads_as_of = BOOT + CLOCK_SKEW_MAX - SECOND  # its clock may be 5 s ahead of ours
    for _ in range(20):
        story.round()
    assert not story.sweep.done
    assert "may not be up to date" in story.sweep.trouble
    assert story.made.count("DELETE orders") == 1, "it has said that all is canceled"
    story.reads_as_of = story.now
    story.round()
    assert story.sweep.done


def test_where_the_exchange_does_not_say_two_empty_listings_must_agree() -> None:
    story = Story()
    story.round()
    first = story.now
    while not story.sweep.done:
        story.round()
    assert first + RESOLVE_INTERVAL <= story.now < first + RESOLVE_INTERVAL + 2 * PANIC_RETRY


def test_a_listing_that_misses_an_order_is_not_the_last_word() -> None:
    story = Story()
    story.round()
    story.rests = ["o1"]
    story.round()
    story.rests = []
    missed = story.now
    while not story.sweep.done:
        story.round()
    assert story.now >= missed + RESOLVE_INTERVAL, "two listings without it, from then on"
    assert story.sweep.cancel_alls == 2


def test_what_still_rests_is_canceled_again_and_then_by_name() -> None:
    story = Story()
    story.rests = ["o1", "o2"]
    story.round()
    assert story.sweep.trouble == "2 orders rest"
    assert story.round()[0] == "DELETE orders"
    for id in ("o2", "o1"):
        call = story.call()
        assert (call.path.rpartition("/")[2], call.query) == (id, (("market_ticker", f"KX-{id}"),))
        story.answer(404, {"error": {"code": "not_found"}})  # proves nothing
    assert story.round()[0] == "DELETE orders"
    assert (story.sweep.resting, story.sweep.done) == (2, False)


def test_all_pages_count() -> None:
    story = Story()
    story.reads_as_of = BOOT + MS + CLOCK_SKEW_MAX + SECOND
    story.play(story.call())
    story.play(story.call())
    assert ("cursor", "") not in story.call().query
    story.answer(200, page([], "p1"))
    assert ("cursor", "p1") in story.call().query
    story.answer(200, page(["o1"]))
    assert (story.sweep.done, story.sweep.resting) == (False, 1)


def test_pages_that_go_round_prove_nothing() -> None:
    story = Story()
    story.reads_as_of = BOOT + CLOCK_SKEW_MAX + SECOND
    story.play(story.call())
    story.play(story.call())
    story.call()
    story.answer(200, page([], "p1"))
    story.call()
    assert story.answer(200, page([], "p1")) == "listing: its pages go round"
    assert (story.sweep.done, story.sweep.resting) == (False, -1)
    assert story.round() == ["GET user_data_timestamp", "GET orders"]
    assert story.sweep.done


def test_a_429_waits_longer_each_time_and_keeps_the_page() -> None:
    story = Story()
    story.reads_as_of = BOOT + CLOCK_SKEW_MAX + SECOND
    story.play(story.call())
    story.play(story.call())
    story.call()
    story.answer(200, page([], "p1"))
    waits = []
    for _ in range(5):
        assert ("cursor", "p1") in story.call().query
        story.answer(429, {"error": "too many requests"})
        deadline = story.sweep.deadline()
        assert deadline is not None
        waits.append(deadline - story.now)
    assert waits == [PANIC_RETRY, 2 * PANIC_RETRY, 4 * PANIC_RETRY, *[CANCEL_RETRY_MAX] * 2]
    story.call()
    story.answer(200, page([]))
    assert story.sweep.done


@pytest.mark.parametrize(
    ("ended", "sent", "then"),
    [
        (CallFailed(0, 1, "no route", sent=False), 0, "DELETE orders"),
        (CallFailed(0, 1, "no answer", sent=True), 1, "GET user_data_timestamp"),
        (CallAnswered(0, 1, 503, b""), 1, "GET user_data_timestamp"),
        (CallAnswered(0, 1, 401, b""), 0, "GET user_data_timestamp"),
        (CallAnswered(0, 1, 429, b""), 0, "DELETE orders"),
    ],
)
def test_a_cancel_all_that_is_not_confirmed_stays_owed(ended: Ended, sent: int, then: str) -> None:
    story = Story()
    story.call()
    story.end(ended)
    assert story.sweep.cancel_alls == sent
    story.call()
    assert story.made[-1] == then
    story.end(CallFailed(0, 1, "no route", sent=False))
    while story.made.count("DELETE orders") < 3:
        story.call()
        story.end(CallAnswered(0, 1, 500, b""))
    assert not story.sweep.done


@pytest.mark.parametrize("body", [b"<html>", b"[]", b'{"orders":[{}]}', b'{"orders":'])
def test_a_listing_that_can_not_be_read_is_asked_for_again(body: bytes) -> None:
    story = Story()
    story.reads_as_of = BOOT + CLOCK_SKEW_MAX + SECOND
    story.play(story.call())
    story.play(story.call())
    story.call()
    assert story.answer(200, body).startswith("listing: ")
    story.round()
    assert story.sweep.done


@pytest.mark.parametrize("body", [b"", b"{}", b'{"as_of_time":"soon"}', b'{"as_of_time":5}'])
def test_a_timestamp_that_can_not_be_read_is_none(body: bytes) -> None:
    story = Story()
    story.play(story.call())
    story.call()
    story.answer(200, body)
    story.play(story.call())
    assert not story.sweep.done
    assert "reads lag" in story.sweep.trouble


def test_an_order_on_its_way_is_waited_for_and_everything_canceled_again() -> None:
    story = Story()
    story.sweep.in_flight = True
    story.reads_as_of = BOOT + CLOCK_SKEW_MAX + SECOND
    story.round()
    assert (story.sweep.done, story.sweep.resting) == (False, 0)
    story.sweep.in_flight = False
    story.sweep.moved(story.now)
    assert story.round()[0] == "DELETE orders"
    assert not story.sweep.done, "these reads may be from before it arrived"
    story.reads_as_of = story.now + CLOCK_SKEW_MAX
    story.round()
    assert (story.sweep.done, story.sweep.cancel_alls) == (True, 2)


@pytest.mark.parametrize("says", [True, False])
def test_an_order_without_an_outcome_may_arrive_for_a_while(says: bool) -> None:
    story = Story()
    story.sweep.lands_until = BOOT + ABSENCE_AFTER
    while not story.sweep.done:
        if says:
            story.reads_as_of = story.now
        story.round()
        assert story.sweep.resting == 0
    assert story.now > BOOT + ABSENCE_AFTER + CLOCK_SKEW_MAX
    assert story.now < BOOT + ABSENCE_AFTER + RESOLVE_INTERVAL + 3 * PANIC_RETRY
