"""What lies between the engine and the exchange: WebSockets that drop, calls that get no answer."""

import json
from typing import TYPE_CHECKING, Any

from actors.gateway.desk import CallAnswered, CallFailed
from actors.stream.wire import (
    FrameReceived,
    Link,
    OpenFailed,
    PingReceived,
    SocketClosed,
    SocketOpened,
)
from protocol.kalshi.calls import Call
from protocol.limits import MS, SECOND
from tests.simulation.exchange import ANSWER_MAX, LATE_MAX, Connection

if TYPE_CHECKING:
    from tests.simulation.world import Process, World

PING_INTERVAL = 10 * SECOND  # FACTS.md section 4.1


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
            self._world.feed(process, FrameReceived(self._world.wall, link, raw))

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
        world, faults = self._world, self._world.faults
        self._check_released(process, call)
        roll = world.dice.random()
        there, back = (world.dice.randint(1, ANSWER_MAX) for _ in range(2))
        if roll < faults.call_lost_before:
            unsent = world.dice.random() < 0.5
            failed = CallFailed(world.wall, id, "no answer", not unsent)
            world.at(world.now + there, lambda: world.feed(process, failed))
            return
        if roll < faults.call_lost_before + faults.call_lost_after:
            late = world.dice.randint(0, LATE_MAX) if world.dice.random() < 0.3 else there
            world.at(world.now + late, lambda: world.exchange.call(call))
            failed = CallFailed(world.wall, id, "timeout", True)
            world.at(world.now + there + back, lambda: world.feed(process, failed))
            return
        if world.dice.random() < faults.call_fails:
            if world.dice.random() < 0.5:
                world.at(world.now + there, lambda: world.exchange.call(call))
            answer = CallAnswered(world.wall, id, 503, b"<html>busy</html>")
            world.at(world.now + there + back, lambda: world.feed(process, answer))
            return

        def arrive() -> None:
            status, body = world.exchange.call(call)
            answered = CallAnswered(world.wall, id, status, body)
            world.at(world.now + back, lambda: world.feed(process, answered))

        world.at(world.now + there, arrive)

    def _check_released(self, process: "Process", call: Call) -> None:
        """Only the word NEW, heard in this very life, lets an order go; a halt holds it back."""
        if call.method == "POST":
            assert not self._world.disk.halt, "an order leaves while trading is halted"
            id = json.loads(call.body)["client_order_id"]
            heard = self._world.bus.released.get(f"intent:{id}")
            assert heard == process.life, f"{id} is sent by a life that was not told NEW"
