"""What is to be followed: wishes in, market tickers and whole channels out.

Wishes come from the settings and, at run time, from whoever asks; what differs from the settings
is kept on disk. The gateway says which markets a wish means; between two such answers the life
cycle tells of new ones, and of those that are over.
"""

from collections.abc import Iterable
from typing import Final

from protocol import topics
from protocol.kalshi.frames import Channel
from protocol.limits import (
    CLOSED_LOOK,
    ENDED_KEPT,
    MARKETS_MAX,
    MINUTE,
    NEWBORN_KEPT,
    SECOND,
    US,
    WISHES_MAX,
)
from protocol.messages import MarketChanged, MarketsAnswer
from protocol.wishes import ALL, WHOLE, first_unfit

LOOK_INTERVAL: Final = 1 * MINUTE  # new markets are looked for so often
LOOK_RETRY: Final = 1 * SECOND  # while the gateway can't tell yet
BORN: Final = frozenset({"created", "activated"})
OVER: Final = frozenset({"settled"})


class Follows:
    """Wishes and the markets that they mean."""

    def __init__(
        self, settings: Iterable[str], added: Iterable[str] = (), removed: Iterable[str] = ()
    ) -> None:
        self._settings = dict.fromkeys(settings)
        self.wishes: dict[str, None] = {}
        self.known = False  # the gateway has said which markets
        self.why = ""  # why not
        self.left_out = 0
        self.look_at = 0
        self._listed: dict[str, None] = {}
        self._newborn: dict[str, int] = {}
        self._ended: dict[str, None] = {}
        self._closing: dict[str, int] = {}  # microseconds
        self._closed: dict[str, int] = {}  # those of them that have been said: look-ups repeat them
        off = set(removed)
        self._take(dict.fromkeys([w for w in self._settings if w not in off] + list(added)))

    @property
    def asked(self) -> tuple[str, ...]:
        """The wishes that the gateway has to look up."""
        return tuple(wish for wish in self.wishes if wish not in WHOLE)

    @property
    def whole(self) -> tuple[Channel, ...]:
        """Channels that are wished for as a whole."""
        return tuple(channel for wish, channel in WHOLE.items() if wish in self.wishes)

    @property
    def tickers(self) -> list[str]:
        """The markets to follow now, at most MARKETS_MAX."""
        found = [*self._listed, *(t for t in self._newborn if t not in self._listed)]
        return [ticker for ticker in found if ticker not in self._ended][:MARKETS_MAX]

    def may_mean(self, ticker: str) -> bool:
        """Whether this market may turn out to be wished for, once the gateway says which are."""
        return not self.known and self._wished(ticker, False)

    def beside_settings(
        self, add: Iterable[str], remove: Iterable[str]
    ) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """How the settings would have to be changed after this: what to add and to remove."""
        wanted = _changed(self.wishes, add, remove)
        added = tuple(wish for wish in wanted if wish not in self._settings)
        return added, tuple(wish for wish in self._settings if wish not in wanted)

    def refusal(self, add: tuple[str, ...], remove: tuple[str, ...]) -> str:
        """Why such a change can't be made; "" if it can."""
        if first_unfit(add):
            return first_unfit(add)
        unknown = [wish for wish in remove if wish not in self.wishes]
        if unknown:
            return f"{unknown[0][:80]!r} is not followed by that name"
        if len(_changed(self.wishes, add, remove)) > WISHES_MAX:
            return f"more than {WISHES_MAX} wishes"
        return ""

    def change(self, add: Iterable[str], remove: Iterable[str]) -> None:
        """Follow more or less, from now on."""
        for wish in add:
            self._ended.pop(wish, None)
        self._take(_changed(self.wishes, add, remove))

    def told(self, now: int, answer: MarketsAnswer) -> None:
        """The gateway's word, complete or not."""
        self.why = answer.reason
        if not answer.complete:
            self.look_at = now + LOOK_RETRY
            return
        self.known = True
        self.look_at = now + LOOK_INTERVAL
        self.left_out = answer.left_out + max(len(answer.tickers) - MARKETS_MAX, 0)
        self._listed = dict.fromkeys(t for t in answer.tickers if topics.is_ticker(t))
        said = self._closed.items() & answer.closing.items()
        self._closed = dict(said)
        self._closing = {t: at for t, at in answer.closing.items() if (t, at) not in said}
        self._newborn = {
            ticker: until
            for ticker, until in self._newborn.items()
            if until > now and ticker not in self._listed
        }

    def changed(self, now: int, change: MarketChanged) -> bool:
        """A market's life went on. True if that changes what is followed."""
        ticker = change.ticker
        news = change.close_at and self._closed.get(ticker) != change.close_at
        if news and len(self._closing) < MARKETS_MAX:
            self._closing[ticker] = change.close_at
        if change.change in OVER:
            while len(self._ended) >= ENDED_KEPT:
                del self._ended[next(iter(self._ended))]
            self._ended[ticker] = None
            return ticker in self._listed or ticker in self._newborn
        if (
            change.change not in BORN
            or ticker in self._listed
            or not self._wished(ticker, change.combo)
        ):
            return False
        if ticker in self._newborn or len(self._newborn) >= MARKETS_MAX:
            return False
        self._newborn[ticker] = now + NEWBORN_KEPT
        return True

    def closed(self, at: int) -> list[str]:
        """Markets that have just closed by the clock: nothing else tells it."""
        done = [t for t, when in self._closing.items() if at >= when + CLOSED_LOOK // US]
        for ticker in done:
            self._closed[ticker] = self._closing.pop(ticker)
        return done

    def _wished(self, ticker: str, combo: bool) -> bool:
        """A market's series is what stands before the first dash of its name."""
        series, event = ticker.partition("-")[0], ticker.rpartition("-")[0]
        if f"series:{series}" in self.wishes or f"event:{event}" in self.wishes:
            return True
        return ALL in self.wishes and not combo

    def _take(self, wishes: dict[str, None]) -> None:
        """Other wishes: what they mean has to be looked up; until then the old answer stands."""
        gone = [wish for wish in self.wishes if ":" not in wish and wish not in wishes]
        self.wishes = wishes
        for ticker in gone:
            if not self._wished(ticker, False):
                self._listed.pop(ticker, None)
        self._listed.update((w, None) for w in wishes if ":" not in w and w != ALL)
        self.look_at = 0
        if not self.asked:
            self.known, self.why = True, ""
            self._listed.clear()
            self._newborn.clear()


def _changed(wishes: dict[str, None], add: Iterable[str], remove: Iterable[str]) -> dict[str, None]:
    off = set(remove)
    return {wish: None for wish in wishes if wish not in off} | dict.fromkeys(add)
