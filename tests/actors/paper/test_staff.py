"""Lives of markets, fees and groups: what the staff does, what is said of it, what comes back."""

import json
from typing import Any

import pytest

from actors.paper import eastern, reads
from actors.paper.fixed import SECOND, rfc3339
from actors.paper.intake import read_order
from actors.paper.matching import Side
from actors.paper.paging import Query

from .quiet import BEGAN, A, B, Quiet

NEW = "KXNEW-27JAN01-T5"
LIFE, COMBOS, GROUPS = (
    "market_lifecycle_v2",
    "multivariate_market_lifecycle",
    "order_group_updates",
)
S = BEGAN // 1_000_000  # the same in seconds


def shown(quiet: Quiet, ticker: str) -> dict[str, Any]:
    body = reads.market(quiet.exchange, ticker, quiet.at).body
    assert isinstance(body, dict)
    found: dict[str, Any] = body["market"]
    return found


def order(quiet: Quiet, ticker: str, price: str = "0.0500", **more: str) -> int:
    body = {
        "ticker": ticker, "side": "bid", "count": "1.00", "price": price,
        "time_in_force": "good_till_canceled", "self_trade_prevention_type": "maker",
    }  # fmt: skip
    answer = quiet.exchange.create(read_order(json.dumps(body | more).encode(), quiet.at), quiet.at)
    quiet.journal += quiet.core.settle(quiet.at)
    return answer.status


def words(frames: list[dict[str, Any]]) -> list[str]:
    return [found["msg"].get("event_type", found["type"]) for found in frames]


def test_a_market_is_made_and_said_to_be() -> None:
    quiet = Quiet()
    one = quiet.connect()
    ack = one.subscribe(LIFE, market_tickers=[A])  # a filter that the channel does not know
    assert ack[0]["msg"] == {"channel": LIFE, "sid": 1}
    quiet.do("market", ticker=NEW, title="New?", grid="deci_cent", close_ts=S + 60,
             bids=[["0.4000", "5.00"]], asks=[["0.6000", "7.00"]])  # fmt: skip
    event, created, activated = one.told()
    assert (event["type"], event["sid"], event["seq"]) == ("event_lifecycle", 1, 1)
    assert event["msg"] == {
        "event_ticker": "KXNEW-27JAN01",
        "exchange_index": 0,
        "title": "KXNEW-27JAN01",
        "subtitle": "KXNEW-27JAN01",
        "collateral_return_type": "",
        "series_ticker": "KXNEW",
    }
    assert (created["type"], created["seq"], activated["seq"]) == (LIFE, 2, 3)
    body = created["msg"]
    assert body["event_type"] == "created"
    assert (body["open_ts"], body["close_ts"], body["exchange_index"]) == (S, S + 60, 0)
    assert body["price_level_structure"] == "deci_cent"
    assert body["price_ranges"] == [{"start": "0.0000", "end": "1.0000", "step": "0.0010"}]
    assert body["additional_metadata"]["event_ticker"] == "KXNEW-27JAN01"
    assert activated["msg"] == {
        "market_ticker": NEW, "event_type": "activated", "is_deactivated": False,
    }  # fmt: skip
    quiet.do("market", ticker="KXNEW-27JAN01-T6")
    assert words(one.told()) == ["created", "activated"]  # its event is not new


def test_a_made_market_is_listed_and_traded() -> None:
    quiet = Quiet()
    quiet.do("market", ticker=NEW, asks=[["0.6000", "7.00"]])
    assert shown(quiet, NEW)["yes_ask_size_fp"] == "7.00"
    listed = reads.markets(quiet.exchange, Query([("series_ticker", "KXNEW")]), quiet.at).body
    assert isinstance(listed, dict) and [m["ticker"] for m in listed["markets"]] == [NEW]
    found = reads.event(quiet.exchange, "KXNEW-27JAN01", Query(), quiet.at)
    assert found.status == 200
    one = quiet.connect()
    one.subscribe("orderbook_delta", "trade", market_ticker=NEW)
    assert order(quiet, NEW, "0.6000", count="2.00") == 201
    assert [f["type"] for f in one.told()] == ["orderbook_delta", "trade"]
    assert quiet.exchange.account.position(NEW).count == 200


def test_combos_have_a_channel_and_a_listing_of_their_own() -> None:
    quiet = Quiet()
    one = quiet.connect()
    one.subscribe(LIFE, COMBOS)
    quiet.do("market", ticker="KXMVESPORT-S1-M1")
    told = one.told()
    assert {f["sid"] for f in told} == {2}
    assert [(f["type"], f["seq"]) for f in told] == [
        ("event_lifecycle", 1), (COMBOS, 2), (COMBOS, 3),
    ]  # fmt: skip
    for combos, wanted in (("exclude", [False] * 3), ("only", [True]), ("", [False] * 3 + [True])):
        query = Query([("mve_filter", combos)])
        body = reads.markets(quiet.exchange, query, quiet.at).body
        assert isinstance(body, dict)
        assert [m["ticker"].startswith("KXMVE") for m in body["markets"]] == wanted
    plain = reads.events(quiet.exchange, Query(), quiet.at).body
    multi = reads.combos(quiet.exchange, Query(), quiet.at).body
    assert isinstance(plain, dict) and isinstance(multi, dict)
    assert [e["event_ticker"] for e in plain["events"]] == ["KXIDLE-E00000"]
    assert [e["event_ticker"] for e in multi["events"]] == ["KXMVESPORT-S1"]


def test_a_settled_market_was_determined() -> None:
    quiet = Quiet()
    one = quiet.connect()
    one.subscribe(LIFE)
    quiet.later(5)
    quiet.do("settle", ticker=A, result="no")
    moved, determined, settled = (f["msg"] for f in one.told())
    assert moved == {
        "market_ticker": A, "event_type": "close_date_updated", "close_ts": S + 5,
    }  # fmt: skip
    assert determined == {
        "market_ticker": A, "event_type": "determined", "result": "no",
        "determination_ts": S + 5, "settlement_value": "0.0000",
    }  # fmt: skip
    assert settled == {"market_ticker": A, "event_type": "settled", "settled_ts": S + 5}
    assert shown(quiet, A)["status"] == "finalized"


def test_a_close_is_announced_and_then_comes_in_silence() -> None:
    quiet = Quiet()
    one = quiet.connect()
    one.subscribe(LIFE)
    one.subscribe("orderbook_delta", "user_orders", market_ticker=A)
    order(quiet, A)
    quiet.do("close", ticker=A, close_ts=S + 10)
    assert words(one.told())[-1] == "close_date_updated"
    quiet.later(9.9)
    assert (shown(quiet, A)["status"], one.told()) == ("active", [])
    quiet.later(0.1)
    assert shown(quiet, A)["status"] == "closed"
    (gone,) = one.told()  # neither the life nor the book: only the owner's order
    assert gone["type"] == "user_order"
    assert (gone["msg"]["status"], gone["msg"]["last_update_reason"]) == ("canceled", "CloseCancel")
    assert reads.orderbook(quiet.exchange, A, Query()).body == {
        "orderbook_fp": {"yes_dollars": [], "no_dollars": []}
    }
    assert order(quiet, A) == 400
    (placed,) = quiet.exchange.account.orders
    answer = quiet.exchange.cancel(placed, 0, quiet.at)
    assert (answer.status, answer.body["error"]["code"]) == (400, "market_inactive")
    assert quiet.restarted().exchange.markets[A].status == "closed"
    quiet.do("settle", ticker=A, result="yes")
    assert words(one.told())[-2:] == ["determined", "settled"]


def test_a_paused_market_rests_until_it_goes_on_with_nothing() -> None:
    quiet = Quiet()
    one = quiet.connect()
    one.subscribe(LIFE)
    order(quiet, A)
    quiet.do("deactivate", ticker=A)
    (paused,) = one.told()
    assert paused["msg"]["event_type"] == "deactivated" and paused["msg"]["is_deactivated"]
    assert (shown(quiet, A)["status"], order(quiet, A)) == ("inactive", 400)
    assert len(quiet.exchange.account.resting(A)) == 1
    assert quiet.do("deactivate", ticker=A) == {"error": f"ticker: {A} is inactive already"}
    assert quiet.restarted().exchange.markets[A].status == "inactive"
    one.subscribe("orderbook_delta", market_ticker=A)
    quiet.do("activate", ticker=A)
    told = one.told()
    assert [f["type"] for f in told] == ["orderbook_delta"] * 7 + [LIFE]
    assert shown(quiet, A)["yes_ask_size_fp"] == shown(quiet, A)["yes_bid_size_fp"] == "0.00"
    assert quiet.exchange.account.resting() == []
    assert order(quiet, A) == 201


def test_a_coarser_grid_cancels_what_is_off_it() -> None:
    quiet = Quiet()
    one = quiet.connect()
    quiet.do("grid", ticker=A, grid="tapered_deci_cent")
    order(quiet, A, "0.0510")
    order(quiet, A, "0.0600")
    one.subscribe(LIFE)
    one.subscribe("orderbook_delta", market_ticker=A)
    quiet.do("grid", ticker=A, grid=[{"start": "0", "end": "1", "step": "0.02"}])
    told = one.told()
    assert told[0]["msg"] == {
        "market_ticker": A, "event_type": "price_level_structure_updated",
        "price_level_structure": "",
        "price_ranges": [{"start": "0.0000", "end": "1.0000", "step": "0.0200"}],
    }  # fmt: skip
    left = quiet.exchange.markets[A].book.shown(Side.BID)
    assert sorted(left) == [60_000, 80_000, 100_000]
    assert shown(quiet.restarted(), A)["price_ranges"] == told[0]["msg"]["price_ranges"]


def test_descriptions_add_up() -> None:
    quiet = Quiet()
    one = quiet.connect()
    one.subscribe(LIFE)
    quiet.do("metadata", ticker=A, strike_type="between", floor_strike=95000, cap_strike=95250.5)
    quiet.do("metadata", ticker=A, yes_sub_title="above")
    first, second = (f["msg"] for f in one.told())
    assert first == {
        "market_ticker": A, "event_type": "metadata_updated",
        "strike_type": "between", "floor_strike": 95000, "cap_strike": 95250.5,
    }  # fmt: skip
    assert second == {
        "market_ticker": A,
        "event_type": "metadata_updated",
        "yes_sub_title": "above",
    }
    found = shown(quiet.restarted(), A)
    assert (found["floor_strike"], found["yes_sub_title"]) == (95000, "above")
    assert shown(quiet, B)["yes_sub_title"] != "above"


def test_a_fee_is_overridden_and_cleared() -> None:
    quiet = Quiet()
    one = quiet.connect()
    one.subscribe(LIFE, COMBOS)
    event = "KXIDLE-E00000"
    quiet.do("fee", event_ticker=event, fee_type="quadratic", fee_multiplier=0.5)
    (told,) = one.told()
    assert (told["type"], told["sid"], told["seq"]) == ("event_fee_update", 1, 1)
    assert told["msg"] == {
        "event_ticker": event, "fee_type_override": "quadratic", "fee_multiplier_override": 0.5,
    }  # fmt: skip
    body = reads.event(quiet.restarted().exchange, event, Query(), quiet.at).body
    assert isinstance(body, dict)
    assert body["event"]["fee_multiplier_override"] == 0.5
    quiet.do("fee", event_ticker=event, fee_type=None)
    (told,) = one.told()
    assert told["msg"]["fee_type_override"] is None
    assert told["msg"]["fee_multiplier_override"] is None
    body = reads.event(quiet.exchange, event, Query(), quiet.at).body
    assert isinstance(body, dict) and "fee_type_override" not in body["event"]
    changes = reads.fee_changes(quiet.exchange, Query()).body
    assert isinstance(changes, dict)
    assert [c["fee_multiplier_override"] for c in changes["event_fee_changes"]] == [None, 0.5]


def test_order_groups_are_spoken_of() -> None:
    quiet = Quiet()
    one = quiet.connect()
    one.subscribe(GROUPS)
    quiet.do("group", event_type="created", order_group_id="og", contracts_limit="150.00")
    quiet.do("group", event_type="triggered", order_group_id="og")
    first, second = one.told()
    assert (first["type"], first["seq"], second["seq"]) == (GROUPS, 1, 2)
    assert first["msg"] == {
        "event_type": "created", "order_group_id": "og", "contracts_limit_fp": "150.00",
        "ts_ms": BEGAN // 1_000,
    }  # fmt: skip
    assert "contracts_limit_fp" not in second["msg"]


def test_what_was_made_is_there_again_after_a_restart() -> None:
    quiet = Quiet()
    quiet.do("market", ticker=NEW, title="New?", grid="deci_cent", close_ts=S + 60,
             bids=[["0.4000", "5.00"]], asks=[["0.6000", "7.00"]])  # fmt: skip
    assert order(quiet, NEW, "0.6500", count="9.00") == 201  # takes the ask; two rest above it
    again = quiet.restarted()
    same = (
        "ticker",
        "title",
        "open_time",
        "close_time",
        "price_ranges",
        "status",
        "yes_bid_dollars",
    )
    assert [shown(again, NEW)[name] for name in same] == [shown(quiet, NEW)[name] for name in same]
    market = again.exchange.markets[NEW]
    assert market.market_id == quiet.exchange.markets[NEW].market_id
    assert market.top() == (650_000, 200, None, 0)  # the public made room: no crossed book
    quiet.at += 61 * SECOND  # it was down for a minute
    again = quiet.restarted()
    assert again.exchange.account.resting() == []
    assert shown(again, NEW)["status"] == "closed"


@pytest.mark.parametrize(
    ("deed", "body", "words"),
    [
        ("market", {"ticker": "no ticker"}, "ticker: 'no ticker' is none"),
        ("market", {"ticker": A}, f"ticker: {A} is there already"),
        ("market", {"ticker": NEW, "grid": "fine"}, "grid: 'fine' is none of linear_cent"),
        ("market", {"ticker": NEW, "close_ts": 1}, "close_ts: is past"),
        ("market", {"ticker": NEW, "bids": [["0.4050", "1.00"]]}, "bids: 0.4050 x 1.00 is no"),
        (
            "market",
            {"ticker": NEW, "bids": [["0.5000", "1.00"]], "asks": [["0.5000", "1.00"]]},
            "bids: cross the asks",
        ),
        ("market", {"ticker": NEW, "color": "red"}, "unknown field `color`"),
        ("grid", {"ticker": A, "grid": [{"start": "0", "end": "0.5", "step": "0.01"}]}, "from 0"),
        ("close", {"ticker": "X", "close_ts": 1}, "ticker: no market 'X'"),
        ("metadata", {"ticker": A}, "expected yes_sub_title"),
        ("fee", {"event_ticker": "X", "fee_type": None}, "event_ticker: no event 'X'"),
        ("fee", {"event_ticker": "KXIDLE-E00000", "fee_type": "flat"}, "fee_multiplier: goes with"),
        ("group", {"event_type": "reset", "order_group_id": "g", "contracts_limit": "1"}, "limit:"),
        ("public", {"ticker": A, "side": "bid", "price": "0.2", "count": "-1"}, "changes nothing"),
        ("public", {"ticker": A, "side": "bid", "price": "0.205", "count": "1"}, "not on the grid"),
    ],
)
def test_what_is_wrong_is_named_and_changes_nothing(
    deed: str, body: dict[str, Any], words: str
) -> None:
    quiet = Quiet()
    assert words in quiet.do(deed, **body)["error"]
    assert quiet.journal == []


def test_the_public_can_be_moved_by_hand() -> None:
    quiet = Quiet()
    one = quiet.connect()
    one.subscribe("orderbook_delta", "trade", market_ticker=A)
    level = {"ticker": A, "side": "bid", "price": "0.1000"}
    assert quiet.do("public", **level, count="2.00")["level"] == "12.00"
    assert quiet.do("public", **level, count="-4.00")["level"] == "8.00"
    assert quiet.do("public", **level, count="-99.00")["level"] == "0.00"
    crossing = {"ticker": A, "side": "bid", "price": "0.1200", "count": "25.00"}
    assert quiet.do("public", **crossing)["level"] == "15.00"  # ten were asked for there
    told = [(f["type"], f["msg"].get("delta_fp", f["msg"].get("count_fp"))) for f in one.told()]
    assert told == [
        ("orderbook_delta", "2.00"),
        ("orderbook_delta", "-4.00"),
        ("orderbook_delta", "-8.00"),
        ("orderbook_delta", "-10.00"),
        ("trade", "10.00"),
        ("orderbook_delta", "15.00"),
    ]


@pytest.mark.parametrize(
    ("day", "begins"),
    [
        (1_795_600_000, "2026-11-26T08:00:00Z"),  # Wednesday, November 25: winter
        (1_795_683_599, "2026-11-26T08:00:00Z"),  # the pause's last second
        (1_795_687_200, "2026-12-03T08:00:00Z"),
        (1_782_950_000, "2026-07-02T07:00:00Z"),  # summer
        (1_804_700_000, "2027-03-11T08:00:00Z"),  # three days before the clocks change
        (1_805_100_000, "2027-03-18T07:00:00Z"),
    ],
)
def test_the_weekly_pause_is_on_new_yorks_clock(day: int, begins: str) -> None:
    found = eastern.next_pause(day * 1_000_000)
    assert rfc3339(found[0]) == begins
    assert found[1] - found[0] == 2 * 3_600 * 1_000_000
