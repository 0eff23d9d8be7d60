"""A recording is played as it came, and a book that is wrong is not."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from actors.paper.capture import Moved, Printed, Replaced
from actors.paper.capture import Tape as Played
from actors.paper.recorded import Recording
from protocol.messages import BookAnswer
from protocol.recording import Hole, book_line, hole_line
from protocol.units import Count, Price

AT = 1_795_486_295_000_000


class Tape:
    """Lines of a recording, one after the other, a millisecond apart."""

    def __init__(self) -> None:
        self.lines: list[bytes] = []
        self.at = AT
        self.seq = 0
        self.link = "market1"
        self.connection = 1

    def frame(self, kind: str, seq: int | None = None, sid: int = 1, **msg: Any) -> int:
        """Returns when it came."""
        self.at += 1_000
        if seq is None:
            self.seq = seq = self.seq + 1
        line: dict[str, Any] = {"at": self.at, "link": self.link, "connection": self.connection}
        line["frame"] = {"type": kind, "sid": sid, "seq": seq, "msg": msg}
        self.lines.append(json.dumps(line).encode() + b"\n")
        return self.at

    def snapshot(self, ticker: str, count: int, **how: Any) -> int:
        rows = [["0.4000", f"{count}.00"]]
        return self.frame("orderbook_snapshot", market_ticker=ticker, yes_dollars_fp=rows, **how)

    def delta(self, ticker: str, change: int, **how: Any) -> int:
        body = {"price_dollars": "0.4000", "delta_fp": f"{change}.00", "side": "yes"}
        return self.frame("orderbook_delta", market_ticker=ticker, **body, **how)

    def trade(self, ticker: str, seq: int) -> int:
        body = {"taker_book_side": "bid", "yes_price_dollars": "0.4000", "count_fp": "1.00"}
        return self.frame("trade", seq, 2, market_ticker=ticker, **body)

    def hole(self, why: str = "gap", topic: str = "", link: str = "") -> None:
        self.lines.append(hole_line(Hole(why, self.at - 10, self.at, topic, link)))

    def book(self, ticker: str, count: int, received_at: int, at: int = 0) -> None:
        level = (Price(400_000), Count(count * 100))
        answer = BookAnswer(ticker, "live", 1, 1, (level,), received_at=received_at)
        self.lines.append(book_line(answer, at or self.at))

    def played(self) -> list[tuple[str, str, int]]:
        """What is played: the ticker, a word, and contracts."""
        found = []
        for frame in Recording(self.lines):
            match frame:
                case Replaced(ticker=ticker, bids=bids):
                    found.append((ticker, "is", bids.get(400_000, 0) // 100))
                case Moved(ticker=ticker, delta=delta):
                    found.append((ticker, "moves", delta // 100))
                case Printed(ticker=ticker, count=count):
                    found.append((ticker, "trades", count // 100))
        return found


@pytest.fixture
def tape() -> Iterator[Tape]:
    yield Tape()


def test_frames_are_played_at_the_times_they_came(tape: Tape) -> None:
    tape.snapshot("KXA-1", 5)
    tape.at += 7_000_000
    tape.delta("KXA-1", 2)
    assert [frame.offset for frame in Recording(tape.lines)] == [0, 7_001_000]
    assert tape.played() == [("KXA-1", "is", 5), ("KXA-1", "moves", 2)]


def test_where_nothing_was_recorded_the_replay_does_not_wait(tape: Tape) -> None:
    tape.snapshot("KXA-1", 5)
    tape.hole("start")
    tape.at += 3_600_000_000
    tape.snapshot("KXA-1", 6)
    tape.delta("KXA-1", 1)
    offsets = [frame.offset for frame in Recording(tape.lines)]
    assert offsets == [0, 1_000_000, 1_001_000]


@pytest.mark.parametrize("topic", ["", "raw.orderbook_delta", "raw.control", "raw.malformed"])
def test_after_a_hole_nothing_is_played_until_the_next_snapshot(tape: Tape, topic: str) -> None:
    tape.snapshot("KXA-1", 5)
    tape.snapshot("KXA-2", 7)
    tape.hole("gap", topic)
    tape.delta("KXA-1", 1)
    tape.trade("KXA-1", 1)
    tape.snapshot("KXA-1", 9)
    tape.delta("KXA-1", 1)
    tape.delta("KXA-2", 1)
    assert tape.played()[2:] == [("KXA-1", "is", 9), ("KXA-1", "moves", 1)]


def test_a_lost_trade_hurts_no_book(tape: Tape) -> None:
    tape.snapshot("KXA-1", 5)
    tape.trade("KXA-1", 1)
    tape.hole("gap", "raw.trade")
    tape.trade("KXA-1", 4)
    tape.delta("KXA-1", 1)
    assert tape.played() == [
        ("KXA-1", "is", 5), ("KXA-1", "trades", 1), ("KXA-1", "trades", 1), ("KXA-1", "moves", 1),
    ]  # fmt: skip


def test_a_jump_in_the_numbers_of_a_subscription_stops_its_books_only(tape: Tape) -> None:
    tape.snapshot("KXA-1", 5)
    tape.snapshot("KXB-1", 6, sid=3, seq=1)
    tape.delta("KXA-1", 1, seq=3)
    tape.delta("KXA-1", 1, seq=4)
    tape.delta("KXB-1", 1, sid=3, seq=2)
    assert tape.played()[2:] == [("KXB-1", "moves", 1)]


def test_an_answer_takes_a_number_too_and_a_repeated_frame_is_not_played(tape: Tape) -> None:
    tape.snapshot("KXA-1", 5)
    tape.frame("ok")
    tape.delta("KXA-1", 1)
    tape.delta("KXA-1", 1, seq=tape.seq)
    assert tape.played() == [("KXA-1", "is", 5), ("KXA-1", "moves", 1)]


def test_a_new_connection_begins_with_nothing(tape: Tape) -> None:
    tape.snapshot("KXA-1", 5)
    tape.connection = 2
    tape.delta("KXA-1", 1, seq=1)
    tape.snapshot("KXA-1", 6, seq=2)
    tape.link = "market2"
    tape.delta("KXA-1", 1, seq=1)
    assert tape.played()[1:] == [("KXA-1", "is", 6), ("KXA-1", "moves", 1)]


def test_what_can_not_be_read_or_can_not_be_stops_the_book(tape: Tape) -> None:
    tape.snapshot("KXA-1", 5)
    tape.delta("KXA-1", -6)
    tape.delta("KXA-1", 2)
    tape.snapshot("KXA-1", 3)
    tape.lines.append(b'{"at":%d,"link":"market1","connection":1,"base64":"/w=="}\n' % tape.at)
    tape.delta("KXA-1", 2)
    tape.snapshot("KXA-1", 4)
    tape.frame("orderbook_delta", market_ticker="KXA-1", side="yes", price_dollars=0.4)
    tape.delta("KXA-1", 2)
    tape.frame("error", code=25)
    assert tape.played() == [("KXA-1", "is", 5), ("KXA-1", "is", 3), ("KXA-1", "is", 4)]


def test_the_end_of_a_subscription_is_the_end_of_its_books(tape: Tape) -> None:
    tape.snapshot("KXA-1", 5)
    tape.frame("error", code=25)
    tape.delta("KXA-1", 1)
    assert tape.played() == [("KXA-1", "is", 5)]


def test_a_book_of_the_stream_begins_with_what_is_not_in_it(tape: Tape) -> None:
    first = tape.delta("KXA-1", 1)
    tape.delta("KXA-1", 2)
    tape.book("KXA-1", 40, received_at=first)
    tape.delta("KXA-1", 3)
    assert tape.played() == [
        ("KXA-1", "is", 40), ("KXA-1", "moves", 2), ("KXA-1", "moves", 3),
    ]  # fmt: skip


def test_a_book_that_came_ahead_of_the_frames_is_not_changed_twice(tape: Tape) -> None:
    tape.book("KXA-1", 40, received_at=AT + 1_000, at=AT + 1_500)
    tape.delta("KXA-1", 2)
    tape.delta("KXA-1", 3)
    assert tape.played() == [("KXA-1", "is", 40), ("KXA-1", "moves", 3)]


def test_a_book_from_before_a_hole_is_not_taken(tape: Tape) -> None:
    tape.snapshot("KXA-1", 5)
    tape.hole()
    asked = tape.at - 1
    tape.delta("KXA-1", 2)
    tape.book("KXA-1", 40, received_at=AT, at=asked)
    tape.delta("KXA-1", 2)
    tape.book("KXA-1", 44, received_at=tape.at)
    tape.delta("KXA-1", 1)
    assert tape.played()[1:] == [("KXA-1", "is", 44), ("KXA-1", "moves", 1)]


def test_a_book_beside_one_that_is_known_changes_nothing(tape: Tape) -> None:
    tape.snapshot("KXA-1", 5)
    tape.book("KXA-1", 40, received_at=tape.at)
    tape.delta("KXA-1", 1)
    assert tape.played() == [("KXA-1", "is", 5), ("KXA-1", "moves", 1)]


def test_a_line_that_is_none_is_named(tape: Tape) -> None:
    tape.snapshot("KXA-1", 5)
    tape.lines.append(b'{"segment":{"format":2,"run":1,"number":1,"began_at":1}}\n')
    with pytest.raises(ValueError, match="line 2 of the recording: the format is 2, expected 1"):
        tape.played()


def test_what_is_recorded_after_the_start_is_not_played(tape: Tape) -> None:
    tape.snapshot("KXA-1", 5)
    tape.delta("KXA-1", 1)
    found = Played("growing", Recording(tape.lines))
    tape.snapshot("KXA-2", 5)
    assert len(found.due(0, 1.0) + found.due(10**12, 1.0)) == 2
    assert (found.done, found.played, found.total) == (True, 2, 2)
