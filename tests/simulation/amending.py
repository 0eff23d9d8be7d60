"""Amends at the simulated exchange: other terms for what rests, and expiries that are renewed."""

import json
import random
from typing import TYPE_CHECKING

from protocol.kalshi.calls import Call
from protocol.limits import US
from tests.simulation.reads import NOT_FOUND
from tests.simulation.trading import Row, Trading, count

if TYPE_CHECKING:
    from tests.simulation.world import World

NO_OP = {"error": {"code": "AMEND_ORDER_NO_OP", "message": "nothing to amend"}}


def terms_of(call: Call) -> tuple[str, int, int, int]:
    """Whose order, cents, hundredths of a contract in all, and the expiry in Unix seconds."""
    body = json.loads(call.body)
    whole = round(float(body["count"]) * 100)
    return body["client_order_id"], int(body["price"][2:4]), whole, body.get("expiration_time", 0)


def amend_id(cents: int, whole: int) -> str:
    """The client names its amends by what they ask for, and asks for nothing twice."""
    return f"{cents}-{whole}"


class Amending:
    """What amends do to the account's orders."""

    def __init__(self, world: "World", dice: random.Random, trading: Trading) -> None:
        self._world = world
        self._dice = dice
        self._trading = trading
        self.done: set[str] = set()  # client_order_id and amend_id of those that were done

    def call(self, call: Call) -> tuple[int, Row]:
        """Do what an amend asks for: price and count, the expiry, or all of them."""
        world, renews = self._world, call.name == "renew"
        id, cents, whole, expires = terms_of(call)
        name = f"{id} {amend_id(cents, whole)}"
        recorded = renews or world.on_record(f"amend:{name}")
        world.log("arrived", name, call=call.name, recorded=recorded)
        order = self._trading.orders.get(call.path.split("/")[-2])
        if order is None or order["status"] != "resting":
            return 404, NOT_FOUND
        same = (order["cents"], order["whole"]) == (cents, whole)
        if whole <= order["filled"] or (same and not renews):
            return 400, NO_OP
        if not renews:
            self.done.add(name)
        if not same:
            self._change(order, cents, whole)
        if expires:
            self.expire_at(order, expires)
        return 200, {
            "order_id": order["order_id"], "client_order_id": id,
            "remaining_count": count(order["whole"] - order["filled"]),
            "ts_ms": order["amended"] // 1_000 if not same else world.clock // 1_000,
        }  # fmt: skip

    def _change(self, order: Row, cents: int, whole: int) -> None:
        trading, world = self._trading, self._world
        order["cents"], order["whole"], order["amended"] = cents, whole, world.clock
        terms = (order["ticker"], order["side"], cents, whole - order["filled"])
        world.log("made", order["order_id"], terms=terms)
        world.happened["an order was amended"] += 1
        if self._dice.random() < 0.3:
            trading.fill(order, self._dice.randint(1, whole - order["filled"]))
        trading.changed(order)

    def expire_at(self, order: Row, seconds: int) -> None:
        """An order rests until then, and no longer."""
        order["expires"] = seconds
        when = self._world.now + max(seconds * 1_000_000 - self._world.clock, 0) * US
        self._world.at(when, lambda: self._expire(order, seconds))

    def _expire(self, order: Row, seconds: int) -> None:
        if order["expires"] == seconds and order["status"] == "resting":
            self._world.happened["a lease ran out"] += 1
            self._trading.cancel(order["order_id"])
