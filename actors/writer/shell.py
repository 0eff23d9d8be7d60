"""Hosts the writer: the database on a thread of its own, so that a slow disk stops no heartbeat."""

import os
from concurrent.futures import Future, ThreadPoolExecutor

from actors.writer.anchor import AnchorFile
from actors.writer.core import Writer
from actors.writer.keeper import KeeperProcess
from actors.writer.store import Failed, Locked, Store
from actors.writer.wire import (
    AsideTold,
    Checkpoint,
    Checkpointed,
    CloseStore,
    Commit,
    Committed,
    EntriesRead,
    OpenStore,
    ReadEntries,
    StartKeeper,
    StoreFailed,
    StoreOpened,
    StoreOpening,
    StoreRefused,
    TellAside,
)
from protocol.config import Settings
from protocol.errors import ConfigError
from protocol.ledger import account_name
from protocol.machine import Cause, Effect
from protocol.pulse import Identity
from protocol.runtime.bus import Bus
from protocol.runtime.loop import Loop, wall
from protocol.runtime.process import generation, next_epoch


async def serve(settings: Settings) -> int:
    """Run until asked to stop. Returns the exit code."""
    path = f"{settings.var_dir}/ledger.db"
    anchor = AnchorFile(path)
    anchor.lock()  # before anything is touched: a second writer leaves no trace
    identity = Identity("writer", next_epoch(settings.var_dir, "writer"), os.getpid(), generation())
    bus = Bus(settings)
    bus.answer_on("writer.in")
    bus.publish_on("ledger.pub")
    owner = account_name(settings.exchange.environment, settings.exchange.key_id)
    disk = Disk(Store(path, owner, anchor))
    keeper: KeeperProcess

    def perform(effect: Effect) -> None:
        if isinstance(effect, StartKeeper):
            keeper.start()
        else:
            disk.perform(effect)

    loop = Loop(Writer(identity, settings.writer.keep_market_days > 0), bus, perform)
    disk.loop = loop
    keeper = KeeperProcess(loop.feed_from_thread)
    try:
        code = await loop.run()
    finally:
        disk.thread.shutdown(wait=True)
        keeper.stop()
    return code


class Disk:
    """Performs the writer's effects on one thread, in order."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.loop: Loop | None = None
        self.thread = ThreadPoolExecutor(1, "store")

    def perform(self, effect: Effect) -> None:
        self.thread.submit(self._do, effect).add_done_callback(self._told)

    def _do(self, effect: Effect) -> Cause | None:
        try:
            match effect:
                case OpenStore():
                    found = self._store.open(self._tell)
                    return StoreOpened(
                        wall(), found.head, found.how, found.aside, found.reason, found.told
                    )
                case Commit(wanted=wanted, at=at):
                    done = self._store.commit(wanted, at)
                    return Committed(wall(), done.results, done.booked)
                case ReadEntries(sender=sender, id=id, since=since, limit=limit):
                    return EntriesRead(wall(), sender, id, self._store.entries(since, limit))
                case TellAside(aside=aside):
                    self._store.told(aside)
                    return AsideTold(wall(), aside)
                case Checkpoint():
                    log = self._store.checkpoint()
                    return Checkpointed(wall(), log.pages, log.done)
                case CloseStore():
                    self._store.close()
                    return None
        except ConfigError as e:
            return StoreRefused(wall(), str(e))
        except Locked as e:
            if isinstance(effect, OpenStore | Commit):
                return StoreFailed(wall(), str(e), False)
            self.perform(effect)  # the core waits for these; each try waits for the lock itself
            return None
        except Failed as e:
            return StoreFailed(wall(), str(e), True)
        raise AssertionError(f"unexpected effect: {effect}")

    def _tell(self, text: str) -> None:
        assert self.loop is not None
        self.loop.feed_from_thread(StoreOpening(wall(), text))

    def _told(self, done: "Future[Cause | None]") -> None:
        assert self.loop is not None
        error = done.exception()
        cause = StoreFailed(wall(), repr(error), True) if error else done.result()
        if cause is not None:
            self.loop.feed_from_thread(cause)
