"""What is looked at before a ledger is written to again, and before anything is acknowledged."""

import contextlib
import os
import time
import uuid
from typing import Final

from msgspec import Struct
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError

from actors.writer.anchor import End
from actors.writer.booking import meta_row
from actors.writer.database import SMALLEST_BYTES, SQLITE_READONLY, Failed
from actors.writer.migrate import migrate, schema_of
from protocol.audit import Damage
from protocol.errors import ConfigError
from protocol.facts import LedgerRestored
from protocol.runtime.ledger import check_chain, connect_read_only, hash_at, head_of, rows

RESTORE_HINT: Final = "restore a backup (sidecar restore FILE)"


class Found(Struct, frozen=True):
    """What a ledger says of itself."""

    ledger: str  # the name that it was given when it was made
    owner: str  # whose account it holds, "" if that was never said
    lives: int  # how many writers have opened it
    head: int
    asides: int  # facts that were set aside
    told: int  # up to which number trading has been halted for them
    untold: int  # the last of them that is about money and that nobody was told of, 0 if none
    reason: str
    loose: bool  # nothing beside it says how far it was acknowledged
    at: int  # now, in microseconds


def check_present(path: str, end: End | None) -> None:
    """A ledger that was here must still be here. Raises Failed."""
    empty = os.path.isfile(path) and os.path.getsize(path) < SMALLEST_BYTES
    if end is not None and end.n and (empty or not os.path.exists(path)):
        raise Failed(
            f"{path}: is gone or empty, with {end.n} entries: put it back, or {RESTORE_HINT}"
        )


def check_kind(path: str) -> None:
    """What is there must be a ledger, and none of a newer program: nothing else is touched.

    Raises ConfigError, Failed, DBAPIError.
    """
    if not os.path.exists(path) or os.stat(path).st_size == 0:
        return
    with contextlib.closing(connect_read_only(path)) as connection:
        try:
            schema_of(connection, path)
        except DBAPIError as e:
            if getattr(e.orig, "sqlite_errorcode", 0) & 0xFF != SQLITE_READONLY:
                raise
            # Its making was cut short: only the connection that writes can roll that back.


def look(connection: Connection, path: str, owner: str, end: End | None) -> Found:
    """Bring the schema up to date, and see whose ledger this is.

    Raises ConfigError, Failed, Damage, DBAPIError.
    """
    migrate(connection, path if os.path.exists(path) else "")
    meta = read_meta(connection)
    if "ledger" not in meta:
        raise Damage("it does not say which ledger it is")
    anchored = end is not None and end.ledger == meta["ledger"]
    if end is not None and end.n and not anchored:
        raise Failed(f"{path}: another ledger than the one that was here: {RESTORE_HINT}")
    held = meta.get("account", "")
    if owner and held and owner != held:
        raise ConfigError(
            f"{path}: holds the account {held!r}, the settings name {owner!r}: another account "
            "needs another var_dir; for a new key of the same account, run: sidecar adopt"
        )
    head = head_of(connection)
    told = int(meta.get("told", "0"))
    [(asides,)] = rows(connection, "SELECT coalesce(max(k), 0) FROM poison")
    untold = rows(
        connection,
        "SELECT k, id, reason FROM poison WHERE money = 1 AND k > ? ORDER BY k DESC LIMIT 1",
        told,
    )
    k, reason = (untold[0][0], f"{untold[0][1]}: {untold[0][2]}") if untold else (0, "")
    lives = int(meta.get("lives", "0"))
    loose = not anchored and lives > 0
    now = time.time_ns() // 1_000
    return Found(meta["ledger"], held, lives, head, asides, told, k, reason, loose, now)


def read_meta(connection: Connection) -> dict[str, str]:
    """What the ledger remembers about itself. Raises Damage if a row is not what was written."""
    found = {}
    for key, value, digest in rows(connection, "SELECT key, value, digest FROM meta"):
        if meta_row(key, value)[2] != digest:
            raise Damage(f"meta {key!r} is not what was written")
        found[key] = value
    return found


def check_all(connection: Connection, path: str) -> None:
    """After a storage failure: the whole file and the whole chain, from the disk and to the disk.

    What the log file has may be in memory only, though it reads well: after an fsync that failed
    the kernel calls such pages clean. So it is brought into the database, which is synced. Raises
    Damage, Failed, DBAPIError.
    """
    for busy, _, _ in rows(connection, "PRAGMA wal_checkpoint(TRUNCATE)"):
        if busy:
            raise Failed(f"{path}: another program reads it, so the log file can't be emptied")
    for (said,) in rows(connection, "PRAGMA quick_check(1)"):
        if said != "ok":
            raise Damage(str(said))
    check_chain(connection)


def check_end(connection: Connection, path: str, end: End | None) -> None:
    """The ledger must have what was acknowledged. Raises Failed."""
    if end is None or end.n == 0:
        return
    head = head_of(connection)
    if end.n > head:
        missing = end.n - head
        raise Failed(
            f"{path}: the last {missing} acknowledged entries are missing (it ends at {head}, "
            f"expected {end.n}; was it copied without its -wal?): put it back, or {RESTORE_HINT}"
        )
    if hash_at(connection, end.n) != end.hash:
        raise Failed(f"{path}: entry {end.n} is not the one acknowledged: {RESTORE_HINT}")


def restored_fact(head: int, at: int) -> LedgerRestored:
    """The first entry after a restore."""
    return LedgerRestored(uuid.uuid4().hex, head, at)
