"""What a stream should make of the frames of one connection, by the plainest reading of the rules.

It knows which frames the exchange has sent and says when books are no good any more, and when one
of them is again: the promises hold what the stream says against it.
"""

from typing import TYPE_CHECKING, Any

from protocol.limits import MS, US
from tests.simulation.feed import BOOKS

if TYPE_CHECKING:
    from tests.simulation.world import World

LATE = 2_100 * MS  # by the exchange's own stamp: LATE_MAX, and a Date header is so exact
ENDS = (10, 17, 18, 25)  # errors after which books are no good (FACTS.md section 4.1)


class Judge:
    """Follows the book subscription of one connection, frame by frame as they are taken."""

    def __init__(self, world: "World", link: str) -> None:
        self._world = world
        self._link = link
        self._sid = 0
        self._last: int | None = None
        self._late = False
        self._tickers: set[str] = set()  # that have had one on this connection

    def takes(self, frame: dict[str, Any]) -> None:
        """The next frame is about to be given to the stream."""
        self._look_at_its_age(frame)
        if frame["type"] == "subscribed" and frame["msg"]["channel"] == BOOKS:
            if frame["msg"]["sid"] != self._sid:
                self._break()  # what came by the former one is of the past
                self._sid, self._last = frame["msg"]["sid"], None
            return
        if not self._sid or frame.get("sid") != self._sid:
            return
        last, self._last = self._last, frame["seq"]
        again = last is not None and frame["seq"] == last
        if again:
            return
        if last is not None and frame["seq"] != last + 1:
            self._break()
            if frame["seq"] < last:
                return  # of another time
        if frame["type"] == "error" and frame["msg"]["code"] in ENDS:
            self._break()
        if frame["type"] == "unsubscribed":
            self._break()
        if frame["type"] == "orderbook_snapshot":
            ticker = frame["msg"]["market_ticker"]
            self._tickers.add(ticker)
            self._world.seen("mended", ticker, who=self._link)

    def _look_at_its_age(self, frame: dict[str, Any]) -> None:
        """A late frame is known by its stamp, where the handshake told what time it is there."""
        sent = frame.get("sending_ts_ms")
        if sent is None or not self._world.faults.says_date:
            return
        self._late = self._world.clock - sent * 1_000 > LATE // US

    def taken(self) -> None:
        """All that comes in one go has been looked at: was the last of it late?"""
        if self._late:
            self._world.seen("late", "", who=self._link)
            self._world.unsettled = True
        self._late = False

    def closed(self) -> None:
        """The connection is no more, and the stream knows it, or is about to."""
        self._break()

    def _break(self) -> None:
        for ticker in sorted(self._tickers):
            self._world.seen("broken", ticker, who=self._link)
        self._world.unsettled = True
