"""REST bodies of what is public: markets, events, series, books and prints."""

from typing import Any

from actors.paper import eastern, fixed
from actors.paper.entries import FeeOverridden
from actors.paper.fixed import DOLLAR, contracts, dollars4
from actors.paper.frames import levels
from actors.paper.life_frames import grid_members
from actors.paper.market import Market
from actors.paper.matching import Side
from actors.paper.occurrences import Traded

Body = dict[str, Any]


def orderbook(market: Market | None, depth: int) -> Body:
    """As `orderbook__base`; an unknown ticker has an empty book. Depth 0 = every level."""
    sides: Body = {"no_dollars": [], "yes_dollars": []}
    if market is not None:
        for side, key in ((Side.BID, "yes_dollars"), (Side.ASK, "no_dollars")):
            sides[key] = levels(market, side, yes_price=False)[-depth:]
    return {"orderbook_fp": sides}


def trade(found: Traded, at: int) -> Body:
    """One of `trades__public_recorded`."""
    return {
        "count_fp": contracts(found.count),
        "created_time": fixed.rfc3339(at),
        "is_block_trade": False,
        "no_price_dollars": dollars4(DOLLAR - found.price),
        "taker_book_side": found.taker.value,
        "taker_outcome_side": found.taker.outcome,
        "taker_side": found.taker.outcome,
        "ticker": found.market.ticker,
        "trade_id": found.trade_id,
        "yes_price_dollars": dollars4(found.price),
    }


def market(found: Market, at: int) -> Body:
    """As `markets__single`. An empty bid side is 0.0000, an empty ask side 1.0000."""
    bid, bid_count, ask, ask_count = found.top()
    bid, ask = (0 if bid is None else bid), (DOLLAR if ask is None else ask)
    closes = fixed.rfc3339(found.closes)
    opened = fixed.rfc3339(found.opened)
    body: Body = {
        "can_close_early": True,
        "close_time": closes,
        "created_time": opened,
        "early_close_condition": "This market will close and expire early if the event occurs.",
        "event_ticker": found.event_ticker,
        "exchange_index": found.exchange_index,
        "expected_expiration_time": closes,
        "expiration_time": closes,
        "expiration_value": "",
        "fractional_trading_enabled": True,
        "last_price_dollars": dollars4(found.last_price),
        "latest_expiration_time": closes,
        "liquidity_dollars": "0.0000",
        "market_type": "binary",
        "no_ask_dollars": dollars4(DOLLAR - bid),
        "no_bid_dollars": dollars4(DOLLAR - ask),
        "no_sub_title": found.title,
        "notional_value_dollars": "1.0000",
        "occurrence_datetime": closes,
        "open_interest_fp": contracts(found.open_interest),
        "open_time": opened,
        "previous_price_dollars": "0.0000",
        "previous_yes_ask_dollars": "0.0000",
        "previous_yes_bid_dollars": "0.0000",
        **grid_members(found),
        "response_price_units": "usd_cent",
        "result": found.result,
        "rules_primary": f"{found.title}: a market of the paper exchange.",
        "rules_secondary": "",
        "settlement_timer_seconds": 60,
        "status": found.status,
        "strike_type": "structured",
        "ticker": found.ticker,
        "title": found.title,
        "updated_time": fixed.rfc3339(at),
        "volume_24h_fp": contracts(found.volume),
        "volume_fp": contracts(found.volume),
        "yes_ask_dollars": dollars4(ask),
        "yes_ask_size_fp": contracts(ask_count),
        "yes_bid_dollars": dollars4(bid),
        "yes_bid_size_fp": contracts(bid_count),
        "yes_sub_title": found.title,
    }
    if found.result:
        body["settlement_ts"] = fixed.rfc3339(found.settled)
        body["settlement_value_dollars"] = "1.0000" if found.result == "yes" else "0.0000"
    return body | found.members


def event(found: list[Market], fee: FeeOverridden | None, at: int, nested: bool) -> Body:
    """An EventData of the specification, over markets of one event; `fee` is what overrides."""
    first = found[0]
    body: Body = {
        "available_on_brokers": False,
        "category": "Paper",
        "collateral_return_type": "",
        "event_ticker": first.event_ticker,
        "exchange_index": first.exchange_index,
        "mutually_exclusive": False,
        "series_ticker": first.series_ticker,
        "settlement_sources": [],
        "strike_period": "",
        "sub_title": first.event_ticker,
        "title": first.event_ticker,
    }
    if fee is not None:
        body["fee_type_override"] = fee.fee_type
        body["fee_multiplier_override"] = fee.fee_multiplier
    if nested:
        body["markets"] = [market(m, at) for m in found]
    return body


def fee_change(entry: FeeOverridden) -> Body:
    """An EventFeeChange of the specification."""
    return {
        "id": entry.change_id,
        "event_ticker": entry.event_ticker,
        "series_ticker": entry.event_ticker.partition("-")[0],
        "fee_type_override": entry.fee_type,
        "fee_multiplier_override": entry.fee_multiplier,
        "scheduled_ts": fixed.rfc3339(entry.at),
    }


def schedule(at: int) -> Body:
    """Open round the clock but for Thursday 03:00 to 05:00 ET; and when that is next, in UTC.

    A session that ends at 00:00 lasts until midnight.
    """
    whole = [{"open_time": "00:00", "close_time": "00:00"}]
    thursday = [
        {"open_time": "00:00", "close_time": "03:00"},
        {"open_time": "05:00", "close_time": "00:00"},
    ]
    days = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
    hours: Body = {day: thursday if day == "thursday" else whole for day in days}
    hours |= {"start_time": "2026-01-01T05:00:00Z", "end_time": "2100-01-01T05:00:00Z"}
    begins, ends = eastern.next_pause(at)
    window = {"start_datetime": fixed.rfc3339(begins), "end_datetime": fixed.rfc3339(ends)}
    return {"schedule": {"standard_hours": [hours], "maintenance_windows": [window]}}


def series(ticker: str) -> Body:
    """A Series of the specification; takers pay the quadratic fee, makers nothing."""
    return {
        "additional_prohibitions": [],
        "categories": ["Paper"],
        "category": "Paper",
        "contract_terms_url": "",
        "contract_url": "",
        "fee_multiplier": 1,
        "fee_type": "quadratic",
        "frequency": "custom",
        "settlement_sources": [],
        "tags": [],
        "ticker": ticker,
        "title": ticker,
    }
