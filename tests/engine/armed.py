"""What is armed to go wrong on the lines, and what of it meets which frame."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from tests.engine.framing import Frame
from tests.engine.mischief import (
    Alter,
    Break,
    Fault,
    Hole,
    Late,
    Misdate,
    Refuse,
    Slow,
    Unanswered,
    Way,
)


class Line(Protocol):
    """A connection, as far as a fault looks at it."""

    number: int  # from 1, in the order of their coming
    channels: set[str]  # that it has asked for


Where = Callable[[Line], bool]


@dataclass
class Armed:
    """A fault, where it strikes, and how often it has."""

    fault: Fault
    first: int  # numbers of connections, from and to
    last: int | None
    where: Where
    skip: int
    times: int | None
    at: float  # monotonic seconds, as all times here
    hits: int = 0
    hit_at: float | None = None  # the first time
    last_hit_at: float | None = None
    lifted: bool = False

    def meets(self, line: Line) -> bool:
        """Whether it is armed for this connection, and not yet used up."""
        if self.lifted or (self.times is not None and self.hits >= self.times):
            return False
        within = self.first <= line.number and (self.last is None or line.number <= self.last)
        return within and self.where(line)

    def strike(self) -> bool:
        """Count one that it fits. False: this one passes first."""
        if self.skip:
            self.skip -= 1
            return False
        self.hits += 1
        self.last_hit_at = time.monotonic()
        self.hit_at = self.hit_at or self.last_hit_at
        return True


@dataclass
class Faults:
    """All that is armed, as the connections ask for it."""

    armed: list[Armed] = field(default_factory=list)
    waiting: set[asyncio.Event] = field(default_factory=set)

    def stir(self) -> None:
        """Have whoever waits look again."""
        for event in self.waiting:
            event.set()

    def hole(self, line: Line, way: Way) -> float | None:
        """Until when nothing comes through; None: all does."""
        ends = [
            armed.at + armed.fault.seconds if armed.fault.seconds is not None else float("inf")
            for armed in self.armed
            if isinstance(armed.fault, Hole) and way in armed.fault.ways and armed.meets(line)
        ]
        until = max(ends, default=0.0)
        return until if until > time.monotonic() else None

    def rate(self, line: Line, way: Way) -> float | None:
        """Bytes a second; None: as fast as it goes."""
        return min(
            (
                armed.fault.bytes_a_second
                for armed in self.armed
                if isinstance(armed.fault, Slow) and armed.fault.way == way and armed.meets(line)
            ),
            default=None,
        )

    def lateness(self, line: Line, way: Way, control: bool) -> float:
        """How many seconds later this arrives."""
        found = 0.0
        for armed in self.armed:
            fault = armed.fault
            if isinstance(fault, Late) and fault.way == way and armed.meets(line):
                if control and not fault.all_frames:
                    continue
                armed.strike()
                found = max(found, fault.seconds)
        return found

    def handshake(self, line: Line) -> Refuse | Misdate | Unanswered | None:
        """What happens to this one."""
        for armed in self.armed:
            fault = armed.fault
            if (
                isinstance(fault, Refuse | Misdate | Unanswered)
                and armed.meets(line)
                and armed.strike()
            ):
                return fault
        return None

    def fate(self, line: Line, way: Way, frame: Frame) -> list[bytes] | Break | None:
        """Payloads that come instead, or a break; None: it comes as it is."""
        for armed in self.armed:
            fault = armed.fault
            if not isinstance(fault, Alter | Break) or not armed.meets(line):
                continue
            if fault.of.fits(way, frame) and armed.strike():
                return fault if isinstance(fault, Break) else fault.by(frame)
        return None
