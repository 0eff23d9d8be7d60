"""Decides what is kept of trades and quotes, and says what was not: no loss is silent.

Each topic is followed by its numbers. What is missed (a gap, a life of the stream that ended, a
queue of ours that was full) is a hole on record, in the order of the topic, in the same
transaction as the rows around it. How far each topic was followed is on record, too: after a
restart, however it came, the next message shows what was missed meanwhile.
"""

import collections
import itertools

from actors.writer.market.batch import batch, on_record, quote_values, trade_values
from actors.writer.market.retention import to_prune
from actors.writer.market.wire import (
    EVERY_TOPIC,
    Forgotten,
    Held,
    Hole,
    Item,
    NotSaved,
    OpenDatabase,
    Opened,
    Prune,
    Row,
    Save,
    Saved,
    Seen,
    Standing,
    Taken,
)
from protocol import topics
from protocol.envelope import Envelope
from protocol.limits import (
    KEEP_BATCH_ROWS,
    KEEP_BATCH_WAIT,
    KEEP_LOOK,
    KEEP_PRUNE_PAUSE,
    KEEP_QUEUE_MAX,
    KEEP_REOPEN,
    KEEP_REPORT,
    KEEP_RETRY,
    KEEP_TOPICS_MAX,
)
from protocol.machine import Cause, Effect, Started, Stopping
from protocol.messages import Mark, Quote, Trade

NOTHING_HELD = Held(0, {})


class Keeper:
    """The core. Nothing is heard before the database was open once: it says where to go on."""

    def __init__(self, days: float, keep_bytes: int) -> None:
        self._days = days
        self._bytes = keep_bytes
        self._epoch = 0
        self._places: dict[str, tuple[int, int]] = {}  # seq, when it was said; last heard last
        self._said_at = 0  # the last message of all
        self._marked = (0, 0)  # the last mark that is on record
        self._queue: collections.deque[Item] = collections.deque()
        self._missed: dict[tuple[str, int], Hole] = {}  # while the queue is full
        self._saving = 0  # items of the queue that are in the batch under way
        self._held = NOTHING_HELD
        self._open = self._began = False
        self._open_at = self._report_at = 0
        self._save_at: int | None = None  # when what waits has waited long enough
        self._look_at = self._not_before = 0
        self._stored_epoch = 0
        self._kept = self._holes = self._lag_ms = 0
        self._trouble = ""

    def step(self, now: int, cause: Cause) -> list[Effect]:
        match cause:
            case Started():
                pass
            case Taken(envelopes=envelopes):
                if self._began:
                    for envelope in envelopes:
                        self._hear(cause.at, envelope)
            case Opened():
                self._opened(now, cause)
                return []
            case Saved(held=held):
                self._saved(now, cause.at, held)
                return []
            case NotSaved(reason=reason, closed=closed):
                self._failed(now, reason, closed)
                return []
            case Stopping():
                return [self._save(cause.at)] if self._sound and self._queue else []
            case _:
                raise AssertionError(f"unexpected cause: {cause}")
        return self._due(now, cause.at)

    def deadline(self) -> int:
        if not self._open:
            return min(self._open_at, self._report_at)
        return min(self._report_at, self._save_due())

    @property
    def _sound(self) -> bool:
        return self._open and not self._trouble

    # What was heard

    def _hear(self, at: int, envelope: Envelope) -> None:
        if envelope.source != "stream" or not self._admit(at, envelope):
            return
        body, where = envelope.body, (envelope.topic, envelope.epoch, envelope.seq, envelope.at)
        match body:
            case Trade():
                self._keep(at, Row("trades", *where, trade_values(envelope, body)))
            case Quote():
                self._keep(at, Row("quotes", *where, quote_values(envelope, body)))
            case Mark():
                self._see(Seen(*where))
                for topic, seq in body.topics.items():
                    if topic.startswith(("trade.", "ticker.")):
                        self._look(at, envelope, topic, seq)
            case _:
                self._see(Seen(*where))

    def _admit(self, at: int, envelope: Envelope) -> bool:
        """Judge a message by its number, and note what is missing before it."""
        epoch, topic, seq = envelope.epoch, envelope.topic, envelope.seq
        if epoch < self._epoch:
            return False  # a straggler from before a restart of the stream
        if epoch > self._epoch:
            self._begin_epoch(at, epoch)
        last, since = self._places.get(topic, (0, 0))
        if seq <= last:
            return False
        if seq > last + 1:
            self._miss(Hole(topic, epoch, last + 1, seq - 1, since, at))
        self._place(topic, seq, envelope.at)
        return True

    def _look(self, at: int, mark: Envelope, topic: str, seq: int) -> None:
        """A mark says how far a topic has come: a last message that was lost is noticed, too."""
        last, since = self._places.get(topic, (0, 0))
        if seq > last:
            self._miss(Hole(topic, mark.epoch, last + 1, seq, since, at))
            self._place(topic, seq, mark.at)

    def _begin_epoch(self, at: int, epoch: int) -> None:
        """Another life of the stream: what its former one said last, nobody can count."""
        if self._epoch:
            self._miss(Hole(EVERY_TOPIC, epoch, 0, 0, self._said_at, at))
        self._epoch = epoch
        self._places.clear()

    def _place(self, topic: str, seq: int, said_at: int) -> None:
        self._places.pop(topic, None)
        self._places[topic] = (seq, said_at)
        self._said_at = max(self._said_at, said_at)
        if len(self._places) > KEEP_TOPICS_MAX:
            oldest = next(iter(self._places))
            del self._places[oldest]
            self._see(Forgotten(oldest))

    def _see(self, item: Seen | Forgotten) -> None:
        """Without room it is left out: on record the topic is less far, which is as safe."""
        if len(self._queue) < KEEP_QUEUE_MAX:
            self._queue.append(item)

    def _keep(self, at: int, row: Row) -> None:
        if self._missed and len(self._queue) < KEEP_QUEUE_MAX:
            self._note_missed()
        if len(self._queue) >= KEEP_QUEUE_MAX:
            since = row.said_at
            self._miss(Hole(row.topic, row.epoch, row.seq, row.seq, since, at))
            return
        self._queue.append(row)

    def _miss(self, hole: Hole) -> None:
        """Note a hole, behind what waits already; while the queue is full, as one per topic."""
        if len(self._queue) < KEEP_QUEUE_MAX:
            self._note_missed()
            self._note(hole)
            return
        key = (hole.topic, hole.epoch)
        known = self._missed.get(key)
        if known is not None:
            hole = Hole(*key, known.from_seq, hole.to_seq, known.since, hole.at)
        elif len(self._missed) >= KEEP_TOPICS_MAX:  # too many to name: all of them
            since = min(one.since for one in self._missed.values())
            self._missed.clear()
            key = (EVERY_TOPIC, hole.epoch)
            hole = Hole(*key, 0, 0, since, hole.at)
        self._missed[key] = hole

    def _note_missed(self) -> None:
        missed, self._missed = self._missed, {}
        for hole in missed.values():
            self._note(hole)

    def _note(self, hole: Hole) -> None:
        self._queue.append(hole)
        self._holes += 1

    # What becomes of it

    def _due(self, now: int, at: int) -> list[Effect]:
        if self._queue and self._save_at is None:
            self._save_at = now + KEEP_BATCH_WAIT
        effects: list[Effect] = []
        if not self._open and now >= self._open_at:
            effects.append(OpenDatabase())
        elif self._open and now >= self._save_due():
            effects.append(self._save(at))
        if now >= self._report_at:
            self._report_at = now + KEEP_REPORT
            lag_ms = max(self._lag_ms, self._waiting_ms(at))
            effects.append(Standing(self._kept, self._holes, lag_ms, self._trouble))
        return effects

    def _waiting_ms(self, at: int) -> int:
        """How long ago what waits first was said: this grows while nothing can be written."""
        if not self._queue or not isinstance(self._queue[0], Row):
            return 0
        return max(at - self._queue[0].said_at, 0) // 1_000

    def _save_due(self) -> int:
        due = self._look_at
        if len(self._queue) >= KEEP_BATCH_ROWS:
            due = 0
        elif self._save_at is not None:
            due = min(due, self._save_at)
        return max(due, self._not_before)

    def _save(self, at: int) -> Save:
        items = list(itertools.islice(self._queue, KEEP_BATCH_ROWS))
        self._saving = len(items)
        return Save(batch(items, self._stored_epoch), self._prunes(at))

    def _prunes(self, at: int) -> tuple[Prune, ...]:
        return to_prune(self._held, at, self._days, self._bytes)

    def _saved(self, now: int, at: int, held: Held) -> None:
        rows: list[int] = []
        for _ in range(self._saving):
            match self._queue.popleft():
                case Row(epoch=epoch, said_at=said_at):
                    rows.append(said_at)
                    self._stored_epoch = max(self._stored_epoch, epoch)
                case Seen(topic=topic, epoch=epoch, seq=seq):
                    if topic == topics.MARK:
                        self._marked = (epoch, seq)
                    self._stored_epoch = max(self._stored_epoch, epoch)
                case Hole(epoch=epoch):
                    self._stored_epoch = max(self._stored_epoch, epoch)
        self._saving = 0
        self._kept += len(rows)
        if rows:
            self._lag_ms = max(at - min(rows), 0) // 1_000
        self._held, self._trouble = held, ""
        self._save_at = now if self._queue else None
        self._look_at = now + (KEEP_PRUNE_PAUSE if self._prunes(at) else KEEP_LOOK)

    def _failed(self, now: int, reason: str, closed: bool) -> None:
        self._trouble, self._saving = reason, 0
        self._not_before = now + KEEP_RETRY
        if closed:
            self._open, self._open_at = False, now + KEEP_REOPEN

    def _opened(self, now: int, found: Opened) -> None:
        """Go on from what is on record, which after a commit without an answer is all we know."""
        self._open, self._held, self._trouble = True, found.held, ""
        self._look_at = self._not_before = now
        stored = {place.topic: place for place in found.places}
        self._stored_epoch = max((place.epoch for place in found.places), default=0)
        if not self._began:
            self._began, self._epoch = True, self._stored_epoch
            self._said_at = max((place.said_at for place in found.places), default=0)
            self._places = {
                place.topic: (place.seq, place.said_at)
                for place in sorted(found.places, key=lambda place: place.said_at)
                if place.epoch == self._epoch
            }
        self._queue = collections.deque(i for i in self._queue if not on_record(i, stored))
        mark = stored.get(topics.MARK)
        if found.fresh or ((mark.epoch, mark.seq) if mark else (0, 0)) < self._marked:
            self._holes += 1  # not the file we wrote to: what was before is not in it
            self._queue.appendleft(Hole(EVERY_TOPIC, self._epoch, 0, 0, 0, found.at))
