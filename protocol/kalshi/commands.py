"""The commands that we send over the exchange's WebSocket (FACTS.md section 4.2)."""

from collections.abc import Sequence
from typing import Any, Literal

import msgspec

from protocol.kalshi.frames import Channel

Action = Literal["add_markets", "delete_markets", "get_snapshot"]

_encode = msgspec.json.Encoder().encode


def subscribe(id: int, channels: Sequence[Channel], tickers: Sequence[str] = ()) -> bytes:
    """Subscribe to channels. No tickers means all, on the private channels; books need some.

    The default of `use_yes_price` is going to change (FACTS.md section 4.5): always say it.
    """
    params: dict[str, Any] = {"channels": channels}
    if tickers:
        params["market_tickers"] = tickers
    if "orderbook_delta" in channels:
        params["use_yes_price"] = False
    return _encode({"id": id, "cmd": "subscribe", "params": params})


def update_subscription(id: int, sid: int, action: Action, tickers: Sequence[str]) -> bytes:
    """Add or delete markets of a subscription, or ask for snapshots of its books."""
    params = {"sids": [sid], "market_tickers": tickers, "action": action}
    return _encode({"id": id, "cmd": "update_subscription", "params": params})


def unsubscribe(id: int, sids: Sequence[int]) -> bytes:
    """End whole subscriptions, with every ticker of theirs."""
    return _encode({"id": id, "cmd": "unsubscribe", "params": {"sids": sids}})


def list_subscriptions(id: int) -> bytes:
    """Ask which subscriptions the connection has."""
    return _encode({"id": id, "cmd": "list_subscriptions"})
