"""Those who only listen, and must know what they have missed: a verifier and a recorder.

Both run the production code: `protocol/continuity.py`, as `sidecar tap --verify` uses it, and the
recorder's core. What is simulated is their ear, and the recorder's disk.
"""

import collections
from typing import TYPE_CHECKING

from actors.recorder.core import Recorder
from actors.recorder.wire import Append, Appended, Begin, Bounds, Kept, Remove, Seal, Sealed
from protocol import topics
from protocol.continuity import Continuity
from protocol.envelope import Envelope, Letter
from protocol.limits import MS
from protocol.machine import Answered, Cause, Effect, Elapsed, Heard, Report, Started, Tell
from protocol.messages import Mark, RawFrame
from protocol.recording import Hole, Recorded, read_line
from tests.simulation.readers import Ear

if TYPE_CHECKING:
    from tests.simulation.world import World

RAW = "raw."
WRITES_IN = 2 * MS
SEGMENT_BYTES = 64 * 1024  # small, so that a day has several segments
FOLDER_BYTES = 1 << 40  # nothing has to go
OFF_US = 10_000  # a message is dated when its frame was taken off the socket, not when it is said
LOSSES = ("start", "gap", "tail", "mark", "epoch", "silence")  # holes that say: it was not heard


class Verifier(Ear):
    """Hears all that the stream says, and counts what is missing."""

    def __init__(self, world: "World") -> None:
        self._continuity = Continuity(("",))
        self._counts: collections.Counter[tuple[str, int]] = collections.Counter()
        self._known: dict[tuple[str, int], int] = {}  # the last number, by topic and epoch
        self._first: set[tuple[str, int]] = set()  # topics whose first message was heard
        self._epochs: list[int] = []
        super().__init__(world, "verifier", ("",))

    def hear(self, envelope: Envelope) -> None:
        epoch = envelope.epoch
        if epoch not in self._epochs:
            self._epochs.append(epoch)
        if envelope.seq == 1:
            self._first.add((envelope.topic, epoch))
        self._note(envelope.topic, epoch, envelope.seq)
        if isinstance(envelope.body, Mark):
            for topic, seq in envelope.body.topics.items():
                self._note(topic, epoch, seq)
        _, found = self._continuity.hear(self._world.now, envelope)
        for missed in found:
            topic = topics.MARK if missed.why == "mark" else missed.topic
            self._counts[topic, epoch] += missed.missing

    def _note(self, topic: str, epoch: int, seq: int) -> None:
        self._known[topic, epoch] = max(seq, self._known.get((topic, epoch), 0))

    def tell(self) -> None:
        """Say what is counted. Of topics that were there before it came it knows no more."""
        for (topic, epoch), seq in sorted(self._known.items()):
            if epoch != self._epochs[0] or (topic, epoch) in self._first:
                state = "" if epoch == self._epochs[-1] else "over"
                count = self._counts[topic, epoch]
                self._world.seen(
                    "counted", topic, who=self.name, count=count, seq=seq, epoch=epoch, state=state
                )


class Recording(Ear):
    """Hears raw frames and writes them down; holes are written as such."""

    def __init__(self, world: "World") -> None:
        bounds = Bounds(SEGMENT_BYTES, FOLDER_BYTES)
        self._core = Recorder(1, bounds, (RAW,), [])
        self._size = self._number = 0
        self.lines: list[Recorded] = []
        self.first: dict[tuple[str, int], int] = {}  # the first number heard, by topic and epoch
        self._epoch = 0  # the life in which it came
        super().__init__(world, "recorder", (RAW, topics.MARK))
        world.at(world.now, lambda: self._step(Started(world.wall)))

    def hear(self, envelope: Envelope) -> None:
        self._epoch = self._epoch or envelope.epoch
        self.first.setdefault((envelope.topic, envelope.epoch), envelope.seq)
        self._step(Heard(self._world.wall, envelope))

    def was_there(self, envelope: Envelope) -> bool:
        """Whether it could know of this message: in the life of the stream in which it came, a
        topic begins for it with the first message that it hears."""
        first = self.first.get((envelope.topic, envelope.epoch))
        return envelope.epoch != self._epoch or (first is not None and envelope.seq >= first)

    def told(self, letter: Letter) -> None:
        self._step(Answered(self._world.wall, "stream", letter))

    def look(self) -> None:
        if self._core.deadline() <= self._world.now:
            self._step(Elapsed(self._world.wall))

    def _step(self, cause: Cause) -> None:
        for effect in self._core.step(self._world.now, cause):
            self._perform(effect)

    def _perform(self, effect: Effect) -> None:
        world = self._world
        match effect:
            case Append(lines=lines):
                size = sum(map(len, lines))
                self._size += size
                self.lines += [read_line(line) for line in lines]
                world.at(world.now + WRITES_IN, lambda: self._step(Appended(world.wall, size)))
            case Begin(head=head):
                self._size, self._number = 0, head.number
            case Seal():
                kept = Kept(self._number, self._size)
                world.at(world.now + WRITES_IN, lambda: self._step(Sealed(world.wall, kept)))
            case Tell(peer=peer, letter=letter):
                world.bus.send(self.name, (self.name.encode(), b"1"), peer, letter)
            case Report() | Remove():
                pass
            case _:
                raise AssertionError(effect)


def check_recorded(said: list[Envelope], lines: list[Recorded], until: int) -> None:
    """Each raw frame that was said is in the recording, or in a hole of it. And nothing else is.

    What was said after `until` may still be on its way.
    """
    written = collections.Counter((e.at, e.link, bytes(e.frame) or e.base64) for e in lines)
    holes: list[Hole] = [line.hole for line in lines if line.hole and line.hole.why in LOSSES]
    for envelope in said:
        raw = envelope.body
        if not isinstance(raw, RawFrame):
            continue
        key = raw.received_at, raw.link, raw.frame
        if written[key]:
            written[key] -= 1
            continue
        known = any(h.since - OFF_US <= envelope.at <= h.until + OFF_US for h in holes)
        text = f"{envelope.topic} {envelope.seq} is missing in the recording, which does not say so"
        assert known or envelope.at > until, text
    more = [key for key, count in written.items() if count and key[1]]
    assert not more, f"recorded, and never said: {more[0]}"
