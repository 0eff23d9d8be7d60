"""A book beside a listing of no exact moment, against trying every moment."""

from hypothesis import given
from hypothesis import strategies as st

from actors.stream.comparison import Comparison, Finding
from protocol.book import Book
from protocol.limits import AUDIT_CHANGES_MAX
from protocol.messages import BookSide, Level
from protocol.units import Count, Price

PRICES = (10_000, 470_000, 990_000)
Change = tuple[BookSide, int, int]
changes = st.lists(
    st.tuples(
        st.sampled_from(["yes", "no"]), st.sampled_from(PRICES), st.sampled_from([-200, -100, 100])
    ),
    max_size=12,
)
books = st.lists(
    st.tuples(st.sampled_from(PRICES), st.sampled_from([100, 200, 300])),
    max_size=3,
    unique_by=lambda level: level[0],
)


def make(yes: list[tuple[int, int]], no: list[tuple[int, int]]) -> Book:
    def levels(pairs: list[tuple[int, int]]) -> list[Level]:
        return [(Price(price), Count(count)) for price, count in pairs]

    return Book(levels(yes), levels(no))


def fits(book: Book, change: Change) -> bool:
    side, price, more = change
    return dict(book.levels(side)).get(Price(price), 0) + more >= 0


@given(books, books, changes, changes, st.data())
def test_the_same_at_any_moment_is_the_same(
    yes: list[tuple[int, int]],
    no: list[tuple[int, int]],
    before: list[Change],
    after: list[Change],
    data: st.DataObject,
) -> None:
    book = make(yes, no)
    comparison = Comparison(book)
    moments = [book.copy()]
    before = [change for change in before if fits(book, change) and not book.apply(*change)]
    for change in before:
        comparison.change(*change)
        twin = moments[-1].copy()
        twin.apply(*change)
        moments.append(twin)
    later = [change for change in after if fits(book, change) and not book.apply(*change)]
    for change in later:
        twin = moments[-1].copy()
        twin.apply(*change)
        moments.append(twin)
    listing = data.draw(st.sampled_from(moments) | st.builds(make, books, books))
    comparison.listed(listing)
    for change in later:
        comparison.change(*change)
    want = Finding.SAME if any(moment == listing for moment in moments) else Finding.DIFFERENT
    assert comparison.settle() is want
    assert moments[-1] == book
    differs = book.differences(listing)
    assert (comparison.text() == "") == (not differs)


def test_without_a_listing_nothing_is_found() -> None:
    comparison = Comparison(make([(470_000, 100)], []))
    comparison.change("yes", 470_000, 100)
    assert comparison.settle() is Finding.OPEN


def test_what_changes_too_much_is_too_busy_to_tell_and_stays_so() -> None:
    comparison = Comparison(make([], []))
    for _ in range(AUDIT_CHANGES_MAX + 1):
        comparison.change("yes", 470_000, 100)
    assert comparison.finding is Finding.BUSY
    comparison.listed(make([], []))
    comparison.change("yes", 470_000, -100)
    assert comparison.settle() is Finding.BUSY


def test_what_differs_is_said_in_words_and_not_all_of_it() -> None:
    comparison = Comparison(make([(470_000, 300), (10_000, 100)], [(480_000, 200)]))
    comparison.listed(make([(470_000, 400)], [(480_000, 200)]))
    assert comparison.text() == "yes 0.0100: +1.00, yes 0.4700: -1.00"
    many = [(price * 10_000, 100) for price in range(1, 10)]
    comparison = Comparison(make(many, []))
    comparison.listed(make([], []))
    assert comparison.text().endswith("yes 0.0400: +1.00 and 5 more")
