"""The WebSockets between the stream and the exchange: slow, late, cut, or dead without a word.

Nothing overtakes on one of them: frames, pings and pongs arrive in the order in which they left.
"""

import json
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from actors.stream.wire import (
    FramesReceived,
    Link,
    OpenFailed,
    PingReceived,
    PongReceived,
    SocketClosed,
    SocketOpened,
)
from protocol.limits import MS, SECOND, US
from protocol.machine import Cause
from tests.simulation.exchange import SIGNED_MAX
from tests.simulation.feed import Connection, Frame
from tests.simulation.judge import Judge

if TYPE_CHECKING:
    from tests.simulation.world import Process, World

PING_INTERVAL = 10 * SECOND  # FACTS.md section 4.1
FOR_GOOD = 3_600 * SECOND
TAKEN_LATE_MAX = 5 * MS  # our side takes what is there so late, and then all of it at once

Thing = bytes | int | None  # a frame, the number of a pong, or a ping


class Socket:
    """One connection, from its opening to its end."""

    def __init__(self, process: "Process", link: Link) -> None:
        self.process = process
        self.link = link
        self.connection: Connection
        self.judge: Judge
        self.dead_until = 0  # nothing passes, either way, before this
        self.slow = 0  # what leaves now is on its way for so much longer
        self.coming: deque[tuple[int, Thing, Frame]] = deque()  # by when it is there


class Sockets:
    """Those that are open, by link."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self._open: dict[str, Socket] = {}
        self.slow_from_the_first = 0  # new ones are, by so much

    # Their life

    def open(self, process: "Process", link: Link) -> None:
        self._world.at(self._world.now + 5 * MS, lambda: self._connect(process, link))

    def _connect(self, process: "Process", link: Link) -> None:
        world = self._world
        if world.processes["stream"] is not process:
            return
        date = world.clock // 1_000_000 * 1_000_000 if world.faults.says_date else 0
        # A handshake that is signed by a clock so wrong is refused. It is no 401 here: three of
        # those make the stream wait for five minutes, which is longer than the day.
        signed = abs(world.wrong_by) <= SIGNED_MAX
        if not signed or world.dice.random() < world.faults.socket_drop * 5:
            world.feed(process, OpenFailed(world.wall, link, 503, "refused", date))
            return
        socket = Socket(process, link)
        socket.slow = self.slow_from_the_first

        def deliver(frame: Frame) -> None:
            self._comes(socket, json.dumps(frame).encode(), frame)

        self._open[link] = socket
        socket.connection = world.exchange.feed.opened(link, deliver)
        socket.judge = Judge(world, link)
        world.at(world.now + PING_INTERVAL, lambda: self._ping(socket))
        world.feed(process, SocketOpened(world.wall, link, date))

    def close(self, process: "Process", link: Link) -> None:
        if link in self._open:
            self._open[link].judge.closed()
        self.hang_up(link)
        world = self._world
        closed = SocketClosed(world.wall, link, "closed by us")
        world.at(world.now + 5 * MS, lambda: world.feed(process, closed))

    def hang_up(self, link: str) -> None:
        self._open.pop(link, None)
        self._world.exchange.feed.connections.pop(link, None)

    def hang_up_all(self) -> None:
        """The process at the other end is dead."""
        for link in list(self._open):
            self.hang_up(link)
        self._world.seen("dead", "")

    def drop(self, link: Link) -> None:
        """The connection breaks."""
        socket = self._open.get(link)
        self.hang_up(link)
        if socket is not None:
            self._world.at(self._world.now + MS, lambda: self._dropped(socket))

    def _dropped(self, socket: Socket) -> None:
        if self._stopped(socket, lambda: self._dropped(socket)):
            return
        closed = SocketClosed(self._world.wall, socket.link, "1006")
        socket.judge.closed()
        self._world.feed(socket.process, closed)

    # What comes

    def _comes(self, socket: Socket, thing: Thing, frame: Frame) -> None:
        """It leaves the exchange. Who is dead to us for a while sends it all after that."""
        world = self._world
        when = world.now + world.dice.randint(0, world.faults.bus_delay_max) + socket.slow
        before = socket.coming[-1][0] if socket.coming else 0
        socket.coming.append((max(when, socket.dead_until, before), thing, frame))
        late = world.dice.randint(0, TAKEN_LATE_MAX) if world.dice.random() < 0.5 else 0
        world.at(socket.coming[-1][0] + late, lambda: self._take(socket))

    def _take(self, socket: Socket) -> None:
        """Whatever is there by now."""
        if self._stopped(socket, lambda: self._take(socket)):
            return
        frames: list[tuple[int, bytes, Frame]] = []
        while socket.coming and socket.coming[0][0] <= self._world.now:
            if self._open.get(socket.link) is not socket:
                return
            when, thing, frame = socket.coming.popleft()
            if isinstance(thing, bytes):
                frames.append((when, thing, frame))
                continue
            self._frames(socket, frames)
            frames = []
            wall, link = self._world.wall, socket.link
            sign: Cause = PingReceived(wall, link)
            if thing is not None:
                sign = PongReceived(wall, link, thing)
            self._world.feed(socket.process, sign)
        self._frames(socket, frames)

    def _stopped(self, socket: Socket, what: Callable[[], None]) -> bool:
        """Whether the process does not run: then this is for later."""
        until = socket.process.stopped_until
        if self._world.now < until:
            self._world.at(until, what)
        return self._world.now < until

    def _frames(self, socket: Socket, frames: list[tuple[int, bytes, Frame]]) -> None:
        world = self._world
        if not frames or self._open.get(socket.link) is not socket:
            return
        # What waits while the process is stopped waits in the kernel, and nobody knows how long.
        waited = world.now - max(frames[0][0], socket.process.stopped_until)
        raws = [raw for _, raw, _ in frames]
        for _, _, frame in frames:
            socket.judge.takes(frame)
        socket.judge.taken()
        taken = FramesReceived(world.wall - waited // US, socket.link, raws, waited)
        world.feed(socket.process, taken)

    def _ping(self, socket: Socket) -> None:
        if self._open.get(socket.link) is socket:
            self._comes(socket, None, {})
            self._world.at(self._world.now + PING_INTERVAL, lambda: self._ping(socket))

    # What goes

    def send(self, process: "Process", link: Link, raw: bytes) -> None:
        self._goes(process, link, lambda s: self._world.exchange.feed.command(s.connection, raw))

    def ping(self, process: "Process", link: Link, number: int) -> None:
        self._goes(process, link, lambda socket: self._comes(socket, number, {}))

    def _goes(self, process: "Process", link: Link, what: Any) -> None:
        socket = self._open.get(link)
        if socket is None or socket.process is not process:
            return
        when = max(self._world.now + MS, socket.dead_until)

        def arrive() -> None:
            if self._open.get(link) is socket:
                what(socket)

        self._world.at(when, arrive)

    # Troubles

    def swallow(self, link: str, lasts: int) -> None:
        """Nothing passes on a link for a while: the connection is there, and both sides wait."""
        socket = self._open.get(link)
        if socket is not None:
            socket.dead_until = max(socket.dead_until, self._world.now + lasts)
            self._world.happened["a link was a black hole"] += 1

    def slow_down(self, link: str, by: int, lasts: int) -> None:
        """What leaves on a link for a while comes late, in order."""
        socket = self._open.get(link)
        if socket is None:
            return
        socket.slow = by
        self._world.happened["data was late"] += 1

        def over() -> None:
            socket.slow = 0

        self._world.at(self._world.now + lasts, over)

    @property
    def links(self) -> list[str]:
        return sorted(self._open)
