"""The contract between a core and whoever hosts it.

A core is told what happened (a cause) and when (`now`, monotonic nanoseconds); it answers with
what to do (effects). It does no I/O, reads no clock, rolls no dice and never waits, so its host
may be a real process or the simulator, and the core can't tell.
"""

from typing import Protocol

from msgspec import Struct

from protocol.envelope import Envelope, Letter


class Cause(Struct, frozen=True, gc=False):
    """Something happened. `at` is the wall clock then, in microseconds: data, never a timer."""

    at: int


class Started(Cause, frozen=True):
    """The first cause of every life, exactly once."""


class Elapsed(Cause, frozen=True):
    """The deadline came."""


class Stopping(Cause, frozen=True):
    """Asked to stop: finish what is under way, then answer with Finish."""


class Heard(Cause, frozen=True):
    """An envelope that somebody published, and its frame for whoever passes it on."""

    envelope: Envelope
    frame: bytes = b""


class Asked(Cause, frozen=True):
    """A letter came in; `sender` is where an answer to it goes, opaque to the core."""

    sender: tuple[bytes, ...]
    letter: Letter


class Answered(Cause, frozen=True):
    """The answer to a letter of ours, from the named peer."""

    peer: str
    letter: Letter


class Effect(Struct, frozen=True, gc=False):
    """Something to do."""


class Publish(Effect, frozen=True):
    """Say to whoever listens. May be lost on the way."""

    envelope: Envelope


class Tell(Effect, frozen=True):
    """Send a letter to one peer. Lost if the peer is not there; whoever minds tells again."""

    peer: str
    letter: Letter


class Answer(Effect, frozen=True):
    """Answer a letter."""

    sender: tuple[bytes, ...]
    letter: Letter


class Report(Effect, frozen=True):
    """Write a line into the process's log."""

    text: str
    grave: bool = False


class Finish(Effect, frozen=True):
    """End the process with this exit code."""

    code: int


class Core(Protocol):
    """What every actor's core is."""

    def step(self, now: int, cause: Cause) -> list[Effect]:
        """Take one cause, in full, and return what it leads to."""
        ...

    def deadline(self) -> int | None:
        """When to call step(now, Elapsed()), if nothing else happens first."""
        ...
