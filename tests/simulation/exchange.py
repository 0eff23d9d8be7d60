"""An exchange that lies: it skips frames, loses answers, lands orders late and lists them late.

A device of the simulation, not the paper exchange: it keeps the whole truth for the checkers. The
account's side of it is in `trading.py`, what reads show of that in `reads.py`, the budgets are in
`rates.py`; here are the books, the sockets and the door for calls.
"""

import json
import random
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from protocol.kalshi.calls import Call
from protocol.limits import ABSENCE_AFTER, US
from tests.simulation.rates import TIERS, Rates, budget_of, cost_of
from tests.simulation.reads import NOT_FOUND, Reads
from tests.simulation.trading import TICKERS, Row, Trading, count, price

if TYPE_CHECKING:
    from tests.simulation.world import World

HISTORY_MAX = 20_000
SIGNED_MAX = ABSENCE_AFTER // US  # a signature may be so old, or so far ahead
EXPIRED = {"error": {"code": "header_timestamp_expired", "message": "expired"}}
TOO_MANY = {"error": {"code": "too_many_requests", "message": "too many requests"}}

Levels = dict[str, dict[int, int]]


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
        self.posts: list[str] = []  # every client_order_id that a create arrived with
        self.trading = Trading(world, dice, self._tell)
        self.rates = Rates(world, dice.randrange(len(TIERS)))
        self._reads = Reads(world, dice, self.trading)

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
        self._change(ticker, side, cents, change)
        if self._dice.random() < 0.1:
            self._print(ticker, cents)

    def _change(self, ticker: str, side: str, cents: int, change: int, **more: str) -> None:
        """A level of a book, and the frame that tells of it."""
        levels = self.books[ticker][side]
        levels[cents] = levels.get(cents, 0) + change
        if not levels[cents]:
            del levels[cents]
        self._note(ticker)
        msg = {
            "market_ticker": ticker, "price_dollars": price(cents), "delta_fp": count(change),
            "side": side, "ts_ms": self._world.clock // 1_000, **more,
        }  # fmt: skip
        self._push("market", "orderbook_delta", "orderbook_delta", msg, ticker)

    def _print(self, ticker: str, cents: int) -> None:
        msg = {
            "trade_id": f"p{self.trading.number()}", "market_ticker": ticker,
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

    def _tell(self, kind: str, channel: str, msg: Row) -> None:
        self._push("private", kind, channel, msg)

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
            case _, path:
                return self._reads.answer(path, dict(call.query))
        return status, json.dumps(body).encode()

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
        resting = order["whole"] - order["filled"] if order["status"] == "resting" else 0
        if resting:
            side, cents = ("yes", order["cents"]), ("no", 100 - order["cents"])
            at = side if order["side"] == "bid" else cents
            self._change(order["ticker"], *at, resting, client_order_id=id)
        return 201, {
            "order_id": order["order_id"], "client_order_id": id,
            "fill_count": count(order["filled"]), "remaining_count": count(resting),
            "ts_ms": self._world.clock // 1_000,
        }  # fmt: skip

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
