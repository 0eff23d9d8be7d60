"""An order's life: the table is what the evidence makes it, and whatever order the facts of true
histories come in, however often, and whatever is lost, the fold keeps to the table and to truth."""

from collections.abc import Callable
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Struct

from protocol import lifecycle
from protocol.account import Account
from protocol.facts import (
    AnyFact,
    Fill,
    OrderAbsent,
    OrderAccepted,
    OrderCanceled,
    OrderDenied,
    OrderIntended,
    OrderRejected,
    OrderSeen,
    OrderUnknown,
    OrderWithdrawn,
    natural_id,
)
from protocol.lifecycle import AT_RISK, ENDED, FINISHED, MAY_FOLLOW, NEXT, UNSETTLED, State
from protocol.messages import BookedFill, Entry, Order
from protocol.units import Count, Money, Price

T = "KXA-1"
PRICE = Price(560_000)
STATES: tuple[State, ...] = get_args(State)


# The table


def test_what_may_follow_is_what_evidence_and_fills_make_of_a_state() -> None:
    for state in STATES:
        made = {state} | {lifecycle.after(state, evidence) for evidence in NEXT}
        made |= {lifecycle.counted(found, 100, 100) for found in made}
        assert made - MAY_FOLLOW[state] == set()
        if state not in AT_RISK:
            assert made == MAY_FOLLOW[state]
        else:
            assert made == MAY_FOLLOW[state] | {"executed"}


def test_every_state_is_open_or_finished_and_only_the_exchange_ends_one_for_good() -> None:
    assert set(STATES) == AT_RISK | FINISHED == set(MAY_FOLLOW)
    assert set() == AT_RISK & FINISHED
    assert {state for state in STATES if MAY_FOLLOW[state] == {state}} == {"canceled"}
    assert MAY_FOLLOW["executed"] == ENDED | {"resting"}, "it may turn out to be larger"
    assert all("intended" not in MAY_FOLLOW[state] for state in STATES if state != "intended")
    assert all(not MAY_FOLLOW[state] & UNSETTLED for state in set(STATES) - UNSETTLED)


@pytest.mark.parametrize(
    ("count", "filled", "remaining", "evidence"),
    [
        (10, 0, 10, "accepted_resting"), (10, 4, 6, "accepted_resting"),
        (10, 10, 0, "accepted_executed"), (10, 4, 0, "accepted_canceled"),
        (10, 0, 0, "accepted_canceled"),
    ],
)  # fmt: skip
def test_what_a_201_says(count: int, filled: int, remaining: int, evidence: str) -> None:
    assert lifecycle.accepted_as(count, filled, remaining) == evidence


# True histories


class History(Struct, frozen=True):
    """What really became of an order, and all that can be told of it."""

    name: str
    truth: State
    filled: int
    count: int
    facts: tuple[AnyFact, ...]


def intended(name: str, count: int) -> OrderIntended:
    return OrderIntended(name, T, "bid", PRICE, Count(count), "good_till_canceled", "hash")


def seen(name: str, status: Any, count: int, filled: int, at: int) -> OrderSeen:
    left = count - filled if status == "resting" else 0
    return OrderSeen(
        f"o-{name}", name, T, "bid", PRICE, status, Count(count), Count(filled), Count(left), at
    )


OWN_WORD: dict[str, Callable[[str], AnyFact]] = {
    "rejected": lambda name: OrderRejected(name, 400, "bad"),
    "denied": lambda name: OrderDenied(name, "gate"),
    "withdrawn": lambda name: OrderWithdrawn(name, "late"),
    "absent": lambda name: OrderAbsent(name, "two listings"),
    "unknown": lambda name: OrderUnknown(name, "no answer"),
}


@st.composite
def never_there(draw: Any, name: str) -> History:
    """The exchange never had it, and that is what we came to say."""
    count = draw(st.integers(1, 20)) * 50
    truth = draw(st.sampled_from(["intended", "unknown", *sorted(OWN_WORD)]))
    facts: list[AnyFact] = [intended(name, count)]
    if truth in ("absent", "unknown"):
        facts.append(OWN_WORD["unknown"](name))
    if truth not in ("intended", "unknown"):
        facts.append(OWN_WORD[truth](name))
    return History(name, truth, 0, count, tuple(facts))


@st.composite
def there(draw: Any, name: str) -> History:
    """The exchange had it: answered or not, filled in parts, shown now and then, perhaps
    canceled, and shown as it is now."""
    count = draw(st.integers(1, 20)) * 50
    parts = draw(st.lists(st.integers(1, count), max_size=5))
    truth = draw(st.sampled_from(["resting", "executed", "canceled"]))
    facts: list[AnyFact] = [intended(name, count)]
    filled = at = 0
    at_once = draw(st.integers(0, len(parts)))  # fills that the answer already counts
    answer = draw(st.sampled_from(["accepted", "unknown"]))
    steps = [part for i, part in enumerate(parts) if sum(parts[: i + 1]) < count]
    if truth == "executed":
        steps.append(count - sum(steps))
    for i, part in enumerate(steps):
        filled += part
        named = draw(st.sampled_from([name, ""]))
        trade = Fill(f"o-{name}", f"t{i}", T, "bid", PRICE, Count(part), Money(7), True, 0, named)
        facts.append(trade)
        at += draw(st.integers(0, 1))  # two changes may fall in one millisecond
        if filled < count and draw(st.booleans()):
            facts.append(seen(name, "resting", count, filled, at))
    told = min(sum(steps[:at_once]), filled)
    left = 0 if truth == "canceled" and told == filled and draw(st.booleans()) else count - told
    if answer == "unknown":
        facts.append(OWN_WORD["unknown"](name))
    else:
        facts.append(OrderAccepted(name, f"o-{name}", Count(told), Count(left)))
    if truth == "canceled" and draw(st.booleans()):
        facts.append(OrderCanceled(f"o-{name}", name, Count(count - filled), 5))
    facts.append(seen(name, truth, count, filled, at + 1))
    return History(name, truth, filled, count, tuple(facts))


@st.composite
def stories(draw: Any, lying: bool = False) -> tuple[list[History], list[AnyFact]]:
    """Some orders, and their facts in some order: each intent first, as nothing is sent before;
    but a withdrawal may overtake its intent. With `lying`, we also came to a wrong conclusion."""
    kinds = [there] if lying else [there, never_there]
    histories = [
        draw(draw(st.sampled_from(kinds))(f"c{i}")) for i in range(draw(st.integers(1, 3)))
    ]
    pool: list[tuple[int, AnyFact]] = []
    for i, history in enumerate(histories):
        rest = list(history.facts[1:])
        if lying:
            rest.append(OWN_WORD[draw(st.sampled_from(sorted(OWN_WORD)))](history.name))
        again = [fact for fact in rest if draw(st.booleans())]
        mixed = draw(st.permutations([*rest, *again]))
        first = draw(st.integers(0, len(mixed))) if history.truth == "withdrawn" else 0
        pool += [(i, fact) for fact in (*mixed[:first], history.facts[0], *mixed[first:])]
    turns = draw(st.permutations([i for i, _ in pool]))
    queues = [iter([fact for j, fact in pool if j == i]) for i in range(len(histories))]
    return histories, [next(queues[i]) for i in turns]


class Watch:
    """An account that is looked at after each fact."""

    def __init__(self) -> None:
        self.account = Account()
        self.last: dict[str, Order] = {}
        self.late: list[str] = []
        self.seen: set[str] = set()

    def take(self, fact: AnyFact) -> None:
        if natural_id(fact) in self.seen:  # the ledger's word for it is REPEAT
            return
        self.seen.add(natural_id(fact))
        entry = Entry(self.account.n + 1, natural_id(fact), 1, "test", fact)
        for meaning in self.account.apply(entry):
            if isinstance(meaning, Order):
                self.changed(meaning)
            elif isinstance(meaning, BookedFill) and meaning.late:
                self.late.append(meaning.trade_id)

    def changed(self, order: Order) -> None:
        before = self.last.get(order.client_order_id)
        if before is not None:
            assert order.state in MAY_FOLLOW[before.state]
            assert order.filled >= before.filled
        booked = sum(f.count for f in self.account.fills() if f.order_id == order.order_id)
        assert booked <= order.filled <= order.count, "no fill is lost, none is invented"
        assert (order.remaining == 0) == (order.state in FINISHED)
        self.last[order.client_order_id] = order


@settings(max_examples=400, deadline=None)
@given(stories())
def test_all_facts_in_any_order_make_the_truth(
    story: tuple[list[History], list[AnyFact]],
) -> None:
    histories, facts = story
    watch = Watch()
    for fact in facts:
        watch.take(fact)
    for history in histories:
        order = watch.account.order(history.name)
        assert order is not None
        assert (order.state, order.filled) == (history.truth, history.filled)
    assert watch.late == [], "what an order's end has told is never late"
    fills = {natural_id(fact): fact.count for fact in facts if isinstance(fact, Fill)}
    assert watch.account.position(T).position == sum(fills.values())
    assert len(watch.account.fills()) == len(fills)
    assert Account(watch.account.state()).state() == watch.account.state()


@settings(max_examples=300, deadline=None)
@given(stories(), st.data())
def test_whatever_is_lost_the_fold_keeps_to_the_table(
    story: tuple[list[History], list[AnyFact]], data: st.DataObject
) -> None:
    _, facts = story
    watch = Watch()
    for fact in facts:
        if isinstance(fact, OrderIntended) or data.draw(st.integers(0, 3)):
            watch.take(fact)
    fills = {f.trade_id + f.order_id for f in watch.account.fills()}
    assert len(fills) == len(watch.account.fills())


@settings(max_examples=300, deadline=None)
@given(stories(lying=True))
def test_a_wrong_conclusion_yields_to_the_exchange_and_its_fills_are_late(
    story: tuple[list[History], list[AnyFact]],
) -> None:
    histories, facts = story
    watch = Watch()
    for fact in facts:
        before, late = watch.account.state(), list(watch.late)
        watch.take(fact)
        if isinstance(fact, Fill) and watch.account.n > before.n:
            order = Account(before).order(fact.order_id.removeprefix("o-"))
            assert order is not None
            tied = bool(order.order_id or fact.client_order_id)  # else nobody can know whose it is
            called_off = order.state in FINISHED - ENDED
            news = order.filled < booked(watch, fact)
            assert (watch.late != late) == (tied and called_off and news)
    for history in histories:
        order = watch.account.order(history.name)
        assert order is not None
        assert (order.state, order.filled) == (history.truth, history.filled)


def booked(watch: Watch, fact: Fill) -> int:
    return sum(f.count for f in watch.account.fills() if f.order_id == fact.order_id)
