"""The markets of the exchange: by ticker, by event, by series, and the next of them to close."""

import heapq
from collections.abc import Iterable, Iterator
from itertools import islice

from actors.paper.market import Market


class Listing(dict[str, Market]):
    """By ticker, in the order in which they came; none ever leaves."""

    def __init__(self, markets: Iterable[Market]) -> None:
        super().__init__()
        self.events: dict[str, list[Market]] = {}
        self.series: dict[str, list[Market]] = {}
        self._closing: list[tuple[int, str]] = []  # a heap: when, and which market
        for market in markets:
            self.add(market)

    def add(self, market: Market) -> bool:
        """List a market. Answers whether its event is new with it."""
        assert market.ticker not in self
        market.number = len(self)
        self[market.ticker] = market
        self.series.setdefault(market.series_ticker, []).append(market)
        event = self.events.setdefault(market.event_ticker, [])
        event.append(market)
        self.closes(market)
        return len(event) == 1

    def closes(self, market: Market) -> None:
        """A market has a close time, or another one."""
        heapq.heappush(self._closing, (market.closes, market.ticker))

    def due(self, at: int) -> Iterator[Market]:
        """The markets whose close time has come and that are not over yet; each once."""
        while self._closing and self._closing[0][0] <= at:
            when, ticker = heapq.heappop(self._closing)
            market = self[ticker]
            if market.closes == when and not market.over:
                yield market

    def since(self, number: int) -> Iterator[Market]:
        """The markets from a number on, in order."""
        return islice(self.values(), number, None)
