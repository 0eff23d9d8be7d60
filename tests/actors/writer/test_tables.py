"""The tables: one schema by whichever road, and no value outside of its range."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy
from sqlalchemy.engine import Connection

from actors.writer.migrate import HEAD, REVISIONS, migrate, schema_of
from actors.writer.tables import TRIGGERS, metadata
from protocol.limits import COUNT_MAX, ENTRY_ID_CHARS_MAX, FACT_CHARS_MAX, MONEY_MAX
from tests.actors.writer.files import begun, lives, rows
from tests.actors.writer.former import write_former
from tests.actors.writer.samples import fill

# One schema, by whichever road


@pytest.fixture
def memory() -> Iterator[Connection]:
    engine = sqlalchemy.create_engine("sqlite+pysqlite://")
    with engine.connect() as connection:
        yield connection
    engine.dispose()


def described(connection: Connection) -> dict[str, object]:
    """Every table column by column with its checks, and every index and trigger."""
    found: dict[str, object] = {}
    read = connection.exec_driver_sql
    for kind, name, sql in read("SELECT type, name, sql FROM sqlite_schema").fetchall():
        if kind != "table":
            found[f"{kind} {name}"] = " ".join(str(sql).split())
            continue
        columns = read(f"PRAGMA table_xinfo({name})").fetchall()
        indexes = read(f"PRAGMA index_list({name})").fetchall()
        keys = sorted(tuple(read(f"PRAGMA index_xinfo({i[1]})").fetchall()) for i in indexes)
        words = " ".join(
            str(sql).replace("(", " ( ").replace(")", " ) ").replace(",", " , ").split()
        )
        found[name] = ([tuple(c) for c in columns], keys, words)
    return found


def test_the_migrations_make_the_tables_that_the_program_knows(memory: Connection) -> None:
    assert migrate(memory, "") == REVISIONS
    assert schema_of(memory, "") == HEAD
    by_migration = described(memory)
    by_migration.pop("alembic_version")
    by_migration.pop("index sqlite_autoindex_alembic_version_1")
    engine = sqlalchemy.create_engine("sqlite+pysqlite://")
    with engine.connect() as other:
        metadata.create_all(other)
        for trigger in TRIGGERS:
            other.exec_driver_sql(trigger)
        assert described(other) == by_migration
    engine.dispose()


def test_a_migrated_ledger_and_a_new_one_have_the_same_schema(tmp_path: Path) -> None:
    former = str(tmp_path / "former.db")
    write_former(former, [fill()])
    lives(former, [])
    fresh = begun(str(tmp_path / "fresh.db"))
    statement = "SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY type, name"
    assert rows(former, statement) == rows(fresh, statement)


# Ranges

HASH = bytes(32)
INT = (-(2**63), 2**63 - 1)
SAMPLE: dict[str, dict[str, object]] = {
    "entries": {
        "n": 1, "id": "i", "kind": "k", "at": 0, "source": "s", "body": "{}", "essence": HASH,
        "derived": b"", "hash": HASH,
    },
    "orders": {
        "key": "k", "client_order_id": "", "order_id": "", "ticker": "T", "side": "bid",
        "price": 0, "count": 0, "time_in_force": "t", "state": "s", "filled": 0, "remaining": 0,
        "reason": "", "body_hash": "", "created_at": 0, "updated_at": 0, "n": 1,
    },
    "fills": {
        "order_id": "o", "trade_id": "t", "client_order_id": "", "ticker": "T", "side": "ask",
        "price": 0, "count": 1, "fee": 0, "is_taker": 0, "exchange_at": 0, "position": 0, "n": 1,
    },
    "positions": {"ticker": "T", "position": 0, "cost": 0, "realized": 0, "fees": 0, "n": 1},
    "balances": {"shard": 0, "balance": 0, "seen_at": 0, "n": 1},
    "snapshots": {
        "n": 1, "format": 1, "account": "", "entry_hash": HASH, "body": "{}", "digest": HASH,
    },
    "poison": {
        "k": 1, "id": "i", "essence": HASH, "body": "", "reason": "", "at": 0, "money": 0,
        "digest": HASH,
    },
    "meta": {"key": "k", "value": "v", "digest": HASH},
}  # fmt: skip
MONEY = ((-MONEY_MAX, MONEY_MAX), (-MONEY_MAX - 1, MONEY_MAX + 1))
POSITION = ((-COUNT_MAX, COUNT_MAX), (-COUNT_MAX - 1, COUNT_MAX + 1))
COUNT = ((0, COUNT_MAX), (-1, COUNT_MAX + 1))
PRICE = ((0, 1_000_000), (-1, 1_000_001))
SIDE = (("bid", "ask"), ("", "BID", "yes", "bid "))
DIGEST = ((bytes(32), b"\xff" * 32), (b"", bytes(31), bytes(33)))
FLAG = ((0, 1), (-1, 2))
NUMBER = ((1, INT[1]), (0, -1))
RANGES: dict[tuple[str, str], tuple[tuple[object, ...], tuple[object, ...]]] = {
    ("entries", "n"): NUMBER,
    ("entries", "id"): (("i", "x" * ENTRY_ID_CHARS_MAX), ("", "x" * (ENTRY_ID_CHARS_MAX + 1))),
    ("entries", "body"): (("", "é" * FACT_CHARS_MAX), ("é" * (FACT_CHARS_MAX + 1),)),
    ("entries", "essence"): DIGEST,
    ("entries", "derived"): ((b"", bytes(16), bytes(48)), (bytes(15), bytes(17), bytes(33))),
    ("entries", "hash"): DIGEST,
    ("orders", "side"): SIDE,
    ("orders", "price"): PRICE,
    ("orders", "count"): COUNT,
    ("orders", "filled"): COUNT,
    ("orders", "remaining"): COUNT,
    ("fills", "side"): SIDE,
    ("fills", "price"): PRICE,
    ("fills", "count"): ((1, COUNT_MAX), (0, -1, COUNT_MAX + 1)),
    ("fills", "fee"): MONEY,
    ("fills", "is_taker"): FLAG,
    ("fills", "position"): POSITION,
    ("positions", "position"): POSITION,
    ("positions", "cost"): MONEY,
    ("positions", "realized"): MONEY,
    ("positions", "fees"): MONEY,
    ("balances", "balance"): MONEY,
    ("snapshots", "entry_hash"): DIGEST,
    ("snapshots", "digest"): DIGEST,
    ("poison", "k"): NUMBER,
    ("poison", "essence"): DIGEST,
    ("poison", "money"): FLAG,
    ("poison", "digest"): DIGEST,
    ("meta", "digest"): DIGEST,
}


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Iterator[sqlite3.Connection]:
    path = begun(str(tmp_path_factory.mktemp("tables") / "ledger.db"))
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        yield database


def insert(database: sqlite3.Connection, table: str, **changes: object) -> None:
    """Insert one row, look whether it is taken, and take it back."""
    values = {**SAMPLE[table], **changes}
    names = ", ".join(f'"{name}"' for name in values)
    statement = f"INSERT INTO {table} ({names}) VALUES ({', '.join('?' * len(values))})"
    database.execute("BEGIN")
    try:
        database.execute(statement, tuple(values.values()))
    finally:
        database.execute("ROLLBACK")


def test_every_check_is_in_the_list() -> None:
    checked = {
        (table.name, column.name)
        for table in metadata.tables.values()
        for column in table.columns
        if any(isinstance(c, sqlalchemy.CheckConstraint) for c in column.constraints)
    }
    assert checked == set(RANGES)
    assert {name: list(t.columns.keys()) for name, t in metadata.tables.items()} == {
        name: list(sample) for name, sample in SAMPLE.items()
    }


@pytest.mark.parametrize(("table", "column"), RANGES)
def test_a_value_just_outside_of_its_range_is_refused(
    tables: sqlite3.Connection, table: str, column: str
) -> None:
    inside, outside = RANGES[table, column]
    for value in inside:
        insert(tables, table, **{column: value})
    for value in outside:
        with pytest.raises(sqlite3.IntegrityError, match="CHECK constraint failed"):
            insert(tables, table, **{column: value})


@pytest.mark.parametrize("table", SAMPLE)
def test_each_column_takes_its_own_kind_and_never_nothing(
    tables: sqlite3.Connection, table: str
) -> None:
    for column, value in SAMPLE[table].items():
        other = {int: "text", str: b"blob", bytes: "text"}[type(value)]
        with pytest.raises(sqlite3.IntegrityError, match="cannot store|mismatch|CHECK"):
            insert(tables, table, **{column: other})
        rowid = (table, column) in (
            ("entries", "n"), ("balances", "shard"), ("snapshots", "n"), ("poison", "k"),
        )  # fmt: skip
        if not rowid:  # SQLite numbers a missing one itself; the writer names each
            with pytest.raises(sqlite3.IntegrityError, match="NOT NULL constraint failed"):
                insert(tables, table, **{column: None})


def test_one_id_is_one_entry_and_one_fact_is_set_aside_once(tables: sqlite3.Connection) -> None:
    for table, changes in (("entries", {"n": 2}), ("poison", {"k": 2}), ("fills", {"n": 2})):
        names = ", ".join(f'"{name}"' for name in SAMPLE[table])
        marks = ", ".join("?" * len(SAMPLE[table]))
        statement = f"INSERT INTO {table} ({names}) VALUES ({marks})"
        tables.execute("BEGIN")
        tables.execute(statement, tuple(SAMPLE[table].values()))
        with pytest.raises(sqlite3.IntegrityError, match="UNIQUE constraint failed"):
            tables.execute(statement, tuple({**SAMPLE[table], **changes}.values()))
        tables.execute("ROLLBACK")
