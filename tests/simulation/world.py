"""The whole engine in one thread, on one clock, from one seed.

Every process here is the production core. What is simulated is what a core can't see: the bus,
the clocks, the exchange, the disk, a trader, and the process itself, which may die at any moment
and come back with a new epoch.
"""

import hashlib
import heapq
import itertools
import json
import random
from collections.abc import Callable
from typing import Any

from actors.api.asks import Cancel, Place
from actors.api.core import Api, Reply, Requested
from actors.gateway.core import Gateway, HaltSaved, SaveHalt
from actors.gateway.desk import CallAnswered, CallFailed, MakeCall
from actors.rehydrator.core import AccountLoaded, LoadAccount, Rehydrator
from actors.stream.core import Stream
from actors.stream.wire import (
    CloseSocket,
    FrameReceived,
    Link,
    OpenFailed,
    OpenSocket,
    PingReceived,
    SendFrame,
    SocketClosed,
    SocketOpened,
)
from actors.writer.batch import Known, plan
from actors.writer.core import (
    CloseStore,
    Commit,
    Committed,
    EntriesRead,
    OpenStore,
    ReadEntries,
    StoreFailed,
    StoreOpened,
    Writer,
)
from protocol.account import Account
from protocol.envelope import Envelope, Letter, Outbox, decode, decode_letter, encode, encode_letter
from protocol.follower import BookFollower
from protocol.kalshi.calls import Call
from protocol.limits import MS, SECOND
from protocol.machine import (
    Answer,
    Answered,
    Asked,
    Cause,
    Core,
    Effect,
    Elapsed,
    Finish,
    Heard,
    Publish,
    Report,
    Started,
    Tell,
)
from protocol.messages import (
    AccountState,
    Appended,
    BookAnswer,
    Entry,
    PlaceOrder,
)
from protocol.pulse import Identity
from supervisor.core import Declare, Supervisor
from tests.simulation.exchange import ANSWER_MAX, LATE_MAX, TICKERS, Connection, Exchange
from tests.simulation.faults import Faults

NAMES = ("supervisor", "writer", "rehydrator", "gateway", "stream", "api", "trader")
HEARS = {  # who hears which topics of whom, as the shells subscribe
    "rehydrator": {"writer": ("ledger", "mark")},
    "gateway": {"writer": ("ledger", "mark"), "supervisor": ("system",)},
    "stream": {"writer": ("mark",)},
    "api": {"writer": ("ledger", "mark"), "supervisor": ("system",)},
    "trader": {"stream": ("book.", "mark")},
}
PING_INTERVAL = 10 * SECOND  # FACTS.md section 4.1
WALL_START = 1_790_000_000_000_000
SNAPSHOT_EVERY = 40  # entries; far fewer than in production, so that replays happen


class Trader:
    """A program that follows books."""

    def __init__(self, epoch: int) -> None:
        self._outbox = Outbox("trader", epoch)
        self.followers: dict[str, BookFollower] = {}

    def step(self, now: int, cause: Cause) -> list[Effect]:
        if not self.followers:
            self.followers = {t: BookFollower(t, self._outbox, now) for t in TICKERS}
        match cause:
            case Heard(envelope=envelope):
                for follower in self.followers.values():
                    follower.hear(now, envelope)
            case Answered(letter=letter):
                if isinstance(letter.body, BookAnswer):
                    self.followers[letter.body.ticker].adopt(letter.body)
        return [e for f in self.followers.values() for e in f.due(now, cause.at)]

    def deadline(self) -> int | None:
        return min((f.deadline() for f in self.followers.values()), default=None)


class Disk:
    """What the ledger's database keeps, whoever lives."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.known: dict[str, Known] = {}
        self.snapshot: AccountState | None = None
        self.halt = ""

    def account(self) -> Account:
        account = Account(self.snapshot)
        for entry in self.entries[account.n :]:
            account.apply(entry)
        return account


class Process:
    """One life of one actor."""

    def __init__(self, name: str, core: Core, life: int) -> None:
        self.name = name
        self.core = core
        self.life = life
        self.wakes_at: int | None = None


class World:
    def __init__(self, seed: int) -> None:
        self.now = SECOND
        self.dice = random.Random(f"{seed}/world")
        self.faults = Faults.draw(random.Random(f"{seed}/faults"))
        self.trace = hashlib.sha256()
        self.disk = Disk()
        self.acknowledged: dict[str, int] = {}  # what the writer has said is in the ledger
        self.published: list[Envelope] = []
        self.declared: Declare | None = None
        self.orders: dict[str, PlaceOrder] = {}
        self.answers: dict[str, str] = {}  # what the trader was told, once it is final
        self.cancels: dict[str, str] = {}
        self._asked: dict[int, tuple[str, str]] = {}  # what was asked of the API, by request
        self._requests = itertools.count(1)
        self.reports: list[str] = []
        self._heap: list[tuple[int, int, Callable[[], None]]] = []
        self._ticks = itertools.count()
        self._links: dict[tuple[str, str], int] = {}  # FIFO: last arrival per link
        self._lives = itertools.count(1)
        self._sockets: dict[str, tuple[Process, Connection]] = {}
        self.exchange = Exchange(self, random.Random(f"{seed}/exchange"))
        self.processes: dict[str, Process | None] = dict.fromkeys(NAMES)
        for name in NAMES:
            self.start(name)

    @property
    def wall(self) -> int:
        return WALL_START + self.now // 1_000

    # Time

    def at(self, when: int, what: Callable[[], None]) -> None:
        heapq.heappush(self._heap, (max(when, self.now), next(self._ticks), what))

    def run(self, until: int) -> None:
        while self._heap and self._heap[0][0] <= until:
            self.now, _, what = heapq.heappop(self._heap)
            what()
        self.now = until

    # Processes

    def start(self, name: str) -> None:
        if self.processes[name] is not None:
            return
        life = next(self._lives)
        process = Process(name, self._build(name, Identity(name, life, life, 0)), life)
        self.processes[name] = process
        self.feed(process, Started(self.wall))

    def _build(self, name: str, identity: Identity) -> Core:
        dice = random.Random(self.dice.random())
        match name:
            case "supervisor":
                return Supervisor(identity.epoch)
            case "writer":
                return Writer(identity)
            case "rehydrator":
                return Rehydrator(identity)
            case "gateway":
                return Gateway(identity, self.now, dice, self.disk.halt)
            case "api":
                self._asked.clear()  # whoever waited for an answer has lost the connection
                return Api(identity)
            case "stream":
                return Stream(identity, ("*",), dice)
            case _:
                return Trader(identity.epoch)

    def crash(self, name: str) -> None:
        if self.processes[name] is None:
            return
        self.processes[name] = None
        if name == "stream":
            for link in list(self._sockets):
                self._hang_up(link)
        delay = self.dice.randint(100, 3_000) * MS
        self.at(self.now + delay, lambda: self.start(name))

    def feed(self, process: Process | None, cause: Cause) -> None:
        if process is None or self.processes[process.name] is not process:
            return  # it died while this was on its way
        self._note(process.name, cause)
        for effect in process.core.step(self.now, cause):
            if self.processes[process.name] is process:
                self._note(process.name, effect)
                self._perform(process, effect)
        deadline = process.core.deadline()
        if deadline is not None and deadline != process.wakes_at:
            process.wakes_at = max(deadline, self.now)
            self.at(process.wakes_at, lambda at=process.wakes_at: self._wake(process, at))

    def _wake(self, process: Process, at: int) -> None:
        if process.wakes_at == at:
            process.wakes_at = None
        deadline = process.core.deadline()
        if deadline is not None and deadline <= self.now:
            self.feed(process, Elapsed(self.wall))

    def _note(self, name: str, what: Cause | Effect) -> None:
        self.trace.update(f"{self.now} {name} {what!r}\n".encode())

    # Effects

    def _perform(self, process: Process, effect: Effect) -> None:
        match effect:
            case Publish(envelope):
                self._publish(process, envelope)
            case Tell(peer, letter):
                self._tell(process, peer, letter)
            case Answer(sender, letter):
                self._answer(process, sender, letter)
            case Report(text):
                self.reports.append(text)
            case Finish():
                self.crash(process.name)
            case Declare():
                self.declared = effect
            case Reply(id, status, body):
                self._replied(id, status, json.loads(body))
            case OpenStore() | Commit() | ReadEntries() | CloseStore():
                self._store(process, effect)
            case LoadAccount():
                done = AccountLoaded(self.wall, self.disk.account(), "simulated")
                self.at(self.now + 5 * MS, lambda: self.feed(process, done))
            case MakeCall(id, call):
                self._call(process, id, call)
            case SaveHalt(halted, reason):
                self.disk.halt = reason if halted else ""
                self.feed_later(process, HaltSaved(self.wall, halted, reason))
            case OpenSocket(link):
                self.at(self.now + 5 * MS, lambda: self._connect(process, link))
            case SendFrame(link, raw):
                held = self._sockets.get(link)
                if held is not None and held[0] is process:
                    self.at(self.now + MS, lambda: self._command(link, held[1], raw))
            case CloseSocket(link):
                self._hang_up(link)
                closed = SocketClosed(self.wall, link, "closed by us")
                self.at(self.now + 5 * MS, lambda: self.feed(process, closed))
            case _:
                raise AssertionError(effect)

    def feed_later(self, process: Process, cause: Cause) -> None:
        self.at(self.now + MS, lambda: self.feed(process, cause))

    # The bus

    def _publish(self, process: Process, envelope: Envelope) -> None:
        self.published.append(envelope)
        for name, speakers in HEARS.items():
            prefixes = speakers.get(process.name, ())
            if not envelope.topic.startswith(tuple(prefixes)) or not prefixes:
                continue
            if self.dice.random() < self.faults.bus_drop:
                continue
            frame = encode(envelope)
            when = self._arrival(process.name, name, "pub")
            hearer = self.processes[name]
            self.at(when, lambda hearer=hearer, frame=frame: self._hear(hearer, frame))

    def _hear(self, hearer: Process | None, frame: bytes) -> None:
        self.feed(hearer, Heard(self.wall, decode(frame)))

    def _arrival(self, source: str, target: str, kind: str) -> int:
        link = f"{source}/{kind}", target
        delay = self.dice.randint(0, self.faults.bus_delay_max)
        when = max(self.now + delay, self._links.get(link, 0))
        self._links[link] = when
        return when

    def _tell(self, process: Process, peer: str, letter: Letter) -> None:
        target = self.processes.get(peer)
        if target is None or self.dice.random() < self.faults.letter_drop:
            return
        raw, sender = encode_letter(letter), (process.name.encode(), str(process.life).encode())
        when = self._arrival(process.name, peer, "tell")
        self.at(when, lambda: self.feed(target, Asked(self.wall, sender, decode_letter(raw))))

    def _answer(self, process: Process, sender: tuple[bytes, ...], letter: Letter) -> None:
        if isinstance(letter.body, Appended) and letter.body.verdict in ("NEW", "REPEAT"):
            self.acknowledged[letter.id] = letter.body.n
        name, life = sender[0].decode(), int(sender[1])
        target = self.processes.get(name)
        if target is None or target.life != life or self.dice.random() < self.faults.letter_drop:
            return
        raw = encode_letter(letter)
        when = self._arrival(process.name, name, "answer")
        self.at(
            when, lambda: self.feed(target, Answered(self.wall, process.name, decode_letter(raw)))
        )

    # The disk

    def _store(self, process: Process, effect: Effect) -> None:
        delay = self.dice.randint(1, 20) * MS
        match effect:
            case OpenStore():
                opened = StoreOpened(self.wall, len(self.disk.entries))
                self.at(self.now + delay, lambda: self.feed(process, opened))
            case ReadEntries(sender, id, since, limit):
                found = tuple(self.disk.entries[since : since + limit])
                read = EntriesRead(self.wall, sender, id, found)
                self.at(self.now + delay, lambda: self.feed(process, read))
            case Commit():
                self._commit(process, effect, delay)

    def _commit(self, process: Process, commit: Commit, delay: int) -> None:
        roll = self.dice.random()
        if roll < self.faults.disk_locked:
            locked = StoreFailed(self.wall, "locked", False)
            self.at(self.now + delay, lambda: self.feed(process, locked))
            return
        if roll < self.faults.disk_locked + self.faults.disk_fails:
            failed = StoreFailed(self.wall, "disk I/O error", True)
            self.at(self.now + delay, lambda: self.feed(process, failed))
            return

        def write() -> None:
            # A writer that died before this moment never wrote; one that dies after it did.
            if self.processes["writer"] is not process:
                return
            account = self.disk.account()
            done = plan(commit.wanted, self.disk.known, account, commit.at)
            for one in done.booked:
                self.disk.entries.append(one.entry)
                self.disk.known[one.entry.id] = Known(one.entry.n, one.essence)
            if (
                account.n // SNAPSHOT_EVERY
                > (self.disk.snapshot or AccountState(0)).n // SNAPSHOT_EVERY
            ):
                self.disk.snapshot = account.state()
            told = Committed(self.wall, done.results, done.booked)
            self.at(self.now + MS, lambda: self.feed(process, told))

        self.at(self.now + delay, write)

    # The exchange

    def _connect(self, process: Process, link: Link) -> None:
        if self.processes["stream"] is not process:
            return
        if self.dice.random() < self.faults.socket_drop * 5:
            self.feed(process, OpenFailed(self.wall, link, 503, "refused"))
            return

        def deliver(frame: dict[str, Any]) -> None:
            raw = json.dumps(frame).encode()
            when = self._arrival("exchange", link, str(process.life))
            self.at(when, lambda: self._frame(process, link, connection, raw))

        connection = self.exchange.opened(link, deliver)
        self._sockets[link] = (process, connection)
        self.at(self.now + PING_INTERVAL, lambda: self._ping(process, link, connection))
        self.feed(process, SocketOpened(self.wall, link))

    def _frame(self, process: Process, link: Link, connection: Connection, raw: bytes) -> None:
        held = self._sockets.get(link)
        if held is not None and held[1] is connection:
            self.feed(process, FrameReceived(self.wall, link, raw))

    def _ping(self, process: Process, link: Link, connection: Connection) -> None:
        held = self._sockets.get(link)
        if held is not None and held[1] is connection:
            self.feed(process, PingReceived(self.wall, link))
            self.at(self.now + PING_INTERVAL, lambda: self._ping(process, link, connection))

    def _command(self, link: str, connection: Connection, raw: bytes) -> None:
        held = self._sockets.get(link)
        if held is not None and held[1] is connection:
            self.exchange.command(connection, raw)

    def _hang_up(self, link: str) -> None:
        self._sockets.pop(link, None)
        self.exchange.connections.pop(link, None)

    def drop_socket(self, link: str) -> None:
        held = self._sockets.get(link)
        self._hang_up(link)
        if held is not None:
            closed = SocketClosed(self.wall, link, "1006")
            self.at(self.now + MS, lambda: self.feed(held[0], closed))

    def _call(self, process: Process, id: int, call: Call) -> None:
        roll, faults = self.dice.random(), self.faults
        there, back = (self.dice.randint(1, ANSWER_MAX) for _ in range(2))
        if roll < faults.call_lost_before:
            unsent = self.dice.random() < 0.5
            failed = CallFailed(self.wall, id, "no answer", not unsent)
            self.at(self.now + there, lambda: self.feed(process, failed))
            return
        if roll < faults.call_lost_before + faults.call_lost_after:
            late = self.dice.randint(0, LATE_MAX) if self.dice.random() < 0.3 else there
            self.at(self.now + late, lambda: self.exchange.call(call))
            failed = CallFailed(self.wall, id, "timeout", True)
            self.at(self.now + there + back, lambda: self.feed(process, failed))
            return
        if self.dice.random() < faults.call_fails:
            if self.dice.random() < 0.5:
                self.at(self.now + there, lambda: self.exchange.call(call))
            answer = CallAnswered(self.wall, id, 503, b"<html>busy</html>")
            self.at(self.now + there + back, lambda: self.feed(process, answer))
            return

        def arrive() -> None:
            status, body = self.exchange.call(call)
            answered = CallAnswered(self.wall, id, status, body)
            self.at(self.now + back, lambda: self.feed(process, answered))

        self.at(self.now + there, arrive)

    def order_arrived(self, id: str) -> None:
        """No byte of an order leaves before its intent is on disk."""
        assert f"intent:{id}" in self.disk.known, f"{id} was sent before it was recorded"

    # The trader

    def post(self, order: PlaceOrder) -> None:
        """Ask for an order until there is a final answer, always under its own id."""
        self.orders[order.client_order_id] = order
        self._pursue("order", order.client_order_id)

    def cancel(self, id: str) -> None:
        """Ask for a cancel until there is a final answer."""
        if id in self.orders and id not in self.cancels:
            self.cancels[id] = ""
            self._pursue("cancel", id)

    def _pursue(self, what: str, id: str) -> None:
        told = self.answers if what == "order" else self.cancels
        if told.get(id):
            return
        api = self.processes["api"]
        if api is not None and (what, id) not in self._asked.values():
            number = next(self._requests)
            self._asked[number] = (what, id)
            ask = Place(self.orders[id]) if what == "order" else Cancel(id)
            self.feed(api, Requested(self.wall, number, ask))
        self.at(self.now + SECOND, lambda: self._pursue(what, id))

    def _replied(self, number: int, status: int, body: dict[str, Any]) -> None:
        what, id = self._asked.pop(number, ("", ""))
        if what == "cancel" and status in (200, 404, 409):
            self.cancels[id] = {200: "canceled", 404: "not_found", 409: "gone"}[status]
        if what == "order":
            final = {201: "accepted", 409: "conflict", 422: "refused"}.get(status)
            if status == 503 and body["code"] in ("not_recorded", "withdrawn"):
                final = "unavailable"
            if final is not None:
                assert self.answers.setdefault(id, final) == final, f"{id}: two final answers"
