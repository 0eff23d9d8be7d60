"""Stories of markets that the exchange refuses without saying which ones they are."""

from actors.stream.core import CloseSocket, FollowSaved
from protocol.envelope import Letter
from protocol.limits import MINUTE, SECOND, TICKERS_A_COMMAND, UNNAMED_MAX
from protocol.machine import Asked, Report
from protocol.messages import Follow
from tests.actors.stream.scene import MARKET, Scene
from tests.actors.stream.venue import Venue, live

INVALID = "error 11: Invalid parameter"


def names(count: int) -> list[str]:
    return [f"KXA-{number:04d}" for number in range(count)]


def opened(venue: Venue) -> Scene:
    scene = Scene(respond=venue)
    scene.hear_writer()
    scene.wait(2 * SECOND)
    return scene


def reported(scene: Scene) -> list[str]:
    return [e.text for e in scene.take() if isinstance(e, Report) and INVALID in e.text]


def test_of_a_thousand_markets_the_two_that_are_refused_are_found_and_the_others_live() -> None:
    """One of them is in the command that begins, the other in one that adds."""
    venue = Venue(*names(2 * TICKERS_A_COMMAND + 100))
    wrong = {"KXA-0123", "KXA-0777"}
    venue.nameless = wrong
    scene = opened(venue)
    assert {
        ticker for ticker, each in scene.core.books.by_ticker.items() if each.live
    } == venue.books.keys() - wrong
    for ticker in wrong:
        answer = scene.ask_book(ticker)
        assert answer.reason == f"refused by the exchange: {INVALID}: {ticker}"
    assert scene.reasons == ()
    assert venue.sessions[MARKET].tickers["trade"].count("KXA-0124") == 1
    said = reported(scene)
    assert {text.rpartition(" ")[2] for text in said} == wrong, "nothing else is blamed"


def test_a_subscription_that_can_not_begin_with_any_of_the_first_begins_with_others() -> None:
    venue = Venue("KXA-1", "KXA-2", "KXA-3")
    venue.nameless = {"KXA-1", "KXA-2"}
    scene = opened(venue)
    assert scene.ask_book("KXA-3").state == "live"
    assert scene.counters["books_awaited"] == 2
    assert CloseSocket(MARKET) not in scene.take()


def test_one_that_is_followed_later_costs_those_that_are_added_with_it_nothing() -> None:
    scene, venue = live("KXA-1")
    more = ("KXA-2", "KXA-3", "KXA-4")
    venue.books |= {ticker: {"yes": {470_000: 300}, "no": {}} for ticker in more}
    venue.nameless = {"KXA-3"}
    scene.feed(Asked(scene.at, (b"api",), Letter("api", 1, "f1", scene.at, Follow(more))))
    scene.feed(FollowSaved(scene.at, 1, ""))
    scene.wait(SECOND)
    states = [scene.ask_book(ticker).state for ticker in ("KXA-1", *more)]
    assert states == ["live", "live", "lost", "live"]
    venue.nameless = set()
    scene.wait(2 * MINUTE)
    assert scene.ask_book("KXA-3").state == "live", "it is asked for again, now and then"


def test_where_everything_is_refused_it_is_not_about_markets() -> None:
    """The connection is given up, after a bounded number of questions."""
    venue = Venue(*names(TICKERS_A_COMMAND))
    venue.nameless = set(venue.books)
    scene = Scene(respond=venue)
    scene.hear_writer()
    assert scene.take().count(CloseSocket(MARKET)) == 1
    asked = [command for link, command in venue.commands if link == MARKET]
    halvings = TICKERS_A_COMMAND.bit_length()
    assert UNNAMED_MAX < len(asked) <= (UNNAMED_MAX + 1) * halvings
    assert any(f"subscribe: {INVALID}" in reason for reason in scene.reasons)
