"""What the exchange's frames mean in our own words: messages to publish, facts to record.

Times become microseconds. Where a field has an old and a new form, the new one is read first.
"""

from datetime import UTC, datetime, timedelta
from typing import Any, Final

from protocol import topics
from protocol.errors import RemoteProtocolError
from protocol.facts import ExchangeStatus, Fill, OrderSeen, OrderSide
from protocol.kalshi.bodies import (
    DeltaBody,
    EventBody,
    FeeBody,
    FillBody,
    GroupBody,
    LifeBody,
    PositionBody,
    TickerBody,
    TradeBody,
    UserOrderBody,
)
from protocol.messages import (
    BookDelta,
    BookSide,
    EventChanged,
    FeeChanged,
    GroupChanged,
    MarketChanged,
    PositionReported,
    Quote,
    Trade,
)
from protocol.units import DOLLAR, Price

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
TITLE_CHARS_MAX: Final = 400


def book_delta(body: DeltaBody, received_at: int) -> BookDelta:
    """Times in microseconds. Raises RemoteProtocolError on a price above one dollar."""
    if body.price_dollars > DOLLAR:
        raise RemoteProtocolError(f"orderbook_delta: a price above $1 in {body.market_ticker}")
    return BookDelta(
        body.market_ticker,
        body.side,
        body.price_dollars,
        body.delta_fp,
        body.ts_ms * 1_000 if body.ts_ms else exchange_at(body.ts_ms, body.ts),
        received_at,
    )


def trade(body: TradeBody, received_at: int) -> Trade:
    """Raises RemoteProtocolError if side, count or price of the print makes no sense."""
    side = body.taker_outcome_side or _outcome(body.taker_book_side) or body.taker_side
    if side is None or body.count_fp <= 0 or body.yes_price_dollars > DOLLAR:
        raise RemoteProtocolError(f"trade {body.trade_id}: side, count or price makes no sense")
    return Trade(
        body.market_ticker,
        body.trade_id,
        body.yes_price_dollars,
        body.count_fp,
        side,
        exchange_at(body.ts_ms, body.ts),
        received_at,
        body.is_block_trade,
    )


def quote(body: TickerBody, received_at: int) -> Quote:
    """The quote as the exchange summed it up."""
    return Quote(
        body.market_ticker,
        body.price_dollars,
        body.yes_bid_dollars,
        body.yes_ask_dollars,
        body.yes_bid_size_fp,
        body.yes_ask_size_fp,
        body.volume_fp,
        body.open_interest_fp,
        exchange_at(body.ts_ms, body.ts),
        received_at,
        body.last_trade_size_fp,
    )


def market_changed(body: LifeBody, combo: bool, received_at: int) -> MarketChanged:
    """Raises RemoteProtocolError if the market's name or what it pays makes no sense."""
    pays = body.settlement_value
    if pays is not None and not 0 <= pays <= DOLLAR:
        raise RemoteProtocolError(f"market {body.market_ticker[:80]!r}: a contract can't pay that")
    named = body.additional_metadata
    title = (named.title or named.name if named else "") or body.yes_sub_title or ""
    return MarketChanged(
        market_name(body.market_ticker),
        body.event_type,
        combo,
        (body.open_ts or 0) * 1_000_000,
        (body.close_ts or 0) * 1_000_000,
        (body.determination_ts or 0) * 1_000_000,
        (body.settled_ts or 0) * 1_000_000,
        body.result or "",
        None if pays is None else Price(pays),
        body.is_deactivated,
        tuple((each.start, each.end, each.step) for each in body.price_ranges or ()),
        title[:TITLE_CHARS_MAX],
        body.exchange_index,
        received_at,
    )


def event_changed(body: EventBody, received_at: int) -> EventChanged:
    """Raises RemoteProtocolError if the event's name makes no sense."""
    return EventChanged(
        market_name(body.event_ticker),
        body.series_ticker or "",
        (body.title or "")[:TITLE_CHARS_MAX],
        (body.subtitle or "")[:TITLE_CHARS_MAX],
        body.collateral_return_type or "",
        body.exchange_index,
        received_at,
    )


def fee_changed(body: FeeBody, received_at: int) -> FeeChanged:
    """Raises RemoteProtocolError if the event's name makes no sense."""
    multiplier = bytes(body.fee_multiplier_override).decode("utf-8", "replace").strip('"')
    return FeeChanged(
        market_name(body.event_ticker),
        body.fee_type_override,
        None if multiplier == "null" else multiplier[:40],
        received_at,
    )


def position_reported(body: PositionBody, received_at: int) -> PositionReported:
    """Raises RemoteProtocolError if the market's name makes no sense."""
    return PositionReported(
        market_name(body.market_ticker),
        body.position_fp,
        body.position_cost_dollars,
        body.realized_pnl_dollars,
        body.fees_paid_dollars,
        body.volume_fp,
        received_at,
    )


def group_changed(body: GroupBody, received_at: int) -> GroupChanged:
    return GroupChanged(
        body.order_group_id,
        body.event_type,
        body.contracts_limit_fp,
        exchange_at(body.ts_ms, None),
        received_at,
    )


def fill(body: FillBody) -> Fill:
    """The fact for the ledger. Raises RemoteProtocolError if it makes no sense."""
    side = body.book_side or _book_side(body.outcome_side)
    if side is None or body.count_fp <= 0 or body.yes_price_dollars > DOLLAR:
        raise RemoteProtocolError(f"fill {body.trade_id}: side, count or price makes no sense")
    return Fill(
        body.order_id,
        body.trade_id,
        market_name(body.market_ticker),
        side,
        body.yes_price_dollars,
        body.count_fp,
        body.fee_cost,
        body.is_taker,
        (body.ts_ms or 0) * 1_000,
        body.client_order_id or "",
    )


def order_seen(body: UserOrderBody) -> OrderSeen | None:
    """The fact for the ledger, or None if the status is none that we know: "unknown" is one.

    Raises RemoteProtocolError if it makes no sense.
    """
    status = _status(body.status)
    if status is None:
        return None
    side = body.book_side or _book_side(body.outcome_side)
    if side is None and body.is_yes is not None:
        side = "bid" if body.is_yes else "ask"
    counts = (body.initial_count_fp, body.fill_count_fp, body.remaining_count_fp)
    if side is None or min(counts) < 0 or body.yes_price_dollars > DOLLAR:
        raise RemoteProtocolError(f"order {body.order_id}: side, count or price makes no sense")
    return OrderSeen(
        body.order_id,
        body.client_order_id or "",
        market_name(body.ticker),
        side,
        body.yes_price_dollars,
        status,
        *counts,
        _updated_ms(body),
        terms=True,
    )


def exchange_at(ts_ms: int | None, ts: Any) -> int:
    """The exchange's time in microseconds: `ts_ms`, or what the deprecated `ts` says, or 0."""
    if ts_ms:
        return ts_ms * 1_000
    if isinstance(ts, int) and 0 < ts < 2**33:
        return ts * 1_000_000
    if isinstance(ts, str):
        try:
            return _millis(ts) * 1_000
        except RemoteProtocolError:
            return 0  # of a print or a change the time is said for information only
    return 0


def _status(text: str) -> ExchangeStatus | None:
    match text:
        case "resting" | "canceled" | "executed":
            return text
    return None


def _outcome(side: OrderSide | None) -> BookSide | None:
    return None if side is None else "yes" if side == "bid" else "no"


def _book_side(outcome: BookSide | None) -> OrderSide | None:
    return None if outcome is None else "bid" if outcome == "yes" else "ask"


def market_name(text: str) -> str:
    """The name itself. Raises RemoteProtocolError unless a market or event can be called so."""
    if not topics.is_ticker(text):
        raise RemoteProtocolError(f"{text[:80]!r} is not a market's name")
    return text


def _updated_ms(body: UserOrderBody) -> int:
    """When it was last updated, in whole milliseconds; an order never updated: when created."""
    for ms, text in (
        (body.last_updated_ts_ms, body.last_update_time),
        (body.created_ts_ms, body.created_time),
    ):
        if ms:
            return ms
        if text:
            return _millis(text)
    raise RemoteProtocolError(f"order {body.order_id}: it has no time")


def _millis(text: str) -> int:
    """RFC 3339 to milliseconds, cut and not rounded: so does the exchange (captures)."""
    try:
        ms = (datetime.fromisoformat(text) - EPOCH) // timedelta(milliseconds=1)
    except (ValueError, TypeError, OverflowError):  # no time, no zone, no such year
        raise RemoteProtocolError(f"{text[:40]!r} is not a time") from None
    if ms < 0:
        raise RemoteProtocolError(f"{text[:40]!r} is before 1970")
    return ms
