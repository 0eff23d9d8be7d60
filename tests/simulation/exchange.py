"""An exchange that lies: it skips frames, loses answers, lands orders late and lists them late.

A device of the simulation, not the paper exchange: it keeps the whole truth for the checkers. Its
books are in `markets.py`, what it tells of them in `feed.py`, the account's side of it in
`trading.py`, what reads show of that in `reads.py`, the budgets in `rates.py`; here is the door for
calls, and what moves.
"""

import json
import random
from typing import TYPE_CHECKING

from protocol.kalshi.calls import Call
from protocol.limits import ABSENCE_AFTER, US
from tests.simulation.amending import Amending
from tests.simulation.feed import Feed
from tests.simulation.lies import spoiled
from tests.simulation.markets import Markets
from tests.simulation.rates import TIERS, Rates, budget_of, cost_of
from tests.simulation.reads import NOT_FOUND, Reads
from tests.simulation.trading import Row, Trading, count

if TYPE_CHECKING:
    from tests.simulation.world import World

SIGNED_MAX = ABSENCE_AFTER // US  # a signature may be so old, or so far ahead
EXPIRED = {"error": {"code": "header_timestamp_expired", "message": "expired"}}
TOO_MANY = {"error": {"code": "too_many_requests", "message": "too many requests"}}


class Exchange:
    """Markets, orders, fills: the truth."""

    def __init__(self, world: "World", dice: random.Random) -> None:
        self._world = world
        self._dice = dice
        self.markets = Markets(world, dice)
        self.feed = Feed(world, dice, self.markets)
        self.posts: list[str] = []  # every client_order_id that a create arrived with
        self.trading = Trading(world, dice, self._tell)
        self.rates = Rates(world, dice.randrange(len(TIERS)))
        self.amending = Amending(world, dice, self.trading)
        self._reads = Reads(world, dice, self.trading, self.markets)

    def move(self) -> None:
        """One level of one book changes; sometimes there is a print."""
        ticker, change = self.markets.draw()
        self.feed.change(ticker, change)
        if self._dice.random() < 0.1:
            self.feed.print(ticker, change[1], self.trading.number())

    def open_market(self, ticker: str) -> None:
        """A new market: first its life begins, and a moment later it is listed."""
        self.markets.open(ticker)
        self.feed.lives(ticker, "created")
        self._world.happened["a market was created"] += 1

    def _tell(self, kind: str, channel: str, msg: Row) -> None:
        self.feed.push(channel, {"type": kind, "msg": msg})
        if kind == "fill":
            ticker = msg["market_ticker"]
            self.feed.push("market_positions", {"type": "market_position", "msg": {
                "user_id": "u1", "market_ticker": ticker,
                "position_fp": count(self.trading.held[ticker].last),
                "position_cost_dollars": "1.0000", "realized_pnl_dollars": "-0.5000",
                "fees_paid_dollars": "0.0100", "position_fee_cost_dollars": "0.0100",
                "volume_fp": msg["count_fp"],
            }})  # fmt: skip

    # REST

    def arrive(self, call: Call, signed_at: int) -> tuple[int, bytes] | None:
        """A call comes in. The answer, if it goes no further."""
        if abs(self._world.clock - signed_at) > SIGNED_MAX:
            return 401, json.dumps(EXPIRED).encode()
        if self.rates.draw(budget_of(call), cost_of(call)):
            return None
        return 429, json.dumps(TOO_MANY).encode()

    def call(self, call: Call) -> tuple[int, bytes]:
        """Do what a call asks for, perhaps long after it came in."""
        match call.method, call.path:
            case "POST", path if path.endswith("/amend"):
                status, body = self.amending.call(call)
            case "POST", path if path.endswith("/decrease"):
                status, body = self._decrease(path.split("/")[-2], json.loads(call.body))
            case _, path if path.endswith("/batched"):
                status, body = self._batch(call.method, json.loads(call.body)["orders"])
            case "POST", _:
                status, body = self._create(json.loads(call.body))
            case "DELETE", "/portfolio/events/orders":
                self._world.log("arrived", "", call="cancel all")
                self.trading.cancel_all()
                return 204, b""
            case "DELETE", path:
                status, body = self._cancel(path.rpartition("/")[2])
            case _, "/account/limits":
                status, body = 200, self.rates.body()
            case _, "/markets/orderbooks":
                return self._reads.books([ticker for _, ticker in call.query])
            case _, path:
                return self._reads.answer(path, dict(call.query))
        return status, json.dumps(body).encode()

    def _batch(self, method: str, orders: list[Row]) -> tuple[int, Row]:
        """One after the other, each by itself; the answer may lie about them."""
        rows = []
        for order in orders:
            if method == "POST":
                name = {"client_order_id": order["client_order_id"], "remaining_count": None}
                status, body = self._create(order)
            else:
                name = {"order_id": order["order_id"], "reduced_by": "0.00"}
                status, body = self._cancel(order["order_id"])
            rows.append(body if status in (200, 201) else name | {"error": body["error"]})
        if self._dice.random() < self._world.faults.batch_lies:
            manner, rows = spoiled(self._dice, rows)
            self._world.happened[f"the answer to a batch lied: {manner}"] += 1
        return 201 if method == "POST" else 200, {"orders": rows}

    def _create(self, body: Row) -> tuple[int, Row]:
        id = body["client_order_id"]
        self.posts.append(id)
        self._world.log("arrived", id, call="create", recorded=self._world.is_recorded(id))
        if any(o["client_order_id"] == id for o in self.trading.orders.values()):
            return 409, {"error": {"code": "order_already_exists", "message": "exists"}}
        whole = round(float(body["count"]) * 100)
        terms = {**body, "cents": int(body["price"][2:4]), "whole": whole}
        order = self.trading.create(id, body["ticker"], terms)
        if isinstance(order, str):
            return 400, {"error": {"code": order, "message": order}}
        if body.get("expiration_time"):
            self.amending.expire_at(order, body["expiration_time"])
        resting = order["whole"] - order["filled"] if order["status"] == "resting" else 0
        if resting:
            bid = order["side"] == "bid"
            level = ("yes", order["cents"]) if bid else ("no", 100 - order["cents"])
            self.feed.change(order["ticker"], (*level, resting), client_order_id=id)
        return 201, {
            "order_id": order["order_id"], "client_order_id": id,
            "fill_count": count(order["filled"]), "remaining_count": count(resting),
            "ts_ms": self._world.clock // 1_000,
        }  # fmt: skip

    def _decrease(self, order_id: str, body: Row) -> tuple[int, Row]:
        left = round(float(body["reduce_to"]) * 100)
        wrong = self.trading.decrease(order_id, left)
        if wrong:
            status = 404 if wrong == "not_found" else 400
            return status, {"error": {"code": wrong, "message": wrong}}
        return 200, {
            "order_id": order_id,
            "remaining_count": count(left),
            "ts_ms": self._world.clock // 1_000,
        }

    def _cancel(self, order_id: str) -> tuple[int, Row]:
        order = self.trading.orders.get(order_id)
        external = order is not None and bool(order["external"])
        self._world.log("arrived", order_id, call="cancel", external=external)
        blind = self._dice.random() < self._world.faults.cancel_blind
        left = None if blind else self.trading.cancel(order_id)
        if left is None:
            return 404, NOT_FOUND
        return 200, {
            "order_id": order_id,
            "reduced_by": count(left),
            "ts_ms": self._world.clock // 1_000,
        }
