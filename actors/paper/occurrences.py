"""What happened on the exchange that a subscriber may want to hear of, in order."""

from typing import Any

from msgspec import Struct

from actors.paper.account import Fill
from actors.paper.collateral import Order
from actors.paper.entries import FeeOverridden
from actors.paper.market import Market
from actors.paper.matching import Side


class LevelMoved(Struct, frozen=True):
    """A shown level changed by `delta`; `client_order_id` if an order of ours caused it."""

    market: Market
    side: Side
    price: int
    delta: int
    client_order_id: str = ""


class BookReplaced(Struct, frozen=True):
    """The whole book of a market is another one now."""

    market: Market


class Traded(Struct, frozen=True):
    """A public print."""

    market: Market
    trade_id: str
    price: int
    count: int
    taker: Side


class OrderMoved(Struct, frozen=True):
    """An order of the account was accepted, traded or cancelled."""

    order: Order


class OrderFilled(Struct, frozen=True):
    """A fill of the account; its position moved with it."""

    fill: Fill


class MarketChanged(Struct, frozen=True):
    """Something in the life of a market, in the exchange's word for it (FACTS.md section 4.5).

    `members` are those of a `metadata_updated`.
    """

    market: Market
    word: str
    members: dict[str, Any] = {}


class EventMade(Struct, frozen=True):
    """The first market of an event was made."""

    market: Market


class FeeChanged(Struct, frozen=True):
    """An event's fee differs from its series', or does not any more."""

    entry: FeeOverridden


class GroupChanged(Struct, frozen=True):
    """Something in the life of an order group."""

    word: str  # created, triggered, reset, deleted, limit_updated
    group_id: str
    contracts_limit: int | None = None  # hundredths


Occurrence = (
    LevelMoved
    | BookReplaced
    | Traded
    | OrderMoved
    | OrderFilled
    | MarketChanged
    | EventMade
    | FeeChanged
    | GroupChanged
)
