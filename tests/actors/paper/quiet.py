"""An exchange without sockets in which nothing happens but what a story makes happen."""

import json
import random
import re
from collections.abc import Callable
from typing import Any

import msgspec

from actors.paper import crowd, faults, idle, owner, staff
from actors.paper.account import Account
from actors.paper.answers import Answer, Refused
from actors.paper.calls import ORDERS, WRITES, Call
from actors.paper.core import Core
from actors.paper.entries import Entry, LifeEntry
from actors.paper.exchange import Exchange
from actors.paper.fixed import SECOND
from actors.paper.lives import Lives
from actors.paper.paging import Query
from actors.paper.routes import GETS
from actors.paper.session import Session
from actors.paper.synthetic import Synthetic
from actors.paper.wire import Happened, Line

BEGAN = 1_800_000_000 * SECOND  # µs; when the stories begin
A, B, C = (f"KXIDLE-E00000-M000000{n}" for n in range(3))  # bids 0.10, 0.11, 0.12 and two below
EMPTY = "KXEMPTY-27JAN01-T5"  # of `bare`: nothing stands in its book
DEEDS: dict[str, Callable[[Exchange, bytes, int], Answer]] = {
    "settle": owner.settle,
    "external": owner.external,
    "market": staff.make,
    "close": staff.move_close,
    "deactivate": staff.deactivate,
    "activate": staff.activate,
    "grid": staff.regrid,
    "metadata": staff.describe,
    "fee": staff.override_fee,
    "group": staff.tell_group,
    "public": crowd.public,
}


class Listener:
    """One connection."""

    def __init__(self, quiet: "Quiet", session: Session) -> None:
        self.session = session
        self._quiet = quiet
        self._last = 0

    def say(self, word: str, **params: Any) -> int:
        """A command; answers its id."""
        self._last += 1
        command: dict[str, Any] = {"id": self._last, "cmd": word}
        if params:
            command["params"] = params
        self.session.command(json.dumps(command), self._quiet.at)
        return self._last

    def subscribe(self, *channels: str, **params: Any) -> list[dict[str, Any]]:
        self.say("subscribe", channels=list(channels), **params)
        return self.told()

    def told(self) -> list[dict[str, Any]]:
        """What it may have been sent since the last look."""
        return [json.loads(frame) for frame in self.session.outbox.take(1_000_000)]


class Quiet:
    """Three markets whose public never moves, and a clock that a story moves."""

    def __init__(
        self,
        entries: list[Entry] | None = None,
        at: int = BEGAN,
        markets: int = 3,
        shards: dict[str, int] | None = None,
    ):
        account, lives = Account(shards), Lives()
        self.shards = shards
        for entry in entries or []:
            if isinstance(entry, LifeEntry):
                lives.apply(entry)
            else:
                account.apply(entry)
        self.at = at
        self.exchange = Exchange(idle.markets(markets, at), account, random.Random(1), lives)
        self.exchange.close_due(at)
        self.core = Core(self.exchange, Synthetic(1, 1.0), 1.0)
        self.journal: list[Entry] = list(entries or [])

    def connect(self) -> Listener:
        session = self.core.connect()
        assert session is not None
        return Listener(self, session)

    def do(self, deed: str, **body: Any) -> dict[str, Any]:
        """One of the calls below /paper; its answer."""
        try:
            answer = DEEDS[deed](self.exchange, json.dumps(body).encode(), self.at)
        except Refused as e:
            answer = e.answer
        self.journal += self.core.settle(self.at)
        assert isinstance(answer.body, dict)
        return answer.body

    def arm(self, **named: Any) -> None:
        """Raises Refused."""
        self.core.arm(faults.read(json.dumps(named).encode()), 0, self.at)
        self.journal += self.core.settle(self.at)

    def later(self, seconds: float) -> None:
        self.at += int(seconds * SECOND)
        self.journal += self.core.tick((self.at - BEGAN) * 1_000, self.at)

    def restarted(self) -> "Quiet":
        """The exchange that comes back from what was written down."""
        written = msgspec.json.encode(Happened(self.journal))
        line: Any = msgspec.json.decode(written, type=Line)
        return Quiet(line.entries, self.at, shards=self.shards)

    def write(self, method: str, path: str, body: Any = None, **query: str) -> Answer:
        """One of the writes below /trade-api/v2, without its signature."""
        write, name = found(WRITES, path, method)
        text = b"" if body is None else json.dumps(body).encode()
        call = Call(write, name, text, Query(query.items()))
        answer = self.core.write(call, (self.at - BEGAN) * 1_000, self.at)
        self.journal += self.core.settle(self.at)
        return answer

    def get(self, path: str, **query: str) -> Answer:
        """One of the reads below /trade-api/v2, for nothing."""
        get, name = found(GETS, path)
        try:
            answer: Answer = get.read(self.core.view(self.at), name, Query(query.items()), self.at)
        except Refused as e:
            return e.answer
        return answer

    def order(self, name: str = "", **changes: Any) -> str:
        """The id of an order that is accepted: by default 10 at 0.05, good till cancelled."""
        answer = self.write("POST", ORDERS, new(name, **changes))
        assert answer.status == 201, answer
        assert isinstance(answer.body, dict)
        order_id: str = answer.body["order_id"]
        return order_id

    def shown(self, order_id: str) -> dict[str, Any]:
        """An order as a read shows it."""
        body = self.get(f"/portfolio/orders/{order_id}").body
        assert isinstance(body, dict)
        found: dict[str, Any] = body["order"]
        return found

    def sell(self, count: str, price: str = "0.0500") -> None:
        """Somebody sells into our bids of EMPTY."""
        got = self.do("public", ticker=EMPTY, side="ask", price=price, count=count)
        assert "error" not in got, got


def bare(**how: Any) -> Quiet:
    """A quiet exchange with one market more, whose book is empty."""
    quiet = Quiet(**how)
    quiet.do("market", ticker=EMPTY)
    return quiet


def new(name: str = "", **changes: Any) -> dict[str, Any]:
    """The body of a create."""
    body = {
        "ticker": EMPTY, "client_order_id": name, "side": "bid",
        "count": "10.00", "price": "0.0500",
        "time_in_force": "good_till_canceled", "self_trade_prevention_type": "taker_at_cross",
    }  # fmt: skip
    return body | changes


def found(table: Any, path: str, method: str = "GET") -> tuple[Any, str]:
    """The first row whose path fits, as the sockets' side finds it, and the name in it."""
    for row in table:
        fits = re.fullmatch(row.path.replace("{name}", "([^/]+)"), path)
        if fits and getattr(row, "method", "GET") == method:
            return row, "".join(fits.groups())
    raise AssertionError(f"no {method} {path}")


def error(answer: Answer) -> tuple[int, str]:
    """Status and code of a refusal."""
    assert isinstance(answer.body, dict), answer
    return answer.status, answer.body["error"]["code"]
