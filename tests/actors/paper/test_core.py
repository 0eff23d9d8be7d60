"""The pure parts behind the sockets: buffers, faults, budgets, the made-up public, expiry."""

import json
import random
from typing import Any

import msgspec

from actors.paper.account import Account
from actors.paper.answers import Refused
from actors.paper.bucket import Bucket
from actors.paper.core import Core
from actors.paper.exchange import Exchange
from actors.paper.faults import Faults
from actors.paper.fixed import SECOND
from actors.paper.intake import read_order
from actors.paper.matching import Side
from actors.paper.outbox import FRAMES_MAX
from actors.paper.session import Session
from actors.paper.synthetic import Synthetic
from actors.paper.wire import Answered, WireLog

TICK = 10_000_000  # ns


def day(seed: int, seconds: int = 20) -> tuple[Core, list[bytes]]:
    """A core and all that one subscriber of everything hears while the time goes by."""
    feed = Synthetic(seed, 1.0)
    exchange = Exchange(feed.markets(0), Account(), random.Random(seed))
    feed.open(exchange)
    exchange.drain()
    core = Core(exchange, feed, 1.0)
    session = core.connect()
    assert session is not None
    params = {
        "channels": ["orderbook_delta", "trade", "ticker"],
        "market_tickers": list(exchange.markets),
    }
    session.command(json.dumps({"id": 1, "cmd": "subscribe", "params": params}), 0)
    for step in range(1, seconds * 100):
        core.tick(step * TICK, step * TICK // 1_000)
    return core, session.outbox.take(1_000_000)


def test_a_seed_is_a_day() -> None:
    _, first = day(1)
    assert first == day(1)[1]
    assert first != day(2)[1]


def test_the_load_is_realistic_and_no_book_is_crossed_or_thin() -> None:
    core, heard = day(3, seconds=60)
    frames = [json.loads(frame) for frame in heard]
    rate = len(frames) / 60
    assert 80 < rate < 180, rate
    kinds = {frame["type"] for frame in frames}
    assert kinds == {"subscribed", "orderbook_snapshot", "orderbook_delta", "trade", "ticker"}
    for market in core.exchange.markets.values():
        bid, _, ask, _ = market.top()
        assert bid is not None and ask is not None and bid < ask
    by_market: dict[str, int] = {}
    for frame in frames:
        ticker = frame["msg"].get("market_ticker", "")
        by_market[ticker] = by_market.get(ticker, 0) + 1
    assert max(by_market.values()) > 20 * min(by_market.values())


def test_a_full_buffer_ends_the_subscription_with_error_25() -> None:
    core, _ = day(1, seconds=1)
    session = core.connect()
    assert session is not None
    ticker = next(iter(core.exchange.markets))
    command: dict[str, Any] = {"cmd": "subscribe", "id": 1}
    command["params"] = {"channels": ["orderbook_delta"], "market_ticker": ticker}
    session.command(json.dumps(command), 0)
    subscription = session.by_channel["orderbook_delta"]
    while "orderbook_delta" in session.by_channel:
        session.push(subscription, b"{}", 0)
    last = json.loads(session.outbox.ready[-1])
    assert (last["type"], last["sid"], last["msg"]["code"]) == ("error", 1, 25)
    assert len(session.outbox) == FRAMES_MAX + 1
    assert not session.outbox.overrun


def test_one_who_asks_and_never_reads_is_overrun() -> None:
    session = Session({}, Faults())
    while not session.outbox.overrun:
        session.command('{"id":1,"cmd":"list_subscriptions"}', 0)


def test_an_order_expires_at_its_time() -> None:
    core, _ = day(1, seconds=1)
    ticker = next(iter(core.exchange.markets))
    body = {
        "ticker": ticker, "side": "bid", "count": "1.00", "price": "0.0100",
        "time_in_force": "good_till_canceled", "self_trade_prevention_type": "maker",
        "expiration_time": 100,
    }  # fmt: skip
    core.exchange.create(read_order(json.dumps(body).encode(), 5 * SECOND), 5 * SECOND)
    core.tick(99 * 10**9, 99 * SECOND)
    assert len(core.exchange.account.resting()) == 1
    core.tick(100 * 10**9, 100 * SECOND)
    (order,) = core.exchange.account.orders.values()
    assert (order.status, order.reason) == ("canceled", "ExpiryCancel")


def test_the_public_levels_include_our_resting_order() -> None:
    core, _ = day(1, seconds=1)
    market = next(iter(core.exchange.markets.values()))
    before = dict(market.book.shown(Side.BID))
    body = {
        "ticker": market.ticker, "side": "bid", "count": "1.50", "price": "0.0100",
        "time_in_force": "good_till_canceled", "self_trade_prevention_type": "maker",
    }  # fmt: skip
    core.exchange.create(read_order(json.dumps(body).encode(), 0), 0)
    assert market.book.shown(Side.BID)[10_000] == before.get(10_000, 0) + 150


def test_bodies_are_read_as_strictly_as_go_reads_them() -> None:
    for body, status, words in (
        (b"", 400, "invalid JSON"),
        (b'{"post_only":"yes"}', 400, "unmarshal string into Go struct field"),
        (b'{"expiration_time":1.5}', 400, "of type int64"),
        (b"[]", 400, "unmarshal array into Go value"),
        (b'{"ticker":NaN}', 400, "invalid JSON"),
        (b"[" * 100_000, 400, "invalid JSON"),
        (b'{"client_order_id":"\\ud800"}', 400, "invalid JSON"),
        (b'{"ticker":"A"}', 400, "CreateOrderV2Request.Side"),
        (b'{"ticker":"A","side":"buy"}', 400, "'oneof' tag"),
    ):
        try:
            read_order(body, 0)
        except Refused as e:
            assert e.answer.status == status
            assert words in json.dumps(e.answer.body)
        else:
            raise AssertionError(body)


def test_a_bucket_counts_to_the_microsecond() -> None:
    bucket = Bucket(refill=300, capacity=600)
    assert bucket.draw(600, 1_000_000)
    assert not bucket.draw(1, 1_003_333)
    assert bucket.draw(1, 1_003_334)
    assert not bucket.draw(1, 500_000)  # the clock went back: nothing is refilled
    assert bucket.draw(600, 10_000_000)


def test_the_wire_log_shows_what_was_never_answered() -> None:
    log = WireLog()
    for name in ("a", "b"):
        log.apply(log.receive("POST", "/orders", None, json.dumps({"client_order_id": name}), 5))
    log.apply(Answered(2, 201, '{"order_id":"x"}'))
    first, second = log.shown()
    assert (first["client_order_id"], first["status"], first["answer"]) == ("a", None, None)
    assert (second["order_id"], second["status"]) == ("x", 201)


def test_the_wire_log_can_always_be_shown() -> None:
    log = WireLog()
    odd = ("no json", "9" * 400, '{"a":"\\ud800xx"}', "[" * 100_000, '{"client_order_id":5}')
    for body in (
        *odd,
        '{"orders":5}',
        '{"orders":[5,{"client_order_id":5},{"client_order_id":"a"}]}',
    ):
        log.apply(log.receive("POST", "/orders", None, body, 5))
    assert msgspec.json.encode(log.shown())
    assert [row["client_order_ids"] for row in log.shown()][-3:] == [[], [], ["a"]]
