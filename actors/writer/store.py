"""The ledger on disk: SQLite in WAL mode, every commit fsynced, entries chained by hash.

One connection writes and checkpoints. Nothing else in this process opens the database or its
`-wal` and `-shm` by path: closing such a file would drop SQLite's locks.
"""

import contextlib
import fcntl
import hashlib
import os
from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec
import sqlalchemy
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.exc import DBAPIError, IntegrityError

from actors.writer.batch import Booked, Known, Plan, Result, Wanted, plan
from actors.writer.tables import GENESIS, SCHEMA, SCHEMA_VERSION, UPSERTS, chain, row_of
from protocol.account import Account
from protocol.errors import ConfigError, RemoteProtocolError
from protocol.facts import AnyFact, natural_id
from protocol.limits import SNAPSHOT_EVERY
from protocol.messages import AccountState, Entry, Order
from protocol.units import decode_unit, encode_unit

SNAPSHOTS_KEPT: Final = 3
BUSY_MS: Final = 250
TAIL_CHECKED: Final = 500  # entries before the snapshot whose chain is checked at every start
SQLITE_BUSY: Final = 5
SQLITE_LOCKED: Final = 6
UNBOOKABLE: Final = (IntegrityError, OverflowError, RemoteProtocolError)

_encode = msgspec.json.Encoder(enc_hook=encode_unit).encode
_decode_fact: msgspec.json.Decoder[AnyFact] = msgspec.json.Decoder(AnyFact, dec_hook=decode_unit)
_decode_state = msgspec.json.Decoder(AccountState, dec_hook=decode_unit).decode


class Locked(Exception):
    """Somebody else holds the database; worth another try."""


class Failed(Exception):
    """The storage failed: nothing may be acknowledged until the process has started again."""


class Store:
    """The database and the account as of its last entry. Used from one thread only."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._engine: Engine | None = None
        self._connection: Connection | None = None
        self._account = Account()
        self._hash = GENESIS
        self._snapshot_n = 0
        self._stale = True  # the account may be ahead of what is committed
        self._lock = -1

    def open(self) -> int:
        """Lock, open, check the tail, restore the account, prove a commit. Returns the head.

        Raises ConfigError if the database is locked by another writer or newer than we are,
        Locked if somebody else holds it for now, and Failed if it is damaged or can't be written.
        After any of them nothing is held, and it may be opened again.
        """
        try:
            return self._opened()
        except DBAPIError as e:
            self._release()
            raise trouble(e, self._path) from e
        except (ConfigError, Failed):
            self._release()
            raise

    def _opened(self) -> int:
        self._lock = os.open(f"{self._path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConfigError(f"{self._path}: another writer has it open") from None
        self._connect()
        self._migrate()
        self._restore()
        with self._execute.begin():
            self._execute.exec_driver_sql(
                "INSERT INTO meta VALUES ('opened', 1)"
                " ON CONFLICT (key) DO UPDATE SET value = value + 1"
            )
        return self._account.n

    def commit(self, wanted: Sequence[Wanted], at: int) -> Plan:
        """Append in one transaction. What the ledger can't take is set aside, the rest goes on.

        Raises Locked (nothing happened, try again) or Failed (stop at once).
        """
        try:
            if self._stale:
                self._restore()
            try:
                return self._commit(wanted, at)
            except UNBOOKABLE:
                self._restore()
                return self._commit_one_by_one(wanted, at)
        except DBAPIError as e:
            raise trouble(e, self._path) from e

    def entries(self, since: int, limit: int) -> tuple[Entry, ...]:
        """Entries with numbers above `since`, in order. Raises Failed if they can't be read."""
        try:
            rows = self._rows(
                "SELECT n, id, at, source, body FROM entries WHERE n > ? ORDER BY n LIMIT ?",
                (since, limit),
            )
        except DBAPIError as e:
            raise Failed(f"{self._path}: {e.orig}") from e
        return tuple(
            Entry(n, id, at, source, _decode_fact.decode(body)) for n, id, at, source, body in rows
        )

    def close(self) -> None:
        """Save a snapshot, so that the next start has little to replay."""
        try:
            ahead = self._account.n > self._snapshot_n and not self._stale
            if self._connection is not None and ahead:
                with self._execute.begin():
                    self._snapshot()
        except DBAPIError as e:
            raise Failed(f"{self._path}: no snapshot at the end: {e.orig}") from e
        finally:
            self._release()

    def _release(self) -> None:
        self._stale = True
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        if self._engine is not None:
            self._engine.dispose()
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    # Opening

    @property
    def _execute(self) -> Connection:
        assert self._connection is not None, "open comes first"
        return self._connection

    def _connect(self) -> None:
        self._engine = sqlalchemy.create_engine(
            sqlalchemy.URL.create("sqlite+pysqlite", database=self._path),
            connect_args={"check_same_thread": False},
        )
        self._connection = self._engine.connect()
        pragmas = {"journal_mode": "wal", "synchronous": 2, "busy_timeout": BUSY_MS}
        for name, value in pragmas.items():
            self._execute.exec_driver_sql(f"PRAGMA {name} = {value}")
            found = self._execute.exec_driver_sql(f"PRAGMA {name}").scalar_one()
            if found != value:
                raise Failed(f"{self._path}: PRAGMA {name} is {found}, expected {value}")
        self._execute.commit()

    def _migrate(self) -> None:
        version = self._execute.exec_driver_sql("PRAGMA user_version").scalar_one()
        self._execute.commit()
        if version > SCHEMA_VERSION:
            raise ConfigError(
                f"{self._path}: made by a newer program (schema {version}, this one knows "
                f"{SCHEMA_VERSION})"
            )
        if version == SCHEMA_VERSION:
            return
        with self._execute.begin():
            self._execute.exec_driver_sql("BEGIN IMMEDIATE")
            for statement in SCHEMA:
                self._execute.exec_driver_sql(statement)
            self._execute.exec_driver_sql(f"PRAGMA user_version = {SCHEMA_VERSION}")

    def _restore(self) -> None:
        """The account from the newest sound snapshot and the entries after it, chain checked."""
        head = self._rows("SELECT coalesce(max(n), 0) FROM entries")[0][0]
        self._account = self._sound_snapshot(head)
        self._snapshot_n = self._account.n
        checked = max(self._snapshot_n - TAIL_CHECKED, 0)
        before = self._rows("SELECT hash FROM entries WHERE n = ?", (checked,))
        self._hash = before[0][0] if before else GENESIS
        rows = self._rows(
            "SELECT n, id, at, source, body, hash FROM entries WHERE n > ? ORDER BY n", (checked,)
        )
        try:
            for expected, (n, id, at, source, body, digest) in enumerate(rows, checked + 1):
                self._hash = chain(self._hash, n, id, body)
                if n != expected or digest != self._hash:
                    raise Failed(f"{self._path}: entry {expected} is not what was written")
                if n > self._snapshot_n:
                    self._account.apply(Entry(n, id, at, source, _decode_fact.decode(body)))
        except (msgspec.DecodeError, RemoteProtocolError) as e:
            raise Failed(f"{self._path}: an entry can't be read: {e}") from e
        self._stale = False

    def _sound_snapshot(self, head: int) -> Account:
        """The newest that is what was written, is not from the future, and can still be read."""
        for n, body, digest in self._rows("SELECT n, body, sha256 FROM snapshots ORDER BY n DESC"):
            if n > head or hashlib.sha256(body.encode()).hexdigest() != digest:
                continue
            with contextlib.suppress(msgspec.DecodeError):  # of another version: replay instead
                state = _decode_state(body)
                if state.n == n:
                    return Account(state)
        return Account()

    def _rows(self, statement: str, values: tuple[Any, ...] = ()) -> list[Any]:
        try:
            return list(self._execute.exec_driver_sql(statement, values))
        finally:
            self._execute.rollback()  # a reader that stays pins the log file

    # Committing

    def _commit(self, wanted: Sequence[Wanted], at: int) -> Plan:
        with self._execute.begin():
            self._execute.exec_driver_sql("BEGIN IMMEDIATE")
            self._stale = True
            done = plan(wanted, self._known(wanted), self._account, at)
            digest = self._write(done.booked)
            if self._account.n - self._snapshot_n >= SNAPSHOT_EVERY:
                self._snapshot()
        self._hash, self._stale = digest, False
        return done

    def _commit_one_by_one(self, wanted: Sequence[Wanted], at: int) -> Plan:
        """Book what can be booked and set aside the rest, still all in one transaction.

        In halves it would not do: a retry after half a batch would find that half on record and
        never publish it.
        """
        results: list[Result] = []
        booked: list[Booked] = []
        committed = self._account.state()
        with self._execute.begin():
            self._execute.exec_driver_sql("BEGIN IMMEDIATE")
            self._stale = True
            for want in wanted:
                self._execute.exec_driver_sql("SAVEPOINT one")
                try:
                    done = plan([want], self._known([want]), self._account, at)
                    self._hash = self._write(done.booked)
                except UNBOOKABLE as e:
                    self._execute.exec_driver_sql("ROLLBACK TO one")
                    self._account = Account(committed)
                    for before in booked:
                        self._account.apply(before.entry)
                    done = self._set_aside(want, str(getattr(e, "orig", e)), at)
                self._execute.exec_driver_sql("RELEASE one")
                results += done.results
                booked += done.booked
        self._stale = False
        return Plan(tuple(results), tuple(booked))

    def _known(self, wanted: Sequence[Wanted]) -> dict[str, Known]:
        ids = [natural_id(want.fact) for want in wanted]
        marks = ",".join("?" * len(ids))
        rows = self._execute.exec_driver_sql(
            f"SELECT id, n, essence FROM entries WHERE id IN ({marks})", tuple(ids)
        )
        return {id: Known(n, body) for id, n, body in rows}

    def _write(self, booked: Iterable[Booked]) -> str:
        digest, entries = self._hash, []
        meanings: dict[type, dict[Any, tuple[Any, ...]]] = {}
        for one in booked:
            entry = one.entry
            body = _encode(entry.fact).decode()
            digest = chain(digest, entry.n, entry.id, body)
            kind = type(entry.fact).__name__
            entries.append(
                (entry.n, entry.id, kind, entry.at, entry.source, body, one.essence, digest)
            )
            for meaning in one.meanings:
                key, row = row_of(meaning)
                meanings.setdefault(type(meaning), {})[key] = row
        if entries:
            self._execute.exec_driver_sql(
                "INSERT INTO entries VALUES (?, ?, ?, ?, ?, ?, ?, ?)", entries
            )
        for kind_of_row, rows in meanings.items():
            self._execute.exec_driver_sql(UPSERTS[kind_of_row], list(rows.values()))
        renamed = [(row[2],) for row in meanings.get(Order, {}).values() if row[1] and row[2]]
        if renamed:  # ours may have been seen under the exchange's id before we knew it as ours
            self._execute.exec_driver_sql(
                "DELETE FROM orders WHERE key = ? AND client_order_id = ''", renamed
            )
        return digest

    def _snapshot(self) -> None:
        body = _encode(self._account.state()).decode()
        digest = hashlib.sha256(body.encode()).hexdigest()
        self._execute.exec_driver_sql(
            "INSERT OR REPLACE INTO snapshots VALUES (?, ?, ?)", (self._account.n, body, digest)
        )
        self._execute.exec_driver_sql(
            "DELETE FROM snapshots WHERE n NOT IN"
            " (SELECT n FROM snapshots ORDER BY n DESC LIMIT ?)",
            (SNAPSHOTS_KEPT,),
        )
        self._snapshot_n = self._account.n

    def _set_aside(self, want: Wanted, reason: str, at: int) -> Plan:
        self._execute.exec_driver_sql(
            "INSERT INTO poison (id, body, reason, at) VALUES (?, ?, ?, ?)",
            (natural_id(want.fact), _encode(want.fact).decode(), reason, at),
        )
        return Plan((Result("REFUSED", reason=reason),), ())


def trouble(error: DBAPIError, path: str) -> Locked | Failed:
    """What a database error means to us: wait for somebody else, or stop."""
    code = getattr(error.orig, "sqlite_errorcode", 0) & 0xFF  # the primary of an extended code
    kind = Locked if code in (SQLITE_BUSY, SQLITE_LOCKED) else Failed
    return kind(f"{path}: {error.orig}")
