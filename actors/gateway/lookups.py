"""Which markets a list of wishes means: groups of markets are asked of the exchange, page by page.

A look-up that does not come to its end is answered with the reason and no tickers: half a list
would make the stream drop the other half.
"""

from typing import Final

from msgspec import Struct

from actors.gateway.desk import Asker, CallAnswered, Desk, Ended
from actors.gateway.markets import Markets
from protocol import topics, wishes
from protocol.errors import RemoteProtocolError
from protocol.kalshi import answers, calls
from protocol.kalshi.answers import MarketPage
from protocol.limits import CLOSING_SOON, MARKETS_MAX, PAGES_MAX, US, WISHES_MAX
from protocol.machine import Effect
from protocol.messages import MarketsAnswer

KEY: Final = "markets"
UNDER_WAY_MAX: Final = 16


class Lookup(Struct):
    """One list of wishes: what is left to be read of it, and what was found."""

    asker: Asker
    filters: list[dict[str, str]]
    tickers: dict[str, None]
    cursors: set[str]
    strange: int = 0  # markets whose names are none


class Lookups:
    """Lists of wishes that are being looked up."""

    def __init__(self, desk: Desk, markets: Markets) -> None:
        self._desk = desk
        self._markets = markets
        self._open: dict[int, Lookup] = {}
        self._number = 0

    def ask(self, at: int, asker: Asker, follow: tuple[str, ...]) -> list[Effect]:
        """Tickers as they are; events, series and "*" by asking the exchange."""
        if any(lookup.asker == asker for lookup in self._open.values()):
            return []
        wrong = wishes.first_unfit(follow)
        if len(follow) > WISHES_MAX:
            wrong = f"{len(follow)} wishes, at most {WISHES_MAX} are looked up"
        if not wrong and len(self._open) >= UNDER_WAY_MAX:
            wrong = f"{UNDER_WAY_MAX} look-ups are under way"
        if wrong:
            return self._desk.answer([asker], MarketsAnswer((), False, wrong), at)
        lookup = Lookup(asker, [], {}, set())
        for wish in dict.fromkeys(follow):
            kind, _, name = wish.partition(":")
            if wish == wishes.ALL:
                lookup.filters.append({"status": "open"})
            elif kind in wishes.GROUPS:
                lookup.filters.append({"status": "open", f"{kind}_ticker": name})
            elif wish not in wishes.WHOLE:
                lookup.tickers[wish] = None
        self._number += 1
        self._open[self._number] = lookup
        return self._next(at, self._number, "")

    def ended(self, now: int, at: int, number: int, ended: Ended) -> list[Effect]:
        """A page of markets has come, or has not: then the look-up has failed."""
        lookup = self._open.get(number)
        if lookup is None:
            return []
        if not isinstance(ended, CallAnswered):
            return self._fail(at, number, ended.reason)
        if ended.status != 200:
            said = answers.refusal(ended.body)
            return self._fail(at, number, f"status {ended.status} {said.code if said else ''}")
        try:
            page: MarketPage = answers.read(ended.body, MarketPage)
        except RemoteProtocolError as e:
            return self._fail(at, number, str(e))
        self._markets.learn_all(now, ended.body)
        for row in page.markets:
            if topics.is_ticker(row.ticker):
                lookup.tickers[row.ticker] = None
            else:
                lookup.strange += 1
        cursor = page.cursor or ""
        if cursor in lookup.cursors:
            return self._fail(at, number, "the pages go round in a circle")
        if len(lookup.cursors) >= PAGES_MAX:
            return self._fail(at, number, f"more than {PAGES_MAX} pages")
        if cursor:
            lookup.cursors.add(cursor)
        else:
            lookup.filters.pop(0)
            lookup.cursors.clear()
        return self._next(at, number, cursor)

    def _next(self, at: int, number: int, cursor: str) -> list[Effect]:
        """The next page; or the answer, if there is none or enough has been found.

        A page is read on top of MARKETS_MAX, so that it is known whether more are left out.
        """
        lookup = self._open[number]
        if not lookup.filters or len(lookup.tickers) > MARKETS_MAX:
            return self._done(at, number)
        call = calls.list_markets(lookup.filters[0], cursor)
        place = self._desk.lanes.submit(f"{KEY}:{number}", call)
        return [] if place else self._fail(at, number, place.value)

    def _done(self, at: int, number: int) -> list[Effect]:
        lookup = self._open.pop(number)
        found = tuple(lookup.tickers)
        left_out = max(len(found) - MARKETS_MAX, 0)
        said = []
        if left_out:
            least = "at least " if lookup.filters else ""
            said.append(f"{least}{left_out} markets are above the {MARKETS_MAX} that are followed")
        if lookup.strange:
            said.append(f"{lookup.strange} markets have names that are none")
        found = found[:MARKETS_MAX]
        closing = self._markets.closing(found, at + CLOSING_SOON // US)
        answer = MarketsAnswer(found, True, "; ".join(said), left_out, closing)
        return self._desk.answer([lookup.asker], answer, at)

    def _fail(self, at: int, number: int, why: str) -> list[Effect]:
        lookup = self._open.pop(number)
        pages = len(lookup.cursors)
        behind = f", behind {pages} pages" if pages else ""
        answer = MarketsAnswer((), False, f"markets{behind}: {why.strip()}")
        return self._desk.answer([lookup.asker], answer, at)
