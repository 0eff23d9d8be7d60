"""What the writer's core and its shell say to each other about the database."""

from actors.writer.batch import Booked, Result, Wanted
from protocol.machine import Cause, Effect
from protocol.messages import Entry


class StoreOpening(Cause, frozen=True):
    """The database is being opened; what is done just now."""

    text: str


class StoreOpened(Cause, frozen=True):
    """The database is open, sound as far as its tail, and a trial commit went through.

    `aside` is the last money that was set aside and that nobody has halted trading for, 0 if
    there is none.
    """

    head: int
    how: str = ""
    aside: int = 0
    reason: str = ""
    told: int = 0  # up to which number trading has been halted for what was set aside


class StoreFailed(Cause, frozen=True):
    """The database can't be used; `fatal` unless it is only locked by somebody else."""

    reason: str
    fatal: bool


class StoreRefused(Cause, frozen=True):
    """This ledger is not for us: of a newer program, or of another account."""

    reason: str


class AsideTold(Cause, frozen=True):
    """It is on record that trading was halted for what was set aside."""

    aside: int


class Checkpointed(Cause, frozen=True):
    """The log file has so many pages, of which so many are in the database by now."""

    pages: int
    done: int


class Committed(Cause, frozen=True):
    """The batch is on disk: a result for each append, in order."""

    results: tuple[Result, ...]
    booked: tuple[Booked, ...]


class EntriesRead(Cause, frozen=True):
    """Entries from the database, for one asker."""

    sender: tuple[bytes, ...]
    id: str
    entries: tuple[Entry, ...]


class KeeperSaid(Cause, frozen=True):
    """How the keeper of trades and quotes is: rows and holes of its life, its lag, its trouble."""

    kept: int
    holes: int
    lag_ms: int
    trouble: str


class KeeperEnded(Cause, frozen=True):
    """The keeper's process has ended."""

    reason: str


class StartKeeper(Effect, frozen=True):
    """Start the process that keeps trades and quotes."""


class OpenStore(Effect, frozen=True):
    """Open the database and prove that it can be written."""


class Commit(Effect, frozen=True):
    """Append these facts, and what follows from them, in one transaction."""

    wanted: tuple[Wanted, ...]
    at: int


class ReadEntries(Effect, frozen=True):
    """Read entries above `since` from the database."""

    sender: tuple[bytes, ...]
    id: str
    since: int
    limit: int


class TellAside(Effect, frozen=True):
    """Put on record that trading was halted for what was set aside, up to this number."""

    aside: int


class Checkpoint(Effect, frozen=True):
    """Bring the log file into the database."""


class CloseStore(Effect, frozen=True):
    """Save a snapshot of the account and close the database."""
