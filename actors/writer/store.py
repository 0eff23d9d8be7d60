"""The ledger on disk: SQLite in WAL mode, every commit fsynced, entries chained by hash.

One connection writes and checkpoints. Nothing else in this process opens the database or its
`-wal` and `-shm` by path: closing such a file would drop SQLite's locks.
"""

import fcntl
import hashlib
import os
from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec
import sqlalchemy
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError

from actors.writer.batch import Booked, Known, Plan, Result, Wanted, plan
from protocol.account import Account, key_of
from protocol.errors import ConfigError, RemoteProtocolError
from protocol.facts import AnyFact, essence, natural_id
from protocol.limits import SNAPSHOT_EVERY
from protocol.messages import AccountState, Balance, BookedFill, Entry, Order, Position
from protocol.units import decode_unit, encode_unit

SCHEMA_VERSION: Final = 1
SNAPSHOTS_KEPT: Final = 3
BUSY_MS: Final = 250
GENESIS: Final = "0" * 64

SCHEMA: Final = (
    """CREATE TABLE entries (n INTEGER PRIMARY KEY CHECK (n > 0), id TEXT NOT NULL UNIQUE,
       kind TEXT NOT NULL, at INTEGER NOT NULL, source TEXT NOT NULL, body TEXT NOT NULL,
       essence TEXT NOT NULL, hash TEXT NOT NULL) STRICT""",
    """CREATE TRIGGER entries_stay BEFORE UPDATE ON entries
       BEGIN SELECT RAISE(ABORT, 'ledger entries are never changed'); END""",
    """CREATE TRIGGER entries_remain BEFORE DELETE ON entries
       BEGIN SELECT RAISE(ABORT, 'ledger entries are never deleted'); END""",
    """CREATE TABLE orders (key TEXT PRIMARY KEY, client_order_id TEXT NOT NULL,
       order_id TEXT NOT NULL, ticker TEXT NOT NULL, side TEXT NOT NULL, price INTEGER NOT NULL,
       count INTEGER NOT NULL, state TEXT NOT NULL, filled INTEGER NOT NULL CHECK (filled >= 0),
       remaining INTEGER NOT NULL CHECK (remaining >= 0), reason TEXT NOT NULL,
       n INTEGER NOT NULL) STRICT""",
    """CREATE TABLE fills (order_id TEXT NOT NULL, trade_id TEXT NOT NULL,
       client_order_id TEXT NOT NULL, ticker TEXT NOT NULL, side TEXT NOT NULL,
       price INTEGER NOT NULL CHECK (price BETWEEN 0 AND 1000000),
       count INTEGER NOT NULL CHECK (count > 0), fee INTEGER NOT NULL, is_taker INTEGER NOT NULL,
       exchange_at INTEGER NOT NULL, position INTEGER NOT NULL, n INTEGER NOT NULL,
       PRIMARY KEY (order_id, trade_id)) STRICT""",
    """CREATE TABLE positions (ticker TEXT PRIMARY KEY, position INTEGER NOT NULL,
       cost INTEGER NOT NULL, realized INTEGER NOT NULL, fees INTEGER NOT NULL,
       n INTEGER NOT NULL) STRICT""",
    """CREATE TABLE balances (shard INTEGER PRIMARY KEY, balance INTEGER NOT NULL,
       seen_at INTEGER NOT NULL, n INTEGER NOT NULL) STRICT""",
    """CREATE TABLE snapshots (n INTEGER PRIMARY KEY, body TEXT NOT NULL, sha256 TEXT NOT NULL)
       STRICT""",
    """CREATE TABLE poison (k INTEGER PRIMARY KEY, id TEXT NOT NULL, body TEXT NOT NULL,
       reason TEXT NOT NULL, at INTEGER NOT NULL) STRICT""",
    "CREATE TABLE meta (key TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT",
)

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
        self._lock = -1

    def open(self) -> int:
        """Lock, open, check the tail, restore the account, prove a commit. Returns the head.

        Raises ConfigError if the database is locked by another writer or newer than we are,
        and Failed if it is damaged or can't be written.
        """
        self._lock = os.open(f"{self._path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConfigError(f"{self._path}: another writer has it open") from None
        try:
            self._connect()
            self._migrate()
            self._restore()
            with self._execute.begin():
                self._execute.exec_driver_sql(
                    "INSERT INTO meta VALUES ('opened', 1)"
                    " ON CONFLICT (key) DO UPDATE SET value = value + 1"
                )
        except DBAPIError as e:
            raise Failed(f"{self._path}: {e.orig}") from e
        return self._account.n

    def commit(self, wanted: Sequence[Wanted], at: int) -> Plan:
        """Append in one transaction. What the ledger can't take is set aside, the rest goes on.

        Raises Locked (nothing happened, try again) or Failed (stop at once).
        """
        try:
            return self._commit(wanted, at)
        except (IntegrityError, OverflowError, RemoteProtocolError) as e:
            self._restore()
            if len(wanted) == 1:
                return self._set_aside(wanted[0], str(getattr(e, "orig", e)), at)
            half = len(wanted) // 2
            first, second = self.commit(wanted[:half], at), self.commit(wanted[half:], at)
            return Plan(first.results + second.results, first.booked + second.booked)
        except OperationalError as e:
            if "locked" in str(e.orig) or "busy" in str(e.orig):
                self._restore()
                raise Locked(str(e.orig)) from e
            raise Failed(str(e.orig)) from e
        except DBAPIError as e:
            raise Failed(str(e.orig)) from e

    def entries(self, since: int, limit: int) -> tuple[Entry, ...]:
        """Entries with numbers above `since`, in order."""
        rows = self._rows(
            "SELECT n, id, at, source, body FROM entries WHERE n > ? ORDER BY n LIMIT ?",
            (since, limit),
        )
        return tuple(
            Entry(n, id, at, source, _decode_fact.decode(body)) for n, id, at, source, body in rows
        )

    def close(self) -> None:
        """Save a snapshot, so that the next start has little to replay."""
        if self._connection is not None:
            if self._account.n > self._snapshot_n:
                with self._execute.begin():
                    self._snapshot()
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
            f"sqlite:///{self._path}", connect_args={"check_same_thread": False}
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
        self._account, self._hash, self._snapshot_n = Account(), GENESIS, 0
        head = self._rows("SELECT coalesce(max(n), 0) FROM entries")[0][0]
        for n, body, digest in self._rows("SELECT n, body, sha256 FROM snapshots ORDER BY n DESC"):
            if n <= head and hashlib.sha256(body.encode()).hexdigest() == digest:
                self._account, self._snapshot_n = Account(_decode_state(body)), n
                self._hash = self._rows("SELECT hash FROM entries WHERE n = ?", (n,))[0][0]
                break
        rows = self._rows(
            "SELECT n, id, at, source, body, hash FROM entries WHERE n > ? ORDER BY n",
            (self._account.n,),
        )
        for n, id, at, source, body, digest in rows:
            self._hash = chain(self._hash, n, id, body)
            if digest != self._hash:
                raise Failed(f"{self._path}: entry {n} is not what was written")
            self._account.apply(Entry(n, id, at, source, _decode_fact.decode(body)))

    def _rows(self, statement: str, values: tuple[Any, ...] = ()) -> list[Any]:
        rows = list(self._execute.exec_driver_sql(statement, values))
        self._execute.rollback()  # a reader that stays pins the log file
        return rows

    # Committing

    def _commit(self, wanted: Sequence[Wanted], at: int) -> Plan:
        with self._execute.begin():
            self._execute.exec_driver_sql("BEGIN IMMEDIATE")
            done = plan(wanted, self._known(wanted), self._account, at)
            digest = self._write(done.booked)
            if self._account.n - self._snapshot_n >= SNAPSHOT_EVERY:
                self._snapshot()
        self._hash = digest
        return done

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
        with self._execute.begin():
            self._execute.exec_driver_sql(
                "INSERT INTO poison (id, body, reason, at) VALUES (?, ?, ?, ?)",
                (natural_id(want.fact), essence(want.fact), reason, at),
            )
        return Plan((Result("REFUSED", reason=reason),), ())


UPSERTS: Final[dict[type, str]] = {
    Order: "INSERT OR REPLACE INTO orders VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    BookedFill: "INSERT INTO fills VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    Position: "INSERT OR REPLACE INTO positions VALUES (?, ?, ?, ?, ?, ?)",
    Balance: "INSERT OR REPLACE INTO balances VALUES (?, ?, ?, ?)",
}


def row_of(meaning: Order | BookedFill | Position | Balance) -> tuple[Any, tuple[Any, ...]]:
    """The key and the row of a derived table that a meaning becomes."""
    match meaning:
        case Order() as o:
            key = key_of(o)
            terms = (o.ticker, o.side, int(o.price), int(o.count), o.state)
            progress = (int(o.filled), int(o.remaining), o.reason, o.n)
            return key, (key, o.client_order_id, o.order_id, *terms, *progress)
        case BookedFill() as f:
            who = (f.order_id, f.trade_id, f.client_order_id, f.ticker, f.side)
            what = (int(f.price), int(f.count), int(f.fee), int(f.is_taker), f.exchange_at)
            return (f.order_id, f.trade_id), (*who, *what, int(f.position), f.n)
        case Position() as p:
            money = (int(p.cost), int(p.realized), int(p.fees))
            return p.ticker, (p.ticker, int(p.position), *money, p.n)
        case Balance() as b:
            return b.shard, (b.shard, int(b.balance), b.seen_at, b.n)


def chain(before: str, n: int, id: str, body: str) -> str:
    """The hash of an entry over the one before it: a changed or missing row breaks the chain."""
    return hashlib.sha256(f"{before}\n{n}\n{id}\n{body}".encode()).hexdigest()
