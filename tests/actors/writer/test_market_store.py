"""The database of trades and quotes on a real disk: bounded, and broken in every usual way."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from actors.writer.database import Failed, Locked
from actors.writer.market import store as module
from actors.writer.market.batch import batch, quote_values, trade_values
from actors.writer.market.retention import to_prune
from actors.writer.market.store import MarketStore
from actors.writer.market.wire import Batch, Held, Hole, Place, Prune, Row, Seen
from actors.writer.store import Store
from protocol.limits import KEEP_LOG_BYTES_MAX, KEEP_SLACK_BYTES
from tests.actors.writer.market_samples import AT, EPOCH, said

KEEP = KEEP_LOG_BYTES_MAX + KEEP_SLACK_BYTES + 2 * 1024 * 1024  # two megabytes before deleting
ROWS = 500


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "market.db")


@pytest.fixture
def store(path: str) -> Iterator[MarketStore]:
    store = MarketStore(path, KEEP)
    store.open(AT)
    yield store
    store.close()


def rows(kind: str, first: int, count: int, at: int = AT) -> list[Row]:
    found = []
    for seq in range(first, first + count):
        envelope = said(f"{'trade' if kind == 'trades' else 'ticker'}.KXA-{seq % 7}", seq, at=at)
        make = trade_values if kind == "trades" else quote_values
        values = make(envelope, envelope.body)  # type: ignore[operator]
        found.append(Row(kind, envelope.topic, EPOCH, seq, at, values))  # type: ignore[arg-type]
    return found


def asked(path: str, statement: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
        return database.execute(statement).fetchall()


def test_what_was_saved_is_there_after_a_kill_and_places_too(path: str) -> None:
    store = MarketStore(path, KEEP)
    first = store.open(AT)
    assert first.fresh and first.places == () and first.held.oldest == {}
    items = [*rows("trades", 1, 3), *rows("quotes", 1, 2), Hole("mark", EPOCH, 1, 4, 0, AT)]
    held = store.save(batch([*items, Seen("mark", EPOCH, 5, AT)], 0), ())
    assert held.oldest == {"trades": AT - 5, "quotes": AT - 5, "holes": AT}
    again = MarketStore(path, KEEP)  # as another process would find it: nothing was closed
    found = again.open(AT)
    assert not found.fresh and Place("mark", EPOCH, 5, AT) in found.places
    assert len(found.places) == 6
    assert asked(path, "SELECT count(*), sum(price), sum(count) FROM trades") == [
        (3, 1_680_000, 3_000)
    ]
    assert asked(path, "SELECT ask - bid, volume FROM quotes") == [(20_000, 1), (20_000, 2)]
    assert asked(path, "SELECT topic, from_seq, to_seq FROM holes") == [("mark", 1, 4)]
    store.close()
    again.close()


def test_a_trade_is_kept_once(store: MarketStore, path: str) -> None:
    for _ in range(2):
        store.save(batch(rows("trades", 1, 5), 0), ())
    assert asked(path, "SELECT count(*) FROM trades") == [(5,)]


def test_places_of_a_former_epoch_are_let_go(store: MarketStore, path: str) -> None:
    store.save(batch(rows("trades", 1, 9), 0), ())
    store.save(batch([Seen("mark", EPOCH + 1, 1, AT)], EPOCH), ())
    assert asked(path, "SELECT topic FROM places") == [("mark",)]
    store.save(Batch(forgotten=("mark",)), ())
    assert asked(path, "SELECT topic FROM places") == []


def test_so_many_places_are_remembered(
    store: MarketStore, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "KEEP_TOPICS_MAX", 2)
    places = tuple(Place(f"trade.{i}", EPOCH, 1, AT + i) for i in range(5))
    store.save(Batch(places=places), ())
    assert {place.topic for place in store.open(AT).places} == {"trade.3", "trade.4"}


# What has to go


def test_the_old_goes_in_slices_and_the_rest_stays(store: MarketStore, path: str) -> None:
    store.save(batch(rows("trades", 1, 10, AT - 100), 0), ())
    store.save(batch(rows("trades", 11, 10), 0), ())
    held = store.save(Batch(), (Prune("trades", AT - 50, 4),))
    assert held.oldest == {"trades": AT - 105}
    assert asked(path, "SELECT min(seq), count(*) FROM trades") == [(5, 16)]
    held = store.save(Batch(), (Prune("trades", AT - 50, 400),))
    assert held.oldest == {"trades": AT - 5}
    assert asked(path, "SELECT min(seq), count(*) FROM trades") == [(11, 10)]


def test_the_file_stops_growing_and_its_room_is_used_again(store: MarketStore, path: str) -> None:
    held, sizes = Held(0, {}), []
    for i in range(60):
        at = AT + i
        items = [*rows("trades", i * ROWS, ROWS // 2, at), *rows("quotes", i * ROWS, ROWS // 2, at)]
        held = store.save(batch(items, 0), to_prune(held, at, 1.0, KEEP))
        sizes.append(held.used)
        assert os.stat(path).st_size + os.stat(f"{path}-wal").st_size <= KEEP
    bound = 2 * 1024 * 1024
    assert max(sizes) > bound and max(sizes[30:]) < 1.5 * bound, "it swings around the bound"
    assert os.stat(path).st_size < 2 * bound
    [(first, last)] = asked(path, "SELECT min(seq), max(seq) FROM quotes")
    assert first != 0 and last == 59 * ROWS + ROWS // 2 - 1, "the oldest went, the newest stayed"
    assert asked(path, "PRAGMA integrity_check") == [("ok",)]


def test_a_bound_that_was_lowered_is_reached_again(path: str) -> None:
    wide = MarketStore(path, 4 * KEEP)
    wide.open(AT)
    for i in range(80):
        wide.save(batch(rows("quotes", i * ROWS, ROWS), 0), ())
    wide.close()
    narrow = MarketStore(path, KEEP)
    held = narrow.open(AT).held
    assert held.used > 2 * 1024 * 1024 < os.stat(path).st_size
    for _ in range(20):
        held = narrow.save(Batch(), to_prune(held, AT, 1.0, KEEP))
    assert held.used <= 2 * 1024 * 1024
    narrow.close()


# Trouble


def test_a_lock_of_somebody_else_is_worth_another_try(store: MarketStore, path: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(Locked, match=r"market\.db: .*locked"):
            store.save(batch(rows("trades", 1, 5), 0), ())
        other.execute("ROLLBACK")
    store.save(batch(rows("trades", 1, 5), 0), ())
    assert asked(path, "SELECT count(*) FROM trades") == [(5,)]


def test_a_reader_that_does_not_end_keeps_the_log_file_from_growing(
    store: MarketStore, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "KEEP_LOG_BYTES_MAX", 512 * 1024)
    store.save(batch(rows("trades", 0, 5), 0), ())
    with closing(sqlite3.connect(path, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM trades").fetchone()
        with pytest.raises(Locked, match="a reader that does not end holds its log file"):
            for i in range(100):
                store.save(batch(rows("trades", 5 + i * ROWS, ROWS), 0), ())
        assert os.stat(f"{path}-wal").st_size < 2 * 1024 * 1024
        reader.execute("COMMIT")
    store.save(batch(rows("trades", 10**6, 5), 0), ())
    assert os.stat(f"{path}-wal").st_size < 512 * 1024


def test_no_room_at_all_fails_and_room_lets_it_go_on(store: MarketStore, path: str) -> None:
    """The bound is SQLite's own, too: even without deletions the file can't pass it."""
    with pytest.raises(Failed, match="database or disk is full"):
        for i in range(1_000):
            store.save(batch(rows("quotes", i * ROWS, ROWS), 0), ())
    assert os.stat(path).st_size <= KEEP - KEEP_LOG_BYTES_MAX
    before = asked(path, "SELECT count(*) FROM quotes")
    held = store.open(AT).held
    assert asked(path, "SELECT count(*) FROM quotes") == before, "nothing of it, or all"
    assert to_prune(held, AT, 1.0, KEEP) != ()
    store.save(batch(rows("quotes", 10**6, ROWS), 0), to_prune(held, AT, 1.0, KEEP))


def test_a_ledger_or_anything_else_is_left_alone(path: str) -> None:
    ledger = Store(path)
    ledger.open()
    ledger.close()
    before = Path(path).read_bytes()
    store = MarketStore(path, KEEP)
    with pytest.raises(Failed, match="is something else, expected 1: move it away"):
        store.open(AT)
    assert Path(path).read_bytes() == before
    Path(path).write_bytes(b"no database at all" * 100)
    with pytest.raises(Failed, match="file is not a database"):
        store.open(AT)


def test_another_version_is_named_and_left_alone(store: MarketStore, path: str) -> None:
    store.close()
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA user_version = 2")
    with pytest.raises(Failed, match="is of version 2, expected 1: move it away"):
        store.open(AT)
    for suffix in ("", "-wal", "-shm"):
        Path(path + suffix).unlink(missing_ok=True)
    assert store.open(AT).fresh, "moved away, a new one is begun"


def test_a_file_that_was_taken_away_is_noticed(store: MarketStore, path: str) -> None:
    store.save(batch(rows("trades", 1, 5), 0), ())
    os.rename(path, f"{path}.away")
    with pytest.raises(Failed, match="No such file"):
        store.save(batch(rows("trades", 6, 5), 0), ())
    for suffix in ("-wal", "-shm"):
        Path(path + suffix).unlink(missing_ok=True)
    assert store.open(AT).fresh


def test_a_damaged_file_is_named(store: MarketStore, path: str) -> None:
    for i in range(10):
        store.save(batch(rows("trades", i * ROWS, ROWS), 0), ())
    store.close()
    content = bytearray(Path(path).read_bytes())
    content[4096:] = os.urandom(len(content) - 4096)
    Path(path).write_bytes(content)
    with pytest.raises(Failed, match=r"market\.db: .*malformed"):
        store.open(AT)
        store.save(batch(rows("trades", 10**6, 100), 0), ())


def test_what_a_batch_has_is_what_its_struct_says() -> None:
    assert msgspec.structs.astuple(Batch()) == ((), (), (), (), (), False)
