"""Hosts the supervisor: heartbeats in, the status page out, the runners' files read."""

import asyncio
import datetime
import os
import time
from importlib.resources import files
from typing import Any

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from protocol.config import Settings
from protocol.limits import MS, SECOND
from protocol.machine import Effect
from protocol.messages import System
from protocol.runtime.arming import ArmingFiles
from protocol.runtime.bus import Bus
from protocol.runtime.http import is_local, listen, server
from protocol.runtime.latch import LatchFile
from protocol.runtime.loop import Loop, wall
from protocol.runtime.process import next_epoch
from protocol.serving import front_at
from supervisor.core import FLAGS, REQUIRED, Declare, Runner, RunnersRead, Supervisor
from supervisor.page import POLICY, render

RUNNERS_INTERVAL = SECOND // 2
NOTHING = System(False, "closed", 0, ("starting",), dict.fromkeys(FLAGS, False), {})


async def serve(settings: Settings) -> int:
    """Run until asked to stop. Returns the exit code."""
    page = Page(settings)
    at = settings.supervisor
    listener = listen("supervisor", at.host, at.port)
    bus = Bus(settings)
    bus.answer_on("supervisor.in")
    bus.publish_on("system.pub")
    epoch = next_epoch(settings.var_dir, "supervisor")
    others = ("paper",) if settings.paper.enabled else ()
    loop = Loop(Supervisor(epoch, others), bus, page.perform)
    http = server(page.app())
    serving = asyncio.create_task(http.serve(sockets=[listener]))
    reading = asyncio.create_task(_read_runners(settings, loop))
    try:
        return await loop.run()
    finally:
        reading.cancel()
        http.should_exit = True
        await serving


async def _read_runners(settings: Settings, loop: Loop) -> None:
    """Each half second: small local files, replaced in one step by their writers."""
    latch = LatchFile(settings.var_dir)
    while True:
        runners = {}
        for name in (*REQUIRED, "paper"):
            try:
                with open(f"{settings.run_dir}/{name}.runner.json", "rb") as file:
                    runners[name] = msgspec.json.decode(file.read(), type=Runner)
            except (FileNotFoundError, msgspec.DecodeError):
                continue  # no runner, or none of ours: the heartbeat alone speaks
        disarmed = ArmingFiles(settings).why_not()  # anew: the gateway may have another boot
        loop.feed(RunnersRead(wall(), runners, latch.read(), disarmed))
        await asyncio.sleep(RUNNERS_INTERVAL / SECOND)


class Page:
    """Answers from what the core declared last: no I/O, and no way into the engine."""

    def __init__(self, settings: Settings) -> None:
        self._profile = settings.profile
        self._port = settings.supervisor.port
        self._look = files("protocol").joinpath("look.css").read_text()
        self._front = front_at(settings.api)
        self._declared = Declare(NOTHING, time.monotonic_ns())

    def perform(self, effect: Effect) -> None:
        assert isinstance(effect, Declare), effect
        self._declared = effect

    def app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/", self._page),
                Route("/look.css", self._style),
                Route("/status.json", self._status),
                Route("/readyz", self._ready),
                Route("/livez", self._live),
            ]
        )

    def _state(self) -> dict[str, Any]:
        since = (time.monotonic_ns() - self._declared.said_at) // MS
        state: dict[str, Any] = msgspec.to_builtins(self._declared.system)
        for process in state["processes"].values():
            if process["heartbeat_age_ms"] >= 0:
                process["heartbeat_age_ms"] += since
        for follower in state["followers"].values():
            follower["age_ms"] += since
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")
        keys = ("healthy", "gate", "reasons", "flags", "processes", "followers")
        return {key: state[key] for key in keys} | {"profile": self._profile, "as_of": now}

    def _refused(self, request: Request) -> Response | None:
        if is_local(request.headers.get("host"), self._port):
            return None
        return PlainTextResponse("this is not the host you are looking for\n", 421)

    async def _page(self, request: Request) -> Response:
        headers = {"Content-Security-Policy": POLICY, "Cache-Control": "no-store"}
        shown = render(self._state(), self._front, "still" in request.query_params)
        return self._refused(request) or HTMLResponse(shown, headers=headers)

    async def _style(self, request: Request) -> Response:
        return self._refused(request) or Response(self._look, media_type="text/css")

    async def _status(self, request: Request) -> Response:
        return self._refused(request) or JSONResponse(self._state())

    async def _ready(self, request: Request) -> Response:
        state = self._state()
        body = {"ready": state["healthy"], "reasons": state["reasons"]}
        return self._refused(request) or JSONResponse(body, 200 if state["healthy"] else 503)

    async def _live(self, request: Request) -> Response:
        return PlainTextResponse(f"alive\npid {os.getpid()}\n")
