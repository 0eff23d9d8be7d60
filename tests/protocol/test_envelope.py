"""Frames on the wire: what goes in comes out, and anything else is one kind of error."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.envelope import Envelope, Outbox, decode, decode_letter, encode, encode_letter
from protocol.errors import RemoteProtocolError
from protocol.limits import MARK_INTERVAL, MARK_TOPICS_MAX
from protocol.messages import BookDelta, BookLost, Mark
from protocol.sequence import Cursor, Verdict
from protocol.units import Count, Price

DELTA = BookDelta("KXA-1", "yes", Price(560_000), Count(-100), 5, 6)


def test_a_published_message_is_topic_space_json() -> None:
    envelope = Envelope("book.KXA-1", "stream", 7, 12, 99, DELTA)
    frame = encode(envelope)
    assert frame == (
        b'book.KXA-1 {"source":"stream","epoch":7,"seq":12,"at":99,"body":{"type":"BookDelta",'
        b'"ticker":"KXA-1","side":"yes","price":"0.5600","change":"-1.00","exchange_at":5,'
        b'"received_at":6}}'
    )
    assert decode(frame) == envelope


def test_a_field_from_the_future_is_ignored() -> None:
    frame = encode(Envelope("book.KXA-1", "stream", 7, 12, 99, DELTA))
    assert decode(frame.replace(b'"seq":12', b'"seq":12,"colour":"red"')).body == DELTA


@given(st.binary())
def test_any_bytes_are_an_envelope_or_a_remote_error(raw: bytes) -> None:
    for read in (decode, decode_letter):
        with pytest.raises(RemoteProtocolError):
            read(raw)


def test_deep_nesting_is_a_remote_error_too() -> None:
    with pytest.raises(RemoteProtocolError):
        decode(b"book.A " + b"[" * 100_000)


def test_letters_survive_the_wire() -> None:
    letter = Outbox("stream", 3).letter("x:1", BookLost("KXA-1", "gap"), 4)
    assert decode_letter(encode_letter(letter)) == letter


def test_numbers_run_per_topic() -> None:
    outbox = Outbox("stream", 3)
    said = [outbox.seal(t, DELTA, 0) for t in ("book.A", "book.B", "book.A")]
    assert [(e.topic, e.epoch, e.seq) for e in said] == [
        ("book.A", 3, 1),
        ("book.B", 3, 1),
        ("book.A", 3, 2),
    ]


def test_a_mark_says_the_last_number_of_what_changed() -> None:
    outbox = Outbox("stream", 3)
    outbox.seal("book.A", DELTA, 0)
    outbox.seal("book.A", DELTA, 0)
    [mark] = outbox.marks(0, 1, head=5)
    assert (mark.topic, mark.seq, mark.body) == ("mark", 1, Mark({"book.A": 2}, 5))
    assert outbox.marks(MARK_INTERVAL - 1, 2) == []
    [quiet] = outbox.marks(MARK_INTERVAL, 3)
    assert (quiet.seq, quiet.body) == (2, Mark({}, 0))


def test_many_topics_take_several_marks() -> None:
    outbox = Outbox("stream", 3)
    for i in range(MARK_TOPICS_MAX + 1):
        outbox.seal(f"book.K{i}", DELTA, 0)
    marks = outbox.marks(0, 1)
    assert [len(m.body.topics) for m in marks if isinstance(m.body, Mark)] == [MARK_TOPICS_MAX, 1]


def test_a_cursor_has_four_words() -> None:
    cursor = Cursor()
    told = [(1, 1), (1, 2), (1, 2), (1, 4), (1, 3), (2, 1), (1, 9)]
    assert [cursor.admit(*place) for place in told] == [
        Verdict.NEW_EPOCH,
        Verdict.NEXT,
        Verdict.DUPLICATE,
        Verdict.GAP,
        Verdict.DUPLICATE,
        Verdict.NEW_EPOCH,
        Verdict.DUPLICATE,
    ]
