"""What is kept, and what the keeper's core and its shell say to each other about it."""

from typing import Literal

from msgspec import Struct

from protocol.envelope import Envelope
from protocol.machine import Cause, Effect

Table = Literal["trades", "quotes", "holes"]
Values = tuple[str | int, ...]  # of one row, in the order of the table's columns

EVERY_TOPIC = "*"


class Row(Struct, frozen=True, gc=False):
    """A trade or a quote, as its table takes it, and its place in its topic."""

    table: Table
    topic: str
    epoch: int
    seq: int
    said_at: int  # microseconds
    values: Values


class Hole(Struct, frozen=True, gc=False):
    """Messages `from_seq` to `to_seq` of a topic were not kept.

    They were said between `since` (when the message before them was said, 0 if that is not known)
    and `at` (when they were missed). Both numbers 0: any message may be missing.
    """

    topic: str  # or EVERY_TOPIC
    epoch: int
    from_seq: int
    to_seq: int
    since: int
    at: int


class Seen(Struct, frozen=True, gc=False):
    """A mark of the stream, or a last message that needs no row: only its place is kept."""

    topic: str
    epoch: int
    seq: int
    said_at: int


class Forgotten(Struct, frozen=True, gc=False):
    """A topic of which nothing was heard for longest makes room for another one."""

    topic: str


Item = Row | Hole | Seen | Forgotten


class Place(Struct, frozen=True, gc=False):
    """How far a topic was followed: all up to `seq` is on record, as a row or as a hole."""

    topic: str
    epoch: int
    seq: int
    said_at: int


class Batch(Struct, frozen=True):
    """What one transaction adds. `anew` lets go of all places of former epochs first."""

    trades: tuple[Values, ...] = ()
    quotes: tuple[Values, ...] = ()
    holes: tuple[Values, ...] = ()
    places: tuple[Place, ...] = ()
    forgotten: tuple[str, ...] = ()
    anew: bool = False


class Prune(Struct, frozen=True):
    """Of the first `rows` rows of a table, delete those received before `before`."""

    table: Table
    before: int
    rows: int


class Held(Struct, frozen=True):
    """How much the database holds: bytes in use, and when the oldest row of each table came."""

    used: int
    oldest: dict[Table, int]


class Taken(Cause, frozen=True):
    """What was published since the last time; often nothing."""

    envelopes: tuple[Envelope, ...] = ()


class Opened(Cause, frozen=True):
    """The database is open. `fresh`: it was made just now."""

    places: tuple[Place, ...]
    held: Held
    fresh: bool


class Saved(Cause, frozen=True):
    """The batch is in the database, and the deletions are done."""

    held: Held


class NotSaved(Cause, frozen=True):
    """Nothing was written, or nobody knows; `closed` unless it is worth another try as it is."""

    reason: str
    closed: bool


class OpenDatabase(Effect, frozen=True):
    """Open it. Opened or NotSaved is told next, before anything else."""


class Save(Effect, frozen=True):
    """One transaction. Saved or NotSaved is told next, before anything else."""

    batch: Batch
    prunes: tuple[Prune, ...]


class Standing(Effect, frozen=True):
    """How the keeper is, each second: what its heartbeat would be if it had one."""

    kept: int  # rows, in this life
    holes: int  # noted, in this life
    lag_ms: int  # of the oldest row of the last batch: from being said to being on record
    trouble: str  # why nothing is kept just now, "" if all is well
