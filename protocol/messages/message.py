"""What all messages are."""

from msgspec import Struct


class Message(Struct, frozen=True, tag=True, gc=False):
    """A frozen fact or request between processes."""


class Refused(Message, frozen=True):
    """The answer to a letter that could not be read or has no place here."""

    reason: str
