"""What all messages are."""

from msgspec import Struct


class Message(Struct, frozen=True, tag=True, gc=False):
    """A frozen fact or request between processes."""


class Exact(Message, frozen=True, forbid_unknown_fields=True):
    """A request that costs money if it is half understood: a letter with one is refused for a
    field that there is not, and for one that is said twice (`decode_letter`)."""


class Refused(Message, frozen=True):
    """The answer to a letter that could not be read or has no place here."""

    reason: str
