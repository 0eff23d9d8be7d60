"""The exchange's frames: what they mean, and that nothing from outside breaks the decoder."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.errors import RemoteProtocolError
from protocol.kalshi import commands, frames, meaning
from protocol.kalshi.frames import (
    ComboLifeFrame,
    DeltaFrame,
    ErrorFrame,
    EventFrame,
    FeeFrame,
    FillFrame,
    Glance,
    GroupFrame,
    LifeFrame,
    OkFrame,
    PositionFrame,
    SnapshotFrame,
    SubscribedFrame,
    TradeFrame,
    UnsubscribedFrame,
    UserOrderFrame,
)
from protocol.units import Count, Price

DELTA = {
    "market_ticker": "KXA-1",
    "market_id": "uuid",
    "price_dollars": "0.9600",
    "delta_fp": "-54.00",
    "side": "yes",
    "ts": "2022-11-22T20:44:01Z",
    "ts_ms": 1669149841000,
}
ORDER = {
    "order_id": "o1",
    "ticker": "KXA-1",
    "status": "resting",
    "yes_price_dollars": "0.3500",
    "fill_count_fp": "0.00",
    "remaining_count_fp": "10.00",
    "initial_count_fp": "10.00",
    "book_side": "bid",
    "created_time": "2024-12-01T10:00:00Z",
}
FILL = {
    "trade_id": "t1",
    "order_id": "o1",
    "market_ticker": "KXA-1",
    "yes_price_dollars": "0.3500",
    "count_fp": "1.00",
    "fee_cost": "0.017500",
    "is_taker": True,
    "ts_ms": 5,
}
TRADE = {
    "trade_id": "t1",
    "market_ticker": "KXA-1",
    "yes_price_dollars": "0.3500",
    "count_fp": "1.00",
}


POSITION = {"market_ticker": "KXA-1", "position_fp": "1.00", "position_cost_dollars": "0.4"}
EVENT = {"event_ticker": "KXE-1", "title": "T", "fee_multiplier_override": 0.5}
LIFE = {"market_ticker": "KXA-1", "event_type": "created"}


def wire(type: str, msg: Any = None, **more: Any) -> bytes:
    return json.dumps({"type": type, "sid": 1, "seq": 2, "msg": msg} | more).encode()


def delta(**changed: Any) -> bytes:
    return wire("orderbook_delta", DELTA | changed)


def test_a_delta_is_a_signed_change_of_one_level() -> None:
    frame = frames.decode(delta())
    assert isinstance(frame, DeltaFrame)
    assert (frame.sid, frame.seq, frame.msg.side) == (1, 2, "yes")
    assert (frame.msg.price_dollars, frame.msg.delta_fp) == (Price(960_000), Count(-5_400))
    assert meaning.book_delta(frame.msg, 7).exchange_at == 1_669_149_841_000_000


def test_the_key_of_an_empty_side_is_absent() -> None:
    msg = {"market_ticker": "KXA-1", "no_dollars_fp": [["0.5400", "20.00"]]}
    frame = frames.decode(wire("orderbook_snapshot", msg, id=5))
    assert isinstance(frame, SnapshotFrame)
    assert (frame.msg.yes_dollars_fp, frame.id) == (None, 5)
    assert frame.msg.no_dollars_fp == ((Price(540_000), Count(2_000)),)


@pytest.mark.parametrize(
    ("raw", "kind"),
    [
        (b'{"id":1,"type":"subscribed","msg":{"channel":"trade","sid":1}}', SubscribedFrame),
        (b'{"id":123,"sid":456,"seq":222,"type":"ok","msg":{"market_tickers":["A"]}}', OkFrame),
        (b'{"id":3,"type":"ok","msg":[{"channel":"orderbook_delta","sid":1}]}', OkFrame),
        (b'{"id":102,"sid":2,"seq":7,"type":"unsubscribed"}', UnsubscribedFrame),
        (b'{"id":1,"type":"error","msg":{"code":7,"msg":"Unknown subscription ID"}}', ErrorFrame),
        (wire("trade", TRADE), TradeFrame),
        (wire("fill", FILL), FillFrame),
        (wire("user_order", ORDER), UserOrderFrame),
        (wire("market_position", {"market_ticker": "A", "position_fp": "1.00"}), PositionFrame),
        (wire("order_group_updates", {"event_type": "x", "order_group_id": "g"}), GroupFrame),
        (wire("market_lifecycle_v2", LIFE), LifeFrame),
        (wire("multivariate_market_lifecycle", LIFE), ComboLifeFrame),
        (wire("event_lifecycle", {"event_ticker": "E"}), EventFrame),
        (wire("event_fee_update", {"event_ticker": "E"}), FeeFrame),
        (b'{"type":"rfq_created","sid":3,"seq":4,"msg":{"a":[1]}}', Glance),
        (b'{"type":"","msg":null,"sending_ts_ms":5}', Glance),
    ],
)
def test_each_type_has_its_shape(raw: bytes, kind: type) -> None:
    assert type(frames.decode(raw)) is kind


def test_of_an_unknown_type_the_outside_is_read() -> None:
    raw = b'{"type":"pyth_value","sid":3,"seq":4,"msg":{"price":1.5}}'
    assert frames.decode(raw) == Glance("pyth_value", None, 3, 4)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b'{"type":5}',
        b"\xff\xfe",
        b'{"type":"ok","id":"one"}',
        b'{"type":"ok","id":"1.5"}',
        b'{"type":"ok","id":-1}',
        b'{"type":"ok","id":1e400}',
        b'{"type":"new","msg":' + b"[" * 100_000,
        b'{"type":"ok","msg":' + b'{"a":' * 100_000,
        b'{"type":"new\xff"}',
        wire("fill", FILL | {"trade_id": "?"}).replace(b"?", b"\xff"),
        b'{"type":"new","sid":99999999999999999999999}',
        delta(price_dollars=1e-7),
        delta(price_dollars=True),
        delta(price_dollars=None),
        delta(price_dollars=-0.96),
        delta(price_dollars=0.1 + 0.2),
        delta(price_dollars="NaN"),
        delta(price_dollars="1e-1"),
        delta(price_dollars="٠.٥"),
        delta(delta_fp=-54.123),
        delta(delta_fp=2**63),
        delta(delta_fp=[1]),
        delta(delta_fp=float("nan")),
        delta(delta_fp="1.234"),
        delta(side="maybe"),
        delta(ts_ms=2**60),
        delta(ts_ms=1.5),
        wire("orderbook_delta", None),
        b'{"type":"orderbook_delta","sid":1,"msg":' + json.dumps(DELTA).encode() + b"}",
        wire("orderbook_snapshot", {"market_ticker": "A", "yes_dollars_fp": [["0.1"]]}),
        wire("fill", FILL | {"trade_id": ""}),
        wire("fill", FILL | {"is_taker": "perhaps"}),
        wire("market_lifecycle_v2", {"a": [1]}),
        wire("market_lifecycle_v2", LIFE | {"open_ts": 2**60}),
        wire("order_group_updates", {"event_type": "", "order_group_id": "g"}),
    ],
)
def test_what_does_not_fit_is_the_exchanges_error(raw: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        frames.decode(raw)


@pytest.mark.parametrize(
    ("raw", "as_well"),
    [
        (delta(price_dollars=0.96), delta(price_dollars="0.96")),
        (delta(price_dollars=0.0001), delta(price_dollars="0.0001")),
        (delta(delta_fp=-54), delta(delta_fp="-54")),
        (delta(delta_fp=-54.5), delta(delta_fp="-54.50")),
        (delta(ts_ms="1669149841000"), delta()),
        (wire("orderbook_delta", DELTA, sid="1", seq="2"), delta()),
        (b'{"type":"ok","id":"1"}', b'{"type":"ok","id":1}'),
        (wire("fill", FILL | {"fee_cost": 0.0175}), wire("fill", FILL | {"fee_cost": "0.0175"})),
        (wire("fill", FILL | {"is_taker": "true"}), wire("fill", FILL)),
        (
            wire("orderbook_snapshot", {"market_ticker": "A", "yes_dollars_fp": [[0.47, 3]]}),
            wire("orderbook_snapshot", {"market_ticker": "A", "yes_dollars_fp": [["0.47", "3"]]}),
        ),
        (
            wire("market_lifecycle_v2", LIFE | {"open_ts": "5", "settlement_value": 1}),
            wire("market_lifecycle_v2", LIFE | {"open_ts": 5, "settlement_value": "1"}),
        ),
    ],
)
def test_numbers_as_strings_and_strings_as_numbers_are_read_by_their_digits(
    raw: bytes, as_well: bytes
) -> None:
    assert frames.decode(raw) == frames.decode(as_well)


@given(st.integers(1, 9_999), st.integers(-(10**9), 10**9).filter(bool))
def test_by_their_digits_means_exactly(price: int, count: int) -> None:
    """A float's shortest digits are those that were written."""
    frame = frames.decode(delta(price_dollars=price / 10_000, delta_fp=count / 100))
    assert isinstance(frame, DeltaFrame)
    assert (frame.msg.price_dollars, frame.msg.delta_fp) == (price * 100, count)


def test_the_outside_of_a_malformed_frame_can_still_be_read() -> None:
    assert frames.glance(delta(side=1)) == Glance("orderbook_delta", None, 1, 2)


# Meaning


@pytest.mark.parametrize(
    ("said", "side"),
    [
        ({"book_side": "ask", "outcome_side": "no"}, "ask"),
        ({"book_side": "bid"}, "bid"),
        ({"outcome_side": "yes"}, "bid"),
        ({"outcome_side": "no"}, "ask"),
    ],
)
def test_the_side_of_a_fill(said: dict[str, str], side: str) -> None:
    frame = frames.decode(wire("fill", FILL | said))
    assert isinstance(frame, FillFrame)
    fact = meaning.fill(frame.msg)
    assert (fact.side, fact.exchange_at, int(fact.fee)) == (side, 5_000, 17_500)


@pytest.mark.parametrize(
    ("said", "updated"),
    [
        ({}, 1_733_047_200_000),
        ({"created_ts_ms": 1_733_047_200_001}, 1_733_047_200_001),
        ({"last_updated_ts_ms": 5, "last_update_time": "2026-01-01T00:00:00Z"}, 5),
        ({"last_update_time": "2026-06-11T06:31:29.957981Z"}, 1_781_159_489_957),
        ({"last_update_time": "2026-06-11T06:31:29.95Z"}, 1_781_159_489_950),
        ({"last_update_time": "2026-06-11T08:31:29+02:00"}, 1_781_159_489_000),
        ({"last_update_time": "", "last_updated_ts_ms": None}, 1_733_047_200_000),
    ],
)
def test_when_an_order_was_updated_in_whole_milliseconds(
    said: dict[str, Any], updated: int
) -> None:
    frame = frames.decode(wire("user_order", ORDER | said))
    assert isinstance(frame, UserOrderFrame)
    seen = meaning.order_seen(frame.msg)
    assert seen is not None and seen.updated_at == updated


def test_the_side_of_an_order_and_a_status_that_is_none() -> None:
    for said, side in (({"outcome_side": "no"}, "ask"), ({"is_yes": True}, "bid")):
        frame = frames.decode(wire("user_order", ORDER | {"book_side": None} | said))
        assert isinstance(frame, UserOrderFrame)
        seen = meaning.order_seen(frame.msg)
        assert seen is not None and seen.side == side
    frame = frames.decode(wire("user_order", ORDER | {"status": "unknown"}))
    assert isinstance(frame, UserOrderFrame) and meaning.order_seen(frame.msg) is None


@pytest.mark.parametrize(
    "said",
    [
        {"book_side": None},
        {"remaining_count_fp": "-1.00"},
        {"yes_price_dollars": "1.0001"},
        {"ticker": "KX A"},
        {"created_time": None},
        {"created_time": "yesterday"},
        {"created_time": "2024-12-01T10:00:00"},
        {"created_time": "0001-01-01T00:00:00+23:59"},
        {"created_time": "1960-01-01T00:00:00Z"},
    ],
)
def test_an_order_that_makes_no_sense(said: dict[str, Any]) -> None:
    frame = frames.decode(wire("user_order", ORDER | said))
    assert isinstance(frame, UserOrderFrame)
    with pytest.raises(RemoteProtocolError):
        meaning.order_seen(frame.msg)


# Commands


def test_books_always_say_in_which_terms_no_prices_are() -> None:
    got = json.loads(commands.subscribe(1, ["orderbook_delta", "trade"], ["A"]))
    params = {"channels": ["orderbook_delta", "trade"], "market_tickers": ["A"]}
    assert got == {"id": 1, "cmd": "subscribe", "params": params | {"use_yes_price": False}}


def test_the_other_commands() -> None:
    got = commands.subscribe(2, ["fill"])
    assert got == b'{"id":2,"cmd":"subscribe","params":{"channels":["fill"]}}'
    got = commands.update_subscription(5, 1, "get_snapshot", ["A"])
    params = b'{"sids":[1],"market_tickers":["A"],"action":"get_snapshot"}'
    assert got == b'{"id":5,"cmd":"update_subscription","params":' + params + b"}"
    got = commands.unsubscribe(6, [1, 2])
    assert got == b'{"id":6,"cmd":"unsubscribe","params":{"sids":[1,2]}}'
    assert commands.list_subscriptions(7) == b'{"id":7,"cmd":"list_subscriptions"}'
