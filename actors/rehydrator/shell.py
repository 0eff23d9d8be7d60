"""Hosts the rehydrator: reads the database on a thread, so that the loop keeps turning."""

import os
from concurrent.futures import Future, ThreadPoolExecutor

from actors.rehydrator.core import AccountLoaded, LoadAccount, LoadFailed, Rehydrator, Replayed
from actors.rehydrator.store import Unreadable, load
from protocol.config import Settings
from protocol.machine import Cause, Effect
from protocol.pulse import Identity
from protocol.runtime.bus import Bus
from protocol.runtime.loop import Loop, wall
from protocol.runtime.process import generation, next_epoch


async def serve(settings: Settings) -> int:
    """Run until asked to stop. Returns the exit code."""
    name = "rehydrator"
    identity = Identity(name, next_epoch(settings.var_dir, name), os.getpid(), generation())
    bus = Bus(settings)
    bus.answer_on("rehydrator.in")
    bus.hear("ledger.pub", ["ledger ", "mark "])
    path = f"{settings.var_dir}/ledger.db"

    def read() -> Cause:
        try:
            return AccountLoaded(wall(), *load(path, tell))
        except Unreadable as e:
            return LoadFailed(wall(), str(e))

    def tell(done: int, total: int) -> None:
        loop.feed_from_thread(Replayed(wall(), done, total))

    def told(done: "Future[Cause]") -> None:
        error = done.exception()
        loop.feed_from_thread(LoadFailed(wall(), repr(error)) if error else done.result())

    def perform(effect: Effect) -> None:
        assert isinstance(effect, LoadAccount), effect
        thread.submit(read).add_done_callback(told)

    with ThreadPoolExecutor(1, "reader") as thread:
        loop = Loop(Rehydrator(identity), bus, perform)
        return await loop.run()
