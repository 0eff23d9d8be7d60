"""Hosts the stream: its core, its sockets to the exchange, its place on the bus."""

import asyncio
import os
import random
from collections.abc import Callable
from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

from actors.stream.core import Stream
from actors.stream.handshake import Target
from actors.stream.socket import CLOSE_SECONDS_MAX, Life
from actors.stream.wire import (
    CloseSocket,
    FollowSaved,
    Link,
    Listened,
    OpenSocket,
    SaveFollow,
    SendFrame,
    SendPing,
)
from actors.stream.wishes import save_follow, saved_follow
from protocol.config import Exchange, Settings
from protocol.errors import ConfigError
from protocol.kalshi.signing import Signer
from protocol.machine import Cause, Effect
from protocol.pulse import Identity
from protocol.runtime.bus import Bus
from protocol.runtime.loop import Loop, wall
from protocol.runtime.process import generation, next_epoch, read_private

RAW: Final = b"raw."  # topics that are only said while somebody listens

Feed = Callable[[Cause], None]


async def serve(settings: Settings) -> int:
    """Run until asked to stop. Returns the exit code. Raises ConfigError on a bad key or URL."""
    url = checked(settings.exchange.ws_url)
    signer = signer_of(settings.exchange)
    identity = Identity("stream", next_epoch(settings.var_dir, "stream"), os.getpid(), generation())
    bus = Bus(settings)
    sockets = Sockets(url, signer, settings.var_dir)
    bus.publish_on("stream.pub", sockets.listened)
    bus.answer_on("stream.in")
    bus.hear("ledger.pub", ["mark "])
    core = Stream(
        identity,
        settings.stream.follow,
        random.Random(),
        *saved_follow(settings.var_dir),
        settings.stream.connections,
        settings.stream.tickers_a_connection,
    )
    loop = Loop(core, bus, sockets.perform)
    sockets.feed = loop.feed
    try:
        return await loop.run()
    finally:
        await sockets.end()


def signer_of(exchange: Exchange) -> Signer:
    """With the read-only key where there is one: the trading key is the gateway's."""
    if exchange.read_key_id:
        path = exchange.read_key_file
        return Signer(exchange.read_key_id, read_private(path), path)
    return Signer(exchange.key_id, read_private(exchange.key_file), exchange.key_file)


def checked(url: str) -> str:
    """The URL itself. Raises ConfigError unless it is encrypted or stays on this machine."""
    parts = urlsplit(url)
    try:
        port = parts.port
    except ValueError:
        port = 0
    if port == 0:
        raise ConfigError(f"exchange.ws_url is {url!r}, expected a port from 1 to 65535")
    if parts.scheme == "wss" or (parts.scheme == "ws" and _is_loopback(parts.hostname or "")):
        return url
    raise ConfigError(f"exchange.ws_url is {url!r}, expected wss:// (ws:// only on this machine)")


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class Sockets:
    """Performs the stream's effects: at most one socket a link that the core hears of."""

    def __init__(self, url: str, signer: Signer, var_dir: str) -> None:
        self.feed: Feed | None = None
        self._target = Target(url, signer)
        self._var_dir = var_dir
        self._lives: dict[Link, Life] = {}
        self._there: set[Life] = set()  # all whose transport is not gone yet
        self._saving = asyncio.Lock()
        self._saves: set[asyncio.Task[None]] = set()

    def perform(self, effect: Effect) -> None:
        match effect:
            case OpenSocket(link=link):
                self._open(link)
            case SendFrame(link=link, raw=raw):
                self._lives[link].send(raw)
            case SendPing(link=link, number=number):
                self._lives[link].ping(number)
            case CloseSocket(link=link):
                self._lives[link].close()
            case SaveFollow():
                save = asyncio.ensure_future(self._save(effect))
                self._saves.add(save)  # the event loop itself keeps tasks only weakly
                save.add_done_callback(self._saves.discard)
            case _:
                raise AssertionError(f"unexpected effect: {effect}")

    def listened(self, prefix: bytes, on: bool) -> None:
        """Somebody subscribed to topics that begin so, or the last one left."""
        if self.feed is not None and prefix.startswith(RAW):
            self.feed(Listened(wall(), prefix.decode("ascii", "replace"), on))

    async def end(self) -> None:
        """Close what is still open, within CLOSE_SECONDS_MAX."""
        self.feed = None
        lives = self._there.copy()
        for life in lives:
            life.close()
        if lives:
            await asyncio.wait([life.gone for life in lives], timeout=CLOSE_SECONDS_MAX)
        for life in self._there:
            life.abort()
        await asyncio.gather(*self._saves)

    def _open(self, link: Link) -> None:
        former = self._lives.get(link)
        if former is not None:
            former.abort()
        life = self._lives[link] = Life(link, self._target, self._tell)
        self._there.add(life)
        life.gone.add_done_callback(lambda _: self._there.discard(life))

    def _tell(self, life: Life, cause: Cause) -> None:
        """Feed the core, unless the socket has been replaced by a newer one."""
        if self.feed is not None and self._lives.get(life.link) is life:
            self.feed(cause)

    async def _save(self, effect: SaveFollow) -> None:
        """In a thread, as a disk may take its time; one after the other, in order."""
        async with self._saving:
            trouble = await asyncio.to_thread(
                save_follow, self._var_dir, effect.added, effect.removed
            )
        if self.feed is not None:
            self.feed(FollowSaved(wall(), effect.number, trouble))
