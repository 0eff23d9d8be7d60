"""What a simulated day is made of: a market that moves, orders, deaths, operators, strangers."""

import functools

from protocol.limits import BATCH_MAX, LEASE_S_MIN, MS, SECOND, SIGNATURE_WINDOW
from protocol.messages import AcquireTokens, Halt, Panic, PlaceOrder, Resume
from protocol.units import Count, Price
from tests.simulation.faults import JUMP_MAX
from tests.simulation.rates import TIERS
from tests.simulation.sockets import FOR_GOOD
from tests.simulation.trading import TICKERS
from tests.simulation.world import NAMES, World

BAD_DAY = 30 * SECOND
TRUTH = BAD_DAY + 40 * SECOND  # reads stop lying
HEALED = BAD_DAY + 75 * SECOND  # two listings after a lost request can no longer arrive
CLOSE = HEALED + 5 * SECOND  # the market goes quiet, and all that rests is canceled
END = CLOSE + 25 * SECOND
ORDERS_MAX = 70
RESTS = "good_till_canceled"
HOUR = 3_600_000_000  # microseconds


def later(world: World) -> int:
    """By how much the day's last times are later where the clock was set back.

    The time of an order that was in doubt by then may be ahead of the exchange's by so much, and
    nothing proves that it never was before that time.
    """
    return 2 * SIGNATURE_WINDOW if world.set_back else 0


def schedule_market(world: World) -> None:
    pace = world.dice.choice((100, 300, 2_000)) * MS
    when = 2 * SECOND
    while when < CLOSE:
        when += world.dice.randint(1, pace)
        world.at(when, world.exchange.move)
        if world.dice.random() < 0.05:
            world.at(when, world.exchange.trading.take)


def schedule_orders(world: World) -> None:
    spread = world.dice.choice((200 * MS, 2 * SECOND, BAD_DAY - 3 * SECOND))
    until = max(world.dice.choice((BAD_DAY, world.dice.randint(8, 30) * SECOND)), spread + SECOND)
    leased = world.dice.choice((0.0, 0.0, 0.5))
    for i in range(world.dice.randint(0, world.dice.choice((30, ORDERS_MAX)))):
        order = draw_order(world, f"c{i}", leased)
        when = until - world.dice.randint(1, spread)
        world.at(when, functools.partial(world.client.post, order))
        roll = world.dice.random()
        rests = order.time_in_force == RESTS
        if rests and roll < 0.3:
            schedule_amends(world, order, when)
        elif rests and roll < 0.6 and not order.lease_s:
            schedule_decreases(world, order, when)
        if world.dice.random() < 0.3:
            later = when + world.dice.randint(1, 10) * SECOND
            world.at(later, functools.partial(world.client.cancel, f"c{i}"))
    schedule_batches(world, until, spread, leased)


def draw_order(world: World, id: str, leased: float = 0.0) -> PlaceOrder:
    side, tif = world.dice.choice(
        (
            ("bid", "good_till_canceled"),
            ("bid", "immediate_or_cancel"),
            ("ask", "good_till_canceled"),
        )
    )
    cents = world.dice.choice((10, 20, 30, 55))
    if side == "ask":
        cents = 100 - cents
    price = Price(555_000 if cents in (45, 55) else cents * 10_000)  # that one is refused
    lease_s = LEASE_S_MIN if tif == RESTS and world.dice.random() < leased else 0
    ticker = world.dice.choice(TICKERS)
    return PlaceOrder(id, ticker, side, price, Count(1_000), tif, lease_s=lease_s)


def schedule_batches(world: World, until: int, spread: int, leased: float) -> None:
    """Several orders at once, and cancels of several, some of which nobody has sent."""
    for b in range(world.dice.choice((0, 0, 4, 8))):
        ids = [f"b{b}-{i}" for i in range(world.dice.choice((2, 3, 3, 6)))]
        when = until - world.dice.randint(1, spread)
        orders = [draw_order(world, id, leased) for id in ids]
        world.at(when, functools.partial(world.client.post_batch, orders))
        if world.dice.random() < 0.5:
            later = when + world.dice.randint(0, 6_000) * MS
            some = [id for id in ids if world.dice.random() < 0.8]
            world.at(later, functools.partial(world.client.cancel_batch, some))


def schedule_amends(world: World, order: PlaceOrder, since: int) -> None:
    """An order is given other terms, now and then, before the bad day is over."""
    id, prices = order.client_order_id, (10, 20, 30) if order.side == "bid" else (70, 80, 90)
    for _ in range(world.dice.randint(1, 4)):
        cents = world.dice.choice(prices)
        whole = world.dice.choice((300, 700, 1_000, 1_500, 2_500))
        when = min(since + world.dice.randint(100, 12_000) * MS, BAD_DAY)
        world.at(when, functools.partial(world.client.amend, id, cents, whole))


def schedule_decreases(world: World, order: PlaceOrder, since: int) -> None:
    """Less and less of an order shall rest."""
    for whole in (700, 300)[: world.dice.randint(1, 2)]:
        since = min(since + world.dice.randint(100, 6_000) * MS, BAD_DAY)
        world.at(since, functools.partial(world.client.decrease, order.client_order_id, whole))


def schedule_deaths(world: World) -> None:
    """At any moment, by a kill or because somebody asked."""
    for second in range(2, BAD_DAY // SECOND):
        for name in NAMES:
            alone = world.faults.crash_gateway if name == "gateway" else 0.0
            crash = world.faults.crash + alone
            for chance, end in ((crash, world.crash), (world.faults.stop, world.stop)):
                if world.dice.random() < chance:
                    when = second * SECOND + world.dice.randint(0, SECOND - 1)
                    world.at(when, functools.partial(end, name))


def schedule_outside(world: World) -> None:
    """What others do: each kind of it on some days."""
    for what in (strangers, money, operators, programs):
        if world.dice.random() < 0.5:
            what(world)
    clocks(world)
    tiers(world)


def strangers(world: World) -> None:
    """Orders of the account that are not ours."""
    for number in range(world.dice.randint(1, 6)):
        terms = {
            "side": world.dice.choice(("bid", "ask")), "cents": world.dice.choice((40, 60)),
            "whole": 500, "time_in_force": "good_till_canceled", "external": True,
        }  # fmt: skip
        id = world.dice.choice(("", f"x{number}"))
        ticker = world.dice.choice(TICKERS)
        make = functools.partial(world.exchange.trading.create, id, ticker, terms)
        world.at(world.dice.randint(2 * SECOND, CLOSE), make)
        world.happened["a stranger's order"] += 1
    for _ in range(world.dice.choice((0, 3))):
        world.at(world.dice.randint(5 * SECOND, BAD_DAY), world.exchange.trading.amend)


def money(world: World) -> None:
    """A market is settled, money comes and goes."""
    dice, trading = world.dice, world.exchange.trading
    if dice.random() < 0.7:
        when = dice.randint(10 * SECOND, BAD_DAY + 20 * SECOND)
        world.at(when, functools.partial(trading.settle, dice.choice(TICKERS)))
    for _ in range(dice.randint(0, 2)):
        kind, cents = dice.choice(("deposits", "withdrawals")), dice.randint(1, 100_000)
        when = dice.randint(2 * SECOND, BAD_DAY + 20 * SECOND)
        world.at(when, functools.partial(trading.transfer, kind, cents))


def operators(world: World) -> None:
    """Somebody stops trading and resumes it, again and again."""
    operator, dice = world.operator, world.dice
    when = dice.randint(3, 20) * SECOND
    panics = dice.random() < 0.5
    while when < BAD_DAY - SECOND:
        roll = dice.random()
        if roll < 0.3:
            world.at(when, functools.partial(operator.write_latch, panics and roll < 0.15))
        else:
            wish = Panic("operator: fire") if panics and roll < 0.6 else Halt("operator: stop")
            world.at(when, functools.partial(operator.ask, wish))
        when += dice.randint(500, 8_000) * MS
        if dice.random() < 0.8:
            world.at(when, functools.partial(operator.ask, Resume("operator: go on")))
        when += dice.randint(500, 8_000) * MS
    world.at(BAD_DAY, functools.partial(operator.ask, Resume("operator: go on")))
    if panics and dice.random() < 0.5:  # in the quiet, and without a resume: it comes to its end
        world.at(BAD_DAY + 2 * SECOND, world.client.give_up)
        world.at(BAD_DAY + 2 * SECOND, functools.partial(operator.ask, Panic("operator: fire")))
        resume = Resume("operator: over")
        world.at(BAD_DAY + 42 * SECOND, functools.partial(operator.ask, resume))


def programs(world: World) -> None:
    """A program that makes calls of its own, with tokens that it borrows."""
    when, pace = 2 * SECOND, world.dice.choice((200, 1_000)) * MS
    burst = world.dice.choice((0, 8))
    while when < BAD_DAY:
        when += world.dice.randint(1, pace)
        budget, shard = world.dice.choice((("read", 0), ("write", 0), ("write", 2)))
        tokens = world.dice.choice((2, 10, 30))
        wanted = AcquireTokens(budget, tokens, shard, world.dice.choice((0, 500)))
        world.at(when, functools.partial(world.program.ask, wanted))
        if burst and world.dice.random() < 0.1:
            for _ in range(burst):
                wanted = AcquireTokens("read", 100, 0, 500)
                world.at(when, functools.partial(world.program.ask, wanted))


def clocks(world: World) -> None:
    """The host's wall clock jumps by an hour, and back again."""

    def jump(by: int) -> None:
        world.set_back |= by < world.wrong_by
        world.wrong_by = by
        world.happened["the clock jumped"] += 1

    for second in range(2, BAD_DAY // SECOND):
        if world.dice.random() < world.faults.clock_jumps:
            when = second * SECOND + world.dice.randint(0, SECOND - 1)
            end = min(when + world.dice.randint(1, JUMP_MAX), BAD_DAY)
            world.at(when, functools.partial(jump, world.dice.choice((-HOUR, HOUR))))
            world.at(end, functools.partial(jump, 0))


def tiers(world: World) -> None:
    """The account's limits change."""
    for second in range(2, BAD_DAY // SECOND):
        if world.dice.random() < world.faults.tier_changes:
            tier, early = world.dice.randrange(len(TIERS)), world.dice.random() < 0.4
            change = functools.partial(world.exchange.rates.change, tier, early)
            world.at(second * SECOND + world.dice.randint(0, SECOND - 1), change)


def schedule_stream(world: World) -> None:
    """What befalls market data; and markets are created."""
    feed, faults, dice = world.exchange.feed, world.faults, world.dice
    kinds = (
        (faults.falls_silent, feed.fall_silent), (faults.sid_ends, feed.end),
        (faults.sid_fails, feed.fail), (faults.counts_anew, feed.count_anew),
        (faults.snapshot_again, feed.say_again), (faults.lies, feed.lie),
        (faults.black_hole, functools.partial(swallow, world)),
        (faults.stream_stops, lambda: world.freeze("stream", dice.choice((1, 3, 10)) * SECOND)),
        (faults.late, functools.partial(delay, world, faults.late_by)),
    )  # fmt: skip
    for second in range(2, BAD_DAY // SECOND):
        for chance, what in kinds:
            if dice.random() < chance:
                world.at(second * SECOND + dice.randint(0, SECOND - 1), what)
    for number in range(dice.choice((0, 0, 1, 2))):
        make = functools.partial(world.exchange.open_market, f"KXFOG-{number}")
        world.at(dice.randint(2 * SECOND, BAD_DAY + 20 * SECOND), make)


def swallow(world: World) -> None:
    links = world.sockets.links
    if links:
        lasts = world.dice.choice((SECOND, 3 * SECOND, 19 * SECOND, FOR_GOOD))
        world.sockets.swallow(world.dice.choice(links), lasts)


def delay(world: World, most: int) -> None:
    links = world.sockets.links
    if links:
        by, lasts = world.dice.randint(100 * MS, most), world.dice.randint(1, 6) * SECOND
        world.sockets.slow_down(world.dice.choice(links), by, lasts)


def close(world: World) -> None:
    """Everything that rests is canceled, each by whose it is; then the account is read anew."""
    trading = world.exchange.trading
    ours = []
    for order in trading.resting():
        if order["external"]:
            trading.cancel(order["order_id"])
        else:
            ours.append(order["client_order_id"])
    if world.dice.random() < 0.5:
        world.client.cancel_batch(ours[:BATCH_MAX])
    for id in ours:
        world.client.cancel(id)
    world.at(world.now + 3 * SECOND, functools.partial(world.sockets.drop, "private"))
