"""The paper exchange's own routes, `/paper/...`: what it witnessed, and what is armed (starlette).

They need no signature and cost nothing: the port is for tests and for this machine.
"""

from collections.abc import Awaitable, Callable
from typing import Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from actors.paper import crowd, faults, owner, staff
from actors.paper.answers import Answer, Refused
from actors.paper.core import Core
from actors.paper.desk import Desk
from actors.paper.exchange import Exchange
from actors.paper.faults import REDIRECTED, honest
from actors.paper.paging import number
from actors.paper.replies import response
from actors.paper.wire import REQUESTS_KEPT, WireLog

METHODS: Final = ["GET", "POST", "PUT", "PATCH", "DELETE"]
Deed = Callable[[Exchange, bytes, int], Answer]
DEEDS: Final[dict[str, Deed]] = {
    "settle": owner.settle,
    "deposit": owner.deposit,
    "withdraw": owner.withdraw,
    "tamper": owner.tamper,
    "external": owner.external,
    "market": staff.make,
    "close": staff.move_close,
    "deactivate": staff.deactivate,
    "activate": staff.activate,
    "grid": staff.regrid,
    "metadata": staff.describe,
    "fee": staff.override_fee,
    "group": staff.tell_group,
    "public": crowd.public,
}


class Control:
    """The routes, over the core and the desk."""

    def __init__(
        self,
        core: Core,
        desk: Desk,
        wire: WireLog,
        clocks: Callable[[], tuple[int, int]],
        close_sockets: Callable[[], None],
    ) -> None:
        self._core = core
        self._desk = desk
        self._wire = wire
        self._clocks = clocks
        self._close_sockets = close_sockets

    def routes(self) -> list[Route]:
        """What there is below /paper."""
        deeds = [
            Route(f"/paper/{name}", self._deed(deed), methods=["POST"])
            for name, deed in DEEDS.items()
        ]
        return [
            Route("/paper/health", self._shown(lambda request: {"ok": True})),
            Route("/paper/feed", self._shown(lambda request: self._core.feed_status())),
            Route("/paper/budget", self._shown(self._budget)),
            Route("/paper/wire", self._shown(self._requests)),
            Route("/paper/faults", self._faults, methods=["GET", "POST"]),
            Route("/paper/external/{order_id}", self._external_cancel, methods=["DELETE"]),
            Route(f"{REDIRECTED}{{rest:path}}", self._redirected, methods=METHODS),
            *deeds,
        ]

    def _shown(
        self, body: Callable[[Request], dict[str, object]]
    ) -> Callable[[Request], Awaitable[Response]]:
        async def answer(request: Request) -> Response:
            try:
                return response(honest(Answer(200, body(request))))
            except Refused as e:
                return response(honest(e.answer))

        return answer

    def _budget(self, request: Request) -> dict[str, object]:
        return self._core.budgets.shown(self._clocks()[0] // 1_000)

    def _requests(self, request: Request) -> dict[str, object]:
        since = number(request.query_params, "since", "Wire", 0, 1 << 50)
        limit = number(request.query_params, "limit", "Wire", REQUESTS_KEPT, REQUESTS_KEPT)
        return {"requests": self._wire.shown(since, limit)}

    def _deed(self, deed: Deed) -> Callable[[Request], Awaitable[Response]]:
        async def do(request: Request) -> Response:
            body = await request.body()
            at = self._clocks()[1]
            try:
                answer = deed(self._core.exchange, body, at)
            except Refused as e:
                answer = e.answer
            self._desk.keep(self._core.settle(at))
            return response(honest(answer))

        return do

    async def _external_cancel(self, request: Request) -> Response:
        at = self._clocks()[1]
        order_id: str = request.path_params["order_id"]
        answer = owner.external_cancel(self._core.exchange, order_id, at)
        self._desk.keep(self._core.settle(at))
        return response(honest(answer))

    async def _redirected(self, request: Request) -> Response:
        body = await request.body()
        query = f"?{request.url.query}" if request.url.query else ""
        path = f"{request.url.path}{query}"
        received = self._desk.receive(request.method, path, None, body)
        reply = honest(Answer(404, "nobody should have come here\n"))
        self._desk.answered(received, reply)
        return response(reply)

    async def _faults(self, request: Request) -> Response:
        if request.method == "POST":
            try:
                named = faults.read(await request.body())
            except msgspec.DecodeError as e:
                return response(honest(Answer(400, {"error": str(e)})))
            now, at = self._clocks()
            try:
                self._core.arm(named, now, at)
            except Refused as e:
                return response(honest(e.answer))
            self._desk.keep(self._core.settle(at))
            if self._core.faults.close_sockets or self._core.faults.maintenance:
                self._core.faults.close_sockets = False
                self._close_sockets()
        return response(honest(Answer(200, msgspec.to_builtins(self._core.faults))))
