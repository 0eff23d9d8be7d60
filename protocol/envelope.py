"""How messages travel: envelopes are published, letters are told and answered.

A published message is one frame: topic, space, JSON. A letter is one frame of JSON too; between
DEALER and ROUTER it may stand behind an empty delimiter, as a REQ socket sends it.
"""

import msgspec
from msgspec import Struct

from protocol import topics
from protocol.errors import RemoteProtocolError
from protocol.limits import MARK_INTERVAL, MARK_TOPICS_MAX
from protocol.messages import AnyMessage, Mark
from protocol.messages.message import Exact
from protocol.twice import said_twice
from protocol.units import decode_unit, encode_unit


class Envelope(Struct, frozen=True, gc=False):
    """A published message, who said it, and its place in that speaker's topic."""

    topic: str
    source: str
    epoch: int
    seq: int  # from 1, per topic and epoch
    at: int  # microseconds, when it was said
    body: AnyMessage


class Letter(Struct, frozen=True, gc=False):
    """A message to one process, or the answer to one: `id` ties the two together."""

    source: str
    epoch: int
    id: str
    at: int
    body: AnyMessage


class _Stamped(Struct, frozen=True, gc=False):
    source: str
    epoch: int
    seq: int
    at: int
    body: AnyMessage


_encode = msgspec.json.Encoder(enc_hook=encode_unit).encode
_decode_stamped = msgspec.json.Decoder(_Stamped, dec_hook=decode_unit).decode
_decode_letter = msgspec.json.Decoder(Letter, dec_hook=decode_unit).decode


def encode(envelope: Envelope) -> bytes:
    """The frame to publish."""
    stamped = _Stamped(envelope.source, envelope.epoch, envelope.seq, envelope.at, envelope.body)
    return b"%b %b" % (envelope.topic.encode(), _encode(stamped))


def decode(frame: bytes) -> Envelope:
    """Raises RemoteProtocolError, and never anything else, on a bad frame."""
    topic, space, text = frame.partition(b" ")
    if not space:
        raise RemoteProtocolError("a published frame has no space behind its topic")
    try:
        stamped = _decode_stamped(text)
        return Envelope(
            topic.decode("ascii"),
            stamped.source,
            stamped.epoch,
            stamped.seq,
            stamped.at,
            stamped.body,
        )
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as e:
        raise RemoteProtocolError(f"topic {topic[:80]!r}: {e}") from e


def encode_letter(letter: Letter) -> bytes:
    return _encode(letter)


def decode_letter(frame: bytes) -> Letter:
    """Raises RemoteProtocolError, and never anything else, on a bad letter."""
    try:
        letter = _decode_letter(frame)
        twice = said_twice(frame) if isinstance(letter.body, Exact) else ""
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as e:
        raise RemoteProtocolError(f"letter: {e}") from e
    if twice:
        raise RemoteProtocolError(f"letter: `{twice[:50]}` is said twice")
    return letter


class Outbox:
    """Numbers what one process says in one life, and marks it once a second.

    Sequences run per topic, not per process: a subscriber that filters by topic would otherwise
    see a gap at every message that it did not ask for.
    """

    def __init__(self, source: str, epoch: int) -> None:
        self.source = source
        self.epoch = epoch
        self._seqs: dict[str, int] = {}
        self._unmarked: dict[str, None] = {}
        self._mark_at = 0

    def seal(self, topic: str, body: AnyMessage, at: int) -> Envelope:
        seq = self._seqs.get(topic, 0) + 1
        self._seqs[topic] = seq
        self._unmarked[topic] = None
        return Envelope(topic, self.source, self.epoch, seq, at, body)

    def letter(self, id: str, body: AnyMessage, at: int) -> Letter:
        return Letter(self.source, self.epoch, id, at, body)

    def seq(self, topic: str) -> int:
        """The last number said on a topic, 0 before the first."""
        return self._seqs.get(topic, 0)

    def marks(self, now: int, at: int, head: int = 0) -> list[Envelope]:
        """The marks that are due: none between two intervals, at least one at each."""
        if now < self._mark_at:
            return []
        self._mark_at = now + MARK_INTERVAL
        changed = [topic for topic in self._unmarked if topic != topics.MARK]
        self._unmarked.clear()
        pieces = [
            changed[i : i + MARK_TOPICS_MAX]
            for i in range(0, max(len(changed), 1), MARK_TOPICS_MAX)
        ]
        return [
            self.seal(topics.MARK, Mark({t: self._seqs[t] for t in piece}, head), at)
            for piece in pieces
        ]

    def deadline(self) -> int:
        """When the next mark is due."""
        return self._mark_at
