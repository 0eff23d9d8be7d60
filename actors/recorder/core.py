"""What is written, when a block or a segment is full, what has to go, and what was not heard.

Nothing is ever silently missing: whatever the listener missed is a line of its own. And a
recording can be played from any segment on: for each market whose book is not known from a
snapshot in it, the stream is asked for its own.
"""

from collections import deque
from typing import Any, Final

from actors.recorder.books import Books
from actors.recorder.segment import Segment
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
from protocol import topics
from protocol.continuity import Continuity
from protocol.envelope import Envelope, Outbox
from protocol.limits import (
    BLOCK_BYTES,
    BLOCK_INTERVAL,
    BLOCKS_MAX,
    HEARTBEAT_INTERVAL,
    MS,
    SECOND,
    US,
)
from protocol.machine import (
    Answered,
    Cause,
    Effect,
    Elapsed,
    Finish,
    Heard,
    Report,
    Started,
    Stopping,
    Tell,
)
from protocol.messages import BookAnswer, FollowerReport, RawFrame
from protocol.recording import (
    BLIND,
    FORMAT,
    Head,
    Hole,
    book_line,
    frame_line,
    head_line,
    hole_line,
)
from protocol.sequence import Verdict

SAY_INTERVAL: Final = 5 * SECOND  # between two lines that say how it goes
STOPPED: Final = 0  # exit code
STORAGE: Final = 1  # exit code: nothing more can be written
BLOCK_OVERHEAD: Final = 1_024  # what gzip adds to lines that can't be compressed, and more


class Recorder:
    """The core. `kept` are the segments that are there already, oldest first; `last_at` is the
    time of the last frame in them, 0 if nobody knows."""

    def __init__(
        self,
        epoch: int,
        bounds: Bounds,
        prefixes: tuple[str, ...],
        kept: list[Kept],
        last_at: int = 0,
    ) -> None:
        self._outbox = Outbox("recorder", epoch)
        self._bounds = bounds
        self._continuity = Continuity((*prefixes, topics.MARK + " "))
        self._kept = deque(kept)
        self._number = kept[-1].number if kept else 0
        self._last_at = last_at
        self._links: dict[str, tuple[int, int]] = {}  # connection, and when its last frame came
        self._books = Books(self._outbox)
        self._segment: Segment | None = None
        self._lines: list[bytes] = []
        self._lines_bytes = 0
        self._flush_at: int | None = None
        self._end_at: int | None = None
        self._report_at = self._say_at = 0
        self._reports = 0
        self._frames = self._written = self._holes = self._gaps = 0
        self._lag = self._lag_said = 0  # microseconds, the worst since it was told
        self._heard = False
        self._ending: int | None = None  # with which exit code

    def step(self, now: int, cause: Cause) -> list[Effect]:
        if self._ending is not None:
            return self._last_things(cause)
        effects: list[Effect] = []
        match cause:
            case Started():
                if self._bounds.seconds:
                    self._end_at = now + int(self._bounds.seconds * SECOND)
                self._report_at, self._say_at = now, now + SAY_INTERVAL
                effects.append(Report(f"recording under {self._bounds.max_bytes} bytes"))
            case Heard(envelope=envelope):
                effects += self._hear(now, cause.at, envelope)
            case Answered(peer="stream", letter=letter) if isinstance(letter.body, BookAnswer):
                if self._books.answered(letter.body, letter.at):
                    effects += self._write(now, cause.at, book_line(letter.body, letter.at))
            case Appended(size=size):
                effects += self._grown(now, cause.at, size)
            case Sealed(kept=kept):
                self._kept.append(kept)
            case StorageFailed(reason=reason):
                self._ending = STORAGE
                failed = Report(f"the recording ends: {reason}", grave=True)
                return [failed, *(self._seal() or [Finish(STORAGE)])]
            case Stopping():
                return self._end(now, cause.at)
            case Elapsed() | Answered():
                pass
            case _:
                raise AssertionError(f"unexpected cause: {cause}")
        if self._end_at is not None and now >= self._end_at:
            return effects + self._end(now, cause.at)
        if self._flush_at is not None and now >= self._flush_at:
            effects += self._flush()
        return effects + self._due(now, cause.at)

    def deadline(self) -> int | None:
        times = (self._flush_at, self._end_at, self._books.deadline())
        return min(self._report_at, self._say_at, *(t for t in times if t is not None))

    # What is heard

    def _hear(self, now: int, at: int, envelope: Envelope) -> list[Effect]:
        if envelope.source != "stream":
            return []
        effects: list[Effect] = []
        self._lag = max(self._lag, at - envelope.at)
        if not self._heard:
            self._heard = True
            effects += self._hole(now, at, Hole("start", self._last_at, envelope.at))
        verdict, missed = self._continuity.hear(now, envelope)
        for m in missed:
            self._gaps += 1
            hole = Hole(m.why, m.since, m.until, m.topic, "", m.missing)
            effects += self._hole(now, at, hole)
        if isinstance(envelope.body, RawFrame) and verdict is not Verdict.DUPLICATE:
            channel = topics.subject(envelope.topic)
            effects += self._frame(now, at, channel, envelope.body)
        return effects

    def _frame(self, now: int, at: int, channel: str, raw: RawFrame) -> list[Effect]:
        effects: list[Effect] = []
        connection, before = self._links.get(raw.link, (raw.connection, 0))
        if connection != raw.connection:
            hole = Hole("connection", before, raw.received_at, "", raw.link)
            effects += self._hole(now, at, hole)
        if raw.received_at < before:
            effects += self._hole(now, at, Hole("clock", raw.received_at, before))
        self._links[raw.link] = (raw.connection, raw.received_at)
        line, body = frame_line(channel, raw)
        effects += self._write(now, at, line, raw.received_at)
        self._frames += 1
        self._books.passed(now, at, raw.link, body)
        return effects

    def _hole(self, now: int, at: int, hole: Hole) -> list[Effect]:
        self._holes += 1
        if hole.topic in BLIND:
            self._books.doubt(now, max(hole.until, at), hole.link)
        effects = self._write(now, at, hole_line(hole), hole=True)
        if hole.why != "start":
            effects.append(Report(f"hole: {said_of(hole)}"))
        return effects

    # What is written

    def _write(
        self, now: int, at: int, line: bytes, frame_at: int = 0, hole: bool = False
    ) -> list[Effect]:
        effects: list[Effect] = []
        if self._lines and self._lines_bytes + len(line) > BLOCK_BYTES:
            effects += self._flush()
        if self._segment is None:
            effects += self._begin(now, at)
        assert self._segment is not None
        self._lines.append(line)
        self._lines_bytes += len(line)
        self._segment.note(frame_at, hole)
        if self._flush_at is None:
            self._flush_at = now + BLOCK_INTERVAL
        return effects

    def _begin(self, now: int, at: int) -> list[Effect]:
        """A new segment; what waits to be written will be in it."""
        self._number += 1
        head = Head(FORMAT, self._outbox.epoch, self._number, at)
        self._segment = Segment(head)
        line = head_line(head)
        self._lines.insert(0, line)
        self._lines_bytes += len(line)
        self._books.doubt(now, at, "")  # a segment must not need the one before it
        return [Begin(head)]

    def _flush(self) -> list[Effect]:
        """Have the block written; first make room for it as it is, however well it shrinks."""
        segment, self._flush_at = self._segment, None
        if segment is None or not self._lines:
            return []
        segment.close_block()
        effects = self._room(segment, self._lines_bytes + BLOCK_OVERHEAD)
        effects.append(Append(self._lines))
        self._lines, self._lines_bytes = [], 0
        return effects

    def _room(self, segment: Segment, more: int) -> list[Effect]:
        effects: list[Effect] = []
        taken = segment.taken + sum(kept.size for kept in self._kept) + more
        while taken > self._bounds.max_bytes and self._kept:
            oldest = self._kept.popleft()
            taken -= oldest.size
            effects.append(Remove(oldest.number))
        return effects

    def _grown(self, now: int, at: int, size: int) -> list[Effect]:
        """A block is there; a full segment is closed, and what waits begins the next one."""
        segment = self._segment
        assert segment is not None
        segment.written(size)
        self._written += size
        if segment.size < self._bounds.segment_bytes and len(segment.blocks) < BLOCKS_MAX:
            return []
        effects = self._seal()
        if self._lines:
            effects += self._begin(now, at)
            assert self._segment is not None
            self._segment.waiting = segment.waiting
        return effects

    def _seal(self) -> list[Effect]:
        if self._segment is None:
            return []
        index, self._segment = self._segment.index(), None
        return [Seal(index)]

    def _end(self, now: int, at: int) -> list[Effect]:
        effects: list[Effect] = []
        for m in self._continuity.ended(now, at):
            effects += self._hole(now, at, Hole(m.why, m.since, m.until))
        self._ending = STOPPED
        effects += self._flush() or self._seal()
        return effects or [self._said_last(), Finish(STOPPED)]

    def _last_things(self, cause: Cause) -> list[Effect]:
        """What is under way is brought to its end: the last block, then the index, then we."""
        assert self._ending is not None
        match cause:
            case Appended(size=size) if self._segment is not None:
                self._segment.written(size)
                self._written += size
                return self._seal()
            case Sealed(kept=kept):
                self._kept.append(kept)
                return [self._said_last(), Finish(self._ending)]
            case StorageFailed(reason=reason):
                told = self._ending == STORAGE  # one error is enough
                failed = Report(f"the end could not be written: {reason}", grave=True)
                return [*([] if told else [failed]), Finish(STORAGE)]
        return []

    def _said_last(self) -> Effect:
        return Report(f"ended: {self._summary()}")

    # What is told

    def _due(self, now: int, at: int) -> list[Effect]:
        effects: list[Effect] = []
        silent = bool(self._continuity.silent(now))
        effects += self._books.due(now, at)
        if now >= self._report_at:
            self._report_at = now + HEARTBEAT_INTERVAL
            effects.append(self._reported(at, silent))
        if now >= self._say_at:
            self._say_at = now + SAY_INTERVAL
            effects.append(Report(self._summary(silent)))
            self._lag_said = 0
        return effects

    def _reported(self, at: int, silent: bool) -> Effect:
        self._reports += 1
        followed = self._continuity.topics
        lost = followed if silent else 0
        body = FollowerReport("recorder", followed, lost, self._gaps, self._lag * US // MS)
        self._lag_said, self._lag = max(self._lag_said, self._lag), 0
        return Tell("supervisor", self._outbox.letter(f"follower:{self._reports}", body, at))

    def _summary(self, silent: bool = False) -> str:
        if not self._heard:
            return "nothing heard of the stream"
        words: list[Any] = [
            f"{self._frames} frames, {self._written} bytes written, "
            f"{len(self._kept) + (self._segment is not None)} segments, {self._holes} holes, "
            f"lag {max(self._lag_said, self._lag) / 1_000:.1f} ms"
        ]
        if self._books.wanted:
            words.append(f"{self._books.wanted} books asked for")
        if silent:
            words.append("the stream is silent")
        return ", ".join(words)


def said_of(hole: Hole) -> str:
    """A hole in words."""
    where = f" on {hole.topic or hole.link}" if hole.topic or hole.link else ""
    count = f", {hole.missing} messages" if hole.missing else ""
    return f"{hole.why}{where}{count}, {max(hole.until - hole.since, 0) / 1_000:.0f} ms"
