"""The ledger on disk: one transaction for an append and all that follows from it.

Used from one thread only. After a failed write or fsync the database would happily go on; we
don't: `Failed` ends the process, and the next one checks everything before it acknowledges.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Final

from msgspec import Struct
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError

from actors.writer import database, opening
from actors.writer.anchor import Anchor, AnchorFile, End
from actors.writer.batch import (
    Booked,
    Known,
    Plan,
    Result,
    Wanted,
    encode_fact,
    plan,
    stops_trading,
)
from actors.writer.booking import meta_row, poison_row, write_entries, write_snapshot
from actors.writer.database import Failed, Locked, trouble, writing
from actors.writer.tables import Statements
from protocol.account import Account
from protocol.audit import Damage, read_entry
from protocol.errors import ConfigError, RemoteProtocolError
from protocol.facts import essence, is_money, natural_id
from protocol.ledger import GENESIS, take_snapshot
from protocol.limits import SNAPSHOT_EVERY, SNAPSHOTS_KEPT
from protocol.messages import Entry
from protocol.runtime.ledger import page, restore, rows

UNBOOKABLE: Final = (
    IntegrityError, DataError, OverflowError, RemoteProtocolError, UnicodeEncodeError,
)  # fmt: skip

__all__ = ["Failed", "Locked", "Opened", "Store"]


class Opened(Struct, frozen=True):
    """What was found. `aside` is the last money that was set aside and nobody was told of."""

    head: int
    how: str
    aside: int = 0
    reason: str = ""


class Checkpoint(Struct, frozen=True):
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
        self._statements: Statements | None = None
        self._ledger = ""
        self._life = ""
        self._account = Account()
        self._hash = GENESIS
        self._acknowledged = (0, GENESIS)  # the last entry that was, and its hash
        self._snapshot_n = 0
        self._asides = 0
        self._stale = True  # the account may be ahead of what is committed
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
            raise trouble(e, self._path) from e
        except (Damage, RemoteProtocolError, OverflowError, UnicodeEncodeError) as e:
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
        opening.check_present(self._path, end)
        opening.check_kind(self._path)
        self._connection = self._connect(self._path)
        self._statements = Statements(self._connection.dialect)
        found = opening.look(self._connection, self._path, self._owner, end)
        self._ledger, self._asides = found.ledger, found.asides
        self._owner = self._owner or found.owner
        if end is not None and end.suspect:
            tell("the storage failed: checking the whole ledger")
            opening.check_all(self._connection)
        tell("restoring the account")
        how = self._restore()
        opening.check_end(self._connection, self._path, end)
        if self._account.n > self._snapshot_n + SNAPSHOT_EVERY:
            with writing(self._execute):
                self._snapshot()
        if found.loose or after_restore:  # anchored only once that is on record
            self._begin_life(found)
            self._write_restored(found.at)
            how += "; the entries after it may be lost: as after a restore"
        else:
            self._mark()
            self._begin_life(found)
        return Opened(self._account.n, how, found.untold, found.reason)

    def commit(self, wanted: Sequence[Wanted], at: int) -> Plan:
        """Append in one transaction. What the ledger can't take is set aside, the rest goes on.

        Raises Locked (nothing happened, try again) or Failed (stop at once).
        """
        with self._failing():
            if self._stale:
                self._restore()
            try:
                done = self._transact(lambda: self._book(wanted, at))
            except UNBOOKABLE:
                self._restore()
                done = self._transact(lambda: self._book_by_halves(wanted, at))
            if done.booked:
                self._mark()
        return done

    def entries(self, since: int, limit: int) -> tuple[Entry, ...]:
        """Entries with numbers above `since`, in order. Raises Failed if they can't be read."""
        with self._failing():
            return tuple(read_entry(row) for row in page(self._execute, since, limit))

    def told(self, aside: int) -> None:
        """Trading has been halted because of what was set aside up to this number."""
        with self._failing(), writing(self._execute):
            self._remember("told", str(aside))

    def checkpoint(self) -> Checkpoint:
        """Bring the log file into the database, as far as no reader holds it up."""
        with self._failing():
            [(_, pages, done)] = rows(self._execute, "PRAGMA wal_checkpoint(PASSIVE)")
            return Checkpoint(pages, done)

    def close(self) -> None:
        """Save a snapshot, so that the next start has little to replay, and empty the log file."""
        try:
            if self._connection is not None and not self._stale and self._failure is None:
                with self._failing():
                    if self._account.n > self._snapshot_n:
                        with writing(self._execute):
                            self._snapshot()
                    rows(self._execute, "PRAGMA wal_checkpoint(TRUNCATE)")
        finally:
            self._disconnect()
            self._anchor.release()

    # Life

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
            with suppress(OSError):  # the very disk may be gone: then the tail is still checked
                self._anchor.write(End(self._ledger, *self._acknowledged, suspect=True))
        raise named from cause

    def _disconnect(self) -> None:
        self._stale = True
        if self._connection is not None:
            self._connection.close()
            self._connection.engine.dispose()
            self._connection = None

    def _begin_life(self, found: opening.Found) -> None:
        """The trial commit. Its number is looked at in every later one, so that a second writer
        that got in somehow stops the first."""
        self._life = str(found.lives + 1)
        with writing(self._execute):
            self._remember("lives", self._life)
            if self._owner and not found.owner:
                self._remember("account", self._owner)

    def _remember(self, key: str, value: str) -> None:
        assert self._statements is not None
        self._execute.exec_driver_sql(self._statements.meta, meta_row(key, value))

    def _restore(self) -> str:
        found = restore(self._execute, self._owner)
        self._account, self._hash = found.account, found.hash
        self._snapshot_n, self._stale = found.snapshot_n, False
        return found.how

    def _mark(self) -> None:
        self._acknowledged = (self._account.n, self._hash)
        self._anchor.write(End(self._ledger, *self._acknowledged))

    def _write_restored(self, at: int) -> None:
        fact = opening.restored_fact(self._account.n, at)
        self._transact(lambda: self._book([Wanted(fact, "writer")], at))
        self._mark()

    # Committing

    def _transact(self, book: Callable[[], Plan]) -> Plan:
        with writing(self._execute):
            lives = self._execute.exec_driver_sql("SELECT value FROM meta WHERE key = 'lives'")
            if lives.scalar_one() != self._life:
                raise Failed(f"{self._path}: another writer has opened it")
            self._stale = True
            before = self._hash
            asides = self._asides
            try:
                done = book()
                if self._account.n - self._snapshot_n >= SNAPSHOT_EVERY:
                    self._snapshot()
            except BaseException:
                self._hash, self._asides = before, asides
                raise
        self._stale = False
        return done

    def _book(self, wanted: Sequence[Wanted], at: int) -> Plan:
        ids = [natural_id(want.fact) for want in wanted]
        named = list(zip(ids, wanted, strict=True))
        done = plan(named, self._known(ids), self._aside(ids), self._account, at)
        self._write(done.booked)
        results = list(done.results)
        for i, result in enumerate(results):
            fact = wanted[i].fact
            if not result.aside and stops_trading(fact, result):
                results[i] = self._set_aside(wanted[i], result, at)
        return Plan(tuple(results), done.booked)

    def _book_by_halves(self, wanted: Sequence[Wanted], at: int) -> Plan:
        """Book what can be booked and set aside the rest, still all in one transaction.

        In several it would not do: a retry after half a batch would find that half on record and
        never publish it.
        """
        committed = self._account.state()
        booked: list[Booked] = []
        results: list[Result] = []

        def attempt(part: Sequence[Wanted]) -> None:
            before = self._hash, self._asides
            self._execute.exec_driver_sql("SAVEPOINT part")
            try:
                done = self._book(part, at)
            except UNBOOKABLE as e:
                self._execute.exec_driver_sql("ROLLBACK TO part")
                self._execute.exec_driver_sql("RELEASE part")
                self._hash, self._asides = before
                self._account = Account(committed)
                for one in booked:
                    self._account.apply(one.entry)
                if len(part) > 1:
                    attempt(part[: len(part) // 2])
                    attempt(part[len(part) // 2 :])
                    return
                refused = Result("REFUSED", reason=str(getattr(e, "orig", e)))
                results.append(self._set_aside(part[0], refused, at))
                return
            self._execute.exec_driver_sql("RELEASE part")
            booked.extend(done.booked)
            results.extend(done.results)

        attempt(wanted)
        return Plan(tuple(results), tuple(booked))

    def _known(self, ids: Sequence[str]) -> dict[str, Known]:
        marks = ",".join("?" * len(ids))
        found = self._execute.exec_driver_sql(
            f"SELECT id, n, essence FROM entries WHERE id IN ({marks})", tuple(ids)
        )
        return {id: Known(n, core) for id, n, core in found}

    def _aside(self, ids: Sequence[str]) -> dict[tuple[str, bytes], Result]:
        if not self._asides:
            return {}
        names = [printable(id) for id in ids]
        marks = ",".join("?" * len(names))
        found = self._execute.exec_driver_sql(
            f"SELECT id, essence, reason, k FROM poison WHERE id IN ({marks})", tuple(names)
        )
        return {(id, core): Result("REFUSED", 0, reason, k) for id, core, reason, k in found}

    def _write(self, booked: Sequence[Booked]) -> None:
        assert self._statements is not None
        self._hash = write_entries(
            self._execute,
            self._statements,
            self._hash,
            [
                (one.entry.n, one.entry.id, type(one.entry.fact).__name__, one.entry.at,
                 one.entry.source, one.body, one.essence, one.rows)
                for one in booked
            ],
        )  # fmt: skip

    def _snapshot(self) -> None:
        assert self._statements is not None
        snapshot = take_snapshot(self._account.state(), self._owner, self._hash)
        write_snapshot(self._execute, self._statements, snapshot, SNAPSHOTS_KEPT)
        self._snapshot_n = self._account.n

    def _set_aside(self, want: Wanted, result: Result, at: int) -> Result:
        assert self._statements is not None
        id = printable(natural_id(want.fact))
        try:
            body = encode_fact(want.fact).decode()
        except (UnicodeEncodeError, OverflowError):
            body = ascii(want.fact)
            core = hashlib.sha256(body.encode()).digest()
        else:
            core = essence(want.fact)
        known = self._aside([id]).get((id, core))
        if known is not None:
            return Result(result.verdict, result.n, result.reason, known.aside)
        reason, money = result.reason, is_money(want.fact)
        row = poison_row(self._asides + 1, id, core, body, reason, at, money)
        self._execute.exec_driver_sql(self._statements.poison, row)
        self._asides += 1
        return Result(result.verdict, result.n, result.reason, self._asides)


def printable(text: str) -> str:
    """The text as a database takes it: what has no UTF-8 is written with backslashes."""
    return text.encode("utf-8", "backslashreplace").decode()
