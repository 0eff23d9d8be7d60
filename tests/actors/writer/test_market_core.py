"""What the keeper keeps, and what it says is missing: told by a stream that loses messages."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.writer.market import core
from actors.writer.market.retention import DAY_US, to_prune
from actors.writer.market.wire import (
    EVERY_TOPIC,
    Batch,
    Held,
    Hole,
    OpenDatabase,
    Opened,
    Place,
    Prune,
    Save,
    Values,
)
from protocol.envelope import Envelope
from protocol.limits import (
    KEEP_BATCH_ROWS,
    KEEP_BATCH_WAIT,
    KEEP_BYTES_MIN,
    KEEP_LOG_BYTES_MAX,
    KEEP_LOOK,
    KEEP_PRUNE_PAUSE,
    KEEP_PRUNE_ROWS,
    KEEP_REOPEN,
    KEEP_RETRY,
    KEEP_SLACK_BYTES,
    MS,
    SECOND,
)
from protocol.machine import Stopping
from protocol.messages import BookLost
from tests.actors.writer.market_samples import (
    AT,
    EMPTY,
    EPOCH,
    OTHER,
    QUOTES,
    TRADES,
    Story,
    marked,
    said,
)

MARK = Place("mark", EPOCH, 1, AT)


def hole(topic: str, first: int, last: int, since: int, at: int, epoch: int = EPOCH) -> Values:
    return (topic, epoch, first, last, since, at)


def ids(batch: Batch) -> list[str | int]:
    return [row[1] for row in batch.trades]


# What is kept


def test_a_trade_and_a_quote_are_kept_whole() -> None:
    story = Story()
    story.open(MARK)
    batch = story.kept(said(TRADES, 1), said(QUOTES, 1))
    assert batch.trades == (
        ("KXA-1", "KXA-1:1", 560_000, 1_000, "yes", 0, AT - 9, AT - 5, EPOCH, 1),
    )
    assert batch.quotes == (
        ("KXA-1", 560_000, 50, 550_000, 100, 570_000, 200, 1, 300, AT - 9, AT - 5, EPOCH, 1),
    )
    assert batch.holes == ()
    assert batch.places == (Place(TRADES, EPOCH, 1, AT), Place(QUOTES, EPOCH, 1, AT))


def test_rows_wait_for_others_so_long_and_no_longer() -> None:
    story = Story()
    story.open(MARK)
    story.take(said(TRADES, 1))
    story.later(KEEP_BATCH_WAIT - MS)
    assert story.saved(story.take(said(TRADES, 2))) is None
    story.later(MS)
    batch = story.look()
    assert batch is not None and len(batch.trades) == 2


def test_so_many_rows_wait_for_nobody() -> None:
    story = Story()
    story.open(MARK)
    batch = story.saved(story.take(*(said(TRADES, i) for i in range(1, KEEP_BATCH_ROWS + 2))))
    assert batch is not None and len(batch.trades) == KEEP_BATCH_ROWS
    assert batch.places == (Place(TRADES, EPOCH, KEEP_BATCH_ROWS, AT),)
    rest = story.look()
    assert rest is not None and len(rest.trades) == 1, "it has waited already"


def test_others_than_the_stream_are_not_listened_to() -> None:
    story = Story()
    story.open(MARK)
    own = said(TRADES, 1)
    story.take(Envelope(TRADES, "writer", EPOCH, 1, AT, own.body))
    story.later()
    assert story.look() is None


def test_until_the_database_was_open_once_nothing_is_heard_and_then_it_is_a_hole() -> None:
    story = Story()
    story.take(said(TRADES, 5), said(TRADES, 6))
    story.core.step(story.now, Opened(AT, (Place(TRADES, EPOCH, 4, AT - 100),), EMPTY, False))
    batch = story.kept(said(TRADES, 7))
    assert ids(batch) == ["KXA-1:7"]
    assert batch.holes == (hole(TRADES, 5, 6, AT - 100, AT),)


# What is missing


def test_a_gap_is_a_hole_and_a_repetition_is_none() -> None:
    story = Story()
    story.open(MARK)
    first = [said(TRADES, 1), said(TRADES, 2, at=AT + 1), said(TRADES, 2), said(TRADES, 1)]
    batch = story.kept(*first, said(TRADES, 5, at=AT + 9))
    assert ids(batch) == ["KXA-1:1", "KXA-1:2", "KXA-1:5"]
    assert batch.holes == (hole(TRADES, 3, 4, AT + 1, AT),)


def test_a_topic_that_is_heard_of_late_has_a_hole_before() -> None:
    story = Story()
    story.open(MARK)
    assert story.kept(said(TRADES, 3)).holes == (hole(TRADES, 1, 2, 0, AT),)


def test_a_last_message_that_is_lost_is_noticed_by_the_mark() -> None:
    story = Story()
    story.open(MARK)
    batch = story.kept(said(TRADES, 1), marked(2, at=AT + 5, KXA=3, KXB=2))
    assert batch.holes == (hole(TRADES, 2, 3, AT, AT), hole(OTHER, 1, 2, 0, AT))
    assert Place(TRADES, EPOCH, 3, AT) in batch.places
    again = story.kept(said(TRADES, 4), marked(3, KXA=4, KXB=2))
    assert again.holes == () and ids(again) == ["KXA-1:4"]


def test_a_mark_that_is_lost_is_a_hole_itself() -> None:
    """Then the last message of any topic may be missing for as long as it says nothing more."""
    story = Story()
    story.open(MARK)
    assert story.kept(marked(4)).holes == (hole("mark", 2, 3, AT, AT),)


def test_another_life_of_the_stream_is_a_hole_in_every_topic() -> None:
    story = Story()
    story.open(MARK, Place(TRADES, EPOCH, 9, AT))
    batch = story.kept(
        said(TRADES, 10, at=AT + 3),
        said(TRADES, 1, EPOCH + 1),
        said(TRADES, 11),  # a straggler
        said(OTHER, 2, EPOCH + 1),
    )
    assert [row[-2:] for row in batch.trades] == [(EPOCH, 10), (EPOCH + 1, 1), (EPOCH + 1, 2)]
    assert batch.holes == (
        hole(EVERY_TOPIC, 0, 0, AT + 3, AT, EPOCH + 1),
        hole(OTHER, 1, 1, 0, AT, EPOCH + 1),
    )
    assert batch.anew, "places of former epochs mean nothing any more"
    assert {place.epoch for place in batch.places} == {EPOCH + 1}
    assert not story.kept(said(TRADES, 2, EPOCH + 1)).anew


def test_what_came_meanwhile_is_exactly_known_after_a_restart() -> None:
    story = Story()
    story.open(MARK, Place(TRADES, EPOCH, 57, AT - 7), Place(OTHER, EPOCH, 3, AT - 9))
    batch = story.kept(said(TRADES, 61), said(OTHER, 4))
    assert batch.holes == (hole(TRADES, 58, 60, AT - 7, AT),)


def test_a_file_that_was_made_just_now_says_where_it_begins() -> None:
    story = Story()
    story.open(fresh=True)
    batch = story.kept(said(TRADES, 1))
    assert batch.holes == ()
    other = Story()
    other.core.step(other.now, Opened(AT, (), EMPTY, True))
    other.later()
    first = other.look()
    assert first is not None and first.holes == (hole(EVERY_TOPIC, 0, 0, 0, AT, 0),)


def test_a_topic_makes_room_for_another_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(core, "KEEP_TOPICS_MAX", 2)
    story = Story()
    story.open(Place(TRADES, EPOCH, 1, AT - 2), Place(OTHER, EPOCH, 1, AT - 1))
    batch = story.kept(said(TRADES, 2), said(QUOTES, 1))
    assert batch.forgotten == (OTHER,), "nothing was heard of it for longest"
    assert story.kept(said(OTHER, 2)).holes == (hole(OTHER, 1, 1, 0, AT + 500_000),), "safe"


# Trouble


def test_a_locked_database_is_tried_again_and_nothing_is_lost() -> None:
    story = Story()
    story.open(MARK)
    story.take(said(TRADES, 1))
    story.later()
    story.fail(story.take(said(TRADES, 2)), "locked", closed=False)
    assert [e for e in story.take(said(TRADES, 3)) if isinstance(e, Save)] == []
    story.later(KEEP_RETRY - MS)
    assert story.look() is None
    story.later(MS)
    batch = story.look()
    assert batch is not None and len(batch.trades) == 3 and batch.holes == ()


def test_trouble_is_said_with_the_time_that_rows_wait() -> None:
    story = Story()
    story.open(MARK)
    story.take(said(TRADES, 1))
    story.later()
    story.fail(story.take(), "the disk is full", closed=True)
    story.later(2 * SECOND)
    effects = story.take()
    assert [e for e in effects if isinstance(e, OpenDatabase | Save)] == []
    standing = story.standing()
    assert standing.trouble == "the disk is full" and standing.lag_ms == 3_500
    story.later(KEEP_REOPEN)
    assert OpenDatabase() in story.take()
    story.core.step(story.now, Opened(story.at, (MARK,), EMPTY, False))
    assert story.look() is not None
    standing = story.standing()
    assert (standing.kept, standing.holes, standing.trouble) == (1, 0, "")


def test_a_commit_without_an_answer_is_not_done_twice() -> None:
    story = Story()
    story.open(MARK)
    story.take(said(TRADES, 1), said(TRADES, 3), said(QUOTES, 1))
    story.later()
    story.fail(story.take(), "disk I/O error", closed=True)
    story.later(KEEP_REOPEN)
    story.take(said(TRADES, 4))
    stored = (MARK, Place(TRADES, EPOCH, 3, AT), Place(QUOTES, EPOCH, 1, AT))
    story.core.step(story.now, Opened(story.at, stored, EMPTY, False))
    batch = story.look()
    assert batch is not None
    assert (ids(batch), batch.quotes, batch.holes) == (["KXA-1:4"], (), ())


@pytest.mark.parametrize("fresh", [True, False])
def test_another_file_in_its_place_says_what_is_not_in_it(fresh: bool) -> None:
    story = Story()
    story.open(MARK)
    story.kept(said(TRADES, 1), marked(2, KXA=1))
    story.take(said(TRADES, 2))
    story.later()
    story.fail(story.take(), "is another file now", closed=True)
    story.later(KEEP_REOPEN)
    assert OpenDatabase() in story.take()
    places = () if fresh else (MARK,)
    story.core.step(story.now, Opened(story.at, places, EMPTY, fresh))
    batch = story.look()
    assert batch is not None and ids(batch) == ["KXA-1:2"]
    assert batch.holes == (hole(EVERY_TOPIC, 0, 0, 0, story.at),)


def test_what_no_longer_fits_in_the_queue_is_one_hole_a_topic(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(core, "KEEP_QUEUE_MAX", 3)
    story = Story()
    story.open(MARK)
    story.take(said(TRADES, 1), said(OTHER, 1))
    story.later()
    story.fail(story.take(), "locked", closed=False)
    story.take(said(TRADES, 2), said(TRADES, 3), said(OTHER, 2))
    story.take(said(TRADES, 5, at=AT + 8), marked(2, KXA=6, KXB=2))
    story.later()
    batch = story.look()
    assert batch is not None and ids(batch) == ["KXA-1:1", "KXB-1:1", "KXA-1:2"]
    batch = story.kept(said(TRADES, 7), said(OTHER, 3))
    assert ids(batch) == ["KXA-1:7"], "the holes took what room there was"
    assert [row[:4] for row in batch.holes] == [(TRADES, EPOCH, 3, 6), (OTHER, EPOCH, 2, 2)]
    batch = story.kept(said(OTHER, 4))
    assert ids(batch) == ["KXB-1:4"]
    assert [row[:4] for row in batch.holes] == [(OTHER, EPOCH, 3, 3)]


def test_holes_in_too_many_topics_are_one_in_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(core, "KEEP_QUEUE_MAX", 1)
    monkeypatch.setattr(core, "KEEP_TOPICS_MAX", 3)
    story = Story()
    story.open()
    story.take(*(said(f"trade.KX-{i}", 1, at=AT + i) for i in range(6)))
    story.later()
    assert story.look() is not None
    batch = story.kept(said("trade.KX-5", 2))
    assert (EVERY_TOPIC, EPOCH, 0, 0, AT + 1, AT) in batch.holes


def test_at_the_end_what_waits_is_saved_if_it_can_be() -> None:
    story = Story()
    story.open(MARK)
    story.take(said(TRADES, 1))
    batch = story.saved(story.core.step(story.now, Stopping(AT)))
    assert batch is not None and len(batch.trades) == 1
    assert story.core.step(story.now, Stopping(AT)) == []
    story.take(said(TRADES, 2))
    story.fail(story.core.step(story.now, Stopping(AT)), "locked", closed=False)
    assert story.core.step(story.now, Stopping(AT)) == [], "once is enough"


# A property: whatever is lost, rows and holes together are all that was said


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["say", "lose", "mark", "wait", "fail", "reopen", "restart"]),
            st.sampled_from([TRADES, OTHER]),
        ),
        max_size=60,
    )
)
@settings(max_examples=300, deadline=None)
def test_every_number_is_a_row_or_in_a_hole(deeds: list[tuple[str, str]]) -> None:
    story = Story()
    story.open(MARK)
    numbers = {TRADES: 0, OTHER: 0, "mark": 1}
    disk: list[Batch] = []
    places: dict[str, Place] = {"mark": MARK}

    def put(batch: Batch | None) -> None:
        if batch is not None:
            disk.append(batch)
            places.update({place.topic: place for place in batch.places})

    for deed, topic in deeds:
        match deed:
            case "say" | "lose":
                numbers[topic] += 1
                if deed == "say":
                    put(story.saved(story.take(said(topic, numbers[topic]))))
            case "mark":
                numbers["mark"] += 1
                mark = marked(numbers["mark"], KXA=numbers[TRADES], KXB=numbers[OTHER])
                put(story.saved(story.take(mark)))
            case "wait":
                story.later()
                put(story.look())
            case "fail" | "reopen":
                story.later(KEEP_REOPEN)
                found = [e for e in story.take() if isinstance(e, Save)]
                if not found:
                    continue
                if deed == "reopen":
                    put(found[0].batch)  # it got through, but nobody said so
                story.fail(list(found), "disk I/O error", closed=True)
                story.later(KEEP_REOPEN)
                assert OpenDatabase() in story.take()
                opened = Opened(story.at, tuple(places.values()), EMPTY, False)
                story.core.step(story.now, opened)
            case "restart":
                story = Story()
                story.open(*places.values())
    for topic in (TRADES, OTHER):
        numbers[topic] += 1
        put(story.saved(story.take(said(topic, numbers[topic]))))
    for _ in range(3):
        story.later(KEEP_REOPEN)
        put(story.look())
    for topic in (TRADES, OTHER):
        ticker = topic.partition(".")[2]
        rows = [row[-1] for batch in disk for row in batch.trades if row[0] == ticker]
        holes = [row for batch in disk for row in batch.holes if row[0] == topic]
        missed = [n for row in holes for n in range(int(row[2]), int(row[3]) + 1)]
        assert sorted([*(int(n) for n in rows), *missed]) == list(range(1, numbers[topic] + 1))


# What has to go

ROOM = KEEP_BYTES_MIN - KEEP_LOG_BYTES_MAX - KEEP_SLACK_BYTES
OLD, NEW = AT - DAY_US - 1, AT - DAY_US


@pytest.mark.parametrize(
    "held, wanted",
    [
        (Held(ROOM, {"trades": NEW, "quotes": NEW}), ()),
        (Held(0, {"trades": OLD, "quotes": NEW}), (Prune("trades", NEW, KEEP_PRUNE_ROWS),)),
        (
            Held(ROOM + 1, {"trades": OLD, "holes": OLD}),
            (Prune("trades", NEW, KEEP_PRUNE_ROWS), Prune("holes", NEW, KEEP_PRUNE_ROWS)),
        ),
        (
            Held(ROOM + 1, {"trades": NEW + 2, "quotes": NEW + 1}),
            (Prune("quotes", 2**63 - 1, KEEP_PRUNE_ROWS),),
        ),
        (Held(ROOM + 1, {}), ()),
    ],
)
def test_the_old_goes_and_above_the_bound_the_oldest(held: Held, wanted: tuple[Prune, ...]) -> None:
    assert to_prune(held, AT, 1.0, KEEP_BYTES_MIN) == wanted


def test_deleting_goes_on_in_slices_until_nothing_is_too_old() -> None:
    story = Story()
    story.held = Held(0, {"trades": OLD})
    story.core.step(story.now, Opened(AT, (MARK,), story.held, False))
    for _ in range(3):
        [save] = [e for e in story.take() if isinstance(e, Save)]
        assert save == Save(Batch(), (Prune("trades", story.at - DAY_US, KEEP_PRUNE_ROWS),))
        assert story.saved([save]) == Batch()
        story.later(KEEP_PRUNE_PAUSE)
    story.held = EMPTY
    assert story.look() == Batch()
    story.later(KEEP_LOOK - MS)
    assert story.look() is None
    story.later(MS)
    assert story.look() == Batch(), "it is looked at again from time to time"


def test_a_book_is_nothing_to_keep() -> None:
    story = Story()
    story.open(MARK)
    story.take(Envelope(TRADES, "stream", EPOCH, 1, AT, BookLost("KXA-1", "x")))
    story.later()
    assert story.look() == Batch(places=(Place(TRADES, EPOCH, 1, AT),))


def test_holes_are_columns_in_order() -> None:
    """The row of a hole is the hole itself."""
    assert Hole.__struct_fields__ == ("topic", "epoch", "from_seq", "to_seq", "since", "at")
