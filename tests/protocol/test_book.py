"""One market's resting orders: properties against plain dictionaries."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.book import FINEST_STEP, Book
from protocol.errors import RemoteProtocolError
from protocol.messages import BookSide, Level
from protocol.units import DOLLAR, Count, Price

prices = st.integers(1, DOLLAR // FINEST_STEP - 1).map(lambda n: n * FINEST_STEP)
few = st.sampled_from([100, 470_000, 480_000, 999_900])
sides: st.SearchStrategy[BookSide] = st.sampled_from(["yes", "no"])


def levels(*pairs: tuple[int, int]) -> list[Level]:
    return [(Price(price), Count(count)) for price, count in pairs]


@given(st.lists(st.tuples(sides, few | prices, st.integers(-300, 300)), max_size=60))
def test_changes_are_those_of_a_plain_dictionary(changes: list[tuple[BookSide, int, int]]) -> None:
    book = Book()
    plain: dict[BookSide, dict[int, int]] = {"yes": {}, "no": {}}
    for side, price, change in changes:
        count = plain[side].get(price, 0) + change
        if count < 0:
            before = book.copy()
            with pytest.raises(RemoteProtocolError):
                book.apply(side, price, change)
            assert book == before
            continue
        book.apply(side, price, change)
        plain[side][price] = count
        if count == 0:
            del plain[side][price]
        for each in ("yes", "no"):
            mine: BookSide = "yes" if each == "yes" else "no"
            assert book.levels(mine) == tuple(levels(*sorted(plain[mine].items())))
            best = max(plain[mine], default=None)
            assert book.best(mine) == (None if best is None else (best, plain[mine][best]))
        crossed = max(plain["yes"], default=0) + max(plain["no"], default=0) >= DOLLAR
        assert book.crossed is crossed
    assert Book(book.levels("yes"), book.levels("no")) == book


@pytest.mark.parametrize(
    "level",
    [(0, 100), (DOLLAR, 100), (DOLLAR + 100, 100), (470_000, 0), (470_000, -1), (470_050, 100)],
)
def test_a_snapshot_with_a_level_that_is_none(level: tuple[int, int]) -> None:
    with pytest.raises(RemoteProtocolError):
        Book(levels(level))
    with pytest.raises(RemoteProtocolError):
        Book((), levels((10_000, 100), level))


def test_a_snapshot_with_a_price_twice() -> None:
    with pytest.raises(RemoteProtocolError):
        Book(levels((470_000, 100), (470_000, 200)))


@pytest.mark.parametrize("price", [0, DOLLAR, DOLLAR + 10_000, 470_050])
def test_a_change_on_no_grid_changes_nothing(price: int) -> None:
    for side in ("yes", "no"):
        book = Book(levels((470_000, 100)), levels((480_000, 100)))
        with pytest.raises(RemoteProtocolError):
            book.apply("yes" if side == "yes" else "no", price, 100)
        assert book == Book(levels((470_000, 100)), levels((480_000, 100)))


@given(
    st.dictionaries(few, st.integers(1, 500)),
    st.dictionaries(few, st.integers(1, 500)),
    st.dictionaries(few, st.integers(1, 500)),
)
def test_differences_are_what_has_to_be_changed(
    ours: dict[int, int], theirs: dict[int, int], no: dict[int, int]
) -> None:
    book = Book(levels(*ours.items()), levels(*no.items()))
    other = Book(levels(*theirs.items()), ())
    differs = book.differences(other)
    assert (differs == {}) == (book == other)
    for (side, price), more in differs.items():
        other.apply(side, price, more)
    assert other == book


def test_a_copy_is_another_book() -> None:
    book = Book(levels((470_000, 100)), levels((480_000, 100)))
    twin = book.copy()
    twin.apply("yes", 480_000, 100)
    assert book.best("yes") == (470_000, 100) and twin.best("yes") == (480_000, 100)
