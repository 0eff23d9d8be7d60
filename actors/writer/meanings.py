"""How the writer says what an entry meant: on which topic, and what is shouted about."""

from typing import Final

from protocol import topics
from protocol.account import Meaning
from protocol.messages import Balance, BookedFill, Order, Position
from protocol.units import format_count, format_price

_TOPICS: Final = {Order: topics.order, BookedFill: topics.fill, Position: topics.position}


def topic_of(meaning: Meaning) -> str:
    """Where the meaning of an entry is published."""
    if isinstance(meaning, Balance):
        return topics.balance(meaning.shard)
    return _TOPICS[type(meaning)](meaning.ticker)


def late_text(fill: BookedFill) -> str:
    """A late fill is booked like any other; but somebody counted on an order that had ended."""
    order = f"order {fill.client_order_id or fill.order_id} in {fill.ticker}"
    what = f"{fill.side} {format_count(fill.count)} at {format_price(fill.price)}"
    return f"late fill: trade {fill.trade_id}, {what}, of {order}, which had ended without it"
