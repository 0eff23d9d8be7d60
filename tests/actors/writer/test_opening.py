"""Opening a ledger: the account is the fold of its entries, or it does not open."""

import os
import re
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from msgspec.structs import replace
from sqlalchemy.engine import Connection

from actors.writer import database
from actors.writer.anchor import AnchorFile
from actors.writer.store import Failed, Locked, Opened, Store
from actors.writer.verify import verify
from protocol.account import Account
from protocol.errors import ConfigError
from protocol.facts import AnyFact
from protocol.limits import TAIL_CHECKED
from protocol.messages import AccountState
from protocol.runtime.ledger import connect_read_only
from tests.actors.writer.files import (
    AT,
    Beside,
    append,
    change,
    entries,
    everything,
    fold,
    fold_rows,
    lives,
    pages_kept,
    reopened,
    rows,
    table_rows,
    unlocked,
)
from tests.actors.writer.samples import accepted, balance, fill, intended, seen, wanted
from tests.actors.writer.unsound import ACCOUNT, UNSOUND, Damage

HOLDER = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN IMMEDIATE")
print("held", flush=True)
sys.stdin.read()
"""


def six(path: str) -> AccountState:
    """A ledger of six entries with snapshots at 2, 4 and 6. Returns the fold of all."""
    batches: list[list[AnyFact]] = [
        [intended(), accepted()],
        [fill("t1"), balance()],
        [fill("t2"), fill("t3")],
    ]
    lives(path, *batches, account=ACCOUNT)
    return fold(entries(path))


def opened(path: str, account: str = ACCOUNT) -> tuple[Opened, Account]:
    store = Store(path, account)
    found = store.open()
    state = store.account
    store.close()
    return found, state


# Snapshots


@pytest.mark.parametrize(("damage", "n", "reason"), UNSOUND.values(), ids=UNSOUND)
def test_an_unsound_snapshot_is_refused_by_name(
    path: str, damage: Damage, n: int, reason: str
) -> None:
    state = six(path)
    damage(path)
    found, account = opened(path)
    assert account.state() == state
    start = 6 if n > 7 else 4
    assert found.how.startswith(
        f"snapshot at {start}, {6 - start} entries replayed; refused: snapshot at {n}: {reason}"
    )


def test_a_snapshot_of_a_former_program_is_passed_over_and_is_no_damage(path: str) -> None:
    state = six(path)
    UNSOUND["older"][0](path)
    with closing(connect_read_only(path)) as connection:
        assert verify(connection, path).problems == ()
    assert opened(path)[1].state() == state
    UNSOUND["newer"][0](path)
    with closing(connect_read_only(path)) as connection:
        [problem] = verify(connection, path).problems
    assert problem.startswith("snapshot at ") and "this program knows" in problem


def test_without_a_sound_snapshot_everything_is_replayed(path: str) -> None:
    state = six(path)
    change(path, "UPDATE snapshots SET body = body || ' '")
    found, account = opened(path)
    assert account.state() == state
    refused = [f"snapshot at {n}: not what was written" for n in (6, 4, 2)]
    assert found.how == f"snapshot at 0, 6 entries replayed; refused: {'; '.join(refused)}"


def test_after_an_unsound_snapshot_it_goes_on_where_it_was(path: str) -> None:
    six(path)
    change(path, "UPDATE snapshots SET body = body || ' '")
    store = Store(path, ACCOUNT)
    store.open()
    assert append(store, fill("t4")) == [("NEW", 7)]
    store.close()
    assert rows(path, "SELECT position, n FROM positions") == [(400, 7)]
    assert opened(path)[0].how == "snapshot at 7, 0 entries replayed"


# The chain


def test_an_entry_that_was_changed_is_found_out(path: str) -> None:
    lives(path, [fill("t1"), fill("t2"), fill("t3")])  # the snapshot covers all three
    unlocked(path)
    change(path, "UPDATE entries SET body = replace(body, '1.00', '9.00') WHERE n = 2")
    with pytest.raises(Failed, match="entry 2 is not what was written"):
        Store(path).open()


@pytest.mark.parametrize("column", ["id", "kind", "source", "body"])
def test_an_entry_with_a_text_that_is_none_is_found_out(path: str, column: str) -> None:
    lives(path, [fill("t1"), fill("t2"), fill("t3")])
    unlocked(path)
    change(path, f"UPDATE entries SET {column} = CAST(x'ff' || {column} AS TEXT) WHERE n = 2")
    with pytest.raises(Failed, match=f"Could not decode to UTF-8 column '{column}'"):
        Store(path).open()


def test_a_missing_entry_is_found_out(path: str) -> None:
    lives(path, [fill("t1"), fill("t2"), fill("t3")])
    unlocked(path)
    change(path, "DELETE FROM entries WHERE n = 2")
    with pytest.raises(Failed, match="entry 2 is missing: entry 3 stands in its place"):
        Store(path).open()


def test_what_failed_once_is_looked_at_again_when_it_is_asked_for(path: str) -> None:
    lives(path, [fill("t1"), fill("t2")])
    unlocked(path)
    change(path, "UPDATE entries SET source = 'nobody' WHERE n = 2")
    store = Store(path)
    for _ in range(2):
        with pytest.raises(Failed, match="entry 2"):
            store.open()
    change(path, "UPDATE entries SET source = 'test' WHERE n = 2")
    assert store.open().head == 2
    store.close()


def test_only_a_suspect_ledger_is_checked_from_its_beginning(path: str) -> None:
    many = [fill(f"t{i}") for i in range(TAIL_CHECKED + 10)]
    lives(path, many)
    unlocked(path)
    change(path, "UPDATE entries SET source = 'nobody' WHERE n = 3")
    said: list[str] = []
    store = Store(path)
    store.open(said.append)
    assert said == ["restoring the account"], "the snapshot and the tail are sound"
    pages_kept(store._execute)
    with pytest.raises(Failed, match="full"):
        append(store, *[fill(f"more-{i}-{'x' * 200}") for i in range(400)])
    store.close()
    said.clear()
    for _ in range(2):
        with pytest.raises(Failed, match="entry 3 is not what was written"):
            store.open(said.append)
    assert said == 2 * ["the storage failed: checking the whole ledger"]
    change(path, "UPDATE entries SET source = 'test' WHERE n = 3")
    assert store.open(said.append).head == len(many)
    store.close()
    said.clear()
    store.open(said.append)
    store.close()
    assert said == ["restoring the account"], "checked once, and sound from then on"


# Whose it is, and who writes it


def test_a_ledger_of_another_account_is_left_alone(path: str) -> None:
    six(path)
    before = everything(path)
    holds = "holds the account 'paper/a', the settings name 'paper/b'"
    with pytest.raises(ConfigError, match=holds):
        Store(path, "paper/b").open()
    assert everything(path) == before


def test_who_takes_any_account_keeps_the_one_that_it_finds(path: str) -> None:
    six(path)
    lives(path, [fill("t4")])
    how = "snapshot at 7, 0 entries replayed"
    assert opened(path)[0].how == opened(path, "")[0].how == how
    assert rows(path, "SELECT DISTINCT account FROM snapshots") == [(ACCOUNT,)]


def test_a_writer_that_finds_another_one_behind_it_stops(path: str) -> None:
    anchor = Beside(AnchorFile(path).read())
    first = Store(path, anchor=anchor)
    first.open()
    append(first, fill("t1"))
    second = Store(path, anchor=Beside(anchor.end))  # got past the lock somehow
    assert second.open().head == 1
    for _ in range(2):
        with pytest.raises(Failed, match="another writer has opened it"):
            append(first, fill("t2"))
    assert append(second, fill("t3")) == [("NEW", 2)]
    for write in (lambda: first.told(1), first.close):
        with pytest.raises(Failed, match="another writer has opened it"):
            write()
    second.close()
    assert [e.id for e in entries(path)][:2] == ["fill:o1:t1", "fill:o1:t3"]


def test_who_holds_the_database_is_named(path: str) -> None:
    store = Store(path)
    store.open()
    command = [sys.executable, "-c", HOLDER, path]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as holder:
        assert holder.stdout is not None and holder.stdin is not None
        assert holder.stdout.readline() == "held\n"
        held_by = re.escape(f"database is locked, held by pid {holder.pid} (python")
        with pytest.raises(Locked, match=held_by):
            append(store, fill())
        with pytest.raises(Locked, match=held_by):
            Store(path, anchor=Beside(store._anchor.read())).open()
        holder.stdin.close()
    assert append(store, fill()) == [("NEW", 1)]
    store.close()


# What changes nothing


def test_a_repeat_changes_nothing(path: str) -> None:
    facts = [intended(), seen("o1"), accepted(), fill(), balance()]
    store = Store(path)
    store.open()
    append(store, *facts)
    before = everything(path)
    assert append(store, *facts, *reversed(facts)) == [
        ("REPEAT", n) for n in (1, 2, 3, 4, 5, 5, 4, 3, 2, 1)
    ]
    assert everything(path) == before
    store.close()


def test_a_clock_that_steps_back_changes_nothing(path: str) -> None:
    store = Store(path)
    store.open()
    facts = [intended(), accepted(), fill("t1"), balance(), fill("t2")]
    for i, fact in enumerate(facts):
        store.commit(wanted(fact), AT - i * 10**6)
    store.close()
    found = entries(path)
    assert [(e.n, e.at) for e in found] == [(i + 1, AT - i * 10**6) for i in range(5)]
    assert table_rows(path) == fold_rows(found)
    assert opened(path, "")[1].state() == fold(found)


def test_a_database_that_is_read_meanwhile_is_not_changed_by_it(path: str) -> None:
    six(path)
    with closing(sqlite3.connect(path)) as reader:
        reader.execute("BEGIN")
        assert reader.execute("SELECT count(*) FROM entries").fetchone() == (6,)
        store = Store(path, ACCOUNT)
        store.open()
        assert append(store, fill("t9")) == [("NEW", 7)]
        assert reader.execute("SELECT count(*) FROM entries").fetchone() == (6,)
        log = store.checkpoint()
        assert log.done < log.pages, "the reader pins it"
    log = store.checkpoint()
    assert log.done == log.pages
    store.close()


def test_after_a_storage_failure_the_log_file_is_brought_in_before_anything_rests_on_it(
    path: str,
) -> None:
    """What it has may be in memory only, though it reads well."""
    first = Store(path)
    first.open()
    append(first, fill("t1"))
    anchor = Beside(replace(first._anchor.read(), suspect=True))
    reader = sqlite3.connect(f"file:{path}?mode=ro", uri=True, isolation_level=None)
    reader.execute("BEGIN").execute("SELECT count(*) FROM entries").fetchall()
    with pytest.raises(Failed, match="another program reads it"):
        Store(path, anchor=anchor).open()
    reader.close()
    second = Store(path, anchor=anchor)
    assert os.path.getsize(f"{path}-wal") > 0
    assert second.open().head == 1
    assert b"fill:o1:t1" in Path(path).read_bytes(), "it is in the database by now"
    second.close()
    with pytest.raises(Failed, match="another writer has opened it"):
        first.close()


def test_storage_that_fails_while_it_is_opened_is_suspect_as_well(path: str) -> None:
    lives(path, [fill("t1")])

    def failing(path: str) -> Connection:
        connection = database.connect(path)
        connection.exec_driver_sql("PRAGMA query_only = 1")  # the trial commit can't be made
        return connection

    end = AnchorFile(path).read()
    assert end is not None
    anchor = Beside(end)
    with pytest.raises(Failed, match="readonly"):
        Store(path, anchor=anchor, connect=failing).open()
    assert anchor.end == replace(end, suspect=True)
    store = Store(path, anchor=anchor)
    assert store.open().head == 1
    assert anchor.end == end
    store.close()


def test_an_emptied_database_is_not_begun_anew_beside_its_log_file(path: str) -> None:
    store = Store(path)
    store.open()
    append(store, fill("t1"))
    for suffix in ("-wal", ".end"):
        shutil.copy(path + suffix, path + suffix + ".kept")
    store.close()
    os.truncate(path, 0)
    for suffix in ("-wal", ".end"):
        os.replace(path + suffix + ".kept", path + suffix)
    log = Path(f"{path}-wal").read_bytes()
    with pytest.raises(Failed, match="is gone or empty, with 1 entries"):
        reopened(path)
    assert Path(f"{path}-wal").read_bytes() == log, "it may be all that is left"


def test_a_truncated_ledger_does_not_open_wherever_it_was_cut(path: str, tmp_path: Path) -> None:
    lives(path, [intended(), accepted()], [fill(f"t{i}") for i in range(20)])
    whole, before = Path(path).read_bytes(), everything(path)
    for size in [*range(0, len(whole), 4096), 1, 100, 600]:
        cut = str(tmp_path / f"cut-{size}.db")
        Path(cut).write_bytes(whole[:size])
        shutil.copy(f"{path}.end", f"{cut}.end")
        with pytest.raises(Failed, match=re.escape(cut)):
            reopened(cut)
        assert Path(cut).read_bytes() == whole[:size], "and it is left as it is"
    Path(path).write_bytes(whole[:-1])  # SQLite reads the missing byte as zero: like a changed one
    with closing(connect_read_only(path)) as connection:
        found = verify(connection, path).problems
    assert found or everything(path) == before
