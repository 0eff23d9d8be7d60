"""What the stream says of two markets, for the stories of the keeper."""

from actors.writer.market.core import Keeper
from actors.writer.market.wire import (
    Batch,
    Held,
    NotSaved,
    OpenDatabase,
    Opened,
    Place,
    Save,
    Saved,
    Standing,
    Taken,
)
from protocol.envelope import Envelope
from protocol.limits import KEEP_BATCH_WAIT, KEEP_BYTES_MIN, SECOND
from protocol.machine import Effect, Started
from protocol.messages import AnyMessage, Mark, Quote, Trade
from protocol.units import Count, Price

AT = 1_782_873_388_379_000
EPOCH = 7
TRADES, OTHER, QUOTES = "trade.KXA-1", "trade.KXB-1", "ticker.KXA-1"
EMPTY = Held(0, {})


def trade(seq: int, ticker: str = "KXA-1", at: int = AT) -> Trade:
    id = f"{ticker}:{seq}"
    return Trade(ticker, id, Price(560_000), Count(1_000), "yes", at - 9, at - 5)


def quote(seq: int, ticker: str = "KXA-1", at: int = AT) -> Quote:
    bid, ask = Price(550_000), Price(570_000)
    sizes = Count(100), Count(200), Count(seq), Count(300)
    return Quote(ticker, Price(560_000), bid, ask, *sizes, at - 9, at - 5, Count(50))


def said(topic: str, seq: int, epoch: int = EPOCH, at: int = AT) -> Envelope:
    """A trade or a quote, by its topic."""
    kind, _, ticker = topic.partition(".")
    body: AnyMessage = (trade if kind == "trade" else quote)(seq, ticker, at)
    return Envelope(topic, "stream", epoch, seq, at, body)


def marked(seq: int, epoch: int = EPOCH, at: int = AT, **topics: int) -> Envelope:
    """A mark; `KXA=3` says that the trades of KXA-1 have come to 3."""
    places = {f"trade.{name}-1": last for name, last in topics.items()}
    return Envelope("mark", "stream", epoch, seq, at, Mark(places))


class Story:
    """A keeper, its clock, and a database that takes what it is told to."""

    def __init__(self, days: float = 1.0, keep_bytes: int = KEEP_BYTES_MIN) -> None:
        self.core = Keeper(days, keep_bytes)
        self.now = SECOND
        self.at = AT
        self.held = EMPTY

    def open(self, *places: Place, fresh: bool = False) -> None:
        """A database of a former life that was followed so far."""
        [effect, _] = self.core.step(self.now, Started(self.at))
        assert effect == OpenDatabase()
        assert self.core.step(self.now, Opened(self.at, places, self.held, fresh)) == []
        assert self.look() == Batch() or fresh, "it is looked at once for what has to go"

    def take(self, *envelopes: Envelope) -> list[Effect]:
        return self.core.step(self.now, Taken(self.at, envelopes))

    def later(self, wait: int = KEEP_BATCH_WAIT) -> None:
        self.now += wait
        self.at += wait // 1_000

    def look(self) -> Batch | None:
        """What is saved now, if anything."""
        return self.saved(self.take())

    def saved(self, effects: list[Effect]) -> Batch | None:
        """Save what is to be saved, and say so."""
        found = [e for e in effects if isinstance(e, Save)]
        if not found:
            return None
        assert self.core.step(self.now, Saved(self.at, self.held)) == []
        return found[0].batch

    def kept(self, *envelopes: Envelope) -> Batch:
        """What becomes of these once their time is over."""
        self.take(*envelopes)
        self.later()
        batch = self.look()
        assert batch is not None
        return batch

    def fail(self, effects: list[Effect], reason: str, closed: bool) -> None:
        assert [e for e in effects if isinstance(e, Save | OpenDatabase)]
        assert self.core.step(self.now, NotSaved(self.at, reason, closed)) == []

    def standing(self) -> Standing:
        self.later(SECOND)
        effects = self.take()
        self.saved(effects)
        [standing] = [e for e in effects if isinstance(e, Standing)]
        return standing
