"""An exchange that lies: it skips frames, loses answers, lands orders late and lists them late.

A device of the simulation, not the paper exchange: it keeps the whole truth for the checkers.
"""

import json
import random
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from protocol.kalshi.calls import Call
from protocol.limits import MS, SECOND, SIGNATURE_WINDOW

if TYPE_CHECKING:
    from tests.simulation.world import World

TICKERS = ("KXRAIN-1", "KXSNOW-2", "KXWIND-3")
HISTORY_MAX = 20_000

Levels = dict[str, dict[int, int]]


def money(micros: int) -> str:
    return f"{micros // 1_000_000}.{micros % 1_000_000:06d}"


def price(cents: int) -> str:
    return f"0.{cents:02d}00" if cents < 100 else "1.0000"


def count(hundredths: int) -> str:
    sign = "-" if hundredths < 0 else ""
    return f"{sign}{abs(hundredths) // 100}.{abs(hundredths) % 100:02d}"


class Connection:
    """One WebSocket: subscriptions, numbers, and the process at the other end."""

    def __init__(self, deliver: Callable[[dict[str, Any]], None]) -> None:
        self.deliver = deliver
        self.sids: dict[str, int] = {}
        self.seqs: dict[int, int] = {}
        self.tickers: dict[str, set[str]] = {}

    def send(self, kind: str, channel: str, msg: Any, id: int = 0) -> dict[str, Any] | None:
        """A frame of a channel, numbered; None if nobody subscribed."""
        sid = self.sids.get(channel)
        if sid is None:
            return None
        frame = {"type": kind, "sid": sid, "msg": msg}
        if channel in ("orderbook_delta", "trade"):
            self.seqs[sid] += 1
            frame["seq"] = self.seqs[sid]
        if id:
            frame["id"] = id
        return frame


class Exchange:
    """Markets, orders, fills: the truth."""

    def __init__(self, world: "World", dice: random.Random) -> None:
        self._world = world
        self._dice = dice
        self.books: dict[str, Levels] = {t: {"yes": {}, "no": {}} for t in TICKERS}
        self.versions: dict[str, list[tuple[tuple[Any, ...], ...]]] = {t: [] for t in TICKERS}
        for ticker in TICKERS:
            for side in ("yes", "no"):
                for _ in range(4):
                    self.books[ticker][side][dice.randint(1, 48)] = dice.randint(1, 50) * 100
            self._note(ticker)
        self.connections: dict[str, Connection] = {}
        self.orders: dict[str, dict[str, Any]] = {}  # by order_id; each with its history
        self.fills: list[dict[str, Any]] = []
        self.posts: list[str] = []  # every client_order_id that a create arrived with
        self.cash = 10_000 * 1_000_000
        self.fee = "0.010000"  # of each fill
        self._next = 0

    # Market data

    def _note(self, ticker: str) -> None:
        book = self.books[ticker]
        self.versions[ticker].append(
            tuple(tuple(sorted(book[side].items())) for side in ("yes", "no"))
        )
        assert len(self.versions[ticker]) < HISTORY_MAX

    def move(self) -> None:
        """One level of one book changes; sometimes there is a print."""
        ticker = self._dice.choice(TICKERS)
        side = self._dice.choice(("yes", "no"))
        cents = self._dice.randint(1, 48)
        levels = self.books[ticker][side]
        change = self._dice.randint(1, 30) * 100
        if levels.get(cents) and self._dice.random() < 0.5:
            change = -min(change, levels[cents])
        levels[cents] = levels.get(cents, 0) + change
        if not levels[cents]:
            del levels[cents]
        self._note(ticker)
        msg = {
            "market_ticker": ticker, "price_dollars": price(cents), "delta_fp": count(change),
            "side": side, "ts_ms": self._world.wall // 1_000,
        }  # fmt: skip
        self._push("market", "orderbook_delta", "orderbook_delta", msg, ticker)
        if self._dice.random() < 0.1:
            self._print(ticker, cents)

    def _print(self, ticker: str, cents: int) -> None:
        self._next += 1
        msg = {
            "trade_id": f"p{self._next}", "market_ticker": ticker,
            "yes_price_dollars": price(cents), "no_price_dollars": price(100 - cents),
            "count_fp": "1.00", "taker_outcome_side": "yes",
        }  # fmt: skip
        self._push("market", "trade", "trade", msg, ticker)

    def _push(self, link: str, kind: str, channel: str, msg: Any, ticker: str = "") -> None:
        connection = self.connections.get(link)
        if connection is None:
            return
        if ticker and channel in connection.tickers and ticker not in connection.tickers[channel]:
            return
        frame = connection.send(kind, channel, msg)
        if frame is None:
            return
        faults, dice = self._world.faults, self._dice
        if channel in ("orderbook_delta", "trade") and dice.random() < faults.frame_skip:
            return
        if dice.random() < faults.socket_drop:
            self._world.wire.drop(link)
            return
        connection.deliver(frame)
        if channel == "orderbook_delta" and dice.random() < faults.frame_repeat:
            connection.deliver(frame)

    def opened(self, link: str, deliver: Callable[[dict[str, Any]], None]) -> Connection:
        self.connections[link] = Connection(deliver)
        return self.connections[link]

    def command(self, connection: Connection, raw: bytes) -> None:
        """What the stream sends."""
        told = json.loads(raw)
        params = told["params"]
        if told["cmd"] == "subscribe":
            for channel in params["channels"]:
                sid = connection.sids.setdefault(channel, len(connection.sids) + 1)
                connection.seqs.setdefault(sid, 0)
                tickers = set(params.get("market_tickers", ()))
                if tickers:
                    connection.tickers.setdefault(channel, set()).update(tickers)
                connection.deliver(
                    {
                        "id": told["id"],
                        "type": "subscribed",
                        "msg": {"channel": channel, "sid": sid},
                    }
                )
                if channel == "orderbook_delta":
                    self._snapshots(connection, sorted(tickers), 0)
            return
        assert told["cmd"] == "update_subscription", told
        [sid] = params["sids"]
        [channel] = [c for c, s in connection.sids.items() if s == sid]
        tickers = params["market_tickers"]
        if params["action"] == "get_snapshot":
            self._snapshots(connection, tickers, told["id"])
            return
        connection.tickers.setdefault(channel, set()).update(tickers)
        frame = connection.send("ok", channel, {"market_tickers": tickers}, told["id"])
        assert frame is not None
        connection.deliver(frame)
        if channel == "orderbook_delta":
            self._snapshots(connection, tickers, 0)

    def _snapshots(self, connection: Connection, tickers: list[str], id: int) -> None:
        for ticker in tickers:
            msg: dict[str, Any] = {"market_ticker": ticker}
            for side in ("yes", "no"):
                levels = sorted(self.books[ticker][side].items())
                if levels:
                    msg[f"{side}_dollars_fp"] = [[price(p), count(c)] for p, c in levels]
            frame = connection.send("orderbook_snapshot", "orderbook_delta", msg, id)
            if frame is not None and self._dice.random() >= self._world.faults.frame_skip:
                connection.deliver(frame)

    # Orders

    def create(self, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        id = body["client_order_id"]
        self.posts.append(id)
        self._world.order_arrived(id)
        if any(o["client_order_id"] == id for o in self.orders.values()):
            return 409, {"error": {"code": "order_already_exists", "message": "exists"}}
        if body["price"] == "0.5550":
            return 400, {"error": {"code": "invalid_price", "message": "invalid price"}}
        self._next += 1
        whole = round(float(body["count"]) * 100)
        order = {
            "order_id": f"o{self._next}", "client_order_id": id, "ticker": body["ticker"],
            "side": body["side"], "cents": int(body["price"][2:4]), "whole": whole, "filled": 0,
            "status": "resting", "created": self._world.wall, "history": [],
        }  # fmt: skip
        self.orders[order["order_id"]] = order
        if self._dice.random() < 0.5:
            self._fill(order, self._dice.randint(1, whole))
        if body["time_in_force"] != "good_till_canceled" and order["status"] == "resting":
            order["status"] = "canceled"
        self._changed(order)
        resting = whole - order["filled"] if order["status"] == "resting" else 0
        return 201, {
            "order_id": order["order_id"], "client_order_id": id,
            "fill_count": count(order["filled"]), "remaining_count": count(resting),
            "ts_ms": self._world.wall // 1_000,
        }  # fmt: skip

    def take(self) -> None:
        """Somebody trades against an order of ours that rests."""
        resting = [o for o in self.orders.values() if o["status"] == "resting"]
        if resting:
            order = self._dice.choice(resting)
            self._fill(order, self._dice.randint(1, order["whole"] - order["filled"]))
            self._changed(order)

    def _fill(self, order: dict[str, Any], size: int) -> None:
        order["filled"] += size
        if order["filled"] == order["whole"]:
            order["status"] = "executed"
        self._next += 1
        fill = {
            "trade_id": f"t{self._next}", "order_id": order["order_id"],
            "ticker": order["ticker"], "side": order["side"], "cents": order["cents"],
            "size": size, "at": self._world.wall, "client_order_id": order["client_order_id"],
            "fee": self.fee,
        }  # fmt: skip
        self.fills.append(fill)
        self._push("private", "fill", "fill", {
            "trade_id": fill["trade_id"], "order_id": fill["order_id"],
            "market_ticker": fill["ticker"], "is_taker": True,
            "yes_price_dollars": price(fill["cents"]), "count_fp": count(size),
            "fee_cost": fill["fee"], "book_side": fill["side"], "ts_ms": fill["at"] // 1_000,
            "client_order_id": order["client_order_id"],
        })  # fmt: skip

    def _changed(self, order: dict[str, Any]) -> None:
        order["history"].append((self._world.now, self._row(order)))
        row = self._row(order)
        self._push("private", "user_order", "user_orders", {
            **{k: v for k, v in row.items() if k not in ("created_time", "last_update_time")},
            "last_updated_ts_ms": self._world.wall // 1_000,
            "created_ts_ms": order["created"] // 1_000,
        })  # fmt: skip

    def _row(self, order: dict[str, Any]) -> dict[str, Any]:
        remaining = order["whole"] - order["filled"] if order["status"] == "resting" else 0
        return {
            "order_id": order["order_id"], "client_order_id": order["client_order_id"],
            "ticker": order["ticker"], "status": order["status"], "book_side": order["side"],
            "yes_price_dollars": price(order["cents"]), "fill_count_fp": count(order["filled"]),
            "remaining_count_fp": count(remaining), "initial_count_fp": count(order["whole"]),
            "created_time": rfc(order["created"]), "last_update_time": rfc(self._world.wall),
        }  # fmt: skip

    # REST

    def call(self, call: Call) -> tuple[int, bytes]:
        """Answer one call, from reads that may lag."""
        status, body = self._route(call, dict(call.query))
        return status, json.dumps(body).encode()

    def _route(self, call: Call, query: dict[str, str]) -> tuple[int, dict[str, Any]]:
        path = call.path
        if call.method == "POST":
            return self.create(json.loads(call.body))
        if call.method == "DELETE":
            return self._cancel(path.rpartition("/")[2])
        match path:
            case "/account/limits":
                limits = {"refill_rate": 100, "bucket_capacity": 200}
                return 200, {"read": limits, "write": limits, "usage_tier": "basic", "grants": []}
            case "/account/endpoint_costs":
                return 200, {"default_cost": 10, "endpoint_costs": []}
            case "/exchange/status":
                return 200, {"exchange_active": True, "trading_active": True}
            case "/portfolio/balance":
                return 200, {"balance_dollars": money(self.cash), "balance_breakdown": []}
            case "/markets":
                return 200, {"markets": [{"ticker": t} for t in TICKERS], "cursor": ""}
            case "/portfolio/orders":
                return 200, self._page("orders", self._listed(query), query)
            case "/portfolio/fills":
                return 200, self._page("fills", self._listed_fills(query), query)
        found = self._visible(self.orders.get(path.rpartition("/")[2]))
        if found is None:
            return 404, {"error": {"code": "not_found", "message": "not found"}}
        return 200, {"order": found}

    def _lag(self) -> int:
        most = self._world.faults.listing_lag_max
        return self._dice.randint(0, most) if most else 0

    def _visible(self, order: dict[str, Any] | None) -> dict[str, Any] | None:
        """An order as reads show it: as it was a moment ago, or not yet."""
        if order is None:
            return None
        until = self._world.now - self._lag()
        rows: list[dict[str, Any]] = [row for at, row in order["history"] if at <= until]
        return rows[-1] if rows else None

    def _listed(self, query: dict[str, str]) -> list[dict[str, Any]]:
        since = int(query.get("min_ts", "0")) * 1_000_000
        rows = [self._visible(o) for o in self.orders.values() if o["created"] >= since]
        status = query.get("status")
        return [r for r in rows if r is not None and status in (None, r["status"])]

    def _listed_fills(self, query: dict[str, str]) -> list[dict[str, Any]]:
        since = int(query.get("min_ts", "0")) * 1_000_000
        until = self._world.wall - self._lag() // 1_000
        return [
            {
                "trade_id": f["trade_id"], "order_id": f["order_id"], "ticker": f["ticker"],
                "count_fp": count(f["size"]), "yes_price_dollars": price(f["cents"]),
                "fee_cost": f["fee"], "is_taker": True, "book_side": f["side"],
                "created_time": rfc(f["at"]),
            }
            for f in self.fills
            if since <= f["at"] <= until
        ]  # fmt: skip

    def _page(self, name: str, rows: list[Any], query: dict[str, str]) -> dict[str, Any]:
        start, size = int(query.get("cursor", "0")), 7
        more = start + size < len(rows)
        return {name: rows[start : start + size], "cursor": str(start + size) if more else ""}

    def _cancel(self, order_id: str) -> tuple[int, dict[str, Any]]:
        order = self.orders.get(order_id)
        if order is None or order["status"] != "resting":
            return 404, {"error": {"code": "not_found", "message": "not found"}}
        order["status"] = "canceled"
        self._changed(order)
        reduced = count(order["whole"] - order["filled"])
        return 200, {
            "order_id": order_id,
            "reduced_by": reduced,
            "ts_ms": self._world.wall // 1_000,
        }


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


LATE_MAX = SIGNATURE_WINDOW - 5 * SECOND  # a lost request may still arrive so much later
ANSWER_MAX = 50 * MS
