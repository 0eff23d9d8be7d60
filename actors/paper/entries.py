"""What happened, as the journal keeps it: to the account (`Account` folds these entries), and to
the markets by the exchange's staff (`Lives` folds those).

Prices and cash in micro-dollars, counts in hundredths of a contract, times in microseconds.
"""

from msgspec import Struct


class Placed(Struct, frozen=True, tag="placed"):
    """An order was accepted."""

    order_id: str
    client_order_id: str
    ticker: str
    side: str  # bid or ask of YES
    price: int
    count: int
    on_self: str
    at: int
    expires: int = 0  # µs; 0 = never
    post_only: bool = False
    cancel_on_pause: bool = False
    order_group_id: str = ""  # "" = in none


class Amended(Struct, frozen=True, tag="amended"):
    """A resting order is another one from now on. All but the last three are as in `Placed`."""

    order_id: str
    client_order_id: str
    price: int
    count: int
    expires: int
    at: int
    remaining: int
    back: bool  # it lost its place in the queue
    reason: str  # Amend or Decrease


class Filled(Struct, frozen=True, tag="filled"):
    """(Part of) an order traded."""

    trade_id: str
    order_id: str
    price: int
    count: int
    taker: bool
    fee: int
    at: int


class Gone(Struct, frozen=True, tag="gone"):
    """What was left of an order was cancelled, and why (the words of `last_update_reason`)."""

    order_id: str
    reason: str
    at: int


class Settled(Struct, frozen=True, tag="settled"):
    """A market ended; each contract of the winning side was paid a dollar."""

    ticker: str
    result: str  # yes or no
    at: int


class Moved(Struct, frozen=True, tag="moved"):
    """The owner paid money in (above zero) or out (below)."""

    transfer_id: str
    amount: int
    exchange_index: int
    at: int


class Tampered(Struct, frozen=True, tag="tampered"):
    """Cash or a position changed and no listing says why: for tests that such a thing is seen."""

    at: int
    cash: int = 0  # by how much
    exchange_index: int = 0
    ticker: str = ""
    count: int = 0  # by how much


class TransferSent(Struct, frozen=True, tag="transfer_sent"):
    """Money left a shard for another."""

    transfer_id: str
    client_transfer_id: str  # "" = none
    source: int
    destination: int
    amount: int
    due: int  # when it shall arrive
    at: int


class TransferArrived(Struct, frozen=True, tag="transfer_arrived"):
    """It is there."""

    transfer_id: str
    at: int


class GroupMade(Struct, frozen=True, tag="group_made"):
    """An order group was made: so much of it may be matched in its window."""

    group_id: str
    limit: int
    exchange_index: int
    at: int


class GroupTriggered(Struct, frozen=True, tag="group_triggered"):
    """A group takes no orders until it is reset; what rested in it was cancelled."""

    group_id: str
    at: int


class GroupReset(Struct, frozen=True, tag="group_reset"):
    """A group begins anew."""

    group_id: str
    at: int


class GroupLimited(Struct, frozen=True, tag="group_limited"):
    """A group has another limit."""

    group_id: str
    limit: int
    at: int


class GroupDeleted(Struct, frozen=True, tag="group_deleted"):
    """There is no such group any more; what rested in it was cancelled."""

    group_id: str
    at: int


GroupEntry = GroupMade | GroupTriggered | GroupReset | GroupLimited | GroupDeleted
AccountEntry = (
    Placed
    | Amended
    | Filled
    | Gone
    | Settled
    | Moved
    | Tampered
    | TransferSent
    | TransferArrived
    | GroupEntry
)


class Made(Struct, frozen=True, tag="made"):
    """A market was made while the exchange was running. The public's first levels go with it."""

    ticker: str
    title: str
    grid: list[tuple[int, int, int]]  # start, end, step
    closes: int
    at: int
    bids: list[tuple[int, int]] = []  # YES price and count
    asks: list[tuple[int, int]] = []


class CloseMoved(Struct, frozen=True, tag="close_moved"):
    """A market closes at another time."""

    ticker: str
    closes: int
    at: int


class Paused(Struct, frozen=True, tag="paused"):
    """A market takes no orders any more; or does again, with nothing resting in it."""

    ticker: str
    on: bool
    at: int


class Regridded(Struct, frozen=True, tag="regridded"):
    """A market has another grid of prices."""

    ticker: str
    grid: list[tuple[int, int, int]]
    at: int


class Described(Struct, frozen=True, tag="described"):
    """Members of a market's description are others."""

    ticker: str
    members: dict[str, str | int | float]
    at: int


class FeeOverridden(Struct, frozen=True, tag="fee_overridden"):
    """An event's fee differs from its series'; None = it does not any more."""

    event_ticker: str
    fee_type: str | None
    fee_multiplier: float | None
    at: int
    change_id: str


LifeEntry = Made | CloseMoved | Paused | Regridded | Described | FeeOverridden
Entry = AccountEntry | LifeEntry
