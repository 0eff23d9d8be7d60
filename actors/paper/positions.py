"""What is held in one market, and what a fill does to it: pure arithmetic of the account."""

from typing import Final

from msgspec import Struct

from actors.paper.entries import Filled
from actors.paper.fixed import CONTRACT, DOLLAR, cost
from actors.paper.matching import Side

FEE_STEP: Final = 100  # micro-dollars; the trade fee is rounded up to $0.0001


class Position(Struct):
    """What is held in one market. `count` is signed: above zero YES, below zero NO."""

    ticker: str
    count: int = 0
    cost: int = 0  # what the open contracts cost, fees not included
    traded: int = 0  # what all trades together cost
    volume: int = 0
    realized: int = 0
    fees: int = 0
    updated: int = 0


def taker_fee(price: int, count: int) -> int:
    """0.07 x contracts x P x (1 - P), rounded up to $0.0001 (FACTS.md section 9).

    One contract at 0.52 costs 0.0175 and at 0.99 0.0007 (capture `fills__after_taker`).
    """
    scale = CONTRACT * CONTRACT * DOLLAR * FEE_STEP
    return -(-7 * count * price * (DOLLAR - price) // scale) * FEE_STEP


def move(position: Position, side: Side, entry: Filled) -> int:
    """Let a fill happen to a position; answers by how much the cash changes, fee not included."""
    held = position.count
    closing = _closing(held, side, entry.count)
    if closing:
        released = position.cost * closing // abs(held)
        position.cost -= released
        position.realized += cost(side.other.own_price(entry.price), closing) - released
    own_cost = cost(side.own_price(entry.price), entry.count)
    position.cost += cost(side.own_price(entry.price), entry.count - closing)
    position.traded += own_cost
    position.volume += entry.count
    position.fees += entry.fee
    position.updated = entry.at
    position.count, change = settled(held, side, entry.price, entry.count)
    return change


def _closing(held: int, side: Side, count: int) -> int:
    opposing = -held if side is Side.BID else held
    return min(count, max(opposing, 0))


def settled(held: int, side: Side, price: int, count: int) -> tuple[int, int]:
    """What is held after a trade, and by how much the cash changes, fee not included."""
    # Buying what one is short of (and the reverse) completes pairs, which pay a dollar at once.
    pays = cost(DOLLAR, _closing(held, side, count))
    after = held + count if side is Side.BID else held - count
    return after, pays - cost(side.own_price(price), count)
