"""Restoring from a real ledger: whatever became of the snapshots, the state is the same."""

import random
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.rehydrator.store import Ledger, Unreadable
from actors.writer.store import Store
from protocol.audit import Damage as NotWhatWasWritten
from protocol.facts import AnyFact
from protocol.limits import READ_ENTRIES
from protocol.messages import AccountState
from protocol.runtime.ledger import Page
from tests.actors.writer.anyfact import BATCHES
from tests.actors.writer.files import (
    append,
    begun,
    change,
    entries,
    fold,
    lives,
    put,
    rows,
    unlocked,
)
from tests.actors.writer.samples import accepted, balance, fill, intended
from tests.actors.writer.unsound import ACCOUNT, UNSOUND, Damage


@pytest.fixture
def path(tmp_path: Path) -> str:
    """A ledger of six entries with snapshots at 2, 4 and 6."""
    path = begun(str(tmp_path / "a ledger?#%41.db"))
    batches: list[list[AnyFact]] = [
        [intended(), accepted()],
        [fill("t1"), balance()],
        [fill("t2"), fill("t3")],
    ]
    lives(path, *batches, account=ACCOUNT)
    return path


def folded(path: str) -> AccountState:
    return fold(entries(path))


def restored(path: str, account: str = ACCOUNT) -> tuple[AccountState, str]:
    found, how = Ledger(path, account).load(lambda done, total: None)
    return found.state(), how


def test_the_newest_snapshot_is_enough(path: str) -> None:
    assert restored(path) == (folded(path), "snapshot at 6, 0 entries replayed")


def test_what_came_after_the_snapshot_is_replayed_while_the_writer_writes(path: str) -> None:
    store = Store(path, ACCOUNT)
    store.open()
    append(store, fill("t4"), fill("t5"))
    state, how = restored(path)
    assert how == "snapshot at 6, 2 entries replayed"
    append(store, fill("t6"))
    store.close()
    assert state.n == 8
    assert restored(path)[0] == folded(path)


@pytest.mark.parametrize(("damage", "n", "reason"), UNSOUND.values(), ids=UNSOUND)
def test_an_unsound_snapshot_is_refused_by_name(
    path: str, damage: Damage, n: int, reason: str
) -> None:
    damage(path)
    state, how = restored(path)
    assert state == folded(path)
    start = 6 if n > 7 else 4
    assert how.startswith(
        f"snapshot at {start}, {6 - start} entries replayed; refused: snapshot at {n}: {reason}"
    )


def test_a_missing_snapshot_is_no_loss(path: str) -> None:
    change(path, "DELETE FROM snapshots WHERE n = 6")
    assert restored(path) == (folded(path), "snapshot at 4, 2 entries replayed")


def test_without_a_sound_snapshot_everything_is_replayed(path: str) -> None:
    change(path, "UPDATE snapshots SET body = body || ' '")
    refused = [f"snapshot at {n}: not what was written" for n in (6, 4, 2)]
    how = f"snapshot at 0, 6 entries replayed; refused: {'; '.join(refused)}"
    assert restored(path) == (folded(path), how)


def test_for_another_account_no_snapshot_is_taken(path: str) -> None:
    state, how = restored(path, "paper/b")
    assert state == folded(path)
    assert how.count("of the account 'paper/a', not 'paper/b'") == 3


@pytest.mark.parametrize("snapshots", [True, False])
@pytest.mark.parametrize(
    ("statement", "told"),
    [
        ("DELETE FROM entries WHERE n = 3", "entry 3 is missing: entry 4 stands in its place"),
        ("UPDATE entries SET source = 'x' WHERE n = 6", "entry 6 is not what was written"),
        ("UPDATE entries SET body = CAST(x'ff' AS TEXT) WHERE n = 6", "decode to UTF-8"),
    ],
)
def test_a_ledger_that_is_not_what_was_written_is_not_papered_over(
    path: str, statement: str, told: str, snapshots: bool
) -> None:
    unlocked(path)
    change(path, statement)
    if not snapshots:
        change(path, "DELETE FROM snapshots")
    with pytest.raises(Unreadable, match=told):
        restored(path)


def test_no_database_is_no_account_and_none_is_made(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    with pytest.raises(Unreadable, match="unable to open"):
        restored(str(path))
    assert not path.exists()
    path.touch()
    with pytest.raises(Unreadable, match="no such table"):
        restored(str(path))


def test_reading_changes_nothing(path: str) -> None:
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        change_read_only(path)
    before = Path(path).read_bytes()
    restored(path)
    assert Path(path).read_bytes() == before


def change_read_only(path: str) -> None:
    uri = f"{Path(path).as_uri()}?mode=ro"
    with closing(sqlite3.connect(uri, uri=True)) as database:
        database.execute("DELETE FROM snapshots")


def test_progress_is_told_batch_by_batch(tmp_path: Path) -> None:
    path = begun(str(tmp_path / "ledger.db"))
    count = 2 * READ_ENTRIES + 5
    store = Store(path)
    store.open()
    for start in range(0, count, 401):
        append(store, *(fill(f"t{i}") for i in range(start, min(start + 401, count))))
    said: list[tuple[int, int]] = []
    account, _ = Ledger(path, "").load(lambda done, total: said.append((done, total)))
    store.close()
    assert account.n == count
    assert said == [(1_000, count), (2_000, count), (count, count)]


# Proving


def audited(ledger: Ledger) -> list[Page]:
    found = [ledger.audit()]
    while not found[-1].ended:
        found.append(ledger.audit())
    return found


def test_the_whole_ledger_is_proved_page_by_page_and_then_anew(path: str) -> None:
    ledger = Ledger(path, ACCOUNT)
    first = audited(ledger)
    assert first[-1] == Page(6, 6, True) and len(first) > 4, "the entries, then four tables"
    lives(path, [fill("t4")], account=ACCOUNT)
    assert audited(ledger)[-1] == Page(7, 7, True)


def test_an_audit_goes_on_while_the_writer_writes(path: str) -> None:
    ledger = Ledger(path, ACCOUNT)
    store = Store(path, ACCOUNT)
    store.open()
    for i in range(4):
        append(store, fill(f"more-{i}"))
        assert not ledger.audit().ended
    assert audited(ledger)[-1] == Page(10, 10, True)
    store.close()


def test_what_is_not_what_was_written_is_damage_with_its_place(path: str) -> None:
    ledger = Ledger(path, ACCOUNT)
    audited(ledger)
    change(path, "UPDATE positions SET fees = fees - 1")
    for _ in range(2):
        with pytest.raises(NotWhatWasWritten, match=r"positions \('KXA-1',\): not what entry 6"):
            audited(ledger)
    assert Path(path).exists()


def test_a_ledger_that_can_not_be_read_now_is_no_damage(path: str) -> None:
    ledger = Ledger(path, ACCOUNT)
    Path(path).rename(f"{path}.away")
    with pytest.raises(Unreadable, match="unable to open"):
        ledger.audit()
    Path(f"{path}.away").rename(path)
    assert audited(ledger)[-1] == Page(6, 6, True)


# Whatever the entries, and wherever the snapshot


@settings(max_examples=40, deadline=None)
@given(batches=BATCHES, dice=st.randoms(use_true_random=False))
def test_snapshot_and_replay_are_the_fold_of_all(
    tmp_path_factory: pytest.TempPathFactory, batches: list[list[AnyFact]], dice: random.Random
) -> None:
    path = begun(str(tmp_path_factory.mktemp("ledger") / "ledger.db"))
    lives(path, *batches, account=ACCOUNT)
    state = folded(path)
    assert restored(path)[0] == state
    snapshots = [n for (n,) in rows(path, "SELECT n FROM snapshots")]
    dice.shuffle(snapshots)
    for n in snapshots:  # one after the other, until everything is replayed
        put(path, "DELETE FROM snapshots WHERE n = ?", n)
        assert restored(path)[0] == state
