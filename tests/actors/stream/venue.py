"""An exchange and its gateway that answer a core at once: books, numbers, subscriptions, history.

It says what is right. Stories make it lose, repeat or hold back frames by `meddle`.
"""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from actors.stream.core import (
    CloseSocket,
    FramesReceived,
    Link,
    OpenFailed,
    OpenSocket,
    SendFrame,
    SocketClosed,
    SocketOpened,
)
from protocol.envelope import Letter
from protocol.machine import Answered, Cause, Effect, Tell
from protocol.messages import (
    AnyMessage,
    Append,
    Appended,
    AuditAnswer,
    AuditRequest,
    BookSide,
    ExchangeAnswer,
    ExchangeRequest,
    Level,
    ListedBook,
    MarketsAnswer,
    MarketsRequest,
    Reconcile,
    ReconcileAnswer,
)
from protocol.units import Count, Price, format_count, format_price
from tests.actors.stream.scene import Scene

BOOKS = "orderbook_delta"
UNNUMBERED = frozenset({"ticker", "fill", "user_orders", "market_positions"})
Levels = dict[int, int]
Book = dict[BookSide, Levels]
Meddle = Callable[[Link, list[bytes]], list[bytes]]


@dataclass
class Session:
    """One connection: its subscriptions are numbered from 1."""

    sids: dict[str, int] = field(default_factory=dict)
    tickers: dict[str, list[str]] = field(default_factory=dict)
    seqs: dict[int, int] = field(default_factory=dict)
    last: int = 0
    history: dict[tuple[int, int], dict[str, Book]] = field(default_factory=dict)


def copy(book: Book) -> Book:
    return {"yes": dict(book["yes"]), "no": dict(book["no"])}


def levels(book: Levels) -> tuple[Level, ...]:
    return tuple((Price(price), Count(book[price])) for price in sorted(book))


class Venue:
    """Give it to a scene as `respond`."""

    def __init__(self, *tickers: str, history: bool = False) -> None:
        self.books: dict[str, Book] = {
            ticker: {"yes": {470_000: 300}, "no": {480_000: 200}} for ticker in tickers
        }
        self.sessions: dict[Link, Session] = {}
        self.open: tuple[str, ...] | None = None  # what the gateway says of them; None: all
        self.closing: dict[str, int] = {}  # what it says of their closes
        self.shut: set[Link] = set()  # links that get no handshake
        self.nameless: set[str] = set()  # markets that it refuses without a name
        self.bookless: set[str] = set()  # markets whose snapshots are never sent
        self.paused = ""
        self.deaf: set[str] = set()  # commands and actions that are never answered
        self.meddle: Meddle = lambda link, raws: raws
        self.commands: list[tuple[Link, dict[str, Any]]] = []
        self.asked: list[AnyMessage] = []  # by letter
        self.audit: Callable[[str], ListedBook | None] = self.listed
        self._history = history

    def __call__(self, scene: Scene, effect: Effect) -> list[Cause]:
        match effect:
            case OpenSocket(link=link) if link in self.shut:
                return [OpenFailed(scene.at, link, 503, "HTTP 503")]
            case OpenSocket(link=link):
                self.sessions[link] = Session()
                return [SocketOpened(scene.at, link)]
            case CloseSocket(link=link):
                self.sessions.pop(link, None)
                return [SocketClosed(scene.at, link, "closed 1000")]
            case SendFrame(link=link, raw=raw) if link in self.sessions:
                command = json.loads(raw)
                self.commands.append((link, command))
                return self._send(scene, link, self._command(link, command))
            case Tell(peer=peer, letter=letter):
                self.asked.append(letter.body)
                body = self._letter(letter.body)
                if body is None:
                    return []
                return [Answered(scene.at, peer, Letter(peer, 1, letter.id, scene.at, body))]
        return []

    def change(self, scene: Scene, ticker: str, side: BookSide, price: int, change: int) -> None:
        """A level changes; every connection that has the market is told."""
        book = self.books[ticker][side]
        book[price] = book.get(price, 0) + change
        assert book[price] >= 0
        if book[price] == 0:
            del book[price]
        msg = {"market_ticker": ticker, "side": side, "price_dollars": format_price(price)}
        msg |= {"delta_fp": format_count(change)}
        self.say(scene, BOOKS, "orderbook_delta", msg, ticker)

    def say(
        self, scene: Scene, channel: str, kind: str, msg: dict[str, Any], ticker: str = ""
    ) -> None:
        """One frame of a channel, to every connection that has it (and the market)."""
        for link, session in list(self.sessions.items()):
            there = channel in session.sids
            if there and (not session.tickers[channel] or ticker in session.tickers[channel]):
                raw = self._frame(link, session.sids[channel], kind, msg=msg)
                self.send(scene, link, [raw])

    def send(self, scene: Scene, link: Link, raws: list[bytes]) -> None:
        for cause in self._send(scene, link, raws):
            scene.feed(cause)

    def listed(self, ticker: str) -> ListedBook | None:
        book = self.books.get(ticker)
        if book is None:
            return None
        return ListedBook(ticker, levels(book["yes"]), levels(book["no"]))

    def actions(self, link: Link = "market1") -> list[str]:
        """What a link was asked for, in words; forgets it."""
        mine = [command for name, command in self.commands if name == link]
        self.commands = [pair for pair in self.commands if pair[0] != link]
        return [c.get("params", {}).get("action", c["cmd"]) for c in mine]

    # Inside

    def _send(self, scene: Scene, link: Link, raws: list[bytes]) -> list[Cause]:
        raws = self.meddle(link, raws)
        return [FramesReceived(scene.at, link, raws)] if raws else []

    def _letter(self, body: AnyMessage) -> AnyMessage | None:
        match body:
            case MarketsRequest():
                found = tuple(self.books) if self.open is None else self.open
                return MarketsAnswer(found, True, closing=self.closing)
            case ExchangeRequest():
                return ExchangeAnswer(self.paused)
            case Reconcile():
                return ReconcileAnswer(5)
            case Append():
                return Appended("NEW", 1)
            case AuditRequest(tickers=tickers):
                found = (self.audit(ticker) for ticker in tickers)
                return AuditAnswer(tuple(each for each in found if each is not None))
        return None

    def _command(self, link: Link, command: dict[str, Any]) -> list[bytes]:
        session, id = self.sessions[link], command["id"]
        params = command.get("params", {})
        what = params.get("action", command["cmd"])
        if what in self.deaf:
            return []
        tickers: list[str] = params.get("market_tickers", [])
        refused = {"code": 11, "msg": "Invalid parameter"}
        match what:
            case "subscribe" if self.nameless.intersection(tickers):
                return [json.dumps({"id": id, "type": "error", "msg": refused}).encode()]
            case "subscribe":
                return [
                    raw
                    for channel in params["channels"]
                    for raw in self._subscribe(link, id, channel, tickers)
                ]
            case "unsubscribe" if set(params["sids"]) <= set(session.sids.values()):
                return [self._unsubscribe(link, id, sid) for sid in params["sids"]]
            case "list_subscriptions":
                found = [{"channel": c, "sid": sid} for c, sid in session.sids.items()]
                return [json.dumps({"id": id, "type": "ok", "msg": found}).encode()]
        (sid,) = params["sids"]
        channel = next((c for c, other in session.sids.items() if other == sid), None)
        if channel is None:
            body = {"code": 7, "msg": "Unknown subscription ID"}
            return [json.dumps({"id": id, "type": "error", "msg": body}).encode()]
        mine = session.tickers[channel]
        match what:
            case "get_snapshot":
                return self._snapshots(link, sid, [t for t in tickers if t in mine], id=id)
            case "add_markets" if self.nameless.intersection(tickers):
                return [self._frame(link, sid, "error", id=id, msg=refused)]
            case "add_markets":
                new = [ticker for ticker in tickers if ticker not in mine]
                mine += new
                acknowledged = self._frame(link, sid, "ok", id=id, msg={"market_tickers": mine})
                snapshots = self._snapshots(link, sid, new) if channel == BOOKS else []
                return [acknowledged, *snapshots]
            case "delete_markets":
                session.tickers[channel] = [t for t in mine if t not in tickers]
                return [self._frame(link, sid, "ok", id=id, msg={})]
        raise AssertionError(f"unexpected command: {command}")

    def _subscribe(self, link: Link, id: int, channel: str, tickers: list[str]) -> Iterable[bytes]:
        session = self.sessions[link]
        assert channel not in session.sids, f"{channel} is subscribed twice"
        session.last += 1
        sid = session.sids[channel] = session.last
        session.tickers[channel] = list(tickers)
        frame = {"id": id, "type": "subscribed", "msg": {"channel": channel, "sid": sid}}
        yield json.dumps(frame).encode()
        if channel == BOOKS:
            yield from self._snapshots(link, sid, tickers)

    def _unsubscribe(self, link: Link, id: int, sid: int) -> bytes:
        session = self.sessions[link]
        raw = self._frame(link, sid, "unsubscribed", id=id)
        channel = next(c for c, other in session.sids.items() if other == sid)
        del session.sids[channel], session.tickers[channel]
        return raw

    def _snapshots(self, link: Link, sid: int, tickers: list[str], **more: Any) -> list[bytes]:
        raws = []
        for ticker in [each for each in tickers if each not in self.bookless]:
            msg: dict[str, Any] = {"market_ticker": ticker}
            for side, name in (("yes", "yes_dollars_fp"), ("no", "no_dollars_fp")):
                said = [
                    [format_price(price), format_count(count)]
                    for price, count in levels(self.books[ticker][side])  # type: ignore[index]
                ]
                msg |= {name: said} if said else {}
            raws.append(self._frame(link, sid, "orderbook_snapshot", msg=msg, **more))
        return raws

    def _frame(self, link: Link, sid: int, kind: str, **more: Any) -> bytes:
        session = self.sessions[link]
        frame: dict[str, Any] = {"type": kind, "sid": sid}
        channel = next(c for c, other in session.sids.items() if other == sid)
        if channel not in UNNUMBERED:
            session.seqs[sid] = session.seqs.get(sid, 0) + 1
            frame["seq"] = session.seqs[sid]
            if self._history:
                books = {ticker: copy(book) for ticker, book in self.books.items()}
                session.history[sid, frame["seq"]] = books
        return json.dumps(frame | more).encode()


def live(*tickers: str, history: bool = False, **settings: Any) -> tuple[Scene, Venue]:
    """Every market of a small exchange followed, every book live, the account reconciled."""
    venue = Venue(*tickers, history=history)
    scene = Scene(respond=venue, **settings)
    scene.hear_writer()
    assert scene.core.books.live == len(tickers) and scene.reasons == ()
    scene.take()
    venue.commands.clear()
    venue.asked.clear()
    return scene, venue
