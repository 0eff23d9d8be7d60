"""Anything at all from outside: a frame, or RemoteProtocolError, and never anything else."""

from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from protocol.envelope import Outbox
from protocol.envelope import decode as decode_envelope
from protocol.envelope import encode as encode_envelope
from protocol.errors import RemoteProtocolError
from protocol.kalshi import frames, meaning
from protocol.kalshi.frames import (
    ComboLifeFrame,
    DeltaFrame,
    EventFrame,
    FeeFrame,
    FillFrame,
    GroupFrame,
    LifeFrame,
    OkFrame,
    PositionFrame,
    TickerFrame,
    TradeFrame,
    UserOrderFrame,
)
from protocol.messages import AnyMessage
from tests.protocol.test_kalshi_frames import DELTA, EVENT, FILL, LIFE, ORDER, POSITION, TRADE, wire

NAMES = sorted(frames.KNOWN | {"new"})
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=6,
)
bodies = st.sampled_from([DELTA, ORDER, FILL, TRADE, LIFE, POSITION, EVENT]).flatmap(
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
            case PositionFrame(msg=msg):
                body = meaning.position_reported(msg, 1)
            case GroupFrame(msg=msg):
                body = meaning.group_changed(msg, 1)
            case LifeFrame(msg=msg) | ComboLifeFrame(msg=msg):
                body = meaning.market_changed(msg, True, 1)
            case EventFrame(msg=msg):
                body = meaning.event_changed(msg, 1)
            case FeeFrame(msg=msg):
                body = meaning.fee_changed(msg, 1)
            case OkFrame():
                frames.listed(frame)
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
