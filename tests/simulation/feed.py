"""The exchange's side of WebSockets: subscriptions, their numbers, and what is told on them.

FACTS.md sections 4.2 to 4.5, by hand: the engine's reader of frames must not check itself.
"""

import json
import random
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

from tests.simulation.markets import (
    PROBED_WITHIN,
    TOLD_WITHIN,
    Change,
    Markets,
)
from tests.simulation.trading import count, price

if TYPE_CHECKING:
    from tests.simulation.world import World

BOOKS = "orderbook_delta"
LIVES = "market_lifecycle_v2"
NUMBERED = {BOOKS, "trade", LIVES, "multivariate_market_lifecycle", "order_group_updates"}
RESTARTS_FROM = 10  # with fewer numbers gone, counting anew could look like going on
WORDS = {7: "Unknown subscription ID", 10: "Channel error", 17: "Internal error"}
WORDS |= {18: "Command timeout", 25: "Subscription buffer overflow"}

Frame = dict[str, Any]


class Subscription:
    """One channel of one connection."""

    def __init__(self, channel: str, sid: int) -> None:
        self.channel = channel
        self.sid = sid
        self.seq = 0
        self.tickers: set[str] = set()
        self.whole = False  # every market, whatever `tickers` says
        self.mute: Literal["", "data", "all"] = ""

    def has(self, ticker: str) -> bool:
        return self.whole or ticker in self.tickers

    def number(self, frame: Frame) -> Frame:
        """The frame with the next number, if this channel has any."""
        frame = {"sid": self.sid, **frame}
        if self.channel in NUMBERED:
            self.seq += 1
            frame["seq"] = self.seq
        return frame


class Connection:
    """One WebSocket. `deliver` puts a frame on the wire; nothing overtakes on it."""

    def __init__(self, link: str, deliver: Callable[[Frame], None]) -> None:
        self.link = link
        self.deliver = deliver
        self.subscriptions: dict[str, Subscription] = {}
        self._sids = 0

    def subscribe(self, channel: str) -> Subscription:
        if channel not in self.subscriptions:
            self._sids += 1
            self.subscriptions[channel] = Subscription(channel, self._sids)
        return self.subscriptions[channel]

    def by_sid(self, sid: int) -> Subscription | None:
        return next((s for s in self.subscriptions.values() if s.sid == sid), None)


class Feed:
    """All connections, by link."""

    def __init__(self, world: "World", dice: random.Random, markets: Markets) -> None:
        self._world = world
        self._dice = dice
        self._markets = markets
        self.connections: dict[str, Connection] = {}

    def opened(self, link: str, deliver: Callable[[Frame], None]) -> Connection:
        self.connections[link] = Connection(link, deliver)
        return self.connections[link]

    def subscriptions(
        self, channel: str, ticker: str = ""
    ) -> list[tuple[Connection, Subscription]]:
        """Who is to be told of something."""
        return [
            (connection, subscription)
            for connection in list(self.connections.values())
            for subscription in connection.subscriptions.values()
            if subscription.channel == channel and (not ticker or subscription.has(ticker))
        ]

    # What happens

    def change(self, ticker: str, change: Change, **more: str) -> None:
        """A level of a book is another one, and all who follow it are told."""
        skipped = self._dice.random() < self._world.faults.frame_skip
        mute = any(s.mute for _, s in self.subscriptions(BOOKS, ticker))
        self._markets.change(ticker, change, PROBED_WITHIN if mute or skipped else TOLD_WITHIN)
        side, cents, by = change
        msg = {
            "market_ticker": ticker, "price_dollars": price(cents), "delta_fp": count(by),
            "side": side, **more, **self._time(),
        }  # fmt: skip
        self.push(BOOKS, {"type": "orderbook_delta", "msg": msg}, ticker, skipped)

    def print(self, ticker: str, cents: int, number: int) -> None:
        msg = {
            "trade_id": f"p{number}", "market_ticker": ticker,
            "yes_price_dollars": price(cents), "no_price_dollars": price(100 - cents),
            "count_fp": "1.00", "taker_outcome_side": "yes", **self._time(),
        }  # fmt: skip
        skipped = self._dice.random() < self._world.faults.frame_skip
        self.push("trade", {"type": "trade", "msg": msg}, ticker, skipped)

    def lives(self, ticker: str, change: str) -> None:
        """The life of a market goes on. The channel has no filter."""
        msg = {"market_ticker": ticker, "event_type": change}
        if change == "created":
            seconds = self._world.clock // 1_000_000
            msg |= {"open_ts": seconds, "close_ts": seconds + 86_400, "exchange_index": 0}
        self.push(LIVES, {"type": LIVES, "msg": msg})

    def _time(self) -> Frame:
        """The old form of it, in whole milliseconds; some frames have none."""
        has = self._dice.random() < 0.9
        return {"ts_ms": self._world.clock // 1_000} if has else {}

    # Frames

    def push(self, channel: str, frame: Frame, ticker: str = "", skipped: bool = False) -> None:
        """Data for all who subscribed. `skipped`: it takes its number and never leaves."""
        for connection, subscription in self.subscriptions(channel, ticker):
            if subscription.mute:
                continue
            numbered = subscription.number(frame)
            if skipped:
                continue
            if self._dice.random() < self._world.faults.socket_drop:
                self._world.sockets.drop(connection.link)
                continue
            self.send(connection, numbered)
            if channel == BOOKS and self._dice.random() < self._world.faults.frame_repeat:
                self.send(connection, numbered)

    def send(self, connection: Connection, frame: Frame) -> None:
        """Put it on the wire. The envelope says when, on days on which the exchange does."""
        if self._world.faults.says_when:
            frame = {**frame, "sending_ts_ms": self._world.clock // 1_000}
        connection.deliver(frame)

    def snapshot(self, connection: Connection, ticker: str, id: int = 0) -> Frame | None:
        """A book as it is now; None where the subscription can't tell. It takes its number."""
        subscription = connection.subscriptions[BOOKS]
        if subscription.mute == "all":
            return None
        msg: Frame = {"market_ticker": ticker}
        for side in ("yes", "no"):
            levels = sorted(self._markets.books.get(ticker, {}).get(side, {}).items())
            if levels:
                msg[f"{side}_dollars_fp"] = [[price(p), count(c)] for p, c in levels]
        frame = subscription.number({"type": "orderbook_snapshot", "msg": msg})
        if id:
            frame["id"] = id
        lost = self._dice.random() < self._world.faults.snapshot_lost
        self._markets.own_up(ticker, PROBED_WITHIN if lost else TOLD_WITHIN)
        if lost:
            self._world.happened["a snapshot was lost"] += 1
        else:
            self.send(connection, frame)
        return frame

    # Commands

    def command(self, connection: Connection, raw: bytes) -> None:
        """What the stream sends."""
        told = json.loads(raw)
        params = told.get("params", {})
        match told["cmd"]:
            case "subscribe":
                self._subscribe(connection, told["id"], params)
            case "unsubscribe":
                for sid in params["sids"]:
                    self._unsubscribe(connection, told["id"], sid)
            case "update_subscription":
                [sid] = params["sids"]
                subscription = connection.by_sid(sid)
                if subscription is None:
                    self._refuse(connection, 7, told["id"])
                elif subscription.mute != "all":
                    self._update(connection, subscription, told["id"], params)
            case "list_subscriptions":
                found = connection.subscriptions.values()
                rows = [{"channel": s.channel, "sid": s.sid} for s in found]
                self.send(connection, {"id": told["id"], "type": "ok", "msg": rows})
            case _:
                raise AssertionError(told)

    def _subscribe(self, connection: Connection, id: int, params: Frame) -> None:
        tickers = params.get("market_tickers", [])
        for channel in params["channels"]:
            if channel == BOOKS:
                assert tickers, "books need tickers"
                assert params["use_yes_price"] is False, "it must be sent explicitly"
            new = channel not in connection.subscriptions
            subscription = connection.subscribe(channel)
            fresh = [ticker for ticker in tickers if new or ticker not in subscription.tickers]
            subscription.tickers.update(tickers)
            subscription.whole |= not tickers
            msg = {"channel": channel, "sid": subscription.sid}
            self._answer(connection, {"id": id, "type": "subscribed", "msg": msg})
            if channel == BOOKS:
                self._snapshots(connection, fresh, 0)

    def _unsubscribe(self, connection: Connection, id: int, sid: int) -> None:
        subscription = connection.by_sid(sid)
        if subscription is None:
            self._refuse(connection, 7, id)
            return
        del connection.subscriptions[subscription.channel]
        self._answer(connection, subscription.number({"id": id, "type": "unsubscribed"}))

    def _update(
        self, connection: Connection, subscription: Subscription, id: int, params: Frame
    ) -> None:
        if self._dice.random() < self._world.faults.command_fails:
            self._world.happened["a command failed"] += 1
            self._refuse(connection, 18, id, subscription)
            return
        tickers = params["market_tickers"]
        if params["action"] == "get_snapshot":
            assert subscription.channel == BOOKS
            self._snapshots(connection, [t for t in tickers if subscription.has(t)], id)
            return
        if params["action"] == "add_markets":
            fresh = [ticker for ticker in tickers if ticker not in subscription.tickers]
            subscription.tickers.update(tickers)
        else:
            assert params["action"] == "delete_markets", params
            fresh = []
            subscription.tickers.difference_update(tickers)
        msg = {"market_tickers": sorted(subscription.tickers)}
        self._answer(connection, subscription.number({"id": id, "type": "ok", "msg": msg}))
        if subscription.channel == BOOKS:
            self._snapshots(connection, fresh, 0)

    def _snapshots(self, connection: Connection, tickers: list[str], id: int) -> None:
        for ticker in tickers:
            self.snapshot(connection, ticker, id)

    def _answer(self, connection: Connection, frame: Frame) -> None:
        """An answer is lost now and then, and has taken its number."""
        if self._dice.random() < self._world.faults.ack_lost:
            self._world.happened["an acknowledgement was lost"] += 1
            return
        self.send(connection, frame)

    def _refuse(
        self, connection: Connection, code: int, id: int, of: Subscription | None = None
    ) -> None:
        frame: Frame = {"type": "error", "msg": {"code": code, "msg": WORDS[code]}}
        if id:
            frame["id"] = id
        self.send(connection, frame if of is None else of.number(frame))

    # Troubles

    def _books(self) -> tuple[Connection, Subscription] | None:
        """A subscription of books, if there is one."""
        found = self.subscriptions(BOOKS)
        return self._dice.choice(found) if found else None

    def fall_silent(self) -> None:
        """A subscription sends nothing any more and takes no number, while its connection lives.

        Either it is dead altogether, or it still does what it is asked for.
        """
        links = [c for c in self.connections.values() if c.link != "private"]
        subscriptions = [s for c in links for s in c.subscriptions.values() if not s.mute]
        if subscriptions:
            one = self._dice.choice(subscriptions)
            one.mute = self._dice.choice(("all", "data"))
            self._world.happened[f"{one.mute} of a subscription fell silent"] += 1

    def end(self) -> None:
        """A subscription is over, and says so (FACTS.md section 4.1)."""
        links = [c for c in self.connections.values() if c.link != "private"]
        found = [(c, s) for c in links for s in c.subscriptions.values()]
        if found:
            connection, one = self._dice.choice(found)
            del connection.subscriptions[one.channel]
            self._refuse(connection, self._dice.choice((10, 25)), 0, one)
            self._world.happened["a subscription was ended"] += 1

    def fail(self) -> None:
        """Something of a subscription was not done, and it goes on."""
        found = self._books()
        if found and not found[1].mute:
            self._refuse(found[0], self._dice.choice((17, 18)), 0, found[1])
            self._world.happened["a subscription failed at something"] += 1

    def count_anew(self) -> None:
        """A subscription's numbers begin again."""
        found = self._books()
        if found and found[1].seq >= RESTARTS_FROM:
            found[1].seq = 0
            self._world.happened["a subscription counted anew"] += 1

    def say_again(self) -> None:
        """Snapshots that nobody asked for: one, or all, or the same frame twice."""
        found = self._books()
        if found is None or found[1].mute:
            return
        connection, subscription = found
        tickers = sorted(subscription.tickers)
        kind = self._dice.choice(("one", "all", "the same"))
        for ticker in tickers if kind == "all" else [self._dice.choice(tickers)]:
            frame = self.snapshot(connection, ticker)
            if frame is not None and kind == "the same":
                self.send(connection, frame)
        self._world.happened[f"snapshots came unasked: {kind}"] += 1

    def lie(self) -> None:
        """A book changes, and the feed never tells; nor does it take a number for it."""
        ticker, change = self._markets.draw()
        told = self.subscriptions(BOOKS, ticker)
        if told and not any(s.mute for _, s in told):
            self._markets.lie(ticker, change)
            self._world.happened["a lie"] += 1
