"""What the stream promises whoever reads market data, each as a fold over what happened.

They know nothing of the engine: `test_promises_of_data.py` holds each against histories made by
hand. Where something lies between the stream and a reader, `holds` is what the reader has.
"""

from protocol.limits import MARK_INTERVAL, MARK_SILENCE_MAX, MS, SECOND
from protocol.topics import MARK
from tests.simulation.log import Moment, Sides
from tests.simulation.markets import AUDITED_WITHIN, TOLD_WITHIN

USABLE = ("live", "stale")  # states of a book that has levels
EXACT = 2_100 * MS  # how well a stream knows when something was: LATE_MAX, and a Date header
STATES = {"snapshot": "live", "fresh": "live", "stale": "stale", "lost": "lost"}
NOTICED_WITHIN = MARK_SILENCE_MAX + 2 * MARK_INTERVAL + 500 * MS  # of a loss, by a mark or silence
Place = tuple[str, int, int]  # of a message: topic, epoch, seq


class Book:
    """Every book that is served was the exchange's own, and none of the time before a break.

    What the stream says and what readers hold is a version that the exchange has had (or, after a
    lie, has told of), and time does not run back. From the first sign that books of a subscription
    are no good none of them has a level, until a snapshot has come that was sent after it.
    """

    def __init__(self) -> None:
        self.versions: dict[str, list[Sides]] = {}
        self.said: dict[Place, tuple[str, Sides | None]] = {}  # state and book as of each message
        self._state: dict[str, str] = {}
        self._at: dict[str, int] = {}  # the version that was said last
        self._now: dict[str, Sides | None] = {}  # by ticker: what the stream has, None: nothing
        self._home: dict[str, str] = {}  # the link that a book came by
        self._broken: set[str] = set()

    def take(self, moment: Moment) -> None:
        ticker = moment.ticker
        match moment.what:
            case "is" | "told":
                assert moment.levels is not None
                self.versions.setdefault(ticker, []).append(moment.levels)
            case "broken" if self._home.get(ticker) == moment.who:
                self._broken.add(ticker)
            case "mended":
                self._home[ticker] = moment.who
                self._broken.discard(ticker)
            case "settled":
                for each in sorted(self._broken):
                    assert self._now.get(each) is None, f"{each} is served after a break"
            case "dead":
                self._now.clear()
                self._broken.clear()
                self._home.clear()
            case "snapshot" | "changed" | "lost" | "stale" | "fresh":
                self._say(moment)
            case "holds" if moment.state in USABLE:
                self._hold(moment)

    def _say(self, moment: Moment) -> None:
        ticker = moment.ticker.partition(".")[2]
        if moment.what == "changed":
            assert self._now.get(ticker) is not None, f"{ticker}: a change of a lost book"
        self._state[ticker] = STATES.get(moment.what, self._state.get(ticker, ""))
        if moment.what == "lost":
            self._now[ticker] = None
        if moment.what in ("snapshot", "changed"):
            assert moment.levels is not None
            self._find(ticker, moment.levels)
            self._now[ticker] = moment.levels
        place = moment.ticker, moment.epoch, moment.seq
        self.said[place] = self._state[ticker], self._now.get(ticker)

    def _find(self, ticker: str, levels: Sides) -> None:
        versions, at = self.versions[ticker], self._at.get(ticker, 0)
        for version in range(at, len(versions)):
            if versions[version] == levels:
                self._at[ticker] = version
                return
        had = "has gone back to" if levels in versions else "never had"
        raise AssertionError(f"{ticker}: the exchange {had} the book that was published")

    def _hold(self, moment: Moment) -> None:
        place = f"book.{moment.ticker}", moment.epoch, moment.seq
        text = f"{moment.who}: {moment.state} and wrong on {moment.ticker} at {moment.seq}"
        assert place in self.said, text
        state, levels = self.said[place]
        assert levels == moment.levels, text
        assert state == moment.state, f"{text}: it is {state}"

    def check_end(self, held: dict[str, Sides | None]) -> None:
        """Each book that is followed is the one that the exchange has."""
        for ticker, versions in self.versions.items():
            assert held.get(ticker) == versions[-1], f"{ticker} is not what the exchange has"


class _Version:
    def __init__(self, moment: Moment) -> None:
        self.at = moment.at
        self.levels = moment.levels
        self.by = moment.at + moment.within  # then whoever is live has it
        self.hidden = moment.state == "hidden"


class Fresh:
    """A live book is never older than its bound, which depends on the kind of trouble.

    A version that was told of is known soon, or the book is live no more. What no frame has told
    of is found by a probe of a subscription that is quiet; a lie only by an audit, which counts
    from the day's healing on, because listings have to be read for it. Once a frame has come that
    was late, no book of its link is live. No change is missing of before the moment that the holder
    of a book vouches for.
    """

    def __init__(self, later: dict[str, int]) -> None:
        """`later`: by who holds a book, how much longer it may take to get there."""
        self.healed: int | None = None
        self._later = later
        self._versions: dict[str, list[_Version]] = {}
        self._lied: dict[str, int] = {}  # since when there are two histories of a book
        self._live: set[str] = set()  # by the stream's own word
        self._home: dict[str, str] = {}  # the link that a book came by
        self._late: set[str] = set()  # links

    def take(self, moment: Moment) -> None:
        ticker = moment.ticker
        match moment.what:
            case "is" | "told":
                version = _Version(moment)
                self._versions.setdefault(ticker, []).append(version)
                if version.hidden:
                    self._lied.setdefault(ticker, moment.at)
                elif moment.what == "is":
                    self._lied.pop(ticker, None)
            case "holds" if moment.state in USABLE:
                self._vouch(moment)
                if moment.state == "live":
                    self._hold(moment)
            case "snapshot" | "fresh":
                self._live.add(ticker.partition(".")[2])
            case "lost" | "stale":
                self._live.discard(ticker.partition(".")[2])
            case "dead":
                self._live.clear()
            case "mended":
                self._home[ticker] = moment.who
            case "late":
                self._late.add(moment.who)
            case "settled":
                for each in sorted(self._live):
                    text = f"{each} is live, and what brings it is late"
                    assert self._home.get(each) not in self._late, text
                self._late.clear()

    def _vouch(self, moment: Moment) -> None:
        """What was told of before the moment that the holder vouches for is in the book."""
        for version in reversed(self._versions[moment.ticker]):
            if version.levels == moment.levels:
                return
            told = not version.hidden and version.by - version.at == TOLD_WITHIN
            missing = told and version.at < moment.as_of - EXACT
            text = f"{moment.who} vouches for too much of {moment.ticker}"
            assert not missing, f"{text}: {(moment.as_of - version.at) / SECOND:.1f} s"

    def _hold(self, moment: Moment) -> None:
        ticker, later = moment.ticker, self._later.get(moment.who, 0)
        text = f"{moment.who}: live and old on {ticker}"
        lied = self._lied.get(ticker)
        truth = next(v for v in reversed(self._versions[ticker]) if v.hidden or not lied)
        if lied is not None and self.healed is not None and moment.levels != truth.levels:
            by = max(lied, self.healed) + AUDITED_WITHIN + later
            assert moment.at <= by, f"{text}: a lie of {(moment.at - lied) / SECOND:.1f} s ago"
        for version in reversed(self._versions[ticker]):
            if version.levels == moment.levels:
                return
            old = not version.hidden and moment.at > version.by + later
            assert not old, f"{text}: another book for {(moment.at - version.at) / SECOND:.1f} s"


class Subscriber:
    """Each hearer gets the messages of a topic without a hole and none twice, or it knows.

    A book that is live at a message was made from all that was said before; what its holder has
    missed after that it notices soon. Who counts its losses counts them all.
    """

    def __init__(self, later: dict[str, int]) -> None:
        """`later`: by who hears, how much longer a message may be on its way."""
        self._later = later
        self._missed: dict[tuple[str, str], list[Moment]] = {}  # by who and topic
        self._heard: dict[tuple[str, str], tuple[int, int]] = {}

    def take(self, moment: Moment) -> None:
        key = moment.who, moment.ticker
        match moment.what:
            case "missed":
                self._missed.setdefault(key, []).append(moment)
            case "heard":
                self._hear(key, moment)
            case "holds" if moment.state in USABLE:
                self._hold(moment)
            case "counted":
                self._count(key, moment)

    def _count(self, key: tuple[str, str], moment: Moment) -> None:
        """It knows a number of the topic: all that is missing up to there is counted. What was
        said after that it can't know only if a mark is missing, too, or that life is over."""
        missed = [m for m in self._missed.get(key, []) if m.epoch == moment.epoch]
        known = [m for m in missed if m.seq <= moment.seq]
        text = f"{moment.who} counts {moment.count} losses on {moment.ticker}"
        assert moment.count == len(known), f"{text}, and there were {len(known)}"
        last = max((m.at for m in missed if m.seq > moment.seq), default=0)
        marks = self._missed.get((moment.who, MARK), [])
        excused = moment.state == "over" or any(mark.at >= last for mark in marks)
        assert not last or excused, f"{text}, and does not know of the last ones"

    def _hear(self, key: tuple[str, str], moment: Moment) -> None:
        """The bus does not turn things round: that it does not is a promise of the simulation."""
        place = moment.epoch, moment.seq
        assert place > self._heard.get(key, (0, 0)), f"{key}: {place} comes late or again"
        self._heard[key] = place

    def _hold(self, moment: Moment) -> None:
        key, place = (moment.who, f"book.{moment.ticker}"), (moment.epoch, moment.seq)
        text = f"{moment.who}: {moment.state} on {moment.ticker} at {moment.seq}"
        missed = self._missed.get(key, [])
        while missed and (missed[0].epoch, missed[0].seq) <= place:
            missed.pop(0)  # it has a snapshot that came after
        if missed:
            late = moment.at > missed[0].at + NOTICED_WITHIN + self._later.get(moment.who, 0)
            assert not late, f"{text}, and has missed {missed[0].seq} without noticing"
