"""One WebSocket connection: its subscriptions, its commands, and their answers.

Choices where the reference is silent: a repeated `subscribe` answers `ok` with the merged list
(capture `demo-2026-06-30-five-markets`) and keeps the first `use_yes_price`; unknown tickers are
left out and named in an error 11; a frame that does not fit the buffer ends its subscription with
error 25; tickers named for a channel that knows no filter are passed over.
"""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from actors.paper.faults import Faults
from actors.paper.frames import encode, envelope, error_body, snapshot_body, ticker_body
from actors.paper.market import Market
from actors.paper.outbox import Outbox
from actors.paper.subscription import CHANNELS, UNFILTERED, Subscription

ACKS: Final = ("subscribed", "ok", "unsubscribed")


class Refusal(Exception):
    """A command can't be done: code, and the subscription it is about."""

    def __init__(
        self, code: int, about: Subscription | None = None, tickers: list[str] | None = None
    ) -> None:
        super().__init__(code)
        self.code = code
        self.about = about
        self.tickers = tickers


class Session:
    """Commands in, frames out into `outbox`."""

    def __init__(self, markets: Mapping[str, Market], faults: Faults) -> None:
        self.outbox = Outbox(faults)
        self.by_channel: dict[str, Subscription] = {}
        self._markets = markets
        self._faults = faults
        self._last_sid = 0

    def hearing(self, channel: str) -> Subscription | None:
        """The subscription of a channel, unless there is none, or it is dead."""
        subscription = self.by_channel.get(channel)
        if subscription is None or subscription.dead or channel in self._faults.mute_channels:
            return None
        return subscription

    def push(self, subscription: Subscription, frame: bytes, at: int) -> None:
        """Queue a frame of a subscription, or end the subscription with error 25."""
        if not self.outbox.offer(frame, at):
            self.end(subscription, 25, at)

    def end(self, subscription: Subscription, code: int, at: int) -> None:
        """End a subscription with an error; its sid is gone."""
        self.by_channel.pop(subscription.channel, None)
        self.complain(subscription, code, at)

    def complain(self, subscription: Subscription, code: int, at: int) -> None:
        """An error that no command asked for, scoped to a subscription."""
        frame = envelope(
            "error", error_body(code), at // 1_000, subscription.sid, subscription.next_seq()
        )
        self.outbox.put(frame, at)

    def snapshot(self, subscription: Subscription, ticker: str, command_id: int, at: int) -> None:
        """One book, whole; `command_id` 0 = nobody asked for it."""
        body = snapshot_body(self._markets[ticker], subscription.yes_price)
        seq = subscription.next_seq()
        frame = envelope("orderbook_snapshot", body, at // 1_000, subscription.sid, seq, command_id)
        self.push(subscription, frame, at)

    def command(self, text: str, at: int) -> None:
        """Obey one command (FACTS.md section 4.2), or answer an error (4.3)."""
        command_id = 0
        try:
            found = msgspec.json.decode(text)
            if not isinstance(found, dict):
                raise Refusal(1)
            number = found.get("id", 0)
            command_id = number if type(number) is int and number > 0 else 0
            self._obey(found, command_id, at)
        except (msgspec.DecodeError, RecursionError):
            self._answer("error", error_body(1), at)
        except Refusal as e:
            body = self._error(e.code, e.tickers)
            self._answer("error", body, at, command_id, e.about)

    def _error(self, code: int, tickers: list[str] | None) -> bytes:
        """That it names the markets which are to blame is optional (FACTS.md section 4.3)."""
        return error_body(code, None if self._faults.nameless_errors else tickers)

    def _obey(self, command: dict[str, Any], command_id: int, at: int) -> None:
        word = command.get("cmd")
        if word == "list_subscriptions":
            listed = [
                {"channel": s.channel, "sid": s.sid}
                for s in sorted(self.by_channel.values(), key=lambda s: s.sid)
            ]
            self._answer("ok", encode(listed), at, command_id)
            return
        if word not in ("subscribe", "unsubscribe", "update_subscription"):
            raise Refusal(5)
        params = command.get("params")
        if not isinstance(params, dict):
            raise Refusal(2)
        if word == "subscribe":
            self._subscribe(params, command_id, at)
        elif word == "unsubscribe":
            self._unsubscribe(params, command_id, at)
        else:
            self._update(params, command_id, at)

    def _subscribe(self, params: dict[str, Any], command_id: int, at: int) -> None:
        channels = params.get("channels")
        if not isinstance(channels, list) or not channels:
            raise Refusal(3)
        if any(channel not in CHANNELS for channel in channels if isinstance(channel, str)):
            raise Refusal(8)
        if not all(isinstance(channel, str) for channel in channels):
            raise Refusal(11)
        tickers = _tickers(params, self._markets if "ticker" in channels else {})
        if "orderbook_delta" in channels and not tickers:
            raise Refusal(14)
        unknown = sorted(ticker for ticker in tickers if ticker not in self._markets)
        if unknown and not UNFILTERED.issuperset(channels):
            self._answer("error", self._error(11, unknown), at, command_id)
            tickers -= set(unknown)
            if not tickers:
                return
        wanted = list(dict.fromkeys(channels))
        for channel in wanted:
            self._check_room(self.by_channel.get(channel), channel, tickers)
        for channel in wanted:
            self._join(channel, tickers, params, command_id, at)

    def _join(
        self, channel: str, tickers: set[str], params: dict[str, Any], command_id: int, at: int
    ) -> None:
        subscription = self.by_channel.get(channel)
        if subscription is None:
            self._last_sid += 1
            yes_price = params.get("use_yes_price") is True
            subscription = Subscription(self._last_sid, channel, set(tickers), yes_price)
            self.by_channel[channel] = subscription
            body = encode({"channel": channel, "sid": subscription.sid})
            self._answer("subscribed", body, at, command_id)
            added = set(tickers)
        else:
            added = self._merge(subscription, tickers)
            self._acknowledge(subscription, params, command_id, at)
        if channel == "orderbook_delta":
            self._snapshots(subscription, sorted(added), 0, at)
        quotes = channel == "ticker" and params.get("send_initial_snapshot") is True
        if quotes and not self._mute(subscription):
            for ticker in sorted(added or self._markets):
                body = ticker_body(self._markets[ticker], at)
                self.push(subscription, envelope("ticker", body, at // 1_000, subscription.sid), at)

    def _check_room(
        self, subscription: Subscription | None, channel: str, tickers: set[str]
    ) -> None:
        most = self._faults.markets_limit
        held = subscription.tickers if subscription is not None else set()
        if most and channel not in UNFILTERED and len(held | tickers) > most:
            raise Refusal(26, subscription)

    def _merge(self, subscription: Subscription, tickers: set[str]) -> set[str]:
        if subscription.channel in UNFILTERED:
            return set()
        if not tickers and subscription.channel != "orderbook_delta":
            subscription.whole = True
        added = tickers - subscription.tickers
        subscription.tickers |= tickers
        return added

    def _unsubscribe(self, params: dict[str, Any], command_id: int, at: int) -> None:
        sids = params.get("sids")
        if not isinstance(sids, list) or not sids:
            raise Refusal(4)
        for sid in sids:
            subscription = self._by_sid(sid)
            if subscription is None:
                self._answer("error", error_body(7), at, command_id)
                continue
            del self.by_channel[subscription.channel]
            self._answer("unsubscribed", b"", at, command_id, subscription)

    def _update(self, params: dict[str, Any], command_id: int, at: int) -> None:
        sids = params.get("sids", [params["sid"]] if "sid" in params else [])
        if not isinstance(sids, list) or len(sids) != 1 or ("sid" in params and "sids" in params):
            raise Refusal(12)
        subscription = self._by_sid(sids[0])
        if subscription is None:
            raise Refusal(7)
        action = params.get("action")
        if not action:
            raise Refusal(15, subscription)
        if action not in ("add_markets", "delete_markets", "get_snapshot"):
            raise Refusal(13, subscription)
        book = subscription.channel == "orderbook_delta"
        if action == "get_snapshot" and not book:
            raise Refusal(13, subscription)
        if subscription.channel in UNFILTERED:
            raise Refusal(13, subscription)
        tickers = _tickers(params, {})
        if not tickers:
            raise Refusal(14, subscription)
        known = self._markets if action == "add_markets" else subscription.tickers
        unknown = sorted(ticker for ticker in tickers if ticker not in known)
        if unknown and action != "delete_markets":
            raise Refusal(11, subscription, unknown)
        if action == "get_snapshot":
            self._snapshots(subscription, sorted(tickers), command_id, at)
            return
        if action == "delete_markets":
            subscription.tickers -= tickers
            self._acknowledge(subscription, params, command_id, at)
            return
        self._check_room(subscription, subscription.channel, tickers)
        added = self._merge(subscription, tickers)
        self._acknowledge(subscription, params, command_id, at)
        if book:
            self._snapshots(subscription, sorted(added), 0, at)

    def _snapshots(
        self, subscription: Subscription, tickers: list[str], command_id: int, at: int
    ) -> None:
        faults = self._faults
        if self._mute(subscription):
            return
        for ticker in tickers:
            if faults.lose_snapshots:
                faults.lose_snapshots -= 1
                subscription.next_seq()
                continue
            self.snapshot(subscription, ticker, command_id, at)
            if faults.repeat_snapshots:
                faults.repeat_snapshots -= 1
                self.snapshot(subscription, ticker, command_id, at)

    def _acknowledge(
        self, subscription: Subscription, params: dict[str, Any], command_id: int, at: int
    ) -> None:
        silent = params.get("skip_ticker_ack") is True
        body = {} if silent else {"market_tickers": sorted(subscription.tickers)}
        self._answer("ok", encode(body), at, command_id, subscription)

    def _answer(
        self,
        kind: str,
        body: bytes,
        at: int,
        command_id: int = 0,
        about: Subscription | None = None,
    ) -> None:
        if about is not None and kind != "unsubscribed" and self._mute(about):
            return
        if kind in ACKS and self._faults.lose_acks:
            self._faults.lose_acks -= 1
            return
        sid, seq = (about.sid, about.next_seq()) if about else (0, 0)
        self.outbox.put(envelope(kind, body, at // 1_000, sid, seq, command_id), at)

    def _by_sid(self, sid: object) -> Subscription | None:
        return next((s for s in self.by_channel.values() if s.sid == sid), None)

    def _mute(self, subscription: Subscription) -> bool:
        return subscription.dead or subscription.channel in self._faults.mute_channels


def _tickers(params: dict[str, Any], ids_of: Mapping[str, Market]) -> set[str]:
    one, many = params.get("market_ticker"), params.get("market_tickers")
    if one is not None and many is not None:
        raise Refusal(11)
    found = [one] if one is not None else many if many is not None else []
    ids = [params["market_id"]] if "market_id" in params else params.get("market_ids", [])
    if not isinstance(found, list) or not isinstance(ids, list) or (found and ids):
        raise Refusal(11)
    if ids:
        by_id = {market.market_id: ticker for ticker, market in ids_of.items()}
        found = [by_id.get(str(market_id), str(market_id)) for market_id in ids]
    if not all(isinstance(ticker, str) for ticker in found):
        raise Refusal(11)
    return set(found)
