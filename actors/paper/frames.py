"""WebSocket frames as bytes, built from the reference (FACTS.md section 4.5, captures/stream).

A frame is an envelope around a body. The body is the same for every subscriber and is encoded
once; the envelope carries what differs: sid, seq and, on an answer, the command's id.
"""

from typing import Any, Final

import msgspec

from actors.paper import fixed
from actors.paper.account import Fill
from actors.paper.collateral import Order
from actors.paper.fixed import contracts, dollars4, dollars6
from actors.paper.market import Market
from actors.paper.matching import Side
from actors.paper.occurrences import LevelMoved, Traded
from actors.paper.positions import Position

USER_ID: Final = "00000000-0000-0000-0000-000000000000"  # as the captures show it

ERRORS: Final = {
    1: "Unable to process message",
    2: "Params required",
    3: "Channels required",
    4: "Subscription IDs required",
    5: "Unknown command",
    7: "Unknown subscription ID",
    8: "Unknown channel name",
    10: "Channel error",
    11: "Invalid parameter",
    12: "Exactly one subscription ID is required",
    13: "Unsupported action",
    14: "Market Ticker required",
    15: "Action required",
    17: "Internal error",
    18: "Command timeout",
    25: "Subscription buffer overflow",
    26: "Subscription market limit exceeded",
}

_encode: Final = msgspec.json.Encoder().encode


def encode(body: Any) -> bytes:
    """JSON bytes of plain dicts, lists, strings, integers and booleans."""
    return _encode(body)


def envelope(
    kind: str,
    body: bytes,
    sent_ms: int,
    sid: int = 0,
    seq: int = 0,
    command_id: int = 0,
) -> bytes:
    """A whole frame; zero leaves the member out."""
    parts = [f'{{"type":"{kind}"']
    if command_id:
        parts.append(f',"id":{command_id}')
    if sid:
        parts.append(f',"sid":{sid}')
    if seq:
        parts.append(f',"seq":{seq}')
    if body:
        parts.append(',"msg":')
    tail = f',"sending_ts_ms":{sent_ms}}}' if sent_ms else "}"
    return "".join(parts).encode() + body + tail.encode()


def error_body(code: int, tickers: list[str] | None = None) -> bytes:
    """The body of an `error` (FACTS.md section 4.3)."""
    body: dict[str, Any] = {"code": code, "msg": ERRORS[code]}
    if tickers:
        body["market_tickers"] = tickers
    return encode(body)


def delta_body(moved: LevelMoved, yes_price: bool, at: int) -> bytes:
    """`orderbook_delta`; a level of the no side is priced as no, or as yes if asked for."""
    ask = moved.side is Side.ASK
    price = moved.price if yes_price or not ask else fixed.DOLLAR - moved.price
    ours = ""
    if moved.client_order_id:
        ours = f',"client_order_id":{encode(moved.client_order_id).decode()},"subaccount":0'
    return (
        f'{{"market_ticker":"{moved.market.ticker}","market_id":"{moved.market.market_id}",'
        f'"price_dollars":"{dollars4(price)}","delta_fp":"{contracts(moved.delta)}",'
        f'"side":"{"no" if ask else "yes"}"{ours},'
        f'"ts":"{fixed.rfc3339(at)}","ts_ms":{at // 1_000}}}'
    ).encode()


def levels(market: Market, side: Side, yes_price: bool) -> list[list[str]]:
    """`[["0.0800","300.00"],…]`, ascending in the side's own price, so that the best is last."""
    turned = side is Side.ASK and not yes_price
    shown = market.book.shown(side)
    # Yes prices fall where no prices rise: descending asks, so that the best still comes last.
    prices = sorted(shown, reverse=side is Side.ASK)
    return [
        [dollars4(fixed.DOLLAR - price if turned else price), contracts(shown[price])]
        for price in prices
    ]


def snapshot_body(market: Market, yes_price: bool) -> bytes:
    """`orderbook_snapshot`; the key of an empty side is absent."""
    body: dict[str, Any] = {"market_ticker": market.ticker, "market_id": market.market_id}
    for side, key in ((Side.BID, "yes_dollars_fp"), (Side.ASK, "no_dollars_fp")):
        found = levels(market, side, yes_price)
        if found:
            body[key] = found
    return encode(body)


def trade_body(trade: Traded, at: int) -> bytes:
    """`trade`: a public print."""
    return encode(
        {
            "trade_id": trade.trade_id,
            "market_ticker": trade.market.ticker,
            "yes_price_dollars": dollars4(trade.price),
            "no_price_dollars": dollars4(fixed.DOLLAR - trade.price),
            "count_fp": contracts(trade.count),
            "taker_side": trade.taker.outcome,
            "taker_outcome_side": trade.taker.outcome,
            "taker_book_side": trade.taker.value,
            "is_block_trade": False,
            "ts": at // fixed.SECOND,
            "ts_ms": at // 1_000,
        }
    )


def ticker_body(market: Market, at: int) -> bytes:
    """`ticker`: the quote. An empty side is 0 to 1, as Market objects have it."""
    bid, bid_count, ask, ask_count = market.top()
    return encode(
        {
            "market_ticker": market.ticker,
            "market_id": market.market_id,
            "price_dollars": dollars4(market.last_price),
            "yes_bid_dollars": dollars4(0 if bid is None else bid),
            "yes_ask_dollars": dollars4(fixed.DOLLAR if ask is None else ask),
            "volume_fp": contracts(market.volume),
            "open_interest_fp": contracts(market.open_interest),
            "dollar_volume": market.dollar_volume // fixed.DOLLAR,
            "dollar_open_interest": market.open_interest // fixed.CONTRACT,
            "yes_bid_size_fp": contracts(bid_count),
            "yes_ask_size_fp": contracts(ask_count),
            "last_trade_size_fp": contracts(market.last_count),
            "ts": at // fixed.SECOND,
            "ts_ms": at // 1_000,
            "time": fixed.rfc3339(at),
        }
    )


def fill_body(fill: Fill, exchange_index: int) -> bytes:
    """`fill`, with the members of capture `demo-2026-06-30-five-markets` (its `fill` frames)."""
    entry, order = fill.entry, fill.order
    body: dict[str, Any] = {
        "trade_id": entry.trade_id,
        "order_id": entry.order_id,
        "market_ticker": order.placed.ticker,
        "exchange_index": exchange_index,
        "is_taker": entry.taker,
        "side": order.side.outcome,
        "ts": entry.at // fixed.SECOND,
        "ts_ms": entry.at // 1_000,
        "yes_price_dollars": dollars4(entry.price),
        "count_fp": contracts(entry.count),
        "fee_cost": dollars6(entry.fee),
        "action": "buy",
        "post_position_fp": contracts(fill.position),
        "purchased_side": order.side.outcome,
        "outcome_side": order.side.outcome,
        "book_side": order.side.value,
        "subaccount": 0,
    }
    if order.placed.client_order_id:
        body["client_order_id"] = order.placed.client_order_id
    return encode(body)


def order_body(order: Order, exchange_index: int) -> bytes:
    """`user_order` (FACTS.md section 4.5; no capture shows one)."""
    placed = order.placed
    body: dict[str, Any] = {
        "order_id": placed.order_id,
        "user_id": USER_ID,
        "ticker": placed.ticker,
        "exchange_index": exchange_index,
        "status": order.status,
        "side": order.side.outcome,
        "is_yes": order.side is Side.BID,
        "outcome_side": order.side.outcome,
        "book_side": placed.side,
        "yes_price_dollars": dollars4(placed.price),
        "fill_count_fp": contracts(order.filled),
        "remaining_count_fp": contracts(order.remaining),
        "initial_count_fp": contracts(placed.count),
        "taker_fill_cost_dollars": dollars6(order.taker_cost),
        "maker_fill_cost_dollars": dollars6(order.maker_cost),
        "taker_fees_dollars": dollars6(order.taker_fees),
        "maker_fees_dollars": dollars6(0),
        "client_order_id": placed.client_order_id,
        "self_trade_prevention_type": placed.on_self,
        "created_time": fixed.rfc3339(placed.at),
        "created_ts_ms": placed.at // 1_000,
        "last_update_time": fixed.rfc3339(order.updated),
        "last_updated_ts_ms": order.updated // 1_000,
        "subaccount_number": 0,
    }
    if placed.expires:
        body["expiration_time"] = fixed.rfc3339(placed.expires)
        body["expiration_ts_ms"] = placed.expires // 1_000
    if placed.order_group_id:
        body["order_group_id"] = placed.order_group_id
    if order.reason:
        body["last_update_reason"] = order.reason
    return encode(body)


def position_body(position: Position) -> bytes:
    """`market_position` (FACTS.md section 4.5)."""
    return encode(
        {
            "user_id": USER_ID,
            "market_ticker": position.ticker,
            "position_fp": contracts(position.count),
            "position_cost_dollars": dollars6(position.cost),
            "realized_pnl_dollars": dollars6(position.realized),
            "fees_paid_dollars": dollars6(position.fees),
            "position_fee_cost_dollars": dollars6(position.fees),
            "volume_fp": contracts(position.volume),
            "subaccount": 0,
        }
    )
