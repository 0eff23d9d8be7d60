"""Replies on their way out: whole, byte by byte, cut short, or never (starlette's responses)."""

import asyncio
from collections.abc import Callable
from typing import Any, Final

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from actors.paper.faults import Reply

Cut = Callable[[tuple[str, int], str], None]  # end a client's connection: reset, close or finish
MISSING: Final = 64  # bytes that a truncated body promises and never sends


def response(reply: Reply) -> Response:
    """A reply that is sent as it is."""
    found = Response(reply.body, reply.status)
    if reply.content_type:
        found.headers["content-type"] = reply.content_type
    if reply.location:
        found.headers["location"] = reply.location
    return found


class Spoiled(Response):
    """A reply that something is wrong with."""

    def __init__(self, reply: Reply, cut: Cut) -> None:
        super().__init__()
        self._reply = reply
        self._cut = cut

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        reply, client = self._reply, tuple(scope["client"])
        if reply.manner in ("reset", "close"):
            self._cut(client, reply.manner)
        elif reply.manner == "truncate":
            half = reply.body[: len(reply.body) // 2]
            await self._begin(send, len(reply.body) + MISSING)
            await send({"type": "http.response.body", "body": half, "more_body": True})
            self._cut(client, "finish")
        elif reply.manner == "whole":
            await self._whole(scope, receive, send)
            return
        await _left(receive)

    async def _begin(self, send: Send, length: int) -> None:
        headers = dict(response(self._reply).headers) | {"content-length": str(length)}
        raw = [(name.encode(), value.encode()) for name, value in headers.items()]
        start: dict[str, Any] = {"type": "http.response.start", "headers": raw}
        await send(start | {"status": self._reply.status})

    async def _whole(self, scope: Scope, receive: Receive, send: Send) -> None:
        body, pause = self._reply.body, self._reply.drip_ms / 1_000
        if not pause:
            await response(self._reply)(scope, receive, send)
            return
        await self._begin(send, len(body))
        left = asyncio.create_task(_left(receive))
        for index in range(len(body)):
            piece = {"type": "http.response.body", "body": body[index : index + 1]}
            await send(piece | {"more_body": True})
            await asyncio.wait({left}, timeout=pause)
            if left.done():
                return
        left.cancel()
        await send({"type": "http.response.body", "body": b""})


async def _left(receive: Receive) -> None:
    """Return once the client is gone."""
    while (await receive())["type"] != "http.disconnect":
        continue
