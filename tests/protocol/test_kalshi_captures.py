"""Every recorded REST answer, read by the code that will read the next one.

The table names each recording, its reader, and what has to come out. A recording without a row
fails, and so does a row without a recording. How the calls were asked stands in
`test_captured_calls.py`.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from msgspec import Struct

from protocol.kalshi import answers, inquiries
from protocol.kalshi.answers import (
    BalanceBody,
    Canceled,
    CostsBody,
    Created,
    FillPage,
    LimitsBody,
    MarketPage,
    MarketRows,
    OneMarket,
    OneOrder,
    OrderPage,
    OrderRow,
    Refusal,
)
from protocol.kalshi.portfolio import PositionPage, SettlementPage
from protocol.kalshi.status import StatusBody
from protocol.units import parse_count, parse_price

REST = Path(__file__).parents[3] / "shared" / "captures" / "rest"
JUNE_11 = REST / "demo-2026-06-11"
JUNE_30 = REST / "demo-2026-06-30-books.jsonl"
recorded = pytest.mark.skipif(not REST.exists(), reason="the captures are not beside this checkout")


class Capture(Struct):
    method: str
    path: str
    status: int
    body: bytes
    request: dict[str, Any]


Reader = Callable[[Capture], Any]


def load(name: str) -> Capture:
    """One market listing came without its meta: a plain 200."""
    path = JUNE_11 / f"{name}.meta.json"
    about = json.loads(path.read_text()) if path.exists() else {}
    return Capture(
        about.get("method", "GET"),
        about.get("path", ""),
        about.get("status", 200),
        (JUNE_11 / f"{name}.json").read_bytes(),
        about.get("request_body") or {},
    )


# Readers: each gives the essence of what the gateway would make of the answer


def created(capture: Capture) -> Any:
    id = capture.request["client_order_id"]
    count = capture.request["count"]
    asked = parse_count(count) if isinstance(count, str) else None
    found = answers.outcome(id, capture.status, capture.body, asked)
    assert not isinstance(answers.outcome("another", capture.status, capture.body, asked), Created)
    match found:
        case Created():
            return int(found.fill_count), int(found.remaining_count), found.ts_ms
        case Refusal():
            return capture.status, found.code, found.text
    return found


def canceled(capture: Capture) -> Any:
    id = capture.path.rpartition("/")[2]
    found = answers.canceled(id, capture.status, capture.body)
    if isinstance(found, Canceled):
        assert isinstance(answers.canceled("another", capture.status, capture.body), str | Canceled)
        return int(found.reduced_by), found.ts_ms
    assert isinstance(found, Refusal)
    return capture.status, found.code, found.text


def balance(capture: Capture) -> Any:
    if capture.status != 200:
        return refused(capture)
    body: BalanceBody = answers.read(capture.body, BalanceBody)
    return int(body.balance_dollars), [(s.exchange_index, int(s.balance)) for s in
                                       body.balance_breakdown]  # fmt: skip


def refused(capture: Capture) -> Any:
    found = answers.refusal(capture.body)
    return None if found is None else (capture.status, found.code, found.text)


def order(row: OrderRow) -> Any:
    fact = row.fact()
    counts = int(fact.initial), int(fact.filled), int(fact.remaining)
    return fact.side, int(fact.price), fact.status, *counts, fact.updated_at


def one_order(capture: Capture) -> Any:
    return order(answers.read(capture.body, OneOrder).order)


def order_page(capture: Capture) -> Any:
    page: OrderPage = answers.read(capture.body, OrderPage)
    found = [order(row) for row in page.orders]
    return len(found), found[0], page.cursor


def fill_page(capture: Capture) -> Any:
    page: FillPage = answers.read(capture.body, FillPage)
    facts = [row.fact() for row in page.fills]
    return [(f.side, int(f.price), int(f.count), int(f.fee), f.exchange_at) for f in facts]


def positions(capture: Capture) -> Any:
    page: PositionPage = answers.read(capture.body, PositionPage)
    rows = [(int(p.position_fp), int(p.market_exposure_dollars)) for p in page.market_positions]
    return rows, page.cursor


def settlements(capture: Capture) -> Any:
    page: SettlementPage = answers.read(capture.body, SettlementPage)
    return [row.fact() for row in page.settlements], page.cursor


def market_page(capture: Capture) -> Any:
    """How many there are, their states and grids, and whether the listing goes on."""
    rows: MarketRows = answers.read(capture.body, MarketRows)
    names: MarketPage = answers.read(capture.body, MarketPage)
    assert [m.ticker for m in names.markets] == [m.ticker for m in rows.markets]
    assert names.cursor == rows.cursor
    grids = {(int(r.start), int(r.end), int(r.step)) for m in rows.markets for r in m.price_ranges}
    assert all(len(m.price_ranges) == 1 and m.exchange_index == 0 for m in rows.markets)
    return len(rows.markets), sorted({m.status for m in rows.markets}), grids, bool(rows.cursor)


def one_market(capture: Capture) -> Any:
    market = answers.read(capture.body, OneMarket).market
    return market.ticker, market.status, int(market.close_time)


def limits(capture: Capture) -> Any:
    body: LimitsBody = answers.read(capture.body, LimitsBody)
    buckets = [(b.bucket_capacity, b.refill_rate) for b in (body.read, body.write)]
    return body.usage_tier, *buckets, body.grants


def costs(capture: Capture) -> Any:
    body: CostsBody = answers.read(capture.body, CostsBody)
    return body.default_cost, len(body.endpoint_costs)


def book(capture: Capture) -> Any:
    shown: Any = inquiries.typed("orderbook", capture.body)
    sides = shown.orderbook_fp.yes_dollars, shown.orderbook_fp.no_dollars
    return [[(int(price), int(count)) for price, count in levels] for levels in sides]


def trades(capture: Capture) -> Any:
    page: Any = inquiries.typed("trades", capture.body)
    kinds = {(t.ticker, t.is_block_trade, int(t.yes_price_dollars)) for t in page.trades}
    first = page.trades[0]
    return len(page.trades), kinds, int(first.count_fp), first.created_time, bool(page.cursor)


def fee_changes(capture: Capture) -> Any:
    page: Any = inquiries.typed("series_fee_changes", capture.body)
    return list(page.series_fee_change_arr)


def status(capture: Capture) -> Any:
    body: StatusBody = answers.read(capture.body, StatusBody)
    return body.exchange_active, body.trading_active, body.resumes_at, body.shards


NOT_FOUND = (404, "not_found", "not found")
MONEY = (98_018_600, [(0, 98_018_600)])
CENTS = {(0, 1_000_000, 10_000)}
TENTHS = {(0, 1_000_000, 1_000)}
LEP = ("KXWTACHALLENGERMATCH-26JUN11JIMLEP-LEP", "active", 1_782_403_200_000_000)
EXPIRED = (401, "header_timestamp_expired", "header timestamp expired")
OVER_MAX_TEXT = (
    "Parameter validation failed for GetMarkets: Key: 'GetMarketsParams.Limit' "
    "Error:Field validation for 'Limit' failed on the 'lte' tag"
)
OVER_MAX = (400, OVER_MAX_TEXT[:100], OVER_MAX_TEXT)
EXISTS = "status 409: order_already_exists"

TABLE: dict[str, tuple[Reader, Any]] = {
    "account__endpoint_costs": (costs, (10, 16)),
    "account__limits": (limits, ("basic", (200, 200), (100, 100), ())),
    "auth__bad_signature": (
        balance,
        (401, "authentication_error", "INCORRECT_API_KEY_SIGNATURE"),
    ),
    "auth__balance_alt_host": (balance, MONEY),
    "auth__balance_ok": (balance, MONEY),
    "auth__missing_signature_header": (
        balance,
        (401, "signature_is_missing_from_headers", "signature is missing from headers"),
    ),
    "auth__skew_minus30s": (balance, EXPIRED),
    "auth__skew_minus5min": (balance, EXPIRED),
    "auth__skew_minus5s": (balance, MONEY),
    "auth__skew_plus5min": (balance, EXPIRED),
    "auth__skew_plus5s": (balance, MONEY),
    "auth__unknown_key_id": (balance, (401, "authentication_error", "NOT_FOUND")),
    "cleanup__leftover_0": (canceled, NOT_FOUND),
    "cleanup__leftover_1": (canceled, NOT_FOUND),
    "cleanup__leftover_2": (canceled, NOT_FOUND),
    "cleanup__stp_resting": (canceled, (100, 1_781_159_383_109)),
    "exchange__status": (status, (True, True, None, ())),
    "fills__after_taker": (
        fill_page,
        [
            ("bid", 520_000, 100, 17_500, 1_781_159_370_164_956),
            ("bid", 990_000, 100, 700, 1_781_159_138_796_711),
            ("bid", 990_000, 100, 700, 1_781_159_123_609_242),
        ],
    ),
    "markets__garbage_cursor": (market_page, (5, ["initialized"], CENTS, True)),
    "markets__high_temp": (market_page, (18, ["active", "determined"], CENTS, False)),
    "markets__limit_over_max": (refused, OVER_MAX),
    "markets__page1": (market_page, (5, ["initialized"], CENTS, True)),
    "markets__page2": (market_page, (5, ["initialized"], CENTS, True)),
    "markets__page3": (market_page, (5, ["initialized"], CENTS, True)),
    "markets__single": (one_market, LEP),
    "markets__single_filter_lastpage": (market_page, (1, ["active"], CENTS, False)),
    "markets__status_closed": (market_page, (5, ["determined"], CENTS, True)),
    "markets__status_open": (market_page, (200, ["active"], CENTS | TENTHS, True)),
    "markets__status_settled": (market_page, (5, ["finalized"], CENTS | TENTHS, True)),
    "markets__unauth_list": (market_page, (2, ["initialized"], CENTS, True)),
    "markets__unauth_single": (one_market, LEP),
    "orderbook__base": (book, [[(470_000, 300)], [(480_000, 300)]]),
    "orders__cancel_already_canceled": (canceled, NOT_FOUND),
    "orders__cancel_executed": (canceled, NOT_FOUND),
    "orders__cancel_unknown_id": (canceled, NOT_FOUND),
    "orders__cancel_v2": (canceled, (100, 1_781_159_364_112)),
    "orders__create_v2_maker": (created, (0, 100, 1_781_159_360_866)),
    "orders__create_v2_taker_ioc": (created, (100, 0, 1_781_159_370_164)),
    "orders__duplicate_client_order_id": (created, EXISTS),
    "orders__get_after_cancel": (
        one_order,
        ("bid", 10_000, "resting", 100, 0, 100, 1_781_159_360_866),
    ),
    "orders__get_after_create": (
        one_order,
        ("bid", 10_000, "resting", 100, 0, 100, 1_781_159_360_866),
    ),
    "orders__insufficient_balance": (
        created,
        (400, "insufficient_balance", "insufficient balance"),
    ),
    "orders__invalid_price_structure": (created, (400, "invalid_price", "invalid price")),
    # The old call: it names the order within another object, which is no answer to ours.
    "orders__legacy_create": (created, "201 without the order: "),
    "orders__legacy_cancel": (canceled, (0, 0)),
    "orders__numeric_field_types": (
        created,
        (
            400,
            "bad_request",
            "json: cannot unmarshal number into Go struct field "
            "CreateOrderV2Request.count of type string",
        ),
    ),
    "orders__post_only_cross": (created, (400, "invalid_order", "post only cross")),
    "orders__reuse_canceled_client_id": (created, EXISTS),
    "orders__settlement_seed": (created, (100, 0, 1_781_159_385_347)),
    "orders__stp_resting_after": (
        one_order,
        ("bid", 480_000, "resting", 100, 0, 100, 1_781_159_379_877),
    ),
    "orders__stp_self_cross": (created, (0, 0, 1_781_159_381_287)),
    "orders__stp_setup": (created, (0, 100, 1_781_159_379_877)),
    "portfolio__orders_list": (
        order_page,
        (9, ("bid", 990_000, "executed", 100, 100, 0, 1_781_159_370_164), ""),
    ),
    "portfolio__positions": (positions, ([(300, 2_500_000)], "")),
    "series__fee_changes": (fee_changes, []),
    "settlements__end_of_session": (settlements, ([], "")),
    "settlements__page": (settlements, ([], "")),
    "trades__public_recorded": (
        trades,
        (12, {("KXPGATOUR-USO26-JDAY", False, 30_000)}, 777, 1_781_538_522_609_997, True),
    ),
}


@recorded
def test_every_recording_has_its_row() -> None:
    names = {p.stem for p in JUNE_11.glob("*.json") if not p.name.endswith(".meta.json")}
    assert names == TABLE.keys()
    assert len(names) > 50


@recorded
@pytest.mark.parametrize("name", TABLE)
def test_a_recorded_answer_is_read(name: str) -> None:
    reader, want = TABLE[name]
    got = reader(load(name))
    assert got == want or (isinstance(want, str) and str(got).startswith(want)), got


@recorded
def test_the_answers_recorded_beside_the_stream() -> None:
    rows = [json.loads(line) for line in JUNE_30.read_text().splitlines() if line.strip()]
    assert len(rows) == 6
    for row in rows:
        body = row["response_body"].encode()
        assert (row["status"], answers.refusal(body)) == (200, None)
        if row["url"].endswith("/portfolio/positions"):
            page: PositionPage = answers.read(body, PositionPage)
            assert [int(p.position_fp) for p in page.market_positions] == [0] * 4
        else:
            assert row["url"].endswith("/orderbook")
            levels = json.loads(row["response_body"])["orderbook_fp"]
            assert book(Capture("GET", "", 200, body, {})) == [
                [(int(parse_price(p)), int(parse_count(c))) for p, c in levels[side]]
                for side in ("yes_dollars", "no_dollars")
            ]
