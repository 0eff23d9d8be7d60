"""A gateway core with its surroundings played by hand: clock, writer, supervisor, exchange."""

import json
import random
from typing import Any

from actors.gateway.core import Gateway
from actors.gateway.desk import CallAnswered, CallFailed, MakeCall
from actors.gateway.halt import HaltSaved, SaveHalt
from protocol.account import Account
from protocol.envelope import Letter, Outbox
from protocol.latch import NO_LATCH, Latch
from protocol.limits import MS, SECOND
from protocol.machine import Answer, Answered, Asked, Cause, Effect, Elapsed, Heard, Started, Tell
from protocol.messages import (
    AccountAnswer,
    AnyMessage,
    Append,
    Appended,
    Entry,
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
}


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
    ) -> None:
        self.now = SECOND
        latch = Latch(reason=halt) if halt else latch
        self.core = Gateway(Identity("gateway", 7), self.now, random.Random(1), latch)
        self.writer = Outbox("writer", 3)
        self.supervisor = Outbox("supervisor", 4)
        self.n = 0
        self.calls: list[MakeCall] = []  # that the story has to answer
        self.made: list[MakeCall] = []
        self.appends: list[Letter] = []  # that the story has to acknowledge
        self.answers: list[AnyMessage] = []
        self.listing = listing or []
        self.saves: list[SaveHalt] = []  # of the halt latch, that the story has to answer
        self.beats: list[AnyMessage] = []
        self.hush = False  # the exchange answers no reads
        self.feed(Started(0))

    def feed(self, cause: Cause) -> None:
        for effect in self.core.step(self.now, cause):
            self._take(effect)

    def _take(self, effect: Effect) -> None:
        match effect:
            case MakeCall(id=id, call=call):
                self.made.append(effect)
                if call.method == "GET" and call.path in ANSWERS and not self.hush:
                    body: dict[str, Any] = ANSWERS[call.path]
                    if call.path == "/portfolio/orders":
                        body = {"orders": self.listing, "cursor": ""}
                    self.feed(CallAnswered(0, id, 200, json.dumps(body).encode()))
                else:
                    self.calls.append(effect)
            case Tell(peer="writer", letter=letter) if isinstance(letter.body, Append):
                if letter.id not in [a.id for a in self.appends]:
                    self.appends.append(letter)
            case Tell(peer="supervisor", letter=letter):
                self.beats.append(letter.body)
            case SaveHalt():
                self.saves.append(effect)
            case Answer(letter=letter):
                self.answers.append(letter.body)

    # What the surroundings say

    def restore(self, *facts: Any) -> "Scene":
        account = Account()
        for fact in facts:
            self.n += 1
            account.apply(Entry(self.n, f"e{self.n}", 1_000_000, "test", fact))
        answer = AccountAnswer("restored", account.state())
        self.feed(Answered(0, "rehydrator", Letter("rehydrator", 2, "account:1", 0, answer)))
        return self

    def beat(self, gate: Any = "open") -> "Scene":
        """The writer's mark and the supervisor's word, as each second brings them."""
        for envelope in self.writer.marks(self.now, 0, self.n):
            self.feed(Heard(0, envelope))
        system = System(gate == "open", gate, 10_000, ("test",), {}, {})
        self.feed(Heard(0, self.supervisor.seal("system", system, 0)))
        return self

    def ready(self) -> "Scene":
        """Restored, limits read, tokens there, gate open."""
        self.restore().pass_time(3 * SECOND).beat()
        self.acknowledge()  # the first balance
        return self

    def pass_time(self, duration: int) -> "Scene":
        until = self.now + duration
        while self.now < until:
            deadline = self.core.deadline()
            assert deadline is not None
            self.now = min(max(deadline, self.now + MS), until)
            self.feed(Elapsed(self.now // 1_000))
        return self

    def ask(self, body: AnyMessage, id: str = "q") -> None:
        self.feed(Asked(self.now // 1_000, (b"api",), Letter("api", 1, id, 0, body)))

    def acknowledge(self, verdict: Any = "NEW") -> list[Any]:
        """The writer answers everything it was told; what is NEW is published as well."""
        told, self.appends = self.appends, []
        for letter in told:
            if verdict == "NEW":
                self.n += 1
            self.feed(
                Answered(0, "writer", Letter("writer", 3, letter.id, 0, Appended(verdict, self.n)))
            )
            if verdict == "NEW":
                entry = Entry(self.n, letter.id, self.now // 1_000, "gateway", letter.body.fact)
                self.feed(Heard(0, self.writer.seal("ledger", entry, 0)))
        return [letter.body.fact for letter in told]

    def save(self, problem: str = "") -> None:
        """The disk takes what the halt latch is to be."""
        while self.saves:
            wanted = self.saves.pop(0)
            latch = wanted.over if problem else wanted.latch
            self.feed(HaltSaved(self.now // 1_000, latch, problem))

    def reply(self, status: int, body: Any) -> None:
        """The exchange answers the oldest call that waits."""
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.feed(CallAnswered(self.now // 1_000, self.calls.pop(0).id, status, raw))

    def fail(self, sent: bool) -> None:
        self.feed(CallFailed(self.now // 1_000, self.calls.pop(0).id, "no answer", sent))

    @property
    def told(self) -> OrderAnswer:
        """The last thing that the asker of an order was told."""
        found = self.answers[-1]
        assert isinstance(found, OrderAnswer)
        return found
