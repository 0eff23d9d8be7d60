"""Stories of the public line: lives of markets and events, and whole channels."""

from typing import Any

import pytest

from actors.stream.core import CloseSocket, SocketClosed
from protocol.limits import LIST_INTERVAL, MINUTE, SECOND
from protocol.machine import Publish
from protocol.messages import (
    BookLost,
    EventChanged,
    FeeChanged,
    MarketChanged,
    MarketsRequest,
    Quote,
    Trade,
)
from protocol.units import Price
from tests.actors.stream.scene import LIVES, MARKET, A, B, C, Scene, published, sent
from tests.actors.stream.venue import Venue, live

LIFE = "market_lifecycle_v2"


def life(scene: Scene, ticker: str, change: str, kind: str = LIFE, **more: Any) -> list[Any]:
    sid = 1 + LIVES.index(kind)
    msg = {"market_ticker": ticker, "event_type": change, **more}
    return scene.frame({"type": kind, "sid": sid, "seq": scene.seq(sid + 50), "msg": msg}, "public")


def test_lives_of_markets_are_published() -> None:
    scene = Scene()
    scene.go_public()
    got = life(
        scene,
        A,
        "created",
        open_ts=1_700_000_000,
        close_ts=1_700_003_600,
        price_ranges=[{"start": "0.0000", "end": "1.0000", "step": "0.0100"}],
        additional_metadata={"title": "Will it rain?"},
        exchange_index=2,
    )
    (publish,) = (e for e in got if isinstance(e, Publish) and e.envelope.topic != "mark")
    assert publish.envelope.topic == "market.KXA-1"
    assert publish.envelope.body == MarketChanged(
        A,
        "created",
        open_at=1_700_000_000_000_000,
        close_at=1_700_003_600_000_000,
        price_ranges=((Price(0), Price(1_000_000), Price(10_000)),),
        title="Will it rain?",
        shard=2,
        received_at=scene.at,
    )
    (settled,) = published(
        life(scene, A, "settled", settled_ts=5, result="yes", settlement_value="1.0000")
    )
    assert settled == MarketChanged(
        A, "settled", settled_at=5_000_000, result="yes", settlement=Price(1_000_000),
        received_at=scene.at,
    )  # fmt: skip
    (combo,) = published(life(scene, "KXMVE-1", "created", LIVES[1]))
    assert isinstance(combo, MarketChanged) and combo.combo


def test_events_and_their_fees_are_published() -> None:
    scene = Scene()
    scene.go_public()
    event = {"event_ticker": "KXE-26", "title": "T", "series_ticker": "KXE"}
    event |= {"collateral_return_type": "MECNET"}
    frame = {"type": "event_lifecycle", "sid": 1, "seq": 1, "msg": event}
    assert published(scene.frame(frame, "public")) == [
        EventChanged("KXE-26", "KXE", "T", "", "MECNET", 0, scene.at)
    ]
    for said, multiplier in ((0.5, "0.5"), ("0.5", "0.5"), (None, None)):
        fee = {"event_ticker": "KXE-26", "fee_type_override": said and "quadratic"}
        fee |= {"fee_multiplier_override": said}
        frame = {"type": "event_fee_update", "sid": 1, "seq": scene.seq(1) + 1, "msg": fee}
        assert published(scene.frame(frame, "public")) == [
            FeeChanged("KXE-26", said and "quadratic", multiplier, scene.at)
        ]


def test_what_makes_no_sense_is_counted_and_costs_nothing() -> None:
    scene = Scene()
    scene.go_live(A)
    for msg in (
        {"market_ticker": "not a ticker", "event_type": "created"},
        {"market_ticker": A, "event_type": "settled", "settlement_value": "2.0000"},
        {"market_ticker": A},
    ):
        seq = scene.seq(51)
        effects = scene.frame({"type": LIFE, "sid": 1, "seq": seq, "msg": msg}, "public")
        assert published(effects) == [] and CloseSocket("public") not in effects
    assert scene.counters["malformed"] == 3
    assert scene.ask_book(A).state == "live"


def test_lives_that_are_refused_cost_nothing_else() -> None:
    scene = Scene()
    scene.markets(A)
    for command in sent(scene.open("public"), "public"):
        body = {"code": 9, "msg": "access required"}
        frame = {"type": "error", "id": command["id"], "msg": body}
        assert CloseSocket("public") not in scene.frame(frame, "public")
    assert scene.core.lines.public.why_not() == ""


# Which markets


@pytest.mark.parametrize("wish", ["series:KXA", "event:KXA-26", "*"])
def test_a_new_market_is_followed_at_once(wish: str) -> None:
    scene = Scene((wish,))
    scene.go_live("KXA-26-T1")
    life(scene, "KXA-26-T2", "created")
    (add, *_) = sent(scene.take())
    assert add["params"]["action"] == "add_markets"
    assert add["params"]["market_tickers"] == ["KXA-26-T2"]
    assert scene.ask_book("KXA-26-T2").state == "lost"
    life(scene, "KXZ-26-T2", "created")
    state = "lost" if wish == "*" else "not followed"
    assert scene.ask_book("KXZ-26-T2").state == state
    life(scene, "KXMVE-1", "created", LIVES[1])
    assert scene.ask_book("KXMVE-1").state == "not followed"


def test_a_listing_that_does_not_know_a_new_market_yet_does_not_drop_it() -> None:
    scene, venue = live("KXA-26-T1", follow=("series:KXA",))
    venue.books["KXA-26-T2"] = {"yes": {}, "no": {}}
    venue.open = ("KXA-26-T1",)
    msg = {"market_ticker": "KXA-26-T2", "event_type": "created"}
    venue.say(scene, LIFE, LIFE, msg)
    assert scene.ask_book("KXA-26-T2").state == "live"
    scene.wait(2 * MINUTE)
    assert scene.ask_book("KXA-26-T2").state == "live"
    scene.wait(15 * MINUTE)  # still not listed: then it is none of ours
    assert scene.ask_book("KXA-26-T2").state == "not followed"


def test_a_settled_market_is_dropped_and_stays_so() -> None:
    scene, venue = live(A, B)
    msg = {"market_ticker": A, "event_type": "settled"}
    venue.say(scene, LIFE, LIFE, msg)
    assert BookLost(A, "no longer followed") in published(scene.take())
    assert scene.ask_book(A).state == "not followed"
    scene.wait(2 * MINUTE)  # it is still listed
    assert scene.ask_book(A).state == "not followed"
    assert scene.ask_book(B).state == "live"


def test_lives_that_were_missed_are_looked_up() -> None:
    scene, venue = live(A)
    scene.wait(5 * SECOND)
    venue.asked.clear()
    seqs = venue.sessions["public"].seqs
    seqs[1] = seqs.get(1, 0) + 3
    msg = {"market_ticker": C, "event_type": "determined"}
    venue.say(scene, LIFE, LIFE, msg)
    venue.say(scene, LIFE, LIFE, msg)
    seqs[1] += 3
    venue.say(scene, LIFE, LIFE, msg)
    scene.wait(SECOND)
    assert venue.asked.count(MarketsRequest(("*",))) == 1
    scene.feed(SocketClosed(scene.at, "public", "closed 1006"))
    scene.wait(3 * SECOND)
    assert venue.asked.count(MarketsRequest(("*",))) == 2
    assert scene.ask_book(A).state == "live"


# Whole channels


def test_a_whole_channel_comes_once_and_markets_do_not_bring_it_again() -> None:
    scene = Scene(("KXA-1", "trade:*"))
    scene.go_public()
    asked = [c["params"] for c in sent(scene.take(), "public")]
    assert {"channels": ["trade"]} in asked
    scene.markets(A)
    (subscribe,) = sent(scene.open())
    assert subscribe["params"]["channels"] == ["orderbook_delta", "ticker"]
    msg = {"trade_id": "t", "market_ticker": "KXZ-9", "yes_price_dollars": "0.1", "count_fp": "1"}
    frame = {"type": "trade", "sid": 3, "seq": 1, "msg": msg | {"taker_side": "yes"}}
    (got,) = (e for e in scene.frame(frame, "public") if isinstance(e, Publish))
    assert got.envelope.topic == "trade.KXZ-9" and isinstance(got.envelope.body, Trade)


def test_whole_channels_alone_need_no_market() -> None:
    venue = Venue()
    scene = Scene(("trade:*", "ticker:*"), respond=venue)
    scene.hear_writer()
    assert scene.reasons == () and scene.core.lines.markets == []
    assert [m for m in venue.asked if isinstance(m, MarketsRequest)] == []
    msg = {"market_ticker": "KXZ-9", "price_dollars": "0.1", "yes_bid_dollars": "0.1"}
    msg |= {"yes_ask_dollars": "0.2", "volume_fp": "1", "open_interest_fp": "1"}
    scene.take()
    venue.say(scene, "ticker", "ticker", msg)
    assert [type(body) for body in published(scene.take())] == [Quote]
    del venue.sessions["public"].sids["trade"]
    scene.wait(LIST_INTERVAL + SECOND)
    assert "trade" in venue.sessions["public"].sids
    assert MARKET not in venue.sessions


def test_a_channel_that_is_not_wanted_any_more_when_it_comes_is_ended() -> None:
    scene = Scene((A,))
    scene.go_public()
    scene.markets(A)
    (subscribe,) = sent(scene.open())
    scene.core.lines.carry(scene.now, scene.at, [A], ("trade",))
    scene.take()
    scene.subscribed(subscribe["id"])
    (ended,) = sent(scene.take())
    assert (ended["cmd"], ended["params"]) == ("unsubscribe", {"sids": [2]})
    msg = {"trade_id": "t", "market_ticker": A, "yes_price_dollars": "0.1", "count_fp": "1"}
    frame = {"type": "trade", "sid": 2, "seq": 1, "msg": msg | {"taker_side": "yes"}}
    assert published(scene.frame(frame)) == []  # it comes as a whole elsewhere
