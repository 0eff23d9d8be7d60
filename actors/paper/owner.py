"""What the account's owner does elsewhere, and what the exchange's staff does: `POST /paper/...`.

Each takes a JSON body, read strictly, and leaves its entries in the exchange like any order.
"""

from collections.abc import Callable
from typing import Annotated, Any, Final, Literal, TypeVar

import msgspec
from msgspec import Meta, Struct

from actors.paper import money
from actors.paper.answers import Answer, Refused
from actors.paper.entries import Moved, Tampered
from actors.paper.exchange import Exchange
from actors.paper.fixed import parse_count, parse_dollars
from actors.paper.intake import read_order

CENT: Final = 10_000  # micro-dollars
ORDER: Final = {  # of an external order, where its body does not say
    "time_in_force": "good_till_canceled",
    "self_trade_prevention_type": "taker_at_cross",
}

Shape = TypeVar("Shape", bound=Struct)


class Settle(Struct, forbid_unknown_fields=True):
    """The end of a market."""

    ticker: str
    result: Literal["yes", "no"]


class Transfer(Struct, forbid_unknown_fields=True):
    """A deposit or a withdrawal, in whole cents."""

    amount: str
    exchange_index: Annotated[int, Meta(ge=0)] = 0


class Tamper(Struct, forbid_unknown_fields=True):
    """By how much cash or a position changes; signed."""

    cash: str = "0"
    exchange_index: Annotated[int, Meta(ge=0)] = 0
    ticker: str = ""
    position: str = "0"


def wrong(text: str) -> Refused:
    """The one shape of error of these calls."""
    return Refused(Answer(400, {"error": text}))


def read(body: bytes, shape: type[Shape]) -> Shape:
    """A body of these calls. Raises Refused."""
    try:
        return msgspec.json.decode(body, type=shape)
    except msgspec.DecodeError as e:
        raise wrong(str(e)) from None


def parsed(text: str, parse: Callable[[str], int], field: str) -> int:
    """A number that may be below zero, in the integers of `parse`. Raises Refused."""
    sign, digits = (-1, text[1:]) if text.startswith("-") else (1, text)
    try:
        return sign * parse(digits)
    except ValueError as e:
        raise wrong(f"{field}: {e}") from None


def settle(exchange: Exchange, body: bytes, at: int) -> Answer:
    """Settle a market: what rests is cancelled, each winning contract is paid a dollar."""
    asked = read(body, Settle)
    market = exchange.markets.get(asked.ticker)
    if market is None:
        raise wrong(f"ticker: no market {asked.ticker!r}")
    if market.result:
        raise wrong(f"ticker: {asked.ticker} is settled already: {market.result}")
    exchange.settle(market, asked.result, at)
    found = exchange.account.settlements
    paid = found[-1].revenue if found and found[-1].entry.ticker == asked.ticker else 0
    return Answer(200, {"ticker": asked.ticker, "result": asked.result, "revenue": paid // CENT})


def deposit(exchange: Exchange, body: bytes, at: int) -> Answer:
    """Money comes in."""
    return _transfer(exchange, body, 1, at)


def withdraw(exchange: Exchange, body: bytes, at: int) -> Answer:
    """Money goes out, as far as no resting order needs it."""
    return _transfer(exchange, body, -1, at)


def _transfer(exchange: Exchange, body: bytes, sign: int, at: int) -> Answer:
    asked = read(body, Transfer)
    amount = parsed(asked.amount, parse_dollars, "amount")
    if amount <= 0 or amount % CENT:
        raise wrong(f"amount: expected whole cents above zero, not {asked.amount!r}")
    account, shard = exchange.account, asked.exchange_index
    if shard not in account.cash_on:
        raise wrong(f"exchange_index: no shard {shard}")
    if sign < 0 and amount > account.available(shard):
        raise wrong(f"amount: {asked.amount} is not available")
    moved = Moved(exchange.new_id(), sign * amount, shard, at)
    exchange.book(moved)
    return Answer(200, money.transfer(moved))


def tamper(exchange: Exchange, body: bytes, at: int) -> Answer:
    """Change cash or a position, and leave no trace in any listing."""
    asked = read(body, Tamper)
    if asked.exchange_index not in exchange.account.cash_on:
        raise wrong(f"exchange_index: no shard {asked.exchange_index}")
    cash = parsed(asked.cash, parse_dollars, "cash")
    count = parsed(asked.position, parse_count, "position")
    if count and (asked.ticker not in exchange.markets or asked.ticker in exchange.account.results):
        raise wrong(f"ticker: no open market {asked.ticker!r}")
    if not cash and not count:
        raise wrong("expected cash, or ticker and position")
    exchange.book(Tampered(at, cash, asked.exchange_index, asked.ticker if count else "", count))
    return Answer(200, {"cash": asked.cash, "ticker": asked.ticker, "position": asked.position})


def external(exchange: Exchange, body: bytes, at: int) -> Answer:
    """An order of the owner by another road: no signature, no budget, not in the wire log."""
    try:
        found: dict[str, Any] = msgspec.json.decode(body, type=dict[str, Any])
    except msgspec.DecodeError as e:
        raise wrong(str(e)) from None
    return exchange.create(read_order(msgspec.json.encode(ORDER | found), at), at)


def external_cancel(exchange: Exchange, order_id: str, at: int) -> Answer:
    """The owner cancels an order by another road."""
    order = exchange.account.orders.get(order_id)
    shard = exchange.account.shard(order.placed.ticker) if order else 0
    return exchange.cancel(order_id, shard, at)
