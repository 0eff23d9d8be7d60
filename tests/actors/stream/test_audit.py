"""Stories of the audit: each book beside the exchange's own listing, about once a minute."""

from actors.stream.core import SocketClosed
from protocol.limits import (
    AUDIT_ANSWER_MAX,
    AUDIT_GRACE,
    AUDIT_LEAD,
    AUDIT_ROUND,
    AUDIT_TICKERS_MAX,
    AUDITS_UNDER_WAY_MAX,
    MINUTE,
    MS,
    QUARANTINE,
    SECOND,
)
from protocol.machine import Report
from protocol.messages import (
    AuditAnswer,
    AuditRequest,
    BookLost,
    BookSnapshot,
    ListedBook,
)
from tests.actors.stream.scene import MARKET, A, B, Scene, published
from tests.actors.stream.venue import Venue, live


def requests(venue: Venue) -> list[tuple[str, ...]]:
    return [body.tickers for body in venue.asked if isinstance(body, AuditRequest)]


def chatter(scene: Scene, venue: Venue, duration: int) -> None:
    """Time passes, and another market changes each second, so that nothing is probed."""
    for _ in range(duration // SECOND):
        scene.wait(SECOND)
        venue.change(scene, B, "yes", 470_000, 100)


def losses(scene: Scene) -> list[str]:
    return [body.reason for body in published(scene.take()) if isinstance(body, BookLost)]


def begin(scene: Scene) -> None:
    """An audit is under way, and nobody is asked yet."""
    while not scene.core.audit._batches:
        scene.wait(SECOND // 10)


def test_each_book_is_compared_at_least_once_a_minute() -> None:
    scene, venue = live(A, B)
    scene.wait(5 * SECOND)
    first = scene.ask_book(A).audited_at
    assert 0 < first <= scene.at
    for _ in range(10):
        scene.wait(MINUTE)
        assert scene.at - scene.ask_book(A).audited_at <= 66_000_000
        assert scene.counters["books_audited"] == 2
    assert scene.counters["audit_differences"] == scene.counters["audits_unread"] == 0
    assert set(requests(venue)) == {(A, B)}


def test_the_same_at_some_moment_around_the_listing_is_the_same() -> None:
    """Listings may lag, and the stream may: a book counts as it was at any moment of both."""
    scene, venue = live(A, B)
    held: list[ListedBook] = []

    def a_while_ago(ticker: str) -> ListedBook | None:
        found = venue.listed(ticker)
        assert found is not None
        if ticker == A:
            held.append(found)
            return held[max(len(held) - 2, 0)]
        return found

    venue.audit = a_while_ago
    for n in range(300):
        scene.wait(SECOND // 2)
        venue.change(scene, B, "yes", 470_000, 100 if n % 2 else -100)
    assert scene.counters["audits"] >= 4
    assert scene.counters["audit_differences"] == 0


def test_a_listing_that_is_ahead_of_the_stream_is_waited_for() -> None:
    scene, venue = live(A, B)
    ahead = replace_level(venue.listed(A), 99_900)
    venue.audit = lambda ticker: ahead if ticker == A else venue.listed(ticker)
    scene.wait(AUDIT_LEAD + SECOND)  # asked and answered
    assert scene.counters["audits"] == 0
    venue.change(scene, A, "yes", 470_000, 99_900 - 300)
    scene.wait(AUDIT_GRACE)
    assert scene.counters["audits"] == 2
    venue.change(scene, A, "yes", 470_000, 100)  # the same at one moment is enough
    assert scene.counters["audit_differences"] == 0


def replace_level(book: ListedBook | None, count: int) -> ListedBook:
    assert book is not None
    (price, _), *more = book.yes
    return ListedBook(book.ticker, ((price, type(book.yes[0][1])(count)), *more), book.no)


def test_a_difference_is_looked_at_again_before_a_book_is_lost() -> None:
    scene, venue = live(A, B)
    wrong = replace_level(venue.listed(A), 1)
    venue.audit = lambda ticker: (
        wrong if ticker == A and len(requests(venue)) == 1 else (venue.listed(ticker))
    )
    chatter(scene, venue, MINUTE)
    assert len(requests(venue)) >= 2 and requests(venue)[1] == (A,)
    assert losses(scene) == [] and scene.counters["audit_differences"] == 0


def test_two_differences_make_a_book_lost_and_it_is_got_anew() -> None:
    scene, venue = live(A, B)
    venue.books[A]["yes"][460_000] = 500  # the exchange changes it, and says nothing
    generation = scene.ask_book(A).generation
    chatter(scene, venue, 20 * SECOND)
    effects = scene.take()
    said = [b for b in published(effects) if isinstance(b, BookLost | BookSnapshot)]
    assert said[0] == BookLost(A, "differs from the exchange's listing: yes 0.4600: -5.00")
    assert [type(body) for body in said] == [BookLost, BookSnapshot]
    assert any(e.grave and "audit: KXA-1 differs" in e.text for e in effects if type(e) is Report)
    answer = scene.ask_book(A)
    assert (answer.state, answer.generation) == ("live", generation + 1)
    assert [int(count) for _, count in answer.yes] == [500, 300]
    assert answer.audited_at > 0  # and it is found right afterwards
    assert scene.counters["audit_differences"] == 1
    assert scene.ask_book(B).state == "live"


def test_a_book_that_differs_again_and_again_is_put_in_quarantine() -> None:
    scene, venue = live(A, B)
    wrong = replace_level(venue.listed(A), 1)
    venue.audit = lambda ticker: wrong if ticker == A else venue.listed(ticker)
    chatter(scene, venue, 50 * SECOND)
    reasons = losses(scene)
    assert len(reasons) == 3
    assert reasons[2].startswith("quarantined: differs from the exchange's listing")
    assert scene.ask_book(A).state == "lost"
    assert scene.ask_book(A).reason == reasons[2]
    assert "books: 1 in quarantine: KXA-1" in scene.reasons
    assert scene.counters["quarantined"] == 1
    venue.audit = venue.listed
    chatter(scene, venue, QUARANTINE + 5 * SECOND)
    assert scene.ask_book(A).state == "live" and scene.reasons == ()
    assert scene.counters["reconnects"] == 0  # it cost the others nothing


def test_a_book_that_is_too_busy_to_tell_is_audited_later() -> None:
    scene, venue = live(A, B)
    begin(scene)
    wrong = replace_level(venue.listed(A), 1)
    venue.audit = lambda ticker: wrong if ticker == A else venue.listed(ticker)
    comparison = scene.core.books.by_ticker[A].comparison
    assert comparison is not None
    for _ in range(20_001):
        comparison.change("no", 10_000, 0)
    scene.wait(6 * SECOND)
    assert scene.counters["audits_unread"] == 1
    assert scene.counters["audits"] == 1
    assert losses(scene) == []


def test_what_is_not_answered_or_not_listed_is_unread_and_nothing_else() -> None:
    scene, venue = live(A, B)
    venue.audit = lambda ticker: None
    begin(scene)
    scene.wait(AUDIT_LEAD + AUDIT_GRACE + SECOND)
    assert scene.counters["audits_unread"] == 2
    scene.respond = lambda scene, effect: (
        cause
        for cause in venue(scene, effect)
        if not isinstance(getattr(getattr(cause, "letter", None), "body", None), AuditAnswer)
    )
    scene.wait(AUDIT_ROUND)
    scene.wait(AUDIT_ANSWER_MAX + 2 * AUDIT_LEAD)
    assert scene.counters["audits_unread"] == 4
    assert scene.counters["audits"] == 0 and scene.counters["books_audited"] == 0
    assert losses(scene) == [] and scene.ask_book(A).audited_at == 0


def test_an_answer_that_comes_too_late_counts_no_more() -> None:
    scene, venue = live(A, B)
    ids: list[str] = []
    wrong = AuditAnswer((replace_level(venue.listed(A), 1), replace_level(venue.listed(B), 1)))

    def slow(scene: Scene, effect: object) -> list[object]:
        letter = getattr(effect, "letter", None)
        if letter is not None and isinstance(letter.body, AuditRequest):
            ids.append(letter.id)
            return []
        return list(venue(scene, effect))  # type: ignore[arg-type]

    scene.respond = slow  # type: ignore[assignment]
    begin(scene)
    scene.wait(AUDIT_LEAD + AUDIT_ANSWER_MAX + SECOND)
    assert len(ids) == 1 and scene.counters["audits_unread"] == 2
    scene.answer("gateway", ids[0], wrong)
    scene.answer("gateway", "audit:of:somebody", wrong)
    scene.wait(AUDIT_GRACE + SECOND)
    assert losses(scene) == [] and scene.counters["audit_differences"] == 0


def test_a_book_that_is_lost_meanwhile_is_not_judged() -> None:
    scene, venue = live(A, B)
    begin(scene)
    scene.feed(SocketClosed(scene.at, MARKET, "closed 1006"))
    venue.audit = lambda ticker: replace_level(venue.listed(ticker), 1)
    scene.wait(6 * SECOND)
    assert scene.counters["audits_unread"] == 2
    assert losses(scene) == ["closed 1006", "closed 1006"]
    assert scene.counters["audit_differences"] == 0


def test_the_listing_of_one_audit_is_not_compared_by_another() -> None:
    """A snapshot that nobody asked for ends the first audit, and begins the second."""
    scene, venue = live(A, B)
    ids: list[str] = []

    def slow(scene: Scene, effect: object) -> list[object]:
        letter = getattr(effect, "letter", None)
        if letter is not None and isinstance(letter.body, AuditRequest):
            ids.append(letter.id)
            return []
        return list(venue(scene, effect))  # type: ignore[arg-type]

    scene.respond = slow  # type: ignore[assignment]
    begin(scene)
    scene.wait(AUDIT_LEAD)
    old = venue.listed(A)
    assert len(ids) == 1 and old is not None
    venue.books[A]["yes"][470_000] = 999
    snapshot = venue._snapshots(MARKET, 1, [A])
    venue.send(scene, MARKET, snapshot)
    scene.wait(3 * SECOND)
    assert len(ids) == 2
    scene.answer("gateway", ids[0], AuditAnswer((old,)))
    now = venue.listed(A)
    assert now is not None
    scene.answer("gateway", ids[1], AuditAnswer((now,)))
    scene.wait(AUDIT_GRACE + SECOND)
    assert scene.ask_book(A).audited_at > 0
    assert scene.core.audit._suspects == set()


def test_a_stale_book_is_not_audited() -> None:
    scene, venue = live(A, B)
    for followed in scene.core.books.by_ticker.values():
        scene.core.books.age([followed], "data is late: 2.0 s", scene.at)
    venue.asked.clear()
    scene.core.audit._round.extend([A, B])
    scene.wait(10 * SECOND)
    assert requests(venue) == []


def test_ten_thousand_books_are_all_audited_in_about_a_minute() -> None:
    many = [f"KXM-{i}" for i in range(10_000)]
    venue = Venue(*many)
    scene = Scene(respond=venue)
    scene.hear_writer()
    asked_at: list[int] = []
    most = 0
    for _ in range(75 * 2):
        before = len(requests(venue))
        scene.wait(500 * MS)
        asked_at += [scene.now] * (len(requests(venue)) - before)
        most = max(most, len(scene.core.audit._batches))
        scene.effects.clear()
    assert scene.counters["books_audited"] == 10_000
    assert all(len(tickers) <= AUDIT_TICKERS_MAX for tickers in requests(venue))
    assert most <= AUDITS_UNDER_WAY_MAX
    for second in set(asked_at):
        assert sum(at == second for at in asked_at) <= 2  # an even pace, no bursts
    scene.wait(75 * SECOND)
    assert scene.counters["books_audited"] == 10_000
