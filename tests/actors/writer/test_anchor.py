"""The anchor: a ledger that lost its end is never carried on with a hole."""

import hashlib
import os
import random
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from actors.writer.anchor import RECORD_BYTES, AnchorFile, End, _decode, _encode
from actors.writer.store import Failed, Opened, Store
from protocol.errors import ConfigError
from protocol.facts import LedgerRestored
from protocol.runtime.process import LockHeld
from tests.actors.writer.files import (
    append,
    change,
    copied,
    entries,
    everything,
    fold,
    lives,
    pages_kept,
    reopened,
    rows,
    unlocked,
)
from tests.actors.writer.samples import fill

END = End("5e5a" * 8, 12_345, bytes(range(32)))


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "ledger.db")


def end_of(path: str) -> End:
    found = AnchorFile(path).read()
    assert found is not None
    return found


def written(path: str, end: End) -> None:
    anchor = AnchorFile(path)
    anchor.write(end)
    anchor.release()


# The record


@given(
    st.builds(
        End,
        st.text("0123456789abcdef", min_size=32, max_size=32),
        st.integers(0, 2**63 - 1),
        st.binary(min_size=32, max_size=32),
        st.booleans(),
    )
)
def test_an_end_is_read_as_it_was_written(end: End) -> None:
    record = _encode(end)
    assert len(record) == RECORD_BYTES
    assert _decode(record) == end


def test_no_part_of_a_record_is_an_end() -> None:
    record = _encode(END)
    size = len(record.rstrip())
    for i in range(size):
        assert _decode(record[:i]) is None
        assert _decode(record[:i].ljust(RECORD_BYTES, b"\0")) is None


def test_no_bit_of_a_record_may_flip() -> None:
    record = _encode(END)
    for i in range(len(record.rstrip())):
        for bit in range(8):
            flipped = record[:i] + bytes([record[i] ^ 1 << bit]) + record[i + 1 :]
            assert _decode(flipped) is None


def test_half_of_one_record_over_another_is_no_end() -> None:
    one, other = _encode(END), _encode(End("5e5a" * 8, 99, bytes(32), True))
    for i in range(1, len(one.rstrip())):
        if (torn := other[:i] + one[i:]) not in (one, other):
            assert _decode(torn) is None


@pytest.mark.parametrize("text", ["", "1 a 1", "2 a 1 00 sound", "1 a 1 00 sound more", "garbage"])
def test_a_record_of_another_kind_is_no_end(text: str) -> None:
    sealed = f"{text} {hashlib.sha256(text.encode()).hexdigest()[:16]}"
    assert _decode(sealed.encode()) is None


def test_the_file_is_replaced_in_place(path: str) -> None:
    anchor = AnchorFile(path)
    assert anchor.read() is None
    for n in (10**12, 7, 0):
        anchor.write(End("5e5a" * 8, n, bytes(32)))
        assert anchor.read() == End("5e5a" * 8, n, bytes(32))
        assert os.path.getsize(f"{path}.end") == RECORD_BYTES
    assert os.stat(f"{path}.end").st_mode & 0o077 == 0
    anchor.release()


def test_there_is_one_lock_and_its_holder_is_named(path: str) -> None:
    first, second = AnchorFile(path), AnchorFile(path)
    first.lock()
    first.lock()
    with pytest.raises(LockHeld, match=rf"pid {os.getpid()}\)"):
        second.lock()
    first.release()
    second.lock()
    second.release()
    with pytest.raises(ConfigError, match="No such file or directory"):
        AnchorFile(f"{path}/nowhere/ledger.db").lock()


# Against the ledger


def test_each_commit_and_each_start_moves_the_anchor(path: str) -> None:
    store = Store(path)
    for n in range(3):
        assert store.open().head == n
        assert (end_of(path).n, end_of(path).suspect) == (n, False)
        append(store, fill(f"t{n}"))
        [(name,)] = rows(path, "SELECT value FROM meta WHERE key = 'ledger'")
        [(hash,)] = rows(path, "SELECT hash FROM entries WHERE n = ?", n + 1)
        assert end_of(path) == End(name, n + 1, hash)
        store.close()


def test_a_ledger_that_is_ahead_of_its_anchor_is_sound(path: str) -> None:
    """Killed between a commit and the anchor: nobody was answered, and it is told again."""
    lives(path, [fill("t1")])
    end = end_of(path)
    lives(path, [fill("t2"), fill("t3")])
    written(path, end)
    assert reopened(path) == 3
    assert end_of(path).n == 3


def test_a_failure_is_remembered_beside_the_ledger(path: str) -> None:
    """With what was acknowledged, never with what the failed commit would have brought."""
    store = Store(path)
    store.open()
    append(store, fill("t1"))
    acknowledged = end_of(path)
    pages_kept(store._execute)
    with pytest.raises(Failed, match="full"):
        append(store, *[fill(f"many-{i}-{'x' * 200}") for i in range(200)])
    assert end_of(path) == replace(acknowledged, suspect=True)
    store.close()
    assert end_of(path).suspect, "until everything has been checked"
    assert reopened(path) == 1
    assert end_of(path) == acknowledged


@pytest.mark.parametrize("missing", [1, 2, 3])
def test_a_ledger_that_lost_its_last_entries_does_not_open(path: str, missing: int) -> None:
    lives(path, [fill("t1")], [fill("t2")], [fill("t3")])
    end = end_of(path)
    unlocked(path)
    change(path, f"DELETE FROM entries WHERE n > {3 - missing}")
    store = Store(path)
    for _ in range(2):
        told = f"the last {missing} acknowledged entries are missing .it ends at {3 - missing}, exp"
        with pytest.raises(Failed, match=told):
            store.open()
    assert end_of(path) == end
    assert len(rows(path, "SELECT n FROM entries")) == 3 - missing, "nothing was added"


def test_a_ledger_copied_without_its_log_does_not_open(path: str, tmp_path: Path) -> None:
    lives(path, [fill("t1"), fill("t2")])
    store = Store(path)
    store.open()
    append(store, fill("t3"), fill("t4"), fill("t5"))
    copy = copied(path, str(tmp_path / "copy.db"))
    written(copy, end_of(path))
    store.close()
    with pytest.raises(Failed, match="the last 3 acknowledged entries are missing .* -wal"):
        Store(copy).open()
    assert reopened(path) == 5


def test_a_ledger_that_went_another_way_does_not_open(path: str, tmp_path: Path) -> None:
    lives(path, [fill("t1")])
    copy = copied(path, str(tmp_path / "copy.db"))
    written(copy, end_of(path))
    lives(path, [fill("t2")])
    lives(copy, [fill("t3")])
    os.replace(copy, path)
    with pytest.raises(Failed, match="entry 2 is not the one acknowledged"):
        Store(path).open()


def test_another_ledger_in_its_place_does_not_open(path: str, tmp_path: Path) -> None:
    other = str(tmp_path / "other.db")
    lives(path, [fill("t1")])
    lives(other, [fill("t1")])
    os.replace(other, path)
    before = everything(path)
    with pytest.raises(Failed, match="another ledger than the one that was here"):
        Store(path).open()
    assert everything(path) == before


def test_a_ledger_that_is_gone_is_not_begun_anew(path: str) -> None:
    lives(path, [fill("t1"), fill("t2")])
    os.unlink(path)
    store = Store(path)
    for _ in range(2):
        with pytest.raises(Failed, match=f"^{re.escape(path)}: is gone or empty, with 2 entries"):
            store.open()
    assert not os.path.exists(path)


def test_an_empty_ledger_that_is_gone_is_no_loss(path: str) -> None:
    lives(path, [])
    assert end_of(path).n == 0
    os.unlink(path)
    assert reopened(path) == 0
    lives(path, [fill("t1")])
    assert end_of(path).n == 1


def test_an_anchor_of_an_empty_ledger_says_nothing_of_another_one(
    path: str, tmp_path: Path
) -> None:
    """A fresh start that nobody used, and then the ledger from elsewhere: as after a restore."""
    other = str(tmp_path / "other.db")
    lives(path, [])
    lives(other, [fill("t1")])
    os.replace(other, path)
    assert reopened(path) == 2
    assert isinstance(entries(path)[1].fact, LedgerRestored)


@pytest.mark.parametrize("record", [None, b"", b"torn", bytes(RECORD_BYTES)])
def test_without_an_anchor_it_is_as_after_a_restore(path: str, record: bytes | None) -> None:
    lives(path, [fill("t1"), fill("t2")])
    if record is None:
        os.unlink(f"{path}.end")
    else:
        Path(f"{path}.end").write_bytes(record)
    store = Store(path)
    found = store.open()
    assert found.head == 3
    assert found.how.endswith(
        ".end is missing or not readable, so entries after it may be lost: as after a restore"
    )
    assert append(store, fill("t3")) == [("NEW", 4)]
    store.close()
    third = entries(path)[2]
    assert isinstance(third.fact, LedgerRestored)
    assert (third.fact.head, third.source) == (2, "writer")
    restored = fold(entries(path)).restored
    assert restored is not None
    assert (restored.n, restored.head, restored.reconciled) == (3, 2, False)
    assert reopened(path) == 4, "said once"


def test_a_new_ledger_is_no_restored_one(path: str) -> None:
    store = Store(path)
    assert store.open() == Opened(0, "snapshot at 0, 0 entries replayed")
    append(store, fill())
    store.close()
    assert [e.id for e in entries(path)] == ["fill:o1:t1"]


def test_an_anchor_that_can_not_be_read_is_a_failure_not_a_restore(path: str) -> None:
    lives(path, [fill("t1")])
    os.unlink(f"{path}.end")
    os.mkdir(f"{path}.end")
    with pytest.raises(Failed, match="Is a directory"):
        Store(path).open()
    assert len(entries(path)) == 1


def test_wherever_the_anchor_stands_no_hole_is_carried_on(path: str, tmp_path: Path) -> None:
    """Copies of one ledger of all ages against anchors of all ages."""
    databases, ends = [], []
    for n in range(6):
        databases.append(copied(path, str(tmp_path / f"{n}.db")) if n else "")
        ends.append(end_of(path) if n else END)
        lives(path, [fill(f"t{n}")])
    dice = random.Random(6)
    for _ in range(20):
        age, acknowledged = dice.randrange(1, 6), dice.randrange(1, 6)
        copy = copied(databases[age], str(tmp_path / "copy.db"))
        written(copy, ends[acknowledged])
        store = Store(copy)
        if acknowledged <= age:
            assert store.open().head == age
        else:
            with pytest.raises(Failed, match=f"last {acknowledged - age} acknowledged"):
                store.open()
        store.close()
        os.unlink(copy)
