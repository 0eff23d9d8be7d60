"""Whether what a connection brings is of now: late data, a slow host, a host that slept.

The exchange stamps what it sends, and our clock differs from its clock by some offset. The delay
of a frame is offset plus time on the way, so the smallest delay of the last minutes is the best
guess at the offset. A connection that is late from its first frame on would hide behind that: so
the guess is held between bounds, which the `Date` of the handshake gives, or our own rule that
the clock is right to CLOCK_SKEW_MAX (the exchange refuses signatures with a worse one).
"""

import enum
from typing import Final

from protocol.limits import (
    CLOCK_SKEW_MAX,
    CLOCK_STEP_MIN,
    LATE_CALM,
    LATE_MAX,
    OFFSET_WINDOW,
    SLEPT_MIN,
    SLOW_MAX,
    US,
)

DATE_STEP: Final = 1_000_000  # microseconds: a Date header says whole seconds
NONSENSE: Final = 600_000_000  # microseconds: no clock is wrong by so much and still accepted


class Verdict(enum.Enum):
    """Why what comes may be of a past moment; what does not come is told by the line itself."""

    SLOW = "we are slow"
    LATE = "data is late"
    SLEPT = "host slept"


class HostClock:
    """Our wall clock beside the monotonic one: does it jump, or did the host sleep?"""

    def __init__(self) -> None:
        self._ahead: int | None = None
        self.stepped = 0  # microseconds, all steps together

    def look(self, now: int, at: int) -> None:
        """Has the wall clock jumped since the last look?"""
        ahead = at - now // US
        step = 0 if self._ahead is None else ahead - self._ahead
        self._ahead = ahead
        if abs(step) >= CLOCK_STEP_MIN // US:
            self.stepped += step


def slept(step: int) -> str:
    """What a jump of the wall clock may mean for connections; "" if nothing."""
    if step < SLEPT_MIN // US:
        return ""
    return f"{step / 1e6:.0f} s, or its clock was set"


class Freshness:
    """One connection's. `verdict` is None while all that it brings is of now."""

    def __init__(self, clock: HostClock, pongs_queue: bool = True) -> None:
        """`pongs_queue`: a pong stands behind the data that was sent before it.

        It does on the wire, but not in a queue of one subscription's at the exchange (FACTS.md
        section 4.1): there data may be late, and pongs in time.
        """
        self._pongs_queue = pongs_queue
        self.verdict: Verdict | None = None
        self.detail = ""
        self.since = 0
        self.as_of = 0  # microseconds: when it last proved to be alive and in time
        self.above = 0  # microseconds: a longer delay of a frame is late
        self.below = 0  # a shorter one is news about the clocks
        self._clock = clock
        self._stepped = 0
        self._bounds = (0, 0)
        self._dated = False  # they follow from a date of the exchange's
        self._least: int | None = None
        self._least_before: int | None = None
        self._turn_at = 0
        self._lateness = 0  # microseconds
        self._proof = 0  # the number of the ping whose answer proves that it is in time again
        self._slow_at = 0

    @property
    def reason(self) -> str:
        if self.verdict is None:
            return ""
        late = f"{self._lateness / 1e6:.1f} s" if self.verdict is Verdict.LATE else self.detail
        return f"{self.verdict.value}: {late}"

    def opened(self, now: int, at: int, date: int, took: int) -> None:
        """A new connection. `date` is the exchange's clock by its handshake, 0 if it said none.

        `took` is how long the handshake was, in nanoseconds: the date is from somewhere in it.
        """
        self.verdict = None
        self.as_of = at
        self._stepped = self._clock.stepped
        skew = CLOCK_SKEW_MAX // US
        self._bounds = (-skew, skew)
        self._dated = False
        if date and abs(at - date) < NONSENSE:
            self._bounds = (at - date - DATE_STEP - took // US, at - date)
            self._dated = True
        self._least = self._least_before = None
        self._turn_at = now + OFFSET_WINDOW
        self._settle()

    def delayed(self, now: int, at: int, delay: int, ping: int) -> bool:
        """A frame's delay is out of the ordinary. True if the verdict has changed by it.

        `ping` is the number that the next ping will have.
        """
        self._follow_clock()
        if delay < self._bounds[0] - NONSENSE:
            return False  # it is stamped in the far future: of no use
        if self._least is None or delay < self._least:
            self._least = delay
            self._settle()
        if delay > self.above:
            self._lateness = delay - self._offset
            self.as_of = min(self.as_of, at - self._lateness)  # answers may have come as late
            return self.suspect(now, Verdict.LATE, "", ping)
        return self.answered(at, (delay - self._offset) * US)

    def suspect(self, now: int, verdict: Verdict, detail: str, ping: int) -> bool:
        """What comes may be old. True if that is news.

        What is late stays so, whatever else is wrong: it takes more to prove the contrary.
        """
        news = self.verdict is None
        if self.verdict is Verdict.LATE and verdict is not Verdict.LATE:
            return False
        if news:
            self.since = now
        self.verdict, self.detail = verdict, detail
        self._proof = ping
        return news

    def waited(self, now: int, nanoseconds: int, ping: int) -> bool:
        """Frames have waited on our side. True if the verdict has changed by it."""
        if nanoseconds > SLOW_MAX:
            self._slow_at = now
            return self.suspect(now, Verdict.SLOW, f"frames waited {nanoseconds / 1e9:.1f} s", ping)
        return False

    def pong(self, now: int, at: int, number: int, took: int) -> bool:
        """The exchange answered a ping. True if that proves that what comes is of now again."""
        if took > LATE_CALM or (self.verdict is Verdict.LATE and not self._pongs_queue):
            return False
        if self.verdict is not None and (number < self._proof or now - took < self._slow_at):
            return False
        self.as_of = at
        cleared, self.verdict = self.verdict is not None, None
        return cleared

    def answered(self, at: int, took: int) -> bool:
        """What queues behind all data took so long, nanoseconds. True if that ends a lateness."""
        if took > LATE_CALM or self.verdict is not Verdict.LATE:
            return False
        self.as_of = at
        self.verdict = None
        return True

    def turn(self, now: int) -> None:
        """Let the oldest delays go."""
        if now >= self._turn_at:
            self._turn_at = now + OFFSET_WINDOW
            self._least_before, self._least = self._least, None
            self._settle()

    def _follow_clock(self) -> None:
        """Our clock has jumped. Set back, every delay is shorter by that.

        Ahead, it was set, or the host slept: delays are longer by that, or as they were.
        """
        step = self._clock.stepped - self._stepped
        if not step:
            return
        self._stepped = self._clock.stepped
        low, high = self._bounds
        if step > 0:
            self._bounds = (low, high + step)
            self._least = self._least_before = None
        else:
            # Without a date the bounds were a guess: it may have been wrong, and is right now.
            self._bounds = (low + step, high + step if self._dated else high)
            self._least = None if self._least is None else self._least + step
            self._least_before = None if self._least_before is None else self._least_before + step
        self._settle()

    def _settle(self) -> None:
        known = [least for least in (self._least, self._least_before) if least is not None]
        low, high = self._bounds
        self._offset = min(max(min(known, default=high), low), high)
        self.above = self._offset + LATE_MAX // US
        self.below = self._offset if known else self.above
