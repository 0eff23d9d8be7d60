"""What the feeds are told of WebSocket clients, and what is to be done for them."""

from protocol.machine import Cause, Effect


class Joined(Cause, frozen=True):
    """A client is connected, and may read by this token's id."""

    client: int
    token: str


class Said(Cause, frozen=True):
    """A client said something, as text."""

    client: int
    text: bytes


class Drained(Cause, frozen=True):
    """What a client was told has left (`Pace`)."""

    client: int


class Left(Cause, frozen=True):
    """A client is gone, or is being closed: it is told nothing more."""

    client: int


class Say(Effect, frozen=True):
    """Send one text to all of these clients."""

    to: tuple[int, ...]
    text: bytes


class Pace(Effect, frozen=True):
    """Say `Drained` once what this client was told has left."""

    client: int
