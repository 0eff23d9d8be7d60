"""Orders, fills, balances and settlements as people see them, and which rows are on a page."""

import bisect
from collections.abc import Callable, Iterable
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from actors.api.asks import GetList, GetOrder, Page
from actors.api.bodies import Problem
from actors.api.cursors import Bookmark, bookmark_of, cursor_at
from actors.api.lists import What
from actors.api.replies import AsOf, Reply, as_json, refuse
from protocol.account import Account
from protocol.follower import LedgerFollower
from protocol.limits import US
from protocol.messages import BookedFill, Order, Position
from protocol.units import encode_unit, format_money


def folded(ledger: LedgerFollower, now: int, at: int) -> AsOf:
    """Of when the account in memory is: the writer was heard then."""
    return AsOf(at - ledger.age(now) // US)


def look_up(id: int, ask: GetOrder | GetList, account: Account, as_of: AsOf, at: int) -> Reply:
    """One order, or a page of orders, fills, balances or settlements, as of the last entry folded.
    Positions wait for books (`profits.py`)."""
    told = {"n": account.n} | as_of.told(at)
    if isinstance(ask, GetOrder):
        return one_order(id, account.order(ask.client_order_id), told, account)
    rows: dict[str, Any] = {
        "orders": account.orders,
        "fills": account.fills,
        "balance": account.balances,
        "settlements": account.settlements,
    }
    page, cursor = cut(ask.what, rows[ask.what](), ask.page)
    listed: dict[str, Any] = {ask.what: [shown(account, row) for row in page], "cursor": cursor}
    if ask.what == "balance":
        listed["total"] = format_money(sum(int(b.balance) for b in account.balances()))
    return Reply(id, 200, as_json(listed | told))


def one_order(id: int, order: Order | None, as_of: dict[str, int], account: Account) -> Reply:
    """One order, as of the last entry folded; 404 for one that nobody knows."""
    if order is None:
        return refuse(id, Problem(404, "not_found", "no such order"))
    return Reply(id, 200, as_json({"order": shown(account, order)} | as_of))


def held(account: Account) -> list[Position]:
    """Every market in which something is held or may still fill."""
    found = {position.ticker: position for position in account.positions()}
    for order in account.open_orders():
        if order.ticker not in found:
            found[order.ticker] = replace(account.position(order.ticker), n=order.n)
    return list(found.values())


def shown(account: Account, row: Any) -> Any:
    """A row as people see it: of orders and fills whether they are `external`.

    An order is ours if its intent is on record here; whatever else trades on the account (another
    program, the exchange's own pages) is external.
    """
    order = account.order_by_id(row.order_id) if isinstance(row, BookedFill) else row
    if not isinstance(row, Order | BookedFill):
        return row
    external = not isinstance(order, Order) or not order.body_hash
    return msgspec.to_builtins(row, enc_hook=encode_unit) | {"external": external}


# Where a row stands in its list, for as long as it is listed: what happened to it last, and so its
# `n`, may change between two pages. Orders, fills and settlements: by when they came, the newest
# first. Positions: by ticker. Plain tuples, because it is looked at for thousands of rows.
PLACES: Final[dict[What, Callable[[Any], tuple[int, str]]]] = {
    "orders": lambda order: (-order.created_at, order.client_order_id or order.order_id),
    "fills": lambda fill: (-fill.n, fill.trade_id),
    "settlements": lambda settlement: (-settlement.settled_at, settlement.ticker),
    "positions": lambda position: (0, position.ticker),
    "balance": lambda balance: (balance.shard, ""),
}


def cut(what: What, rows: Iterable[Any], page: Page) -> tuple[list[Any], str]:
    """A page, and the cursor of the next ("" at the end)."""
    place = PLACES[what]
    placed = sorted(rows, key=place)
    begin = bookmark_of(page.cursor) if page.cursor else None
    if begin is not None:
        placed = placed[bisect.bisect_right(placed, (begin.number, begin.name), key=place) :]
    found = placed[: page.limit]
    more = len(found) < len(placed)
    return found, cursor_at(Bookmark(*place(found[-1]))) if more else ""
