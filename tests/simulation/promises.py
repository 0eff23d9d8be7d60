"""What the engine promises the exchange and its operator, each as a fold over what happened.

A promise takes the events one by one and raises AssertionError at the one that breaks it. They
know nothing of the engine: `test_promises.py` holds each against histories made by hand.
"""

from typing import Protocol

from protocol.limits import HOLD_AFTER_CANCEL_ALL, MS
from tests.simulation.log import Event
from tests.simulation.rates import TrueBucket

HALT_WITHIN = 100 * MS  # of the acknowledgement
RESERVE = 42  # tokens: a cancel-all and twenty cancels, of two each


class Promise(Protocol):
    def take(self, event: Event) -> None:
        """Raises AssertionError if this breaks it."""


class WireOnce:
    """Each order leaves at most once ever, and no byte of it before its intent is on disk."""

    def __init__(self) -> None:
        self._left: set[str] = set()
        self._arrived: set[str] = set()

    def take(self, event: Event) -> None:
        if event.call != "create":
            return
        if event.what == "left":
            assert event.id not in self._left, f"{event.id} was sent twice"
            assert event.new, f"{event.id} is sent by a life that was not told NEW"
            self._left.add(event.id)
        if event.what == "arrived":
            assert event.id in self._left, f"{event.id} arrived and never left"
            assert event.id not in self._arrived, f"{event.id} arrived twice"
            assert event.recorded, f"{event.id} was sent before it was recorded"
            self._arrived.add(event.id)


class Budget:
    """No call is answered 429, and no order spends what is kept for cancels.

    A tier that came down before anybody was told excuses both, as the exchange marks it. The
    levels are those of the exchange's buckets as if every call arrived when it left.
    """

    def __init__(self) -> None:
        self._buckets: dict[str, TrueBucket] = {}
        self._excused: set[str] = set()

    def take(self, event: Event) -> None:
        match event.what:
            case "tier":
                self._tier(event)
            case "refused":
                assert event.excused, f"429: the {event.id} budget was overdrawn"
            case "left" if event.budget in self._buckets:
                bucket = self._buckets[event.budget]
                covered = bucket.draw(event.at, event.cost)
                if event.call == "create" and event.budget not in self._excused:
                    left = bucket.level(event.at) if covered else -1
                    text = f"{event.id} left {left} tokens of the {event.budget} budget for cancels"
                    assert left >= RESERVE, text

    def _tier(self, event: Event) -> None:
        bucket = self._buckets.get(event.id)
        if bucket is None:
            self._buckets[event.id] = TrueBucket(event.at, event.rate, event.capacity)
        else:
            bucket.resize(event.at, event.rate, event.capacity)
        (self._excused.add if event.excused else self._excused.discard)(event.id)


class Kill:
    """Stopped is stopped, whoever dies meanwhile.

    From 100 ms after a halt was acknowledged no order leaves, until somebody asks for a resume.
    None leaves within a minute after a cancel-all (where the host's clock is set meanwhile, a
    restart may shorten that: only the wall clock outlives a process). Of what had left before a
    panic was called done, nothing rests any more.
    """

    def __init__(self) -> None:
        self._halted_at: int | None = None
        self._held_until = -1
        self._left: set[str] = set()
        self.settled: set[str] = set()  # orders that had left before a panic was done

    def take(self, event: Event) -> None:
        match event.what, event.call:
            case "halted", _:
                if self._halted_at is None:
                    self._halted_at = event.at + (0 if event.id == "latch" else HALT_WITHIN)
            case "resuming", _:
                self._halted_at = None
            case "left", "cancel all" if not event.excused:
                self._held_until = event.at + HOLD_AFTER_CANCEL_ALL
            case "left", "create":
                halted = self._halted_at is not None and event.at > self._halted_at
                assert not halted, f"{event.id} left while trading was halted"
                text = f"{event.id} left within a minute after everything was canceled"
                assert event.at >= self._held_until, text
                self._left.add(event.id)
            case "panicked", _:
                self.settled |= self._left

    def check(self, resting: set[str]) -> None:
        """`resting`: ids of our orders that rest at the exchange now."""
        still = sorted(resting & self.settled)
        assert not still, f"a panic was called done, and {still} rest"


class Strangers:
    """Part of `truth`: what is not ours is canceled by a panic, and by nothing else."""

    def __init__(self) -> None:
        self._panics = False

    def take(self, event: Event) -> None:
        if event.call == "cancel all" and event.what == "left":
            self._panics = True
        if event.what == "arrived" and event.call == "cancel" and event.external:
            assert self._panics, f"{event.id} is not ours and was canceled"
