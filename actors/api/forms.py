"""The forms of answers over HTTP, for the page at /openapi.json.

Where an answer is a letter's body, its form is that letter's type. `told` makes of a type what an
answer has of it: every field is always there, so none has a default.
"""

import types
import typing
from typing import Any, Literal

import msgspec
from msgspec import Struct

from actors.api.markets import CandleRow, MarketRow, TradeRow
from protocol.holdings import Settlement
from protocol.messages import (
    Balance,
    BookAnswer,
    BookedFill,
    BrakesAnswer,
    BudgetAnswer,
    DoubtAnswer,
    Entry,
    Order,
    Position,
    System,
)
from protocol.profit import Marked
from protocol.tokens import Scope
from protocol.units import Money


class Dated(Struct, frozen=True):
    """`as_of` (microseconds): what was so before that moment is in it. `age_ms`: how long ago that
    was when it was answered."""

    as_of: int
    age_ms: int


class Status(System, frozen=True, tag="System", kw_only=True):
    """How the engine is, as the supervisor says each second. Orders of the profile `live` are
    about real money."""

    profile: str
    as_of: int
    age_ms: int


class Book(BookAnswer, frozen=True, tag="BookAnswer", kw_only=True):
    """Bids of both sides, ascending; a NO bid's price is what a NO contract costs."""

    age_ms: int


class Followed(Dated, frozen=True, kw_only=True):
    """What is followed: wishes, how many markets they mean, how many of their books are live, and
    how many markets are above the bound."""

    wishes: tuple[str, ...]
    markets: int
    live: int
    left_out: int


class ShownOrder(Order, frozen=True, tag="Order", kw_only=True):
    """An order. `external`: no intent of ours is on record for it. `updated_at` and `amended_at`
    are the exchange's milliseconds, `created_at` microseconds."""

    external: bool


class ShownFill(BookedFill, frozen=True, tag="BookedFill", kw_only=True):
    """A fill. `external`: of an order that is not ours."""

    external: bool


class ShownPosition(Position, frozen=True, tag="Position", kw_only=True):
    """What is held. `exposure`: the most that the market can still cost. `unrealized`: what closing
    at `mark.price` would bring, less `cost`; null where there is no price. Where nothing is held,
    but may be, it is 0 and `mark` null."""

    exposure: Money
    unrealized: Money | None
    mark: Marked | None


class Listed(Dated, frozen=True, kw_only=True):
    """A page, as of ledger number `n`. `cursor` is the next page's, "" at the end. A row that is
    there all the while is on exactly one page of a walk, whatever changes meanwhile."""

    cursor: str
    n: int


class Orders(Listed, frozen=True, kw_only=True):
    """Orders, by when they were made, the newest first."""

    orders: tuple[ShownOrder, ...]


class Fills(Listed, frozen=True, kw_only=True):
    """Fills, the newest first."""

    fills: tuple[ShownFill, ...]


class Positions(Listed, frozen=True, kw_only=True):
    """Positions, by ticker."""

    positions: tuple[ShownPosition, ...]


class Balances(Listed, frozen=True, kw_only=True):
    """Balances, one a shard, and all together."""

    balance: tuple[Balance, ...]
    total: Money


class Settlements(Listed, frozen=True, kw_only=True):
    """Settlements, the newest first."""

    settlements: tuple[Settlement, ...]


class OneOrder(Dated, frozen=True, kw_only=True):
    """One order, as of ledger number `n`."""

    order: ShownOrder
    n: int


class Proof(Struct, frozen=True):
    """One entry that speaks of an order."""

    n: int
    at: int
    source: str
    id: str
    fact: dict[str, Any]


class Evidence(Dated, frozen=True, kw_only=True):
    """What is known of an order, and how far the gateway is with finding out the rest."""

    client_order_id: str
    order: Order | None
    evidence: tuple[Proof, ...]
    complete: bool
    n: int
    resolving: DoubtAnswer | None
    reason: str


class Ledger(Dated, frozen=True, kw_only=True):
    """Entries behind a number, oldest first; `head` is the last number that there is. `cursor` is
    the `since` of the next page, "" at the end."""

    entries: tuple[Entry, ...]
    head: int
    cursor: str


class BrakesNow(BrakesAnswer, frozen=True, tag="BrakesAnswer", kw_only=True):
    """The limits that hold, and what they are held against."""

    as_of: int
    age_ms: int


class BudgetNow(BudgetAnswer, frozen=True, tag="BudgetAnswer", kw_only=True):
    """What the account may spend, and who spent it."""

    as_of: int
    age_ms: int


class Unsure(Struct, frozen=True):
    """Nobody knows yet: ask again, with the same id."""

    outcome: Literal["unknown"]
    text: str
    client_order_id: str


class Interrupted(Struct, frozen=True):
    """It had no answer the first time, may have been done, and can't be done again: `text` says
    where to look."""

    state: Literal["unknown"]
    code: Literal["interrupted"]
    text: str


class Ticket(Struct, frozen=True):
    """Good once, for so long."""

    ticket: str
    expires_in_ms: int


class SignedIn(Struct, frozen=True):
    """A page's token, and when it ends (microseconds). It is shown this once."""

    token: str
    scopes: tuple[Scope, ...]
    expires_at: int


class Member(Struct, frozen=True):
    """What became of one: the answer that it would have had alone, with its status."""

    client_order_id: str
    status: int


class Members(Struct, frozen=True):
    """One for each that was asked, in that order."""

    orders: tuple[Member, ...]


class CanceledAll(Struct, frozen=True):
    """One for each order that was open. `left`: so many more were than are canceled at once: ask
    again. `external`: so many rest that are not ours; only a panic cancels those."""

    orders: tuple[Member, ...]
    left: int
    external: int


class Markets(Dated, frozen=True, kw_only=True):
    """A page of markets, as the exchange lists them."""

    markets: tuple[MarketRow, ...]
    cursor: str


class OneMarket(Dated, frozen=True, kw_only=True):
    """One market."""

    market: MarketRow


class Trades(Dated, frozen=True, kw_only=True):
    """A page of public prints, newest first."""

    trades: tuple[TradeRow, ...]
    cursor: str


class Candles(Dated, frozen=True, kw_only=True):
    """Candles, oldest first. All are in one answer."""

    candles: tuple[CandleRow, ...]
    cursor: str


class Problem(Struct, frozen=True, omit_defaults=True):
    """application/problem+json (RFC 9457): `code` is stable, `detail` is for people."""

    type: str
    title: str
    status: int
    code: str
    detail: str
    field: str = ""
    retry_after_ms: int = 0
    limit: str = ""
    value: str = ""


_made: dict[type[Any], type[Any]] = {}


def told(kind: Any) -> Any:
    """A type as answers have it: no field is ever left out. The same type each time, so that the
    page has one name for it."""
    if isinstance(kind, type) and issubclass(kind, Struct) and kind is not Problem:
        if kind not in _made:
            fields = [(f.encode_name, told(f.type)) for f in msgspec.structs.fields(kind)]
            tag, doc = kind.__struct_config__.tag, {"__doc__": kind.__doc__}
            name, home = kind.__name__, kind.__module__
            _made[kind] = msgspec.defstruct(name, fields, tag=tag, namespace=doc, module=home)
        return _made[kind]
    members = typing.get_args(kind)
    if not members or typing.get_origin(kind) is Literal:
        return kind
    if typing.get_origin(kind) in (typing.Union, types.UnionType):
        return typing.Union[tuple(map(told, members))]  # noqa: UP007 - of a list
    if typing.get_origin(kind) is typing.Annotated:
        return typing.Annotated[(told(members[0]), *members[1:])]
    return typing.get_origin(kind)[tuple(m if m is ... else told(m) for m in members)]
