"""Restoring from a real ledger: whatever became of the snapshots, the state is the same."""

import hashlib
import random
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.rehydrator.store import Ledger, Unreadable
from actors.writer.store import Store
from protocol.account import Account
from protocol.facts import AnyFact, Fill
from protocol.limits import READ_ENTRIES
from protocol.messages import AccountState
from protocol.units import Count, Money, Price
from tests.actors.writer import samples
from tests.actors.writer.samples import accepted, balance, fill, intended, wanted

AT = 1_782_873_388_379_000


@pytest.fixture
def path(tmp_path: Path) -> str:
    """A ledger of six entries with snapshots at 2, 4 and 6."""
    path = str(tmp_path / "a ledger?#%41.db")
    lives([[intended(), accepted()], [fill("t1"), balance()], [fill("t2"), fill("t3")]], path)
    return path


def lives(batches: list[list[AnyFact]], path: str) -> AccountState:
    """A writer's lives, each of one batch and a clean stop. Returns the fold of all entries."""
    account = Account()
    for batch in batches:
        store = Store(path)
        store.open()
        for one in store.commit(wanted(*batch), AT).booked:
            account.apply(one.entry)
        store.close()
    return account.state()


def folded(path: str) -> AccountState:
    store = Store(path)
    head = store.open().head
    account = Account()
    for entry in store.entries(0, head + 1):
        account.apply(entry)
    store.close()
    return account.state()


def change(path: str, statement: str, *values: object) -> None:
    with closing(sqlite3.connect(path)) as database, database:
        database.execute(statement, values)


def restored(path: str) -> tuple[AccountState, str]:
    account, how = Ledger(path, "").load(lambda done, total: None)
    return account.state(), how


def test_the_newest_snapshot_is_enough(path: str) -> None:
    assert restored(path) == (folded(path), "snapshot at 6, 0 entries replayed")


def test_what_came_after_the_snapshot_is_replayed_while_the_writer_writes(path: str) -> None:
    store = Store(path)
    store.open()
    store.commit(wanted(fill("t4"), fill("t5")), AT)
    state, how = restored(path)
    assert how == "snapshot at 6, 2 entries replayed"
    store.commit(wanted(fill("t6")), AT)
    store.close()
    assert state.n == 8
    assert restored(path)[0] == folded(path)


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE snapshots SET body = replace(body, '3.00', '4.00') WHERE n = 6",
        "UPDATE snapshots SET body = substr(body, 1, length(body) / 2) WHERE n = 6",
        "UPDATE snapshots SET sha256 = '' WHERE n = 6",
        "DELETE FROM snapshots WHERE n = 6",
    ],
)
def test_an_unsound_snapshot_is_passed_over_for_an_older_one(path: str, damage: str) -> None:
    change(path, damage)
    state, how = restored(path)
    assert state == folded(path)
    assert how.startswith("snapshot at 4, 2 entries replayed")


def test_without_a_sound_snapshot_everything_is_replayed(path: str) -> None:
    change(path, "UPDATE snapshots SET body = body || ' '")
    state, how = restored(path)
    assert state == folded(path)
    assert how == "snapshot at 0, 6 entries replayed, 3 unsound snapshots passed over"


def test_a_snapshot_from_the_future_is_refused(path: str) -> None:
    body = '{"type":"AccountState","n":9}'
    digest = hashlib.sha256(body.encode()).hexdigest()
    change(path, "INSERT INTO snapshots VALUES (9, ?, ?)", body, digest)
    state, how = restored(path)
    assert state == folded(path)
    assert how == "snapshot at 6, 0 entries replayed, 1 unsound snapshots passed over"


@pytest.mark.parametrize("body", ['{"type":"AccountState","n":5}', '{"n":"six"}', "{"])
def test_a_snapshot_that_does_not_say_what_it_should_is_refused(path: str, body: str) -> None:
    digest = hashlib.sha256(body.encode()).hexdigest()
    change(path, "UPDATE snapshots SET body = ?, sha256 = ? WHERE n = 6", body, digest)
    state, how = restored(path)
    assert state == folded(path)
    assert how == "snapshot at 4, 2 entries replayed, 1 unsound snapshots passed over"


def test_a_hole_in_the_ledger_is_not_papered_over(path: str) -> None:
    change(path, "DELETE FROM snapshots")
    change(path, "DROP TRIGGER entries_remain")
    change(path, "DELETE FROM entries WHERE n = 3")
    with pytest.raises(Unreadable, match="entry 4 does not follow 2"):
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
    path = str(tmp_path / "ledger.db")
    count = 2 * READ_ENTRIES + 5
    store = Store(path)
    store.open()
    for start in range(0, count, 401):
        store.commit(wanted(*(fill(f"t{i}") for i in range(start, min(start + 401, count)))), AT)
    said: list[tuple[int, int]] = []
    account, _ = Ledger(path, "").load(lambda done, total: said.append((done, total)))
    store.close()
    assert account.n == count
    assert said == [(1_000, count), (2_000, count), (count, count)]


# Whatever the entries, and wherever the snapshot

PAIRS = st.sampled_from([("a", "x"), ("b", "y"), ("c", "z")])  # an exchange's id has one owner
FACTS = st.one_of(
    st.builds(intended, st.sampled_from("abc")),
    PAIRS.map(lambda pair: accepted(*pair)),
    PAIRS.map(lambda pair: samples.seen(pair[1], pair[0])),
    PAIRS.map(lambda pair: samples.seen(pair[1], "", 2)),
    st.builds(
        Fill,
        order_id=st.sampled_from("xyz"),
        trade_id=st.sampled_from("12345678"),
        ticker=st.sampled_from(["KXA-1", "KXB-2"]),
        side=st.sampled_from(["bid", "ask"]),
        price=st.integers(1, 9_999).map(lambda ticks: Price(ticks * 100)),
        count=st.integers(1, 100_000).map(Count),
        fee=st.integers(0, 10**6).map(Money),
        is_taker=st.booleans(),
    ),
    st.builds(balance, st.integers(1, 5), st.integers(-(10**9), 10**9)),
)
BATCHES = st.lists(st.lists(FACTS, min_size=1, max_size=12), min_size=1, max_size=4)


@settings(max_examples=40, deadline=None)
@given(batches=BATCHES, dice=st.randoms(use_true_random=False))
def test_snapshot_and_replay_are_the_fold_of_all(
    tmp_path_factory: pytest.TempPathFactory, batches: list[list[AnyFact]], dice: random.Random
) -> None:
    path = str(tmp_path_factory.mktemp("ledger") / "ledger.db")
    state = lives(batches, path)
    assert restored(path)[0] == state
    with closing(sqlite3.connect(path)) as database:
        snapshots = [n for (n,) in database.execute("SELECT n FROM snapshots")]
    dice.shuffle(snapshots)
    for n in snapshots:  # one after the other, until everything is replayed
        change(path, "DELETE FROM snapshots WHERE n = ?", n)
        assert restored(path)[0] == state
