"""The whole exchange behind its sockets: feed, matching, budgets, faults, subscribers.

The shell tells it the time and what came in; it answers, and leaves frames in the sessions'
outboxes. What must be on disk before any of that goes out is what `tick` and `settle` return.
"""

from typing import Any, Final

from actors.paper import transferring, upsets
from actors.paper.answers import Answer, Refused, nested, uppercase
from actors.paper.bucket import Budgets, TierName
from actors.paper.calls import Call
from actors.paper.capture import Tape, play
from actors.paper.entries import Entry
from actors.paper.exchange import Exchange
from actors.paper.fanout import Fanout
from actors.paper.faults import Faults
from actors.paper.fixed import SECOND
from actors.paper.lag import Lag
from actors.paper.session import Session
from actors.paper.synthetic import Synthetic
from actors.paper.view import View

SUBSCRIBERS_GRACE: Final = 200_000_000  # ns without a new subscription before a replay starts
OUTBOX_PLAY_MAX: Final = 8_000  # frames a subscriber may be behind before the replay waits
STALL_MAX: Final = 30_000_000_000  # ns a replay waits for one that takes nothing at all


class Core:
    """Everything that decides."""

    def __init__(
        self,
        exchange: Exchange,
        feed: Synthetic | Tape,
        speed: float,
        tier: TierName = "advanced",
    ) -> None:
        self.exchange = exchange
        self.feed = feed
        self.faults = Faults(tier=tier)
        self.budgets = Budgets(tier)
        self.lag = Lag(exchange.account)
        self.fanout = Fanout(exchange.account, self.faults)
        self.behind = False  # more is due already: tick again at once
        self._speed = speed
        self._second = 0
        self._started = False
        self._heard: set[str] = set()
        self._heard_at = 0
        self._waiting: tuple[tuple[int, ...], int] | None = None  # outboxes, since when
        self._refusals = 0

    def connect(self) -> Session | None:
        """A new WebSocket connection, or None if there are too many."""
        if len(self.fanout.sessions) >= self.faults.connections_max:
            return None
        session = Session(self.exchange.markets, self.faults)
        self.fanout.sessions.append(session)
        return session

    def disconnect(self, session: Session) -> None:
        """The connection is gone."""
        self.fanout.sessions.remove(session)

    def charge(self, bucket: str, cost: int, now: int) -> None:
        """Take tokens for a call (`now`: monotonic ns), or raise Refused: 429, no headers.

        Its body has one of two shapes, here by turns (FACTS.md section 6.1).
        """
        if self.budgets.draw(bucket, cost, now // 1_000):
            return
        self._refusals += 1
        shape = self.faults.refusals
        if shape == "string" or (shape == "both" and self._refusals % 2 == 0):
            raise Refused(Answer(429, {"error": "too many requests"}))
        raise Refused(nested(429, "too_many_requests", service=""))

    def write(self, call: Call, now: int, at: int) -> Answer:
        """Do what a signed request asks for, or say why not."""
        answer = self._written(call, now, at)
        if self.faults.uppercase_codes:
            return answer._replace(body=uppercase(answer.body))
        return answer

    def _written(self, call: Call, now: int, at: int) -> Answer:
        faults = self.faults
        try:
            self.charge(call.bucket, call.cost, now)
            if faults.exchange_paused or faults.maintenance:
                raise Refused(nested(503, "exchange_paused"))
            if call.write.places and faults.trading_paused:
                raise Refused(nested(400, "trading_paused"))
            call.check()
            return call.write.do(self.exchange, call, at)
        except Refused as e:
            return e.answer

    def arm(self, named: dict[str, Any], now: int, at: int) -> None:
        """Arm what is named, and let take effect at once what does. Raises Refused, arming none."""
        upsets.check(Faults(**named), self.exchange)
        for name, value in named.items():
            setattr(self.faults, name, value)
        if "tier" in named:
            lasts = named.get("tier_expires_s", 0) * SECOND
            self.budgets.change(named["tier"], now // 1_000, at + lasts if lasts else None)
        if "read_lag_ms" in named:
            self.lag.arm(named["read_lag_ms"] * 1_000, at)
        if self.faults.trading_paused or self.faults.exchange_paused or self.faults.maintenance:
            self.exchange.pause(at)
        self.exchange.transfer_takes = self.faults.transfer_takes_ms * 1_000
        self.exchange.cancel_all_takes = self.faults.cancel_all_takes_ms * 1_000
        upsets.happen(self.faults, self.exchange, self.fanout.sessions, at)

    def view(self, at: int) -> View:
        """What a read sees."""
        account, as_of = self.lag.seen(self.faults.read_lag_ms * 1_000, at)
        return View(self.exchange, account, self.faults, self.budgets, as_of)

    def settle(self, at: int) -> list[Entry]:
        """Publish what just happened; answers what to write down before anyone hears of it."""
        entries, occurrences = self.exchange.drain()
        self.lag.note(entries)
        self.fanout.publish(occurrences, at)
        return entries

    def tick(self, now: int, at: int) -> list[Entry]:
        """Time goes by: `now` is monotonic ns, `at` wall µs."""
        if at // SECOND != self._second:  # expiry has a resolution of one second
            self._second = at // SECOND
            self.exchange.expire(at)
        self.exchange.sweep(at)
        transferring.arrive(self.exchange, at)
        self.exchange.close_due(at)
        self.budgets.expire(now // 1_000, at)
        self.faults.tier = self.budgets.tier
        self.lag.seen(self.faults.read_lag_ms * 1_000, at)
        entries = self.settle(at)
        self.behind = False
        if isinstance(self.feed, Synthetic):
            self.feed.step(self.exchange, now, at)
            entries += self.settle(at)
        elif self._plays(now):
            frames = self.feed.due(now, self._speed)
            for frame in frames:
                play(frame, self.exchange, at)
                # One at a time: a snapshot must show the book before the next delta.
                entries += self.settle(at)
            self.behind = bool(frames)
        self.fanout.quote(at)
        for session in self.fanout.sessions:
            session.outbox.release(at)
        return entries

    def feed_status(self) -> dict[str, Any]:
        """The body of `GET /paper/feed`."""
        feed = self.feed
        return {
            "source": feed.source,
            "played": feed.played,
            "total": feed.total,
            "done": feed.done,
        }

    def _plays(self, now: int) -> bool:
        assert isinstance(self.feed, Tape)
        if self.feed.done or not (self._started or self._audience(now)):
            return False
        self._started = True
        return self._keeps_up(now)

    def _audience(self, now: int) -> bool:
        """Whether everybody is seated: all tickers are heard, or no new one for a while."""
        heard: set[str] = set()
        for session in self.fanout.sessions:
            subscription = session.by_channel.get("orderbook_delta")
            heard |= subscription.tickers if subscription else set()
        if heard != self._heard:
            self._heard, self._heard_at = heard, now
        if not heard:
            return False
        return heard >= self.exchange.markets.keys() or now - self._heard_at >= SUBSCRIBERS_GRACE

    def _keeps_up(self, now: int) -> bool:
        """Whether the replay may go on: it waits for slow readers, not for dead ones."""
        waiting = tuple(
            len(session.outbox)
            for session in self.fanout.sessions
            if "orderbook_delta" in session.by_channel and len(session.outbox) > OUTBOX_PLAY_MAX
        )
        if not waiting:
            self._waiting = None
            return True
        if self._waiting is None or self._waiting[0] != waiting:
            self._waiting = (waiting, now)
        return now - self._waiting[1] >= STALL_MAX
