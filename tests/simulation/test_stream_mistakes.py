"""Mistakes with market data, planted one at a time: each on a day that brings it out, and caught
by the checker that is there for it, which the first word of the words says.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any

import pytest

import actors.stream.connection
import actors.stream.dialogue
import protocol.follower
from actors.recorder.core import Recorder
from actors.stream.audit import Audit
from actors.stream.books import Books
from actors.stream.comparison import Comparison
from actors.stream.freshness import Freshness, HostClock
from actors.stream.line import Line
from actors.stream.lines import Lines
from actors.stream.market import Market
from actors.stream.probe import Probe
from actors.stream.subscriptions import Place, Subscriptions
from protocol.continuity import Continuity
from protocol.follower import BookFollower
from protocol.kalshi.frames import OkFrame, SnapshotFrame
from protocol.messages import BookStale
from protocol.sequence import Cursor, Verdict
from tests.simulation import stream_days
from tests.simulation.feed import BOOKS
from tests.simulation.planting import planted
from tests.simulation.test_simulation import Mistake
from tests.simulation.world import World

SEEDS = (1, 2)


# Numbers


def taking(changed: dict[Place, Place]) -> AbstractContextManager[None]:
    right = Subscriptions.admit

    def admit(self: Subscriptions, *told: Any) -> Place:
        place = right(self, *told)
        return changed.get(place, place)

    return planted(Subscriptions, "admit", admit)


def a_gap_is_not_noticed() -> AbstractContextManager[None]:
    return taking({Place.GAP: Place.NEXT})


def a_duplicate_is_applied() -> AbstractContextManager[None]:
    return taking({Place.DUPLICATE: Place.NEXT})


def numbers_that_begin_anew_go_on() -> AbstractContextManager[None]:
    return taking({Place.OUT_OF_ORDER: Place.NEXT})


def an_ok_is_not_counted() -> AbstractContextManager[None]:
    right = Line.sort

    def sort(self: Any, now: int, at: int, raw: bytes, frame: Any, out: Any) -> None:
        if isinstance(frame, OkFrame):
            out += self.answer(now, at, frame)
        else:
            right(self, now, at, raw, frame, out)

    return planted(Line, "sort", sort)


# What is lost with what


def only_one_book_is_lost_in_a_gap() -> AbstractContextManager[None]:
    def lost(self: Market, now: int, at: int, reason: str) -> Any:
        return self._books.lose(list(self.markets.values())[:1], reason, at)

    return planted(Market, "lost", lost)


def a_change_is_applied_before_the_snapshot() -> AbstractContextManager[None]:
    right = Books._stand

    def stand(self: Books, followed: Any, standing: Any) -> None:
        right(self, followed, standing)
        followed.live = followed.live or standing == "lost"

    return planted(Books, "_stand", stand)


def a_subscription_that_ends_takes_no_book_with_it() -> AbstractContextManager[None]:
    right = Market.resubscribe

    def resubscribe(self: Market, *told: Any) -> Any:
        with planted(Market, "lost", lambda *_: []), planted(Books, "await_again", lambda *_: None):
            return right(self, *told)

    return planted(Market, "resubscribe", resubscribe)


def the_error_of_an_ended_subscription_is_ignored() -> AbstractContextManager[None]:
    return planted(actors.stream.dialogue, "TERMINAL", frozenset((99,)))


def the_error_of_a_subscription_that_goes_on_is_ignored() -> AbstractContextManager[None]:
    return planted(actors.stream.dialogue, "UNTRUSTED", frozenset())


def a_snapshot_of_a_former_subscription_is_taken() -> AbstractContextManager[None]:
    """The subscription is given back, and whatever still comes by its number is believed."""
    right = Market.sort

    def sort(self: Market, now: int, at: int, raw: bytes, frame: Any, out: Any) -> None:
        if isinstance(frame, SnapshotFrame) and frame.sid not in self.subscriptions.channels:
            self._snapshot(now, at, frame, out)
        else:
            right(self, now, at, raw, frame, out)

    return planted(Market, "sort", sort)


def a_subscription_counts_once_all_channels_are_acknowledged() -> AbstractContextManager[None]:
    def completed(self: Market, now: int, at: int, command: Any) -> Any:
        if command.kind == "subscribe":
            self._book_sid = self.subscriptions.sids.get(BOOKS, -1)
        return right(self, now, at, command)

    right = Market.completed
    stack = ExitStack()
    stack.enter_context(planted(Market, "begun", lambda *_: None))
    stack.enter_context(planted(Market, "completed", completed))
    return stack


# What is of a past moment


def late_data_is_not_noticed() -> AbstractContextManager[None]:
    return planted(Line, "late", lambda *_: None)


def the_clocks_are_taken_to_differ_by_whatever_comes() -> AbstractContextManager[None]:
    """The delay of the first frames counts as what the clocks differ by."""
    right = Freshness.opened

    def opened(self: Freshness, *told: Any) -> None:
        right(self, *told)
        self._bounds = (-(10**12), 10**12)

    return planted(Freshness, "opened", opened)


def a_clock_that_is_set_is_not_noticed() -> AbstractContextManager[None]:
    return planted(HostClock, "look", lambda *_: 0)


def nobody_is_told_that_books_are_stale() -> AbstractContextManager[None]:
    return planted(Books, "age", lambda *_: [])


def a_book_counts_as_of_the_moment_that_it_is_asked_for() -> AbstractContextManager[None]:
    return planted(Lines, "as_of", lambda *_: 2**53)


def silence_is_ignored() -> AbstractContextManager[None]:
    return planted(actors.stream.connection, "SILENCE_MAX", 60 * 10**9)


def a_probe_without_an_answer_means_nothing() -> AbstractContextManager[None]:
    right = Probe.failed

    def failed(self: Probe, *told: Any) -> bool:
        return right(self, *told) and False

    return planted(Probe, "failed", failed)


def the_answer_to_a_probe_is_not_looked_at() -> AbstractContextManager[None]:
    right = Market._snapshot

    def snapshot(self: Market, now: int, at: int, frame: SnapshotFrame, out: Any) -> None:
        followed = self.markets.get(frame.msg.market_ticker)
        probed = followed is not None and followed.live and frame.id is not None
        if probed:
            self._probe.shown(frame.id, frame.msg.market_ticker)
        else:
            right(self, now, at, frame, out)

    return planted(Market, "_snapshot", snapshot)


def a_difference_in_an_audit_is_ignored() -> AbstractContextManager[None]:
    return planted(Audit, "_different", lambda *_: [])


# Quiet and haste are not punished


def a_quiet_market_is_a_dead_one() -> AbstractContextManager[None]:
    def failed(self: Probe, *told: Any) -> bool:
        asked, self._by = self._by is not None, None
        return asked

    return planted(Probe, "failed", failed)


def a_listing_counts_as_of_the_moment_that_it_comes() -> AbstractContextManager[None]:
    return planted(Comparison, "change", lambda *_: None)


# Followers


def a_follower_ignores_marks() -> AbstractContextManager[None]:
    def marked(self: BookFollower, now: int, envelope: Any, mark: Any) -> None:
        self._heard_at = now

    return planted(BookFollower, "_marked", marked)


class Careless(Cursor):
    """A new life of the speaker is nothing to it."""

    def _judge(self, epoch: int, seq: int) -> Verdict:
        verdict = super()._judge(epoch, seq)
        return Verdict.NEXT if verdict is Verdict.NEW_EPOCH and self.epoch else verdict


@contextmanager
def a_follower_goes_on_in_another_epoch() -> Iterator[None]:
    right = BookFollower._marked

    def marked(self: BookFollower, now: int, envelope: Any, mark: Any) -> None:
        if envelope.epoch == self.cursor.epoch:
            right(self, now, envelope, mark)
        else:
            self._heard_at = now

    with planted(protocol.follower, "Cursor", Careless), planted(BookFollower, "_marked", marked):
        yield


class Hopeful(Cursor):
    """What is missing is nothing to it."""

    def _judge(self, epoch: int, seq: int) -> Verdict:
        verdict = super()._judge(epoch, seq)
        return Verdict.NEXT if verdict is Verdict.GAP else verdict


def a_follower_goes_on_over_a_gap() -> AbstractContextManager[None]:
    return planted(protocol.follower, "Cursor", Hopeful)


def a_follower_ignores_that_its_book_is_stale() -> AbstractContextManager[None]:
    right = BookFollower._take

    def take(self: BookFollower, envelope: Any) -> None:
        if not isinstance(envelope.body, BookStale):
            right(self, envelope)

    return planted(BookFollower, "_take", take)


# Those who only listen


def a_lost_last_message_is_not_counted() -> AbstractContextManager[None]:
    return planted(Continuity, "_last", lambda *_: None)


def a_gap_on_the_bus_is_not_counted() -> AbstractContextManager[None]:
    right = Continuity._said

    def said(self: Continuity, speaker: Any, envelope: Any, found: Any) -> Verdict:
        return right(self, speaker, envelope, [])

    return planted(Continuity, "_said", said)


def a_hole_is_not_written_down() -> AbstractContextManager[None]:
    right = Recorder._hole

    def hole(self: Recorder, now: int, at: int, hole: Any) -> Any:
        return right(self, now, at, hole) if hole.why == "start" else []

    return planted(Recorder, "_hole", hole)


Day = Callable[[int], World]
CAUGHT: list[tuple[Mistake, Day, str]] = [
    (a_gap_is_not_noticed, stream_days.frames_are_missing, "^book: "),
    (a_duplicate_is_applied, stream_days.frames_come_twice, "^book: .* never had|^punished"),
    (numbers_that_begin_anew_go_on, stream_days.numbers_begin_anew, "^book: .* after a break"),
    (an_ok_is_not_counted, stream_days.another_market_is_followed, "^punished"),
    (only_one_book_is_lost_in_a_gap, stream_days.frames_are_missing, "^book: .* after a break"),
    (
        a_change_is_applied_before_the_snapshot,
        stream_days.frames_are_missing,
        "^book: .* a change of a lost book",
    ),
    (
        a_subscription_that_ends_takes_no_book_with_it,
        stream_days.subscriptions_end,
        "^book: .* after a break",
    ),
    (
        the_error_of_an_ended_subscription_is_ignored,
        stream_days.subscriptions_end,
        "^book: .* after a break",
    ),
    (
        the_error_of_a_subscription_that_goes_on_is_ignored,
        stream_days.subscriptions_fail,
        "^book: .* after a break",
    ),
    (
        a_snapshot_of_a_former_subscription_is_taken,
        stream_days.a_subscription_is_given_back,
        "^book: ",
    ),
    (
        a_subscription_counts_once_all_channels_are_acknowledged,
        stream_days.acknowledgements_are_lost,
        "^book: ",
    ),
    (late_data_is_not_noticed, stream_days.data_is_late, "^fresh: .* is late"),
    (
        the_clocks_are_taken_to_differ_by_whatever_comes,
        stream_days.data_is_late_from_the_first_frame_on,
        "^fresh: .* is late",
    ),
    (
        a_clock_that_is_set_is_not_noticed,
        stream_days.data_is_late_and_the_clock_is_wrong,
        "^fresh: .* is late",
    ),
    (nobody_is_told_that_books_are_stale, stream_days.data_is_late, "^fresh: .* is late"),
    (
        a_book_counts_as_of_the_moment_that_it_is_asked_for,
        stream_days.links_are_black_holes,
        "^fresh: .* vouches for too much",
    ),
    (silence_is_ignored, stream_days.the_private_link_is_dead, "^fresh: nobody has noticed"),
    (
        a_probe_without_an_answer_means_nothing,
        stream_days.a_subscription_is_dead,
        "^fresh: .* another book",
    ),
    (
        the_answer_to_a_probe_is_not_looked_at,
        stream_days.a_subscription_tells_nothing,
        "^fresh: .* another book",
    ),
    (a_difference_in_an_audit_is_ignored, stream_days.the_exchange_lies, "^fresh: .* a lie"),
    (a_quiet_market_is_a_dead_one, stream_days.nothing_happens, "^punished"),
    (
        a_listing_counts_as_of_the_moment_that_it_comes,
        stream_days.much_happens,
        "^punished|differs from the exchange's listing",
    ),
    (a_follower_ignores_marks, stream_days.the_last_message_is_lost, "^subscriber: .* has missed"),
    (a_follower_goes_on_in_another_epoch, stream_days.the_bus_is_lossy, "^book: .* wrong"),
    (a_follower_goes_on_over_a_gap, stream_days.the_bus_is_lossy, "^book: .* wrong"),
    (
        a_lost_last_message_is_not_counted,
        stream_days.the_last_message_is_lost,
        "^subscriber: verifier counts|^subscriber: .* last ones",
    ),
    (a_gap_on_the_bus_is_not_counted, stream_days.the_bus_is_lossy, "^subscriber: verifier counts"),
    (a_hole_is_not_written_down, stream_days.the_bus_is_lossy, "missing in the recording"),
    (a_follower_ignores_that_its_book_is_stale, stream_days.data_is_late, "^book: .* it is stale"),
]


@pytest.mark.parametrize("day", stream_days.CALM + stream_days.ROUGH, ids=lambda d: d.__name__)
def test_the_stream_comes_through(day: Day, few: bool) -> None:
    for seed in SEEDS[:1] if few else SEEDS:
        day(seed)


@pytest.mark.parametrize(
    ("mistake", "day", "words"), CAUGHT, ids=lambda value: getattr(value, "__name__", "")
)
def test_a_planted_mistake_is_caught(mistake: Mistake, day: Day, words: str) -> None:
    with mistake():
        for seed in SEEDS:
            try:
                day(seed)
            except AssertionError as e:
                assert re.search(words, str(e)), e
                return
    pytest.fail(f"{mistake.__name__}: not caught")
