"""Publishing over real sockets: what is said arrives, and who listens is known."""

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import uvloop
import zmq

from protocol.config import Settings, read
from protocol.envelope import Outbox, decode
from protocol.messages import BookLost
from protocol.runtime.bus import UPSTREAM_BYTES_MAX, Bus

ROOT = Path(__file__).parent.parent.parent
PATIENCE = 30.0
Told = asyncio.Queue[tuple[bytes, bool]]


@asynccontextmanager
async def stage() -> AsyncIterator[tuple[Settings, Bus, Told]]:
    """A bus that publishes and tells who listens. Its folder is short: a socket's path is."""
    folder = tempfile.mkdtemp(prefix="kb", dir="/tmp")
    text = (ROOT / "configs" / "paper.toml").read_text()
    settings = read(text.replace('"run/paper', f'"{folder}'), {}, "test")
    Path(settings.bus_dir).mkdir(parents=True)
    bus, told = Bus(settings), Told()
    try:
        bus.publish_on("stream.pub", lambda prefix, on: told.put_nowait((prefix, on)))
        bus.start(_nothing, _nothing, _nothing)
        yield settings, bus, told
    finally:
        bus.close()
        shutil.rmtree(folder)


def _nothing(*_: object) -> None:
    raise AssertionError("nobody says anything")


class Listener:
    """A subscriber in a context of its own, as another process has it."""

    def __init__(self, settings: Settings, kind: int = zmq.SUB) -> None:
        self.context = zmq.Context()
        self.socket: zmq.Socket[bytes] = self.context.socket(kind)
        self.socket.connect(settings.endpoint("stream.pub"))

    def __enter__(self) -> "Listener":
        return self

    def __exit__(self, *_: object) -> None:
        self.context.destroy(linger=0)


def run(story: Callable[[], Awaitable[None]]) -> None:
    async def whole() -> None:
        await asyncio.wait_for(story(), PATIENCE)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(whole())


def test_the_first_listener_and_the_last_ones_end_are_told() -> None:
    async def story() -> None:
        async with stage() as (settings, _, told):
            with Listener(settings) as one, Listener(settings) as other:
                one.socket.subscribe("raw.trade")
                assert await told.get() == (b"raw.trade", True)
                other.socket.subscribe("raw.trade")
                other.socket.subscribe("book.")
                assert await told.get() == (b"book.", True), "a second one is no news"
                one.socket.unsubscribe("raw.trade")
                other.socket.unsubscribe("book.")
                assert await told.get() == (b"book.", False)
            assert await told.get() == (b"raw.trade", False), "who is gone listens no more"
            assert told.empty()

    run(story)


def test_whoever_joins_a_busy_publisher_is_told_of_and_hears() -> None:
    """While much is published the descriptor says nothing of what comes in."""

    async def story() -> None:
        async with stage() as (settings, bus, told):
            outbox = Outbox("stream", 1)
            with Listener(settings) as ear:
                ear.socket.subscribe("book.KXA-1 ")
                while told.empty():
                    for _ in range(20):
                        bus.publish(outbox.seal("book.KXB-1", BookLost("KXB-1", "gap"), 5))
                    await asyncio.sleep(0)
                assert await told.get() == (b"book.KXA-1 ", True)
                wanted = [outbox.seal("book.KXA-1", BookLost("KXA-1", f"{n}"), n) for n in range(9)]
                for envelope in wanted:
                    bus.publish(envelope)
                for envelope in wanted:
                    assert await asyncio.to_thread(ear.socket.poll, int(PATIENCE * 1_000))
                    assert decode(ear.socket.recv()) == envelope

    run(story)


def test_other_words_of_a_subscriber_are_nothing_and_long_ones_end_it() -> None:
    async def story() -> None:
        async with stage() as (settings, _, told):
            with Listener(settings, zmq.XSUB) as odd:
                odd.socket.send(b"")
                odd.socket.send(b"\7hello")
                odd.socket.send(b"\1raw.a")
                assert await told.get() == (b"raw.a", True)
                odd.socket.send(b"\1" + b"x" * UPSTREAM_BYTES_MAX)
                assert await told.get() == (b"raw.a", False)

    run(story)
