"""The audit: whatever is not what was written is found with its place, and nothing else is."""

import random
import re
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sqlalchemy.exc import DBAPIError

import protocol.runtime.ledger as reading
from actors.writer.store import Store
from protocol.account import Account
from protocol.audit import Audit, Damage, read_entry
from protocol.facts import AnyFact, OrderCanceled, essence
from protocol.ledger import DERIVED, ENTRY_COLUMNS, GENESIS, chain, row_of
from protocol.runtime.ledger import Page, Scan, connect_read_only, page
from protocol.units import Count
from tests.actors.writer.anyfact import BATCHES
from tests.actors.writer.files import append, begun, change, lives, put, rows, unlocked
from tests.actors.writer.samples import accepted, balance, fill, intended, seen

FACTS: list[AnyFact] = [
    intended("c1"), seen("o1"), fill("t1"), accepted("c1", "o1"), fill("t2"), balance(1),
    seen("o9"), fill("t3", order_id="o9"), balance(2), intended("c2"),
]  # fmt: skip


@pytest.fixture
def path(tmp_path: Path) -> str:
    """A ledger of ten entries: 1 intended, 2 seen under the exchange's id, 4 known as ours."""
    path = begun(str(tmp_path / "ledger.db"))
    lives(path, FACTS)
    return path


@pytest.fixture
def small_pages(monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(reading, "READ_ENTRIES", 2)
    return 2


def pages(path: str, limit: int = 1_000) -> Iterator[Page]:
    """Each page of one audit."""
    scan = Scan()
    ended = False
    with closing(connect_read_only(path)) as connection:
        while not ended:
            found = scan.next(connection, limit)
            ended = found.ended
            yield found


def proved(path: str, limit: int = 1_000) -> int:
    *_, end = pages(path, limit)
    assert end.done == end.total
    return end.done


def found_out(path: str, told: str) -> None:
    for limit in (1_000, 1, 3):
        with pytest.raises(Damage, match=told):
            proved(path, limit)


# What is sound


@pytest.mark.parametrize("limit", [1, 2, 3, 1_000])
def test_a_sound_ledger_is_proved_to_its_end(path: str, limit: int) -> None:
    *before, end = pages(path, limit)
    assert end == Page(10, 10, True)
    assert [p.done for p in before][: 10 // limit] == list(range(limit, 11, limit))
    assert not any(p.ended for p in before)


def test_an_empty_ledger_is_proved_too(tmp_path: Path) -> None:
    assert proved(begun(str(tmp_path / "ledger.db"))) == 0


def test_the_tables_are_read_by_pages_as_well(path: str, small_pages: int) -> None:
    lives(path, [fill(f"more-{i}") for i in range(7)])
    assert proved(path, small_pages) == 17
    change(path, "UPDATE fills SET fee = fee + 1 WHERE trade_id = 'more-6'")
    found_out(path, "fills .*'more-6'")


@pytest.mark.parametrize("between", [0, 1, 2, 5])
def test_an_order_first_seen_under_the_exchanges_id_is_no_false_alarm(
    path: str, between: int
) -> None:
    """Its first row is gone by now; the entry that explains it may lie pages behind."""
    others = [fill(f"b{i}") for i in range(between)]
    lives(path, [intended("c7"), seen("o7"), *others, accepted("c7", "o7"), seen("o7", "c7", 5)])
    for limit in range(1, 9):
        assert proved(path, limit) == 14 + between


def test_an_id_of_ours_that_is_also_an_id_of_the_exchange_is_no_false_alarm(path: str) -> None:
    lives(path, [intended("o8"), intended("c8"), accepted("c8", "o8")])
    assert rows(path, "SELECT key, order_id FROM orders WHERE key IN ('o8', 'c8') ORDER BY 1") == [
        ("c8", "o8"),
        ("o8", ""),
    ]
    assert proved(path) == 13


def test_an_order_that_was_finished_before_its_answer_came_is_no_false_alarm(path: str) -> None:
    lives(path, [intended("c7"), OrderCanceled("o7", "c7", Count(1_000)), accepted("c7", "o7")])
    [found] = rows(path, "SELECT order_id, state, n FROM orders WHERE key = 'c7'")
    assert found == ("o7", "canceled", 13), "what an entry changes has its number"
    assert proved(path) == 13


def test_a_batch_is_what_its_facts_are_one_by_one(tmp_path: Path) -> None:
    """An order that lost its name and was seen without one again has its row, either way."""
    facts = [intended("c1"), accepted("c1", "A"), accepted("c1", "B"), seen("A")]
    for name, batches in (("one", [facts]), ("four", [[fact] for fact in facts])):
        path = begun(str(tmp_path / f"{name}.db"))
        for batch in batches:
            lives(path, batch)
        assert proved(path) == len(facts)
        assert rows(path, "SELECT key FROM orders ORDER BY key") == [("A",), ("c1",)]


def test_a_writer_that_never_rests_holds_up_no_audit(path: str) -> None:
    store = Store(path)
    store.open()
    scan, ended, number = Scan(), False, 0
    with closing(connect_read_only(path)) as connection:
        while not ended:
            number += 1
            assert number < 20, "the tables are looked at, too"
            append(store, fill(f"busy-{number}"))
            ended = scan.next(connection, 4).ended
    store.close()


@pytest.mark.parametrize("limit", [1, 2, 3])
def test_a_writer_beside_it_is_no_false_alarm(path: str, limit: int) -> None:
    """It commits between any two pages: rows run ahead of the entries that were folded."""
    store = Store(path)
    store.open()
    dice = random.Random(limit)
    later: list[AnyFact] = []
    for i in range(12):
        later += [intended(f"d{i}"), seen(f"x{i}"), fill(f"f{i}"), accepted(f"d{i}", f"x{i}")]
        later += [fill(f"g{i}", order_id=f"x{i}"), balance(10 + i), seen(f"x{i}", f"d{i}", 9)]
    for found in pages(path, limit):
        assert found.done <= found.total
        count = dice.randrange(limit, 2 * limit + 1)
        some, later = later[:count], later[count:]
        if some:
            append(store, *some)
    assert not later and found == Page(94, 94, True)
    store.close()


# What is not


ORDER = ", ".join(f'"{name}"' for name in DERIVED["orders"].columns)


@pytest.mark.parametrize(
    ("statement", "told"),
    [
        ("UPDATE orders SET filled = 0 WHERE key = 'c1'", "orders .*'c1'.*: not what entry 5 "),
        ("UPDATE orders SET reason = 'x' WHERE key = 'c2'", "orders .*'c2'.*: not what entry 10 "),
        ("UPDATE fills SET price = 1 WHERE trade_id = 't1'", "fills .*'t1'.*: not what entry 3 "),
        ("UPDATE positions SET cost = cost + 1", "positions .*'KXA-1'.*: not what entry 8 "),
        ("UPDATE balances SET balance = 0", "balances .0,.*: not what entry 9 "),
        ("UPDATE balances SET shard = 4", "balances .0,.*: missing, entry 6 made it"),
        ("DELETE FROM orders WHERE key = 'c1'", "orders .*'c1'.*: missing, entry 1 made it"),
        ("DELETE FROM orders WHERE key = 'o9'", "orders .*'o9'.*: missing, entry [78] made it"),
        ("DELETE FROM fills WHERE trade_id = 't2'", "fills .*'t2'.*: missing, entry 5 made it"),
        ("DELETE FROM positions", "positions .*'KXA-1'.*: missing, entry 3 made it"),
        ("DELETE FROM balances", "balances .0,.*: missing, entry 6 made it"),
        ("UPDATE positions SET n = 99", "positions 'KXA-1': says entry 99, which does not exist"),
        ("UPDATE positions SET n = 10", "positions 'KXA-1': not what entry 10 made it"),
        ("INSERT INTO positions VALUES ('KXB', 1, 1, 1, 1, 2)", "positions 'KXB': not what entry"),
        ("INSERT INTO balances VALUES (9, 1, 1, 0)", "balances 9: says entry 0, which does not"),
        (
            "INSERT INTO fills SELECT order_id, 't9', client_order_id, ticker, side, price, count,"
            " fee, is_taker, exchange_at, position, n FROM fills WHERE trade_id = 't1'",
            "fills 'o1': not what entry 3 made it",
        ),
        (
            f"INSERT INTO orders ({ORDER}) SELECT {ORDER.replace('key', chr(39) + 'c9' + chr(39))}"
            " FROM orders WHERE key = 'c1'".replace('"', ""),
            "orders .*not what entry 5 made it",
        ),
    ],
)  # fmt: skip
def test_a_row_that_does_not_follow_is_found(path: str, statement: str, told: str) -> None:
    change(path, statement)
    found_out(path, told)


def put_former(path: str, n: int, table: str) -> None:
    """Put a row as it was after entry `n` into the table, in the place of a later one."""
    account = Account()
    with closing(connect_read_only(path)) as connection:
        entries = [read_entry(row) for row in page(connection, 0)]
    for entry in entries[:n]:
        meanings = account.apply(entry)
    [values] = [row[2] for row in map(row_of, meanings) if row[0] == table]
    put(path, f"INSERT OR REPLACE INTO {table} VALUES ({', '.join('?' * len(values))})", *values)


@pytest.mark.parametrize(
    ("n", "table", "told"),
    [
        (1, "orders", r"orders \('c1',\): as of entry 1, but entry 4 changed it"),
        (4, "orders", r"orders \('c1',\): as of entry 4, but entry 5 changed it"),
        (5, "positions", r"positions \('KXA-1',\): as of entry 5, but entry 8 changed it"),
        (6, "balances", r"balances \(0,\): as of entry 6, but entry 9 changed it"),
    ],
)
def test_a_row_as_it_once_was_is_found(path: str, n: int, table: str, told: str) -> None:
    put_former(path, n, table)
    found_out(path, told)


def test_a_row_that_was_replaced_and_is_there_again_is_found(path: str) -> None:
    """The order is there twice: as ours, and as it was first seen, under the exchange's id."""
    put_former(path, 3, "orders")
    found_out(path, r"orders \('o1',\): still there, entry [45] replaced it")


@pytest.mark.parametrize(
    ("statement", "told"),
    [
        ("UPDATE entries SET body = replace(body, '1.00', '2.00') WHERE n = 3", "entry 3 is not"),
        ("UPDATE entries SET at = at + 1 WHERE n = 1", "entry 1 is not what was written"),
        ("UPDATE entries SET source = 'x' WHERE n = 10", "entry 10 is not what was written"),
        ("UPDATE entries SET kind = 'x' WHERE n = 5", "entry 5 is not what was written"),
        ("UPDATE entries SET essence = zeroblob(32) WHERE n = 5", "entry 5 is not what"),
        ("UPDATE entries SET derived = zeroblob(16) WHERE n = 6", "entry 6 is not what"),
        ("UPDATE entries SET hash = zeroblob(32) WHERE n = 6", "entry 6 is not what"),
        ("DELETE FROM entries WHERE n = 1", "entry 1 is missing: entry 2 stands in its place"),
        ("DELETE FROM entries WHERE n = 5", "entry 5 is missing: entry 6 stands in its place"),
        ("UPDATE entries SET n = 11 WHERE n = 10", "entry 10 is missing: entry 11"),
        ("UPDATE entries SET body = CAST(x'ff' AS TEXT) WHERE n = 4", "after entry .*UTF-8"),
        ("DELETE FROM entries WHERE n = 10", "orders 'c2': says entry 10, which does not exist"),
    ],
)
def test_an_entry_that_is_not_what_was_written_is_found(
    path: str, statement: str, told: str
) -> None:
    unlocked(path)
    change(path, statement)
    found_out(path, told)


def test_two_entries_that_changed_places_are_found(path: str) -> None:
    unlocked(path)
    swap = "UPDATE entries SET n = {} WHERE n = {}"
    change(path, swap.format(99, 3), swap.format(3, 5), swap.format(5, 99))
    found_out(path, "entry 3 is not what was written, or does not follow entry 2")


def chained_again(path: str) -> None:
    """As somebody would who knows our rule and means nobody to see a change."""
    before = GENESIS
    for row in rows(path, f"SELECT {', '.join(ENTRY_COLUMNS)} FROM entries ORDER BY n"):
        before = chain(before, *row[:-1])  # type: ignore[arg-type]
        put(path, "UPDATE entries SET hash = ? WHERE n = ?", before, row[0])


def test_a_forged_digest_of_rows_is_found_even_with_the_chain_made_again(path: str) -> None:
    unlocked(path)
    change(path, "UPDATE entries SET derived = zeroblob(length(derived)) WHERE n = 5")
    chained_again(path)
    found_out(path, "entry 5 folds into other rows than when it was written")


def test_a_forged_entry_is_found_even_with_the_chain_made_again(path: str) -> None:
    unlocked(path)
    forged = fill("t2", count=900)
    change(path, "UPDATE entries SET body = replace(body, '1.00', '9.00') WHERE n = 5")
    put(path, "UPDATE entries SET essence = ? WHERE n = 5", essence(forged))
    chained_again(path)
    found_out(path, "entry 5 folds into other rows than when it was written")


@pytest.mark.parametrize("body", ["{", '{"type":"Nothing"}', '{"type":"Fill"}', "[" * 9_000])
def test_an_entry_that_can_not_be_read_is_named(path: str, body: str) -> None:
    unlocked(path)
    put(path, "UPDATE entries SET body = ? WHERE n = 5", body)
    chained_again(path)
    found_out(path, "entry 5 can't be read")


def test_what_is_no_database_is_damage_and_what_can_not_be_read_now_is_not(
    path: str, tmp_path: Path
) -> None:
    whole = Path(path).read_bytes()
    half = len(whole) // 4096 // 2 * 4096
    Path(path).write_bytes(whole[:half] + bytes(4096) * 3 + whole[half + 3 * 4096 :])
    with pytest.raises(Damage, match="after entry 0: .*malformed|missing|not what"):
        proved(path)
    Path(path).write_bytes(b"no database at all" * 1_000)
    with pytest.raises(Damage, match="file is not a database"):
        proved(path)
    with pytest.raises(DBAPIError, match="unable to open"):
        proved(str(tmp_path / "nowhere.db"))


# By itself, without a database


def test_an_audit_goes_on_from_what_is_proved_already(path: str) -> None:
    with closing(connect_read_only(path)) as connection:
        all_rows = page(connection, 0)
    first, second = Audit(), Audit()
    made = first.take(all_rows)
    half = second.take(all_rows[:5])
    later = Audit(second.account, second.hash)
    assert half + later.take(all_rows[5:]) == made
    assert (later.account.state(), later.hash) == (first.account.state(), first.hash)
    assert [read_entry(row).fact for row in all_rows] == FACTS
    with pytest.raises(Damage, match="entry 11 is missing: entry 3 stands in its place"):
        first.take(all_rows[2:])


# Whatever the facts


@settings(max_examples=40, deadline=None)
@given(batches=BATCHES, limit=st.integers(1, 8), dice=st.randoms(use_true_random=False))
def test_whatever_was_written_is_proved_and_any_changed_row_is_found(
    tmp_path_factory: pytest.TempPathFactory,
    batches: list[list[AnyFact]],
    limit: int,
    dice: random.Random,
) -> None:
    path = begun(str(tmp_path_factory.mktemp("audit") / "ledger.db"))
    store = Store(path)
    store.open()
    scan = Scan()
    with closing(connect_read_only(path)) as connection:
        for batch in batches:
            append(store, *batch)
            scan.next(connection, limit)
        while not scan.next(connection, limit).ended:
            pass
    store.close()
    proved(path, limit)
    tables = [name for name in DERIVED if rows(path, f"SELECT 1 FROM {name}")]
    assume(tables)
    table = dice.choice(tables)
    column = dice.choice([c for c in DERIVED[table].columns if c not in ("side", "is_taker")])
    [(kind,)] = rows(path, f'SELECT typeof("{column}") FROM {table} LIMIT 1')
    other = f'"{column}" + 1' if kind == "integer" else f"\"{column}\" || 'x'"
    change(path, f'UPDATE {table} SET "{column}" = {other} WHERE rowid IN '
                 f"(SELECT rowid FROM {table} LIMIT 1)")  # fmt: skip
    with pytest.raises(Damage, match=re.escape(table)):
        proved(path, limit)
