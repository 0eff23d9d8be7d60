"""The real sockets on loopback: open, signed, frames both ways, pings, ends of every kind."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from websockets.asyncio.server import ServerConnection, serve
from websockets.http11 import Request, Response

from actors.stream.core import (
    CloseSocket,
    FramesReceived,
    OpenFailed,
    OpenSocket,
    PingReceived,
    SendFrame,
    SocketClosed,
    SocketOpened,
)
from actors.stream.shell import Sockets, checked
from protocol.errors import ConfigError
from protocol.kalshi.signing import Signer
from protocol.machine import Cause

KEY = Ed25519PrivateKey.generate()
PEM = KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
PATIENCE = 5.0

Serve = Callable[[ServerConnection], Awaitable[None]]
Story = Callable[[Sockets, "asyncio.Queue[Cause]"], Awaitable[None]]


def play(server_part: Serve, story: Story, refuse: bool = False) -> None:
    def refusal(connection: ServerConnection, request: Request) -> Response | None:
        assert request.path == "/trade-api/ws/v2"
        assert request.headers["KALSHI-ACCESS-KEY"] == "the-key"
        assert request.headers["KALSHI-ACCESS-SIGNATURE"]
        return connection.respond(401, '{"error":{"code":"x"}}') if refuse else None

    async def whole() -> None:
        async with serve(server_part, "127.0.0.1", 0, process_request=refusal) as server:
            port = next(iter(server.sockets)).getsockname()[1]
            causes: asyncio.Queue[Cause] = asyncio.Queue()
            url = f"ws://127.0.0.1:{port}/trade-api/ws/v2"
            sockets = Sockets(url, Signer("the-key", PEM, "test"))
            sockets.feed = causes.put_nowait
            try:
                await asyncio.wait_for(story(sockets, causes), PATIENCE)
            finally:
                await sockets.end()

    asyncio.run(whole())


async def idle(connection: ServerConnection) -> None:
    await connection.wait_closed()


def test_frames_go_both_ways_a_ping_is_told_and_a_break_is_told() -> None:
    async def server_part(connection: ServerConnection) -> None:
        command = await connection.recv()
        await connection.ping("heartbeat")
        for n in range(300):
            await connection.send(f"{command} {n}")
        connection.transport.abort()

    async def story(sockets: Sockets, causes: "asyncio.Queue[Cause]") -> None:
        sockets.perform(OpenSocket("market"))
        assert isinstance(await causes.get(), SocketOpened)
        sockets.perform(SendFrame("market", b"subscribe"))
        got = [await causes.get() for _ in range(302)]
        raws = [raw for cause in got if isinstance(cause, FramesReceived) for raw in cause.raws]
        assert raws == [f"subscribe {n}".encode() for n in range(300)]
        assert [type(c) for c in got if isinstance(c, PingReceived)] == [PingReceived]
        assert isinstance(got[-1], SocketClosed)
        assert got[-1].reason.startswith("closed 1006")

    play(server_part, story)


def test_a_refused_handshake_has_its_status() -> None:
    async def story(sockets: Sockets, causes: "asyncio.Queue[Cause]") -> None:
        sockets.perform(OpenSocket("private"))
        failed = await causes.get()
        assert isinstance(failed, OpenFailed) and (failed.link, failed.status) == ("private", 401)
        assert failed.reason == 'HTTP 401 {"error":{"code":"x"}}'

    play(idle, story, refuse=True)


def test_closing_ends_it_politely_and_is_told_once() -> None:
    async def story(sockets: Sockets, causes: "asyncio.Queue[Cause]") -> None:
        sockets.perform(OpenSocket("market"))
        assert isinstance(await causes.get(), SocketOpened)
        sockets.perform(CloseSocket("market"))
        closed = await causes.get()
        assert isinstance(closed, SocketClosed) and closed.reason == "closed 1000"
        assert causes.empty()

    play(idle, story)


def test_nobody_there_and_a_socket_given_up_before_it_was_open() -> None:
    async def whole() -> None:
        async def mute(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read()
            writer.close()

        causes: asyncio.Queue[Cause] = asyncio.Queue()
        server = await asyncio.start_server(mute, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        sockets = Sockets(f"ws://127.0.0.1:{port}/x", Signer("k", PEM, "test"))
        sockets.feed = causes.put_nowait
        sockets.perform(OpenSocket("market"))
        sockets.perform(CloseSocket("market"))
        assert isinstance(await causes.get(), SocketClosed)
        server.close()
        await server.wait_closed()
        sockets.perform(OpenSocket("market"))
        failed = await causes.get()
        assert isinstance(failed, OpenFailed) and failed.status == 0
        await sockets.end()

    asyncio.run(asyncio.wait_for(whole(), PATIENCE))


def test_only_on_this_machine_without_encryption() -> None:
    for url in ("wss://example.com/x", "ws://127.0.0.1:1/x", "ws://[::1]:1/", "ws://localhost/"):
        assert checked(url) == url
    for url in ("ws://example.com/", "ws://10.0.0.1/", "http://127.0.0.1/", "", "ws://127.evil/"):
        with pytest.raises(ConfigError):
            checked(url)
