"""64 clients race for one limit: the gateway's own parts, a writer and an exchange by hand.

The writer takes what it is told in any order, the exchange does as it likes, and now and then the
gateway is killed; all from one seed.
"""

import json
import random
from collections import Counter, deque
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from actors.gateway.books import Books
from actors.gateway.brakes import Brakes
from actors.gateway.cash import Cash
from actors.gateway.desk import Asker, Desk
from actors.gateway.door import Door
from actors.gateway.exposures import Exposures
from actors.gateway.markets import Markets
from actors.gateway.orders import Orders
from actors.gateway.passes import Pass
from actors.gateway.tickets import Tickets
from protocol.account import Account
from protocol.envelope import Outbox
from protocol.facts import AnyFact, natural_id
from protocol.kalshi.answers import CostsBody, LimitsBody, MarketRow, PriceRange
from protocol.kalshi.calls import Call
from protocol.kalshi.reading import Micros
from protocol.limits import MS, SECOND
from protocol.machine import Answer, Effect, Tell
from protocol.messages import Appended, Entry, OrderAnswer, PlaceOrder
from protocol.units import DOLLAR, Count, Price
from tests.bench_exchange import CENT, LIMITS, Exchange
from tests.bench_limiter import CANCEL_ROW, TIER

CLIENTS: Final = 64
TURN: Final = 20 * MS
MOVES: Final = 120  # of writer, follower and exchange between two bursts of the clients


class Waiting(NamedTuple):
    """Something on its way to the gateway, and for which of its lives."""

    life: int
    what: Any


class Race:
    """Everything around the parts, and the parts of the life that there is."""

    def __init__(self, seed: int) -> None:
        self.dice, self.told = random.Random(seed), Counter[str]()
        self.exchange = Exchange(self.dice)
        self.attempts = self.restarts = self.life = 0
        self.now = SECOND
        self.bounds = {
            "a market": LIMITS.market_exposure,
            "an event": LIMITS.event_exposure,
            "the account": LIMITS.account_exposure,
        }
        self.books, self.writer = Account(), Outbox("writer", 1)
        self.numbers: dict[str, int] = {}
        self.letters: list[Waiting] = []  # to the writer
        self.acks: list[Waiting] = []
        self.entries: deque[Entry] = deque()  # published, in their order
        self.wire: list[tuple[int, int, Call]] = []  # calls that left: life, number
        self.answers: list[Waiting] = []
        self.moves: tuple[Callable[[], None], ...] = (
            self._writes, self._writes, self._writes, self._writes, self._hears, self._hears,
            self._acknowledges, self._acknowledges, self._acknowledges, self._acknowledges,
            self._leaves, self._leaves, self._arrives, self._arrives, self._answers, self._answers,
            self._streams, self._streams, self._streams, self._fills, self._cancels,
            self._resolves, self._resolves,
        )  # fmt: skip
        self._begin()

    def run(self, attempts: int) -> None:
        while self.attempts < attempts:
            self.now += TURN
            for client in self.dice.sample(range(CLIENTS), CLIENTS):
                self._wants(client)
                if self.dice.random() < 0.2:
                    self.dice.choice(self.moves)()
            for _ in range(MOVES):
                self.dice.choice(self.moves)()
            self._do(self.orders.due(self.now, self.at))
            chance = self.dice.random()
            if chance < 0.02:
                self._settles()
            elif chance < 0.03:
                self._dies()

    @property
    def at(self) -> int:
        return self.now // 1_000

    # The gateway

    def _begin(self) -> None:
        """A new life, with the account as the writer has it."""
        self.life += 1
        self.entries.clear()
        self.desk = Desk(Outbox("gateway", self.life), self.now)
        self.desk.ledger.restore(Account(self.books.state()))
        for _ in range(2):
            self.desk.lanes.learn_costs(CostsBody(10, (CANCEL_ROW,)))
            self.desk.lanes.learn_limits(self.now, self.at, LimitsBody(TIER, TIER))
        self.now += 3 * SECOND  # in which tokens gather
        self.exposures = Exposures()
        self.exposures.follow(self.desk.ledger.account)
        tickets = Tickets(self.exposures.release)
        markets = self.markets = Markets(self.desk)
        cash = Cash(self.desk, lambda now: None)
        brakes = Brakes(LIMITS, markets, self.exposures, Books(self.desk.outbox), cash)
        self.door = Door(self.desk, tickets, markets, brakes, lambda now: None)
        self.orders = Orders(self.desk, tickets, markets, self.door)
        for ticker in self.exchange.tickers:
            self._opens(ticker)

    def _opens(self, ticker: str) -> None:
        grid = (PriceRange(Price(0), Price(DOLLAR), Price(CENT)),)
        event = ticker.rpartition("-")[0]
        row = MarketRow(ticker, "active", grid, Micros(2**60), 0, event)
        self.markets.learn(self.now, row)

    def _do(self, effects: list[Effect]) -> None:
        for effect in effects:
            match effect:
                case Tell(letter=letter):
                    self.letters.append(Waiting(self.life, letter))
                case Answer(letter=letter):
                    assert isinstance(letter.body, OrderAnswer)
                    self.told[letter.body.outcome] += 1

    def _wants(self, client: int) -> None:
        self.attempts += 1
        id = f"c{client}-{self.attempts}"
        side: Any = self.dice.choice(("bid", "ask"))
        price, count = (
            Price(self.dice.randint(5, 95) * CENT),
            Count(self.dice.choice((50, 100, 300, 1_000))),
        )
        ticker, force = self.dice.choice(self.exchange.tickers), "good_till_canceled"
        terms: Any = (id, ticker, side, price, count, force, False, True)
        asker = Asker((b"client",), id, 1)
        self._do(self.door.place(self.now, self.at, asker, PlaceOrder(*terms), ""))

    def _leaves(self) -> None:
        for number, waiting in self.desk.lanes.go(self.now):
            id = waiting.key.partition(":")[2]
            looked = self.orders.may_go(self.now, self.at, id, waiting.call)
            if isinstance(looked, Pass):
                self.wire.append((self.life, number, waiting.call))
                continue
            self.desk.lanes.unsent(number)
            self.told["late"] += bool(looked)
            self._do(looked)

    # The writer

    def _record(self, id: str, fact: AnyFact) -> Appended:
        if id in self.numbers:
            return Appended("REPEAT", self.numbers[id])
        entry = Entry(self.books.n + 1, id, self.at, "race", fact)
        self.books.apply(entry)
        self.numbers[id] = entry.n
        self.entries.append(entry)
        return Appended("NEW", entry.n)

    def _writes(self) -> None:
        if self.letters:
            life, letter = self._any(self.letters)
            said = self._record(letter.id, letter.body.fact)
            self.acks.append(Waiting(life, (letter, said)))

    def _streams(self) -> None:
        if self.exchange.stream:
            fact = self.exchange.stream.popleft()
            self._record(natural_id(fact), fact)

    def _hears(self) -> None:
        for _ in range(min(self.dice.randint(1, 4), len(self.entries))):
            envelope = self.writer.seal("ledger", self.entries.popleft(), self.at)
            meanings = self.desk.ledger.hear(self.now, envelope, self.at)
            assert self.desk.ledger.account is not None
            self.exposures.changed(self.desk.ledger.account, meanings)

    def _acknowledges(self) -> None:
        if self.acks:
            life, (letter, said) = self._any(self.acks)
            if life == self.life and self.desk.tells.answered(letter.id) is not None:
                self._do(self.orders.acknowledged(self.now, self.at, letter.body.fact, said))

    # The exchange

    def _arrives(self) -> None:
        if self.wire:
            life, number, call = self._any(self.wire)
            self.answers.append(Waiting(life, self.exchange.take(self.at, number, call)))

    def _fills(self) -> None:
        self.exchange.fill_one(self.at)

    def _cancels(self) -> None:
        self.exchange.cancel_one(self.at)

    def _answers(self) -> None:
        if self.answers:
            life, (id, ended) = self._any(self.answers)
            if life == self.life:
                self.desk.lanes.back(ended.id)
                self._do(self.orders.ended(self.now, self.at, id, ended))

    def _resolves(self) -> None:
        """The exchange is asked about one order of which nobody knows what became of it."""
        account = self.desk.ledger.account
        assert account is not None
        away = {json.loads(call.body)["client_order_id"] for _, _, call in self.wire}
        for order in account.unsettled():
            id = order.client_order_id
            if not self.orders.under_way(id) and id not in away:
                self.exchange.look_for(self.at, id)
                return

    def _settles(self) -> None:
        self._opens(self.exchange.settle_one(self.at))

    def _dies(self) -> None:
        """kill -9: what is on its way to the writer or the exchange may still arrive."""
        self.restarts += 1
        while self.wire:
            self._arrives()
        self.letters = [one for one in self.letters if self.dice.random() < 0.5]
        self._begin()

    def _any(self, waiting: list[Any]) -> Any:
        return waiting.pop(self.dice.randrange(len(waiting)))
