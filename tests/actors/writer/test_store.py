"""The ledger on disk, on a real SQLite file: what is acknowledged stays, in order, once."""

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from sqlalchemy.exc import OperationalError

from actors.writer.store import Failed, Locked, Store, trouble
from protocol.facts import AnyFact
from protocol.messages import Entry
from protocol.runtime.ledger import rows as read
from protocol.runtime.process import LockHeld
from tests.actors.writer import samples
from tests.actors.writer.anyfact import ANY_FACT, FILLS
from tests.actors.writer.files import (
    AT,
    append,
    begun,
    everything,
    fold_rows,
    pages_kept,
    reopened,
    rows,
    table_rows,
)
from tests.actors.writer.samples import PRICE_REFUSED, accepted, balance, fill, intended, wanted

# Appending


def test_a_fact_is_new_once_then_a_repeat_and_with_another_body_a_conflict(store: Store) -> None:
    assert append(store, intended()) == [("NEW", 1)]
    assert append(store, intended(), accepted()) == [("REPEAT", 1), ("NEW", 2)]
    assert append(store, intended(count=2_000), fill()) == [("CONFLICT", 1), ("NEW", 3)]


def test_a_fact_twice_in_one_batch_is_one_entry(store: Store) -> None:
    verdicts = append(store, fill(), fill(), fill(count=200))
    assert verdicts == [("NEW", 1), ("REPEAT", 1), ("CONFLICT", 1)]
    assert [e.n for e in store.entries(0, 10)] == [1]


def test_a_fill_heard_by_both_roads_is_one_entry(store: Store) -> None:
    stream = fill()
    assert append(store, stream) == [("NEW", 1)]
    by_rest = fill()
    assert append(store, type(by_rest)(**{**_fields(by_rest), "exchange_at": 17})) == [
        ("REPEAT", 1)
    ]


def _fields(fact: AnyFact) -> dict[str, object]:
    return {name: getattr(fact, name) for name in fact.__struct_fields__}


def test_a_commit_brings_the_tables_that_follow_with_it(store: Store, path: str) -> None:
    append(store, intended(), accepted(), fill(), balance())
    assert rows(path, "SELECT key, order_id, state, filled, remaining, n FROM orders") == [
        ("c1", "o1", "resting", 100, 900, 3)
    ]
    assert rows(path, "SELECT trade_id, price, count, position, n FROM fills") == [
        ("t1", 560_000, 100, 100, 3)
    ]
    assert rows(path, "SELECT * FROM positions") == [(samples.TICKER, 100, 560_000, 0, 100, 3)]
    assert rows(path, "SELECT * FROM balances") == [(0, 5_000_000, 1, 4)]


def test_an_order_first_seen_under_the_exchanges_id_has_one_row_in_the_end(
    store: Store, path: str
) -> None:
    append(store, intended(), samples.seen("o1"))
    assert len(rows(path, "SELECT key FROM orders")) == 2
    append(store, accepted("c1", "o1"))
    assert rows(path, "SELECT key, order_id, state FROM orders") == [("c1", "o1", "resting")]


# Starting again


def test_numbers_run_on_after_a_restart_without_a_hole(path: str) -> None:
    for start in range(0, 6, 2):
        store = Store(path)
        assert store.open().head == start
        append(store, fill(f"t{start}"), fill(f"t{start + 1}"))
        assert append(store, fill("t0")) == [("REPEAT", 1)]
        store.close()
    assert rows(path, "SELECT n FROM entries ORDER BY n") == [(n,) for n in range(1, 7)]


def test_entries_are_read_back_as_they_were_appended(store: Store) -> None:
    facts = [intended(), accepted(), fill(), balance()]
    done = store.commit(wanted(*facts), AT)
    assert store.entries(0, 10) == tuple(b.entry for b in done.booked)
    assert [e.fact for e in store.entries(1, 2)] == facts[1:3]


def test_a_snapshot_is_saved_at_a_clean_stop_and_three_are_kept(path: str) -> None:
    for life in range(5):
        store = Store(path)
        store.open()
        append(store, fill(f"t{life}"))
        store.close()
    assert rows(path, "SELECT n FROM snapshots ORDER BY n") == [(3,), (4,), (5,)]


# Refusals


@pytest.mark.parametrize(
    ("statement", "word"),
    [
        ("UPDATE entries SET at = 0", "never changed"),
        ("DELETE FROM entries", "never deleted"),
        ("INSERT OR REPLACE INTO entries SELECT * FROM entries", "never deleted"),
    ],
)
def test_entries_are_never_changed_or_deleted(
    store: Store, path: str, statement: str, word: str
) -> None:
    append(store, fill())
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA recursive_triggers = ON")
        with pytest.raises(sqlite3.IntegrityError, match=word):
            database.execute(statement)


def test_a_second_writer_is_turned_away(store: Store, path: str) -> None:
    turned_away = rf"another writer has it open \(pid {os.getpid()}\)"
    with pytest.raises(LockHeld, match=turned_away):
        Store(path).open()
    assert append(store, fill()) == [("NEW", 1)]  # and the first one keeps its lock
    with pytest.raises(LockHeld, match=turned_away):
        Store(path).open()


def test_a_file_that_is_no_database_is_a_failure(path: str) -> None:
    Path(path).write_bytes(b"this is not a database at all, whatever its name says" * 40)
    with pytest.raises(Failed, match="not a database"):
        Store(path).open()


# A busy or a full disk


def test_every_commit_is_synced_to_disk(store: Store) -> None:
    pragmas = {"journal_mode": "wal", "synchronous": 2}  # 2 is FULL
    for name, value in pragmas.items():
        assert read(store._execute, f"PRAGMA {name}") == [(value,)]


def test_a_locked_database_is_worth_another_try(store: Store, path: str) -> None:
    append(store, fill("t1"))
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(Locked, match="locked"):
            append(store, fill("t2"))
        other.execute("ROLLBACK")
    assert append(store, fill("t2")) == [("NEW", 2)]


def test_a_locked_database_can_be_opened_later(path: str) -> None:
    assert reopened(path) == 0
    store = Store(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(Locked):
            store.open()
        other.execute("ROLLBACK")
    assert store.open().head == 0
    store.close()


@pytest.mark.parametrize("poison", [[], [fill("poison", price=PRICE_REFUSED)]])
def test_a_full_disk_is_a_failure_and_leaves_no_trace(path: str, poison: list[AnyFact]) -> None:
    store = Store(path)
    store.open()
    append(store, fill("t1"))
    pages_kept(store._execute)
    many = [fill(f"many-{i}-{'x' * 200}") for i in range(200)]
    with pytest.raises(Failed, match="full"):
        append(store, fill("t2"), *poison, *many)
    store.close()
    assert rows(path, "SELECT n FROM snapshots") == []  # none of a state that was not committed
    assert rows(path, "SELECT id FROM poison") == []  # and no half of a batch
    store = Store(path)
    assert store.open().head == 1
    assert append(store, fill("t2")) == [("NEW", 2)]
    store.close()


def test_after_a_failure_nothing_goes_on_until_it_is_opened_again(store: Store) -> None:
    append(store, fill("t1"))
    pages = pages_kept(store._execute)
    with pytest.raises(Failed, match="full"):
        append(store, *[fill(f"many-{i}-{'x' * 200}") for i in range(200)])
    store._execute.exec_driver_sql(f"PRAGMA max_page_count = {pages * 100}")
    store._execute.rollback()
    before = everything(store._path)
    for again in (
        lambda: append(store, fill("t2")),
        lambda: store.entries(0, 10),
        lambda: store.told(1),
        store.checkpoint,
    ):  # there is room again, and yet
        with pytest.raises(Failed, match="full"):
            again()
    assert everything(store._path) == before
    store.close()
    assert store.open().head == 1
    assert append(store, fill("t2")) == [("NEW", 2)], "nothing of the failed commit is remembered"


@pytest.mark.parametrize(
    ("code", "kind"), [(5, Locked), (6, Locked), (5 | 2 << 8, Locked), (10, Failed), (11, Failed)]
)
def test_busy_is_waited_for_and_everything_else_is_a_failure(code: int, kind: type) -> None:
    error = sqlite3.OperationalError("the text does not matter")
    error.sqlite_errorcode = code
    assert type(trouble(OperationalError("", (), error), "path")) is kind


# Whatever the batches are


POISON = FILLS.map(lambda fact: replace(fact, price=PRICE_REFUSED))
FACTS = st.lists(ANY_FACT | POISON, min_size=1, max_size=8)


@settings(max_examples=40, deadline=None)
@given(batches=st.lists(FACTS, min_size=1, max_size=5))
def test_numbers_are_contiguous_and_the_tables_are_the_fold(
    tmp_path_factory: pytest.TempPathFactory, batches: list[list[AnyFact]]
) -> None:
    path = begun(str(tmp_path_factory.mktemp("ledger") / "ledger.db"))
    store = Store(path)
    store.open()
    published: list[Entry] = []
    for batch in batches:
        done = store.commit(wanted(*batch), AT)
        assert len(done.results) == len(batch)
        published += [one.entry for one in done.booked]
    assert [e.n for e in published] == list(range(1, len(published) + 1))
    assert store.entries(0, 1_000) == tuple(published)
    assert table_rows(path) == fold_rows(published)
    store.close()
    assert reopened(path) == len(published)
