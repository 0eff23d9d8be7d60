"""Looks into a ledger's file, and damages it as no program of ours would."""

import functools
import sqlite3
import tempfile
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

from sqlalchemy.engine import Connection

from actors.writer.anchor import End
from actors.writer.batch import Result
from actors.writer.migrate import content
from actors.writer.store import Store
from protocol.account import Account
from protocol.audit import read_entry
from protocol.facts import AnyFact
from protocol.ledger import DERIVED, Snapshot, row_of, take_snapshot
from protocol.messages import AccountState, Entry
from protocol.runtime.ledger import connect_read_only, page
from tests.actors.writer.samples import wanted

AT = 1_782_873_388_379_000


class Beside:
    """An anchor in memory: it keeps its end, and locks nobody out."""

    def __init__(self, end: End | None = None) -> None:
        self.end = end

    def lock(self) -> None:
        pass

    def read(self) -> End | None:
        return self.end

    def write(self, end: End) -> None:
        self.end = end

    def release(self) -> None:
        pass


def rows(path: str, statement: str, *values: object) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path)) as database:
        return database.execute(statement, values).fetchall()


def change(path: str, *statements: str) -> None:
    with closing(sqlite3.connect(path)) as database, database:
        for statement in statements:
            database.execute(statement)


def put(path: str, statement: str, *values: object) -> None:
    with closing(sqlite3.connect(path)) as database, database:
        database.execute(statement, values)


def unlocked(path: str) -> None:
    """Take the triggers away, as somebody would who means to forge an entry."""
    change(path, "DROP TRIGGER entries_stay", "DROP TRIGGER entries_remain")


def everything(path: str) -> str:
    """A digest of all that stands in the database."""
    with closing(connect_read_only(path)) as connection:
        return content(connection)


def append(store: Store, *facts: AnyFact) -> list[tuple[str, int]]:
    return [(r.verdict, r.n) for r in store.commit(wanted(*facts), AT).results]


def told(store: Store, *facts: AnyFact) -> list[Result]:
    """Append facts in one batch. Returns what became of each."""
    return list(store.commit(wanted(*facts), AT).results)


def lives(path: str, *batches: Iterable[AnyFact], account: str = "") -> None:
    """A writer's lives, each of one batch and a clean stop, which saves a snapshot."""
    for batch in batches:
        store = Store(path, account)
        store.open()
        store.commit(wanted(*batch), AT)
        store.close()


def begun(path: str) -> str:
    """An empty ledger that was opened once. (To make it once for all tests saves much time.)"""
    for suffix, written in _begun().items():
        Path(path + suffix).write_bytes(written)
    return path


@functools.cache
def _begun() -> dict[str, bytes]:
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/ledger.db"
        lives(path, [])
        return {suffix: Path(path + suffix).read_bytes() for suffix in ("", ".end")}


def reopened(path: str) -> int:
    store = Store(path)
    head = store.open().head
    store.close()
    return head


def entries(path: str) -> tuple[Entry, ...]:
    """All entries, as somebody reads them who has no part in the ledger."""
    with closing(connect_read_only(path)) as connection:
        return tuple(read_entry(row) for row in page(connection, 0, last(path)))


def fold(all_entries: Iterable[Entry]) -> AccountState:
    account = Account()
    for entry in all_entries:
        account.apply(entry)
    return account.state()


def fold_rows(all_entries: Iterable[Entry]) -> dict[str, list[tuple[object, ...]]]:
    """The derived tables as they follow from the entries, by a way of its own."""
    account = Account()
    found: dict[str, dict[object, tuple[object, ...]]] = {name: {} for name in DERIVED}
    for entry in all_entries:
        for table, key, values in map(row_of, account.apply(entry)):
            found[table][key] = values
    found["orders"] = {(row[0],): row for row in map(_order_row, account.orders())}
    return {name: sorted(by_key.values()) for name, by_key in found.items()}


def _order_row(order: object) -> tuple[object, ...]:
    return row_of(order)[2]  # type: ignore[arg-type]


def table_rows(path: str) -> dict[str, list[tuple[object, ...]]]:
    return {
        name: sorted(rows(path, f"SELECT {', '.join(shape.columns)} FROM {name}"))
        for name, shape in DERIVED.items()
    }


def put_snapshot(path: str, found: Snapshot) -> None:
    values = (found.n, found.format, found.account, found.entry_hash, found.body, found.digest)
    put(path, "INSERT OR REPLACE INTO snapshots VALUES (?, ?, ?, ?, ?, ?)", *values)


def snapshot_of(path: str, state: AccountState, account: str = "") -> Snapshot:
    """A snapshot of that state that fits the ledger."""
    [(entry_hash,)] = rows(path, "SELECT hash FROM entries WHERE n = ?", min(state.n, last(path)))
    assert isinstance(entry_hash, bytes)
    return take_snapshot(state, account, entry_hash)


def last(path: str) -> int:
    [(n,)] = rows(path, "SELECT coalesce(max(n), 0) FROM entries")
    assert isinstance(n, int)
    return n


def copied(path: str, target: str) -> str:
    """The database file alone, without its log: what somebody copies who knows no better."""
    Path(target).write_bytes(Path(path).read_bytes())
    return target


def pages_kept(connection: Connection) -> int:
    """Let the database have no page more than it has: a full disk."""
    pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
    connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")
    connection.rollback()
    return int(pages)
