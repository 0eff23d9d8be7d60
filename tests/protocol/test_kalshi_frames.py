"""The exchange's frames: what they mean, and that nothing from outside breaks the decoder."""

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from protocol.envelope import Outbox
from protocol.envelope import decode as decode_envelope
from protocol.envelope import encode as encode_envelope
from protocol.errors import RemoteProtocolError
from protocol.kalshi import commands, frames, meaning
from protocol.kalshi.frames import (
    DeltaFrame,
    ErrorFrame,
    FillFrame,
    Glance,
    OkFrame,
    SnapshotFrame,
    SubscribedFrame,
    TickerFrame,
    TradeFrame,
    UnsubscribedFrame,
    UserOrderFrame,
)
from protocol.messages import AnyMessage
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
        (b'{"type":"market_lifecycle_v2","sid":3,"seq":4,"msg":{"a":[1]}}', Glance),
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
        b'{"type":"ok","id":"1"}',
        b'{"type":"ok","id":-1}',
        b'{"type":"ok","id":1e400}',
        b'{"type":"new","msg":' + b"[" * 100_000,
        b'{"type":"ok","msg":' + b'{"a":' * 100_000,
        b'{"type":"new\xff"}',
        wire("fill", FILL | {"trade_id": "?"}).replace(b"?", b"\xff"),
        b'{"type":"new","sid":99999999999999999999999}',
        delta(price_dollars=0.96),
        delta(price_dollars="NaN"),
        delta(price_dollars="1e-1"),
        delta(price_dollars="٠.٥"),
        delta(delta_fp=-54),
        delta(delta_fp=float("nan")),
        delta(delta_fp="1.234"),
        delta(side="maybe"),
        delta(ts_ms=2**60),
        delta(ts_ms=1.5),
        wire("orderbook_delta", None),
        b'{"type":"orderbook_delta","sid":1,"msg":' + json.dumps(DELTA).encode() + b"}",
        wire("orderbook_snapshot", {"market_ticker": "A", "yes_dollars_fp": [["0.1"]]}),
        wire("fill", FILL | {"trade_id": ""}),
        wire("fill", FILL | {"is_taker": "yes"}),
    ],
)
def test_what_does_not_fit_is_the_exchanges_error(raw: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        frames.decode(raw)


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


# Anything at all

NAMES = sorted(frames.KNOWN | {"new"})
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=6,
)
bodies = st.sampled_from([DELTA, ORDER, FILL, TRADE]).flatmap(
    lambda body: st.tuples(
        st.just(body), st.dictionaries(st.sampled_from(sorted(body)), values, max_size=2)
    ).map(lambda pair: pair[0] | pair[1])
)


def survive(raw: bytes) -> None:
    """A frame or RemoteProtocolError; and what it means can be published and read again."""
    try:
        frame = frames.decode(raw)
        body: AnyMessage | None = None
        match frame:
            case DeltaFrame(msg=msg):
                body = meaning.book_delta(msg, 1)
            case TradeFrame(msg=msg):
                body = meaning.trade(msg, 1)
            case TickerFrame(msg=msg):
                body = meaning.quote(msg, 1)
            case FillFrame(msg=msg):
                meaning.fill(msg)
            case UserOrderFrame(msg=msg):
                meaning.order_seen(msg)
    except RemoteProtocolError:
        return
    if body is not None:
        envelope = Outbox("stream", 1).seal("book.A", body, 1)
        assert decode_envelope(encode_envelope(envelope)) == envelope


@given(st.binary(max_size=200))
@example(b'{"type":"ok","x":"\\ud800"}')
def test_any_bytes(raw: bytes) -> None:
    survive(raw)


@given(st.sampled_from(NAMES), bodies | values, st.dictionaries(st.sampled_from("ab"), values))
def test_any_json_in_the_shape_of_a_frame(name: str, msg: Any, more: dict[str, Any]) -> None:
    survive(wire(name, msg, **more))


@given(st.data())
def test_any_damage_to_a_good_frame(data: st.DataObject) -> None:
    raw = bytearray(wire("fill", FILL))
    for _ in range(data.draw(st.integers(1, 3))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    survive(bytes(raw))
