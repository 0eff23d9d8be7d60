"""Reads a ledger's database: for its writer, for the rehydrator, and for whoever proves it.

Everything is read by pages, each in a transaction of its own and far below two seconds: a reader
that stays would make the writer's log file grow without bound.
"""

from collections.abc import Callable, Iterable
from typing import Any, Final
from urllib.parse import quote

import sqlalchemy
from msgspec import Struct
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError

from protocol.account import Account
from protocol.audit import Audit, Damage, check_link, check_row
from protocol.ledger import (
    DERIVED,
    ENTRY_COLUMNS,
    GENESIS,
    Key,
    Row,
    Snapshot,
    Unsound,
    open_snapshot,
    renamed,
)
from protocol.limits import READ_ENTRIES, TAIL_CHECKED

KEYS_AT_ONCE: Final = 400  # of one SELECT: every database takes as many parameters
SQLITE_CORRUPT: Final = 11
SQLITE_NOTADB: Final = 26

_PAGE: Final = f"SELECT {', '.join(ENTRY_COLUMNS)} FROM entries WHERE n > ? ORDER BY n LIMIT ?"
_SNAPSHOT: Final = "SELECT n, format, account, entry_hash, body, digest FROM snapshots WHERE n = ?"


class Recovered(Struct, frozen=True):
    """An account as of the ledger's last entry."""

    account: Account
    hash: bytes  # of that entry
    snapshot_n: int  # the snapshot that it was restored from, 0 if from none
    how: str


class Page(Struct, frozen=True):
    """How far an audit is: entries folded of how many, and whether that was all."""

    done: int
    total: int
    ended: bool


def connect_read_only(path: str) -> Connection:
    """A connection that can't change a byte; makes no file where there is none."""
    uri = sqlalchemy.URL.create(
        "sqlite+pysqlite", database=f"file:{quote(path)}", query={"mode": "ro", "uri": "true"}
    )
    return sqlalchemy.create_engine(
        uri, poolclass=sqlalchemy.NullPool, connect_args={"check_same_thread": False}
    ).connect()


def rows(connection: Connection, statement: str, *values: Any) -> list[Any]:
    """What a statement reads, in a transaction of its own."""
    try:
        return list(connection.exec_driver_sql(statement, values))
    finally:
        connection.rollback()


def page(connection: Connection, since: int, limit: int = READ_ENTRIES) -> list[Any]:
    """The rows of the entries above `since`, in the order of ENTRY_COLUMNS."""
    return rows(connection, _PAGE, since, limit)


def head_of(connection: Connection) -> int:
    """The number of the last entry, 0 if there is none."""
    return int(rows(connection, "SELECT coalesce(max(n), 0) FROM entries")[0][0])


def hash_at(connection: Connection, n: int) -> bytes:
    """The hash of an entry, GENESIS if there is no such entry."""
    found = rows(connection, "SELECT hash FROM entries WHERE n = ?", n)
    return bytes(found[0][0]) if found else GENESIS


def restore(
    connection: Connection, owner: str, tell: Callable[[int, int], None] = lambda *_: None
) -> Recovered:
    """The account from the newest sound snapshot and a replay of what came after.

    The chain is checked from a little before the snapshot. `tell` hears how many entries of how
    many are replayed. Raises Damage, DBAPIError.
    """
    head = head_of(connection)
    account, refused = newest_snapshot(connection, owner, head)
    start = account.n
    audit = Audit(account, _checked_tail(connection, start))
    while found := page(connection, audit.account.n):
        audit.take(found)
        tell(audit.account.n - start, max(head, audit.account.n) - start)
    how = f"snapshot at {start}, {audit.account.n - start} entries replayed"
    if refused:
        how += "; refused: " + "; ".join(refused)
    return Recovered(audit.account, audit.hash, start, how)


def newest_snapshot(connection: Connection, owner: str, head: int) -> tuple[Account, list[str]]:
    """The account of the newest sound snapshot, an empty one if there is none, and why newer
    ones were refused."""
    refused = []
    for (n,) in rows(connection, "SELECT n FROM snapshots ORDER BY n DESC"):
        try:
            [values] = rows(connection, _SNAPSHOT, n)
            state = open_snapshot(Snapshot(*values), head, owner, hash_at(connection, n))
        except Unsound as e:
            refused.append(f"snapshot at {n}: {e}")
        except DBAPIError as e:
            if not is_no_text(e):
                raise
            refused.append(f"snapshot at {n}: can't be read: {e.orig}")
        else:
            return Account(state), refused
    return Account(), refused


def is_no_text(error: DBAPIError) -> bool:
    """Whether a text is stored that is no UTF-8: of that SQLite says nothing, Python does."""
    return not hasattr(error.orig, "sqlite_errorcode") and "decode to UTF-8" in str(error.orig)


def is_damage(error: DBAPIError) -> bool:
    """Whether what can't be read is not what was written, and never will be."""
    code = getattr(error.orig, "sqlite_errorcode", 0) & 0xFF  # the primary of an extended code
    return code in (SQLITE_CORRUPT, SQLITE_NOTADB) or is_no_text(error)


def check_chain(connection: Connection, start: int = 0, end: int | None = None) -> bytes:
    """Check the chain after entry `start` up to `end`, or to the last. Returns the last hash.

    Raises Damage.
    """
    n, before = start, hash_at(connection, start)
    limit = READ_ENTRIES
    while limit:
        if end is not None:
            limit = min(end - n, READ_ENTRIES)
        found = page(connection, n, limit)
        for row in found:
            n, before = n + 1, check_link(before, n + 1, row)
        if not found:
            break
    if end is not None and n != end:
        raise Damage(f"entry {n + 1} is missing")
    return before


def _checked_tail(connection: Connection, start: int) -> bytes:
    return check_chain(connection, max(start - TAIL_CHECKED, 0), start)


class Scan:
    """An audit of the whole ledger, page by page, beside whoever writes it.

    First every entry is folded again and what it makes is held against the tables; then every
    row of the tables is held against its entry. Together: the tables are the fold.
    """

    def __init__(self) -> None:
        self.audit = Audit()
        self._left: list[tuple[str, Key | None]] = [(name, None) for name in DERIVED]

    def next(self, connection: Connection, limit: int = READ_ENTRIES) -> Page:
        """Prove the next page, of at most `limit` entries. Raises Damage, DBAPIError."""
        try:
            with connection.begin():  # entries and rows as of one moment
                if connection.dialect.name == "sqlite":
                    connection.exec_driver_sql("BEGIN")
                return self._next(connection, limit)
        except DBAPIError as e:
            if is_damage(e):
                raise Damage(f"after entry {self.audit.account.n}: {e.orig}") from e
            raise

    def _next(self, connection: Connection, limit: int) -> Page:
        read = connection.exec_driver_sql
        head = int(read("SELECT coalesce(max(n), 0) FROM entries").scalar_one())
        found = list(read(_PAGE, (self.audit.account.n, limit)))
        if found:
            made = self.audit.take(found)
            self.audit.compare(made, live_rows(connection, made))
        caught_up = len(found) < limit
        if caught_up and self._left:  # entries that come meanwhile hold nothing up
            table, after = self._left[0]
            last = check_rows(connection, table, after)
            self._left[:1] = [] if last is None else [(table, last)]
        ended = caught_up and not self._left
        if ended:
            self.audit.end()
        return Page(self.audit.account.n, head, ended)


def live_rows(
    connection: Connection, made: Iterable[Row]
) -> dict[tuple[str, Key], tuple[Any, ...]]:
    """The rows of the tables, as they are now, under the keys of rows that entries made, and of
    those that they replaced."""
    keys: dict[str, dict[Key, None]] = {}
    for row in made:
        keys.setdefault(row[0], {})[row[1]] = None
        if renamed(row):
            keys[row[0]][renamed(row),] = None
    found: dict[tuple[str, Key], tuple[Any, ...]] = {}
    for table, wanted in keys.items():
        shape = DERIVED[table]
        at = [shape.columns.index(name) for name in shape.key]
        ordered = list(wanted)
        for i in range(0, len(ordered), KEYS_AT_ONCE):
            some = ordered[i : i + KEYS_AT_ONCE]
            marks = ", ".join([f"({', '.join('?' * len(at))})"] * len(some))
            statement = (
                f"SELECT {_names(shape.columns)} FROM {table}"
                f" WHERE ({_names(shape.key)}) IN (VALUES {marks})"
            )
            for row in connection.exec_driver_sql(statement, tuple(v for key in some for v in key)):
                found[table, tuple(row[j] for j in at)] = tuple(row)
    return found


def check_rows(connection: Connection, table: str, after: Key | None) -> Key | None:
    """Hold the next rows of a table against their entries. Returns the last key, None at the end.

    Raises Damage.
    """
    shape = DERIVED[table]
    key = _names(shape.key, "t.")
    beyond = "" if after is None else f"WHERE ({key}) > ({', '.join('?' * len(shape.key))})"
    statement = (
        f"SELECT {_names(shape.columns, 't.')}, e.derived FROM {table} t"
        f" LEFT JOIN entries e ON e.n = t.n {beyond} ORDER BY {key} LIMIT ?"
    )
    found = list(connection.exec_driver_sql(statement, (*(after or ()), READ_ENTRIES)))
    for row in found:
        check_row(table, tuple(row[:-1]), row[-1])
    if not found:
        return None
    return tuple(found[-1][shape.columns.index(name)] for name in shape.key)


def _names(columns: Iterable[str], prefix: str = "") -> str:
    return ", ".join(f'{prefix}"{name}"' for name in columns)
