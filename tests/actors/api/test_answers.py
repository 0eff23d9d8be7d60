"""The store of answers: on disk before it says so, never forgetful, plain about what is wrong."""

import os
import queue
import resource
import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.api import answers_thread
from actors.api.answers import Bounds, Store, Unfit
from actors.api.answers_thread import Answers
from actors.api.keyed import Begin, Begun, Drop, Keep, Kept, Keyed, Known
from actors.api.replies import Reply
from protocol.limits import IDEMPOTENCY_KEEP, US
from protocol.machine import Cause
from tests.actors.api.keyed_world import AT, Disk

DAY = IDEMPOTENCY_KEEP // US


def keyed(key: str = "k1", digest: bytes = b"d") -> Keyed:
    return Keyed("t1", key, digest)


def begin(key: str, at: int = AT) -> Begin:
    return Begin(1, keyed(key), at)


def keep(key: str, body: bytes = b"{}") -> Keep:
    return Keep(Reply(1, 201, body, "/v1/orders/c1"), keyed(key))


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "answers.db")


def opened(path: str, bounds: Bounds | None = None, at: int = AT) -> Store:
    store = Store(path, bounds)
    store.open(at)
    return store


def known(store: Store, key: str) -> Known | None:
    """What is there under a key. One that is not there begins."""
    [found] = store.commit([begin(key)], AT)
    assert isinstance(found, Begun)
    assert found.trouble == ""
    return found.known


def test_what_was_committed_is_there_in_the_next_life(path: str) -> None:
    store = opened(path)
    wishes = [begin("k1"), begin("k2", AT + 1), keep("k1"), begin("k3"), Drop(1, keyed("k3"), AT)]
    done = [Begun(AT, 1), Begun(AT, 1), Kept(AT, 1), Begun(AT, 1), Kept(AT, 1)]
    assert store.commit(wishes, AT) == done
    store.close()
    again = opened(path)
    assert known(again, "k1") == Known(b"d", AT, 201, b"{}", "/v1/orders/c1")
    assert known(again, "k2") == Known(b"d", AT + 1)
    assert known(again, "k3") is None


def test_a_commit_is_on_disk_when_it_returns(path: str) -> None:
    store = opened(path)
    assert store._database is not None
    pragmas = ("journal_mode", "synchronous", "locking_mode")
    found = [store._database.execute(f"PRAGMA {name}").fetchone()[0] for name in pragmas]
    assert found == ["wal", 2, "exclusive"]  # 2 is FULL: an fsync of the log at each commit


def test_nobody_else_may_read_it(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    before = os.umask(0)
    try:
        store = opened(path)
        store.commit([begin("k1")], AT)
    finally:
        os.umask(before)
    files = sorted(os.listdir(os.path.dirname(path)))
    assert files == ["answers.db", "answers.db-wal"]
    modes = {stat.S_IMODE(os.stat(os.path.join(os.path.dirname(path), f)).st_mode) for f in files}
    assert modes == {0o600}
    store.close()
    os.chmod(path, 0o644)
    with pytest.raises(Unfit, match=r"others may read it \(chmod 600"):
        opened(path)


wishes = st.builds(
    lambda kind, key, digest, at: {
        "begin": Begin(1, Keyed("t1", key, digest), AT + at),
        "keep": Keep(Reply(2, 200 + at, digest, key), Keyed("t1", key, digest)),
        "drop": Drop(3, Keyed("t1", key, digest), AT + at),
    }[kind],
    st.sampled_from(["begin", "begin", "keep", "drop"]),
    st.sampled_from(["k1", "k2"]),
    st.sampled_from([b"a", b"b"]),
    st.integers(0, 9),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(wishes, max_size=5), max_size=6))
def test_it_does_what_the_disk_of_the_other_tests_does(
    tmp_path_factory: pytest.TempPathFactory, commits: list[list[Begin | Keep | Drop]]
) -> None:
    disk, path = Disk(), str(tmp_path_factory.mktemp("answers") / "answers.db")
    for batch in commits:
        store = opened(path)
        assert store.commit(batch, AT) == [disk.do(wish) for wish in batch]
        store.close()


def test_fresh_keys_are_never_forgotten(path: str) -> None:
    store = opened(path, Bounds(keys=3, pruned=1))
    store.commit([begin("k1"), keep("k1"), begin("k2"), begin("k3"), keep("k3")], AT)
    [found] = store.commit([begin("k4", AT + DAY)], AT)
    assert isinstance(found, Begun)
    assert found.trouble == "full"
    assert found.text == "3 keys of the last day are kept, and none of them is forgotten"
    assert known(store, "k2") == Known(b"d", AT), "what is there is known all the same"


def test_of_old_keys_those_that_are_answered_go_first_and_the_oldest_of_them(path: str) -> None:
    store = opened(path, Bounds(keys=3, pruned=1))
    store.commit([begin("k1"), begin("k2", AT + 2), keep("k2")], AT)
    store.commit([begin("k3", AT + 1), keep("k3")], AT)
    left = []
    for number in range(3):
        later = AT + DAY + 10 + number
        assert store.commit([begin(f"new{number}", later)], AT) == [Begun(AT, 1)]
        with closing(sqlite3.connect(":memory:")) as copy:
            assert store._database is not None
            store._database.backup(copy)
            left.append([key for (key,) in copy.execute("SELECT key FROM answers ORDER BY key")])
    assert left == [
        ["k1", "k2", "new0"], ["k1", "new0", "new1"], ["new0", "new1", "new2"],
    ]  # fmt: skip


def test_large_answers_fill_it_too(path: str) -> None:
    store = opened(path, Bounds(bytes=1_000))
    store.commit([begin("k1"), keep("k1", b"x" * 1_000)], AT)
    for _ in range(2):
        [begun] = store.commit([begin("k2")], AT)
        assert isinstance(begun, Begun)
        assert begun.trouble == "full"
        store.open(AT)


def test_a_damaged_file_is_named_and_left_while_its_keys_may_be_said_again(path: str) -> None:
    Path(path).write_bytes(b"not a database" * 1_000)
    os.chmod(path, 0o600)
    now = os.stat(path).st_mtime_ns // 1_000
    with pytest.raises(Unfit, match="file is not a database. Keys of the last day are in it"):
        opened(path, at=now + DAY - 1)
    assert Path(path).read_bytes() == b"not a database" * 1_000
    store = opened(path, at=now + DAY + 1)
    assert known(store, "k1") is None
    assert os.path.exists(f"{path}.unreadable-{now + DAY + 1}")


def test_a_damaged_file_that_can_not_be_moved_is_named(path: str) -> None:
    Path(path).write_bytes(b"not a database" * 1_000)
    os.chmod(path, 0o600)
    at = os.stat(path).st_mtime_ns // 1_000 + DAY + 1
    os.mkdir(f"{path}.unreadable-{at}")
    with pytest.raises(Unfit, match="Is a directory"):
        opened(path, at=at)
    os.rmdir(f"{path}.unreadable-{at}")
    assert known(opened(path, at=at), "k1") is None


def test_only_the_very_beginning_is_forgotten_that_is_meant(path: str) -> None:
    store = opened(path)
    store.commit([begin("k1", AT - 1), begin("k1"), Drop(1, keyed("k1"), AT)], AT)
    assert known(store, "k1") == Known(b"d", AT - 1), "a former life began it"


def test_damage_inside_is_found_at_the_start(path: str) -> None:
    store = opened(path)
    for number in range(500):
        store.commit([begin(f"k{number}"), keep(f"k{number}", b"x" * 500)], AT)
    store.close()
    with open(path, "r+b") as file:
        file.seek(4096 * 7)
        file.write(b"\xff" * 4096 * 3)
    with pytest.raises(Unfit, match="Keys of the last day are in it"):
        opened(path, at=os.stat(path).st_mtime_ns // 1_000)


def test_a_file_of_somebody_else_or_of_a_later_format_is_left_alone(path: str) -> None:
    opened(path).close()
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA user_version = 2")
    with pytest.raises(Unfit, match=r"not a file of this front \(format 2, expected 1\)"):
        opened(path, at=AT + 99 * DAY)
    os.replace(path, f"{path}.real")
    os.symlink(f"{path}.real", path)
    with pytest.raises(Unfit, match="symbolic link"):
        opened(path)


def test_what_waits_beside_an_empty_file_is_not_thrown_away(path: str) -> None:
    Path(path).touch(0o600)
    Path(f"{path}-wal").write_bytes(b"keys")
    with pytest.raises(Unfit, match="empty, and its -wal is not"):
        opened(path)
    assert Path(f"{path}-wal").read_bytes() == b"keys"


def test_a_full_disk_says_so_and_loses_nothing(path: str) -> None:
    store = opened(path)
    store.commit([begin("k1")], AT)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (os.stat(f"{path}-wal").st_size + 4_096, hard))
    try:
        with pytest.raises(Unfit):
            store.commit([begin("k2"), keep("k1", b"x" * 50_000)], AT)
        with pytest.raises(Unfit, match="not open"):
            store.commit([begin("k3")], AT)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    store.open(AT)
    assert known(store, "k1") == Known(b"d", AT)
    assert known(store, "k2") is None


def test_another_process_that_has_it_is_named(path: str) -> None:
    store = opened(path)
    store.commit([begin("k1")], AT)
    with pytest.raises(Unfit, match="locked"):
        opened(path)


class Thread:
    """The store's thread, and what it has said."""

    def __init__(self, path: str) -> None:
        self.said: queue.Queue[Cause] = queue.Queue()
        self.answers = Answers(path, self.said.put, lambda: AT)

    def next(self) -> Cause:
        return self.said.get(timeout=10)


def test_what_waits_goes_into_one_commit(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    commit, held, entered = Store.commit, queue.Queue[None](), queue.Queue[None]()

    def counted(self: Store, wishes: list[Begin | Keep | Drop], at: int) -> list[Cause]:
        sizes.append(len(wishes))
        entered.put(None)
        held.get(timeout=10)
        return commit(self, wishes, at)

    monkeypatch.setattr(Store, "commit", counted)
    thread = Thread(path)
    thread.answers.perform(begin("k0"))
    entered.get(timeout=10)
    for number in range(1, 1_000):
        thread.answers.perform(begin(f"k{number}"))
    for _ in range(10):
        held.put(None)
    assert [thread.next() for _ in range(1_000)] == [Begun(AT, 1)] * 1_000
    thread.answers.close()
    assert sizes == [1, 256, 256, 256, 231]


def test_a_file_that_is_no_good_is_tried_again(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers_thread, "IDEMPOTENCY_REOPEN", 0)
    os.mkdir(path)
    thread = Thread(path)
    for wish in (begin("k1"), keep("k1"), Drop(1, keyed("k1"), AT)):
        thread.answers.perform(wish)
    begun, kept, dropped = thread.next(), thread.next(), thread.next()
    assert isinstance(begun, Begun)
    assert (begun.trouble, "Is a directory" in begun.text) == ("broken", True)
    assert isinstance(kept, Kept)
    assert isinstance(dropped, Kept)
    assert kept.problem == dropped.problem == begun.text
    os.rmdir(path)
    thread.answers.perform(begin("k1"))
    assert thread.next() == Begun(AT, 1)
    thread.answers.close()


def test_what_waits_at_the_end_is_done(path: str) -> None:
    thread = Thread(path)
    for number in range(50):
        thread.answers.perform(begin(f"k{number}"))
    thread.answers.close()
    store = opened(path)
    assert all(known(store, f"k{number}") == Known(b"d", AT) for number in range(50))
