"""What the shell tells the core about its two sockets, and what the core has it do."""

from typing import Literal

from protocol.machine import Cause, Effect

Link = Literal["market", "private"]


class SocketOpened(Cause, frozen=True):
    """The handshake is done."""

    link: Link


class FrameReceived(Cause, frozen=True):
    """One whole message came in."""

    link: Link
    raw: bytes


class PingReceived(Cause, frozen=True):
    """The exchange pinged, and was answered. It does so every 10 s (FACTS.md section 4.1)."""

    link: Link


class SocketClosed(Cause, frozen=True):
    """A socket that was open, or opening, is no more."""

    link: Link
    reason: str


class OpenFailed(Cause, frozen=True):
    """There was no handshake. `status` is the HTTP status, 0 if it did not come to that."""

    link: Link
    status: int
    reason: str


class OpenSocket(Effect, frozen=True):
    """Connect, with signed headers. Leads to SocketOpened or OpenFailed."""

    link: Link


class SendFrame(Effect, frozen=True):
    """Send one text message on an open socket."""

    link: Link
    raw: bytes


class CloseSocket(Effect, frozen=True):
    """End a socket, whatever it is doing. Leads to SocketClosed, within a bounded time."""

    link: Link
