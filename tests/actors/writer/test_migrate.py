"""Migrations: the old schema or the new one, never between, and not one entry lost."""

import os
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.writer.batch import Wanted
from actors.writer.migrate import HEAD
from actors.writer.store import Failed, Store
from protocol.errors import ConfigError
from protocol.facts import AnyFact, OrderUnknown, essence, natural_id
from protocol.limits import ENTRY_ID_CHARS_MAX, FACT_CHARS_MAX
from protocol.runtime.ledger import Scan, connect_read_only
from tests.actors.writer.anyfact import ANY_FACT
from tests.actors.writer.files import (
    append,
    begun,
    change,
    entries,
    everything,
    fold,
    fold_rows,
    lives,
    reopened,
    rows,
    table_rows,
)
from tests.actors.writer.former import SCHEMA, chain, chain_again, write_former
from tests.actors.writer.samples import (
    PRICE_REFUSED,
    accepted,
    balance,
    fill,
    intended,
    seen,
)

FACTS: list[AnyFact] = [
    intended(), seen("o1"), fill("t1"), accepted(), fill("t2"), balance(), intended("c2"),
    OrderUnknown("c2", "no answer"), seen("o9"), fill("t3", order_id="o9"), balance(2, 7),
]  # fmt: skip


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "ledger.db")


@pytest.fixture
def former(path: str) -> str:
    write_former(path, FACTS, [fill("bad", price=PRICE_REFUSED), balance(9, 10**16)])
    return path


def proved(path: str) -> int:
    """Audit it from one end to the other. Returns how many entries it has."""
    scan = Scan()
    with closing(connect_read_only(path)) as connection:
        while not (page := scan.next(connection)).ended:
            pass
    return page.done


def test_every_entry_of_the_old_ledger_is_in_the_new_one(former: str) -> None:
    columns = "n, id, kind, at, source, body"
    before = rows(former, f"SELECT {columns} FROM entries ORDER BY n")
    store = Store(former)
    found = store.open()
    assert found.head == len(FACTS)
    assert rows(former, f"SELECT {columns} FROM entries ORDER BY n") == before
    assert [e.fact for e in store.entries(0, 100)] == FACTS
    assert [e.at for e in store.entries(0, 2)] == [999, 998]
    assert store.account is not None and store.account.state() == fold(entries(former))
    assert append(store, *FACTS) == [("REPEAT", n + 1) for n in range(len(FACTS))]
    assert append(store, fill("new")) == [("NEW", len(FACTS) + 1)]
    store.close()
    assert table_rows(former) == fold_rows(entries(former))
    assert proved(former) == len(FACTS) + 1
    assert reopened(former) == len(FACTS) + 1


def test_what_was_set_aside_still_is(former: str) -> None:
    write = "INSERT INTO poison SELECT 9, id, body, reason, at FROM poison WHERE k = 1"
    change(former, write)  # the old program set a fact aside as often as it was told
    store = Store(former)
    found = store.open()
    assert (found.aside, found.reason) == (1, "fill:o1:bad: CHECK failed")
    bad = fill("bad", price=PRICE_REFUSED)
    assert rows(former, "SELECT k, id, essence, reason, at, money FROM poison ORDER BY k") == [
        (1, "fill:o1:bad", essence(bad), "CHECK failed", 77, 1),
        (2, "balance:0:9", essence(balance(9, 10**16)), "CHECK failed", 77, 0),
    ]
    [result] = store.commit([Wanted(bad, "test")], 1).results
    assert (result.verdict, result.aside) == ("REFUSED", 1)
    store.close()


def test_a_copy_of_the_old_ledger_stands_beside_the_new_one(former: str) -> None:
    before = everything(former)
    chained = rows(former, "SELECT n, id, body, hash FROM entries ORDER BY n")
    lives(former, [])
    copy = f"{former}.before-0002"
    assert everything(copy) == before
    assert rows(copy, "PRAGMA integrity_check") == [("ok",)]
    assert rows(copy, "PRAGMA user_version") == [(1,)]
    link = "0" * 64
    for n, id, body, hash in chained:
        link = chain(link, n, id, body)  # type: ignore[arg-type]
        assert hash == link
    assert rows(copy, "SELECT n, id, body, hash FROM entries ORDER BY n") == chained
    assert not os.path.exists(f"{copy}.part")
    os.replace(copy, former)
    os.unlink(f"{former}.end")
    assert reopened(former) == len(FACTS), "and the way back is the way there again"


def test_it_migrates_once(former: str) -> None:
    lives(former, [])
    os.unlink(f"{former}.before-0002")
    name = rows(former, "SELECT value FROM meta WHERE key = 'ledger'")
    assert reopened(former) == len(FACTS)
    assert rows(former, "SELECT value FROM meta WHERE key = 'ledger'") == name
    assert not os.path.exists(f"{former}.before-0002")
    assert rows(former, "SELECT * FROM alembic_version") == [(HEAD,)]
    assert rows(former, "PRAGMA user_version") == [(int(HEAD),)]


def test_a_try_that_was_killed_is_made_again(former: str) -> None:
    Path(f"{former}.before-0002.part").write_bytes(b"half a copy")
    Path(f"{former}.before-0002").write_bytes(b"of a former try, too")
    before = everything(former)
    assert reopened(former) == len(FACTS)
    assert everything(f"{former}.before-0002") == before


def test_an_empty_old_ledger_becomes_an_empty_new_one(path: str) -> None:
    write_former(path, [])
    assert reopened(path) == 0
    assert proved(path) == 0


@pytest.mark.parametrize(
    ("statement", "told"),
    [
        ("UPDATE entries SET body = replace(body, '1.00', '9.00') WHERE n = 3", "entry 3 is not"),
        ("UPDATE entries SET id = 'fill:o1:t9' WHERE n = 3", "entry 3 is not"),
        ("UPDATE entries SET hash = 'abc' WHERE n = 11", "entry 11 is not"),
        ("DELETE FROM entries WHERE n = 1", "entry 1 is not"),
        ("DELETE FROM entries WHERE n = 6", "entry 6 is not"),
        ("UPDATE entries SET body = '{' WHERE n = 4", "entry 4 is not"),
    ],
)
def test_a_damaged_old_ledger_stays_as_it_is(former: str, statement: str, told: str) -> None:
    change(former, "DROP TRIGGER entries_stay", "DROP TRIGGER entries_remain")
    change(former, statement)
    refused(former, told)


def test_an_old_entry_that_can_not_be_read_stops_the_migration(former: str) -> None:
    change(former, "DROP TRIGGER entries_stay")
    change(former, """UPDATE entries SET body = '{"type":"Nothing"}' WHERE n = 4""")
    chain_again(former)
    refused(former, "entry 4 can't be read")


@pytest.mark.parametrize(
    ("fact", "told"),
    [
        (seen("o8", price=int(PRICE_REFUSED)), "CHECK constraint failed"),
        (intended("x" * ENTRY_ID_CHARS_MAX), "CHECK constraint failed"),
        (OrderUnknown("c9", "x" * FACT_CHARS_MAX), "CHECK constraint failed"),
        (seen("o8", updated_at=2**63), "too large"),
    ],
)
def test_what_the_new_tables_do_not_take_stops_the_migration(
    path: str, fact: AnyFact, told: str
) -> None:
    write_former(path, [*FACTS, fact])
    refused(path, told)


def refused(path: str, told: str) -> None:
    """Opening fails, and again, and nothing in the database is changed by it."""
    change(path, "DROP TRIGGER IF EXISTS entries_stay", "DROP TRIGGER IF EXISTS entries_remain")
    change(path, *[s for s in SCHEMA if "TRIGGER" in s])
    before = everything(path)
    store = Store(path)
    for _ in range(2):
        with pytest.raises(Failed, match=told):
            store.open()
        assert everything(path) == before
        assert rows(path, "PRAGMA user_version") == [(1,)]
    store.close()
    assert not os.path.exists(f"{path}.end")


# What is no ledger of ours


def test_a_database_of_a_newer_program_is_left_alone(path: str) -> None:
    begun(path)
    lives(path, [fill()])
    change(path, "UPDATE alembic_version SET version_num = '0003'")
    before = (everything(path), Path(path).read_bytes(), Path(f"{path}.end").read_bytes())
    store = Store(path)
    told = rf"^{path}: made by a newer program \(schema 0003, this one knows {HEAD}\)$"
    for _ in range(2):
        with pytest.raises(ConfigError, match=told):
            store.open()
    store.close()
    assert (everything(path), Path(path).read_bytes(), Path(f"{path}.end").read_bytes()) == before
    assert not os.path.exists(f"{path}.before-0003")


def test_the_revision_on_record_decides_and_not_the_number_of_the_first_program(path: str) -> None:
    begun(path)
    change(path, "PRAGMA user_version = 9")
    assert reopened(path) == 0


def test_a_ledger_that_lost_its_revision_is_not_taken_for_an_old_one(path: str) -> None:
    begun(path)
    lives(path, [fill()])
    change(path, "DROP TABLE alembic_version")
    before = everything(path)
    with pytest.raises(Failed, match="a database, but not a ledger"):
        Store(path).open()
    assert everything(path) == before


@pytest.mark.parametrize("version", ["'0000'", "'abc'", "''", "'0002'), ('0001'"])
def test_a_schema_that_nobody_made_is_a_failure(path: str, version: str) -> None:
    begun(path)
    change(path, "DELETE FROM alembic_version", f"INSERT INTO alembic_version VALUES ({version})")
    with pytest.raises(Failed, match="its schema is"):
        Store(path).open()


@pytest.mark.parametrize(
    "statement",
    ["CREATE TABLE songs (name)", "CREATE TABLE entries (name)", "CREATE VIEW v AS SELECT 1"],
)
def test_a_database_that_is_no_ledger_is_left_alone(path: str, statement: str) -> None:
    change(path, statement)
    before = everything(path)
    with pytest.raises(Failed):
        Store(path).open()
    assert everything(path) == before


# Whatever the entries


@settings(max_examples=15, deadline=None)
@given(facts=st.lists(ANY_FACT, max_size=30, unique_by=natural_id))
def test_any_old_ledger_is_the_same_account_afterwards(
    tmp_path_factory: pytest.TempPathFactory, facts: list[AnyFact]
) -> None:
    path = str(tmp_path_factory.mktemp("former") / "ledger.db")
    write_former(path, facts)
    store = Store(path)
    assert store.open().head == len(facts)
    assert [e.fact for e in store.entries(0, 100)] == facts
    store.close()
    assert table_rows(path) == fold_rows(entries(path))
    assert proved(path) == len(facts)
