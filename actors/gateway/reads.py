"""The gateway's own reads: what calls cost, what the account may spend, what markets there are."""

from msgspec import Struct

from actors.gateway.desk import Asker, CallAnswered, Desk, Ended
from actors.gateway.lanes import Place
from actors.gateway.markets import Markets
from protocol.errors import RemoteProtocolError
from protocol.kalshi import answers, calls
from protocol.kalshi.answers import CostsBody, LimitsBody, MarketPage
from protocol.kalshi.calls import Call
from protocol.kalshi.status import StatusBody
from protocol.latch import moment
from protocol.limits import (
    BALANCE_INTERVAL,
    LIMITS_AGAIN,
    LIMITS_INTERVAL,
    MARKETS_MAX,
    OFFLINE_AFTER,
    PAGES_MAX,
    PAUSE_LOOK,
    RECONCILE_RETRY,
)
from protocol.machine import Effect
from protocol.messages import MarketsAnswer

MARKET_LOOKUPS_MAX = 16  # under way at once


def _pause(status: StatusBody) -> str:
    """Why no orders are taken, "" if they are (FACTS.md section 9)."""
    if status.exchange_active and status.trading_active:
        return ""
    what = "trading" if status.exchange_active else "the exchange"
    resumes = "" if status.resumes_at is None else f", it hopes until {moment(status.resumes_at)}"
    return f"{what} pauses{resumes}"


class Poll(Struct):
    """One read that is repeated for ever."""

    call: Call
    interval: int
    due_at: int = 0
    running: bool = False
    done: bool = False


class Lookup(Struct):
    """Which tickers a list of wishes means."""

    asker: Asker
    wishes: list[dict[str, str]]
    tickers: dict[str, None]
    cursors: set[str]


class Reads:
    """Polls and look-ups."""

    def __init__(self, desk: Desk, markets: Markets) -> None:
        self._desk = desk
        self._markets = markets
        self._began: int | None = None
        self._account_known = False
        self.paused = ""  # why the exchange takes no orders now, by its own word
        self._polls = {
            "costs": Poll(calls.COSTS, LIMITS_INTERVAL),
            "limits": Poll(calls.LIMITS, LIMITS_INTERVAL),
            "status": Poll(calls.STATUS, LIMITS_INTERVAL),
            "balance": Poll(calls.BALANCE, BALANCE_INTERVAL),
        }
        self._lookups: dict[int, Lookup] = {}
        self._number = 0
        self.trouble = "rest: nothing has been read yet"

    @property
    def rest_ready(self) -> bool:
        """A signed call was answered."""
        return self._polls["limits"].done and self._polls["status"].done

    def offline(self, now: int) -> bool:
        """Whether the exchange has not been reached for so long that the boot ends without it."""
        began = now if self._began is None else self._began
        return not self.rest_ready and now - began >= OFFLINE_AFTER

    @property
    def limiter_ready(self) -> bool:
        return self._polls["limits"].done and self._polls["costs"].done

    def refresh_limits(self, now: int) -> None:
        """After a 429: the tier may have changed."""
        self._polls["limits"].due_at = self._polls["costs"].due_at = now

    def unproved(self, now: int) -> None:
        """A 401: no order leaves until a signed call has been answered again."""
        self._polls["limits"].done = False
        self._polls["limits"].due_at = now
        self.trouble = "rest: 401: the key or the clock is not accepted"

    def due(self, now: int, at: int, account_known: bool) -> list[Effect]:
        """Start the polls whose time has come."""
        self._account_known = account_known
        if self._began is None or self.rest_ready:
            self._began = now
        if self._desk.lanes.expire(now, at):
            self.refresh_limits(now)
        for name, poll in self._polls.items():
            ready = account_known or name != "balance"
            if ready and not poll.running and now >= poll.due_at:
                place = self._desk.lanes.submit(f"poll:{name}", poll.call)
                poll.running = place is Place.TAKEN
                poll.due_at = now + RECONCILE_RETRY
                if not poll.running:
                    self.trouble = f"rest: {name}: {place.value}"
        return []

    def deadline(self) -> int | None:
        """The balance is of no use before there is an account to compare it with."""
        waits = [p for name, p in self._polls.items() if self._account_known or name != "balance"]
        return min((p.due_at for p in waits if not p.running), default=None)

    def ended(self, now: int, name: str, ended: Ended) -> bytes | None:
        """A poll's call has ended. Returns the balance's body, for the ledger."""
        poll = self._polls[name]
        poll.running = False
        poll.due_at = now + RECONCILE_RETRY
        if not isinstance(ended, CallAnswered):
            self.trouble = f"rest: {ended.reason}"
            poll.done = poll.done and name == "costs"
            return None
        if ended.status != 200:
            said = answers.refusal(ended.body)
            self.trouble = f"rest: {ended.status} {said.code if said else ''}".strip()
            return None
        try:
            sure = self._learn(now, name, ended)
        except RemoteProtocolError as e:
            self.trouble = f"rest: {e}"
            return None
        poll.done, poll.due_at = True, now + (poll.interval if sure else LIMITS_AGAIN)
        if name == "status" and self.paused:
            poll.due_at = now + PAUSE_LOOK
        if all(p.done for n, p in self._polls.items() if n != "balance"):
            self.trouble = ""
        return ended.body if name == "balance" else None

    def _learn(self, now: int, name: str, ended: CallAnswered) -> bool:
        """Whether what was read is sure; else it is read again soon."""
        lanes = self._desk.lanes
        if name == "costs":
            lanes.learn_costs(answers.read(ended.body, CostsBody))
            return lanes.allowance.costs_sure
        if name == "limits":
            lanes.learn_limits(now, ended.at, answers.read(ended.body, LimitsBody))
            return lanes.allowance.limits_sure
        if name == "status":
            self.paused = _pause(answers.read(ended.body, StatusBody))
        return True

    # Which markets

    def look_up(self, at: int, asker: Asker, follow: tuple[str, ...]) -> list[Effect]:
        """Tickers as they are; events, series and "*" by asking the exchange."""
        if any(lookup.asker == asker for lookup in self._lookups.values()):
            return []
        if len(self._lookups) >= MARKET_LOOKUPS_MAX:
            return []  # unanswered, so it is asked again
        wishes: list[dict[str, str]] = []
        tickers: dict[str, None] = {}
        for wish in follow:
            kind, _, name = wish.partition(":")
            if wish == "*":
                wishes.append({"status": "open"})
            elif kind in ("series", "event") and name:
                wishes.append({"status": "open", f"{kind}_ticker": name})
            else:
                tickers[wish] = None
        self._number += 1
        self._lookups[self._number] = Lookup(asker, wishes, tickers, set())
        return self._ask(at, self._number, "")

    def _ask(self, at: int, number: int, cursor: str) -> list[Effect]:
        lookup = self._lookups[number]
        if not lookup.wishes or len(lookup.tickers) >= MARKETS_MAX:
            del self._lookups[number]
            found = tuple(lookup.tickers)[:MARKETS_MAX]
            answer = MarketsAnswer(found, not lookup.wishes)
            return self._desk.answer([lookup.asker], answer, at)
        call = calls.list_markets(lookup.wishes[0], cursor)
        if not self._desk.lanes.submit(f"markets:{number}", call):
            del self._lookups[number]
        return []

    def looked_up(self, now: int, at: int, number: int, ended: Ended) -> list[Effect]:
        """A page of markets has come, or has not: then the asker asks again."""
        lookup = self._lookups.get(number)
        if lookup is None:
            return []
        if not isinstance(ended, CallAnswered) or ended.status != 200:
            del self._lookups[number]
            return []
        try:
            page: MarketPage = answers.read(ended.body, MarketPage)
        except RemoteProtocolError:
            del self._lookups[number]
            return []
        self._markets.learn_all(now, ended.body)
        lookup.tickers.update(dict.fromkeys(row.ticker for row in page.markets))
        cursor = page.cursor or ""
        if not cursor or cursor in lookup.cursors or len(lookup.cursors) >= PAGES_MAX:
            lookup.wishes.pop(0)
            lookup.cursors.clear()
            cursor = ""
        else:
            lookup.cursors.add(cursor)
        return self._ask(at, number, cursor)
