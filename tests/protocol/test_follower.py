"""Copies of books: live, stale or lost and aware of it, whatever the bus drops."""

from dataclasses import dataclass
from typing import Any

import pytest

from protocol import topics
from protocol.book import Book
from protocol.envelope import Envelope, Outbox
from protocol.follower import BookFollower
from protocol.limits import MARK_INTERVAL, MARK_SILENCE_MAX, PENDING_MAX, SECOND, SNAPSHOT_RETRY
from protocol.machine import Tell
from protocol.messages import (
    BookAnswer,
    BookDelta,
    BookFresh,
    BookLost,
    BookRequest,
    BookSnapshot,
    BookStale,
    Level,
)
from protocol.units import Count, Price

T = "KXA-1"
TOPIC = topics.book(T)


def levels(*pairs: tuple[int, int]) -> tuple[Level, ...]:
    return tuple((Price(price), Count(count)) for price, count in pairs)


@dataclass
class Moment:
    """What the stream holds after a message."""

    state: str
    book: Book


class Speaker:
    """A stream as a follower sees it: one book, and what it was after each of its messages."""

    def __init__(self, epoch: int = 1) -> None:
        self.history: dict[tuple[int, int], Moment] = {}
        self.restart(epoch)

    def restart(self, epoch: int) -> None:
        self.outbox = Outbox("stream", epoch)
        self.now = Moment("not followed", Book())
        self.generation = 0
        self.history[epoch, 0] = self.now

    def say(self, body: Any, state: str) -> Envelope:
        envelope = self.outbox.seal(TOPIC, body, 0)
        self.now = Moment(state, self.now.book.copy())
        self.history[envelope.epoch, envelope.seq] = self.now
        return envelope

    def snapshot(self, *yes: tuple[int, int]) -> Envelope:
        self.generation += 1
        envelope = self.say(BookSnapshot(T, levels(*yes), (), 0, self.generation), "live")
        self.now.book = Book(levels(*yes))
        return envelope

    def delta(self, change: int = 100, price: int = 470_000) -> Envelope:
        envelope = self.say(BookDelta(T, "yes", Price(price), Count(change)), self.now.state)
        self.now.book.apply("yes", price, change)
        return envelope

    def lost(self) -> Envelope:
        return self.say(BookLost(T, "gap"), "lost")

    def stale(self) -> Envelope:
        return self.say(BookStale(T, "late"), "stale")

    def fresh(self) -> Envelope:
        return self.say(BookFresh(T), "live")

    def mark(self, now: int) -> list[Envelope]:
        return self.outbox.marks(now, 0)

    def answer(self) -> BookAnswer:
        seq = self.outbox.seq(TOPIC)
        if self.now.state not in ("live", "stale"):
            state: Any = self.now.state
            return BookAnswer(T, state, self.outbox.epoch, seq)
        yes = self.now.book.levels("yes")
        state = self.now.state
        return BookAnswer(
            T, state, self.outbox.epoch, seq, yes, generation=self.generation, audited_at=0
        )


def joined(speaker: Speaker) -> BookFollower:
    """A follower that is live, and has heard a mark."""
    follower = BookFollower(T, Outbox("reader", 1), 0)
    for envelope in [speaker.snapshot((470_000, 300)), *speaker.mark(0)]:
        follower.hear(0, envelope)
    follower.adopt(speaker.answer())
    assert follower.state == "live"
    return follower


def held(follower: BookFollower) -> tuple[Level, ...]:
    return follower.book.levels("yes")


def test_a_late_joiner_asks_and_goes_on_from_the_answer() -> None:
    speaker = Speaker()
    speaker.snapshot((470_000, 300))
    speaker.delta()
    follower = BookFollower(T, Outbox("reader", 1), 0)
    assert (follower.state, follower.live) == ("lost", False)
    (effect,) = follower.due(0, 0)
    assert isinstance(effect, Tell) and effect.peer == "stream"
    assert effect.letter.body == BookRequest(T)
    follower.adopt(speaker.answer())
    assert follower.state == "live" and held(follower) == levels((470_000, 400))
    follower.hear(0, speaker.delta())
    assert held(follower) == levels((470_000, 500))
    assert (follower.generation, follower.gaps) == (1, 0)


def test_it_asks_by_timer_at_a_bounded_rate_until_it_is_answered() -> None:
    follower = BookFollower(T, Outbox("reader", 1), 0)
    asked = 0
    for now in range(0, SECOND, SECOND // 100):
        asked += len(follower.due(now, 0))
    assert asked == SECOND // SNAPSHOT_RETRY
    assert follower.deadline() <= SECOND + SNAPSHOT_RETRY


def test_changes_that_come_before_the_answer_are_held_and_applied_after_it() -> None:
    speaker = Speaker()
    speaker.snapshot((470_000, 300))
    follower = BookFollower(T, Outbox("reader", 1), 0)
    follower.hear(0, speaker.delta())
    answer = speaker.answer()
    follower.hear(0, speaker.delta())
    follower.hear(0, speaker.stale())
    assert follower.state == "lost"
    follower.adopt(answer)
    assert follower.state == "stale" and held(follower) == levels((470_000, 500))
    assert follower.cursor.seq == 4


def test_an_answer_older_than_what_was_held_is_of_no_use() -> None:
    speaker = Speaker()
    speaker.snapshot((470_000, 300))
    old = speaker.answer()
    follower = BookFollower(T, Outbox("reader", 1), 0)
    speaker.delta()
    follower.hear(0, speaker.delta())
    follower.adopt(old)
    assert follower.state == "lost"
    follower.adopt(speaker.answer())
    assert follower.state == "live" and held(follower) == levels((470_000, 500))


@pytest.mark.parametrize("missed", ["delta", "stale", "fresh", "lost", "snapshot"])
@pytest.mark.parametrize("then", ["delta", "stale", "fresh"])
def test_whatever_is_missed_the_next_message_shows_it(missed: str, then: str) -> None:
    speaker = Speaker()
    follower = joined(speaker)
    if missed == "snapshot":
        speaker.snapshot((460_000, 900))
    else:
        getattr(speaker, missed)()
    follower.hear(0, getattr(speaker, then)())
    assert follower.state == "lost" and follower.gaps == 1
    follower.adopt(speaker.answer())
    want = speaker.now
    assert follower.state == (want.state if want.state != "lost" else "lost")
    assert want.state == "lost" or follower.book == want.book


@pytest.mark.parametrize("missed", ["delta", "stale", "fresh", "lost"])
def test_a_last_message_that_is_missed_is_shown_by_the_mark(missed: str) -> None:
    speaker = Speaker()
    follower = joined(speaker)
    getattr(speaker, missed)()
    (mark,) = speaker.mark(MARK_INTERVAL)
    follower.hear(MARK_INTERVAL, mark)
    assert follower.state == "lost"
    assert len(follower.due(MARK_INTERVAL, 0)) == 1


def test_a_mark_that_is_missed_may_have_told_of_a_loss() -> None:
    speaker = Speaker()
    follower = joined(speaker)
    speaker.delta()
    speaker.mark(MARK_INTERVAL)  # it would have told
    (mark,) = speaker.mark(2 * MARK_INTERVAL)
    follower.hear(2 * MARK_INTERVAL, mark)
    assert follower.state == "lost"


def test_late_and_in_time_again() -> None:
    speaker = Speaker()
    follower = joined(speaker)
    follower.hear(0, speaker.stale())
    assert (follower.state, follower.live, follower.whole) == ("stale", False, True)
    follower.hear(0, speaker.delta())
    assert follower.state == "stale" and held(follower) == levels((470_000, 400))
    follower.hear(0, speaker.fresh())
    assert follower.state == "live"
    follower.hear(0, speaker.stale())
    follower.hear(0, speaker.snapshot((1_000, 100)))
    assert follower.state == "live"


def test_lost_and_got_anew() -> None:
    speaker = Speaker()
    follower = joined(speaker)
    before = speaker.answer()
    follower.hear(0, speaker.lost())
    assert follower.state == "lost" and follower.gaps == 0
    follower.adopt(before)  # it was asked for before
    assert follower.state == "lost"
    follower.adopt(speaker.answer())
    assert follower.state == "lost"  # it is lost there, too
    follower.hear(0, speaker.snapshot((460_000, 100)))
    assert follower.state == "live" and held(follower) == levels((460_000, 100))
    assert follower.generation == 2


def test_a_new_life_of_the_stream_begins_anew() -> None:
    speaker = Speaker()
    follower = joined(speaker)
    straggler = speaker.delta()
    old = speaker.answer()
    speaker.restart(2)
    (mark,) = speaker.mark(MARK_INTERVAL)
    follower.hear(MARK_INTERVAL, mark)
    assert follower.state == "lost"
    follower.hear(MARK_INTERVAL, speaker.snapshot((460_000, 100)))
    assert follower.state == "live"
    follower.hear(MARK_INTERVAL, straggler)
    follower.adopt(old)
    assert held(follower) == levels((460_000, 100))


def test_silence_is_noticed_by_timer() -> None:
    speaker = Speaker()
    follower = joined(speaker)
    assert follower.due(MARK_SILENCE_MAX, 0) == []
    assert follower.state == "live"
    assert follower.deadline() == MARK_SILENCE_MAX + 1
    assert len(follower.due(MARK_SILENCE_MAX + 1, 0)) == 1
    assert follower.state == "lost"


def test_what_others_say_is_not_the_streams_word() -> None:
    speaker = Speaker()
    follower = joined(speaker)
    forged = Envelope(TOPIC, "api", 9, 1, 0, BookSnapshot(T, levels((1_000, 1)), ()))
    follower.hear(0, forged)
    follower.hear(0, Envelope("book.KXB-2", "stream", 1, 9, 0, BookLost("KXB-2", "x")))
    other = BookAnswer("KXB-2", "live", 1, 99)
    follower.adopt(other)
    assert follower.state == "live" and held(follower) == levels((470_000, 300))


def test_what_makes_no_sense_makes_it_lost() -> None:
    speaker = Speaker()
    follower = joined(speaker)
    bad = speaker.say(BookDelta(T, "yes", Price(470_000), Count(-900)), "live")
    follower.hear(0, bad)
    assert follower.state == "lost"
    twice = BookAnswer(T, "live", 1, 9, levels((1_000, 1), (1_000, 1)))
    follower.adopt(twice)
    assert follower.state == "lost"


def test_more_changes_than_can_be_held_are_not_held() -> None:
    speaker = Speaker()
    speaker.snapshot((470_000, 300))
    old = speaker.answer()
    follower = BookFollower(T, Outbox("reader", 1), 0)
    for _ in range(PENDING_MAX + 1):
        follower.hear(0, speaker.delta())
    follower.adopt(old)
    assert follower.state == "lost"
    follower.adopt(speaker.answer())
    assert follower.state == "live" and follower.book == speaker.now.book


def test_an_answer_from_before_what_the_mark_knows_of() -> None:
    speaker = Speaker()
    follower = joined(speaker)
    before = speaker.answer()
    speaker.delta()  # is not heard
    (mark,) = speaker.mark(2 * MARK_INTERVAL)
    follower.hear(0, mark)
    assert follower.state == "lost"
    follower.adopt(before)
    assert follower.state == "lost"
    follower.adopt(speaker.answer())
    assert follower.state == "live" and follower.book == speaker.now.book


def test_an_answer_to_what_was_asked_before_a_mark_was_lost() -> None:
    speaker = Speaker()
    follower = BookFollower(T, Outbox("reader", 1), 0)
    follower.hear(0, speaker.mark(0)[0])
    [ask] = follower.due(0, 0)
    assert isinstance(ask, Tell)
    speaker.snapshot((470_000, 300))
    early = speaker.answer()
    for number in (1, 2):
        speaker.delta()
        [mark] = speaker.mark(number * MARK_INTERVAL)  # the first is not heard, nor its change
    speaker.delta(-100)
    follower.hear(0, mark)
    follower.adopt(early, ask.letter.id)
    assert follower.state == "lost"
    [again] = follower.due(SNAPSHOT_RETRY, 0)
    assert isinstance(again, Tell)
    follower.adopt(speaker.answer(), again.letter.id)
    assert follower.state == "live" and follower.book == speaker.now.book
