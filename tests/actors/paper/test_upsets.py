"""Faults of streams, frame by frame: what is sent, what is not, and which numbers that takes."""

from typing import Any

import pytest

from actors.paper import reads
from actors.paper.answers import Refused
from actors.paper.matching import Side
from actors.paper.paging import Query

from .quiet import BEGAN, A, B, C, Quiet

BOOK, TRADE = "orderbook_delta", "trade"
Row = tuple[str, int | None, int | None]  # type, sid, seq


def rows(frames: list[dict[str, Any]]) -> list[Row]:
    return [(f["type"], f.get("sid"), f.get("seq")) for f in frames]


def grow(quiet: Quiet, ticker: str = A, count: str = "1.00") -> None:
    quiet.do("public", ticker=ticker, side="bid", price="0.1000", count=count)


def test_a_snapshot_that_was_asked_for_has_id_sid_and_seq() -> None:
    quiet = Quiet()
    one = quiet.connect()
    assert rows(one.subscribe(BOOK, market_tickers=[A, B])) == [
        ("subscribed", None, None),
        ("orderbook_snapshot", 1, 1),
        ("orderbook_snapshot", 1, 2),
    ]
    asked = one.say("update_subscription", sids=[1], action="get_snapshot", market_tickers=[B, A])
    told = one.told()
    assert rows(told) == [("orderbook_snapshot", 1, 3), ("orderbook_snapshot", 1, 4)]
    assert [f["id"] for f in told] == [asked, asked]
    one.say("unsubscribe", sids=[1])
    assert rows(one.told()) == [("unsubscribed", 1, 5)]
    again = one.subscribe(BOOK, market_ticker=A)
    assert rows(again) == [("subscribed", None, None), ("orderbook_snapshot", 2, 1)]
    assert again[0]["msg"] == {"channel": BOOK, "sid": 2}
    one.say("list_subscriptions")
    (listed,) = one.told()
    assert listed["msg"] == [{"channel": BOOK, "sid": 2}]
    assert "sid" not in listed and "seq" not in listed


def test_a_mute_channel_says_nothing_and_takes_no_number() -> None:
    quiet = Quiet()
    one = quiet.connect()
    one.subscribe(BOOK, market_ticker=A)
    one.subscribe(TRADE, market_ticker=A)
    quiet.arm(mute_channels=[BOOK])
    grow(quiet)
    one.say("update_subscription", sid=1, action="get_snapshot", market_tickers=[A])
    one.say("update_subscription", sid=1, action="add_markets", market_tickers=[B])
    quiet.do("public", ticker=A, side="bid", price="0.1200", count="1.00")
    assert rows(one.told()) == [("trade", 2, 1)]
    one.say("list_subscriptions")
    assert [s["sid"] for s in one.told()[0]["msg"]] == [1, 2]
    quiet.arm(mute_channels=[])
    grow(quiet, B)  # it was added all the same
    assert rows(one.told()) == [(BOOK, 1, 2)]


def test_dead_sids_are_cured_by_new_ones() -> None:
    quiet = Quiet()
    one = quiet.connect()
    one.subscribe(BOOK, market_ticker=A)
    quiet.arm(dead_sids=BOOK)
    assert quiet.core.faults.dead_sids is None
    grow(quiet)
    one.say("update_subscription", sid=1, action="get_snapshot", market_tickers=[A])
    assert one.told() == []
    one.say("unsubscribe", sids=[1])
    assert rows(one.told()) == [("unsubscribed", 1, 2)]
    one.subscribe(BOOK, market_ticker=A)
    grow(quiet)
    assert rows(one.told()) == [(BOOK, 2, 2)]


@pytest.mark.parametrize(
    ("code", "words"), [(10, "Channel error"), (25, "Subscription buffer overflow")]
)
def test_ended_subscriptions_are_gone(code: int, words: str) -> None:
    quiet = Quiet()
    one, other = quiet.connect(), quiet.connect()
    one.subscribe(BOOK, TRADE, market_ticker=A)
    other.subscribe(TRADE)
    quiet.arm(end_subscriptions={"code": code, "channel": BOOK})
    (error,) = one.told()
    assert (error["type"], error["sid"], error["seq"]) == ("error", 1, 2)
    assert error["msg"] == {"code": code, "msg": words}
    assert other.told() == []
    grow(quiet)
    asked = one.say("update_subscription", sid=1, action="get_snapshot", market_tickers=[A])
    (error,) = one.told()
    assert (error["id"], error["msg"]["code"]) == (asked, 7)
    assert rows(one.subscribe(BOOK, market_ticker=A))[1:] == [("orderbook_snapshot", 3, 1)]


def test_an_untrusted_error_takes_a_number_and_the_stream_goes_on() -> None:
    quiet = Quiet()
    one = quiet.connect()
    one.subscribe(BOOK, market_ticker=A)
    for code in (17, 18):
        quiet.arm(untrusted_errors={"code": code, "channel": BOOK})
    grow(quiet)
    told = one.told()
    assert rows(told) == [("error", 1, 2), ("error", 1, 3), (BOOK, 1, 4)]
    assert [f["msg"]["msg"] for f in told[:2]] == ["Internal error", "Command timeout"]


def test_lost_acknowledgements_of_commands_that_were_done() -> None:
    quiet = Quiet()
    one = quiet.connect()
    quiet.arm(lose_acks=4)
    assert rows(one.subscribe(BOOK, market_ticker=A)) == [("orderbook_snapshot", 1, 1)]
    one.say("update_subscription", sid=1, action="add_markets", market_tickers=[B])
    assert rows(one.told()) == [("orderbook_snapshot", 1, 2)]  # and the `ok` took no number
    one.say("list_subscriptions")
    one.say("unsubscribe", sids=[1])
    assert (one.told(), one.session.by_channel) == ([], {})
    one.say("list_subscriptions")
    assert one.told()[0]["msg"] == []


def test_lost_snapshots_leave_a_gap_and_repeated_ones_do_not() -> None:
    quiet = Quiet()
    one = quiet.connect()
    quiet.arm(lose_snapshots=1, repeat_snapshots=2)
    assert rows(one.subscribe(BOOK, market_tickers=[A, B])) == [
        ("subscribed", None, None),
        ("orderbook_snapshot", 1, 2),
        ("orderbook_snapshot", 1, 3),
    ]
    one.say("update_subscription", sid=1, action="get_snapshot", market_tickers=[A])
    first, second = one.told()
    assert (first["seq"], second["seq"]) == (4, 5)
    assert (first["id"], first["msg"]) == (second["id"], second["msg"])


def test_snapshots_that_nobody_asked_for() -> None:
    quiet = Quiet()
    one = quiet.connect()
    one.subscribe(BOOK, market_tickers=[A, B, C])
    quiet.arm(unsolicited_snapshots=2)
    told = one.told()
    assert rows(told) == [("orderbook_snapshot", 1, 4), ("orderbook_snapshot", 1, 5)]
    assert [f["msg"]["market_ticker"] for f in told] == [A, B]
    assert not any("id" in f for f in told)


def test_a_lie_is_in_the_book_and_in_no_frame() -> None:
    quiet = Quiet()
    one = quiet.connect()
    before = one.subscribe(BOOK, market_ticker=A)[1]["msg"]
    quiet.arm(lie_in_book=A)
    assert one.told() == []
    body = reads.orderbook(quiet.exchange, A, Query()).body
    assert isinstance(body, dict)
    truth = body["orderbook_fp"]
    assert before["yes_dollars_fp"][-1] == ["0.1000", "10.00"]
    assert truth["yes_dollars"][-1] == ["0.1000", "11.00"]
    assert before["no_dollars_fp"] == truth["no_dollars"]
    grow(quiet)
    assert rows(one.told()) == [(BOOK, 1, 2)]
    with pytest.raises(Refused) as refused:
        quiet.arm(lie_in_book="X", late_ms=5)
    assert refused.value.answer.body == {"error": "lie_in_book: no market 'X'"}
    assert quiet.core.faults.late_ms == 0


def test_a_lie_where_there_are_no_bids_or_nothing_at_all() -> None:
    quiet = Quiet()
    book = quiet.exchange.markets[A].book
    for price in list(book.shown(Side.BID)):
        quiet.do("public", ticker=A, side="bid", price=f"{price / 1e6:.4f}", count="-99.00")
    quiet.arm(lie_in_book=A)
    assert (book.shown(Side.BID), book.shown(Side.ASK)[120_000]) == ({}, 1_100)
    quiet.do("market", ticker="KXNEW-1")
    quiet.arm(lie_in_book="KXNEW-1")
    assert quiet.exchange.markets["KXNEW-1"].book.shown(Side.BID) == {10_000: 100}


def test_numbers_that_begin_again() -> None:
    quiet = Quiet()
    one = quiet.connect()
    one.subscribe(BOOK, market_ticker=A)
    grow(quiet)
    quiet.arm(restart_seq=BOOK)
    grow(quiet)
    assert [f["seq"] for f in one.told()] == [2, 1]


@pytest.mark.parametrize(("late_in", "stamped"), [("network", 0), ("engine", 10_000)])
def test_late_frames_say_when_they_were_queued(late_in: str, stamped: int) -> None:
    quiet = Quiet()
    one = quiet.connect()
    one.subscribe(BOOK, market_ticker=A)
    quiet.arm(late_ms=10_000, late_in=late_in)
    grow(quiet)
    one.say("list_subscriptions")
    quiet.later(9.99)
    assert one.told() == []
    quiet.arm(late_ms=0)
    grow(quiet)  # keeps its place behind the others
    quiet.later(0.01)
    first, answer, last = one.told()
    assert (first["type"], answer["type"], last["seq"]) == (BOOK, "ok", 3)
    assert first["msg"]["ts_ms"] == BEGAN // 1_000
    assert first["sending_ts_ms"] - BEGAN // 1_000 == stamped
    grow(quiet)
    assert len(one.told()) == 1


def test_a_limit_of_markets_a_subscription() -> None:
    quiet = Quiet()
    one = quiet.connect()
    quiet.arm(markets_limit=2)
    (error,) = one.subscribe(TRADE, BOOK, market_tickers=[A, B, C])
    assert error["msg"] == {"code": 26, "msg": "Subscription market limit exceeded"}
    assert "sid" not in error and one.session.by_channel == {}
    one.subscribe(BOOK, market_tickers=[A, B])
    asked = one.say("update_subscription", sid=1, action="add_markets", market_tickers=[C])
    (error,) = one.told()
    assert (error["id"], error["sid"], error["seq"], error["msg"]["code"]) == (asked, 1, 3, 26)
    assert one.session.by_channel[BOOK].tickers == {A, B}
    one.say("update_subscription", sid=1, action="delete_markets", market_tickers=[A])
    one.say("update_subscription", sid=1, action="add_markets", market_tickers=[C])
    assert rows(one.told()) == [("ok", 1, 4), ("ok", 1, 5), ("orderbook_snapshot", 1, 6)]


def test_an_error_that_names_nobody() -> None:
    quiet = Quiet()
    one = quiet.connect()
    quiet.arm(nameless_errors=True)
    error, *done = one.subscribe(BOOK, market_tickers=[A, "KXNONE-1"])
    assert error["msg"] == {"code": 11, "msg": "Invalid parameter"}
    assert one.session.by_channel[BOOK].tickers == {A} and done
    one.say("update_subscription", sid=1, action="add_markets", market_tickers=[B, "KXNONE-1"])
    (error,) = one.told()
    assert error["msg"] == {"code": 11, "msg": "Invalid parameter"}
    quiet.arm(nameless_errors=False)
    one.say("update_subscription", sid=1, action="add_markets", market_tickers=["KXNONE-1"])
    assert one.told()[0]["msg"]["market_tickers"] == ["KXNONE-1"]


def test_connections_beyond_the_limit_and_maintenance() -> None:
    quiet = Quiet()
    quiet.arm(connections_max=1)
    quiet.connect()
    assert quiet.core.connect() is None
    quiet.arm(maintenance=True)
    body = reads.status(quiet.core.view(quiet.at)).body
    assert isinstance(body, dict)
    assert (body["exchange_active"], body["trading_active"]) == (False, False)
    assert "exchange_estimated_resume_time" not in body
    quiet.arm(resumes_ts=1_800_000_000)
    body = reads.status(quiet.core.view(quiet.at)).body
    assert isinstance(body, dict)
    assert body["exchange_estimated_resume_time"] == "2027-01-15T08:00:00Z"


def test_channels_without_a_filter_have_no_markets_to_change() -> None:
    quiet = Quiet()
    one = quiet.connect()
    one.subscribe("market_lifecycle_v2")
    one.say("update_subscription", sid=1, action="add_markets", market_tickers=[A])
    (error,) = one.told()
    assert (error["sid"], error["seq"], error["msg"]["code"]) == (1, 1, 13)
    (again,) = one.subscribe("market_lifecycle_v2", market_tickers=[A])
    assert (again["type"], again["seq"], again["msg"]) == ("ok", 2, {"market_tickers": []})
