"""sidecar backup: a copy of the ledger, made while the engine runs, announced once it is proved.

The copy is made from the entries alone, by pages, and everything else in it is derived from them
anew. So a backup of a ledger whose tables were damaged is sound, and nobody waits for it: the
writer is never held up, its log file not pinned. Before the copy gets its name it is restored
into a scratch folder and verified there.
"""

import argparse
import contextlib
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Sequence

from sqlalchemy.engine import Connection

from actors.writer import database
from actors.writer.booking import meta_row, write_entries, write_snapshot
from actors.writer.commands import ended, existing, naming
from actors.writer.database import Failed, writing
from actors.writer.migrate import HEAD, migrate, schema_of
from actors.writer.opening import read_meta
from actors.writer.store import Store
from actors.writer.tables import Statements
from actors.writer.verify import verify
from protocol.audit import Audit, Damage
from protocol.errors import ConfigError
from protocol.ledger import take_snapshot
from protocol.runtime.ledger import connect_read_only, hash_at, head_of, page, rows
from protocol.runtime.process import load_settings, private_folder, sync_folder


def back_up(source: str, target: str) -> tuple[int, bytes]:
    """Make a proved backup. Returns the number and the hash of its last entry.

    Raises Failed or Damage, with nothing left under the target's name; ConfigError if the target
    is there already or the ledger is newer than we are; DBAPIError, OSError.
    """
    if os.path.lexists(target):
        raise ConfigError(f"{target}: is there already")
    if not os.path.exists(source):
        raise Failed(f"{source}: there is no ledger")
    if not os.path.isdir(os.path.dirname(target) or "."):
        raise ConfigError(f"{target}: there is no such folder")
    temporary = f"{target}.{os.getpid()}.part"
    _remove(temporary)  # of a former life of ours
    try:
        with connect_read_only(source) as connection:
            n, last, owner = _copy(connection, source, temporary)
        _prove(temporary, n, last, owner)
        _sync(temporary)
        _name(temporary, target)
        sync_folder(os.path.dirname(target) or ".")
    finally:
        _remove(temporary)
    return n, last


def _name(temporary: str, target: str) -> None:
    """Give the copy its name. A link takes no file away, unlike a rename; some disks have none."""
    try:
        os.link(temporary, target)
    except FileExistsError:
        raise ConfigError(f"{target}: is there already") from None
    except OSError:
        os.rename(temporary, target)


def _copy(source: Connection, path: str, target: str) -> tuple[int, bytes, str]:
    found = schema_of(source, path)
    if found != HEAD:
        raise Failed(f"{path}: the schema is {found or 'missing'}, expected {HEAD}")
    head = head_of(source)
    meta = read_meta(source)
    owner = meta.get("account", "")
    with contextlib.closing(database.connect_disposable(target)) as connection:
        migrate(connection, "")
        statements = Statements(connection.dialect)
        audit = Audit()
        while audit.account.n < head:
            _copy_page(source, connection, statements, audit, head)
        with writing(connection):
            for key, value in meta.items():
                connection.exec_driver_sql(statements.meta, meta_row(key, value))
            aside = rows(source, "SELECT * FROM poison ORDER BY k")
            if aside:
                connection.exec_driver_sql(statements.poison, [tuple(row) for row in aside])
            snapshot = take_snapshot(audit.account.state(), owner, audit.hash)
            write_snapshot(connection, statements, snapshot, 1)
    return head, audit.hash, owner


def _copy_page(
    source: Connection, target: Connection, statements: Statements, audit: Audit, head: int
) -> None:
    before = audit.hash
    found = [row for row in page(source, audit.account.n) if row[0] <= head]
    if not found:
        raise Damage(f"entry {audit.account.n + 1} is missing")
    ready = []
    for row in found:
        made = audit.fold(row)
        ready.append((*row[:7], made))
    with writing(target):
        last = write_entries(target, statements, before, ready)
    if last != audit.hash:
        raise Damage(f"entry {found[-1][0]} became another one on its way")


def _prove(file: str, n: int, last: bytes, owner: str) -> None:
    """Restore the copy as an operator would, and verify what comes out."""
    scratch = tempfile.mkdtemp(prefix=".restore-", dir=os.path.dirname(file) or ".")
    try:
        path = f"{scratch}/ledger.db"
        bring_back(file, path, owner, database.connect_disposable)
        with connect_read_only(path) as connection:
            problems = verify(connection, path).problems
            if problems:
                raise Failed(f"{file}: does not restore: {'; '.join(problems)}")
            if hash_at(connection, n) != (last if n else bytes(32)):
                raise Failed(f"{file}: does not restore: entry {n} is another one")
    finally:
        shutil.rmtree(scratch)


def bring_back(
    file: str,
    target: str,
    owner: str,
    connect: Callable[[str], Connection] = database.connect,
) -> int:
    """Make a ledger from a backup, in a place where there is none. Returns its last number.

    The first thing it records is that it was restored. Raises Failed, ConfigError, Locked,
    DBAPIError.
    """
    with connect_read_only(file) as connection:
        head = head_of(connection) if schema_of(connection, file) else -1
        if head < 0:
            raise Failed(f"{file}: an empty database")
        connection.exec_driver_sql("VACUUM INTO ?", (target,))
    store = Store(target, owner, connect=connect)
    try:
        store.open(after_restore=True)
    finally:
        store.close()
    return head


def _sync(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _remove(path: str) -> None:
    for suffix in ("", "-journal", "-wal", "-shm"):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path + suffix)


def main(arguments: Sequence[str]) -> int:
    """The command. Returns its exit code."""
    parser = argparse.ArgumentParser(prog="sidecar backup", description=__doc__.split("\n")[0])
    parser.add_argument("file", nargs="?", help="where to (default: var/<profile>/backups/...)")
    given = parser.parse_args(arguments).file

    def command() -> int:
        settings = load_settings()
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        target = given or f"{settings.var_dir}/backups/ledger-{stamp}.db"
        if not given:
            private_folder(f"{settings.var_dir}/backups")
        source = existing(f"{settings.var_dir}/ledger.db")
        with naming(target):
            n, last = back_up(source, target)
        print(f"{target}: {n} entries, restored and verified, last hash {last.hex()}")
        return 0

    return ended("backup: no backup was made", command)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
