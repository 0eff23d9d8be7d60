"""What a frame costs the stream, part by part, in this process: receive, decode, book, publish.

`receive` is the real socket's, from the kernel to the core's door, in processor time; the others
are timed over the frames that it received, in slices as the event loop works them off.
"""

import asyncio
import json
import random
import shutil
import tempfile
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import uvloop
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from actors.stream.core import Stream
from actors.stream.shell import Sockets
from actors.stream.wire import (
    FramesReceived,
    Link,
    OpenSocket,
    SendFrame,
    SocketOpened,
)
from protocol.config import read
from protocol.envelope import Outbox
from protocol.kalshi import frames
from protocol.kalshi.signing import Signer
from protocol.limits import FRAMES_A_TURN, SECOND
from protocol.machine import Answered, Cause, Effect, Elapsed, Heard, Publish, Started, Tell
from protocol.messages import BookDelta
from protocol.pulse import Identity
from protocol.runtime.bus import Bus
from tests.bench_feed import BOOKS, MARKETS, ROOT, Feed, Venue, tickers
from tests.bench_ledger import row
from tests.bench_stage import Helper, reply

FRAMES: Final = 100_000
RATE: Final = 50_000
SUBSCRIBE: Final = {
    "id": 1,
    "cmd": "subscribe",
    "params": {"channels": [BOOKS], "market_tickers": tickers(MARKETS)},
}


def signer() -> Signer:
    key = Ed25519PrivateKey.generate()
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return Signer("bench", pem, "bench")


def receive() -> tuple[float, list[bytes]]:
    """Microseconds of processor time a frame, and the frames."""
    feed = Feed()
    raws: list[bytes] = []

    async def whole() -> float:
        done = asyncio.get_running_loop().create_future()
        sockets = Sockets(feed.url, signer(), "")

        def core(cause: Cause) -> None:
            if isinstance(cause, SocketOpened):
                sockets.perform(SendFrame("public", json.dumps(SUBSCRIBE).encode()))
            elif isinstance(cause, FramesReceived):
                raws.extend(cause.raws)
                if len(raws) >= MARKETS + 1 + FRAMES and not done.done():
                    done.set_result(None)

        sockets.feed = core
        sockets.perform(OpenSocket("public"))
        while len(raws) < MARKETS + 1:
            await asyncio.sleep(0.01)
        feed.tell(f"run {RATE} {FRAMES}")
        before = time.thread_time()
        await done
        took = time.thread_time() - before
        await sockets.end()
        return took / FRAMES * 1e6

    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            cost = runner.run(whole())
    finally:
        feed.close()
    return cost, raws[MARKETS + 1 :]


def timed(work: Callable[[list[bytes]], object], raws: list[bytes]) -> list[float]:
    """Microseconds a frame, of each slice."""
    found = []
    for first in range(0, len(raws), FRAMES_A_TURN):
        piece = raws[first : first + FRAMES_A_TURN]
        began = time.thread_time_ns()
        work(piece)
        found.append((time.thread_time_ns() - began) / 1e3 / len(piece))
    return found


class Hosted:
    """The real core, and an exchange that answers it at once; its time is what we make it."""

    def __init__(self) -> None:
        identity = Identity("stream", 1, 1, 0)
        self.core = Stream(identity, ["*"], random.Random(1))
        self.venues: dict[Link, Venue] = {}
        self.now, self._markets = SECOND, tuple(tickers(MARKETS))
        self._causes: deque[Cause] = deque([Started(self.at)])
        mark = Outbox("writer", 1).marks(self.now, self.at)[0]
        self._causes.append(Heard(self.at, mark))
        while not any(len(v.books) == MARKETS for v in self.venues.values()) or self._causes:
            if not self._causes:
                self.now = max(self.core.deadline() or 0, self.now)
                self._causes.append(Elapsed(self.at))
            for effect in self.core.step(self.now, self._causes.popleft()):
                self._perform(effect)

    @property
    def at(self) -> int:
        return 1_782_873_388_000_000 + self.now // 1_000

    def _perform(self, effect: Effect) -> None:
        match effect:
            case OpenSocket(link=link):
                self.venues[link] = Venue()
                self._causes.append(SocketOpened(self.at, link))
            case SendFrame(link=link, raw=raw):
                texts = [text.encode() for text in self.venues[link].answer(raw)]
                self._causes.append(FramesReceived(self.at, link, texts))
            case Tell(peer=peer, letter=letter):
                told = reply(letter.body, self._markets)
                answer = Outbox(peer, 1).letter(letter.id, told, self.at)
                self._causes.append(Answered(self.at, peer, answer))

    def deltas(self, count: int) -> tuple[Link, list[bytes]]:
        """The link of the books, and what it says next."""
        link, venue = next((k, v) for k, v in self.venues.items() if v.books)
        names, at_ms = venue.books, self.at // 1_000
        return link, [venue.delta(names[n % len(names)], at_ms).encode() for n in range(count)]


def work() -> tuple[list[float], list[float], list[Effect]]:
    """Microseconds a frame of decoding alone, of the core's whole step, and its effects."""
    hosted = Hosted()
    link, raws = hosted.deltas(FRAMES)
    effects: list[Effect] = []

    def step(piece: list[bytes]) -> None:
        effects.extend(hosted.core.step(hosted.now, FramesReceived(hosted.at, link, piece)))

    def decode(piece: list[bytes]) -> None:
        for raw in piece:
            frames.decode(raw)

    decoding, stepping = timed(decode, raws), timed(step, raws)
    said = [effect for effect in effects if isinstance(effect, Publish)]
    deltas = [effect for effect in said if isinstance(effect.envelope.body, BookDelta)]
    assert len(deltas) == FRAMES, f"{len(deltas)} of {FRAMES} changes were published"
    return decoding, stepping, effects


def publish(effects: list[Effect]) -> list[float]:
    """Microseconds an envelope, with one subscriber."""
    folder = tempfile.mkdtemp(prefix="kb", dir="/tmp")
    text = (ROOT / "configs" / "paper.toml").read_text().replace('"run/paper', f'"{folder}')
    settings = read(text, {}, "bench")
    Path(settings.bus_dir).mkdir(parents=True)
    bus = Bus(settings)
    bus.publish_on("stream.pub", lambda *_: None)
    subscriber = Helper("ear", settings.endpoint("stream.pub"))
    time.sleep(0.5)  # until the subscription is there: nothing says so
    subscriber.tell(f"{FRAMES} 10")
    subscriber.answer()
    found = []
    for first in range(0, len(effects), FRAMES_A_TURN):
        piece = effects[first : first + FRAMES_A_TURN]
        began = time.thread_time_ns()
        for effect in piece:
            if isinstance(effect, Publish):
                bus.publish(effect.envelope)
        found.append((time.thread_time_ns() - began) / 1e3 / len(piece))
        time.sleep(0.001)  # the subscriber has its turn
    subscriber.close()
    bus.close()
    shutil.rmtree(folder)
    return found


def measure() -> list[dict[str, Any]]:
    """The rows of the table."""
    received, raws = receive()
    decoding, stepping, effects = work()
    rest = [whole - part for whole, part in zip(stepping, decoding, strict=True)]
    published = publish(effects)
    return [
        row(f"a frame of {len(raws[-1])} bytes: receive", [received], "µs", "apart"),
        row("  decode", decoding, "µs", "apart"),
        row("  book: sequence, levels, envelope", rest, "µs", "apart"),
        row("  publish, one subscriber", published, "µs", "apart"),
    ]
