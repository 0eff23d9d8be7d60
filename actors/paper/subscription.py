"""One channel of one connection: whom it is about, and the number of its next frame."""

from typing import Final, Literal

Channel = Literal[
    "orderbook_delta",
    "trade",
    "ticker",
    "market_lifecycle_v2",
    "multivariate_market_lifecycle",
    "fill",
    "user_orders",
    "market_positions",
    "order_group_updates",
]
UNFILTERED: Final = frozenset(  # whatever tickers are named, these are about everything
    {"market_lifecycle_v2", "multivariate_market_lifecycle", "order_group_updates"}
)
SEQUENCED: Final = UNFILTERED | {"orderbook_delta", "trade"}  # FACTS.md section 4.4
CHANNELS: Final = SEQUENCED | {"ticker", "fill", "user_orders", "market_positions"}


class Subscription:
    """No tickers = every market (but for the order book)."""

    def __init__(self, sid: int, channel: str, tickers: set[str], yes_price: bool) -> None:
        self.sid = sid
        self.channel = channel
        self.tickers = set() if channel in UNFILTERED else tickers
        self.whole = not self.tickers and channel != "orderbook_delta"
        self.yes_price = yes_price
        self.seq = 0
        self.dead = False  # says nothing any more, and takes no number

    def hears(self, ticker: str) -> bool:
        return self.whole or ticker in self.tickers

    def next_seq(self) -> int:
        """The number of the next frame, or 0 on a channel without."""
        if self.channel not in SEQUENCED:
            return 0
        self.seq += 1
        return self.seq
