"""Whatever happens to frames on their way: a live book is the exchange's at its number."""

from collections.abc import Callable

from hypothesis import given, settings
from hypothesis import strategies as st

from actors.stream.carrier import BOOKS
from actors.stream.core import Link, SocketClosed
from protocol.envelope import Outbox
from protocol.follower import BookFollower
from protocol.limits import MS, SECOND
from protocol.machine import Publish
from protocol.messages import BookSide
from protocol.units import Count, Price
from tests.actors.stream.scene import A, B, C, Scene
from tests.actors.stream.venue import Session, Venue, live

TICKERS = (A, B, C)
WAITS = (0, 1, 260, 1_000, 3_000, 12_000)  # milliseconds
FATES = ("arrives", "arrives", "arrives", "is lost", "comes twice", "is held", "is spoilt")
words = st.tuples(
    st.sampled_from(("change", "change", "change", "old", "wait", "close", "gone")),
    st.sampled_from(FATES),
    st.sampled_from(TICKERS),
    st.sampled_from(("yes", "no")),
    st.integers(0, 5),
)


class Wire:
    """Meddles with what the exchange sends on market links."""

    def __init__(self, venue: Venue) -> None:
        self.fate = "arrives"
        self._venue = venue
        self._sessions: dict[Link, Session] = {}
        self.held: dict[Link, list[bytes]] = {}
        self.past: dict[Link, list[bytes]] = {}

    def __call__(self, link: Link, raws: list[bytes]) -> list[bytes]:
        if not link.startswith("market"):
            return raws
        fate, self.fate = self.fate, "arrives"
        if self._sessions.get(link) is not self._venue.sessions[link]:
            self._sessions[link] = self._venue.sessions[link]
            self.held.pop(link, None)  # a socket brings nothing of the one before it
            self.past.pop(link, None)
        data = [raw for raw in raws if b'"seq"' in raw]
        self.past.setdefault(link, []).extend(data)
        if not data:
            return raws
        match fate:
            case "is lost":
                return []
            case "comes twice":
                return [*raws, *raws]
            case "is held":
                self.held.setdefault(link, []).extend(raws)
                return []
            case "is spoilt":
                return [raw.replace(b'"msg"', b'"mzg"') for raw in raws]
        return raws + self.held.pop(link, [])  # behind those that were sent later

    def carries(self, link: Link) -> bool:
        """Whether what is known of the past is of the connection that is there now."""
        return self._sessions.get(link) is self._venue.sessions.get(link, 0)


def check(scene: Scene, venue: Venue) -> None:
    """Each live book is what the exchange had when it gave the last number that was taken."""
    for line in scene.core.lines.markets:
        sid = line.subscriptions.sids.get(BOOKS)
        for ticker, followed in line.markets.items():
            if not followed.live:
                continue
            assert sid is not None and line.connection.up
            seq = line.subscriptions._counters[sid].seq
            assert seq is not None
            then = venue.sessions[line.link].history[sid, seq][ticker]
            for side in ("yes", "no"):
                mine: BookSide = "yes" if side == "yes" else "no"
                want = tuple((Price(p), Count(n)) for p, n in sorted(then[mine].items()))
                assert followed.book.levels(mine) == want, (ticker, seq)


def change(scene: Scene, venue: Venue, ticker: str, side: BookSide, number: int) -> None:
    price = (470_000, 460_000, 450_000)[number % 3]
    had = venue.books[ticker][side].get(price, 0)
    venue.change(scene, ticker, side, price, -had if had and number > 3 else 100)


@settings(max_examples=60, deadline=None)
@given(st.lists(words, max_size=60))
def test_a_live_book_is_the_exchanges_at_its_number(
    story: list[tuple[str, str, str, BookSide, int]],
) -> None:
    scene, venue = live(*TICKERS, history=True, connections=2, tickers_a_connection=2)
    wire = Wire(venue)
    venue.meddle = wire
    followers = {ticker: BookFollower(ticker, Outbox("reader", 1), scene.now) for ticker in TICKERS}
    acts: dict[str, Callable[[str, str, BookSide, int], None]] = {
        "change": lambda fate, ticker, side, number: change(scene, venue, ticker, side, number),
        "wait": lambda fate, ticker, side, number: scene.wait(WAITS[number] * MS),
        "close": lambda fate, ticker, side, number: close(scene, venue, ticker),
        "old": lambda fate, ticker, side, number: old(scene, wire, ticker, number),
        "gone": lambda fate, ticker, side, number: gone(scene, venue, ticker),
    }  # fmt: skip
    for word, fate, ticker, side, number in story:
        wire.fate = fate
        acts[word](fate, ticker, side, number)
        check(scene, venue)
        follow(scene, followers)
    # And once nothing is meddled with, all is well again.
    wire.fate = "arrives"
    wire.held.clear()
    scene.wait(80 * SECOND)
    for ticker in TICKERS:
        change(scene, venue, ticker, "yes", 0)
    check(scene, venue)
    follow(scene, followers)
    assert scene.core.books.live == 3, scene.reasons
    for ticker, follower in followers.items():
        follower.adopt(scene.ask_book(ticker))
        assert follower.live and follower.book == scene.core.books.by_ticker[ticker].book
        held = venue.books[ticker]["yes"]
        assert follower.book.levels("yes") == tuple(sorted(held.items()))


def line_of(scene: Scene, ticker: str) -> Link:
    return next(line.link for line in scene.core.lines.markets if ticker in line.markets)


def close(scene: Scene, venue: Venue, ticker: str) -> None:
    link = line_of(scene, ticker)
    if link in venue.sessions:
        del venue.sessions[link]
        scene.feed(SocketClosed(scene.at, link, "closed 1006"))


def old(scene: Scene, wire: Wire, ticker: str, number: int) -> None:
    """A frame of the past comes once more."""
    link = line_of(scene, ticker)
    past = wire.past.get(link, [])
    if past and wire.carries(link):
        scene.raw(past[-1 - number % len(past)], link)


def gone(scene: Scene, venue: Venue, ticker: str) -> None:
    """The exchange forgets a subscription, and says nothing."""
    session = venue.sessions.get(line_of(scene, ticker))
    if session is not None:
        session.sids.pop(BOOKS, None)
        session.tickers.pop(BOOKS, None)


def follow(scene: Scene, followers: dict[str, BookFollower]) -> None:
    """Whoever follows what is published has the same books, and knows the same of them."""
    for effect in scene.take():
        if isinstance(effect, Publish):
            for follower in followers.values():
                follower.hear(scene.now, effect.envelope)
    for ticker, follower in followers.items():
        if not follower.whole:
            follower.adopt(scene.ask_book(ticker))
        followed = scene.core.books.by_ticker[ticker]
        assert follower.whole == followed.live
        if follower.whole:
            assert follower.book == followed.book and follower.late == followed.stale
