"""The ledger on disk: one transaction for an append and all that follows from it.

Used from one thread only. After a failed write or fsync the database would happily go on; we
don't: `Failed` ends the process, and the next one checks everything before it acknowledges.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress

from msgspec import Struct
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError

from actors.writer import database, opening
from actors.writer.anchor import Anchor, AnchorFile, End
from actors.writer.batch import Plan, Wanted
from actors.writer.database import Failed, Locked, trouble
from actors.writer.journal import Journal
from protocol.account import Account
from protocol.audit import Damage, read_entry
from protocol.errors import ConfigError, RemoteProtocolError
from protocol.ledger import GENESIS
from protocol.limits import SNAPSHOT_EVERY
from protocol.messages import Entry
from protocol.runtime.ledger import page, rows

__all__ = ["Failed", "Locked", "Opened", "Store"]


class Opened(Struct, frozen=True):
    """What was found. `aside` is the last money that was set aside and nobody was told of."""

    head: int
    how: str
    aside: int = 0
    reason: str = ""
    told: int = 0  # up to which number trading has been halted for what was set aside


class LogPages(Struct, frozen=True):
    """How many pages the log file has, and how many of them are in the database by now."""

    pages: int
    done: int


class Store:
    """The database and the account as of its last entry."""

    def __init__(
        self,
        path: str,
        account: str = "",
        anchor: Anchor | None = None,
        connect: Callable[[str], Connection] = database.connect,
    ) -> None:
        """`account` names whose ledger it must be; "" takes any."""
        self._path = path
        self._owner = account
        self._anchor = anchor or AnchorFile(path)
        self._connect = connect
        self._connection: Connection | None = None
        self._journal: Journal | None = None
        self._ledger = ""
        self._acknowledged = (0, GENESIS)  # the last entry that was, and its hash
        self._failure: Failed | None = None

    def open(
        self, tell: Callable[[str], None] = lambda _: None, after_restore: bool = False
    ) -> Opened:
        """Lock, open, check, restore the account, prove a commit.

        `tell` hears what is going on. `after_restore` says that this is a backup brought back:
        what came after it is lost, and that goes on record first. Raises ConfigError if the
        ledger is newer than we are or somebody else's, LockHeld if another writer has it, Locked
        if somebody else holds it for now, Failed if it is damaged or can't be written. After any
        of them nothing is held but the lock, and it may be opened again.
        """
        try:
            return self._opened(tell, after_restore)
        except DBAPIError as e:
            self._disconnect()
            named = trouble(e, self._path)
            if isinstance(named, Failed):
                self._suspect()
            raise named from e
        except (Damage, RemoteProtocolError, OverflowError, ValueError) as e:
            self._disconnect()
            raise Failed(f"{self._path}: {e}") from e
        except OSError as e:
            self._disconnect()
            raise Failed(f"{e.filename or self._path}: {e.strerror}") from e
        except (ConfigError, Failed):
            self._disconnect()
            raise

    def _opened(self, tell: Callable[[str], None], after_restore: bool) -> Opened:
        self._failure = None
        self._anchor.lock()
        end = self._anchor.read()
        if end is not None:
            self._ledger, self._acknowledged = end.ledger, (end.n, end.hash)
        opening.check_present(self._path, end)
        opening.check_kind(self._path)
        self._connection = self._connect(self._path)
        found = opening.look(self._connection, self._path, self._owner, end)
        self._ledger = found.ledger
        self._owner = self._owner or found.owner
        if end is not None and end.suspect:
            tell("the storage failed: checking the whole ledger")
            opening.check_all(self._connection, self._path)
        tell("restoring the account")
        journal = Journal(self._connection, self._path, self._owner, found.asides)
        how = journal.restore()
        opening.check_end(self._connection, self._path, end)
        journal.save_snapshot(SNAPSHOT_EVERY)
        self._journal = journal
        owner_is_new = bool(self._owner) and not found.owner
        if found.loose or after_restore:  # anchored only once that is on record
            journal.begin(found.lives + 1, owner_is_new)
            fact = opening.restored_fact(journal.account.n, found.at)
            journal.commit([Wanted(fact, "writer")], found.at)
            how += (
                "; brought back from a backup"
                if after_restore
                else f"; {self._path}.end is missing or not readable, so entries after it may be"
                " lost: as after a restore"
            )
            self._mark()
        else:
            self._mark()
            journal.begin(found.lives + 1, owner_is_new)
        return Opened(journal.account.n, how, found.untold, found.reason, found.told)

    def commit(self, wanted: Sequence[Wanted], at: int) -> Plan:
        """Append in one transaction. What the ledger can't take is set aside, the rest goes on.

        Raises Locked (nothing happened, try again) or Failed (stop at once).
        """
        with self._failing():
            done = self._current.commit(wanted, at)
            if done.booked:
                self._mark()
        return done

    def entries(self, since: int, limit: int) -> tuple[Entry, ...]:
        """Entries with numbers above `since`, in order. Raises Failed if they can't be read."""
        with self._failing():
            return tuple(read_entry(row) for row in page(self._execute, since, limit))

    def told(self, aside: int) -> None:
        """Trading has been halted because of what was set aside up to this number."""
        with self._failing():
            self._current.remember("told", str(aside))

    def checkpoint(self) -> LogPages:
        """Bring the log file into the database, as far as no reader holds it up."""
        with self._failing():
            [(_, pages, done)] = rows(self._execute, "PRAGMA wal_checkpoint(PASSIVE)")
            return LogPages(pages, done)

    def close(self) -> None:
        """Save a snapshot, so that the next start has little to replay, and empty the log file."""
        try:
            if self.account is not None and self._failure is None:
                with self._failing():
                    self._current.save_snapshot()
                    rows(self._execute, "PRAGMA wal_checkpoint(TRUNCATE)")
        finally:
            self._disconnect()
            self._anchor.release()

    # Life

    @property
    def account(self) -> Account | None:
        """The account as of the last commit, None where it is not known to be that."""
        return None if self._journal is None or self._journal.stale else self._journal.account

    @property
    def _current(self) -> Journal:
        assert self._journal is not None, "open comes first"
        return self._journal

    @property
    def _execute(self) -> Connection:
        assert self._connection is not None, "open comes first"
        return self._connection

    @contextmanager
    def _failing(self) -> Iterator[None]:
        """Name what went wrong; after a failure nothing goes on, and the next start must check
        everything."""
        if self._failure is not None:
            raise self._failure
        try:
            yield
        except DBAPIError as e:
            self._suspect_if_failed(trouble(e, self._path), e)
        except (Damage, OSError) as e:
            self._suspect_if_failed(Failed(f"{self._path}: {e}"), e)

    def _suspect_if_failed(self, named: Locked | Failed, cause: Exception) -> None:
        if isinstance(named, Failed):
            self._failure = named
            self._suspect()
        raise named from cause

    def _suspect(self) -> None:
        """Have the next opening check everything."""
        if self._ledger:
            with suppress(OSError):  # the very disk may be gone: then the tail is still checked
                self._anchor.write(End(self._ledger, *self._acknowledged, suspect=True))

    def _disconnect(self) -> None:
        self._journal = None
        if self._connection is not None:
            self._connection.close()
            self._connection.engine.dispose()
            self._connection = None

    def _mark(self) -> None:
        self._acknowledged = (self._current.account.n, self._current.hash)
        self._anchor.write(End(self._ledger, *self._acknowledged))
