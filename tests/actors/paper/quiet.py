"""An exchange without sockets in which nothing happens but what a story makes happen."""

import json
import random
from collections.abc import Callable
from typing import Any

from actors.paper import crowd, faults, idle, owner, staff
from actors.paper.account import Account
from actors.paper.answers import Answer, Refused
from actors.paper.core import Core
from actors.paper.entries import Entry, LifeEntry
from actors.paper.exchange import Exchange
from actors.paper.fixed import SECOND
from actors.paper.lives import Lives
from actors.paper.session import Session
from actors.paper.synthetic import Synthetic

BEGAN = 1_800_000_000 * SECOND  # µs; when the stories begin
A, B, C = (f"KXIDLE-E00000-M000000{n}" for n in range(3))  # bids 0.10, 0.11, 0.12 and two below
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

    def __init__(self, entries: list[Entry] | None = None, at: int = BEGAN, markets: int = 3):
        account, lives = Account(), Lives()
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
        return Quiet(self.journal, self.at)
