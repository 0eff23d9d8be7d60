"""What the shell tells the core about its sockets, and what the core has it do.

A link is one connection to the exchange by its name: `private`, `public`, `market1`, `market2`, …
"""

from protocol.machine import Cause, Effect

Link = str


class SocketOpened(Cause, frozen=True):
    """The handshake is done. `date` is the clock of its answer, microseconds, 0: it said none."""

    link: Link
    date: int = 0


class FramesReceived(Cause, frozen=True):
    """Whole messages came in, in order; `at` is when they were taken off the socket."""

    link: Link
    raws: list[bytes]
    waited: int = 0  # nanoseconds, that the first of them waited on our side since then


class PingReceived(Cause, frozen=True):
    """The exchange pinged, and was answered. It does so every 10 s (FACTS.md section 4.1)."""

    link: Link


class PongReceived(Cause, frozen=True):
    """The exchange answered the ping of ours that had this number."""

    link: Link
    number: int


class SocketClosed(Cause, frozen=True):
    """A socket that was open, or opening, is no more."""

    link: Link
    reason: str


class OpenFailed(Cause, frozen=True):
    """There was no handshake. `status` is the HTTP status, 0 if it did not come to that.

    `date` is the exchange's clock by its answer, microseconds, 0 if it did not say.
    """

    link: Link
    status: int
    reason: str
    date: int = 0


class Overrun(Cause, frozen=True):
    """More frames wait on our side than there is room for: those of this link were dropped."""

    link: Link
    frames: int


class Listened(Cause, frozen=True):
    """Somebody listens to topics that begin so, or nobody does any more."""

    prefix: str
    on: bool


class FollowSaved(Cause, frozen=True):
    """What is followed is on disk, or why it is not."""

    number: int
    trouble: str = ""


class OpenSocket(Effect, frozen=True):
    """Connect, with signed headers. Leads to SocketOpened or OpenFailed."""

    link: Link


class SendFrame(Effect, frozen=True):
    """Send one text message on an open socket."""

    link: Link
    raw: bytes


class SendPing(Effect, frozen=True):
    """Ping on an open socket. Leads to PongReceived, if the exchange is there."""

    link: Link
    number: int


class CloseSocket(Effect, frozen=True):
    """End a socket, whatever it is doing. Leads to SocketClosed, within a bounded time."""

    link: Link


class SaveFollow(Effect, frozen=True):
    """Keep what is followed beyond the settings. Leads to FollowSaved."""

    number: int
    added: tuple[str, ...]
    removed: tuple[str, ...]
