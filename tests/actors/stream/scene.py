"""A stream core with its surroundings played by hand: a clock, letters, the exchange's frames."""

import json
import random
from collections.abc import Callable, Iterable
from typing import Any

from actors.stream.core import (
    FramesReceived,
    Link,
    PongReceived,
    SendFrame,
    SendPing,
    SocketOpened,
    Stream,
)
from actors.stream.market import Market
from protocol.envelope import Envelope, Letter
from protocol.limits import MINUTE, SECOND
from protocol.machine import Answered, Asked, Cause, Effect, Elapsed, Heard, Publish, Started, Tell
from protocol.messages import (
    AnyMessage,
    BookAnswer,
    BookRequest,
    Heartbeat,
    Mark,
    MarketsAnswer,
    ReconcileAnswer,
    Signal,
)
from protocol.pulse import Identity

EPOCH = 7
A, B, C = "KXA-1", "KXB-2", "KXC-3"
MARKET = "market1"
LIVES = ("market_lifecycle_v2", "multivariate_market_lifecycle")
FACTS = ("fill", "user_orders")
REPORTS = ("market_positions", "order_group_updates")


class Scene:
    """Remembers every effect; `take` hands out those since it was last called.

    The exchange answers pings at once, but on links that are `silent`. `respond` may be set to
    whoever plays all else of the surroundings: it is shown each effect, and says what follows.
    The wall clock is `ahead` of the monotonic one, microseconds.
    """

    def __init__(
        self,
        follow: tuple[str, ...] = ("*",),
        seed: int = 1,
        ahead: int = 0,
        respond: Callable[["Scene", Effect], Iterable[Cause]] | None = None,
        **settings: Any,
    ) -> None:
        self.core = Stream(Identity("stream", EPOCH), follow, random.Random(seed), **settings)
        self.silent: set[Link] = set()
        self.ahead = ahead
        self.respond = respond
        self.now = 1_000 * SECOND
        self.effects: list[Effect] = []
        self.seqs: dict[int, int] = {}
        self.feed(Started(self.at))

    @property
    def at(self) -> int:
        return self.now // 1_000 + self.ahead

    def feed(self, cause: Cause) -> list[Effect]:
        effects = self.core.step(self.now, cause)
        self.effects += effects
        for effect in list(effects):
            if isinstance(effect, SendPing) and effect.link not in self.silent:
                effects += self.feed(PongReceived(self.at, effect.link, effect.number))
            for follows in () if self.respond is None else self.respond(self, effect):
                effects += self.feed(follows)
        return effects

    def take(self) -> list[Effect]:
        effects, self.effects = self.effects, []
        return effects

    def wait(self, duration: int) -> None:
        """Let time pass; ring whenever the core asked for it."""
        end = self.now + duration
        for _ in range(100_000):
            deadline = self.core.deadline()
            assert deadline is not None
            if deadline > end:
                break
            self.now = max(self.now, deadline)
            self.feed(Elapsed(self.at))
        else:
            raise AssertionError("the core asks to be woken without end")
        self.now = end

    # The exchange

    def open(self, link: Link = MARKET) -> list[Effect]:
        return self.feed(SocketOpened(self.at, link))

    def raw(self, raw: bytes, link: Link = MARKET) -> list[Effect]:
        return self.feed(FramesReceived(self.at, link, [raw]))

    def frame(self, frame: dict[str, Any], link: Link = MARKET) -> list[Effect]:
        return self.raw(json.dumps(frame).encode(), link)

    @property
    def line(self) -> Market:
        """The first market line."""
        return self.core.lines.markets[0]

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why the stream is not ready, by its last heartbeat."""
        return self.core._health._vitals.reasons

    @property
    def counters(self) -> dict[str, int]:
        return self.core._counters(self.at)()

    def subscribed(self, id: int = 1) -> None:
        for sid, channel in enumerate(("orderbook_delta", "trade", "ticker"), start=1):
            self.frame({"type": "subscribed", "id": id, "msg": {"channel": channel, "sid": sid}})

    def seq(self, sid: int) -> int:
        self.seqs[sid] = self.seqs.get(sid, 0) + 1
        return self.seqs[sid]

    def snapshot(
        self, ticker: str, yes: Any = (), no: Any = (), seq: int = 0, id: int = 0
    ) -> list[Effect]:
        body: dict[str, Any] = {"market_ticker": ticker}
        body |= {"yes_dollars_fp": yes} if yes else {}
        body |= {"no_dollars_fp": no} if no else {}
        frame = {"type": "orderbook_snapshot", "sid": 1, "seq": seq or self.seq(1), "msg": body}
        return self.frame(frame | ({"id": id} if id else {}))

    def delta(self, ticker: str, side: str, price: str, change: str, seq: int = 0) -> list[Effect]:
        body = {
            "market_ticker": ticker,
            "price_dollars": price,
            "delta_fp": change,
            "side": side,
            "ts_ms": 1_700_000_000_123,
        }
        frame = {"type": "orderbook_delta", "sid": 1, "seq": seq or self.seq(1), "msg": body}
        return self.frame(frame)

    # The neighbours

    def letters(self, kind: type) -> list[Letter]:
        """What has been told of a kind, since `take`."""
        found = [e.letter for e in self.effects if isinstance(e, Tell)]
        return [letter for letter in found if isinstance(letter.body, kind)]

    def answer(self, peer: str, id: str, body: AnyMessage) -> list[Effect]:
        return self.feed(Answered(self.at, peer, Letter(peer, 1, id, self.at, body)))

    def markets(self, *tickers: str) -> None:
        id = f"markets:{EPOCH}:{self.core._following._looks}"
        self.answer("gateway", id, MarketsAnswer(tickers, True))

    def a_minute_later(self) -> None:
        """The markets are asked for again; all links are quiet but alive."""
        self.wait(MINUTE)

    def hear_writer(self) -> None:
        self.feed(Heard(self.at, Envelope("mark", "writer", 1, 1, self.at, Mark({}))))

    def reconciled(self, n: int = 5) -> None:
        id = f"reconcile:{EPOCH}:{self.core.private._rounds}"
        self.answer("gateway", id, ReconcileAnswer(n))

    def ask_book(self, ticker: str) -> BookAnswer:
        letter = Letter("api", 1, "q1", self.at, BookRequest(ticker))
        (answer,) = (
            e for e in self.feed(Asked(self.at, (b"api",), letter)) if hasattr(e, "sender")
        )
        assert isinstance(answer.letter.body, BookAnswer) and answer.letter.id == "q1"
        return answer.letter.body

    # Whole passages

    def go_live(self, *tickers: str) -> None:
        """Market link open, subscribed, every book live with one level a side."""
        self.markets(*tickers)
        self.go_public()
        self.open()
        self.subscribed()
        for ticker in tickers:
            self.snapshot(ticker, [["0.4700", "3.00"]], [["0.4800", "2.00"]])
        self.take()

    def go_public(self) -> None:
        """The lives of markets are subscribed."""
        self.open("public")
        self.acknowledge("public")

    def go_private(self) -> None:
        self.hear_writer()
        self.open("private")
        self.acknowledge("private")

    def acknowledge(self, link: Link, first_sid: int = 1) -> None:
        """All that a link has just asked to subscribe is subscribed."""
        asked = [c for c in sent(self.effects, link) if c["cmd"] == "subscribe"]
        sid = first_sid
        for command in asked:
            for channel in command["params"]["channels"]:
                msg = {"channel": channel, "sid": sid}
                self.frame({"type": "subscribed", "id": command["id"], "msg": msg}, link)
                sid += 1


def published(effects: list[Effect]) -> list[AnyMessage]:
    """Bodies of what was published, without the marks."""
    bodies = [e.envelope.body for e in effects if isinstance(e, Publish)]
    return [body for body in bodies if not isinstance(body, Mark)]


def sent(effects: list[Effect], link: Link = MARKET) -> list[dict[str, Any]]:
    """Commands sent to the exchange, read as it reads them."""
    return [json.loads(e.raw) for e in effects if isinstance(e, SendFrame) and e.link == link]


def signals(effects: list[Effect]) -> list[tuple[str, str]]:
    bodies = [e.letter.body for e in effects if isinstance(e, Tell)]
    return [(b.signal, b.subject) for b in bodies if isinstance(b, Signal)]


def beats(effects: list[Effect]) -> list[Heartbeat]:
    bodies = [e.letter.body for e in effects if isinstance(e, Tell)]
    return [body for body in bodies if isinstance(body, Heartbeat)]
