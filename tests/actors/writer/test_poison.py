"""Facts that can't be booked: set aside once, by name, and everything else is booked."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from actors.writer.batch import Result
from actors.writer.store import Store
from protocol.facts import AnyFact, Fill, LedgerRestored, Reconciled
from protocol.limits import COMMIT_ROWS_MAX
from protocol.units import Count, Price
from tests.actors.writer.files import (
    AT,
    append,
    begun,
    entries,
    everything,
    fold,
    fold_rows,
    reopened,
    rows,
    table_rows,
    told,
)
from tests.actors.writer.samples import (
    PRICE_REFUSED,
    accepted,
    balance,
    fill,
    intended,
    seen,
    wanted,
)

SURROGATE = "\ud800"


def poison(number: str = "bad") -> Fill:
    return fill(number, price=PRICE_REFUSED)


def test_what_a_table_refuses_is_set_aside_and_the_rest_is_booked(store: Store, path: str) -> None:
    done = store.commit(wanted(fill("t1"), poison("t2"), fill("t1"), fill("t3")), AT)
    assert [(r.verdict, r.n, r.aside) for r in done.results] == [
        ("NEW", 1, 0),
        ("REFUSED", 0, 1),
        ("REPEAT", 1, 0),
        ("NEW", 2, 0),
    ]
    assert [b.entry.n for b in done.booked] == [1, 2]
    [(k, id, body, reason, at, money)] = rows(
        path, "SELECT k, id, body, reason, at, money FROM poison"
    )
    assert (k, id, at, money) == (1, "fill:o1:t2", AT, 1)
    assert '"price":"2.0000"' in str(body)
    assert "CHECK constraint failed" in str(reason)
    assert rows(path, "SELECT position, n FROM positions") == [(200, 2)]
    assert append(store, fill("t4")) == [("NEW", 3)]
    assert rows(path, "SELECT position FROM positions") == [(300,)]


def test_poison_survives_a_restart_beside_a_sound_chain(path: str) -> None:
    store = Store(path)
    store.open()
    append(store, fill("t1"), poison("t2"), fill("t3"))
    store.close()
    assert reopened(path) == 2


@settings(max_examples=15, deadline=None)
@given(
    places=st.sets(st.integers(0, COMMIT_ROWS_MAX - 1), max_size=12),
    conflicts=st.sets(st.integers(1, COMMIT_ROWS_MAX - 1), max_size=4),
)
def test_of_a_whole_batch_exactly_the_poison_is_set_aside(
    tmp_path_factory: pytest.TempPathFactory, places: set[int], conflicts: set[int]
) -> None:
    path = begun(str(tmp_path_factory.mktemp("poison") / "ledger.db"))
    store = Store(path)
    store.open()
    facts: list[AnyFact] = [fill(f"t{i}") for i in range(COMMIT_ROWS_MAX)]
    for i in places:
        facts[i] = poison(f"t{i}")
    told(store, fill("before"))
    clashing = conflicts - places
    for i in clashing:
        facts[i] = fill("before", count=100 + i)
    aside = sorted(places | clashing)
    done = store.commit(wanted(*facts), AT)
    verdicts = ["REFUSED" if i in places else "CONFLICT" for i in aside]
    assert [done.results[i].verdict for i in aside] == verdicts
    assert sorted(done.results[i].aside for i in aside) == list(range(1, len(aside) + 1))
    new = [i for i in range(COMMIT_ROWS_MAX) if i not in aside]
    assert [done.results[i] for i in new] == [Result("NEW", n + 2) for n in range(len(new))]
    assert [one.entry.fact for one in done.booked] == [facts[i] for i in new]
    assert table_rows(path) == fold_rows(entries(path))
    names = {f"fill:o1:t{i}" for i in places} | ({"fill:o1:before"} if clashing else set())
    assert {id for (id,) in rows(path, "SELECT id FROM poison")} == names
    before = everything(path)
    again = store.commit(wanted(*facts), AT + 1).results
    assert [(again[i].verdict, again[i].aside) for i in aside] == [
        ("REFUSED", done.results[i].aside) for i in aside
    ]
    assert {again[i].verdict for i in new} <= {"REPEAT"}
    assert everything(path) == before
    store.close()
    assert fold(entries(path)).n == len(new) + 1


def test_poison_twice_in_one_batch_is_set_aside_once(store: Store, path: str) -> None:
    first, second = told(store, poison(), poison())
    assert (first.verdict, first.aside, second.verdict, second.aside) == (
        "REFUSED",
        1,
        "REFUSED",
        1,
    )
    assert len(rows(path, "SELECT k FROM poison")) == 1


def test_poison_of_a_former_life_is_known_in_this_one(path: str) -> None:
    for life in range(3):
        store = Store(path)
        store.open()
        [result] = told(store, poison())
        assert (result.verdict, result.aside) == ("REFUSED", 1), f"life {life}"
        store.close()
    assert rows(path, "SELECT k FROM poison") == [(1,)]


def test_the_same_id_with_another_body_is_another_one(store: Store, path: str) -> None:
    [one] = told(store, poison())
    [other] = told(store, replace(poison(), count=Count(7)))
    assert (one.aside, other.aside) == (1, 2)
    assert append(store, fill("bad")) == [("NEW", 1)], "nothing stands under that id yet"
    [late] = told(store, poison())
    assert (late.verdict, late.aside) == ("REFUSED", 1)


# Conflicts


@pytest.mark.parametrize(
    ("first", "second", "aside", "money"),
    [
        (fill(), fill(count=200), 1, [1]),
        (accepted(), replace(accepted(), filled=Count(5)), 1, [1]),
        (seen(), replace(seen(), price=Price(1)), 1, [1]),
        (intended(), intended(count=2_000), 0, []),
        (balance(), balance(amount=6), 0, []),
        (Reconciled(1, 1, AT, 0, 0), Reconciled(1, 1, AT, 1, 0), 0, []),
        (LedgerRestored("a", 1, AT), LedgerRestored("a", 2, AT), 0, []),
    ],
)
def test_a_conflict_of_money_is_set_aside_and_no_other(
    store: Store, path: str, first: AnyFact, second: AnyFact, aside: int, money: list[int]
) -> None:
    assert append(store, first) == [("NEW", 1)]
    [result] = told(store, second)
    assert (result.verdict, result.n, result.aside) == ("CONFLICT", 1, aside)
    assert [m for (m,) in rows(path, "SELECT money FROM poison")] == money
    [again] = told(store, second)
    assert again.aside == aside
    assert [m for (m,) in rows(path, "SELECT money FROM poison")] == money


def test_what_is_no_money_is_set_aside_without_an_alarm(path: str) -> None:
    store = Store(path)
    store.open()
    [result] = told(store, balance(amount=10**15 + 1))
    assert (result.verdict, result.aside) == ("REFUSED", 1)
    store.close()
    assert rows(path, "SELECT money FROM poison") == [(0,)]
    store = Store(path)
    assert store.open().aside == 0
    store.close()


def test_money_set_aside_is_named_at_each_start_until_it_was_told(path: str) -> None:
    store = Store(path)
    store.open()
    told(store, poison("one"), poison("two"), balance(amount=10**15 + 1))
    for _ in range(2):
        store.close()
        found = store.open()
        assert found.aside == 2
        assert found.reason.startswith("fill:o1:two: CHECK constraint failed: ")
    store.told(1)
    store.close()
    assert store.open().aside == 2, "that was the one before"
    store.told(2)
    store.close()
    assert (store.open().aside, store.open().reason) == (0, "")
    told(store, poison("three"))
    store.close()
    assert store.open().aside == 4
    store.close()
