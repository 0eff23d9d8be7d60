"""What must hold, whatever the seed.

Safety is checked all along, not only at the end: a copy that was wrong for ten seconds and was
then replaced by a fresh snapshot looks perfect at the end.
"""

from typing import Any

from protocol.book import Book
from protocol.facts import CashDiffers, PositionDiffers, Settled
from protocol.messages import BookDelta, BookLost, BookSnapshot
from tests.simulation.client import Trader
from tests.simulation.promises import Budget, Kill, Promise, Strangers, WireOnce
from tests.simulation.trading import TICKERS
from tests.simulation.truth import Truth, check_proved
from tests.simulation.world import World

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
        for envelope in world.bus.published[self._read :]:
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
        self._read = len(world.bus.published)

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


class Watch:
    """Follows one world, from its first moment on: each death of the writer is looked at."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.said = Said()
        self.truth = Truth()
        self.kill = Kill()
        self.promises: tuple[Promise, ...] = (WireOnce(), Budget(), self.kill, Strangers())
        self._read = 0
        world.on_death = self._died

    def _died(self, name: str) -> None:
        """A commit that was torn by a death is there with all that follows from it, or not."""
        if name == "writer":
            self.truth.follow(self._world.disk)
            check_proved(self._world.disk)

    def check_safety(self) -> None:
        """True at every moment, in any weather."""
        world, truth = self._world, self.truth
        self.said.follow(world)
        check_live_means_right(world, self.said)
        for event in world.events[self._read :]:
            for promise in self.promises:
                promise.take(event)
        self._read = len(world.events)
        self.kill.check({o["client_order_id"] for o in world.exchange.trading.resting()} - {""})
        truth.follow(world.disk)
        truth.check_published(world)
        truth.check_acknowledged(world)
        truth.check_copies(world)
        check_no_verdict_is_false(world, truth)


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


def check_halted_by_operators_only(world: World) -> None:
    """Nobody else halts trading while every fact can be booked and the ledger is whole."""
    halt = world.disk.halt
    assert not halt or halt.startswith("operator"), f"halted: {halt}"


def check_no_verdict_is_false(world: World, truth: Truth) -> None:
    """What was called final is so: in the ledger, and in what the trader was told."""
    there = {o["client_order_id"] for o in world.exchange.trading.orders.values()}
    check_states({o.client_order_id: o.state for o in truth.account.orders()}, there)
    for id, answer in world.client.answers.items():
        assert (id in there) == (answer == "accepted"), f"{id} was called {answer}"
    resting = {o["client_order_id"] for o in world.exchange.trading.resting()}
    for id, answer in world.client.cancels.items():
        gone = answer in ("canceled", "gone")
        assert not (gone and id in resting), f"the cancel of {id} was called {answer}, and it rests"
    for order in truth.account.orders():
        ours = order.client_order_id in world.client.orders
        assert ours or not order.body_hash, f"{order.order_id} was adopted"


def check_states(states: dict[str, str], there: set[str]) -> None:
    """No order that is there is called one that never was."""
    for id, state in states.items():
        assert not (state in NEVER_THERE and id in there), f"{id}: {state}"


def check_liveness(world: World, truth: Truth) -> None:
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
    unknown = [o.client_order_id for o in truth.account.orders() if is_open(o.state)]
    assert not unknown, f"still unknown: {unknown}"
    missing = world.client.orders.keys() - world.client.answers.keys() - world.client.given_up
    assert not missing, f"never answered: {missing}"
    assert all(world.client.cancels.values()), "a cancel was never answered"


def is_open(state: str) -> bool:
    return state in ("intended", "unknown")


def check_convergence(world: World, truth: Truth) -> None:
    """The ledger knows every order, fill and payment that the exchange has, and no other."""
    trading, account = world.exchange.trading, truth.account
    theirs = {(f["order_id"], f["trade_id"]): f["size"] for f in trading.fills}
    ours = {(f.order_id, f.trade_id): int(f.count) for f in account.fills()}
    assert ours == theirs, "fills differ"
    states = {o["order_id"]: (o["status"], o["filled"]) for o in trading.orders.values()}
    found = {o.order_id: (o.state, int(o.filled)) for o in account.orders() if o.order_id}
    for order in trading.orders.values():  # a stranger's may be archived before we look
        if order["external"] and world.faults.archive_after:
            found.setdefault(order["order_id"], states[order["order_id"]])
    assert found == states, "orders differ"
    held = {ticker: past.last for ticker, past in trading.held.items() if past.last}
    assert {p.ticker: int(p.position) for p in account.positions() if p.position} == held
    paid = {f.ticker for e in truth.entries if isinstance(f := e.fact, Settled)}
    assert paid == {s["ticker"] for s in trading.settlements}, "settlements differ"


def check_money(world: World, truth: Truth) -> None:
    """Once nothing rests, the ledger explains the cash to the micro-dollar."""
    trading, account = world.exchange.trading, truth.account
    assert not trading.resting()
    assert account.expected_cash() == trading.cash.last, "the cash differs"
    assert [int(b.balance) for b in account.balances()] == [trading.cash.last], "balances differ"
    differs = [e.fact for e in truth.entries if isinstance(e.fact, PositionDiffers | CashDiffers)]
    assert {fact.cause for fact in differs} <= {"opened"}, f"not explained: {differs}"


def check_halted_for_money(world: World) -> None:
    """What could not be booked is on record once, and trading is halted for it."""
    aside = world.disk.select("SELECT k, money FROM poison")
    assert aside == [(1, 1)], f"set aside: {aside}"
    assert world.disk.halt, "nobody has halted trading"
    told = world.disk.select("SELECT value FROM meta WHERE key = 'told'")
    assert told == [("1",)], f"on record as told: {told}"


def check_halted_for_a_position(world: World, truth: Truth, ticker: str) -> None:
    """The exchange shows what nothing explains: that is on record, and trading is halted for it."""
    differs = [e.fact for e in truth.entries if isinstance(e.fact, PositionDiffers)]
    found = [(fact.ticker, fact.cause) for fact in differs]
    assert found == [(ticker, "unexplained")], f"on record of the positions: {found}"
    assert world.disk.halt.startswith(ticker), f"halted: {world.disk.halt or 'nobody has'}"


def check_what_can_be_is_booked(world: World, truth: Truth, fee: str) -> None:
    """Every fill but the one with this fee is in the ledger."""
    theirs = {
        f"fill:{f['order_id']}:{f['trade_id']}"
        for f in world.exchange.trading.fills
        if f["fee"] != fee
    }
    ours = {id for id in truth.numbers if id.startswith("fill:")}
    assert ours == theirs, "fills differ"
