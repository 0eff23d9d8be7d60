"""What must hold, whatever the seed.

Safety is checked all along, not only at the end: a copy that was wrong for ten seconds and was
then replaced by a fresh snapshot looks perfect at the end.
"""

from protocol.facts import CashDiffers, PositionDiffers, Settled
from protocol.limits import SECOND, US
from tests.simulation.promises import (
    Budget,
    Exposure,
    Kill,
    Lease,
    Promise,
    Strangers,
    WireOnce,
)
from tests.simulation.promises_of_data import NOTICED_WITHIN, Book, Fresh, Subscriber
from tests.simulation.readers import QUEUE_MAX
from tests.simulation.said import desk_holds, follower_holds, state_of
from tests.simulation.taps import check_recorded
from tests.simulation.truth import Truth, check_proved
from tests.simulation.world import World

TAPPED_WITHIN = 5 * SECOND  # what was said so long ago has been written down
NEVER_THERE = ("rejected", "denied", "withdrawn", "absent")


class Watch:
    """Follows one world, from its first moment on: each death of the writer is looked at."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.truth = Truth()
        slow = world.faults.bus_delay_max
        later = {"trader": slow, "attached": QUEUE_MAX * world.faults.slow_pace}
        self.book = Book()
        self.fresh = Fresh({who: NOTICED_WITHIN + by for who, by in later.items()})
        self.data = (self.book, self.fresh, Subscriber(later))
        self.kill = Kill()
        self.promises: tuple[Promise, ...] = (
            WireOnce(), Budget(), self.kill, Strangers(), Lease(), Exposure(world.limits),
        )  # fmt: skip
        self._read = self._looked = 0
        world.on_death = self._died

    def _died(self, name: str) -> None:
        """A commit that was torn by a death is there with all that follows from it, or not."""
        if name == "writer":
            self.truth.follow(self._world.disk)
            check_proved(self._world.disk)

    def check_data(self) -> None:
        """What is said and held of market data."""
        look_at_books(self._world)
        for promise in self.data:
            name = type(promise).__name__.lower()
            for moment in self._world.moments[self._looked :]:
                try:
                    promise.take(moment)
                except AssertionError as e:
                    raise AssertionError(f"{name}: {e}") from e
        self._looked = len(self._world.moments)

    def check_safety(self) -> None:
        """True at every moment, in any weather."""
        world, truth = self._world, self.truth
        self.check_data()
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


def look_at_books(world: World) -> None:
    """What each reader has in hand is written down."""
    for ticker in world.exchange.markets.tickers:
        answer = world.desk.read(ticker)
        if answer is not None:
            desk_holds(world, answer)
    for who, reader in (("trader", world.trader), ("attached", world.attached)):
        if reader is not None:
            for follower in reader.followers.values():
                follower_holds(world, who, follower)


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
    done = world.exchange.amending.done
    for id, answer in world.client.amended.items():
        right = answer == "over" or (id in done) == (answer == "accepted")
        assert right, f"the amend {id} was called {answer}"
    resting = {o["client_order_id"] for o in world.exchange.trading.resting()}
    for id, answer in world.client.cancels.items():
        gone = answer in ("canceled", "gone")
        assert not (gone and id in resting), f"the cancel of {id} was called {answer}, and it rests"
    amended = {key.partition(" ")[0] for key in world.client.amends}
    amended |= world.exchange.trading.by_hand
    for order in world.exchange.trading.resting():
        id, left = order["client_order_id"], order["whole"] - order["filled"]
        most = left if id in amended else world.client.decreased.get(id, left)
        assert left <= most, f"{id} was called decreased to {most}, and {left} rest"
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
    check_all_live(world)
    unknown = [o.client_order_id for o in truth.account.orders() if is_open(o.state)]
    assert not unknown, f"still unknown: {unknown}"
    missing = world.client.orders.keys() - world.client.answers.keys() - world.client.given_up
    assert not missing, f"never answered: {missing}"
    assert all(world.client.cancels.values()), "a cancel was never answered"
    amending = [o.client_order_id for o in truth.account.open.amending.values()]
    assert not amending, f"amends still unknown: {amending}"
    missing = world.client.amends.keys() - world.client.amended.keys()
    assert not missing, f"amends never answered: {missing}"


def check_all_live(world: World) -> None:
    """The books of all markets, at the stream and with all who follow it."""
    assert world.trader is not None
    for ticker in world.exchange.markets.tickers:
        answer = world.desk.read(ticker)
        assert answer is not None
        assert answer.state == "live", f"{ticker} is {answer.state}: {answer.reason}"
        for who, reader in (("trader", world.trader), ("attached", world.attached)):
            state = state_of(reader.followers[ticker])
            assert state == "live", f"{who} is {state} on {ticker}"


def check_books_meet(world: World, book: Book) -> None:
    """Everybody has the exchange's own."""
    look_at_books(world)
    for who in ("desk", "trader", "attached"):
        moments = world.moments[-4 * len(book.versions) :]
        held = {m.ticker: m.levels for m in moments if m.what == "holds" and m.who == who}
        book.check_end(held)


def check_taps(world: World, watch: Watch) -> None:
    """Those who only listen know what they have missed."""
    if world.verifier is not None:
        world.verifier.tell()
        watch.check_data()
    if world.recording is not None and not world.clock_jumps and not world.wrong_by:
        until = world.wall - TAPPED_WITHIN // US
        said = [e for e in world.bus.published if world.recording.was_there(e)]
        check_recorded(said, world.recording.lines, until)


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


def check_resting(world: World, truth: Truth) -> None:
    """What rests is on record as it rests, whoever has amended it; but what changed just now."""
    open_now = {o.order_id: o for o in truth.account.open_orders()}
    for order in world.exchange.trading.resting():
        if order["past"].changed_at > world.now - 5 * SECOND:
            continue
        ours = open_now.get(order["order_id"])
        assert ours is not None, f"{order['order_id']} rests, and is not on record"
        theirs = order["cents"] * 10_000, order["whole"] - order["filled"]
        assert (int(ours.price), int(ours.remaining)) == theirs, f"{ours} rests as {theirs}"


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
