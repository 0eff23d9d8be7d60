"""Rows of the ledger on their way into the database."""

import hashlib
from collections.abc import Iterable
from typing import Any

import msgspec
from sqlalchemy.engine import Connection

from actors.writer.tables import Statements
from protocol.ledger import Key, Row, Snapshot, chain, derived_of, renamed

Ready = tuple[int, str, str, int, str, str, bytes, tuple[Row, ...]]
"""n, id, kind, at, source, body, essence, and the rows that the entry makes."""

_encode = msgspec.json.Encoder().encode


def write_entries(
    connection: Connection, statements: Statements, before: bytes, ready: Iterable[Ready]
) -> bytes:
    """Chain entries behind `before`, write them and what they make. Returns the last hash."""
    entries: list[tuple[Any, ...]] = []
    made: dict[str, dict[Key, tuple[Any, ...]]] = {}
    former: dict[str, None] = {}  # orders that go: they are known under another key now
    for n, id, kind, at, source, body, essence, rows in ready:
        derived = derived_of(rows)
        before = chain(before, n, id, kind, at, source, body, essence, derived)
        entries.append((n, id, kind, at, source, body, essence, derived, before))
        for row in rows:
            made.setdefault(row[0], {})[row[1]] = row[2]
            if row[0] == "orders" and not row[2][1]:
                former.pop(row[1][0], None)  # seen without its name again: it came back
            name = renamed(row)
            if name and name != row[1][0]:
                former[name] = None
                seen = made["orders"].get((name,))
                if seen is not None and not seen[1]:  # an id that a client chose stays
                    del made["orders"][name,]
    if entries:
        connection.exec_driver_sql(statements.entry, entries)
    for table, found in made.items():
        if found:
            connection.exec_driver_sql(statements.derived[table], list(found.values()))
    if former:
        connection.exec_driver_sql(statements.renamed, [(name, "") for name in former])
    return before


def write_snapshot(
    connection: Connection, statements: Statements, snapshot: Snapshot, kept: int
) -> None:
    """Write a snapshot and forget the oldest, and any that claims to be newer."""
    connection.exec_driver_sql(
        statements.snapshot,
        (snapshot.n, snapshot.format, snapshot.account, snapshot.entry_hash, snapshot.body,
         snapshot.digest),
    )  # fmt: skip
    connection.exec_driver_sql(
        "DELETE FROM snapshots WHERE n > ? OR n NOT IN"
        " (SELECT n FROM snapshots WHERE n <= ? ORDER BY n DESC LIMIT ?)",
        (snapshot.n, snapshot.n, kept),
    )


def poison_row(
    k: int, id: str, essence: bytes, body: str, reason: str, at: int, money: bool
) -> tuple[Any, ...]:
    """The row of a fact that was set aside, with a digest that proves it."""
    values = (k, id, essence, body, reason, at, int(money))
    return (*values, hashlib.sha256(_encode(values)).digest())


def meta_row(key: str, value: str) -> tuple[str, str, bytes]:
    """The row of something the ledger remembers about itself, with a digest that proves it."""
    return key, value, hashlib.sha256(_encode((key, value))).digest()
