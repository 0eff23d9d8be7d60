"""Hosts the writer: the database on a thread of its own, so that a slow disk stops no heartbeat."""

import os
from concurrent.futures import Future, ThreadPoolExecutor

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
from actors.writer.store import Failed, Locked, Store
from protocol.config import Settings
from protocol.errors import ConfigError
from protocol.machine import Cause, Effect
from protocol.pulse import Identity
from protocol.runtime.bus import Bus
from protocol.runtime.loop import Loop, wall
from protocol.runtime.process import generation, next_epoch


async def serve(settings: Settings) -> int:
    """Run until asked to stop. Returns the exit code."""
    identity = Identity("writer", next_epoch(settings.var_dir, "writer"), os.getpid(), generation())
    bus = Bus(settings)
    bus.answer_on("writer.in")
    bus.publish_on("ledger.pub")
    store = Store(f"{settings.var_dir}/ledger.db")
    disk = Disk(store)
    loop = Loop(Writer(identity), bus, disk.perform)
    disk.loop = loop
    try:
        code = await loop.run()
    finally:
        disk.thread.shutdown(wait=True)
    if disk.misconfigured is not None:
        raise disk.misconfigured
    return code


class Disk:
    """Performs the writer's effects on one thread, in order."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.loop: Loop | None = None
        self.thread = ThreadPoolExecutor(1, "store")
        self.misconfigured: ConfigError | None = None

    def perform(self, effect: Effect) -> None:
        self.thread.submit(self._do, effect).add_done_callback(self._told)

    def _do(self, effect: Effect) -> Cause | None:
        try:
            match effect:
                case OpenStore():
                    return StoreOpened(wall(), self._store.open())
                case Commit(wanted=wanted, at=at):
                    done = self._store.commit(wanted, at)
                    return Committed(wall(), done.results, done.booked)
                case ReadEntries(sender=sender, id=id, since=since, limit=limit):
                    return EntriesRead(wall(), sender, id, self._store.entries(since, limit))
                case CloseStore():
                    self._store.close()
                    return None
        except ConfigError as e:
            self.misconfigured = e
            return StoreFailed(wall(), str(e), True)
        except Locked as e:
            return StoreFailed(wall(), str(e), False)
        except Failed as e:
            return StoreFailed(wall(), str(e), True)
        raise AssertionError(f"unexpected effect: {effect}")

    def _told(self, done: "Future[Cause | None]") -> None:
        assert self.loop is not None
        error = done.exception()
        cause = StoreFailed(wall(), repr(error), True) if error else done.result()
        if cause is not None:
            self.loop.feed_from_thread(cause)
