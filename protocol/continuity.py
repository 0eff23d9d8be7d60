"""Whether a listener has missed anything: by the numbers of each topic, and by the marks.

Every topic is numbered by whoever speaks, and once a second his mark says the last number of each
topic that has changed; so the loss of a last message is noticed, too. What was said before the
listener came is not missed. A topic is unknown until its first message or its first mark; after a
new epoch it is not: that begins at 1, and we were there.
"""

from collections.abc import Sequence
from typing import Final, Literal

from msgspec import Struct

from protocol import topics
from protocol.envelope import Envelope
from protocol.limits import (
    MARK_INTERVAL,
    MARK_SILENCE_MAX,
    TOPICS_WATCHED_MAX,
    US,
)
from protocol.messages import Mark
from protocol.sequence import Cursor, Verdict

Why = Literal["gap", "tail", "mark", "epoch", "silence"]

ATTACHED_WITHIN_US: Final = 3 * MARK_INTERVAL // (2 * US)  # then every mark covers our own time


class Missed(Struct, frozen=True):
    """Something was not heard, between two moments (of saying, microseconds).

    `gap`: the numbers of a topic jump. `tail`: the mark knows of more. `mark`: a mark itself is
    missing, so any topic may have lost its last messages. `epoch`: the speaker began a new life;
    what he said last in the former one is not known. `silence`: no mark for MARK_SILENCE_MAX.
    """

    why: Why
    source: str
    topic: str  # "": any
    missing: int  # messages, at least; 0 where nobody can know
    since: int
    until: int


class _Speaker:
    """What is known of one who publishes, in one life of his."""

    __slots__ = ("attached_at", "epoch", "mark_at", "marked_at", "marks", "seqs", "strict")

    def __init__(self, now: int, envelope: Envelope, strict: bool) -> None:
        self.epoch = envelope.epoch
        self.strict = strict  # we were there when this life began
        self.attached_at = envelope.at
        self.marks = Cursor(envelope.epoch, 0)
        self.marked_at = now  # monotonic
        self.mark_at = envelope.at
        self.seqs: dict[str, tuple[int, int]] = {}  # by topic: the last number, when it was said


class Continuity:
    """Follows everything under some prefixes, of any number of speakers."""

    def __init__(self, prefixes: Sequence[str]) -> None:
        self._prefixes = tuple(prefixes)
        self._speakers: dict[str, _Speaker] = {}
        self.duplicates = 0
        self.missing = 0  # messages that were certainly not heard
        self.unwatched = 0  # messages of topics beyond TOPICS_WATCHED_MAX

    @property
    def topics(self) -> int:
        """How many topics have been heard of, in this life of their speakers."""
        return sum(len(speaker.seqs) for speaker in self._speakers.values())

    def hear(self, now: int, envelope: Envelope) -> tuple[Verdict, list[Missed]]:
        """Take one message: how its number follows, and what is seen to be missing by it."""
        speaker = self._speakers.get(envelope.source)
        found: list[Missed] = []
        if speaker is None:
            speaker = self._speakers[envelope.source] = _Speaker(now, envelope, False)
        elif envelope.epoch != speaker.epoch:
            if envelope.epoch < speaker.epoch:
                self.duplicates += 1
                return Verdict.DUPLICATE, found
            found.append(_missed("epoch", envelope, "", 0, speaker.mark_at))
            speaker = self._speakers[envelope.source] = _Speaker(now, envelope, True)
        if envelope.topic == topics.MARK and isinstance(envelope.body, Mark):
            verdict = self._marked(now, speaker, envelope, envelope.body, found)
        else:
            verdict = self._said(speaker, envelope, found)
        return verdict, found

    def silent(self, now: int) -> list[str]:
        """Who has not said his mark for longer than MARK_SILENCE_MAX."""
        return [
            source
            for source, speaker in self._speakers.items()
            if now - speaker.marked_at > MARK_SILENCE_MAX
        ]

    def ended(self, now: int, at: int) -> list[Missed]:
        """Nobody listens any more: the silences that have not ended."""
        return [
            Missed("silence", source, "", 0, self._speakers[source].mark_at, at)
            for source in self.silent(now)
        ]

    def _said(self, speaker: _Speaker, envelope: Envelope, found: list[Missed]) -> Verdict:
        topic, seq = envelope.topic, envelope.seq
        known = speaker.seqs.get(topic)
        if known is None:
            if len(speaker.seqs) >= TOPICS_WATCHED_MAX:
                self.unwatched += 1
                return Verdict.NEXT
            known = (0 if speaker.strict else seq - 1, speaker.attached_at)
        last, since = known
        if seq <= last:
            self.duplicates += 1
            return Verdict.DUPLICATE
        speaker.seqs[topic] = (seq, envelope.at)
        if seq == last + 1:
            return Verdict.NEXT
        self.missing += seq - last - 1
        found.append(_missed("gap", envelope, topic, seq - last - 1, since))
        return Verdict.GAP

    def _marked(
        self, now: int, speaker: _Speaker, envelope: Envelope, mark: Mark, found: list[Missed]
    ) -> Verdict:
        if not speaker.marks.seq and not speaker.strict:
            speaker.marks.seq = envelope.seq - 1
        before = speaker.marks.seq
        verdict = speaker.marks.admit(envelope.epoch, envelope.seq)
        if verdict is Verdict.DUPLICATE:
            self.duplicates += 1
            return verdict
        if now - speaker.marked_at > MARK_SILENCE_MAX:
            found.append(_missed("silence", envelope, "", 0, speaker.mark_at))
        if verdict is Verdict.GAP:
            lost = envelope.seq - before - 1
            self.missing += lost
            found.append(_missed("mark", envelope, "", lost, speaker.mark_at))
        for topic, seq in mark.topics.items():
            if (topic + " ").startswith(self._prefixes):
                self._last(speaker, envelope, topic, seq, found)
        speaker.marked_at, speaker.mark_at = now, envelope.at
        return verdict

    def _last(
        self, speaker: _Speaker, envelope: Envelope, topic: str, seq: int, found: list[Missed]
    ) -> None:
        """The mark says which number a topic has come to."""
        last, since = speaker.seqs.get(topic, (0, speaker.attached_at))
        if seq <= last:
            return
        if topic not in speaker.seqs:
            if len(speaker.seqs) >= TOPICS_WATCHED_MAX:
                self.unwatched += 1
                return
            if not speaker.strict:  # a mark names only what has changed since the one before
                ours = envelope.at - speaker.attached_at >= ATTACHED_WITHIN_US
                last = seq - 1 if ours else seq
        speaker.seqs[topic] = (seq, envelope.at)
        if seq > last:
            self.missing += seq - last
            found.append(_missed("tail", envelope, topic, seq - last, since))


def _missed(why: Why, envelope: Envelope, topic: str, missing: int, since: int) -> Missed:
    return Missed(why, envelope.source, topic, missing, min(since, envelope.at), envelope.at)
