"""Hosts the front: one loop for the core, HTTP and WebSocket."""

import asyncio
import os

from actors.api.answers_thread import Answers
from actors.api.asks import Ask
from actors.api.books import Listen
from actors.api.core import Api, Requested
from actors.api.effects import Pace, Say
from actors.api.guard import Guard, names_of
from actors.api.keyed import Begin, Drop, Keep, Keyed
from actors.api.quota import Quota
from actors.api.replies import Reply
from actors.api.row_feed import SAID
from actors.api.rows import ACCOUNT
from actors.api.sign_in import SignIn
from actors.api.sockets import Sockets
from actors.api.web import Web
from protocol import topics
from protocol.config import Settings
from protocol.limits import AT_ONCE_MAX, SECOND, TOKENS_LOOK
from protocol.machine import Effect
from protocol.pulse import Identity
from protocol.runtime.bus import Bus
from protocol.runtime.http import listen, open_files, server, tls_context
from protocol.runtime.loop import Loop, wall
from protocol.runtime.process import generation, next_epoch
from protocol.runtime.tokens import TokenWatch


async def serve(settings: Settings) -> int:
    """Run until asked to stop. Returns the exit code. Raises ConfigError."""
    api = settings.api
    watch = TokenWatch(settings.var_dir)
    tls = tls_context("api", api.tls_cert, api.tls_key) if api.tls_cert else None
    open_files(api.connections, "api.connections")
    listener = listen("api", api.host, api.port)
    identity = Identity("api", next_epoch(settings.var_dir, "api"), os.getpid(), generation())
    bus = Bus(settings)
    bus.hear("ledger.pub", [f"{topics.LEDGER} ", f"{topics.MARK} ", *ACCOUNT])
    bus.hear("system.pub", [*SAID])
    bus.hear("stream.pub", [])

    def ask(id: int, wanted: Ask, keyed: Keyed | None) -> None:
        loop.feed(Requested(wall(), id, wanted, keyed))

    def perform(effect: Effect) -> None:
        match effect:
            case Reply():
                web.reply(effect)
            case Say() | Pace():
                sockets.perform(effect)
            case Listen(prefix=prefix, on=on):
                bus.listen(prefix, on)
            case Begin() | Keep() | Drop():
                answers.perform(effect)
            case _:
                raise AssertionError(effect)

    guard = Guard(names_of(api, api.port), watch.tokens, Quota(api))
    web = Web(guard, ask, SignIn(settings.var_dir, guard.take_over).begin)
    sockets = Sockets(web, web.tickets, lambda cause: loop.feed(cause), api.sockets_a_token)
    loop = Loop(Api(identity, api.order_group, settings.profile), bus, perform)
    answers = Answers(f"{settings.var_dir}/answers.db", loop.feed_from_thread, wall)
    http = server(
        web.app(), api.connections, tls, sockets.protocol,
        at_once_max=AT_ONCE_MAX, direct=web.direct,
    )  # fmt: skip
    serving = asyncio.create_task(http.serve(sockets=[listener]))
    running = asyncio.create_task(loop.run())
    watching = asyncio.create_task(_watch(watch, guard, sockets))
    try:
        await asyncio.wait({running, watching}, return_when=asyncio.FIRST_COMPLETED)
        if not running.done():
            await watching  # a bug: without it a withdrawn token would go on counting
        return await running
    finally:
        watching.cancel()
        http.should_exit = True
        await serving
        answers.close()


async def _watch(watch: TokenWatch, guard: Guard, sockets: Sockets) -> None:
    """Take over what `sidecar token` changes, and let go of whoever lost the right to listen."""
    while True:
        await asyncio.sleep(TOKENS_LOOK / SECOND)
        found = watch.news()
        if found is not None:
            guard.take_over(found)
        sockets.look_again()
