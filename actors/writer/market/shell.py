"""Hosts the keeper: one thread that listens, writes, and says each second how it is.

It lives as long as the pipe on its standard input is open: a writer that ends, however, takes it
along. Signals are for the writer; the last batch is saved when the pipe closes.
"""

import contextlib
import os
import resource
import select
import signal
import sys
import time
from typing import Final

import msgspec

from actors.writer.database import Failed, Locked
from actors.writer.market.core import Keeper
from actors.writer.market.store import MarketStore
from actors.writer.market.wire import NotSaved, OpenDatabase, Save, Saved, Standing, Taken
from protocol.config import Settings
from protocol.envelope import Envelope, decode
from protocol.errors import ConfigError, RemoteProtocolError
from protocol.limits import KEEP_BATCH_ROWS, MS, SAFETY_TICK
from protocol.machine import Cause, Effect, Started, Stopping
from protocol.runtime.bus import Tap
from protocol.runtime.loop import wall
from protocol.runtime.process import MISCONFIGURED, load_settings

NICENESS: Final = 10  # the processors are money's first
TOPICS: Final = ("trade.", "ticker.", "mark ")


def main() -> None:
    """Keep until standard input ends."""
    os.umask(0o077)
    os.nice(NICENESS)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    try:
        settings = load_settings()
    except ConfigError as e:
        print(f"keeper: {e}", file=sys.stderr)
        sys.exit(MISCONFIGURED)
    with contextlib.suppress(BrokenPipeError):  # nobody hears how we are: the writer is gone
        keep(settings)


def keep(settings: Settings) -> None:
    """Listen and write. Raises BrokenPipeError if nobody reads standard output."""
    bounds = settings.writer
    store = MarketStore(f"{settings.var_dir}/market.db", bounds.keep_market_bytes)
    host = Host(Keeper(bounds.keep_market_days, bounds.keep_market_bytes), store)
    tap = Tap([settings.endpoint("stream.pub")], TOPICS)
    try:
        host.tell(Started(wall()))
        while not select.select([0], [], [], 0)[0]:
            frames = tap.take(host.wait_ms(), KEEP_BATCH_ROWS)
            host.tell(Taken(wall(), tuple(read(frames))))
        host.end()
    finally:
        tap.close()
        store.close()


def read(frames: list[bytes]) -> list[Envelope]:
    """What the frames say. One that can't be read is missing then, and the next shows it."""
    envelopes = []
    for frame in frames:
        with contextlib.suppress(RemoteProtocolError):
            envelopes.append(decode(frame))
    return envelopes


class Host:
    """Performs the core's effects at once, and tells it what became of them."""

    def __init__(self, core: Keeper, store: MarketStore) -> None:
        self._core = core
        self._store = store

    def tell(self, cause: Cause) -> bool:
        """Step the core. Whether it had anything to do."""
        effects = self._core.step(time.monotonic_ns(), cause)
        for effect in effects:
            self._perform(effect)
        return bool(effects)

    def end(self) -> None:
        """Save what waits."""
        while self.tell(Stopping(wall())):
            continue

    def wait_ms(self) -> int:
        """How long to wait for the next message."""
        left = self._core.deadline() - time.monotonic_ns()
        return -(-min(max(left, 0), SAFETY_TICK) // MS)

    def _perform(self, effect: Effect) -> None:
        try:
            match effect:
                case OpenDatabase():
                    self.tell(self._store.open(wall()))
                case Save(batch=batch, prunes=prunes):
                    self.tell(Saved(wall(), self._store.save(batch, prunes)))
                case Standing():
                    sys.stdout.buffer.write(msgspec.json.encode(effect) + b"\n")
                    sys.stdout.buffer.flush()
                case _:
                    raise AssertionError(f"unexpected effect: {effect}")
        except Locked as e:
            self.tell(NotSaved(wall(), str(e), isinstance(effect, OpenDatabase)))
        except Failed as e:
            self.tell(NotSaved(wall(), str(e), True))
