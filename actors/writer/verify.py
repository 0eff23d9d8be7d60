"""sidecar verify: proves a ledger, beside a running engine or without one.

The file, the schema, the chain of all entries, the tables as the fold of the entries, every
snapshot, and what was set aside. Whatever is changed, missing or swapped is found, with its place.
"""

import argparse
import functools
import sys
from collections.abc import Sequence
from typing import Any, Final

import sqlalchemy
from msgspec import Struct
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError

from actors.writer.anchor import AnchorFile, End
from actors.writer.booking import poison_row
from actors.writer.commands import FAILED, ended, existing, naming
from actors.writer.database import Failed
from actors.writer.migrate import HEAD, migrate, schema_of
from actors.writer.opening import check_end, read_meta
from protocol.audit import Damage
from protocol.ledger import Outdated, Snapshot, Unsound, open_snapshot, take_snapshot
from protocol.limits import READ_ENTRIES
from protocol.runtime.ledger import Scan, connect_read_only, hash_at, head_of, rows
from protocol.runtime.process import load_settings

UNREADABLE: Final = (ValueError, TypeError, ArithmeticError, LookupError, AttributeError)
PROBLEMS_MAX: Final = 10  # of one kind: the first says where to look


class Verdict(Struct, frozen=True):
    """What became of a proof: how far the ledger goes, and what is wrong with it, if anything."""

    head: int
    hash: bytes
    problems: tuple[str, ...]


def verify(connection: Connection, path: str, end: End | None = None) -> Verdict:
    """Prove a ledger. `end` is how far it was acknowledged, if that is known.

    Raises ConfigError if a newer program made it. Anything that is wrong is in the verdict.
    """
    scan = Scan()
    problems: list[str] = []
    for check in (_check_file, _check_schema, _check_meta, _check_poison):
        problems += _found(check, connection)
    problems += _found(lambda c: _check_entries(c, scan), connection)
    if not problems:
        problems += _found(lambda c: check_end(c, path, end), connection)
    return Verdict(scan.audit.account.n, scan.audit.hash, tuple(problems[:PROBLEMS_MAX]))


def _found(check: Any, connection: Connection) -> list[str]:
    """What a check finds wrong: its own words, or that something can't be read at all."""
    try:
        check(connection)
    except (Damage, Failed) as e:
        return [str(e)]
    except (DBAPIError, *UNREADABLE) as e:
        connection.rollback()
        return [f"can't be read: {getattr(e, 'orig', e)}"]
    return []


def _check_file(connection: Connection) -> None:
    found = [str(said) for (said,) in rows(connection, f"PRAGMA integrity_check({PROBLEMS_MAX})")]
    if found != ["ok"]:
        raise Damage("; ".join(found))


def _check_schema(connection: Connection) -> None:
    found = schema_of(connection, "")
    if found != HEAD:
        raise Damage(f"the schema is {found or 'missing'}, expected {HEAD}")
    if _schema(connection) != _schema_expected():
        raise Damage("the schema is not what was made")


def _schema(connection: Connection) -> list[Any]:
    statement = "SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY type, name"
    return [tuple(row) for row in rows(connection, statement)]


@functools.cache
def _schema_expected() -> list[Any]:
    engine = sqlalchemy.create_engine("sqlite+pysqlite://")
    with engine.connect() as fresh:
        migrate(fresh, "")
        found = _schema(fresh)
    engine.dispose()
    return found


def _check_meta(connection: Connection) -> None:
    meta = read_meta(connection)
    for key in ("ledger", "lives"):
        if key not in meta:
            raise Damage(f"meta {key!r} is missing")


def _check_poison(connection: Connection) -> None:
    statement = "SELECT k, id, essence, body, reason, at, money, digest FROM poison ORDER BY k"
    for number, row in enumerate(rows(connection, statement), 1):
        try:
            sound = row[0] == number and poison_row(*row[:7]) == tuple(row)
        except (UnicodeEncodeError, OverflowError, TypeError, ValueError) as e:
            raise Damage(f"what was set aside as {number} can't be read: {e}") from e
        if not sound:
            raise Damage(f"what was set aside as {number} is not what was written")


def _check_entries(connection: Connection, scan: Scan) -> None:
    """All entries and tables; on the way, each snapshot against the fold as of its entry."""
    snapshots = rows(connection, "SELECT n FROM snapshots ORDER BY n")
    head = head_of(connection)  # read later: a writer may be at work
    for (n,) in snapshots:
        while scan.audit.account.n < min(n, head):
            scan.next(connection, min(n - scan.audit.account.n, READ_ENTRIES))
        _check_snapshot(connection, scan, n, head)
    while not scan.next(connection).ended:
        continue


def _check_snapshot(connection: Connection, scan: Scan, n: int, head: int) -> None:
    statement = "SELECT n, format, account, entry_hash, body, digest FROM snapshots WHERE n = ?"
    for values in rows(connection, statement, n):
        found = Snapshot(*values)
        try:
            open_snapshot(found, head, found.account, hash_at(connection, n))
        except Outdated:
            continue  # a former program left it: whoever restores passes over it, too
        except (Unsound, TypeError, UnicodeEncodeError) as e:
            raise Damage(f"snapshot at {n}: {e}") from e
        wanted = take_snapshot(scan.audit.account.state(), found.account, scan.audit.hash)
        if wanted != found:
            raise Damage(f"snapshot at {n}: not the fold of the entries up to {n}")


def main(arguments: Sequence[str]) -> int:
    """The command. Returns its exit code."""
    parser = argparse.ArgumentParser(prog="sidecar verify", description=__doc__.split("\n")[0])
    parser.add_argument("file", nargs="?", help="a ledger or a backup (default: the profile's own)")
    given = parser.parse_args(arguments).file

    def command() -> int:
        path = existing(given or f"{load_settings().var_dir}/ledger.db")
        with naming(path):
            end = None if given else AnchorFile(path).read()
            with connect_read_only(path) as connection:
                verdict = verify(connection, path, end)
        for problem in dict.fromkeys(verdict.problems):
            print(problem if problem.startswith(path) else f"{path}: {problem}")
        if verdict.problems:
            advice = "" if given else " Stop the engine and restore a backup: sidecar restore FILE"
            print(f"{path}: NOT SOUND.{advice}")
            return FAILED
        if end is None and not given:
            print(f"{path}.end: missing or not readable: entries may be missing at the end")
        print(f"{path}: sound, {verdict.head} entries, last hash {verdict.hash.hex()}")
        return 0

    return ended("verify", command)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
