"""What can go wrong on a line between engine and exchange, each as a value that is armed."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec

from tests.engine.framing import TEXT, Frame

Way = Literal["up", "down"]  # up: from the engine to the exchange
BOTH: tuple[Way, Way] = ("up", "down")
DOWN: tuple[Way] = ("down",)


@dataclass(frozen=True)
class Hole:
    """Nothing comes through, and neither end hears of it: no FIN, no RST. What went in comes out
    when it ends, as after a retransmission."""

    ways: tuple[Way, ...] = BOTH
    seconds: float | None = None  # from the arming; None: until it is lifted


@dataclass(frozen=True)
class Slow:
    """A line of so few bytes a second."""

    bytes_a_second: float
    way: Way = "down"


@dataclass(frozen=True)
class Of:
    """Which frames. What is not named may be anything."""

    type: str | None = None
    sid: int | None = None
    ticker: str | None = None
    opcode: int = TEXT
    way: Way = "down"

    def fits(self, way: Way, frame: Frame) -> bool:
        """Whether this frame is meant."""
        if frame.opcode != self.opcode or way != self.way:
            return False
        if self.type is None and self.sid is None and self.ticker is None:
            return True
        said = frame.of
        body = said.get("msg")
        ticker = body.get("market_ticker") if isinstance(body, dict) else None
        return (
            self.type in (None, said.get("type"))
            and self.sid in (None, said.get("sid"))
            and self.ticker in (None, ticker)
        )


DATA = Of()


@dataclass(frozen=True)
class Late:
    """Data arrives so much later, in its order; pings and pongs, which no queue holds, in time.

    With `all_frames` they are late, too.
    """

    seconds: float
    way: Way = "down"
    all_frames: bool = False


@dataclass(frozen=True)
class Refuse:
    """The handshake is answered by this instead, and the connection ends."""

    status: int
    body: bytes = b'{"error":{"code":"refused_on_the_way","message":"refused"}}'
    clock_off_s: float | None = 0.0  # of its `Date`; None: it has none


@dataclass(frozen=True)
class Unanswered:
    """The handshake's answer never arrives, nor does anything else."""


@dataclass(frozen=True)
class Misdate:
    """The handshake's answer says another time."""

    clock_off_s: float


@dataclass(frozen=True)
class Break:
    """In the middle of such a frame the connection is reset, at both ends."""

    of: Of = DATA


Alteration = Callable[[Frame], list[bytes]]


@dataclass(frozen=True)
class Alter:
    """Such a frame becomes these payloads."""

    of: Of
    by: Alteration


Fault = Hole | Slow | Late | Refuse | Unanswered | Misdate | Break | Alter


def skip(frame: Frame) -> list[bytes]:
    """It is lost on the way; armed for all of a sid, or for pings, it mutes them."""
    return []


def repeat(frame: Frame) -> list[bytes]:
    """It comes twice."""
    return [frame.payload, frame.payload]


def replace(raw: bytes) -> Alteration:
    """It is something else."""
    return lambda frame: [raw]


def rewrite(pattern: bytes, into: bytes) -> Alteration:
    """Each match of a regular expression is something else. To match nothing is an error."""
    compiled = re.compile(pattern)

    def by(frame: Frame) -> list[bytes]:
        changed, times = compiled.subn(into, frame.payload)
        assert times, f"{pattern!r} is not in {frame.payload[:200]!r}"
        return [changed]

    return by


@dataclass
class Swap:
    """Two frames in the other order; for an even number of times."""

    _held: list[bytes] = field(default_factory=list)

    def __call__(self, frame: Frame) -> list[bytes]:
        if not self._held:
            self._held.append(frame.payload)
            return []
        return [frame.payload, self._held.pop()]


@dataclass
class Renumber:
    """The first frame that has a `seq` gets this one, and all that come after it go on from it."""

    first: Callable[[int], int]  # from the true number to the one that is told
    _off: int | None = None

    def __call__(self, frame: Frame) -> list[bytes]:
        said: dict[str, Any] = frame.of
        if "seq" not in said:
            return [frame.payload]
        if self._off is None:
            self._off = self.first(said["seq"]) - said["seq"]
        return [msgspec.json.encode({**said, "seq": said["seq"] + self._off})]
