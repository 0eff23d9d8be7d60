"""Price, then time; nothing appears or vanishes; no book is crossed."""

from hypothesis import given
from hypothesis import strategies as st

from actors.paper.matching import Book, Change, Lot, OnSelf, Side, Take, TapeBook

CENT = 10_000


def lot(name: str, side: Side, cents: int, count: int, ours: bool = False) -> Lot:
    return Lot(name, ours, side, cents * CENT, count)


def taken(takes: list[Take]) -> list[tuple[str, int, int]]:
    return [(take.lot.order_id, take.lot.price // CENT, take.count) for take in takes]


def test_the_better_price_trades_first_and_then_the_earlier_lot() -> None:
    book = Book()
    for one in (("a", 52, 100), ("b", 51, 50), ("c", 51, 50), ("d", 53, 1)):
        book.add(lot(one[0], Side.ASK, one[1], one[2]))
    plan = book.plan(Side.BID, 52 * CENT, 120, True, OnSelf.STOP)
    assert taken(plan.takes) == [("b", 51, 50), ("c", 51, 50), ("a", 52, 20)]
    assert book.execute(plan) == [
        Change(Side.ASK, 51 * CENT, -100),
        Change(Side.ASK, 52 * CENT, -20),
    ]
    assert book.shown(Side.ASK) == {52 * CENT: 80, 53 * CENT: 1}


def test_a_taker_stops_at_a_lot_of_its_own() -> None:
    book = Book()
    book.add(lot("public", Side.ASK, 50, 10))
    book.add(lot("mine", Side.ASK, 51, 10, ours=True))
    plan = book.plan(Side.BID, 52 * CENT, 30, True, OnSelf.STOP)
    assert (taken(plan.takes), plan.stopped) == ([("public", 50, 10)], True)


def test_or_cancels_the_resting_one_and_goes_on() -> None:
    book = Book()
    book.add(lot("mine", Side.ASK, 50, 10, ours=True))
    book.add(lot("public", Side.ASK, 51, 10))
    plan = book.plan(Side.BID, 52 * CENT, 5, True, OnSelf.CANCEL_RESTING)
    assert (taken(plan.takes), [one.order_id for one in plan.own]) == (
        [("public", 51, 5)],
        ["mine"],
    )
    book.execute(plan)
    assert book.lot("mine") is None
    assert book.shown(Side.ASK) == {51 * CENT: 5}


def test_the_wall_of_a_capture_does_not_shrink() -> None:
    book = TapeBook()
    book.replace({47 * CENT: 300}, {52 * CENT: 300})
    for _ in range(2):
        plan = book.plan(Side.BID, 60 * CENT, 1_000, True, OnSelf.STOP)
        assert taken(plan.takes) == [("", 52, 300)]
        assert book.execute(plan) == []
    assert book.shown(Side.ASK) == {52 * CENT: 300}


def test_what_the_capture_adds_hits_our_lots_up_to_its_size() -> None:
    book = TapeBook()
    book.replace({47 * CENT: 300}, {52 * CENT: 300})
    assert book.add(lot("mine", Side.BID, 50, 40, ours=True)) == []
    assert taken(book.move(Side.ASK, 50 * CENT, 15)) == [("mine", 50, 15)]
    assert taken(book.move(Side.ASK, 49 * CENT, 100)) == [("mine", 50, 25)]
    assert book.move(Side.ASK, 49 * CENT, -100) == []
    assert book.shown(Side.ASK) == {50 * CENT: 15, 52 * CENT: 300}


orders = st.lists(
    st.tuples(
        st.sampled_from(Side), st.integers(1, 9), st.integers(1, 400), st.booleans(),
        st.sampled_from(OnSelf),
    ),
    max_size=40,
)  # fmt: skip


@given(orders)
def test_nothing_appears_or_vanishes_and_no_book_is_crossed(sent: list[tuple]) -> None:
    book, resting, traded = Book(), dict[str, int](), 0
    for number, (side, cents, count, ours, on_self) in enumerate(sent):
        plan = book.plan(side, cents * CENT, count, ours, on_self)
        prices = [take.lot.price * (1 if side is Side.BID else -1) for take in plan.takes]
        assert prices == sorted(prices)
        book.execute(plan)
        for take in plan.takes:
            resting[take.lot.order_id] -= take.count
            traded += take.count
            assert not (ours and take.lot.ours)
        for own in plan.own:
            resting[own.order_id] = 0
        left = count - plan.quantity
        if left and not plan.stopped:
            book.add(lot(str(number), side, cents, left, ours))
            resting[str(number)] = left
        bid, ask = book.best(Side.BID), book.best(Side.ASK)
        assert bid is None or ask is None or bid < ask
    shown = sum(sum(book.shown(side).values()) for side in Side)
    assert shown == sum(resting.values())
    assert all(count > 0 for side in Side for count in book.shown(side).values())
