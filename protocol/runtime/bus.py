"""The ZeroMQ sockets of one process. The only file that opens one.

A plain socket's descriptor hangs in the event loop and is drained without waiting; `zmq.asyncio`
costs about 20 times as much per message. Published messages are one frame. Letters go from DEALER
to ROUTER as one frame, behind an empty delimiter if the asker is a REQ socket.
"""

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence

import zmq

from protocol.config import Settings
from protocol.envelope import Envelope, Letter, decode_letter, encode, encode_letter
from protocol.errors import RemoteProtocolError
from protocol.limits import (
    DRAIN_BUDGET,
    LETTER_BYTES_MAX,
    MS,
    SAFETY_TICK,
    SECOND,
    SEND_QUEUE_MAX,
    TELL_QUEUE_MAX,
)
from protocol.messages import AnyMessage

RECONNECT_FIRST_MS = 50
RECONNECT_LAST_MS = 500
DONTWAIT = int(zmq.DONTWAIT)
MORE_NOW = int(zmq.DONTWAIT | zmq.SNDMORE)
UPSTREAM_BYTES_MAX = 4096  # what a subscriber may send to a publisher: subscriptions

SUBSCRIBE = 1  # the first byte of what an XPUB socket receives; 0: unsubscribe

Deliver = Callable[[list[bytes]], None]
Listened = Callable[[bytes, bool], None]


class Bus:
    """Binds what this process owns, connects to what it hears and whom it tells.

    Publishing never waits: a subscriber whose queue is full misses messages. A letter to a peer
    that is not there is dropped and counted; whoever minds tells it again.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._context = zmq.Context()
        self._pub: zmq.Socket[bytes] | None = None
        self._publish: Callable[[bytes, int], object] = _nobody
        self._listened: Listened | None = None
        self._router: zmq.Socket[bytes] | None = None
        self._sub: zmq.Socket[bytes] | None = None
        self._peers: dict[str, zmq.Socket[bytes]] = {}
        self._drains: dict[zmq.Socket[bytes], Callable[[], None]] = {}
        self._due: set[zmq.Socket[bytes]] = set()  # sockets that are looked at soon anyway
        self._loop: asyncio.AbstractEventLoop | None = None
        self._heard: Callable[[bytes], None] = _nobody
        self._asked: Callable[[tuple[bytes, ...], bytes], None] = _nobody
        self._answered: Callable[[str, bytes], None] = _nobody
        self._tick: asyncio.TimerHandle | None = None
        self.undelivered = 0

    def publish_on(self, name: str, listened: Listened | None = None) -> None:
        """Bind the PUB socket. The process holds its lock: a second bind would steal the path.

        `listened` is told of each prefix's first subscriber, and when its last one is gone.
        """
        self._pub = self._socket(zmq.PUB if listened is None else zmq.XPUB, SEND_QUEUE_MAX)
        self._pub.set(zmq.MAXMSGSIZE, UPSTREAM_BYTES_MAX)
        self._pub.bind(self._settings.endpoint(name))
        self._listened = listened
        self._publish = _plain_send(self._pub)

    def answer_on(self, name: str) -> None:
        """Bind the ROUTER socket that takes letters."""
        self._router = self._socket(zmq.ROUTER, TELL_QUEUE_MAX)
        self._router.set(zmq.ROUTER_MANDATORY, 1)
        self._router.bind(self._settings.endpoint(name))

    def hear(self, name: str, prefixes: Sequence[str]) -> None:
        """Subscribe, then connect: what is published from then on arrives."""
        if self._sub is None:
            self._sub = self._subscriber()
        for prefix in prefixes:
            self._sub.subscribe(prefix)
        self._sub.connect(self._settings.endpoint(name))

    def listen(self, prefix: str, on: bool = True) -> None:
        """Subscribe to more of those that are heard already; `on` is false: to less."""
        assert self._sub is not None, "hear comes first"
        if on:
            self._sub.subscribe(prefix)
        else:
            self._sub.unsubscribe(prefix)

    def start(
        self,
        heard: Callable[[bytes], None],
        asked: Callable[[tuple[bytes, ...], bytes], None],
        answered: Callable[[str, bytes], None],
    ) -> None:
        """Hang all sockets into the running event loop."""
        self._loop = asyncio.get_running_loop()
        self._heard, self._asked, self._answered = heard, asked, answered
        if self._sub is not None:
            self._attach(self._sub, lambda frames: self._heard(frames[-1]))
        if self._router is not None:
            self._attach(self._router, self._letter)
        if self._pub is not None and self._listened is not None:
            self._attach(self._pub, self._subscription)
        self._safety()

    def publish(self, envelope: Envelope) -> None:
        assert self._pub is not None, "publish_on comes first"
        self._publish(encode(envelope), DONTWAIT)
        if self._listened is not None and self._pub not in self._due:
            self._soon(self._pub)

    def tell(self, peer: str, letter: Letter) -> None:
        socket = self._peers.get(peer) or self._connect(peer)
        try:
            socket.send(encode_letter(letter), zmq.DONTWAIT)
        except zmq.Again:
            self.undelivered += 1
        self._soon(socket)

    def answer(self, sender: tuple[bytes, ...], letter: Letter) -> None:
        assert self._router is not None, "answer_on comes first"
        try:
            for part in sender:
                self._router.send(part, MORE_NOW)
            self._router.send(encode_letter(letter), zmq.DONTWAIT)
        except zmq.ZMQError as e:
            if e.errno not in (zmq.EHOSTUNREACH, zmq.EAGAIN):
                raise
            self.undelivered += 1  # the asker is gone, or does not read
        self._soon(self._router)

    def close(self) -> None:
        """Give what was sent a moment to leave, then end every socket."""
        if self._tick is not None:
            self._tick.cancel()
        if self._loop is not None:
            for socket in self._drains:
                self._loop.remove_reader(socket.FD)
        self._context.destroy(linger=200)

    def _connect(self, peer: str) -> "zmq.Socket[bytes]":
        socket = self._socket(zmq.DEALER, TELL_QUEUE_MAX)
        socket.set(zmq.IMMEDIATE, 1)  # queue nothing for a peer that is not there
        socket.connect(self._settings.endpoint(f"{peer}.in"))
        self._peers[peer] = socket
        self._attach(socket, lambda frames: self._answered(peer, frames[-1]))
        return socket

    def _subscriber(self) -> "zmq.Socket[bytes]":
        socket = self._socket(zmq.SUB, SEND_QUEUE_MAX)
        socket.set(zmq.SNDHWM, 0)  # subscriptions go out this way; a bound drops them silently
        return socket

    def _socket(self, kind: int, queue_max: int) -> "zmq.Socket[bytes]":
        socket: zmq.Socket[bytes] = self._context.socket(kind)
        socket.set(zmq.LINGER, 0)
        socket.set(zmq.SNDHWM, queue_max)
        socket.set(zmq.RCVHWM, queue_max)
        socket.set(zmq.RECONNECT_IVL, RECONNECT_FIRST_MS)
        socket.set(zmq.RECONNECT_IVL_MAX, RECONNECT_LAST_MS)
        if kind not in (zmq.PUB, zmq.XPUB):
            socket.set(zmq.MAXMSGSIZE, LETTER_BYTES_MAX)
        return socket

    def _letter(self, frames: list[bytes]) -> None:
        self._asked(tuple(frames[:-1]), frames[-1])

    def _subscription(self, frames: list[bytes]) -> None:
        """What is not a subscription is nothing that we asked for."""
        assert self._listened is not None
        if frames[0][:1] in (b"\0", b"\1"):
            self._listened(frames[0][1:], frames[0][0] == SUBSCRIBE)

    def _attach(self, socket: "zmq.Socket[bytes]", deliver: Deliver) -> None:
        assert self._loop is not None
        loop = self._loop

        def drain() -> None:
            if socket.closed:
                return
            for _ in range(DRAIN_BUDGET):
                try:
                    frames = [socket.recv(zmq.DONTWAIT)]
                except zmq.Again:
                    return  # only seeing this arms the descriptor again
                while socket.getsockopt(zmq.RCVMORE):
                    frames.append(socket.recv(zmq.DONTWAIT))
                deliver(frames)
            loop.call_soon(drain)

        self._drains[socket] = drain
        loop.add_reader(socket.FD, drain)
        loop.call_soon(drain)

    def _soon(self, socket: "zmq.Socket[bytes]") -> None:
        """After a send on a two-way socket an arrival may be waiting without a wake-up."""
        if self._loop is not None and socket in self._drains and socket not in self._due:
            self._due.add(socket)
            self._loop.call_soon(self._look, socket)

    def _look(self, socket: "zmq.Socket[bytes]") -> None:
        self._due.discard(socket)
        self._drains[socket]()

    def _safety(self) -> None:
        assert self._loop is not None
        for drain in tuple(self._drains.values()):
            drain()
        self._tick = self._loop.call_later(SAFETY_TICK / SECOND, self._safety)


def _plain_send(socket: "zmq.Socket[bytes]") -> Callable[[bytes, int], object]:
    """Sends one frame without what pyzmq does around it for other kinds of sockets: that costs
    more than the sending."""
    send: Callable[[bytes, int], object] = super(zmq.Socket, socket).send
    return send


def _nobody(*_: object) -> None:
    """Before start there is no one to deliver to, and nothing is received."""


class Tap:
    """Hears raw frames without an event loop, for whoever does nothing but listen."""

    def __init__(self, endpoints: Sequence[str], prefixes: Sequence[str]) -> None:
        self._context = zmq.Context()
        self._socket: zmq.Socket[bytes] = self._context.socket(zmq.SUB)
        self._socket.set(zmq.LINGER, 0)
        self._socket.set(zmq.SNDHWM, 0)
        self._socket.set(zmq.RCVHWM, SEND_QUEUE_MAX)
        self._socket.set(zmq.RECONNECT_IVL, RECONNECT_FIRST_MS)
        for prefix in prefixes:
            self._socket.subscribe(prefix)
        for endpoint in endpoints:
            self._socket.connect(endpoint)

    def take(self, wait_ms: int, most: int) -> list[bytes]:
        """What has come, at most so many frames; waits so long for the first."""
        frames: list[bytes] = []
        if self._socket.poll(wait_ms):
            while len(frames) < most:
                try:
                    frames.append(self._socket.recv(zmq.DONTWAIT))
                except zmq.Again:
                    break
        return frames

    def close(self) -> None:
        self._context.destroy(linger=0)


def tap(endpoints: Sequence[str], prefixes: Sequence[str]) -> Iterator[bytes]:
    """Raw frames as they pass, for ever. Blocks between them; ends with the generator."""
    heard = Tap(endpoints, prefixes)
    try:
        while True:
            yield from heard.take(SAFETY_TICK // MS, DRAIN_BUDGET)
    finally:
        heard.close()


class Line:
    """Asks one process, one letter after another, without an event loop: for commands."""

    def __init__(self, endpoint: str) -> None:
        self._context = zmq.Context()
        self._socket: zmq.Socket[bytes] = self._context.socket(zmq.DEALER)
        self._socket.set(zmq.LINGER, 0)
        self._socket.set(zmq.IMMEDIATE, 1)  # nothing waits here for a process that is not there
        self._socket.set(zmq.RECONNECT_IVL, RECONNECT_FIRST_MS)
        self._socket.set(zmq.MAXMSGSIZE, LETTER_BYTES_MAX)
        self._socket.connect(endpoint)

    def ask(self, letter: Letter, seconds: float) -> AnyMessage | None:
        """The answer to a letter; None if there is none in time. The letter is told once."""
        deadline = time.monotonic() + seconds
        told = False
        while (left := deadline - time.monotonic()) > 0:
            if not told:
                told = self._told(letter, left)
            elif self._socket.poll(int(left * 1_000) + 1):
                try:
                    answer = decode_letter(self._socket.recv_multipart()[-1])
                except RemoteProtocolError:
                    continue
                if answer.id == letter.id:  # else it comes too late for an earlier one
                    return answer.body
        return None

    def _told(self, letter: Letter, left: float) -> bool:
        if not self._socket.poll(int(left * 1_000) + 1, zmq.POLLOUT):
            return False
        self._socket.send(encode_letter(letter), zmq.DONTWAIT)
        return True

    def close(self) -> None:
        self._context.destroy(linger=0)

    def __enter__(self) -> "Line":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
