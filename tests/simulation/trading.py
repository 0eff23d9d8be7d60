"""The account at the simulated exchange: its orders, fills, positions and money, as they are.

All of it is kept with its past, because reads lag: what they show is what was so a moment ago.
Whole numbers: prices in cents, counts in hundredths of a contract, money in micro-dollars.
"""

import random
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from protocol.limits import HOLD_AFTER_CANCEL_ALL

if TYPE_CHECKING:
    from tests.simulation.world import World

TICKERS = ("KXRAIN-1", "KXSNOW-2", "KXWIND-3")
OPENING_CASH = 10_000 * 1_000_000
FEE = "0.010000"

Row = dict[str, Any]
Push = Callable[[str, str, Row], None]


def money(micros: int) -> str:
    sign = "-" if micros < 0 else ""
    return f"{sign}{abs(micros) // 1_000_000}.{abs(micros) % 1_000_000:06d}"


def price(cents: int) -> str:
    return f"0.{cents:02d}00" if cents < 100 else "1.0000"


def count(hundredths: int) -> str:
    sign = "-" if hundredths < 0 else ""
    return f"{sign}{abs(hundredths) // 100}.{abs(hundredths) % 100:02d}"


class Past:
    """One thing as it was at each moment."""

    def __init__(self, first: Any) -> None:
        self._first = first
        self._states = [(0, first)]

    @property
    def last(self) -> Any:
        return self._states[-1][1]

    @property
    def changed_at(self) -> int:
        return self._states[-1][0]

    def put(self, now: int, state: Any) -> None:
        self._states.append((now, state))

    def at(self, when: int) -> Any:
        """What it was then."""
        for since, state in reversed(self._states):
            if since <= when:
                return state
        return self._first


class Trading:
    """The truth about the account. `push` tells the private connection what happens."""

    def __init__(self, world: "World", dice: random.Random, push: Push) -> None:
        self._world = world
        self._dice = dice
        self._push = push
        self.orders: dict[str, Row] = {}  # by order_id; each with its past
        self.fills: list[Row] = []
        self.settlements: list[Row] = []
        self.transfers: list[Row] = []
        self.settled: dict[str, int] = {}  # when each market was, monotonic
        self.held = {ticker: Past(0) for ticker in TICKERS}  # + YES, - NO
        self.cash = Past(OPENING_CASH)
        self.free = Past(OPENING_CASH)  # less what is kept back for resting orders
        self.fee = FEE
        self.by_hand: set[str] = set()  # client_order_ids of those that their owner has amended
        self._canceling_until = -1  # a cancel-all may take what comes before this
        self._next = 0

    def number(self) -> int:
        self._next += 1
        return self._next

    # Orders

    def create(self, id: str, ticker: str, terms: Row) -> Row | str:
        """The order, or why there is none. `terms`: side, cents, whole, time_in_force."""
        if ticker in self.settled:
            return "market_already_closed"
        if terms["cents"] == 55:
            return "insufficient_balance"
        order = {
            "order_id": f"o{self.number()}", "client_order_id": id, "ticker": ticker,
            "side": terms["side"], "cents": terms["cents"], "whole": terms["whole"], "filled": 0,
            "status": "resting", "created": self._world.clock, "number": self._next,
            "past": Past(None), "ended": 0, "external": terms.get("external"), "expires": 0,
        }  # fmt: skip
        self.orders[order["order_id"]] = order
        made = (ticker, order["side"], order["cents"], order["whole"])
        outside = bool(order["external"])
        self._world.log("made", order["order_id"], terms=made, external=outside)
        if self._dice.random() < 0.5:
            self.fill(order, self._dice.randint(1, order["whole"]))
        if order["status"] == "resting":
            taken = self._world.now < self._canceling_until and self._dice.random() < 0.5
            if taken or terms["time_in_force"] != "good_till_canceled":
                order["status"] = "canceled"
        self.changed(order)
        return order

    def take(self) -> None:
        """Somebody trades against an order of ours that rests."""
        resting = self.resting()
        if resting:
            order = self._dice.choice(resting)
            self.fill(order, self._dice.randint(1, order["whole"] - order["filled"]))
            self.changed(order)

    def resting(self) -> list[Row]:
        return [o for o in self.orders.values() if o["status"] == "resting"]

    def cancel(self, order_id: str) -> int | None:
        """What is left of an order is canceled: how much; None if it does not rest."""
        order = self.orders.get(order_id)
        if order is None or order["status"] != "resting":
            return None
        order["status"] = "canceled"
        self.changed(order)
        left: int = order["whole"] - order["filled"]
        return left

    def decrease(self, order_id: str, left: int) -> str:
        """No more than `left` of an order rests. Why it could not be done, "" if it was."""
        order = self.orders.get(order_id)
        if order is None or order["status"] != "resting":
            return "not_found"
        if left >= order["whole"] - order["filled"]:
            return "invalid_order"
        order["whole"] = order["filled"] + left
        terms = (order["ticker"], order["side"], order["cents"], left)
        self._world.log("made", order_id, terms=terms, external=bool(order["external"]))
        self._world.happened["an order was decreased"] += 1
        self.changed(order)
        return ""

    def amend(self) -> None:
        """The account's owner amends an order that rests, by hand."""
        resting = self.resting()
        if not resting:
            return
        order = self._dice.choice(resting)
        order["cents"] = self._dice.choice((12, 25, 75, 88))
        order["whole"] = order["filled"] + self._dice.randint(1, 1_500)
        left = order["whole"] - order["filled"]
        terms = (order["ticker"], order["side"], order["cents"], left)
        self.by_hand.add(order["client_order_id"])
        self._world.log("made", order["order_id"], terms=terms, external=True)
        self._world.happened["an order was amended by hand"] += 1
        self.changed(order)

    def cancel_all(self) -> None:
        """It may take orders of the next minute, too (FACTS.md section 6.2)."""
        for order in self.resting():
            self.cancel(order["order_id"])
        self._canceling_until = self._world.now + HOLD_AFTER_CANCEL_ALL

    def fill(self, order: Row, size: int) -> None:
        """Somebody trades with so much of an order."""
        order["filled"] += size
        if order["filled"] == order["whole"]:
            order["status"] = "executed"
        fill = {
            "trade_id": f"t{self.number()}", "order_id": order["order_id"], "number": self._next,
            "ticker": order["ticker"], "side": order["side"], "cents": order["cents"],
            "size": size, "at": self._world.clock, "now": self._world.now, "fee": self.fee,
        }  # fmt: skip
        self.fills.append(fill)
        filled = (fill["ticker"], fill["side"], fill["cents"], size)
        self._world.log("filled", order["order_id"], terms=filled)
        self._move(order, size)
        self._push("fill", "fill", {
            "trade_id": fill["trade_id"], "order_id": fill["order_id"],
            "market_ticker": fill["ticker"], "is_taker": True,
            "yes_price_dollars": price(fill["cents"]), "count_fp": count(size),
            "fee_cost": fill["fee"], "book_side": fill["side"], "ts_ms": fill["at"] // 1_000,
            "client_order_id": order["client_order_id"],
        })  # fmt: skip

    def _move(self, order: Row, size: int) -> None:
        """Contracts and money change hands: closing contracts are sold, the rest is bought."""
        bid = order["side"] == "bid"
        held = self.held[order["ticker"]].last
        change = size if bid else -size
        closing = min(size, abs(held)) if held * change < 0 else 0
        bought_at = order["cents"] if bid else 100 - order["cents"]
        paid = bought_at * (size - closing) - (100 - bought_at) * closing
        self.held[order["ticker"]].put(self._world.now, held + change)
        self._pay(-paid * 100 - (10_000 if self.fee == FEE else 0))  # what nobody has nobody takes

    def _pay(self, micros: int) -> None:
        self.cash.put(self._world.now, self.cash.last + micros)
        self._reserve()

    def _reserve(self) -> None:
        kept = sum(
            (o["cents"] if o["side"] == "bid" else 100 - o["cents"])
            * (o["whole"] - o["filled"]) * 100
            for o in self.resting()
        )  # fmt: skip
        self.free.put(self._world.now, self.cash.last - kept)

    def changed(self, order: Row) -> None:
        row = self._row(order)
        order["past"].put(self._world.now, row)
        order["ended"] = 0 if order["status"] == "resting" else self._world.now
        if order["ended"]:
            self._world.log("over", order["order_id"])
        self._reserve()
        self._push("user_order", "user_orders", {
            **{k: v for k, v in row.items() if k not in ("created_time", "last_update_time")},
            "last_updated_ts_ms": self._world.clock // 1_000,
            "created_ts_ms": order["created"] // 1_000,
        })  # fmt: skip

    def _row(self, order: Row) -> Row:
        remaining = order["whole"] - order["filled"] if order["status"] == "resting" else 0
        return {
            "order_id": order["order_id"], "client_order_id": order["client_order_id"],
            "ticker": order["ticker"], "status": order["status"], "book_side": order["side"],
            "yes_price_dollars": price(order["cents"]), "fill_count_fp": count(order["filled"]),
            "remaining_count_fp": count(remaining), "initial_count_fp": count(order["whole"]),
            "created_time": rfc(order["created"]), "last_update_time": rfc(self._world.clock),
        }  # fmt: skip

    # Money that is not a trade

    def settle(self, ticker: str) -> None:
        """The market ends: what rests is canceled, what is held is paid. Its row may come late."""
        if ticker in self.settled:
            return
        world = self._world
        self.settled[ticker] = world.now
        for order in self.resting():
            if order["ticker"] == ticker:
                self.cancel(order["order_id"])
        world.log("settled", ticker)
        held, yes = self.held[ticker].last, self._dice.random() < 0.5
        if not held:
            return
        revenue = abs(held) if (held > 0) == yes else 0  # hundredths of $1: cents
        late = self._dice.randint(0, world.faults.settles_late_max)
        self.settlements.append({
            "ticker": ticker, "market_result": "yes" if yes else "no",
            "yes_count_fp": count(max(held, 0)), "no_count_fp": count(max(-held, 0)),
            "revenue": revenue, "settled_time": rfc(world.clock), "fee_cost": "0.0700",
            "at": world.clock, "shown": world.now + late, "number": self.number(),
        })  # fmt: skip
        self.held[ticker].put(world.now, 0)
        self._pay(revenue * 10_000)

    def transfer(self, kind: str, cents: int) -> None:
        """Money comes from outside, or goes there."""
        self.transfers.append({
            "kind": kind, "id": f"m{self.number()}", "status": "applied", "amount_cents": cents,
            "fee_cents": 0, "created_ts": self._world.clock // 1_000_000,
            "shown": self._world.now, "number": self._next,
        })  # fmt: skip
        self._pay(cents * 10_000 * (1 if kind == "deposits" else -1))


def rfc(micros: int) -> str:
    """RFC 3339 with microseconds, by hand: the engine's reader must not check itself."""
    seconds, micro = divmod(micros, 1_000_000)
    days, rest = divmod(seconds, 86_400)
    year, month, day = 1970, 1, 1
    while days >= (length := 366 if year % 4 == 0 and (year % 100 or year % 400 == 0) else 365):
        days, year = days - length, year + 1
    leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    for length in (31, 29 if leap else 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31):
        if days < length:
            break
        days, month = days - length, month + 1
    day += days
    clock = f"{rest // 3600:02d}:{rest // 60 % 60:02d}:{rest % 60:02d}.{micro:06d}"
    return f"{year}-{month:02d}-{day:02d}T{clock}Z"
