"""What `sidecar tap --verify` counts and says: losses, duplicates, how old messages arrive."""

from typing import Final

from protocol.continuity import Continuity, Missed
from protocol.envelope import Envelope, Outbox
from protocol.limits import HEARTBEAT_INTERVAL, MS, SECOND, US
from protocol.machine import (
    Answered,
    Cause,
    Effect,
    Elapsed,
    Finish,
    Heard,
    Started,
    Stopping,
    Tell,
)
from protocol.messages import FollowerReport

WHOLE: Final = 0  # exit code: nothing was lost
LOST: Final = 1  # exit code: something was
UNTOLD: Final = 2  # exit code: nobody can say, or nobody spoke

STEPS: Final = 16  # of one doubling: an age is told to within 6 %


class Say(Effect, frozen=True):
    """Print a line."""

    text: str


class Ages:
    """How old messages were when they were taken, microseconds: counts by size, of any number."""

    def __init__(self) -> None:
        self.count = 0
        self.max = 0
        self._counts: dict[int, int] = {}

    def add(self, age: int) -> None:
        """An age below 0 is one of clocks that differ, and counts as 0."""
        age = max(age, 0)
        shift = max(age.bit_length() - STEPS.bit_length(), 0)
        bin = shift * STEPS + (age >> shift)
        self._counts[bin] = self._counts.get(bin, 0) + 1
        self.count += 1
        self.max = max(self.max, age)

    def at(self, share: float) -> int:
        """The age that this share of the messages did not exceed; 0 of none."""
        rank, seen = share * self.count, 0
        for bin in sorted(self._counts):
            seen += self._counts[bin]
            if seen >= rank:
                return min(_top(bin), self.max)
        return 0

    def __str__(self) -> str:
        p50, p99 = self.at(0.50), self.at(0.99)
        return f"age p50 {p50 / US:.2f} p99 {p99 / US:.2f} max {self.max / US:.2f} ms"


def _top(bin: int) -> int:
    """The largest age of a bin."""
    shift = max(bin // STEPS - 1, 0)
    return (((bin - shift * STEPS) + 1) << shift) - 1


class Tally:
    """The core of the command: it ends with LOST, UNTOLD or WHOLE."""

    def __init__(
        self, name: str, epoch: int, prefixes: tuple[str, ...], count: int = 0, seconds: float = 0
    ) -> None:
        self._outbox = Outbox(name, epoch)
        self._name = name
        self._continuity = Continuity(prefixes)
        self._count = count
        self._seconds = seconds
        self._began_at = 0
        self._end_at: int | None = None
        self._tell_at = 0
        self._reports = 0
        self._all = Ages()
        self._now = Ages()  # of this second
        self._lag = 0  # of the message taken last
        self._gaps = 0
        self._unsure = 0  # epochs, silences and marks: what they hide can't be counted
        self._over = False

    def step(self, now: int, cause: Cause) -> list[Effect]:
        if self._over:
            return []
        effects: list[Effect] = []
        match cause:
            case Started():
                self._began_at, self._tell_at = now, now + HEARTBEAT_INTERVAL
                if self._seconds:
                    self._end_at = now + int(self._seconds * SECOND)
            case Heard(envelope=envelope):
                effects += self._hear(now, cause.at, envelope)
            case Elapsed() | Answered():
                pass
            case Stopping():
                return effects + self._end(now, cause.at)
            case _:
                raise AssertionError(f"unexpected cause: {cause}")
        if now >= self._tell_at:
            self._tell_at = now + HEARTBEAT_INTERVAL
            effects += self._told(now, cause.at)
        enough = self._count and self._all.count >= self._count
        if enough or (self._end_at is not None and now >= self._end_at):
            effects += self._end(now, cause.at)
        return effects

    def deadline(self) -> int | None:
        return self._tell_at if self._end_at is None else min(self._tell_at, self._end_at)

    def _hear(self, now: int, at: int, envelope: Envelope) -> list[Effect]:
        self._lag = at - envelope.at
        self._all.add(self._lag)
        self._now.add(self._lag)
        _, missed = self._continuity.hear(now, envelope)
        return [self._noticed(m) for m in missed]

    def _noticed(self, missed: Missed) -> Effect:
        self._gaps += 1
        if missed.why in ("epoch", "silence"):
            self._unsure += 1
        where = f" on {missed.topic}" if missed.topic else ""
        count = f": {missed.missing} messages" if missed.missing else ""
        span = (missed.until - missed.since) * US // MS
        return Say(f"missed: {missed.why}{where} of {missed.source}{count}, within {span} ms")

    def _told(self, now: int, at: int) -> list[Effect]:
        silent = self._continuity.silent(now)
        heard = self._continuity.topics
        lag = max(self._now.max, 0)
        self._reports += 1
        body = FollowerReport(self._name, heard, len(silent), self._gaps, lag * US // MS)
        words = f"{self._now.count} messages, {self._counts()}, {self._now}, "
        words += f"lag {self._lag / US:.2f} ms, {heard} topics"
        if silent:
            words += f", silent: {', '.join(silent)}"
        self._now = Ages()
        letter = self._outbox.letter(f"follower:{self._reports}", body, at)
        return [Say(words), Tell("supervisor", letter)]

    def _counts(self) -> str:
        found = self._continuity
        return f"{found.missing} lost, {found.duplicates} duplicates"

    def _end(self, now: int, at: int) -> list[Effect]:
        self._over = True
        effects: list[Effect] = [self._noticed(m) for m in self._continuity.ended(now, at)]
        seconds = (now - self._began_at) / SECOND
        words = f"in {seconds:.1f} s: {self._all.count} messages, {self._counts()}, {self._all}, "
        words += f"{self._continuity.topics} topics"
        if self._unsure:
            words += f", {self._unsure} times not to be told whether anything was lost"
        if self._continuity.unwatched:
            words += f", {self._continuity.unwatched} messages of topics beyond the bound"
        if not self._all.count:
            words += ", nobody spoke: does the engine run?"
        return [*effects, Say(words), Finish(self._code())]

    def _code(self) -> int:
        if self._continuity.missing:
            return LOST
        unsure = self._unsure or self._continuity.unwatched or not self._all.count
        return UNTOLD if unsure else WHOLE
