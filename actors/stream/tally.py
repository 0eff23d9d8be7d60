"""What the stream counts, over all of its connections."""

from typing import Final

from msgspec import Struct

from protocol.limits import SECOND
from protocol.machine import Effect, Report

TYPES_NAMED_MAX: Final = 100  # unknown types that are named in the log, each once
KIND_CHARS_MAX: Final = 80  # of their names
REPORT_PACE: Final = 1 * SECOND  # between two lines about malformed frames


class Tally(Struct):
    """Numbers that only grow, for the heartbeat."""

    frames_in: int = 0
    frames_applied: int = 0
    book_frames: int = 0
    gaps: int = 0
    duplicates: int = 0
    out_of_order: int = 0
    strays: int = 0  # of subscriptions that we don't have
    malformed: int = 0
    unknown_types: int = 0
    repeated_snapshots: int = 0  # of a live book, with nothing new in them
    unsolicited_snapshots: int = 0  # of a live book, with another content
    divergences: int = 0  # books that were found to be wrong without a gap
    crossed: int = 0  # books that were crossed for too long
    resubscribed: int = 0
    private_facts: int = 0
    overrun_frames: int = 0  # dropped, because they waited on our side
    stalls_dead_socket: int = 0
    stalls_dead_subscription: int = 0
    stalls_slow: int = 0
    stalls_late: int = 0
    stalls_slept: int = 0
    named: set[str] = set()
    report_at: int = 0

    def unknown(self, kind: str) -> list[Effect]:
        """A type of frame that we don't know: counted, and named once."""
        self.unknown_types += 1
        kind = kind[:KIND_CHARS_MAX]
        if kind in self.named or len(self.named) >= TYPES_NAMED_MAX:
            return []
        self.named.add(kind)
        return [Report(f"frames of the unknown type {kind!r} come in: not read")]

    def bad(self, now: int, text: str) -> list[Effect]:
        """A frame that makes no sense: counted, and reported at a bounded pace."""
        self.malformed += 1
        if now < self.report_at:
            return []
        self.report_at = now + REPORT_PACE
        return [Report(f"malformed {text} ({self.malformed} so far)")]

    def counters(self) -> dict[str, int]:
        """For the heartbeat."""
        skip = ("named", "report_at")
        return {name: getattr(self, name) for name in self.__struct_fields__ if name not in skip}
