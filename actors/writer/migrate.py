"""Brings a ledger to the schema that this program knows, one revision at a time.

Each revision is one transaction, so a kill at any moment leaves the old schema or the new one.
Before each, a copy of the database is made and proved, and stays beside it. Alembic is imported
only when there is something to do.
"""

import contextlib
import hashlib
import logging
import os
from pathlib import Path
from typing import Any, Final

from sqlalchemy.engine import Connection

from actors.writer.database import Failed, writing
from protocol.errors import ConfigError
from protocol.runtime.ledger import connect_read_only, rows
from protocol.runtime.process import sync_folder

REVISIONS: Final = ("0001", "0002")
HEAD: Final = REVISIONS[-1]
FOLDER: Final = Path(__file__).parent / "migrations"


def schema_of(connection: Connection, path: str) -> str:
    """The revision of a ledger, "" for an empty database.

    Raises ConfigError if a newer program made it, Failed if it is no ledger.
    """
    where = f"{path}: " if path else ""
    tables = {name for (name,) in rows(connection, "SELECT name FROM sqlite_schema")}
    if "alembic_version" in tables:
        found = [version for (version,) in rows(connection, "SELECT * FROM alembic_version")]
        if len(found) == 1 and found[0] in REVISIONS:
            return str(found[0])
        if len(found) == 1 and str(found[0]).isdigit() and found[0] > HEAD:
            raise ConfigError(
                f"{where}made by a newer program (schema {found[0]}, this one knows {HEAD})"
            )
        raise Failed(f"{where}its schema is {found}, expected one of {REVISIONS}")
    if "entries" in tables and rows(connection, "PRAGMA user_version") == [(1,)]:
        return "0001"  # before the revision was on record
    if tables:
        raise Failed(f"{where}a database, but not a ledger")
    return ""


def migrate(connection: Connection, path: str) -> tuple[str, ...]:
    """Bring the schema to HEAD. `path` is "" for a database that needs no copy.

    Returns the revisions that ran. Raises ConfigError, Failed, DBAPIError, Damage.
    """
    found = schema_of(connection, path)
    pending = REVISIONS[REVISIONS.index(found) + 1 :] if found else REVISIONS
    copied = bool(found and path)
    for revision in pending:
        if copied:
            keep_copy(connection, path, f"{path}.before-{revision}")
        _run(connection, found, revision)
        found = revision
    return pending


def _run(connection: Connection, found: str, revision: str) -> None:
    logging.getLogger("alembic").setLevel(logging.WARNING)  # its imports log, too
    from alembic.config import Config
    from alembic.runtime.environment import EnvironmentContext
    from alembic.script import ScriptDirectory

    scripts = ScriptDirectory(str(FOLDER))

    def steps(current: Any, _: Any) -> Any:
        return scripts._upgrade_revs(revision, current or "base")

    with EnvironmentContext(Config(), scripts, fn=steps) as environment, writing(connection):
        environment.configure(connection=connection)
        environment.get_context()._ensure_version_table()
        stamped = connection.exec_driver_sql("SELECT * FROM alembic_version").fetchall()
        if found == "0001" and not stamped:
            connection.exec_driver_sql("INSERT INTO alembic_version VALUES ('0001')")
        environment.run_migrations()


def keep_copy(connection: Connection, path: str, target: str) -> None:
    """Make a proved copy of the database as it is, under its name only once it is proved.

    Raises Failed if the copy differs, DBAPIError if it can't be made.
    """
    temporary = f"{target}.part"
    with contextlib.suppress(FileNotFoundError):
        os.unlink(temporary)  # of a former try; the copy is no file of the writer's connection
    connection.exec_driver_sql("VACUUM INTO ?", (temporary,))
    connection.rollback()
    copy = connect_read_only(temporary)
    try:
        sound = rows(copy, "PRAGMA integrity_check") == [("ok",)]
        same = content(copy) == content(connection)
    finally:
        copy.close()
    if not sound or not same:
        raise Failed(f"{path}: its copy {temporary} is not the same")
    descriptor = os.open(temporary, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    os.replace(temporary, target)
    sync_folder(os.path.dirname(target) or ".")


def content(connection: Connection) -> str:
    """A digest of every row of every table, in any order: the same one means the same rows."""
    digest = hashlib.sha256()
    tables = rows(connection, "SELECT name, sql FROM sqlite_schema ORDER BY name")
    for name, sql in tables:
        total = 0
        if sql is not None and sql.startswith("CREATE TABLE"):
            for row in connection.exec_driver_sql(f'SELECT * FROM "{name}"'):
                found = hashlib.sha256(repr(tuple(row)).encode()).digest()
                total = (total + int.from_bytes(found)) % 2**256
            connection.rollback()
        digest.update(f"{name} {sql} {total}\n".encode())
    return digest.hexdigest()
