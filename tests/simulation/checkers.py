"""What must hold, whatever the seed.

Safety is checked all along, not only at the end: a copy that was wrong for ten seconds and was
then replaced by a fresh snapshot looks perfect at the end.
"""

from typing import Any

from protocol.book import Book
from protocol.messages import BookDelta, BookLost, BookSnapshot
from tests.simulation.exchange import TICKERS
from tests.simulation.world import Trader, World

NEVER_THERE = ("rejected", "denied", "withdrawn", "absent")


class Said:
    """What the stream has published of each book, followed message by message."""

    def __init__(self) -> None:
        self._read = 0
        self.books: dict[tuple[str, int, int], Any] = {}  # by ticker, epoch, seq
        self._now: dict[str, Book | None] = dict.fromkeys(TICKERS)
        self._version = dict.fromkeys(TICKERS, 0)

    def follow(self, world: World) -> None:
        """Each published book is one that the exchange has had, and time does not run back."""
        for envelope in world.published[self._read :]:
            ticker = envelope.topic.partition(".")[2]
            match envelope.body:
                case BookSnapshot(yes=yes, no=no):
                    self._now[ticker] = Book(yes, no)
                case BookDelta(side=side, price=price, change=change):
                    book = self._now[ticker]
                    assert book is not None, f"{ticker}: a change of a lost book"
                    book.apply(side, price, change)
                case BookLost():
                    self._now[ticker] = None
                case _:
                    continue
            self.books[ticker, envelope.epoch, envelope.seq] = self._levels(world, ticker)
        self._read = len(world.published)

    def _levels(self, world: World, ticker: str) -> Any:
        book = self._now[ticker]
        if book is None:
            return None
        levels = tuple(
            tuple((int(p) // 10_000, int(c)) for p, c in book.levels(side))
            for side in ("yes", "no")
        )
        versions = world.exchange.versions[ticker]
        for version in range(self._version[ticker], len(versions)):
            if versions[version] == levels:
                self._version[ticker] = version
                return levels
        raise AssertionError(f"{ticker}: the exchange never had the book that was published")


def check_safety(world: World, said: Said) -> None:
    """True at every moment, in any weather."""
    said.follow(world)
    check_live_means_right(world, said)
    check_sent_at_most_once(world)
    check_nothing_acknowledged_is_lost(world)
    check_no_verdict_is_false(world)


def check_live_means_right(world: World, said: Said) -> None:
    process = world.processes["trader"]
    if process is None:
        return
    assert isinstance(process.core, Trader)
    for ticker, follower in process.core.followers.items():
        if follower.live:
            at = follower.cursor
            truth = said.books[ticker, at.epoch, at.seq]
            found = tuple(
                tuple((int(p) // 10_000, int(c)) for p, c in follower.book.levels(side))
                for side in ("yes", "no")
            )
            assert found == truth, f"live and wrong on {ticker} at {at.seq}"


def check_sent_at_most_once(world: World) -> None:
    posts = world.exchange.posts
    assert len(posts) == len(set(posts)), "an order was sent twice"
    assert set(posts) <= set(world.orders)


def check_nothing_acknowledged_is_lost(world: World) -> None:
    for id, n in world.acknowledged.items():
        assert n >= 1
        assert len(world.disk.entries) >= n, f"{id} was acknowledged and is not there"
        assert world.disk.entries[n - 1].id == id, f"{id} is not entry {n}"
    assert [e.n for e in world.disk.entries] == list(range(1, len(world.disk.entries) + 1))


def check_no_verdict_is_false(world: World) -> None:
    """What was called final is so: in the ledger, and in what the trader was told."""
    there = {o["client_order_id"] for o in world.exchange.orders.values()}
    for order in world.disk.account().orders():
        if order.state in NEVER_THERE:
            assert order.client_order_id not in there, f"{order.client_order_id}: {order.state}"
    for id, answer in world.answers.items():
        assert (id in there) == (answer == "accepted"), f"{id} was called {answer}"


def check_liveness(world: World) -> None:
    """True from the moment the faults have stopped for long enough."""
    assert world.declared is not None
    system = world.declared.system
    assert system.healthy, f"not healthy: {system.reasons}"
    assert system.gate == "open", system.reasons
    trader = world.processes["trader"]
    assert trader is not None
    assert isinstance(trader.core, Trader)
    for ticker, follower in trader.core.followers.items():
        assert follower.live, f"lost on {ticker}"
    unknown = [o.client_order_id for o in world.disk.account().orders() if is_open(o.state)]
    assert not unknown, f"still unknown: {unknown}"
    assert set(world.answers) == set(world.orders), "an order was never answered"
    assert all(world.cancels.values()), "a cancel was never answered"


def is_open(state: str) -> bool:
    return state in ("intended", "unknown")


def check_convergence(world: World) -> None:
    """The ledger knows every order and fill that the exchange has, and no other."""
    account = world.disk.account()
    theirs = {(f["order_id"], f["trade_id"]): f["size"] for f in world.exchange.fills}
    ours = {(f.order_id, f.trade_id): int(f.count) for f in account.fills()}
    assert ours == theirs, "fills differ"
    states = {o["order_id"]: (o["status"], o["filled"]) for o in world.exchange.orders.values()}
    found = {o.order_id: (o.state, int(o.filled)) for o in account.orders() if o.order_id}
    assert found == states, "orders differ"
    for id, answer in world.cancels.items():
        rests = any(
            o["status"] == "resting"
            for o in world.exchange.orders.values()
            if o["client_order_id"] == id
        )
        assert not (rests and answer in ("canceled", "gone")), f"{id} was called {answer}"
