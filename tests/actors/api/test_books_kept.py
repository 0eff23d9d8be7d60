"""Books from the front's memory: the same answer as the stream's, or the stream is asked."""

import json
from typing import Any

import pytest

from actors.api import books
from actors.api.asks import GetBook
from protocol.envelope import Envelope, Letter
from protocol.limits import (
    BOOK_GLANCE_MAX,
    BOOK_KEPT,
    BOOK_LAG_MAX,
    BOOK_LOOK,
    MARK_SILENCE_MAX,
    SECOND,
)
from protocol.machine import Answered
from tests.actors.api.reading import read
from tests.actors.api.scene import Scene
from tests.simulation.planting import planted

A = "KXA-1"


class Asked(Scene):
    """A front that is asked over HTTP."""

    def __init__(self) -> None:
        super().__init__()
        self.install(A, (470_000, 300), (460_000, 100), (450_000, 200))

    def kept(self) -> "Asked":
        """The book has been asked for, and is in memory now."""
        self.ask(A)
        self.second()
        self.ask(A)
        self.second()
        return self

    def got(self, number: int) -> tuple[int, Any]:
        reply = self.replies[number]
        return reply.status, json.loads(reply.body)


def test_the_first_request_asks_the_stream_and_later_ones_nobody() -> None:
    scene = Asked()
    first = scene.ask(A)
    assert first not in scene.replies
    scene.second()
    scene.ask(A)
    scene.second()
    last = scene.ask(A)
    assert scene.got(last)[0] == scene.got(first)[0] == 200
    assert scene.api._books.served == 2


def test_it_is_the_answer_that_the_stream_would_give() -> None:
    scene = Asked().kept()
    scene.change(A, 480_000, 100)
    scene.passes()
    status, body = scene.got(scene.ask(A))
    truth = scene.books.answer(A, body["as_of"])
    assert status == 200
    theirs = json.loads(books._encode(truth)) | {"age_ms": (scene.at - body["as_of"]) // 1_000}
    assert body == theirs
    assert [*body] == [*theirs]
    assert 0 < body["age_ms"] < 3_000


def test_the_levels_next_to_the_middle_are_kept_when_a_depth_is_asked_for() -> None:
    scene = Asked()
    first = scene.ask(A, depth=2)
    scene.second()
    scene.kept()
    for number in (first, scene.ask(A, depth=2)):
        assert scene.got(number)[1]["yes"] == [["0.4600", "1.00"], ["0.4700", "3.00"]]
    assert len(scene.got(scene.ask(A))[1]["yes"]) == 3
    assert read("GET", f"/v1/books/{A}", {"depth": "2"}, b"", "") == ("read", GetBook(A, depth=2))


@pytest.mark.parametrize("trouble", ["lost", "stale", "silent", "lag", "glance", "missed"])
def test_whatever_is_wrong_with_a_book_the_stream_is_asked(trouble: str) -> None:
    scene = Asked().kept()
    followed = scene.books.by_ticker[A]
    match trouble:
        case "lost":
            scene.lose(A)
        case "stale":
            scene.say_all(scene.books.age([followed], "data is late", scene.at))
        case "silent":
            for _ in range(2):
                scene.passes(MARK_SILENCE_MAX // 2 + 1)
                scene.publish(scene.writer.marks(scene.now, scene.at, 0)[0])
        case "lag":
            scene.at += BOOK_LAG_MAX // 1_000 + 1
            late = scene.stream.marks(scene.now + SECOND, scene.at - BOOK_LAG_MAX // 1_000 - 1)
            scene.publish(late[0])
        case "glance":
            scene.letters.clear()
            for _ in range(4):
                scene.passes(BOOK_GLANCE_MAX // 4 + 1)
                scene.mark()
        case "missed":
            scene.drops = lambda e: e.topic == followed.topic
            scene.change(A, 480_000, 100)
            scene.passes(SECOND)
            scene.mark()
    number = scene.ask(A)
    assert number not in scene.replies
    scene.letters_arrive()
    status, body = scene.got(number)
    assert (status, body.get("code")) == {
        "lost": (409, "book_lost"), "stale": (409, "book_stale"),
    }.get(trouble, (200, None))  # fmt: skip


def test_what_the_stream_says_of_its_book_holds_for_ours_once_it_is_the_same() -> None:
    """The answer overtakes what was published before it."""
    scene = Asked().kept()
    late: list[Envelope] = []
    scene.passes(SECOND)
    scene.drops = lambda e: late.append(e) or True
    scene.change(A, 480_000, 100)
    scene.passes(SECOND)
    scene.ask(A)
    scene.letters_arrive()
    before = scene.got(scene.ask(A))[1]
    assert before["age_ms"] >= 2_000
    assert len(before["yes"]) == 3
    scene.drops = lambda _: False
    scene.publish(late[0])
    after = scene.got(scene.ask(A))[1]
    assert after["age_ms"] == 0
    assert len(after["yes"]) == 4


def test_a_new_stream_does_not_speak_for_the_book_of_the_one_before() -> None:
    """It is there again, and has answered, before the bus has brought anything of it."""
    scene = Asked().kept()
    scene.drops = lambda e: e.source == "stream"
    scene.passes(SECOND)
    scene.restart_stream()
    scene.install(A, (440_000, 100))
    scene.passes(SECOND)
    scene.ask(A)
    scene.letters_arrive()
    number = scene.ask(A)
    assert number not in scene.replies
    scene.letters_arrive()
    assert scene.got(number)[1]["yes"] == [["0.4400", "1.00"]]


def test_an_answer_that_comes_too_late_for_its_request_is_of_no_use_to_the_follower() -> None:
    """It may be from before what was missed with a mark."""
    scene = Asked()
    late = scene.ask(A)
    [asked] = [entry for entry in scene.letters if entry[1].id == f"book:{late}"]
    old = scene.books.answer(A, scene.at)
    scene.letters.clear()
    scene.drops = lambda e: e.topic == "mark" or e.topic == f"book.{A}"
    scene.change(A, 480_000, 100)
    for _ in range(2):
        scene.passes(SECOND)
        scene.mark()
    scene.drops = lambda _: False
    scene.mark()
    assert scene.got(late)[0] == 503
    scene.feed(Answered(scene.at, "stream", Letter("stream", 1, asked[1].id, scene.at, old)))
    kept = scene.api._books.get(A)
    assert kept is not None
    assert not kept.follower.whole


def test_a_book_that_nobody_follows_is_404() -> None:
    scene = Asked()
    number = scene.ask("KXNONE-1")
    scene.second()
    assert scene.got(number)[0] == 404


def test_a_book_is_kept_for_some_minutes_after_the_last_request() -> None:
    scene = Asked().kept()
    assert len(scene.api._books) == 1
    scene.passes(BOOK_KEPT - 3 * SECOND)
    scene.second()
    assert len(scene.api._books) == 1
    scene.passes(BOOK_LOOK + 3 * SECOND)
    assert len(scene.api._books) == 0
    assert f"book.{A} " not in scene.heard


def test_the_number_of_books_is_bounded_and_those_that_clients_follow_stay() -> None:
    scene = Asked()
    scene.install("KXB-1", (470_000, 300))
    with planted(books, "BOOKS_KEPT_MAX", 2):
        reader = scene.join(f"book.{A} ")
        for ticker in ("KXB-1", "KXC-1", "KXD-1"):
            scene.ask(ticker)
            scene.second()
        assert {f"book.{A} ", "book.KXD-1 "} <= scene.heard
        assert "book.KXC-1 " not in scene.heard
        second = scene.join("book.KXB-1 ", "book.KXE-1 ")
        assert [s["why"] for s in second.said if s["kind"] == "lost"] == ["too_many"]
        scene.change(A, 480_000, 100)
    assert reader.kinds()[-1] == "BookDelta"
