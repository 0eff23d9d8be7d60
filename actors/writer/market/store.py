"""The database of trades and quotes: a file of its own, made anew whenever there is none.

It is a record that may have holes, not a truth: it is not migrated, not chained and not backed up.
A file of another version, or one that is damaged, is left alone and named; once it is moved away
a new one is begun.
"""

import contextlib
import os
from collections.abc import Iterator
from typing import Final

from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError

from actors.writer.database import BUSY_MS, Failed, Locked, connect_with, prepare, trouble, writing
from actors.writer.market.retention import database_bytes_max
from actors.writer.market.wire import Batch, Held, Opened, Place, Prune, Table, Values
from protocol.limits import KEEP_LOG_BYTES_MAX, KEEP_TOPICS_MAX
from protocol.runtime.ledger import rows

VERSION: Final = 1
APPLICATION: Final = 0x6B6D6B74  # "kmkt": tells the file from a ledger and from anything else
CACHE_KIB: Final = 16 * 1024
SETTINGS: Final = {
    "journal_mode": "wal",
    "synchronous": 1,  # NORMAL: a power cut may take the last rows, never the file
    "busy_timeout": BUSY_MS,
    "wal_autocheckpoint": 1_000,  # pages: in this process nobody waits for a checkpoint
    "journal_size_limit": KEEP_LOG_BYTES_MAX,
    "cache_size": -CACHE_KIB,
}
TABLES: Final[tuple[Table, ...]] = ("trades", "quotes", "holes")
# Prices in micro-dollars, counts in hundredths of a contract, times in microseconds.
SCHEMA: Final = (
    """CREATE TABLE trades (
        k INTEGER PRIMARY KEY, ticker TEXT NOT NULL, trade_id TEXT NOT NULL UNIQUE,
        price INTEGER NOT NULL, count INTEGER NOT NULL, taker_side TEXT NOT NULL,
        block INTEGER NOT NULL, exchange_at INTEGER NOT NULL, received_at INTEGER NOT NULL,
        epoch INTEGER NOT NULL, seq INTEGER NOT NULL) STRICT""",
    "CREATE INDEX trades_by_ticker ON trades (ticker, exchange_at)",
    """CREATE TABLE quotes (
        k INTEGER PRIMARY KEY, ticker TEXT NOT NULL, last INTEGER NOT NULL,
        last_size INTEGER NOT NULL, bid INTEGER NOT NULL, bid_size INTEGER NOT NULL,
        ask INTEGER NOT NULL, ask_size INTEGER NOT NULL, volume INTEGER NOT NULL,
        open_interest INTEGER NOT NULL, exchange_at INTEGER NOT NULL,
        received_at INTEGER NOT NULL, epoch INTEGER NOT NULL, seq INTEGER NOT NULL) STRICT""",
    "CREATE INDEX quotes_by_ticker ON quotes (ticker, exchange_at)",
    """CREATE TABLE holes (
        k INTEGER PRIMARY KEY, topic TEXT NOT NULL, epoch INTEGER NOT NULL,
        from_seq INTEGER NOT NULL, to_seq INTEGER NOT NULL, since INTEGER NOT NULL,
        at INTEGER NOT NULL) STRICT""",
    """CREATE TABLE places (
        topic TEXT PRIMARY KEY, epoch INTEGER NOT NULL, seq INTEGER NOT NULL,
        said_at INTEGER NOT NULL) STRICT, WITHOUT ROWID""",
    f"PRAGMA application_id = {APPLICATION}",
    f"PRAGMA user_version = {VERSION}",
)
ADD: Final[dict[Table, str]] = {
    "trades": "INSERT INTO trades (ticker, trade_id, price, count, taker_side, block, exchange_at,"
    " received_at, epoch, seq) VALUES (?,?,?,?,?,?,?,?,?,?) ON CONFLICT (trade_id) DO NOTHING",
    "quotes": "INSERT INTO quotes (ticker, last, last_size, bid, bid_size, ask, ask_size, volume,"
    " open_interest, exchange_at, received_at, epoch, seq) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?)",
    "holes": "INSERT INTO holes (topic, epoch, from_seq, to_seq, since, at) VALUES (?,?,?,?,?,?)",
}
PLACE: Final = (
    "INSERT INTO places VALUES (?,?,?,?) ON CONFLICT (topic) DO UPDATE SET"
    " epoch = excluded.epoch, seq = excluded.seq, said_at = excluded.said_at"
)
AGE: Final[dict[Table, str]] = {"trades": "received_at", "quotes": "received_at", "holes": "at"}


class MarketStore:
    """The open database, written by one connection of one thread."""

    def __init__(self, path: str, keep_bytes: int) -> None:
        self._path = path
        self._bytes = keep_bytes
        self._connection: Connection | None = None
        self._inode = (0, 0)
        self._page_bytes = 0

    def open(self, at: int) -> Opened:
        """Open it, or make it. Raises Locked, or Failed if it is not ours or can't be used."""
        self.close()
        with self._naming():
            self._connection = connection = connect_with(self._path, {"busy_timeout": BUSY_MS})
            self._check_kind(connection)
            prepare(connection, self._path, SETTINGS)
            fresh = self._make(connection)
            found = os.stat(self._path)
            self._inode = (found.st_dev, found.st_ino)
            self._page_bytes = int(_one(connection, "PRAGMA page_size"))
            pages = database_bytes_max(self._bytes) // self._page_bytes
            rows(connection, f"PRAGMA max_page_count = {pages}")
            with writing(connection):
                connection.exec_driver_sql(
                    "DELETE FROM places WHERE topic NOT IN"
                    " (SELECT topic FROM places ORDER BY said_at DESC LIMIT ?)",
                    (KEEP_TOPICS_MAX,),
                )
            places = tuple(Place(*row) for row in rows(connection, "SELECT * FROM places"))
            return Opened(at, places, self._held(connection), fresh)

    def save(self, batch: Batch, prunes: tuple[Prune, ...]) -> Held:
        """One transaction: what goes, then what comes, so that freed pages are used again.

        Raises Locked (nothing was written) or Failed (it has to be opened again).
        """
        connection = self._connection
        assert connection is not None, "open comes first"
        with self._naming():
            self._check(connection)
            with writing(connection):
                for prune in prunes:
                    connection.exec_driver_sql(*_deletion(prune))
                if batch.anew:
                    connection.exec_driver_sql("DELETE FROM places")
                for statement, values in _additions(batch):
                    connection.exec_driver_sql(statement, values)
            return self._held(connection)

    def close(self) -> None:
        """Let go of it, whatever its state."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()
            connection.engine.dispose()

    def _check_kind(self, connection: Connection) -> None:
        """Raises Failed if it is something else, before anything of it is changed."""
        tables = _one(connection, "SELECT count(*) FROM sqlite_schema")
        named = _one(connection, "PRAGMA application_id")
        version = _one(connection, "PRAGMA user_version")
        if tables and (named, version) != (APPLICATION, VERSION):
            what = f"of version {version}" if named == APPLICATION else "something else"
            raise Failed(f"{self._path}: is {what}, expected {VERSION}: move it away")

    def _make(self, connection: Connection) -> bool:
        """Make the tables, if there are none. Whether there were none."""
        with writing(connection):
            if connection.exec_driver_sql("SELECT count(*) FROM sqlite_schema").scalar_one():
                return False
            for statement in SCHEMA:
                connection.exec_driver_sql(statement)
        return True

    def _check(self, connection: Connection) -> None:
        """The file must still be there under its name, and its log file within its bound."""
        found = os.stat(self._path)
        if (found.st_dev, found.st_ino) != self._inode:
            raise Failed(f"{self._path}: is another file now")
        if self._log_bytes() > KEEP_LOG_BYTES_MAX:
            [(busy, _, _)] = rows(connection, "PRAGMA wal_checkpoint(TRUNCATE)")
            if busy:
                raise Locked(f"{self._path}: a reader that does not end holds its log file")

    def _log_bytes(self) -> int:
        try:
            return os.stat(f"{self._path}-wal").st_size
        except FileNotFoundError:
            return 0

    def _held(self, connection: Connection) -> Held:
        pages = int(_one(connection, "PRAGMA page_count"))
        free = int(_one(connection, "PRAGMA freelist_count"))
        oldest: dict[Table, int] = {}
        for table in TABLES:
            for (first,) in rows(
                connection, f"SELECT {AGE[table]} FROM {table} ORDER BY k LIMIT 1"
            ):
                oldest[table] = int(first)
        return Held((pages - free) * self._page_bytes, oldest)

    @contextlib.contextmanager
    def _naming(self) -> Iterator[None]:
        """Name what went wrong; after a failure the connection is given up."""
        try:
            yield
        except DBAPIError as e:
            named = trouble(e, self._path)
            if isinstance(named, Failed):
                self.close()
            raise named from e
        except OSError as e:
            self.close()
            raise Failed(f"{self._path}: {e.strerror}") from e
        except Failed:
            self.close()
            raise


def _one(connection: Connection, statement: str) -> int:
    [(value,)] = rows(connection, statement)
    return int(value)


def _deletion(prune: Prune) -> tuple[str, tuple[int, int]]:
    name, age = prune.table, AGE[prune.table]
    statement = (
        f"DELETE FROM {name} WHERE k <= (SELECT max(k) FROM"
        f" (SELECT k FROM {name} ORDER BY k LIMIT ?)) AND {age} < ?"
    )
    return statement, (prune.rows, prune.before)


def _additions(batch: Batch) -> Iterator[tuple[str, list[Values]]]:
    if batch.trades:
        yield ADD["trades"], list(batch.trades)
    if batch.quotes:
        yield ADD["quotes"], list(batch.quotes)
    if batch.holes:
        yield ADD["holes"], list(batch.holes)
    if batch.forgotten:
        yield "DELETE FROM places WHERE topic = ?", [(topic,) for topic in batch.forgotten]
    if batch.places:
        yield PLACE, [(p.topic, p.epoch, p.seq, p.said_at) for p in batch.places]
