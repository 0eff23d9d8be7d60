"""What is on disk under each idempotency key: a small SQLite file of the front's own.

What is done together is one commit, which is on disk (an fsync) before anybody hears of it; its
thread is `answers_thread.py`. Nothing is forgotten before its time: a file that is full, or no
good, takes no other key, and says so; what has no key goes on.
"""

import contextlib
import logging
import os
import sqlite3
import stat
from collections.abc import Sequence
from typing import Final

from msgspec import Struct

from actors.api.keyed import Begin, Begun, Drop, Keep, Kept, Known
from protocol.limits import (
    IDEMPOTENCY_BYTES_MAX,
    IDEMPOTENCY_KEEP,
    IDEMPOTENCY_KEYS_MAX,
    IDEMPOTENCY_PRUNED,
    US,
)
from protocol.machine import Cause
from protocol.runtime.process import sync_folder

FORMAT: Final = 1
APPLICATION: Final = 0x6B736964  # "ksid", application_id of the file
KEEP_US: Final = IDEMPOTENCY_KEEP // US
TABLE: Final = """
CREATE TABLE answers (
    caller TEXT NOT NULL, key TEXT NOT NULL, digest BLOB NOT NULL, at INTEGER NOT NULL,
    answered INTEGER NOT NULL, status INTEGER NOT NULL, body BLOB NOT NULL, location TEXT NOT NULL,
    PRIMARY KEY (caller, key)
) STRICT;
CREATE INDEX answers_by_age ON answers (answered, at);
"""

Wish = Begin | Keep | Drop

log = logging.getLogger(__name__)


class Bounds(Struct, frozen=True):
    """How much is kept."""

    keys: int = IDEMPOTENCY_KEYS_MAX
    bytes: int = IDEMPOTENCY_BYTES_MAX
    pruned: int = IDEMPOTENCY_PRUNED


class Unfit(Exception):
    """The file is no good; the text says why."""


class Store:
    """The file, and one connection to it. Used by one thread, which is where it is opened."""

    def __init__(self, path: str, bounds: Bounds | None = None) -> None:
        self._path = path
        self._bounds = bounds or Bounds()
        self._database: sqlite3.Connection | None = None
        self._keys = 0
        self._bytes = 0

    def open(self, at: int) -> None:
        """Make the file ready, or a new one. `at` is the wall clock, microseconds.

        Raises Unfit. A file that can't be read is moved aside if all that was in it is too old to
        matter; otherwise that is for somebody to do who knows that no key in it is used again: to
        forget a resume may lift a halt, to forget a group may make another.
        """
        self.close()
        try:
            self._open()
        except sqlite3.DatabaseError as e:
            self.close()
            if _primary(e) not in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
                raise Unfit(f"{self._path}: {e}") from None
            try:
                self._aside(at, str(e))
            except OSError as unmoved:
                text = f"{self._path}: {e}, and it can't be moved aside: {unmoved.strerror}"
                raise Unfit(text) from None
            self.open(at)
        except OSError as e:
            raise Unfit(f"{self._path}: {e.strerror}") from None

    def _open(self) -> None:
        """Raises sqlite3.DatabaseError, OSError and Unfit."""
        descriptor = os.open(
            self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600
        )
        try:
            found = os.fstat(descriptor)
        finally:
            os.close(descriptor)  # before SQLite has it open: a close drops its locks
        if not stat.S_ISREG(found.st_mode) or found.st_uid != os.getuid():
            raise Unfit(f"{self._path}: not a file of ours")
        if found.st_mode & 0o077:
            raise Unfit(f"{self._path}: others may read it (chmod 600 {self._path})")
        if not found.st_size and _size(f"{self._path}-wal"):
            raise Unfit(f"{self._path}: empty, and its -wal is not: SQLite would remove that")
        self._database = database = sqlite3.connect(self._path, isolation_level=None, timeout=0)
        database.execute("PRAGMA locking_mode = EXCLUSIVE")  # and no -shm beside it
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = FULL")
        _checked(database, self._path)
        # All that is seen is on disk from here on, even if an fsync of a former life had failed.
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        sync_folder(os.path.dirname(self._path) or ".")
        self._count()

    def _aside(self, at: int, why: str) -> None:
        """Raises Unfit if that would forget what may still be asked again, and OSError."""
        files = [name for name in (self._path, f"{self._path}-wal") if os.path.exists(name)]
        written_at = max(os.stat(name).st_mtime_ns // 1_000 for name in files)
        if written_at > at - KEEP_US:
            raise Unfit(
                f"{self._path}: {why}. Keys of the last day are in it: move it and its -wal aside "
                "once no request with one of them can be repeated any more"
            )
        for name in files:
            os.replace(name, f"{name}.unreadable-{at}")
        sync_folder(os.path.dirname(self._path) or ".")
        log.error("%s: %s. It was moved aside: nothing in it is of the last day", self._path, why)

    def close(self) -> None:
        """Let go of the file. What was committed is on disk."""
        database, self._database = self._database, None
        if database is not None:
            with contextlib.suppress(sqlite3.Error):  # it may be the very file that is no good
                database.close()

    def commit(self, wishes: Sequence[Wish], at: int) -> list[Cause]:
        """Do all of it in one transaction; what comes back is on disk. Raises Unfit if it can't
        be known whether it is."""
        if self._database is None:
            raise Unfit(f"{self._path}: not open")
        try:
            self._database.execute("BEGIN IMMEDIATE")
            causes = [self._do(self._database, wish, at) for wish in wishes]
            self._database.execute("COMMIT")
        except sqlite3.Error as e:
            full = _primary(e) == sqlite3.SQLITE_FULL
            self.close()  # opened again, it shows what is on disk and nothing else
            raise Unfit(f"{self._path}: {'the disk is full' if full else e}") from None
        return causes

    def _do(self, database: sqlite3.Connection, wish: Wish, at: int) -> Cause:
        match wish:
            case Begin():
                return self._begin(database, wish, at)
            case Keep(reply=reply, keyed=keyed):
                sql = (
                    "UPDATE answers SET answered = 1, status = ?, body = ?, location = ? "
                    "WHERE caller = ? AND key = ? AND answered = 0"
                )
                row = (reply.status, reply.body, reply.location, *keyed.name)
                if database.execute(sql, row).rowcount != 1:
                    return Kept(at, reply.id, f"{keyed.key} has not begun")
                self._bytes += len(reply.body)
                return Kept(at, reply.id)
            case Drop(id=id, keyed=keyed, at=began_at):
                sql = "DELETE FROM answers WHERE caller = ? AND key = ? AND answered = 0 AND at = ?"
                self._keys -= database.execute(sql, (*keyed.name, began_at)).rowcount
                return Kept(at, id)

    def _begin(self, database: sqlite3.Connection, wish: Begin, at: int) -> Cause:
        sql = "SELECT digest, at, status, body, location FROM answers WHERE caller = ? AND key = ?"
        row = database.execute(sql, wish.keyed.name).fetchone()
        if row is not None:
            return Begun(at, wish.id, Known(*row))
        while self._full and self._prune(database, wish.at):
            continue
        if self._full:
            text = f"{self._keys} keys of the last day are kept, and none of them is forgotten"
            return Begun(at, wish.id, trouble="full", text=text)
        sql = "INSERT INTO answers VALUES (?, ?, ?, ?, 0, 0, x'', '')"
        database.execute(sql, (*wish.keyed.name, wish.keyed.digest, wish.at))
        self._keys += 1
        return Begun(at, wish.id)

    @property
    def _full(self) -> bool:
        return self._keys >= self._bounds.keys or self._bytes >= self._bounds.bytes

    def _prune(self, database: sqlite3.Connection, at: int) -> bool:
        """Forget the oldest that are old enough: what has an answer first. False if none is."""
        for answered in (1, 0):
            sql = (
                "DELETE FROM answers WHERE rowid IN (SELECT rowid FROM answers "
                "WHERE answered = ? AND at < ? ORDER BY at LIMIT ?) RETURNING length(body)"
            )
            limits = (answered, at - KEEP_US, self._bounds.pruned)
            gone = [size for (size,) in database.execute(sql, limits)]
            if gone:
                self._keys -= len(gone)
                self._bytes -= sum(gone)
                return True
        return False

    def _count(self) -> None:
        assert self._database is not None
        sql = "SELECT count(*), coalesce(sum(length(body)), 0) FROM answers"
        self._keys, self._bytes = self._database.execute(sql).fetchone()


def _checked(database: sqlite3.Connection, path: str) -> None:
    """A file of ours, sound and of this format; an empty one becomes one. Raises
    sqlite3.DatabaseError and Unfit."""
    [(application,)] = database.execute("PRAGMA application_id")
    [(version,)] = database.execute("PRAGMA user_version")
    [(tables,)] = database.execute("SELECT count(*) FROM sqlite_schema")
    if not tables:
        database.executescript(
            f"BEGIN; PRAGMA application_id = {APPLICATION}; PRAGMA user_version = {FORMAT};"
            f"{TABLE} COMMIT;"
        )
    elif application != APPLICATION or version != FORMAT:
        raise Unfit(f"{path}: not a file of this front (format {version}, expected {FORMAT})")
    [(found,), *_] = database.execute("PRAGMA quick_check(1)")
    if found != "ok":
        error = sqlite3.DatabaseError(found)
        error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
        raise error


def _size(path: str) -> int:
    """Of a file, in bytes; 0 for one that there is not."""
    try:
        return os.stat(path).st_size
    except FileNotFoundError:
        return 0


def _primary(error: sqlite3.Error) -> int:
    """The primary result code: the low byte of the extended one (sqlite.org/rescode.html)."""
    return getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
