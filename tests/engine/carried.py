"""One connection that the proxy carries: both of its ways, what it said, how it ended."""

import asyncio
import contextlib
import heapq
import itertools
import socket
import struct
import time
from collections import deque
from collections.abc import Callable
from email.utils import formatdate
from enum import Enum
from typing import Any, Final

from tests.engine.armed import Faults
from tests.engine.framing import PING, TEXT, Frame, Splitter, text
from tests.engine.mischief import Break, Misdate, Refuse, Unanswered, Way

CHUNK: Final = 256 * 1024
WAITING_MAX: Final = 16 * 1024 * 1024  # bytes on one way; beyond it TCP holds the sender back
COMMANDS_KEPT: Final = 1_000
RESET: Final = struct.pack("ii", 1, 0)  # SO_LINGER: what is closed is reset
PACE: Final = 0.02  # seconds between two pieces on a slow line


class End(Enum):
    """How a sender has ended."""

    CLOSED = 1
    RESET = 2


class Carried:
    """A connection by its number. Times are monotonic seconds."""

    def __init__(self, number: int, faults: Faults, tell: Callable[[], None]) -> None:
        self.number = number
        self.channels: set[str] = set()  # that it has asked for
        self.sids: dict[str, int] = {}  # by channel, as the exchange has named them
        self.commands: deque[dict[str, Any]] = deque(maxlen=COMMANDS_KEPT)
        self.open = True
        self.opened_at = time.monotonic()
        self.left_at: float | None = None  # when the engine ended it
        self.frames = {"up": 0, "down": 0}
        self.faults = faults
        self._tell = tell
        self._writers: list[asyncio.StreamWriter] = []

    async def carry(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int
    ) -> None:
        """From the handshake to the end."""
        self._writers.append(writer)
        try:
            splitter = Splitter()
            while (request := splitter.head(await _some(reader))) is None:
                continue
            await self._talk(reader, writer, request, splitter, port)
        except (ConnectionError, EOFError):
            return  # it is over, one way or the other; whoever is left notices
        finally:
            self.open = False
            for one in self._writers:
                one.close()
            self._tell()

    def cut(self, reset: bool) -> None:
        """End it at both ends."""
        for writer in self._writers:
            if reset and not writer.is_closing():
                found: socket.socket = writer.get_extra_info("socket")
                found.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                writer.transport.abort()
            else:
                writer.close()

    def left(self) -> None:
        """The engine has ended it."""
        self.left_at = self.left_at or time.monotonic()
        self._tell()

    def passes(self, way: Way, frame: Frame) -> list[bytes] | Break:
        """What a frame becomes, as bytes on the wire."""
        self.frames[way] += 1
        self._read(way, frame)
        fate = self.faults.fate(self, way, frame)
        self._tell()
        if fate is None:
            return [frame.raw]
        return fate if isinstance(fate, Break) else [text(payload) for payload in fate]

    async def _talk(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        request: bytes,
        splitter: Splitter,
        port: int,
    ) -> None:
        fault = self.faults.handshake(self)
        self._tell()
        if isinstance(fault, Refuse):
            writer.write(_refusal(fault))
            await writer.drain()
            return
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", port)
        self._writers.append(far_writer)
        up = Lane(self, "up", reader, far_writer)
        down = Lane(self, "down", far_reader, writer)
        up.begin(_plain(request), splitter)
        if isinstance(fault, Unanswered):
            down.deaf = True
        if isinstance(fault, Misdate):
            down.date = _date(fault.clock_off_s)
        async with asyncio.TaskGroup() as tasks:
            for work in (up.read, up.write, down.read, down.write):
                tasks.create_task(work())

    def _read(self, way: Way, frame: Frame) -> None:
        if frame.opcode != TEXT:
            return
        if way == "up":
            command = frame.of
            self.commands.append(command)
            if command.get("cmd") == "subscribe":
                self.channels.update(command["params"]["channels"])
        elif b'"subscribed"' in frame.payload[:200]:
            said = frame.of["msg"]
            self.sids[said["channel"]] = said["sid"]


class Lane:
    """One way of a connection: what is read, altered, waits for its time, and is written."""

    def __init__(
        self,
        line: Carried,
        way: Way,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        self.deaf = False  # what is read goes nowhere
        self.date: bytes | None = None  # of the handshake's answer, instead of its own
        self._line = line
        self._way: Way = way
        self._reader = reader
        self._writer = writer
        self._splitter: Splitter | None = Splitter()
        self._head = True
        self._order = itertools.count()
        self._heap: list[tuple[float, int, bytes | Break | End]] = []
        self._waiting = 0
        self._last_due = 0.0  # of data: none overtakes another
        self._look = asyncio.Event()
        self._room = asyncio.Event()

    def begin(self, head: bytes, splitter: Splitter) -> None:
        """The head has been read already; what came with it is in the splitter."""
        self._head = False
        self._splitter = splitter
        self._put(head)
        self._take(b"")

    async def read(self) -> None:
        """Until the sender has ended."""
        end = End.CLOSED
        try:
            while data := await self._reader.read(CHUNK):
                if self.deaf:
                    continue
                self._take(data)
                while self._waiting > WAITING_MAX:
                    self._room.clear()
                    await self._room.wait()
        except ConnectionError:
            end = End.RESET
        if self._way == "up":
            self._line.left()
        if self._splitter is not None:
            self._put(self._splitter.rest())
        self._put(end)

    async def write(self) -> None:
        """All that has been read, when it is its time."""
        self._line.faults.waiting.add(self._look)
        try:
            while not isinstance(piece := await self._next(), End):
                if isinstance(piece, Break):
                    self._line.cut(reset=True)
                    return
                await self._push(piece)
            if piece is End.RESET:
                self._line.cut(reset=True)
            self._writer.close()
        except ConnectionError:
            return  # the other way has been told by its reader
        finally:
            self._line.faults.waiting.discard(self._look)

    def _take(self, data: bytes) -> None:
        if self._splitter is None:
            self._put(data)
            return
        if self._head:
            head = self._splitter.head(data)
            if head is None:
                return
            self._head = False
            if self.date is not None:
                head = _dated(head, self.date)
            self._put(head)
            if b" 101 " not in head.split(b"\r\n", 1)[0]:
                self._put(self._splitter.rest())
                self._splitter = None  # a refusal of the exchange's own
                return
            data = b""
        for frame in self._splitter.frames(data):
            self._pass(frame)

    def _pass(self, frame: Frame) -> None:
        pieces = self._line.passes(self._way, frame)
        control = frame.opcode >= PING
        if isinstance(pieces, Break):
            self._put(frame.raw[: max(len(frame.raw) // 2, 1)])
            self._put(pieces)
            return
        for piece in pieces:
            self._put(piece, control)

    def _put(self, piece: bytes | Break | End, control: bool = False) -> None:
        late = self._line.faults.lateness(self._line, self._way, control)
        due = time.monotonic() + late
        if not control:
            due = self._last_due = max(due, self._last_due)
        heapq.heappush(self._heap, (due, next(self._order), piece))
        self._waiting += len(piece) if isinstance(piece, bytes) else 0
        self._look.set()

    async def _next(self) -> bytes | Break | End:
        while True:
            self._look.clear()
            now = time.monotonic()
            until = self._line.faults.hole(self._line, self._way)
            if until is None and self._heap:
                due, _, piece = self._heap[0]
                if due <= now:
                    heapq.heappop(self._heap)
                    self._waiting -= len(piece) if isinstance(piece, bytes) else 0
                    self._room.set()
                    return piece
                until = due
            seconds = None if until is None or until == float("inf") else until - now
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._look.wait(), seconds)

    async def _push(self, piece: bytes) -> None:
        while piece:
            rate = self._line.faults.rate(self._line, self._way)
            now = piece if rate is None else piece[: max(int(rate * PACE), 1)]
            self._writer.write(now)
            await self._writer.drain()
            piece = piece[len(now) :]
            if rate is not None:
                await asyncio.sleep(len(now) / rate)


async def _some(reader: asyncio.StreamReader) -> bytes:
    data = await reader.read(CHUNK)
    if not data:
        raise EOFError
    return data


def _plain(request: bytes) -> bytes:
    """Without extensions: what is deflated can't be read here."""
    lines = request.split(b"\r\n")
    return b"\r\n".join(
        line for line in lines if not line.lower().startswith(b"sec-websocket-extensions:")
    )


def _dated(head: bytes, date: bytes) -> bytes:
    first, *lines = head.split(b"\r\n")
    others = [line for line in lines if not line.lower().startswith(b"date:")]
    return b"\r\n".join([first, date, *others])


def _date(clock_off_s: float) -> bytes:
    return b"Date: " + formatdate(time.time() + clock_off_s, usegmt=True).encode()


def _refusal(fault: Refuse) -> bytes:
    lines = [
        b"HTTP/1.1 %d Refused" % fault.status,
        b"Content-Type: application/json",
        b"Content-Length: %d" % len(fault.body),
        b"Connection: close",
    ]
    if fault.clock_off_s is not None:
        lines.append(_date(fault.clock_off_s))
    return b"\r\n".join([*lines, b"", fault.body])
