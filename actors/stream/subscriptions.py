"""The subscriptions of one connection: which number is which channel, and where each has got to.

One counter runs over all frames of a subscription, whatever their type and market, so it is looked
at before anything else (FACTS.md section 4.4). It starts anywhere and anew with each connection.
"""

import enum

from protocol.kalshi.frames import Channel


class Place(enum.Enum):
    """How a frame's number follows the one before it."""

    NEXT = "next"
    DUPLICATE = "duplicate"
    GAP = "gap"
    OUT_OF_ORDER = "out of order"


class _Counter:
    __slots__ = ("heard_at", "raw", "seq")

    def __init__(self, now: int) -> None:
        self.seq: int | None = None
        self.raw = b""
        self.heard_at = now


class Subscriptions:
    """Numbers and channels, both ways."""

    def __init__(self) -> None:
        self.sids: dict[Channel, int] = {}
        self.channels: dict[int, Channel] = {}
        self._counters: dict[int, _Counter] = {}

    def clear(self) -> None:
        """A new connection has new numbers."""
        self.sids.clear()
        self.channels.clear()
        self._counters.clear()

    def add(self, channel: Channel, sid: int, now: int) -> None:
        """The channel goes by this number from now on."""
        self.drop(channel)
        self.sids[channel] = sid
        self.channels[sid] = channel
        self._counters[sid] = _Counter(now)

    def drop(self, channel: Channel) -> int | None:
        """Nothing that comes under the channel's number counts any more. Returns the number."""
        sid = self.sids.pop(channel, None)
        if sid is not None:
            del self.channels[sid], self._counters[sid]
        return sid

    def heard_at(self, channel: Channel) -> int | None:
        """When the last frame of a channel came; None if it is not subscribed."""
        sid = self.sids.get(channel)
        return None if sid is None else self._counters[sid].heard_at

    def admit(self, now: int, sid: int, seq: int | None, raw: bytes) -> Place:
        """Judge a number, and go on from it whatever it is. The first is the baseline.

        A connection can't reorder. So a number that is lower than the last one, or the same one
        with another content, means that the exchange counts anew or is confused: nothing may be
        concluded from it.
        """
        counter = self._counters[sid]
        counter.heard_at = now
        if seq is None:
            return Place.NEXT
        last, counter.seq = counter.seq, seq
        if last is None or seq == last + 1:
            counter.raw = raw
            return Place.NEXT
        if seq == last and raw == counter.raw:
            return Place.DUPLICATE
        counter.raw = raw
        return Place.GAP if seq > last else Place.OUT_OF_ORDER
