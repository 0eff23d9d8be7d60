"""What the shell tells the recorder's core about its files, and what the core has it do."""

from msgspec import Struct

from protocol.machine import Cause, Effect
from protocol.recording import Head, Index


class Bounds(Struct, frozen=True):
    """How much is written. Bytes are of the files as they lie on disk, indexes included."""

    segment_bytes: int
    max_bytes: int  # of all segments of the folder: the oldest go
    seconds: float = 0.0  # then the recording ends; 0: when somebody ends it


class Kept(Struct, frozen=True):
    """A segment that is on disk and closed."""

    number: int
    size: int


class Appended(Cause, frozen=True):
    """A block is in the open segment, as `size` bytes."""

    size: int


class Sealed(Cause, frozen=True):
    """A segment is closed; with its index it takes so many bytes."""

    kept: Kept


class StorageFailed(Cause, frozen=True):
    """Nothing more can be written, for this reason; what was whole before still is."""

    reason: str


class Begin(Effect, frozen=True):
    """Make the file of a new segment."""

    head: Head


class Append(Effect, frozen=True):
    """Compress these lines and write them in one piece. Leads to Appended or StorageFailed."""

    lines: list[bytes]


class Seal(Effect, frozen=True):
    """Close the open segment and write its index. Leads to Sealed or StorageFailed."""

    index: Index  # all but the checksum


class Remove(Effect, frozen=True):
    """Delete a segment and its index."""

    number: int
