"""Hosts the gateway: signs calls and sends each once, keeps the halt latch on disk."""

import functools
import os
import random
import time
from concurrent.futures import ThreadPoolExecutor

from actors.gateway.callers import Callers
from actors.gateway.core import Gateway, SaveHalt
from actors.gateway.desk import MakeCall
from actors.gateway.latch import read_latch, save_latch
from actors.gateway.wire import Wire
from protocol.config import Settings
from protocol.limits import CALLS_IN_FLIGHT_MAX
from protocol.machine import Cause, Effect
from protocol.pulse import Identity
from protocol.runtime.bus import Bus
from protocol.runtime.loop import Loop
from protocol.runtime.process import generation, next_epoch


async def serve(settings: Settings) -> int:
    """Run until asked to stop. Returns the exit code."""
    wire = Wire(settings)
    identity = Identity(
        "gateway", next_epoch(settings.var_dir, "gateway"), os.getpid(), generation()
    )
    latch = f"{settings.var_dir}/halt"
    bus = Bus(settings)
    bus.answer_on("gateway.in")
    bus.hear("ledger.pub", ["ledger ", "mark "])
    bus.hear("system.pub", ["system "])
    core = Gateway(identity, time.monotonic_ns(), random.Random(), read_latch(latch))

    def told(cause: Cause) -> None:
        loop.feed_from_thread(cause)

    def perform(effect: Effect) -> None:
        match effect:
            case MakeCall(id=id, call=call):
                callers.call(functools.partial(wire.send, id, call))
            case SaveHalt(halted=halted, reason=reason):
                saving = saver.submit(save_latch, latch, halted, reason)
                saving.add_done_callback(lambda saved: told(saved.result()))
            case _:
                raise AssertionError(f"unexpected effect: {effect}")

    callers = Callers(CALLS_IN_FLIGHT_MAX, told)
    with ThreadPoolExecutor(1, "latch") as saver:
        loop = Loop(core, bus, perform)
        return await loop.run()
