"""A listener knows what it has missed."""

from protocol.continuity import Continuity, Missed
from protocol.envelope import Envelope, Outbox
from protocol.limits import MARK_SILENCE_MAX, SECOND
from protocol.messages import BookLost
from protocol.sequence import Verdict

AT = 1_795_486_295_000_000


class Story:
    """A speaker that says everything, and a listener that hears some of it."""

    def __init__(self, *prefixes: str) -> None:
        self.listener = Continuity(prefixes or ("book.", "mark "))
        self.outbox = Outbox("stream", 7)
        self.seconds = 0

    def says(self, topic: str, heard: bool = True) -> list[Missed]:
        return self._heard(self.outbox.seal(topic, BookLost("KXA-1", "why"), self.at), heard)

    def marks(self, heard: bool = True) -> list[Missed]:
        """A second goes by; the mark is due."""
        self.seconds += 1
        found = []
        for envelope in self.outbox.marks(self.seconds * SECOND, self.at):
            found += self._heard(envelope, heard)
        return found

    @property
    def at(self) -> int:
        return AT + self.seconds * 1_000_000

    def _heard(self, envelope: Envelope, heard: bool) -> list[Missed]:
        if not heard:
            return []
        return self.listener.hear(self.seconds * SECOND, envelope)[1]


def test_what_comes_in_order_is_not_missed_and_what_was_said_before_neither() -> None:
    story = Story()
    story.says("book.KXA-1", heard=False)
    story.marks(heard=False)
    story.says("book.KXA-2", heard=False)
    for _ in range(5):
        assert story.says("book.KXA-1") == []
        assert story.marks() == []
    assert story.listener.missing == 0
    assert story.listener.topics == 2


def test_a_jump_in_a_topics_numbers_is_a_gap() -> None:
    story = Story()
    story.says("book.KXA-1")
    story.marks()
    story.says("book.KXA-1", heard=False)
    story.says("book.KXA-1", heard=False)
    story.says("book.KXA-2")
    (missed,) = story.says("book.KXA-1")
    assert missed == Missed("gap", "stream", "book.KXA-1", 2, AT, AT + 1_000_000)
    assert story.listener.missing == 2


def test_the_mark_tells_of_a_last_message() -> None:
    story = Story()
    story.says("book.KXA-1")
    story.marks()
    story.says("book.KXA-1", heard=False)
    (missed,) = story.marks()
    assert (missed.why, missed.topic, missed.missing) == ("tail", "book.KXA-1", 1)
    assert story.marks() == []
    assert story.says("book.KXA-1") == [], "it is told once"


def test_a_topic_of_which_nothing_was_ever_heard_is_missed_by_the_mark() -> None:
    story = Story()
    story.marks()
    story.marks()
    story.says("book.KXA-9", heard=False)
    (missed,) = story.marks()
    assert (missed.why, missed.topic, missed.missing) == ("tail", "book.KXA-9", 1)


def test_other_topics_than_those_followed_are_nobodys_loss() -> None:
    story = Story("book.KXA-1 ")
    story.marks()
    story.marks()
    story.says("book.KXA-10", heard=False)
    story.says("trade.KXA-1", heard=False)
    assert story.marks() == []
    story.says("book.KXA-1", heard=False)
    assert len(story.marks()) == 1


def test_a_missing_mark_may_hide_anything() -> None:
    story = Story()
    story.marks()
    story.marks(heard=False)
    (missed,) = story.marks()
    assert (missed.why, missed.topic, missed.missing) == ("mark", "", 1)


def test_silence_is_told_when_it_ends_or_when_the_listener_does() -> None:
    story = Story()
    story.marks()
    since = story.at
    for _ in range(MARK_SILENCE_MAX // SECOND + 1):
        story.marks(heard=False)
    now = story.seconds * SECOND
    assert story.listener.silent(now) == ["stream"]
    assert story.listener.ended(now, story.at) == [
        Missed("silence", "stream", "", 0, since, story.at)
    ]
    assert [missed.why for missed in story.marks()] == ["silence", "mark"]
    assert story.listener.silent(story.seconds * SECOND) == []


def test_a_new_life_is_told_and_begins_at_one() -> None:
    story = Story()
    story.says("book.KXA-1")
    story.marks()
    old = story.outbox.seal("book.KXA-1", BookLost("KXA-1", "late"), story.at)
    story.outbox = Outbox("stream", 8)
    story.says("book.KXA-1", heard=False)
    assert [m.why for m in story.says("book.KXA-2")] == ["epoch"]
    (missed,) = story.says("book.KXA-1")
    assert (missed.why, missed.missing) == ("gap", 1)
    verdict, found = story.listener.hear(0, old)
    assert (verdict, found) == (Verdict.DUPLICATE, []), "a straggler of the former life"


def test_what_comes_twice_is_a_duplicate() -> None:
    story = Story()
    envelope = story.outbox.seal("book.KXA-1", BookLost("KXA-1", "why"), AT)
    assert story.listener.hear(0, envelope) == (Verdict.NEXT, [])
    assert story.listener.hear(0, envelope) == (Verdict.DUPLICATE, [])
    assert story.listener.duplicates == 1
