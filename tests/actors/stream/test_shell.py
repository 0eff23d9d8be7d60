"""The sockets as a whole: beside a server of the library's own, encrypted, several at a time; and
what else the shell does for its core."""

import asyncio
import datetime
import logging
import os
import ssl
import threading
from collections.abc import Awaitable, Callable
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from websockets.asyncio.server import ServerConnection, serve
from websockets.http11 import Request, Response

from actors.stream.shell import Sockets, checked
from actors.stream.wire import (
    CloseSocket,
    FollowSaved,
    FramesReceived,
    Listened,
    OpenFailed,
    OpenSocket,
    PingReceived,
    SaveFollow,
    SendFrame,
    SocketClosed,
    SocketOpened,
)
from actors.stream.wishes import saved_follow
from protocol.errors import ConfigError
from protocol.machine import Cause
from tests.actors.stream.exchange import PATIENCE, SIGNER, Peer, frame, play, run

Causes = asyncio.Queue[Cause]
Serve = Callable[[ServerConnection], Awaitable[None]]
Story = Callable[[Sockets, Causes], Awaitable[None]]


def play_server(server_part: Serve, story: Story, refuse: bool = False) -> None:
    """The same against a server that is not ours."""

    def refusal(connection: ServerConnection, request: Request) -> Response | None:
        assert request.path == "/trade-api/ws/v2"
        assert request.headers["KALSHI-ACCESS-KEY"] == "the-key"
        assert request.headers["KALSHI-ACCESS-SIGNATURE"]
        return connection.respond(401, '{"error":{"code":"x"}}') if refuse else None

    async def whole() -> None:
        async with serve(server_part, "127.0.0.1", 0, process_request=refusal) as server:
            port = next(iter(server.sockets)).getsockname()[1]
            causes: Causes = asyncio.Queue()
            sockets = Sockets(f"ws://127.0.0.1:{port}/trade-api/ws/v2", SIGNER, "")
            sockets.feed = causes.put_nowait
            try:
                await story(sockets, causes)
            finally:
                await sockets.end()

    run(whole())


async def idle(connection: ServerConnection) -> None:
    await connection.wait_closed()


def test_frames_go_both_ways_a_ping_is_told_and_a_break_is_told() -> None:
    async def server_part(connection: ServerConnection) -> None:
        command = await connection.recv()
        await (await connection.ping("heartbeat"))
        for n in range(300):
            await connection.send(f"{command} {n}")
        connection.transport.abort()

    async def story(sockets: Sockets, causes: Causes) -> None:
        sockets.perform(OpenSocket("public"))
        assert isinstance(await causes.get(), SocketOpened)
        sockets.perform(SendFrame("public", b"subscribe"))
        raws: list[bytes] = []
        pings = 0
        while not isinstance(cause := await causes.get(), SocketClosed):
            pings += isinstance(cause, PingReceived)
            raws += cause.raws if isinstance(cause, FramesReceived) else []
        assert pings == 1
        assert raws == [f"subscribe {n}".encode() for n in range(len(raws))]
        assert cause.reason.startswith("closed 1006")

    play_server(server_part, story)


def test_a_refused_handshake_has_its_status() -> None:
    async def story(sockets: Sockets, causes: Causes) -> None:
        sockets.perform(OpenSocket("private"))
        failed = await causes.get()
        assert isinstance(failed, OpenFailed) and (failed.link, failed.status) == ("private", 401)
        assert failed.reason == 'HTTP 401 {"error":{"code":"x"}}'
        assert failed.date > 0

    play_server(idle, story, refuse=True)


def test_closing_ends_it_politely_and_is_told_once() -> None:
    async def story(sockets: Sockets, causes: Causes) -> None:
        sockets.perform(OpenSocket("public"))
        assert isinstance(await causes.get(), SocketOpened)
        sockets.perform(CloseSocket("public"))
        closed = await causes.get()
        assert isinstance(closed, SocketClosed) and closed.reason == "closed 1000"
        assert causes.empty()

    play_server(idle, story)


def test_two_links_know_nothing_of_each_other() -> None:
    both = threading.Barrier(2, timeout=PATIENCE)

    def exchange(peer: Peer) -> None:
        peer.agree()
        _, name = peer.hear()
        both.wait()  # both are open
        peer.send(frame(b"for " + name))
        if name == b"market1":
            peer.reset()
        else:
            peer.until_closed()

    async def story(sockets: Sockets, causes: Causes) -> None:
        for link in ("private", "market1"):
            sockets.perform(OpenSocket(link))
            assert isinstance(await causes.get(), SocketOpened)
        for link in ("private", "market1"):
            sockets.perform(SendFrame(link, link.encode()))
        found: dict[str, list[Cause]] = {"private": [], "market1": []}
        while len(found["private"]) < 1 or len(found["market1"]) < 2:
            cause = await causes.get()
            assert isinstance(cause, FramesReceived | SocketClosed)
            found[cause.link].append(cause)
        for link, (first, *_) in found.items():
            assert isinstance(first, FramesReceived) and first.raws == [f"for {link}".encode()]
        assert isinstance(found["market1"][1], SocketClosed)
        sockets.perform(CloseSocket("private"))
        closed = await causes.get()
        assert isinstance(closed, SocketClosed) and closed.link == "private"

    play(story, exchange, exchange)


# Encrypted


def certificate(folder: Path) -> ssl.SSLContext:
    """A server's, for `localhost`, that vouches for itself: in `folder`/cert.pem."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    names = [x509.DNSName("localhost"), x509.IPAddress(ip_address("127.0.0.2"))]
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    (folder / "cert.pem").write_bytes(made.public_bytes(Encoding.PEM))
    form = PrivateFormat.PKCS8
    (folder / "key.pem").write_bytes(key.private_bytes(Encoding.PEM, form, NoEncryption()))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    return context


def test_encrypted_with_a_name_that_is_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = certificate(tmp_path)
    asked: list[str] = []
    context.sni_callback = lambda _, name, __: asked.append(name)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "cert.pem"))
    many = [b"%d" % n * 100 for n in range(5_000)]

    def exchange(peer: Peer) -> None:
        peer.agree()
        assert peer.hear() == (1, b"all")
        peer.send(b"".join(map(frame, many)))
        peer.until_closed()

    async def story(sockets: Sockets, causes: Causes) -> None:
        sockets.perform(OpenSocket("public"))
        first = await causes.get()
        assert isinstance(first, SocketOpened), first
        sockets.perform(SendFrame("public", b"all"))
        raws: list[bytes] = []
        while len(raws) < len(many):
            cause = await causes.get()
            assert isinstance(cause, FramesReceived)
            raws += cause.raws
        assert raws == many

    play(story, exchange, tls=context)
    assert asked == ["localhost"]


def test_a_certificate_that_nobody_vouches_for(tmp_path: Path) -> None:
    context = certificate(tmp_path)

    def never(peer: Peer) -> None:
        raise AssertionError("a request was sent")

    async def story(sockets: Sockets, causes: Causes) -> None:
        sockets.perform(OpenSocket("public"))
        failed = await causes.get()
        assert isinstance(failed, OpenFailed) and failed.status == 0
        assert "CERTIFICATE_VERIFY_FAILED" in failed.reason

    with pytest.raises(ssl.SSLError):
        play(story, never, tls=context)


# What is followed


def test_what_is_followed_is_kept(tmp_path: Path) -> None:
    assert saved_follow(str(tmp_path)) == ((), ())

    async def story(sockets: Sockets, causes: Causes) -> None:
        for number in range(1, 6):
            sockets.perform(SaveFollow(number, ("series:KXA", f"KXB-{number}"), ("*",)))
        saved = [await causes.get() for _ in range(5)]
        for number, cause in enumerate(saved, 1):
            assert isinstance(cause, FollowSaved)
            assert (cause.number, cause.trouble) == (number, "")

    play(story, folder=str(tmp_path))
    assert saved_follow(str(tmp_path)) == (("series:KXA", "KXB-5"), ("*",))
    assert os.listdir(tmp_path) == ["follow.json"]
    text = (tmp_path / "follow.json").read_text()
    assert text == '{"added":["series:KXA","KXB-5"],"removed":["*"]}\n'


def test_what_can_not_be_kept_is_said(tmp_path: Path) -> None:
    async def story(sockets: Sockets, causes: Causes) -> None:
        sockets.perform(SaveFollow(7, ("KXA",), ()))
        saved = await causes.get()
        assert isinstance(saved, FollowSaved) and saved.number == 7
        assert saved.trouble == f"{tmp_path}/nowhere/follow.json: No such file or directory"

    play(story, folder=f"{tmp_path}/nowhere")


@pytest.mark.parametrize(
    "text", ["", "{", '{"added":["a"]}', '{"added":[1],"removed":[]}', "[" * 100_000, "\xff"]
)
def test_a_damaged_file_is_named_and_counts_as_none(
    text: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "follow.json").write_text(text, "latin-1")
    with caplog.at_level(logging.ERROR):
        assert saved_follow(str(tmp_path)) == ((), ())
    (record,) = caplog.records
    assert f"{tmp_path}/follow.json" in record.message and "\n" not in record.message


# Who listens, and where to


def test_only_those_who_listen_to_raw_frames_are_told_of() -> None:
    async def story(sockets: Sockets, causes: Causes) -> None:
        for prefix in (b"", b"r", b"book.", b"raw", b"raw.trade", b"raw.\xff"):
            sockets.listened(prefix, True)
        sockets.listened(b"raw.trade", False)
        told = [await causes.get() for _ in range(3)]
        assert [(c.prefix, c.on) for c in told if isinstance(c, Listened)] == [
            ("raw.trade", True), ("raw.\N{REPLACEMENT CHARACTER}", True), ("raw.trade", False),
        ]  # fmt: skip
        assert causes.empty()

    play(story)


def test_only_on_this_machine_without_encryption() -> None:
    for url in ("wss://example.com/x", "ws://127.0.0.1:1/x", "ws://[::1]:1/", "ws://localhost/"):
        assert checked(url) == url
    for url in (
        "ws://example.com/",
        "ws://10.0.0.1/",
        "http://127.0.0.1/",
        "",
        "ws://127.evil/",
        "wss://a:99999/",
        "ws://127.0.0.1:0/",
    ):
        with pytest.raises(ConfigError):
            checked(url)
