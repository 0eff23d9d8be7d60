"""REST bodies, member for member as the captures show them (captures/rest/demo-2026-06-11)."""

from typing import Any, Final

from actors.paper import fixed
from actors.paper.account import Account, Fill, Order, Position
from actors.paper.bucket import (
    DEFAULT_COST,
    READ_CAPACITY,
    READ_REFILL,
    WRITE_CAPACITY,
    WRITE_REFILL,
)
from actors.paper.exchange import Exchange
from actors.paper.fixed import DOLLAR, contracts, dollars4, dollars6
from actors.paper.frames import USER_ID, levels
from actors.paper.market import Market
from actors.paper.matching import Side
from actors.paper.occurrences import Traded

Body = dict[str, Any]

ORDERS: Final = "/trade-api/v2/portfolio/events/orders"
COSTS: Final = (  # (cost, method, path) of what is served here and is not the default
    (2, "DELETE", ORDERS),
    (2, "DELETE", f"{ORDERS}/:order_id"),
    (2, "GET", "/trade-api/v2/portfolio/orders/:order_id"),
)


def limits() -> Body:
    """As `account__limits`, of the Advanced tier."""
    return {
        "grants": [],
        "read": {"bucket_capacity": READ_CAPACITY, "refill_rate": READ_REFILL},
        "usage_tier": "advanced",
        "write": {"bucket_capacity": WRITE_CAPACITY, "refill_rate": WRITE_REFILL},
    }


def endpoint_costs() -> Body:
    """As `account__endpoint_costs`."""
    costs = [{"cost": cost, "method": method, "path": path} for cost, method, path in COSTS]
    return {"default_cost": DEFAULT_COST, "endpoint_costs": costs}


def balance(account: Account, exchange: Exchange, at: int) -> Body:
    """As `auth__balance_ok`: `balance` is cut to whole cents."""
    available = account.available()
    value = sum(_value(p, exchange.markets.get(p.ticker)) for p in account.positions.values())
    return {
        "balance": available // 10_000,
        "balance_breakdown": [{"balance": dollars4(available), "exchange_index": 0}],
        "balance_dollars": dollars4(available),
        "portfolio_value": value // 10_000,
        "updated_ts": at // fixed.SECOND,
    }


def _value(position: Position, market: Market | None) -> int:
    if market is None or not market.last_price:
        return position.cost
    side = Side.BID if position.count > 0 else Side.ASK
    return fixed.cost(side.own_price(market.last_price), abs(position.count))


def order(found: Order) -> Body:
    """As `orders__get_after_create` has it inside `order`."""
    placed = found.placed
    body: Body = {
        "action": "buy" if found.side is Side.BID else "sell",
        "book_side": placed.side,
        "client_order_id": placed.client_order_id,
        "created_time": fixed.rfc3339(placed.at),
        "fill_count_fp": contracts(found.filled),
        "initial_count_fp": contracts(placed.count),
        "last_update_time": fixed.rfc3339(found.updated),
        "maker_fees_dollars": dollars6(0),
        "maker_fill_cost_dollars": dollars6(found.maker_cost),
        "no_price_dollars": dollars4(DOLLAR - placed.price),
        "order_id": placed.order_id,
        "outcome_side": found.side.outcome,
        "remaining_count_fp": contracts(found.remaining),
        "self_trade_prevention_type": placed.on_self,
        "side": "yes",
        "status": found.status,
        "subaccount_number": 0,
        "taker_fees_dollars": dollars6(found.taker_fees),
        "taker_fill_cost_dollars": dollars6(found.taker_cost),
        "ticker": placed.ticker,
        "type": "limit",
        "user_id": USER_ID,
        "yes_price_dollars": dollars4(placed.price),
    }
    if placed.expires:
        body["expiration_time"] = fixed.rfc3339(placed.expires)
    return body


def fill(found: Fill) -> Body:
    """As `fills__after_taker`: no client_order_id."""
    entry, side, ticker = found.entry, found.order.side, found.order.placed.ticker
    return {
        "action": "buy" if side is Side.BID else "sell",
        "book_side": side.value,
        "count_fp": contracts(entry.count),
        "created_time": fixed.rfc3339(entry.at),
        "fee_cost": dollars6(entry.fee),
        "fill_id": entry.trade_id,
        "is_taker": entry.taker,
        "market_ticker": ticker,
        "no_price_dollars": dollars4(DOLLAR - entry.price),
        "order_id": entry.order_id,
        "outcome_side": side.outcome,
        "side": "yes",
        "subaccount_number": 0,
        "ticker": ticker,
        "trade_id": entry.trade_id,
        "ts": entry.at // fixed.SECOND,
        "yes_price_dollars": dollars4(entry.price),
    }


def position(found: Position, resting: int) -> Body:
    """One of `market_positions` in `portfolio__positions`."""
    return {
        "fees_paid_dollars": dollars6(found.fees),
        "last_updated_ts": fixed.rfc3339(found.updated),
        "market_exposure_dollars": dollars6(found.cost),
        "position_fp": contracts(found.count),
        "realized_pnl_dollars": dollars6(found.realized),
        "resting_orders_count": resting,
        "ticker": found.ticker,
        "total_traded_dollars": dollars6(found.traded),
    }


def event_position(event_ticker: str, found: list[Position]) -> Body:
    """One of `event_positions` in `portfolio__positions`."""
    return {
        "event_exposure_dollars": dollars6(sum(p.cost for p in found)),
        "event_ticker": event_ticker,
        "fees_paid_dollars": dollars6(sum(p.fees for p in found)),
        "realized_pnl_dollars": dollars6(sum(p.realized for p in found)),
        "total_cost_dollars": dollars6(sum(p.traded for p in found)),
        "total_cost_shares_fp": contracts(sum(p.volume for p in found)),
    }


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
    return {
        "can_close_early": True,
        "close_time": closes,
        "created_time": opened,
        "early_close_condition": "This market will close and expire early if the event occurs.",
        "event_ticker": found.event_ticker,
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
        "price_level_structure": found.structure,
        "price_ranges": [
            {"end": dollars4(s.end), "start": dollars4(s.start), "step": dollars4(s.step)}
            for s in found.grid
        ],
        "response_price_units": "usd_cent",
        "result": "",
        "rules_primary": f"{found.title}: a market of the paper exchange, which never settles.",
        "rules_secondary": "",
        "settlement_timer_seconds": 60,
        "status": "active",
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


def event(found: list[Market], at: int, nested: bool) -> Body:
    """An EventData of the specification, over markets of one event."""
    first = found[0]
    body: Body = {
        "available_on_brokers": False,
        "category": "Paper",
        "collateral_return_type": "",
        "event_ticker": first.event_ticker,
        "mutually_exclusive": False,
        "series_ticker": first.series_ticker,
        "settlement_sources": [],
        "strike_period": "",
        "sub_title": first.event_ticker,
        "title": first.event_ticker,
    }
    if nested:
        body["markets"] = [market(m, at) for m in found]
    return body


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
