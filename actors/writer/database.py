"""Connections to a ledger's file, and what their errors mean to us.

One connection of one process writes and checkpoints; all others are read-only. Nobody in the
writer's process opens the database, its `-wal` or its `-shm` by path: closing such a file would
silently drop SQLite's locks. Looking at one (`stat`) is harmless.
"""

import contextlib
import os
from collections.abc import Iterator, Mapping
from typing import Any, Final

import sqlalchemy
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError

BUSY_MS: Final = 250
SMALLEST_BYTES: Final = 512  # of a database: what is smaller SQLite may take for none, and begin
CACHE_KIB: Final = 16 * 1024  # of pages: the index of ids grows by a page here and a page there
SQLITE_BUSY: Final = 5
SQLITE_LOCKED: Final = 6
SQLITE_READONLY: Final = 8
LOCK_BYTES: Final = range(120, 123)  # of the -shm: writing, checkpointing, recovering
PENDING_BYTE: Final = 0x40000000  # of the database itself, outside WAL mode
PATH_FILES: Final = ("", "-wal", "-shm")


class Locked(Exception):
    """Somebody else holds the database; worth another try."""


class Failed(Exception):
    """The storage failed: nothing may be acknowledged until the process has started again."""


DURABLE: Final = {
    "journal_mode": "wal",
    "synchronous": 2,  # FULL
    "busy_timeout": BUSY_MS,
    "wal_autocheckpoint": 0,
    "cache_size": -CACHE_KIB,
}
DISPOSABLE: Final = {"journal_mode": "off", "synchronous": 0}


def connect(path: str) -> Connection:
    """The one connection that writes: WAL mode, every commit fsynced.

    Checkpoints are made by the writer when it chooses, never in the middle of a commit. Raises
    Failed if the file does not take these settings, and DBAPIError.
    """
    return connect_with(path, DURABLE)


def connect_disposable(path: str) -> Connection:
    """A connection for a file that means nothing until it is whole, synced and proved."""
    return connect_with(path, DISPOSABLE)


def connect_with(path: str, pragmas: Mapping[str, Any]) -> Connection:
    """A connection with these settings. Raises Failed if the file does not take them."""
    engine = sqlalchemy.create_engine(
        sqlalchemy.URL.create("sqlite+pysqlite", database=path),
        connect_args={"check_same_thread": False},
        poolclass=sqlalchemy.NullPool,
    )
    connection = engine.connect()
    try:
        prepare(connection, path, pragmas)
    except BaseException:
        connection.close()
        raise
    return connection


def prepare(connection: Connection, path: str, pragmas: Mapping[str, Any]) -> None:
    """Set what a connection relies on, and read it back. Raises Failed."""
    for name, value in pragmas.items():
        connection.exec_driver_sql(f"PRAGMA {name} = {value}")
        found = connection.exec_driver_sql(f"PRAGMA {name}").scalar_one()
        if found != value:
            raise Failed(f"{path}: PRAGMA {name} is {found}, expected {value}")
    connection.rollback()


@contextlib.contextmanager
def writing(connection: Connection) -> Iterator[None]:
    """One transaction that holds the write lock from its beginning."""
    try:
        with connection.begin():
            if connection.dialect.name == "sqlite":
                connection.exec_driver_sql("BEGIN IMMEDIATE")
            yield
    except BaseException:
        if not connection.closed and not connection.invalidated:
            # SQLAlchemy does not after a COMMIT that failed: the next read would see all of it.
            connection.connection.rollback()
        raise


def trouble(error: DBAPIError, path: str) -> Locked | Failed:
    """What a database error means to us: wait for somebody else, or stop."""
    code = getattr(error.orig, "sqlite_errorcode", 0) & 0xFF  # the primary of an extended code
    if code in (SQLITE_BUSY, SQLITE_LOCKED):
        holder = lock_holder(path)
        return Locked(f"{path}: {error.orig}{f', held by {holder}' if holder else ''}")
    return Failed(f"{path}: {error.orig}")


def lock_holder(path: str) -> str:
    """Who holds a lock that keeps us from writing, as the kernel knows it; "" if it does not."""
    inodes = {}
    for suffix in PATH_FILES:
        with contextlib.suppress(OSError):
            found = os.stat(path + suffix)
            inodes[f"{os.major(found.st_dev):02x}:{os.minor(found.st_dev):02x}:{found.st_ino}"] = (
                suffix
            )
    try:
        with open("/proc/locks", encoding="ascii") as file:
            lines = [line.split() for line in file]
    except OSError:
        return ""
    for fields in lines:
        if "->" in fields or len(fields) < 8 or fields[3] != "WRITE" or fields[5] not in inodes:
            continue
        first = int(fields[6])
        wanted = first in LOCK_BYTES if inodes[fields[5]] == "-shm" else first >= PENDING_BYTE
        if wanted and int(fields[4]) != os.getpid():
            return _process(int(fields[4]))
    return ""


def _process(pid: int) -> str:
    try:
        with open(f"/proc/{pid}/comm", encoding="utf-8", errors="replace") as file:
            return f"pid {pid} ({file.read().strip()})"
    except OSError:
        return f"pid {pid}"
