"""A gateway core with its surroundings played by hand: clock, writer, supervisor, exchange."""

import json
import random
from datetime import UTC, datetime
from typing import Any

from msgspec.structs import replace

from actors.gateway.core import Gateway
from actors.gateway.desk import CallAnswered, CallFailed, MakeCall
from actors.gateway.halt import HaltSaved, SaveHalt
from actors.gateway.inquiries import Prove, prove
from protocol.account import Account
from protocol.arming import Live
from protocol.brakes import WIDE, Limits
from protocol.envelope import Letter, Outbox
from protocol.kalshi.calls import Call
from protocol.latch import NO_LATCH, Latch
from protocol.limits import MS, SECOND
from protocol.machine import (
    Answer,
    Answered,
    Asked,
    Cause,
    Effect,
    Elapsed,
    Heard,
    Report,
    Started,
    Tell,
)
from protocol.messages import (
    AccountAnswer,
    AnyMessage,
    Append,
    Appended,
    Entry,
    EvidenceRequest,
    OrderAnswer,
    PlaceOrder,
    System,
)
from protocol.pulse import Identity
from protocol.units import Count, Price

LIMITS = {
    "read": {"refill_rate": 1_000, "bucket_capacity": 2_000},
    "write": {"refill_rate": 1_000, "bucket_capacity": 2_000},
}
ANSWERS = {
    "/account/limits": LIMITS,
    "/account/endpoint_costs": {"default_cost": 10, "endpoint_costs": []},
    "/exchange/status": {"exchange_active": True, "trading_active": True},
    "/portfolio/balance": {"balance_dollars": "100.0000"},
    "/portfolio/orders": {"orders": [], "cursor": ""},
    "/portfolio/fills": {"fills": [], "cursor": ""},
    "/portfolio/settlements": {"settlements": [], "cursor": ""},
    "/portfolio/positions": {"market_positions": [], "cursor": ""},
    "/historical/cutoff": {
        "market_settled_ts": "1970-01-01T00:00:00Z",
        "trades_created_ts": "1970-01-01T00:00:00Z",
        "orders_updated_ts": "1970-01-01T00:00:00Z",
    },
    "/portfolio/deposits": {"deposits": [], "cursor": ""},
    "/portfolio/withdrawals": {"withdrawals": [], "cursor": ""},
}
MARKET = {
    "ticker": "KXA-1",
    "status": "active",
    "price_ranges": [{"start": "0.0000", "end": "1.0000", "step": "0.0100"}],
    "close_time": "2099-01-01T00:00:00Z",
}


BLIND = replace(
    WIDE, fresh_book=False, money=False, orders_a_second=1_000
)  # what a story without a stream can keep


def rfc(micros: int) -> str:
    """A moment as the exchange writes it."""
    return f"{datetime.fromtimestamp(micros / 1e6, UTC):%Y-%m-%dT%H:%M:%S.%fZ}"


def order(id: str = "c1", **terms: Any) -> PlaceOrder:
    return PlaceOrder(
        id,
        "KXA-1",
        "bid",
        terms.get("price", Price(560_000)),
        terms.get("count", Count(1_000)),
        "good_till_canceled",
    )


class Scene:
    """Reads are answered at once; orders, cancels and the writer wait for the story."""

    def __init__(
        self,
        halt: str = "",
        listing: list[dict[str, Any]] | None = None,
        latch: Latch = NO_LATCH,
        limits: Limits = BLIND,
        live: Live | None = None,
    ) -> None:
        self.now = SECOND
        latch = Latch(reason=halt) if halt else latch
        identity, dice = Identity("gateway", 7), random.Random(1)
        self.core = Gateway(identity, self.now, dice, latch, limits, live=live)
        self.writer = Outbox("writer", 3)
        self.supervisor = Outbox("supervisor", 4)
        self.letters = 0
        self.set_back = 0  # by how much the wall clock was set back, microseconds
        self.n = 0
        self.numbers: dict[str, int] = {}  # of the entries, by id
        self.calls: list[MakeCall] = []  # that the story has to answer
        self.made: list[MakeCall] = []
        self.appends: list[Letter] = []  # that the story has to acknowledge
        self.recalls: list[Letter] = []  # questions about old orders, that the story has to answer
        self.saves: list[SaveHalt] = []  # of the halt latch, that the story has to answer
        self.answers: list[AnyMessage] = []
        self.logged: list[str] = []
        self.beats: list[AnyMessage] = []
        self.listing = listing or []
        self.hush = False  # the exchange answers no reads
        self.instead: dict[str, Any] = {}  # by path: what it answers instead of the usual
        self.feed(Started(self.at))

    def feed(self, cause: Cause) -> None:
        for effect in self.core.step(self.now, cause):
            self._take(effect)

    def _take(self, effect: Effect) -> None:
        match effect:
            case MakeCall(id=id, call=call):
                self.made.append(effect)
                body = None if self.hush or call.method != "GET" else self.shown(call)
                if body is None:
                    self.calls.append(effect)
                else:
                    self.feed(CallAnswered(self.at, id, 200, json.dumps(body).encode()))
            case Tell(peer="writer", letter=letter) if isinstance(letter.body, Append):
                if letter.id not in [a.id for a in self.appends]:
                    self.appends.append(letter)
            case Tell(peer="rehydrator", letter=letter) if isinstance(letter.body, EvidenceRequest):
                self.recalls.append(letter)
            case Tell(peer="supervisor", letter=letter):
                self.beats.append(letter.body)
            case Prove():
                self.feed(prove(effect, self.at))
            case SaveHalt():
                self.saves.append(effect)
            case Answer(letter=letter):
                self.answers.append(letter.body)
            case Report(text=text):
                self.logged.append(text)

    # What the surroundings say

    @property
    def at(self) -> int:
        """The wall clock: it began with the monotonic one."""
        return self.now // 1_000 - self.set_back

    def shown(self, call: Call) -> Any:
        """What the exchange answers at once; None if the story has to."""
        if call.path in self.instead:
            return self.instead[call.path]
        if call.path == "/portfolio/orders":
            return {"orders": self.listing, "cursor": ""}
        if call.path == "/exchange/user_data_timestamp":
            return {"as_of_time": rfc(self.at)}
        if call.path == "/markets/KXA-1":
            return {"market": MARKET}
        return ANSWERS.get(call.path)

    def restore(self, *facts: Any) -> "Scene":
        account = Account()
        for fact in facts:
            self.n += 1
            account.apply(Entry(self.n, f"e{self.n}", 1_000_000, "test", fact))
        answer = AccountAnswer("restored", account.state())
        self.feed(Answered(self.at, "rehydrator", Letter("rehydrator", 2, "account:1", 0, answer)))
        return self

    def beat(self, gate: Any = "open") -> "Scene":
        """The writer's mark and the supervisor's word, as each second brings them."""
        for envelope in self.writer.marks(self.now, self.at, self.n):
            self.feed(Heard(self.at, envelope))
        system = System(gate == "open", gate, 10_000, ("test",), {}, {})
        self.feed(Heard(self.at, self.supervisor.seal("system", system, self.at)))
        return self

    def ready(self) -> "Scene":
        """Restored, limits read, tokens there, gate open."""
        self.restore().pass_time(3 * SECOND).beat()
        return self.settle()

    def settle(self) -> "Scene":
        """The writer takes all that the gateway tells it, until there is nothing more."""
        while self.appends:
            self.acknowledge()
        return self

    def pass_time(self, duration: int) -> "Scene":
        until = self.now + duration
        while self.now < until:
            deadline = self.core.deadline()
            assert deadline is not None
            self.now = min(max(deadline, self.now + MS), until)
            self.feed(Elapsed(self.at))
        return self

    def ask(self, body: AnyMessage, id: str = "") -> None:
        """A letter; without an id it is a new one."""
        self.letters += 1
        id = id or f"letter-{self.letters}"
        self.feed(Asked(self.at, (b"api",), Letter("api", 1, id, self.at, body)))

    def acknowledge(self, verdict: Any = "NEW") -> list[Any]:
        """The writer answers everything it was told; what is NEW is published as well."""
        told, self.appends = self.appends, []
        for letter in told:
            known = self.numbers.get(letter.id, 0)
            if verdict == "NEW" and not known:
                self.n += 1
                self.numbers[letter.id] = self.n
            said = Appended("REPEAT", known) if known else Appended(verdict, self.n)
            self.feed(Answered(self.at, "writer", Letter("writer", 3, letter.id, 0, said)))
            if verdict == "NEW" and not known:
                entry = Entry(self.n, letter.id, self.at, "gateway", letter.body.fact)
                self.feed(Heard(self.at, self.writer.seal("ledger", entry, self.at)))
        return [letter.body.fact for letter in told]

    def told_by_stream(self, fact: Any) -> None:
        """Somebody else told the writer something, and it is published."""
        self.n += 1
        entry = Entry(self.n, f"e{self.n}", self.at, "stream", fact)
        self.feed(Heard(self.at, self.writer.seal("ledger", entry, self.at)))

    def save(self, problem: str = "") -> None:
        """The disk takes what the halt latch is to be."""
        while self.saves:
            wanted = self.saves.pop(0)
            latch = wanted.over if problem else wanted.latch
            self.feed(HaltSaved(self.at, latch, problem))

    def reply(self, status: int, body: Any) -> None:
        """The exchange answers the oldest call that waits."""
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.feed(CallAnswered(self.at, self.calls.pop(0).id, status, raw))

    def fail(self, sent: bool) -> None:
        self.feed(CallFailed(self.at, self.calls.pop(0).id, "no answer", sent))

    @property
    def told(self) -> OrderAnswer:
        """The last thing that the asker of an order was told."""
        found = self.answers[-1]
        assert isinstance(found, OrderAnswer)
        return found
