"""The subscriptions of one connection: which number is which channel, and where each has got to.

One counter runs over all frames of a subscription, whatever their type and market, so it is looked
at before anything else (FACTS.md section 4.4). It starts anywhere and anew with each connection.
"""

import enum

from protocol.kalshi.frames import Channel


class Place(enum.Enum):
    """How a frame's number follows the one before it."""

    NEXT = enum.auto()
    DUPLICATE = enum.auto()
    GAP = enum.auto()
    BACKWARDS = enum.auto()


class Subscriptions:
    """Numbers and channels, both ways."""

    def __init__(self) -> None:
        self.sids: dict[Channel, int] = {}
        self.channels: dict[int, Channel] = {}
        self._last: dict[int, int] = {}

    def clear(self) -> None:
        """A new connection has new numbers."""
        self.sids.clear()
        self.channels.clear()
        self._last.clear()

    def add(self, channel: Channel, sid: int) -> None:
        self.sids[channel] = sid
        self.channels[sid] = channel

    def admit(self, sid: int, seq: int | None) -> Place:
        """Judge a number, and go on from it whatever it is. The first is the baseline.

        A connection can't reorder, so a number that is lower than the last one means that the
        exchange counts anew or repeats itself: nothing may be concluded from it.
        """
        if seq is None:
            return Place.NEXT
        last = self._last.get(sid)
        self._last[sid] = seq
        if last is None or seq == last + 1:
            return Place.NEXT
        if seq == last:
            return Place.DUPLICATE
        return Place.GAP if seq > last else Place.BACKWARDS
