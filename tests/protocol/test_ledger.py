"""The ledger's rows: each entry proves itself and what it made, and the fold stays what it was."""

import hashlib
import random
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.account import Account
from protocol.facts import (
    AmendIntended,
    AmendOutcome,
    AnyFact,
    BalanceSeen,
    CashDiffers,
    Fill,
    LedgerRestored,
    MoneyMoved,
    OrderAbsent,
    OrderAccepted,
    OrderCanceled,
    OrderDenied,
    OrderIntended,
    OrderRejected,
    OrderSeen,
    OrderUnknown,
    OrderWithdrawn,
    PositionDiffers,
    Reconciled,
    RestoreConfirmed,
    Settled,
    natural_id,
)
from protocol.ledger import (
    DERIVED,
    DIGEST_BYTES,
    GENESIS,
    SNAPSHOT_FORMAT,
    Unsound,
    chain,
    derived_of,
    digest_of,
    made_by,
    open_snapshot,
    renamed,
    row_of,
    take_snapshot,
)
from protocol.messages import AccountState, Entry
from protocol.units import Count, Money, Price, encode_unit

AT = 1_782_873_388_379_000
GTC = "good_till_canceled"


def intended(id: str, count: int = 1_000, ticker: str = "KXA-1") -> OrderIntended:
    return OrderIntended(id, ticker, "bid", Price(560_000), Count(count), GTC, "hash", True, "me")


def seen(order_id: str, client: str, status: str, filled: int, at: int) -> OrderSeen:
    left = 0 if status != "resting" else 1_000 - filled
    return OrderSeen(
        order_id, client, "KXA-1", "bid", Price(560_000), status, Count(1_000), Count(filled),
        Count(left), at,
    )  # type: ignore[arg-type]  # fmt: skip


def fill(order_id: str, trade_id: str, side: str, price: int, count: int) -> Fill:
    return Fill(
        order_id, trade_id, "KXA-1", side, Price(price), Count(count), Money(count * 7), True,
        AT + count, "c1" if order_id == "o1" else "",
    )  # type: ignore[arg-type]  # fmt: skip


FACTS: tuple[AnyFact, ...] = (
    intended("c1"), seen("o1", "", "resting", 0, 1), OrderAccepted("c1", "o1", Count(0), Count(5)),
    fill("o1", "t1", "bid", 560_000, 300), seen("o1", "c1", "resting", 300, 2),
    fill("o1", "t2", "bid", 550_100, 250), fill("o9", "t3", "ask", 610_050, 700),
    fill("o9", "t4", "bid", 999_900, 1), OrderCanceled("o1", "c1", Count(450), AT),
    seen("o1", "c1", "resting", 550, 3), intended("c2"), OrderUnknown("c2", "no answer"),
    OrderAbsent("c2", "two listings"), intended("c3"), OrderRejected("c3", 400, "bad", "text"),
    intended("c4"), OrderDenied("c4", "gate"), OrderWithdrawn("c5", "late"), intended("c5"),
    intended("c6"), OrderWithdrawn("c6", "given up"), BalanceSeen(0, Money(-5), 10),
    BalanceSeen(1, Money(10**12), 10), BalanceSeen(0, Money(7), 11), BalanceSeen(0, Money(6), 9),
    Reconciled(7, 1, AT, 3, 4), intended("c7"), OrderAccepted("c7", "o7", Count(1_000), Count(0)),
    intended("c8"), OrderAccepted("c8", "o8", Count(100), Count(0)),
    LedgerRestored("r1", 30, AT), Reconciled(7, 2, AT + 1, 0, 0), LedgerRestored("r2", 32, AT),
    RestoreConfirmed("r1", "me"), RestoreConfirmed("r2", "me"),
    seen("o3", "", "executed", 1_000, 1), seen("o2", "c9", "canceled", 10, 1),
    LedgerRestored("r3", 37, AT), intended("c10"), OrderCanceled("o10", "c10", Count(9)),
    OrderAccepted("c10", "o10", Count(0), Count(1_000)),
)  # fmt: skip


# What came later: the facts above are those that ledgers on disk may hold from before.
LATER: tuple[AnyFact, ...] = (
    CashDiffers(Money(10**9), Money(-293656), "opened", 8, 1),
    MoneyMoved("deposit", "d1", Money(70), AT),
    PositionDiffers("KXA-1", Count(-149), Count(40), Money(9), "unexplained", 8, 1),
    PositionDiffers("KXA-1", Count(-149), Count(40), Money(9), "accepted", 8, 2),
    PositionDiffers("KXB-2", Count(0), Count(-3), Money(1), "unexplained", 8, 2),
    Settled("KXA-1", 0, "yes", Count(40), Count(0), Money(400_000), Money(3), AT),
    Settled("KXA-1", 0, "no", Count(40), Count(0), Money(0), Money(2), AT + 1),
    Reconciled(8, 2, AT + 2, 0, 0, "interval", 3),
    intended("c11"), OrderAccepted("c11", "o11", Count(0), Count(1_000)),
    OrderCanceled("o11", "c11", Count(600), AT), fill("o11", "t11", "bid", 560_000, 300),
    CashDiffers(Money(5), Money(6), "unexplained", 8, 3),
)  # fmt: skip


# And later still: amends and leases.
AMENDS: tuple[AnyFact, ...] = (
    msgspec.structs.replace(intended("c12"), lease_s=60),
    OrderAccepted("c12", "o12", Count(0), Count(1_000)),
    AmendIntended("c12", "a1", Price(570_000), Count(1_500)),
    AmendOutcome("c12", "a1", "done", "", AT),
    AmendIntended("c12", "a2", Price(580_000), Count(1_200)),
    AmendOutcome("c12", "a2", "unknown", "no answer"),
    fill("o12", "t12", "bid", 570_000, 1_000),
)  # fmt: skip


def folded(facts: Iterable[AnyFact] = FACTS) -> tuple[list[bytes], AccountState]:
    account = Account()
    derived = []
    for n, fact in enumerate(facts, 1):
        meanings = account.apply(Entry(n, natural_id(fact), AT + n, "test", fact))
        derived.append(derived_of(map(row_of, meanings)))
    return derived, account.state()


def digest(derived: list[bytes]) -> str:
    return hashlib.sha256(b"\n".join(one.hex().encode() for one in derived)).hexdigest()


def any_facts(count: int) -> Iterator[AnyFact]:
    """Facts about a few orders, in no order at all, the same ones for ever."""
    dice = random.Random(4)
    return (any_fact(i, dice) for i in range(count))


def any_fact(i: int, dice: random.Random) -> AnyFact:
    def one_of(*them: Any) -> Any:
        return them[int(dice.random() * len(them))]

    client = f"c{i // 20 + int(dice.random() * 9)}"
    order, named = f"o{client}", one_of(client, "")
    filled, status = one_of(0, 250, 1_000), one_of("resting", "canceled", "executed")
    price, side = one_of(10_000, 560_000, 990_000), one_of("bid", "ask")
    makers: tuple[Callable[[], AnyFact], ...] = (
        lambda: intended(client),
        lambda: OrderAccepted(client, order, Count(filled), Count(one_of(0, 1_000 - filled))),
        lambda: seen(order, named, status, filled, one_of(1, 2, 3)),
        lambda: seen(order, named, status, filled, one_of(4, 5, 6)),
        lambda: fill(order, f"t{i}", side, price, one_of(1, 250, 750)),
        lambda: fill(order, f"t{i}", side, price, one_of(250, 500)),
        lambda: OrderCanceled(order, named, Count(one_of(0, 750, 1_000)), i),
        lambda: OrderUnknown(client, "no answer"),
        lambda: OrderAbsent(client, "two listings"),
        lambda: OrderDenied(client, "gate"),
        lambda: OrderWithdrawn(client, "late"),
        lambda: OrderRejected(client, 400, "bad"),
        lambda: BalanceSeen(one_of(0, 1), Money(i), int(dice.random() * i)),
    )
    return one_of(*makers)()  # type: ignore[no-any-return]


def test_every_kind_of_fact_is_in_the_list() -> None:
    assert {type(fact) for fact in (*FACTS, *LATER, *AMENDS)} == set(AnyFact.__args__)


def test_the_fold_is_what_it_was() -> None:
    """If this changes, ledgers on disk no longer prove themselves: each entry remembers what it
    made. Then SNAPSHOT_FORMAT must be raised, and a migration must derive the entries anew."""
    derived, _ = folded()
    assert digest(derived) == "8440dab035ff9b8bfcdf90e65ebd35c830e4d9e81cc7d4b3810effb26194e164"
    derived, _ = folded(any_facts(20_000))
    assert digest(derived) == "f7f4e729258b6810a38cbe8cfa58fb7babce78c0d7e1a68283e6b4a905822133"
    derived, _ = folded((*FACTS, *LATER))
    assert (
        digest(derived[len(FACTS) :])
        == "daf6e64bdb89ea3313d9f2d8f87ed77b8a5eb43ee5afaf58899e8fab36e9f688"
    )
    derived, _ = folded((*FACTS, *LATER, *AMENDS))
    assert digest(derived[len(FACTS) + len(LATER) :]) == (
        "2e677be54415a0498bebcc5fb3c840a75349817f7bb5ea9362aa43c4c80433c7"
    )


def test_a_snapshot_is_what_it_was() -> None:
    """If this changes, SNAPSHOT_FORMAT must be raised: an older snapshot means something else."""
    _, state = folded((*FACTS, *LATER, *AMENDS))
    text = msgspec.json.Encoder(enc_hook=encode_unit).encode(state)
    assert (SNAPSHOT_FORMAT, hashlib.sha256(text).hexdigest()) == (
        3, "8569dd52501f50f4b5fc39a82651487a953593d0a6db4196050c8f3f8a942f5a",
    )  # fmt: skip


# The chain

PARTS = (GENESIS, 7, "fill:o1:t1", "Fill", AT, "stream", '{"a":1}', bytes(32), bytes(16))


def test_the_hash_of_an_entry_is_what_it_was() -> None:
    assert chain(*PARTS).hex() == (
        "d8ff12ef9074a519d3ee5c62999584d192cce7323b96b166a20ed6529874fd78"
    )


@pytest.mark.parametrize("i", range(len(PARTS)))
def test_every_part_of_an_entry_is_in_its_hash(i: int) -> None:
    part = PARTS[i]
    other: object
    if isinstance(part, bytes):
        other = part[:-1] + b"\1"
    else:
        other = part + 1 if isinstance(part, int) else part + "x"
    changed = (*PARTS[:i], other, *PARTS[i + 1 :])
    assert chain(*changed) != chain(*PARTS)  # type: ignore[arg-type]


TEXTS = st.text("ab1 :\0\u00e9", max_size=4)


@given(st.tuples(TEXTS, TEXTS, TEXTS, TEXTS), st.tuples(TEXTS, TEXTS, TEXTS, TEXTS))
def test_no_two_entries_read_the_same(one: tuple[str, ...], other: tuple[str, ...]) -> None:
    def hashed(parts: tuple[str, ...]) -> bytes:
        id, kind, source, body = parts
        return chain(GENESIS, 1, id, kind, 2, source, body, bytes(32), b"")

    assert (hashed(one) == hashed(other)) is (one == other)


def test_a_text_that_has_no_utf8_has_no_hash() -> None:
    with pytest.raises(UnicodeEncodeError):
        chain(GENESIS, 1, "\ud800", "k", 0, "s", "{}", bytes(32), b"")


# The rows


def rows_made() -> list[tuple[str, tuple[object, ...], tuple[object, ...]]]:
    account = Account()
    made = []
    for n, fact in enumerate(FACTS, 1):
        made += [row_of(m) for m in account.apply(Entry(n, natural_id(fact), AT, "test", fact))]
    return made


def test_a_row_has_its_columns_its_key_and_its_number() -> None:
    made = rows_made()
    assert {table for table, _, _ in made} == set(DERIVED)
    for table, key, values in made:
        shape = DERIVED[table]
        assert len(values) == len(shape.columns)
        assert key == tuple(values[shape.columns.index(name)] for name in shape.key)
        assert shape.columns[-1] == "n" and 1 <= int(str(values[-1])) <= len(FACTS)
        assert {type(value) for value in values} <= {int, str}, "as the database gives them back"


def test_an_entry_knows_its_rows_and_no_others() -> None:
    made = rows_made()
    derived = derived_of(made)
    assert len(derived) == DIGEST_BYTES * len(made)
    for table, _, values in made:
        assert made_by(derived, table, values)
        for i, value in enumerate(values):
            other = value + 1 if isinstance(value, int) else f"{value}x"
            assert not made_by(derived, table, (*values[:i], other, *values[i + 1 :]))
        other_table = "orders" if table != "orders" else "fills"
        assert not made_by(derived, other_table, values)
    assert not made_by(b"", *made[0][::2])  # type: ignore[arg-type]


def test_digests_are_compared_whole_never_across_two() -> None:
    one, other = digest_of("meta", (1,)), digest_of("meta", (2,))
    across = one[8:] + other[:8]
    assert not made_by(across, "meta", (1,)) and not made_by(across, "meta", (2,))


def test_a_row_that_replaces_another_names_it() -> None:
    account = Account()
    names = []
    for n, fact in enumerate(FACTS[:3], 1):
        [row] = [row_of(m) for m in account.apply(Entry(n, natural_id(fact), AT, "test", fact))]
        names.append(renamed(row))
    assert names == ["", "", "o1"]


# Snapshots


def test_a_snapshot_is_opened_by_whom_it_is_for() -> None:
    _, state = folded()
    head = len(FACTS)
    found = take_snapshot(state, "paper/a", bytes(range(32)))
    assert (found.n, found.format, found.account) == (head, SNAPSHOT_FORMAT, "paper/a")
    assert open_snapshot(found, head, "paper/a", bytes(range(32))) == state
    assert Account(state).state() == state
    for wrong, told in (
        ((head, "paper/b", found.entry_hash), "of the account 'paper/a', not 'paper/b'"),
        ((head - 1, "paper/a", found.entry_hash), "from the future"),
        ((head, "paper/a", GENESIS), "of another history"),
    ):
        with pytest.raises(Unsound, match=told):
            open_snapshot(found, *wrong)
