"""The whole engine in one thread, on one clock, from one seed.

Every process here is the production core, and the ledger is the production store. What is
simulated is what they can't see: the bus, the clocks, the exchange, the disk, a trader, and the
process itself, which may die at any moment and come back with a new epoch.
"""

import collections
import hashlib
import heapq
import itertools
import json
import random
from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from actors.api.books import Listen as ListenToBook
from actors.api.core import Api
from actors.api.keyed import Begin, Drop, Keep
from actors.api.replies import Reply
from actors.gateway.books import Listen
from actors.gateway.core import Gateway
from actors.gateway.desk import MakeCall
from actors.gateway.halt import SaveHalt
from actors.rehydrator.core import AuditPage, LoadAccount, ReadEvidence, Rehydrator
from actors.stream.core import Stream
from actors.stream.wire import (
    CloseSocket,
    FollowSaved,
    Listened,
    OpenSocket,
    SaveFollow,
    SendFrame,
    SendPing,
)
from actors.writer.core import Writer
from actors.writer.wire import (
    Checkpoint,
    CloseStore,
    Commit,
    OpenStore,
    ReadEntries,
    TellAside,
)
from protocol.brakes import WIDE, Limits
from protocol.limits import DRAIN_MAX, MS, SECOND, US
from protocol.machine import (
    Answer,
    Cause,
    Core,
    Effect,
    Elapsed,
    Finish,
    Publish,
    Report,
    Started,
    Stopping,
    Tell,
)
from protocol.pulse import Identity
from protocol.units import DOLLAR, Money, Price
from supervisor.core import Declare, Supervisor
from tests.actors.api.keyed_world import Disk
from tests.simulation import answers, latch
from tests.simulation.bus import Bus
from tests.simulation.client import Client, Trader
from tests.simulation.disk import fresh_disk
from tests.simulation.exchange import Exchange
from tests.simulation.faults import Faults
from tests.simulation.keepers import Keeper, Reader
from tests.simulation.log import Event, Moment, Sight, What
from tests.simulation.outsiders import Operator, Outsider, Program
from tests.simulation.readers import Attached, Desk
from tests.simulation.sockets import Sockets
from tests.simulation.taps import RAW, Recording, Verifier
from tests.simulation.wire import Wire

NAMES = ("supervisor", "writer", "rehydrator", "gateway", "stream", "api", "trader")
TICKERS_A_CONNECTION = 2  # so that market data comes by several
Saved = tuple[tuple[str, ...], tuple[str, ...]]  # added to what is followed, and removed from it
WALL_START = 1_790_000_000_000_000


def draw_limits(dice: random.Random) -> Limits:
    """The brakes of a day: on some days so tight that they matter, on some as good as none."""
    if dice.random() < 0.7:
        return replace(WIDE, fresh_book=dice.random() < 0.3)
    market, factor = dice.randint(6, 25), dice.choice((1, 2))
    return replace(
        WIDE,
        market_exposure=Money(market * DOLLAR),
        event_exposure=Money(market * DOLLAR),
        account_exposure=Money(market * factor * DOLLAR),
        open_orders=dice.choice((10, 1_000)),
        orders_a_second=dice.choice((5, 500)),
        same_order_ms=dice.choice((0, 2_000)),
        price_band=Price(dice.choice((20, 100, 100)) * DOLLAR // 100),
        fresh_book=dice.random() < 0.5,
    )


class Process:
    """One life of one actor, and what does its work on the disk, if it has any."""

    def __init__(self, name: str, core: Core, life: int) -> None:
        self.name = name
        self.core = core
        self.life = life
        self.disk: Keeper | Reader | None = None
        self.latch: latch.Keeper | None = None
        self.answers: answers.Keeper | None = None
        self.wakes_at: int | None = None
        self.stopped_until = 0


class World:
    def __init__(
        self,
        seed: int,
        faults: Faults | None = None,
        traced: bool = False,
        follow: tuple[str, ...] = ("*",),
        taps: bool | None = None,
        limits: Limits | None = None,
    ) -> None:
        self.now = SECOND
        self.dice = random.Random(f"{seed}/world")
        self.faults = faults or Faults.draw(random.Random(f"{seed}/faults"), seed % 2 == 0)
        self.limits = limits or draw_limits(random.Random(f"{seed}/limits"))
        self.traced = traced
        self.trace = hashlib.sha256()
        self.happened: collections.Counter[str] = collections.Counter()
        self.events: list[Event] = []
        self.moments: list[Moment] = []
        self.unsettled = False  # the stream has been given what makes books no good
        self.clock_jumps = self.faults.clock_jumps > 0  # on some moment of this day
        self.wrong_by = 0  # of the host's wall clock, microseconds
        self.set_back = False  # it was, some time on this day
        self.disk = fresh_disk()
        self.answers = Disk()
        self.bus = Bus(self)
        self.wire = Wire(self)
        self.sockets = Sockets(self)
        self.client = Client(self)
        self.declared: Declare | None = None
        self.follow = follow
        self.saved: Saved = ((), ())
        self.reports: list[str] = []
        self.on_death: Callable[[str], None] = lambda name: None
        self._heap: list[tuple[int, int, Callable[[], None]]] = []
        self._ticks = itertools.count()
        self._lives = itertools.count(1)
        self.exchange = Exchange(self, random.Random(f"{seed}/exchange"))
        self.operator, self.program = Operator(self), Program(self)
        self.desk, self.attached = Desk(self), Attached(self, "attached")
        self.outsiders: dict[str, Outsider] = {
            "operator": self.operator,
            "program": self.program,
            self.attached.name: self.attached,
        }
        self.verifier: Verifier | None = None
        self.recording: Recording | None = None
        if self.faults.tap_loss > 0 if taps is None else taps:
            self.verifier, self.recording = Verifier(self), Recording(self)
            self.outsiders[self.recording.name] = self.recording
        self.processes: dict[str, Process | None] = dict.fromkeys(NAMES)
        for name in NAMES:
            self.start(name)

    @property
    def clock(self) -> int:
        """The right time, microseconds, which the exchange has."""
        return WALL_START + self.now // US

    @property
    def wall(self) -> int:
        """What the engine's host takes for it."""
        return self.clock + self.wrong_by

    @property
    def trader(self) -> Trader | None:
        process = self.processes["trader"]
        return process.core if process is not None and isinstance(process.core, Trader) else None

    def log(self, what: What, id: str = "", **more: Any) -> None:
        self.events.append(Event(self.now, what, id, **more))

    def seen(self, what: Sight, ticker: str, **more: Any) -> None:
        self.moments.append(Moment(self.now, what, ticker, **more))

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
        if name == "writer":
            process.disk = Keeper(self, process)
        if name == "rehydrator":
            process.disk = Reader(self, process)
        if name == "gateway":
            process.latch = latch.Keeper(self, process)
        if name == "api":
            process.answers = answers.Keeper(self, process)
        self.processes[name] = process
        self.feed(process, Started(self.wall))
        if name == "stream" and self.recording is not None:
            self.feed(process, Listened(self.wall, RAW, True))

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
                return Gateway(identity, self.now, dice, self.disk.latch, self.limits)
            case "api":
                self.client.hung_up()
                return Api(identity)
            case "stream":
                return Stream(identity, self.follow, dice, *self.saved, 4, TICKERS_A_CONNECTION)
            case _:
                return Trader(identity.epoch, lambda: self.exchange.markets.tickers)

    def crash(self, name: str) -> None:
        """Kill a process; its runner starts it again."""
        process = self.processes[name]
        if process is None:
            return
        self.processes[name] = None
        if name == "stream":
            self.sockets.hang_up_all()
        if process.disk is not None:
            process.disk.end()
        self.on_death(name)
        delay = self.dice.randint(100, 3_000) * MS
        self.at(self.now + delay, lambda: self.start(name))

    def stop(self, name: str) -> None:
        """Ask a process to stop, and kill it if it takes too long."""
        process = self.processes[name]
        if process is None:
            return
        self.feed(process, Stopping(self.wall))

        def kill() -> None:
            if self.processes[name] is process:
                self.crash(name)

        self.at(self.now + DRAIN_MAX, kill)

    def feed(self, process: Process | None, cause: Cause) -> None:
        if process is None or self.processes[process.name] is not process:
            return  # it died while this was on its way
        if self.now < process.stopped_until:
            self.at(process.stopped_until, lambda: self._feed_late(process, cause))
            return
        self._note(process.name, cause)
        for effect in process.core.step(self.now, cause):
            if self.processes[process.name] is process:
                self._note(process.name, effect)
                self._perform(process, effect)
        if self.unsettled and process.name == "stream":
            self.unsettled = False
            self.seen("settled", "")
        deadline = process.core.deadline()
        if deadline is not None and deadline != process.wakes_at:
            process.wakes_at = max(deadline, self.now)
            self.at(process.wakes_at, lambda at=process.wakes_at: self._wake(process, at))

    def _feed_late(self, process: Process, cause: Cause) -> None:
        """It has waited for a process that did not run, and is taken only now."""
        self.feed(process, replace(cause, at=self.wall))

    def freeze(self, name: str, lasts: int) -> None:
        """A process does not run for a while, and does not know (SIGSTOP)."""
        process = self.processes[name]
        if process is not None:
            process.stopped_until = max(process.stopped_until, self.now + lasts)
            self.happened[f"the {name} was stopped for a while"] += 1

    def feed_later(self, process: Process, cause: Cause) -> None:
        self.at(self.now + MS, lambda: self.feed(process, cause))

    def _wake(self, process: Process, at: int) -> None:
        if process.wakes_at == at:
            process.wakes_at = None
        deadline = process.core.deadline()
        if deadline is not None and deadline <= self.now:
            self.feed(process, Elapsed(self.wall))

    def _note(self, name: str, what: Cause | Effect) -> None:
        if self.traced:
            self.trace.update(f"{self.now} {name} {what!r}\n".encode())

    # Effects

    def _perform(self, process: Process, effect: Effect) -> None:
        match effect:
            case Publish(envelope):
                self.bus.publish(process, envelope)
            case Tell(peer, letter):
                self.bus.tell(process, peer, letter)
            case Answer(sender, letter):
                self.bus.answer(process, sender, letter)
            case Report(text):
                self.reports.append(text)
            case Finish():
                self.crash(process.name)
            case Declare():
                self.declared = effect
            case Reply(id, status, body):
                self.client.replied(id, status, json.loads(body))
            case OpenStore() | Commit() | ReadEntries() | TellAside() | Checkpoint() | CloseStore():
                assert isinstance(process.disk, Keeper)
                process.disk.perform(effect)
            case LoadAccount() | AuditPage() | ReadEvidence():
                assert isinstance(process.disk, Reader)
                process.disk.perform(effect)
            case MakeCall(id, call, passed):
                self.wire.call(process, id, call, passed)
            case Listen(prefix, on) | ListenToBook(prefix, on):
                self.bus.listen(process, prefix, on)
            case SaveHalt():
                assert process.latch is not None
                process.latch.save(effect)
            case Begin() | Keep() | Drop():
                assert process.answers is not None
                process.answers.perform(effect)
            case OpenSocket(link):
                self.sockets.open(process, link)
            case SendFrame(link, raw):
                self.sockets.send(process, link, raw)
            case SendPing(link, number):
                self.sockets.ping(process, link, number)
            case CloseSocket(link):
                self.sockets.close(process, link)
            case SaveFollow(number, added, removed):
                self._save_follow(process, number, (added, removed))
            case _:
                raise AssertionError(effect)

    def _save_follow(self, process: Process, number: int, follow: Saved) -> None:
        """On disk in a moment, unless the disk is full."""
        full = self.dice.random() < self.faults.latch_fails
        if not full:
            self.saved = follow
        trouble = "the disk is full" if full else ""
        self.feed_later(process, FollowSaved(self.wall, number, trouble))

    def is_recorded(self, id: str) -> bool:
        """Whether the intent of an order is on disk."""
        return self.on_record(f"intent:{id}")

    def on_record(self, id: str) -> bool:
        """Whether there is an entry of this id on disk."""
        return bool(self.disk.select("SELECT n FROM entries WHERE id = ?", id))
