"""What lies between the engine and the exchange: WebSockets that drop, calls that get no answer."""

import json
from typing import TYPE_CHECKING, Any

from actors.gateway.desk import CallAnswered, CallFailed
from actors.gateway.halt import STOPPED
from actors.stream.wire import (
    FramesReceived,
    Link,
    OpenFailed,
    PingReceived,
    SocketClosed,
    SocketOpened,
)
from protocol.kalshi.calls import ORDERS_PATH, Call
from protocol.limits import ABSENCE_AFTER, MS, SECOND
from tests.simulation.exchange import Connection
from tests.simulation.rates import budget_of, cost_of

if TYPE_CHECKING:
    from tests.simulation.world import Process, World

PING_INTERVAL = 10 * SECOND  # FACTS.md section 4.1
LATE_MAX = ABSENCE_AFTER - MS  # a lost call may land so long after it left, and no later
TAKEN = 409, b'{"error":{"code":"order_already_exists","message":"exists"}}'

Answer = tuple[int, bytes] | None


class Wire:
    def __init__(self, world: "World") -> None:
        self._world = world
        self._sockets: dict[str, tuple[Process, Connection]] = {}

    # Sockets

    def open(self, process: "Process", link: Link) -> None:
        self._world.at(self._world.now + 5 * MS, lambda: self._connect(process, link))

    def _connect(self, process: "Process", link: Link) -> None:
        world = self._world
        if world.processes["stream"] is not process:
            return
        if world.dice.random() < world.faults.socket_drop * 5:
            world.feed(process, OpenFailed(world.wall, link, 503, "refused"))
            return

        def deliver(frame: dict[str, Any]) -> None:
            raw = json.dumps(frame).encode()
            when = world.bus.arrival("exchange", link, str(process.life))
            world.at(when, lambda: self._frame(process, link, connection, raw))

        connection = world.exchange.opened(link, deliver)
        self._sockets[link] = (process, connection)
        world.at(world.now + PING_INTERVAL, lambda: self._ping(process, link, connection))
        world.feed(process, SocketOpened(world.wall, link))

    def _holds(self, link: str, connection: Connection) -> bool:
        held = self._sockets.get(link)
        return held is not None and held[1] is connection

    def _frame(self, process: "Process", link: Link, connection: Connection, raw: bytes) -> None:
        if self._holds(link, connection):
            self._world.feed(process, FramesReceived(self._world.wall, link, [raw]))

    def _ping(self, process: "Process", link: Link, connection: Connection) -> None:
        world = self._world
        if self._holds(link, connection):
            world.feed(process, PingReceived(world.wall, link))
            world.at(world.now + PING_INTERVAL, lambda: self._ping(process, link, connection))

    def send(self, process: "Process", link: Link, raw: bytes) -> None:
        held = self._sockets.get(link)
        if held is not None and held[0] is process:
            self._world.at(self._world.now + MS, lambda: self._command(link, held[1], raw))

    def _command(self, link: str, connection: Connection, raw: bytes) -> None:
        if self._holds(link, connection):
            self._world.exchange.command(connection, raw)

    def close(self, process: "Process", link: Link) -> None:
        self.hang_up(link)
        world = self._world
        closed = SocketClosed(world.wall, link, "closed by us")
        world.at(world.now + 5 * MS, lambda: world.feed(process, closed))

    def hang_up(self, link: str) -> None:
        self._sockets.pop(link, None)
        self._world.exchange.connections.pop(link, None)

    def hang_up_all(self) -> None:
        """The process at the other end is dead."""
        for link in list(self._sockets):
            self.hang_up(link)

    def drop(self, link: Link) -> None:
        """The connection breaks."""
        held = self._sockets.get(link)
        self.hang_up(link)
        if held is not None:
            self._world.feed_later(held[0], SocketClosed(self._world.wall, link, "1006"))

    # Calls

    def call(self, process: "Process", id: int, call: Call) -> None:
        """Sign a call and send it, once. The latch is looked at before an order leaves."""
        world, faults, dice = self._world, self._world.faults, self._world.dice
        why = self._stopped() if call.method == "POST" else ""
        if why:
            world.feed_later(process, CallFailed(world.wall, id, f"{STOPPED}{why}", False))
            return
        there, back = self.delay(), dice.randint(1, faults.call_delay_max)
        fate = self._fate(call)
        if fate == "lost before" and dice.random() < 0.5:
            failed = CallFailed(world.wall, id, "no answer", False)
            world.at(world.now + there, lambda: world.feed(process, failed))
            return
        self._note(process, call)
        signed_at = world.wall
        late = world.now + there
        if fate == "lost at last" or (
            fate == "lost after" and dice.random() < faults.call_lost_late
        ):
            soonest = LATE_MAX - SECOND
            if fate == "lost after":
                soonest = dice.choice((there, soonest))
            fate = "lost after"
            late = world.now + dice.randint(soonest, LATE_MAX)
            world.happened["a lost call landed late"] += 1

        def arrive() -> None:
            answer = world.exchange.arrive(call, signed_at)
            if answer is None and fate == "lost after":
                world.at(late, lambda: world.exchange.call(call))
            if answer is None and fate == "fails" and dice.random() < 0.5:
                world.exchange.call(call)
            if answer is None and not fate:
                answer = world.exchange.call(call)
            if answer is not None and answer[0] == 201 and dice.random() < faults.call_doubled:
                answer = TAKEN
            if fate == "fails":
                answer = 503, b"<html>busy</html>"
            if fate == "lost after":
                answer = None
            world.at(world.now + back, lambda: self._end(process, id, call, answer))

        if fate == "lost before":
            world.at(world.now + there, lambda: self._end(process, id, call, None))
        else:
            world.at(world.now + there, arrive)

    def delay(self) -> int:
        """How long what leaves now is on its way to the exchange."""
        return self._world.dice.randint(1, self._world.faults.call_delay_max)

    def _stopped(self) -> str:
        """Why no order may leave: the wire looks at the latch right before the first byte."""
        return self._world.disk.halt

    def _fate(self, call: Call) -> str:
        """What befalls a call; "" if it is answered."""
        faults, dice = self._world.faults, self._world.dice
        if call.method == "POST" and faults.creates_lost and dice.random() < faults.creates_lost:
            return "lost at last"
        roll = dice.random()
        if roll < faults.call_lost_before:
            return "lost before"
        if roll < faults.call_lost_before + faults.call_lost_after:
            return "lost after"
        return "fails" if dice.random() < faults.call_fails else ""

    def _end(self, process: "Process", id: int, call: Call, answer: Answer) -> None:
        world = self._world
        if answer is None:
            world.feed(process, CallFailed(world.wall, id, "no answer", True))
            return
        status, body = answer
        told_limits = call.path == "/account/limits" and status == 200
        if told_limits and world.processes["gateway"] is process:
            world.exchange.rates.answered(int(json.loads(body)["usage_tier"]))
        world.feed(process, CallAnswered(world.wall, id, status, body))

    def _note(self, process: "Process", call: Call) -> None:
        """A byte of it leaves. Only the word NEW, heard in this very life, lets an order go."""
        if not call.writes:
            return
        what, name = "cancel", call.path.rpartition("/")[2]
        new = True
        if call.method == "POST":
            what, name = "create", json.loads(call.body)["client_order_id"]
            new = self._world.bus.released.get(f"intent:{name}") == process.life
        elif call.path == ORDERS_PATH:
            what, name = "cancel all", ""
        budget, cost = budget_of(call), cost_of(call)
        world = self._world
        world.log(
            "left", name, call=what, new=new, budget=budget, cost=cost, excused=world.clock_jumps
        )
