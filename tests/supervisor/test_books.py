"""The line about all books, on the page and in the command."""

from supervisor.books import summary


def counted(**counters: int) -> dict[str, object]:
    return {"stream": {"counters": counters}}


def test_nobody_has_counted_yet() -> None:
    assert summary({}) == summary(counted()) == ""


def test_all_is_well() -> None:
    said = summary(counted(books_live=36, books_stale=0, books_lost=0, books_audited=36))
    assert said == "books: 36 live; 36 the same as the exchange's listing just now"


def test_what_is_wrong_is_counted_by_its_kind() -> None:
    said = summary(
        counted(
            books_live=30, books_stale=10, books_lost=4, books_awaited=2, quarantined=1,
            markets_left_out=7, books_audited=20,
        )
    )  # fmt: skip
    assert said == (
        "books: 20 live, 10 stale, 4 lost, 2 awaited, 1 in quarantine, 7 markets left out; "
        "20 the same as the exchange's listing just now"
    )
