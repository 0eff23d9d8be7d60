"""From what happened to who hears it: each body encoded once, each envelope for one subscriber."""

from actors.paper import frames, life_frames
from actors.paper.account import Account
from actors.paper.faults import Faults
from actors.paper.market import Market
from actors.paper.occurrences import (
    BookReplaced,
    EventMade,
    FeeChanged,
    GroupChanged,
    LevelMoved,
    MarketChanged,
    Occurrence,
    OrderFilled,
    OrderMoved,
    Traded,
)
from actors.paper.session import Session
from actors.paper.subscription import Subscription


class Fanout:
    """The connected sessions, and the road from occurrences to their outboxes."""

    def __init__(self, account: Account, faults: Faults) -> None:
        self.sessions: list[Session] = []
        self._account = account
        self._faults = faults
        self._quoted: dict[str, tuple[int | None, int, int | None, int, int]] = {}
        self._dirty: dict[str, Market] = {}

    def publish(self, occurrences: list[Occurrence], at: int) -> None:
        """Queue the frames of what happened at `at` (µs)."""
        for occurrence in occurrences:
            match occurrence:
                case LevelMoved(market=market):
                    self._dirty[market.ticker] = market
                    self._moved(occurrence, at)
                case BookReplaced(market=market):
                    self._dirty[market.ticker] = market
                    self._replaced(market, at)
                case Traded(market=market):
                    self._dirty[market.ticker] = market
                    body = frames.trade_body(occurrence, at)
                    self._public("trade", market.ticker, body, at)
                case OrderFilled(fill=fill):
                    ticker = fill.order.placed.ticker
                    position = self._account.position(ticker)
                    self._private(
                        "fill",
                        "fill",
                        ticker,
                        frames.fill_body(fill, self._account.shard(ticker)),
                        at,
                    )
                    body = frames.position_body(position)
                    self._private("market_positions", "market_position", ticker, body, at)
                case OrderMoved(order=order):
                    ticker = order.placed.ticker
                    body = frames.order_body(order, self._account.shard(ticker))
                    self._private("user_orders", "user_order", ticker, body, at)
                case MarketChanged(market=market):
                    channel = life_frames.channel_of(market)
                    body = life_frames.changed_body(occurrence, at)
                    self._public(channel, market.ticker, body, at)
                case EventMade(market=market):
                    channel, body = life_frames.channel_of(market), life_frames.event_body(market)
                    self._public(channel, market.ticker, body, at, "event_lifecycle")
                case FeeChanged(entry=entry):
                    body = life_frames.fee_body(entry)
                    self._public(life_frames.LIFECYCLE, "", body, at, "event_fee_update")
                case GroupChanged():
                    body = life_frames.group_body(occurrence, at)
                    self._public("order_group_updates", "", body, at)

    def quote(self, at: int) -> None:
        """`ticker` frames of the markets whose quote or print changed since the last call."""
        dirty, self._dirty = self._dirty, {}
        if not any("ticker" in session.by_channel for session in self.sessions):
            return
        for market in dirty.values():
            quote = (*market.top(), market.volume)
            if self._quoted.get(market.ticker) != quote:
                self._quoted[market.ticker] = quote
                self._public("ticker", market.ticker, frames.ticker_body(market, at), at)

    def _subscribers(self, channel: str, ticker: str) -> list[tuple[Session, Subscription]]:
        found: list[tuple[Session, Subscription]] = []
        if channel in self._faults.mute_channels:
            return found
        for session in self.sessions:
            subscription = session.by_channel.get(channel)
            if subscription is not None and not subscription.dead and subscription.hears(ticker):
                found.append((session, subscription))
        return found

    def _moved(self, moved: LevelMoved, at: int) -> None:
        bodies: dict[bool, bytes] = {}
        for session, subscription in self._subscribers("orderbook_delta", moved.market.ticker):
            body = bodies.get(subscription.yes_price)
            if body is None:
                body = frames.delta_body(moved, subscription.yes_price, at)
                bodies[subscription.yes_price] = body
            self._book(session, subscription, "orderbook_delta", body, at)

    def _replaced(self, market: Market, at: int) -> None:
        for session, subscription in self._subscribers("orderbook_delta", market.ticker):
            body = frames.snapshot_body(market, subscription.yes_price)
            self._book(session, subscription, "orderbook_snapshot", body, at)

    def _book(
        self, session: Session, subscription: Subscription, kind: str, body: bytes, at: int
    ) -> None:
        seq = subscription.next_seq()
        if self._faults.skip_frames > 0:
            self._faults.skip_frames -= 1
            return
        # As frames.envelope would, in one format: a busy capture goes through here.
        head = b'{"type":"%b","sid":%d,"seq":%d,"msg":' % (kind.encode(), subscription.sid, seq)
        tail = b',"sending_ts_ms":%d}' % (at // 1_000)
        session.push(subscription, head + body + tail, at)

    def _public(self, channel: str, ticker: str, body: bytes, at: int, kind: str = "") -> None:
        for session, subscription in self._subscribers(channel, ticker):
            frame = frames.envelope(
                kind or channel, body, at // 1_000, subscription.sid, subscription.next_seq()
            )
            session.push(subscription, frame, at)

    def _private(self, channel: str, kind: str, ticker: str, body: bytes, at: int) -> None:
        for session, subscription in self._subscribers(channel, ticker):
            if self._faults.mute_private > 0:
                self._faults.mute_private -= 1
                continue
            session.push(
                subscription, frames.envelope(kind, body, at // 1_000, subscription.sid), at
            )
