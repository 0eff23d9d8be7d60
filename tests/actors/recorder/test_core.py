"""What the recorder decides, told what happens."""

from actors.recorder.core import Recorder
from actors.recorder.wire import (
    Append,
    Appended,
    Begin,
    Bounds,
    Kept,
    Remove,
    Seal,
    Sealed,
    StorageFailed,
)
from protocol.envelope import Envelope, Letter, Outbox
from protocol.limits import (
    BLOCK_BYTES,
    BLOCK_INTERVAL,
    MS,
    SECOND,
    SEGMENT_BYTES_MIN,
    SNAPSHOT_RETRY,
)
from protocol.machine import (
    Answered,
    Effect,
    Elapsed,
    Finish,
    Heard,
    Report,
    Started,
    Stopping,
    Tell,
)
from protocol.messages import BookAnswer, BookRequest, FollowerReport, RawFrame
from protocol.recording import Recorded, read_line

from .scene import Day

AT = 1_795_486_295_000_000
SMALL = SEGMENT_BYTES_MIN


class Story:
    """A recorder, its stream, and a disk on which a block takes a tenth of its lines."""

    def __init__(self, max_bytes: int = 100 * SMALL, kept: list[Kept] | None = None) -> None:
        self.core = Recorder(9, Bounds(SMALL, max_bytes), ("raw.",), kept or [], AT - 5)
        self.outbox = Outbox("stream", 7)
        self.day = Day(1, ("KXA-1", "KXA-2"))
        self.now = 0
        self.effects: list[Effect] = []
        self.lines: list[Recorded] = []
        self.broken = False
        self.feed(Started(AT))

    @property
    def at(self) -> int:
        return AT + self.now // 1_000

    def feed(self, *causes: object) -> None:
        """As the shell would: what the disk says comes after the step that led to it."""
        waiting = list(causes)
        while waiting:
            for effect in self.core.step(self.now, waiting.pop(0)):  # type: ignore[arg-type]
                self.effects.append(effect)
                if isinstance(effect, Append) and self.broken:
                    waiting.append(StorageFailed(self.at, "No space left on device"))
                elif isinstance(effect, Append):
                    self.lines += [read_line(line) for line in effect.lines]
                    waiting.append(Appended(self.at, sum(map(len, effect.lines)) // 10))
                elif isinstance(effect, Seal):
                    kept = Kept(effect.index.head.number, effect.index.size + 1_000)
                    waiting.append(Sealed(self.at, kept))

    def hears(self, envelope: Envelope) -> None:
        self.feed(Heard(self.at, envelope))

    def raw(self, frame: bytes, heard: bool = True, connection: int = 1) -> None:
        self.now += MS
        body = RawFrame("market1", connection, self.at, frame)
        envelope = self.outbox.seal("raw.orderbook_delta", body, self.at)
        if heard:
            self.hears(envelope)

    def passes(self, time: int) -> None:
        """Time goes by, and the marks with it."""
        until = self.now + time
        while (alarm := self.core.deadline()) is not None and alarm <= until:
            self.now = max(self.now, alarm)
            for envelope in self.outbox.marks(self.now, self.at):
                self.hears(envelope)
            self.feed(Elapsed(self.at))
        self.now = until

    def did(self, kind: type[Effect]) -> list[Effect]:
        """What was done of one kind since this was asked last."""
        found = [effect for effect in self.effects if type(effect) is kind]
        self.effects = [effect for effect in self.effects if type(effect) is not kind]
        return found

    def asked(self) -> list[str]:
        found = [e.letter.body for e in self.did(Tell) if isinstance(e, Tell)]
        return [body.ticker for body in found if isinstance(body, BookRequest)]

    def answers(self, ticker: str, state: str, at: int, received_at: int = AT) -> None:
        answer = BookAnswer(ticker, state, 7, 1, received_at=received_at)  # type: ignore[arg-type]
        self.feed(Answered(self.at, "stream", Letter("stream", 7, "1", at, answer)))


def test_a_block_is_written_when_a_second_has_passed_or_it_is_full() -> None:
    story = Story()
    story.raw(story.day.snapshot("KXA-1"))
    assert story.did(Append) == []
    story.passes(BLOCK_INTERVAL)
    assert len(story.did(Append)) == 1
    assert [bool(line.segment) for line in story.lines] == [True, False, False]
    assert story.lines[1].hole is not None
    assert (story.lines[1].hole.why, story.lines[1].hole.since) == ("start", AT - 5)
    before = story.now
    while not (blocks := story.did(Append)):
        story.raw(story.day.delta(), connection=1)
        assert story.now - before < BLOCK_INTERVAL * 2
    assert all(isinstance(b, Append) and sum(map(len, b.lines)) <= BLOCK_BYTES for b in blocks)


def test_a_full_segment_is_sealed_and_the_oldest_goes_to_make_room() -> None:
    story = Story(max_bytes=2 * SMALL + BLOCK_BYTES, kept=[Kept(4, 70_000), Kept(5, 70_000)])
    removed: list[int] = []
    while len(removed) < 3:
        story.raw(story.day.delta())
        removed += [e.number for e in story.did(Remove) if isinstance(e, Remove)]
    assert removed == [4, 5, 6]
    begun = [e.head.number for e in story.did(Begin) if isinstance(e, Begin)]
    assert begun[:2] == [6, 7]
    (first, *_) = story.did(Seal)
    assert isinstance(first, Seal)
    assert first.index.size >= SMALL
    assert first.index.size == sum(block.size for block in first.index.blocks)
    assert first.index.frames == sum(block.frames for block in first.index.blocks)


def test_books_without_a_base_are_asked_for_until_one_fits() -> None:
    story = Story()
    story.raw(story.day.delta("KXA-1"))
    story.raw(story.day.snapshot("KXA-2"))
    story.raw(story.day.delta("KXA-2"))
    wanted = story.at
    story.passes(SNAPSHOT_RETRY)
    assert set(story.asked()) == {"KXA-1"}
    story.answers("KXA-1", "lost", story.at)
    story.answers("KXA-1", "live", wanted - 10_000)
    story.answers("KXA-1", "live", story.at, received_at=story.at + 1)
    story.passes(SNAPSHOT_RETRY)
    assert story.asked(), "none of these can be taken"
    story.answers("KXA-1", "live", story.at)
    story.passes(SECOND)
    assert story.asked() == []
    assert [line.book.ticker for line in story.lines if line.book] == ["KXA-1"]


def test_after_a_hole_and_in_a_new_segment_all_books_are_asked_for() -> None:
    story = Story()
    for ticker in ("KXA-1", "KXA-2"):
        story.raw(story.day.snapshot(ticker))
    story.passes(SECOND)
    assert story.asked() == []
    story.raw(story.day.delta(), heard=False)
    story.raw(story.day.delta())
    story.passes(SNAPSHOT_RETRY)
    assert set(story.asked()) == {"KXA-1", "KXA-2"}
    story.answers("KXA-1", "live", story.at)
    story.answers("KXA-2", "not followed", story.at)
    story.passes(SECOND)
    assert story.asked() == []
    story.raw(b"{}", connection=2)
    story.passes(SNAPSHOT_RETRY)
    assert set(story.asked()) == {"KXA-1"}


def test_it_reports_each_second() -> None:
    story = Story()
    story.passes(3 * SECOND)
    bodies = [e.letter.body for e in story.did(Tell) if isinstance(e, Tell)]
    assert sum(isinstance(body, FollowerReport) for body in bodies) == 4


def test_asked_to_stop_it_writes_seals_and_then_ends() -> None:
    story = Story()
    story.raw(story.day.snapshot("KXA-1"))
    story.feed(Stopping(story.at))
    kinds = [type(e) for e in story.effects if isinstance(e, Append | Seal | Finish)]
    assert kinds == [Append, Seal, Finish]
    assert story.effects[-1] == Finish(0)
    assert Story().core.step(0, Stopping(AT))[-1] == Finish(0), "with nothing to write"


def test_a_disk_that_fails_is_one_error_and_the_end() -> None:
    story = Story()
    story.raw(story.day.snapshot("KXA-1"))
    story.broken = True
    story.passes(BLOCK_INTERVAL)
    grave = [e.text for e in story.did(Report) if isinstance(e, Report) and e.grave]
    assert grave == ["the recording ends: No space left on device"]
    assert story.effects[-1] == Finish(1)
