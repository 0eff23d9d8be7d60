"""Reads that anybody may ask for: each call as the exchange has it, and each answer's proof."""

import json
from copy import deepcopy
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.errors import RemoteProtocolError
from protocol.kalshi import inquiries
from protocol.kalshi.answers import CostsBody, EndpointCost
from protocol.kalshi.costs import Costs
from protocol.kalshi.inquiries import INQUIRIES, UnfitInquiry
from protocol.limits import INQUIRY_BYTES_MAX
from protocol.units import Count, Price
from tests.protocol.inquiry_samples import (
    CANDLE,
    MARKET,
    ORDER_ID,
    SAMPLES,
    SHARD_TRANSFER,
    SUBACCOUNT_TRANSFER,
)

REST = Path(__file__).parents[3] / "shared" / "captures" / "rest"
JUNE_11 = REST / "demo-2026-06-11"
recorded = pytest.mark.skipif(not REST.exists(), reason="the captures are not beside this checkout")
ROOT = "/trade-api/v2"
OURS = {("mve_filter", "exclude"), ("subaccount", "0")}  # said where nobody says otherwise


def captured() -> list[tuple[str, str, bytes]]:
    """GETs that were answered: what they are called here, where they went, what came back."""
    found = []
    for path in sorted(JUNE_11.glob("*.meta.json")):
        about = json.loads(path.read_text())
        if (about["method"], about["status"]) == ("GET", 200):
            name = path.name.removesuffix(".meta.json")
            found.append((name, about["path"], (JUNE_11 / f"{name}.json").read_bytes()))
    for number, line in enumerate((REST / "demo-2026-06-30-books.jsonl").read_text().splitlines()):
        row = json.loads(line) if line.strip() else None
        if row is not None:
            where = urlsplit(row["url"])
            body = row["response_body"].encode()
            found.append((f"june-30-{number}", f"{where.path}?{where.query}", body))
    return found


@recorded
def test_what_was_recorded_is_asked_in_the_same_words_and_its_answer_fits() -> None:
    seen = set()
    for name, where, body in captured():
        url = urlsplit(where)
        found = inquiries.find(url.path.removeprefix(ROOT))
        assert found is not None, name
        inquiry, parts = found
        asked = dict(parse_qsl(url.query))
        call = inquiries.call(inquiry.name, {**parts, **asked})
        assert (call.method, f"{ROOT}{call.path}", call.lane) == ("GET", url.path, "read"), name
        assert set(call.query) - OURS == set(asked.items()), name
        assert bytes(inquiries.proved(inquiry.name, body)) == body, name
        seen.add(inquiry.name)
    assert seen == INQUIRIES.keys() - SAMPLES.keys() - {
        "historical_trades", "historical_fills", "historical_orders",
    } | {"series_fee_changes"}, "what is in no recording has a sample"  # fmt: skip


@recorded
def test_numbers_come_out_as_whole_ones() -> None:
    page: Any = inquiries.typed("trades", (JUNE_11 / "trades__public_recorded.json").read_bytes())
    assert (page.trades[0].count_fp, page.trades[0].yes_price_dollars) == (777, 30_000)
    assert page.trades[0].created_time == 1_781_538_522_609_997
    book: Any = inquiries.typed("orderbook", (JUNE_11 / "orderbook__base.json").read_bytes())
    assert book.orderbook_fp.no_dollars == ((Price(480_000), Count(300)),)
    listing: Any = inquiries.typed("markets", (JUNE_11 / "markets__status_open.json").read_bytes())
    assert len(listing.markets) == 200


@recorded
def test_a_limit_that_the_exchange_refused_is_refused_before_it() -> None:
    about = json.loads((JUNE_11 / "markets__limit_over_max.meta.json").read_text())
    asked = dict(parse_qsl(urlsplit(about["path"]).query))
    with pytest.raises(UnfitInquiry, match="limit has to be a whole number from 0 to 1000"):
        inquiries.call("markets", asked)
    body = (JUNE_11 / "markets__limit_over_max.json").read_bytes()
    with pytest.raises(RemoteProtocolError):
        inquiries.proved("markets", body)


@pytest.mark.parametrize("name", SAMPLES)
def test_a_sample_fits_and_none_of_its_halves_does(name: str) -> None:
    body = json.dumps(SAMPLES[name]).encode()
    assert bytes(inquiries.proved(name, body)) == body
    for odd in (b"", b"null", b"[]", b"{}", body[:-1], body + b"x", b'{"error":"busy"}', b"<html>"):
        if (name, odd) in {("order_groups", b"{}"), ("order_groups", b'{"error":"busy"}')}:
            continue  # there the exchange leaves the list out
        with pytest.raises(RemoteProtocolError):
            inquiries.proved(name, odd)


PASSED_OVER = {
    "floor_strike", "sub_title", "collateral_return_type", "color_code", "type", "tags",
    "settlement_sources", "milestones", "event_positions",
}  # fmt: skip


@pytest.mark.parametrize("name", SAMPLES)
def test_a_row_that_makes_no_sense_spoils_the_answer(name: str) -> None:
    """Every leaf of a sample in turn becomes nonsense: nothing is half read."""
    let_pass = set()
    for leaf, tree in _spoiled(SAMPLES[name]):
        try:
            inquiries.proved(name, json.dumps(tree).encode())
            let_pass.add(leaf)
        except RemoteProtocolError as e:
            assert str(e)
    assert let_pass <= PASSED_OVER


def _spoiled(tree: Any) -> Any:
    """Each leaf's name, and the same tree with it made nonsense; an empty list is a leaf, too."""
    for path in _leaves(tree):
        copy = deepcopy(tree)
        inner = copy
        for step in path[:-1]:
            inner = inner[step]
        inner[path[-1]] = {"no": ["sense"]}
        yield path[-1], copy


def _leaves(tree: Any, path: tuple[Any, ...] = ()) -> Any:
    steps = tree.items() if isinstance(tree, dict) else enumerate(tree)
    for step, inner in steps:
        if isinstance(inner, dict | list) and inner:
            yield from _leaves(inner, (*path, step))
        else:
            yield (*path, step)


@pytest.mark.parametrize(
    ("name", "change", "says"),
    [
        ("trades", {"count_fp": "0.00"}, "its count or price makes no sense"),
        ("trades", {"yes_price_dollars": "1.0100"}, "its count or price makes no sense"),
        ("trades", {"taker_side": ""}, "does not say who took"),
        ("trades", {"ticker": ""}, "length >= 1"),
    ],
)
def test_a_trade_that_can_not_be(name: str, change: dict[str, Any], says: str) -> None:
    trade = {
        "trade_id": "t1",
        "ticker": "KXA-1",
        "count_fp": "7.77",
        "yes_price_dollars": "0.0300",
        "taker_side": "yes",
        "created_time": "2026-06-15T15:48:42.609997Z",
    }
    inquiries.proved(name, json.dumps({"trades": [trade]}).encode())
    with pytest.raises(RemoteProtocolError, match=says):
        inquiries.proved(name, json.dumps({"trades": [{**trade, **change}]}).encode())


@pytest.mark.parametrize(
    ("row", "change", "says"),
    [
        ("shard", {"amount": "0.0000"}, "of no money"),
        ("shard", {"amount": "-0.0001"}, "of no money"),
        ("shard", {"amount": "1e2"}, "amount"),
        ("shard", {"amount": None}, "amount"),
        ("shard", {"transfer_id": ""}, "length >= 1"),
        ("shard", {"status": ""}, "length >= 1"),
        ("shard", {"source": ""}, "length >= 1"),
        ("shard", {"destination_exchange_shard": -1}, ">= 0"),
        ("shard", {"source_exchange_shard": "0"}, "Expected `int`"),
        ("shard", {"created_ts": 1_781_159_400_000}, "<= 8589934592"),
        ("subaccount", {"amount_cents": -1}, ">= 0"),
        ("subaccount", {"amount_cents": "100"}, "Expected `int`"),
        ("subaccount", {"amount_cents": 1.5}, "Expected `int`"),
        ("subaccount", {"to_subaccount": 0}, "from subaccount 0 to itself"),
        ("subaccount", {"from_subaccount": -1}, ">= 0"),
        ("subaccount", {"exchange_index": None}, "exchange_index"),
    ],
)
def test_a_transfer_that_can_not_be(row: str, change: dict[str, Any], says: str) -> None:
    good = {"shard": SHARD_TRANSFER, "subaccount": SUBACCOUNT_TRANSFER}[row]
    name = f"{row}_transfers"
    for rows in ([], [good], [good, good]):  # the last page of shard transfers has no cursor
        inquiries.proved(name, json.dumps({"transfers": rows}).encode())
    with pytest.raises(RemoteProtocolError, match=says):
        inquiries.proved(name, json.dumps({"transfers": [good, {**good, **change}]}).encode())
    for missing in good:
        less = {key: value for key, value in good.items() if key != missing}
        with pytest.raises(RemoteProtocolError, match=missing):
            inquiries.proved(name, json.dumps({"transfers": [less]}).encode())


def test_what_a_transfer_moves_comes_out_in_micro_dollars() -> None:
    one: Any = inquiries.typed("shard_transfer", json.dumps({"transfer": SHARD_TRANSFER}).encode())
    assert (one.transfer.amount, one.transfer.status) == (2_500_000_100, "pending")
    moved = {**SHARD_TRANSFER, "source": "margined", "status": "failed"}  # words of an open set
    inquiries.proved("shard_transfer", json.dumps({"transfer": moved}).encode())


def test_old_and_new_names_are_read_and_one_of_them_has_to_be_there() -> None:
    for body in ({"queue_position_fp": "3.00"}, {"queue_position": 3}):
        inquiries.proved("queue_position", json.dumps(body).encode())
    candle = {**CANDLE, "volume": CANDLE["volume_fp"]}
    del candle["volume_fp"]
    inquiries.proved("candlesticks", json.dumps({"candlesticks": [candle]}).encode())
    bare = {**candle, "yes_bid": {"close": None}}  # as one that stands for an earlier one
    inquiries.proved("candlesticks", json.dumps({"candlesticks": [bare]}).encode())
    with pytest.raises(RemoteProtocolError, match="where its quotes closed"):
        bare["yes_bid"] = {"last": "0.5000"}
        inquiries.proved("candlesticks", json.dumps({"candlesticks": [bare]}).encode())
    del candle["volume"]
    with pytest.raises(RemoteProtocolError, match="without a volume"):
        inquiries.proved("candlesticks", json.dumps({"candlesticks": [candle]}).encode())


def test_what_is_passed_over_is_text_all_the_same() -> None:
    body = json.dumps({"market": MARKET}).encode()
    assert inquiries.proved("market", body.replace(b'"KXA"', b'"KXA","x":"\xc3\xa9"'))
    with pytest.raises(RemoteProtocolError, match="not UTF-8"):
        inquiries.proved("market", body.replace(b'"KXA"', b'"KXA","x":"\xff"'))


def test_an_answer_that_fits_no_letter_is_one_clear_error_with_the_way_out() -> None:
    with pytest.raises(RemoteProtocolError, match="8388609 bytes, at most 8388608"):
        inquiries.proved("series_list", b" " * (INQUIRY_BYTES_MAX + 1))
    assert inquiries.narrower("series_list") == (
        "ask for less, with category or tags or min_updated_ts"
    )
    assert inquiries.narrower("markets") == "ask for fewer at once, with a smaller limit"
    assert "less time" in inquiries.narrower("candlesticks_of_event")
    assert inquiries.narrower("exchange_schedule") == "there is no way to narrow it"


# Asking

HOUR = {"start_ts": 0, "end_ts": 3_600, "period_interval": 1}
PAIR = {"series_ticker": "KXA", "ticker": "KXA-1"}
MANY = tuple(f"KXA-{n}" for n in range(101))


@pytest.mark.parametrize(
    ("name", "said", "path", "query"),
    [
        ("markets", {}, "/markets", [("mve_filter", "exclude")]),
        ("markets", {"mve_filter": "all"}, "/markets", []),
        ("markets", {"mve_filter": "only"}, "/markets", [("mve_filter", "only")]),
        ("markets", {"tickers": "KXMVE-1,KXB-2"}, "/markets", [("tickers", "KXMVE-1,KXB-2")]),
        ("markets", {"limit": 0, "cursor": "p/?&=7"}, "/markets",
         [("mve_filter", "exclude"), ("limit", "0"), ("cursor", "p/?&=7")]),
        ("orderbooks", {"tickers": ("KXA-1", "KXB-2")}, "/markets/orderbooks",
         [("tickers", "KXA-1"), ("tickers", "KXB-2")]),
        ("orderbooks", {"tickers": "KXA-1,KXB-2"}, "/markets/orderbooks",
         [("tickers", "KXA-1"), ("tickers", "KXB-2")]),
        ("fills", {}, "/portfolio/fills", [("subaccount", "0")]),
        ("fills", {"subaccount": "all"}, "/portfolio/fills", []),
        ("settlements", {"subaccount": 63}, "/portfolio/settlements", [("subaccount", "63")]),
        ("positions", {}, "/portfolio/positions", []),
        ("queue_positions", {"market_tickers": "KXA-1"}, "/portfolio/orders/queue_positions",
         [("market_tickers", "KXA-1")]),
        ("queue_position", {"order_id": ORDER_ID},
         f"/portfolio/orders/{ORDER_ID}/queue_position", []),
        ("candlesticks", {**PAIR, **HOUR, "include_latest_before_start": True},
         "/series/KXA/markets/KXA-1/candlesticks",
         [("start_ts", "0"), ("end_ts", "3600"), ("period_interval", "1"),
          ("include_latest_before_start", "true")]),
        ("events", {"with_nested_markets": False}, "/events", [("with_nested_markets", "false")]),
        ("shard_transfers", {"limit": 500, "cursor": "p7"},
         "/portfolio/intra_exchange_instance_transfers", [("limit", "500"), ("cursor", "p7")]),
        ("shard_transfer", {"transfer_id": ORDER_ID},
         f"/portfolio/intra_exchange_instance_transfers/{ORDER_ID}", []),
        ("subaccount_transfers", {"limit": 1_000}, "/portfolio/subaccounts/transfers",
         [("limit", "1000")]),
        ("subaccount_netting", {}, "/portfolio/subaccounts/netting", []),
    ],
)  # fmt: skip
def test_how_a_read_is_asked(name: str, said: Any, path: str, query: Any) -> None:
    call = inquiries.call(name, said)
    assert (call.name, call.method, call.path, call.lane) == (name, "GET", path, "read")
    assert call.query == tuple(query)
    backwards = dict(reversed(said.items()))
    assert inquiries.call(name, backwards) == call, "in which order it is said makes no difference"


@pytest.mark.parametrize(
    ("name", "said", "code", "field", "says"),
    [
        ("market", {}, "missing_parameter", "ticker", "market needs ticker: a ticker"),
        ("market", {"ticker": ""}, "invalid_parameter", "ticker", "has to be a ticker"),
        ("market", {"ticker": "kxa"}, "invalid_parameter", "ticker", "capital letters"),
        ("market", {"ticker": ".."}, "invalid_parameter", "ticker", "has to be a ticker"),
        ("market", {"ticker": "A/B"}, "invalid_parameter", "ticker", "has to be a ticker"),
        ("market", {"ticker": "A" * 65}, "invalid_parameter", "ticker", "has to be a ticker"),
        ("makret", {}, "unknown_inquiry", "name", "no such read: 'makret'"),
        ("market", {"ticker": "A", "x": 1}, "unknown_parameter", "x", "it takes ticker"),
        ("account_limits", {"x": 1}, "unknown_parameter", "x", "takes no parameters"),
        ("markets", {"limit": 1_001}, "invalid_parameter", "limit", "from 0 to 1000"),
        ("markets", {"limit": -1}, "invalid_parameter", "limit", "from 0 to 1000"),
        ("markets", {"limit": True}, "invalid_parameter", "limit", "from 0 to 1000"),
        ("markets", {"limit": "١"}, "invalid_parameter", "limit", "from 0 to 1000"),
        ("markets", {"limit": ""}, "invalid_parameter", "limit", "from 0 to 1000"),
        ("events", {"limit": 201}, "invalid_parameter", "limit", "from 1 to 200"),
        ("deposits", {"limit": 501}, "invalid_parameter", "limit", "from 1 to 500"),
        ("shard_transfers", {"limit": 501}, "invalid_parameter", "limit", "from 1 to 500"),
        ("shard_transfers", {"limit": 0}, "invalid_parameter", "limit", "from 1 to 500"),
        ("shard_transfers", {"cursor": ""}, "invalid_parameter", "cursor", "1 to 2048"),
        ("shard_transfer", {}, "missing_parameter", "transfer_id", "needs transfer_id: an id"),
        ("shard_transfer", {"transfer_id": ".."}, "invalid_parameter", "transfer_id", "1 to 64"),
        ("shard_transfer", {"transfer_id": "a/b"}, "invalid_parameter", "transfer_id", "1 to 64"),
        ("shard_transfer", {"transfer_id": "a" * 65}, "invalid_parameter", "transfer_id", "1 to"),
        ("subaccount_transfers", {"limit": 1_001}, "invalid_parameter", "limit", "1 to 1000"),
        ("subaccount_transfers", {"subaccount": 1}, "unknown_parameter", "subaccount", "takes"),
        ("subaccount_netting", {"limit": 1}, "unknown_parameter", "limit", "no parameters"),
        ("fills", {"limit": 0}, "invalid_parameter", "limit", "from 1 to 1000"),
        ("fills", {"subaccount": 64}, "invalid_parameter", "subaccount", "0 to 63, or all"),
        ("positions", {"subaccount": "all"}, "invalid_parameter", "subaccount", "0 to 63"),
        ("fills", {"order_id": "o1"}, "invalid_parameter", "order_id", "a UUID"),
        ("fills", {"ticker": MANY}, "invalid_parameter", "ticker", "1 to 100 tickers"),
        ("orderbooks", {"tickers": MANY}, "invalid_parameter", "tickers", "1 to 100 tickers"),
        ("orderbooks", {"tickers": "A,,B"}, "invalid_parameter", "tickers", "1 to 100 tickers"),
        ("orderbooks", {"tickers": ()}, "invalid_parameter", "tickers", "1 to 100 tickers"),
        ("orders", {"event_ticker": MANY[:11]}, "invalid_parameter", "event_ticker", "1 to 10"),
        ("orders", {"status": "open"}, "invalid_parameter", "status", "resting, canceled"),
        ("trades", {"is_block_trade": "1"}, "invalid_parameter", "is_block_trade", "true, false"),
        ("trades", {"min_ts": 9, "max_ts": 8}, "invalid_parameter", "max_ts", "is before min_ts"),
        ("trades", {"min_ts": 1_781_159_400_000}, "invalid_parameter", "min_ts", "Unix seconds"),
        ("trades", {"cursor": "a\n"}, "invalid_parameter", "cursor", "printable"),
        ("trades", {"cursor": "a" * 2_049}, "invalid_parameter", "cursor", "1 to 2048"),
        ("orderbook", {"ticker": "A", "depth": 101}, "invalid_parameter", "depth", "0 to 100"),
        ("markets", {"min_updated_ts": 1, "status": "open"}, "invalid_parameter", "status",
         "can't go with min_updated_ts"),
        ("multivariate_events", {"series_ticker": "A", "collection_ticker": "B"},
         "invalid_parameter", "collection_ticker", "can't go with series_ticker"),
        ("candlesticks", {**PAIR, **HOUR, "period_interval": 5}, "invalid_parameter",
         "period_interval", "one of 1, 60, 1440"),
        ("candlesticks", {**PAIR, **HOUR, "start_ts": 3_601}, "invalid_parameter", "end_ts",
         "is before start_ts"),
        ("candlesticks", {**PAIR, **HOUR, "end_ts": 600_000}, "invalid_parameter", "end_ts",
         "10001 candles, at most 10000"),
        ("candlesticks_of_markets", {"market_tickers": MANY[:100], **HOUR, "end_ts": 6_000},
         "invalid_parameter", "end_ts", "10100 candles, at most 10000"),
    ],
)  # fmt: skip
def test_what_can_not_be_asked(name: str, said: Any, code: str, field: str, says: str) -> None:
    with pytest.raises(UnfitInquiry) as raised:
        inquiries.call(name, said)
    assert (raised.value.code, raised.value.field) == (code, field)
    assert says in raised.value.text
    assert name[:50] in raised.value.text


def test_the_most_candles_that_go() -> None:
    inquiries.call("candlesticks", {**PAIR, **HOUR, "end_ts": 599_940})
    asked = {"market_tickers": MANY[:100], **HOUR, "end_ts": 5_940}
    inquiries.call("candlesticks_of_markets", asked)
    with pytest.raises(UnfitInquiry, match="10100 candles"):
        inquiries.call("candlesticks_of_markets", {**asked, "include_latest_before_start": True})


words = st.sampled_from(sorted({p.name for i in INQUIRIES.values() for p in i.parameters}))
said = st.text(max_size=8) | st.integers() | st.booleans() | st.lists(st.text()).map(tuple)


@given(st.sampled_from(sorted(INQUIRIES)), st.dictionaries(words | st.text(), said, max_size=4))
def test_anything_that_is_said_is_a_call_or_one_clear_error(name: str, asked: Any) -> None:
    try:
        call = inquiries.call(name, asked)
    except UnfitInquiry as e:
        assert e.text
        assert e.field in asked or e.code == "missing_parameter" or e.field[:50] in str(asked)
        return
    assert call.path.startswith("/")
    assert ".." not in call.path.split("/")


@given(st.sampled_from(sorted(INQUIRIES)), st.binary() | st.text().map(str.encode))
def test_any_body_is_proved_or_one_clear_error(name: str, body: bytes) -> None:
    try:
        inquiries.proved(name, body)
    except RemoteProtocolError as e:
        assert str(e)


def test_a_path_is_found_and_a_word_of_the_exchange_s_is_no_name() -> None:
    for inquiry in INQUIRIES.values():
        path = inquiry.path.format_map(dict.fromkeys(inquiry_parts(inquiry.path), "KXA-1"))
        found = inquiries.find(path)
        assert found == (inquiry, dict.fromkeys(inquiry_parts(inquiry.path), "KXA-1"))
    assert inquiries.find("/markets/") is None
    assert inquiries.find("/markets/KXA-1/orderbook/") is None
    assert inquiries.find("/portfolio/events/orders") is None


def inquiry_parts(path: str) -> list[str]:
    return [piece[1:-1] for piece in path.split("/") if piece.startswith("{")]


def test_the_cost_of_an_order_is_not_that_of_queue_positions() -> None:
    """The exchange prices one order at 2; what stands where its id does is another call."""
    row = EndpointCost("GET", "/trade-api/v2/portfolio/orders/:order_id", 2)
    costs = Costs(CostsBody(10, (row,)))
    assert costs.of(inquiries.call("order", {"order_id": ORDER_ID})) == 2
    assert costs.of(inquiries.call("queue_positions", {})) == 10
    assert costs.of(inquiries.call("queue_position", {"order_id": ORDER_ID})) == 10
