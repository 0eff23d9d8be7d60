"""Days on which one kind of trouble of market data is certain, and nothing else goes wrong.

The readers are looked at four times a second; the engine as it is comes through.
"""

import functools
from collections.abc import Callable

from protocol.limits import MS, SECOND
from protocol.messages import Follow
from tests.simulation.checkers import Watch, check_all_live, check_books_meet, check_taps
from tests.simulation.day import HOUR
from tests.simulation.faults import Faults
from tests.simulation.feed import BOOKS, Connection, Feed, Frame, Subscription
from tests.simulation.planting import planted, small_bounds
from tests.simulation.readers import Asker
from tests.simulation.sockets import FOR_GOOD
from tests.simulation.trading import TICKERS
from tests.simulation.world import World

Plan = Callable[[World], None]

STEP = 250 * MS
SETTLED_AT = 6 * SECOND  # all is followed, and all who follow have it
TROUBLE_AT = 10 * SECOND
QUIET_FOR = 130 * SECOND  # two rounds of audits, a dozen probes
NEWS = ("lost", "stale")


def lived(
    seed: int,
    faults: Faults,
    end: int,
    plan: Plan,
    follow: tuple[str, ...] = ("*",),
    taps: bool = False,
) -> World:
    """A day that goes by a plan. In the end each book is live, and the exchange's own."""
    with small_bounds():
        world = World(seed, faults, follow=follow, taps=taps)
        watch = Watch(world)
        watch.fresh.healed = 0
        plan(world)
        for now in range(2 * SECOND, end, STEP):
            world.run(now)
            watch.check_data()
        faults.heal()
        for now in range(end, end + 6 * SECOND, STEP):
            world.run(now)
            watch.check_data()
        check_all_live(world)
        check_books_meet(world, watch.book)
        check_taps(world, watch)
        return world


def moves(world: World, pace: int, until: int) -> None:
    """Books change all the time."""
    for when in range(2 * SECOND, until, pace):
        world.at(when, world.exchange.move)


def often(world: World, what: Callable[[], None], pace: int, until: int) -> None:
    for when in range(TROUBLE_AT, until, pace):
        world.at(when, what)


def books(world: World) -> list[tuple[Connection, Subscription]]:
    return world.exchange.feed.subscriptions(BOOKS)


def check_unpunished(world: World, since: int, tickers: tuple[str, ...] = TICKERS) -> None:
    """Nobody was told that a book is no good, and no connection was made anew."""
    topics = {f"book.{ticker}" for ticker in tickers}
    told = [m for m in world.moments if m.at > since and m.what in NEWS and m.ticker in topics]
    assert not told, f"punished: {told[0]}"


def check_never_reconnected(world: World) -> None:
    again = [text for text in world.reports if "reconnecting" in text]
    assert not again, f"punished: {again}"


# Nothing goes wrong


def nothing_happens(seed: int) -> World:
    """Markets are quiet for longer than any timer of the stream."""
    world = lived(seed, Faults(), QUIET_FOR, lambda world: None)
    check_unpunished(world, SETTLED_AT)
    check_never_reconnected(world)
    return world


def much_happens(seed: int) -> World:
    """And all of it is told. Listings are of another moment than the books."""
    faults = Faults(book_lag_max=500 * MS, bus_delay_max=50 * MS)
    world = lived(seed, faults, QUIET_FOR, lambda world: moves(world, 50 * MS, QUIET_FOR))
    check_unpunished(world, SETTLED_AT)
    check_never_reconnected(world)
    return world


def snapshots_come_unasked(seed: int) -> World:
    """And all of them are right."""

    def plan(world: World) -> None:
        moves(world, 100 * MS, 40 * SECOND)
        often(world, world.exchange.feed.say_again, 2 * SECOND, 40 * SECOND)

    world = lived(seed, Faults(), 40 * SECOND, plan)
    check_unpunished(world, SETTLED_AT)
    return world


def the_private_link_flaps(seed: int) -> World:
    """It costs no book."""

    def plan(world: World) -> None:
        moves(world, 100 * MS, 40 * SECOND)
        often(world, lambda: world.sockets.drop("private"), 5 * SECOND, 40 * SECOND)

    world = lived(seed, Faults(), 40 * SECOND, plan)
    check_unpunished(world, SETTLED_AT)
    return world


def one_link_flaps(seed: int) -> World:
    """It costs no book of the other."""

    def plan(world: World) -> None:
        moves(world, 100 * MS, 40 * SECOND)
        often(world, lambda: world.sockets.drop("market1"), 5 * SECOND, 25 * SECOND)

    world = lived(seed, Faults(), 40 * SECOND, plan)
    check_unpunished(world, SETTLED_AT, TICKERS[2:])
    return world


def another_market_is_followed(seed: int) -> World:
    """And then no more: what is told of the others goes on."""

    def plan(world: World) -> None:
        user = Asker(world, "user")
        moves(world, 100 * MS, 40 * SECOND)
        more, less = Follow(add=(TICKERS[1],)), Follow(remove=(TICKERS[1],))
        for when, wish in ((10, less), (16, more), (22, less), (28, more)):
            world.at(when * SECOND, functools.partial(user.ask, "stream", wish))

    world = lived(seed, Faults(), 40 * SECOND, plan, TICKERS)
    check_unpunished(world, SETTLED_AT, (TICKERS[0], TICKERS[2]))
    said = [m.what for m in world.moments if m.ticker == f"book.{TICKERS[1]}" and m.at > SETTLED_AT]
    assert said.count("snapshot") == 2, f"it was followed {said.count('snapshot')} times"
    return world


def a_market_is_created(seed: int) -> World:
    """Its life is told of, and a few seconds later it is followed."""

    def plan(world: World) -> None:
        world.at(TROUBLE_AT, lambda: world.exchange.open_market("KXFOG-0"))

    return lived(seed, Faults(), TROUBLE_AT + 2 * SECOND, plan)


# What the exchange does


def frames_are_missing(seed: int) -> World:
    def plan(world: World) -> None:
        moves(world, 100 * MS, 40 * SECOND)

    return lived(seed, Faults(frame_skip=0.03, snapshot_lost=0.1), 40 * SECOND, plan)


def frames_come_twice(seed: int) -> World:
    """It costs no book."""

    def plan(world: World) -> None:
        moves(world, 100 * MS, 40 * SECOND)

    world = lived(seed, Faults(frame_repeat=0.2), 40 * SECOND, plan)
    check_unpunished(world, SETTLED_AT)
    return world


def numbers_begin_anew(seed: int) -> World:
    def plan(world: World) -> None:
        moves(world, 50 * MS, 40 * SECOND)
        often(world, world.exchange.feed.count_anew, 4 * SECOND, 40 * SECOND)

    return lived(seed, Faults(), 40 * SECOND, plan)


def acknowledgements_are_lost(seed: int) -> World:
    def plan(world: World) -> None:
        moves(world, 100 * MS, 60 * SECOND)
        often(world, lambda: world.sockets.drop("market1"), 15 * SECOND, 45 * SECOND)

    faults = Faults(ack_lost=0.3, command_fails=0.3, frame_skip=0.03)
    return lived(seed, faults, 60 * SECOND, plan)


def subscriptions_end(seed: int) -> World:
    def plan(world: World) -> None:
        moves(world, 100 * MS, 40 * SECOND)
        often(world, world.exchange.feed.end, 3 * SECOND, 40 * SECOND)

    return lived(seed, Faults(), 40 * SECOND, plan)


def subscriptions_fail(seed: int) -> World:
    def plan(world: World) -> None:
        moves(world, 100 * MS, 40 * SECOND)
        often(world, world.exchange.feed.fail, 3 * SECOND, 40 * SECOND)

    return lived(seed, Faults(), 40 * SECOND, plan)


def hush(world: World, kind: str) -> None:
    for _, subscription in books(world):
        subscription.mute = kind  # type: ignore[assignment]
    world.happened[f"{kind} of a subscription fell silent"] += 1


def a_subscription_is_dead(seed: int) -> World:
    """It says nothing more and does nothing more, and its connection lives."""

    def plan(world: World) -> None:
        moves(world, SECOND, 60 * SECOND)
        world.at(TROUBLE_AT, lambda: hush(world, "all"))

    return lived(seed, Faults(), 60 * SECOND, plan)


def a_subscription_tells_nothing(seed: int) -> World:
    """But it answers what it is asked."""

    def plan(world: World) -> None:
        moves(world, SECOND, 90 * SECOND)
        world.at(TROUBLE_AT, lambda: hush(world, "data"))

    return lived(seed, Faults(), 90 * SECOND, plan)


def a_subscription_is_given_back(seed: int) -> World:
    """Because it has told nothing. Books of it that nobody asked for are on their way then."""
    right = Feed.snapshot

    def snapshot(self: Feed, connection: Connection, ticker: str, id: int = 0) -> Frame | None:
        if id:
            for late in range(1, 40):
                world.at(world.now + late * MS, lambda: again(self, connection, ticker))
        return right(self, connection, ticker, id)

    def again(feed: Feed, connection: Connection, ticker: str) -> None:
        if BOOKS in connection.subscriptions:
            right(feed, connection, ticker)

    def plan(begun: World) -> None:
        nonlocal world
        world = begun
        moves(world, SECOND, 60 * SECOND)
        world.at(TROUBLE_AT, lambda: hush(world, "data"))

    world: World
    with planted(Feed, "snapshot", snapshot):
        return lived(seed, Faults(bus_delay_max=100 * MS), 60 * SECOND, plan)


def the_exchange_lies(seed: int) -> World:
    def plan(world: World) -> None:
        moves(world, 300 * MS, 100 * SECOND)
        for when in (10, 11, 25):
            world.at(when * SECOND, world.exchange.feed.lie)

    return lived(seed, Faults(), 100 * SECOND, plan)


# What lies between


def links_are_black_holes(seed: int) -> World:
    """For a moment, for almost as long as the exchange takes between two pings, and for good."""

    def plan(world: World) -> None:
        moves(world, 200 * MS, 70 * SECOND)
        for when, lasts in ((10, SECOND), (20, 3 * SECOND), (30, 199 * SECOND // 10)):
            for link in ("market1", "market2"):
                swallow = functools.partial(world.sockets.swallow, link, lasts)
                world.at(when * SECOND, swallow)
        world.at(50 * SECOND, lambda: world.sockets.swallow("market1", FOR_GOOD))

    return lived(seed, Faults(), 70 * SECOND, plan)


def the_private_link_is_dead(seed: int) -> World:
    """Nothing of our account would be heard any more: within seconds there is another link."""
    connections = []

    def plan(world: World) -> None:
        moves(world, 200 * MS, 20 * SECOND)
        for when in (TROUBLE_AT, TROUBLE_AT + 6 * SECOND):
            world.at(when, functools.partial(look, world))
        world.at(TROUBLE_AT, lambda: world.sockets.swallow("private", FOR_GOOD))

    def look(world: World) -> None:
        connections.append(world.exchange.feed.connections.get("private"))

    world = lived(seed, Faults(), 20 * SECOND, plan)
    before, after = connections
    assert before is not None
    assert after is not before, "fresh: nobody has noticed that the private link is dead"
    check_unpunished(world, SETTLED_AT)
    return world


def data_is_late(seed: int) -> World:
    """By one second and a half, by three, and by eight. In the end it is in time."""
    return _late(seed, Faults(), 0)


def data_is_late_and_the_clock_is_wrong(seed: int) -> World:
    """The host's clock is set back by an hour before the data comes late."""
    return _late(seed, Faults(), -HOUR)


def _late(seed: int, faults: Faults, wrong_by: int) -> World:
    def plan(world: World) -> None:
        moves(world, 100 * MS, 60 * SECOND)
        world.at(TROUBLE_AT - SECOND, lambda: setattr(world, "wrong_by", wrong_by))
        for when, by in ((10, 1_500), (20, 3_000), (35, 8_000)):
            for link in ("market1", "market2"):
                slow = functools.partial(world.sockets.slow_down, link, by * MS, 4 * SECOND)
                world.at(when * SECOND, slow)

    world = lived(seed, faults, 60 * SECOND, plan)
    for when in (20, 35):
        said = [m for m in world.moments if when <= m.at // SECOND < when + 13 and m.what in NEWS]
        assert said, "nobody was told that data was late"
    return world


def data_is_late_from_the_first_frame_on(seed: int) -> World:
    """A connection begins when its line is slow already: nothing shows what is usual on it."""

    def plan(world: World) -> None:
        moves(world, 50 * MS, 40 * SECOND)
        for when in (10, 20):
            world.at(when * SECOND, lambda: begin_slow(world, 2_500 * MS))
            world.at((when + 4) * SECOND, lambda: begin_slow(world, 0))

    def begin_slow(world: World, by: int) -> None:
        world.sockets.slow_from_the_first = by
        world.sockets.drop("market1")

    return lived(seed, Faults(), 40 * SECOND, plan)


def the_stream_is_stopped_for_a_while(seed: int) -> World:
    """It goes on as if nothing had been, with all that has come meanwhile before it."""

    def plan(world: World) -> None:
        moves(world, 100 * MS, 50 * SECOND)
        for when, lasts in ((10, 2), (20, 10), (40, 4)):
            stop = functools.partial(world.freeze, "stream", lasts * SECOND)
            world.at(when * SECOND, stop)

    return lived(seed, Faults(), 50 * SECOND, plan)


def the_bus_is_lossy(seed: int) -> World:
    """For those who only listen, too; some are slow, and the stream dies again and again."""

    def plan(world: World) -> None:
        moves(world, 100 * MS, 40 * SECOND)
        for when in range(12, 36, 4):
            world.at(when * SECOND, lambda: world.crash("stream"))

    faults = Faults(bus_drop=0.2, tap_loss=0.1, bus_delay_max=50 * MS, slow_pace=60 * MS)
    return lived(seed, faults, 40 * SECOND, plan, taps=True)


def the_last_message_is_lost(seed: int) -> World:
    """Then nothing more is said of that book: only the mark tells."""

    def plan(world: World) -> None:
        moves(world, 200 * MS, 20 * SECOND)
        world.at(20 * SECOND - 50 * MS, lambda: _cut(world, 1.0))
        world.at(20 * SECOND + 50 * MS, lambda: _cut(world, 0.0))
        world.at(20 * SECOND, world.exchange.move)

    return lived(seed, Faults(), 40 * SECOND, plan, taps=True)


def _cut(world: World, share: float) -> None:
    world.faults.bus_drop = world.faults.tap_loss = share


CALM: tuple[Callable[[int], World], ...] = (
    nothing_happens,
    much_happens,
    snapshots_come_unasked,
    the_private_link_flaps,
    one_link_flaps,
    another_market_is_followed,
    a_market_is_created,
)
ROUGH: tuple[Callable[[int], World], ...] = (
    frames_are_missing,
    frames_come_twice,
    numbers_begin_anew,
    acknowledgements_are_lost,
    subscriptions_end,
    subscriptions_fail,
    a_subscription_is_dead,
    a_subscription_tells_nothing,
    a_subscription_is_given_back,
    the_exchange_lies,
    links_are_black_holes,
    the_private_link_is_dead,
    data_is_late,
    data_is_late_and_the_clock_is_wrong,
    data_is_late_from_the_first_frame_on,
    the_stream_is_stopped_for_a_while,
    the_bus_is_lossy,
    the_last_message_is_lost,
)
