"""Says frames as they came, for whoever records them; only while somebody listens."""

from typing import Final

from actors.stream.wire import Link
from protocol import topics
from protocol.envelope import Outbox
from protocol.errors import RemoteProtocolError
from protocol.kalshi import frames
from protocol.limits import PREFIXES_MAX
from protocol.machine import Effect, Publish
from protocol.messages import RawFrame

PREFIX: Final = "raw."
KIND_CHARS_MAX: Final = 64
CHANNELS: Final = {  # of the types that are not called like their channel
    "orderbook_snapshot": "orderbook_delta",
    "user_order": "user_orders",
    "market_position": "market_positions",
    "event_lifecycle": "market_lifecycle_v2",
    "event_fee_update": "market_lifecycle_v2",
    "subscribed": "control",
    "unsubscribed": "control",
    "ok": "control",
    "error": "control",
}


class RawFrames:
    """Who listens, by prefix; and the frames."""

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox
        self._prefixes: set[str] = set()

    @property
    def wanted(self) -> bool:
        return bool(self._prefixes)

    def listened(self, prefix: str, on: bool) -> None:
        """Somebody listens to topics that begin so, or nobody does any more."""
        if not prefix.startswith(PREFIX):
            return
        if on and len(self._prefixes) < PREFIXES_MAX:
            self._prefixes.add(prefix)
        else:
            self._prefixes.discard(prefix)

    def say(self, link: Link, connection: int, at: int, raws: list[bytes]) -> list[Effect]:
        """The frames that one read brought."""
        effects: list[Effect] = []
        for raw in raws:
            try:
                kind = frames.glance(raw).type
            except RemoteProtocolError:
                kind = "malformed"
            fit = kind.isidentifier() and kind.isascii() and len(kind) <= KIND_CHARS_MAX
            topic = topics.raw(CHANNELS.get(kind, kind) if fit else "malformed")
            if any(topic.startswith(prefix.rstrip()) for prefix in self._prefixes):
                body = RawFrame(link, connection, at, raw)
                effects.append(Publish(self._outbox.seal(topic, body, at)))
        return effects
