"""Hosts the gateway: signs calls and sends each once, keeps the halt latch on disk."""

import asyncio
import functools
import os
import random
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from actors.gateway.arming import ArmingSeen
from actors.gateway.books import Listen
from actors.gateway.callers import Callers
from actors.gateway.core import Gateway
from actors.gateway.desk import MakeCall
from actors.gateway.halt import SaveHalt
from actors.gateway.inquiries import Prove, prove
from actors.gateway.latch import LatchKeeper
from actors.gateway.tightening import LimitsSaved, SaveLimits
from actors.gateway.wire import Wire
from protocol import brakes
from protocol.config import Settings
from protocol.limits import CALLS_IN_FLIGHT_MAX, LATCH_LOOK, SECOND
from protocol.machine import Cause, Effect
from protocol.pulse import Identity
from protocol.runtime.arming import ArmingFiles
from protocol.runtime.bus import Bus
from protocol.runtime.latch import LatchFile
from protocol.runtime.limits import LimitsFile
from protocol.runtime.loop import Loop, wall
from protocol.runtime.process import generation, next_epoch


async def serve(settings: Settings) -> int:
    """Run until asked to stop. Returns the exit code."""
    limits = brakes.limits(settings.brakes, settings.exchange.environment == "live", "settings")
    latch, tightened = LatchFile(settings.var_dir), LimitsFile(settings.var_dir)
    keeper, arming = LatchKeeper(latch), ArmingFiles(settings)
    wire = Wire(settings, latch.stopped)
    identity = Identity(
        "gateway", next_epoch(settings.var_dir, "gateway"), os.getpid(), generation()
    )
    bus = _bus(settings)
    now, kept = time.monotonic_ns(), tightened.read()
    core = Gateway(identity, now, random.Random(), keeper.known, limits, kept, arming.news())

    def told(cause: Cause | None) -> None:
        if cause is not None:
            loop.feed_from_thread(cause)

    def behind(thread: ThreadPoolExecutor, work: Callable[[], Cause | None]) -> Future[Any]:
        """Have it done, one after the other; what it returns is told."""
        done = thread.submit(work)
        done.add_done_callback(lambda done: told(done.result()))
        return done

    def perform(effect: Effect) -> None:
        match effect:
            case MakeCall(id=id, call=call, passed=passed):
                callers.call(functools.partial(wire.send, id, call, passed))
            case Listen(prefix=prefix, on=on):
                bus.listen(prefix, on)
            case Prove():
                behind(prover, lambda: prove(effect, wall()))
            case SaveLimits(number=number, limits=wanted):
                write = functools.partial(tightened.write, wanted)
                behind(saver, lambda: LimitsSaved(wall(), number, write()))
            case SaveHalt():
                behind(saver, lambda: keeper.save(effect))
            case _:
                raise AssertionError(f"unexpected effect: {effect}")

    def armed() -> Cause | None:
        live = arming.news()
        return None if live is None else ArmingSeen(wall(), live)

    async def look() -> None:
        """For what others write into the latch, or arm: behind our own saves, on their thread."""
        while True:
            behind(saver, armed)
            work = behind(saver, keeper.look)
            await asyncio.sleep(LATCH_LOOK / SECOND)
            while not work.done():  # a slow disk: one look at a time
                await asyncio.sleep(LATCH_LOOK / SECOND)

    callers = Callers(CALLS_IN_FLIGHT_MAX, told)
    with ThreadPoolExecutor(1, "latch") as saver, ThreadPoolExecutor(1, "prover") as prover:
        loop = Loop(core, bus, perform)
        looking = asyncio.create_task(look())
        try:
            return await loop.run()
        finally:
            looking.cancel()


def _bus(settings: Settings) -> Bus:
    bus = Bus(settings)
    bus.answer_on("gateway.in")
    bus.hear("ledger.pub", ["ledger ", "mark "])
    bus.hear("system.pub", ["system "])
    bus.hear("stream.pub", ["mark "])
    return bus
