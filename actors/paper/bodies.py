"""REST bodies of the account, as the captures show them (captures/rest/demo-2026-06-11)."""

from typing import Any, Final

from actors.paper import fixed
from actors.paper.account import Fill, Settlement
from actors.paper.bucket import CHEAP, DEFAULT_COST, TIERS, Budgets, Rate
from actors.paper.collateral import Order
from actors.paper.fixed import DOLLAR, contracts, dollars4, dollars6
from actors.paper.frames import USER_ID
from actors.paper.groups import Group
from actors.paper.matching import Side
from actors.paper.positions import Position

Body = dict[str, Any]

ORDERS: Final = "/trade-api/v2/portfolio/events/orders"
COSTS: Final = (  # (cost, method, path) of what is served here and is not the default
    (CHEAP, "DELETE", ORDERS),
    (CHEAP, "DELETE", f"{ORDERS}/:order_id"),
    (CHEAP, "DELETE", f"{ORDERS}/batched"),  # each member; a batch of creates costs the default
    (CHEAP, "GET", "/trade-api/v2/portfolio/orders/:order_id"),
)


def limits(budgets: Budgets) -> Body:
    """As `account__limits`. A tier above Advanced is a grant; so is one that ends."""
    tier, grants = TIERS[budgets.tier], []
    if budgets.tier not in ("basic", "advanced") or budgets.expires is not None:
        grant = {
            "exchange_instance": "event_contract",
            "level": budgets.tier,
            "source": "manual",
        }
        ends = {} if budgets.expires is None else {"expires_ts": budgets.expires // fixed.SECOND}
        grants.append(grant | ends)
    return {
        "grants": grants,
        "read": _bucket(tier.read),
        "usage_tier": budgets.tier,
        "write": _bucket(tier.write),
    }


def _bucket(rate: Rate) -> Body:
    return {"bucket_capacity": rate.capacity, "refill_rate": rate.refill}


def endpoint_costs() -> Body:
    """As `account__endpoint_costs`."""
    costs = [{"cost": cost, "method": method, "path": path} for cost, method, path in COSTS]
    return {"default_cost": DEFAULT_COST, "endpoint_costs": costs}


def created(order: Order, at: int) -> Body:
    """As `orders__create_v2_maker` and `orders__create_v2_taker_ioc`."""
    body: Body = _named(order) | {
        "fill_count": contracts(order.filled),
        "remaining_count": contracts(order.remaining),
        "ts_ms": at // 1_000,
    }
    if order.filled:
        body |= _averages(order.side, order.filled, order.taker_cost, order.taker_fees)
    return body


def amended(order: Order, before: Order, at: int) -> Body:
    """AmendOrderV2Response: what has no news is null. `before` is the order as it was."""
    count = order.filled - before.filled
    news = bool(count) or order.remaining != before.remaining
    averages: Body = {"average_fill_price": None, "average_fee_paid": None}
    if count:
        cost, fees = order.taker_cost - before.taker_cost, order.taker_fees - before.taker_fees
        averages = _averages(order.side, count, cost, fees)
    counts = {
        "fill_count": contracts(count) if news else None,
        "remaining_count": contracts(order.remaining) if news else None,
    }
    return _named(order) | counts | averages | {"ts_ms": at // 1_000}


def decreased(order: Order, at: int) -> Body:
    """DecreaseOrderV2Response."""
    return _named(order) | {
        "remaining_count": contracts(order.remaining),
        "ts_ms": at // 1_000,
    }


def _named(order: Order) -> Body:
    named = {"order_id": order.placed.order_id}
    if order.placed.client_order_id:
        named["client_order_id"] = order.placed.client_order_id
    return named


def _averages(side: Side, count: int, cost: int, fees: int) -> Body:
    paid = _nearest(cost * fixed.CONTRACT, count)
    return {
        "average_fill_price": dollars4(side.own_price(paid)),
        "average_fee_paid": dollars4(_nearest(fees * fixed.CONTRACT, count)),
    }


def _nearest(total: int, count: int) -> int:
    """Micro-dollars per contract, to the nearest $0.0001."""
    return (total + 50 * count) // (100 * count) * 100


def canceled(order_id: str, reduced: int, at: int) -> Body:
    """As `orders__cancel_v2`: no client_order_id; the wire wins over the specification."""
    return {"order_id": order_id, "reduced_by": contracts(reduced), "ts_ms": at // 1_000}


def order(found: Order, exchange_index: int) -> Body:
    """As `orders__get_after_create` has it inside `order`."""
    placed = found.placed
    body: Body = {
        "action": "buy" if found.side is Side.BID else "sell",
        "book_side": placed.side,
        "client_order_id": placed.client_order_id,
        "created_time": fixed.rfc3339(placed.at),
        "exchange_index": exchange_index,
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
    if placed.order_group_id:
        body["order_group_id"] = placed.order_group_id
    if placed.cancel_on_pause:
        body["cancel_order_on_pause"] = True
    return body


def group(found: Group) -> Body:
    """An OrderGroup of the specification, without its id.

    Auto-cancel is enabled in all of them; whether one is triggered no read says.
    """
    return {
        "contracts_limit_fp": contracts(found.limit),
        "exchange_index": found.exchange_index,
        "is_auto_cancel_enabled": True,
    }


def fill(found: Fill, exchange_index: int) -> Body:
    """As `fills__after_taker`: no client_order_id."""
    entry, side, ticker = found.entry, found.order.side, found.order.placed.ticker
    return {
        "action": "buy" if side is Side.BID else "sell",
        "book_side": side.value,
        "count_fp": contracts(entry.count),
        "created_time": fixed.rfc3339(entry.at),
        "exchange_index": exchange_index,
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


def position(found: Position, resting: int, exchange_index: int) -> Body:
    """One of `market_positions` in `portfolio__positions`."""
    return {
        "exchange_index": exchange_index,
        "fees_paid_dollars": dollars6(found.fees),
        "last_updated_ts": fixed.rfc3339(found.updated),
        "market_exposure_dollars": dollars6(found.cost),
        "position_fp": contracts(found.count),
        "realized_pnl_dollars": dollars6(found.realized),
        "resting_orders_count": resting,
        "ticker": found.ticker,
        "total_traded_dollars": dollars6(found.traded),
    }


def settlement(found: Settlement, event_ticker: str, exchange_index: int) -> Body:
    """A Settlement of the specification; `revenue` and `value` in cents."""
    yes, entry = found.count > 0, found.entry
    return {
        "event_ticker": event_ticker,
        "exchange_index": exchange_index,
        "fee_cost": dollars6(found.fees),
        "market_result": entry.result,
        "no_count_fp": contracts(0 if yes else -found.count),
        "no_total_cost_dollars": dollars6(0 if yes else found.cost),
        "revenue": found.revenue // 10_000,
        "settled_time": fixed.rfc3339(entry.at),
        "ticker": entry.ticker,
        "value": 100 if entry.result == "yes" else 0,
        "yes_count_fp": contracts(found.count if yes else 0),
        "yes_total_cost_dollars": dollars6(found.cost if yes else 0),
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
