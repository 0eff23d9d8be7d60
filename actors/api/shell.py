"""Hosts the front: one loop for the core, HTTP and WebSocket."""

import asyncio
import os

from actors.api.answers import Answers
from actors.api.asks import Ask, Scope
from actors.api.core import Api, Requested
from actors.api.keyed import Begin, Drop, Keep, Keyed
from actors.api.replies import Reply
from actors.api.web import Web
from protocol.config import Settings
from protocol.machine import Effect
from protocol.pulse import Identity
from protocol.runtime.bus import Bus
from protocol.runtime.http import listen, server
from protocol.runtime.loop import Loop, wall
from protocol.runtime.process import generation, next_epoch, read_private

SCOPES: tuple[Scope, ...] = ("read", "trade")


async def serve(settings: Settings) -> int:
    """Run until asked to stop. Returns the exit code."""
    tokens: dict[bytes, Scope] = {
        read_private(f"{settings.var_dir}/token.{scope}").strip(): scope for scope in SCOPES
    }
    listener = listen("api", settings.api.host, settings.api.port)
    identity = Identity("api", next_epoch(settings.var_dir, "api"), os.getpid(), generation())
    bus = Bus(settings)
    bus.hear("ledger.pub", ["ledger ", "mark "])
    bus.hear("system.pub", ["system "])

    def ask(id: int, wanted: Ask, keyed: Keyed | None) -> None:
        loop.feed(Requested(wall(), id, wanted, keyed))

    def perform(effect: Effect) -> None:
        match effect:
            case Reply():
                web.reply(effect)
            case Begin() | Keep() | Drop():
                answers.perform(effect)
            case _:
                raise AssertionError(effect)

    web = Web(settings.api.port, tokens, ask)
    for name in ("stream.pub", "ledger.pub", "system.pub"):
        web.relay_from(bus.relay(name, web.passed))
    loop = Loop(Api(identity, settings.api.order_group), bus, perform)
    answers = Answers(f"{settings.var_dir}/answers.db", loop.feed_from_thread, wall)
    http = server(web.app())
    serving = asyncio.create_task(http.serve(sockets=[listener]))
    try:
        return await loop.run()
    finally:
        http.should_exit = True
        await serving
        answers.close()
