"""`sidecar tap`: messages as they pass, or (--verify) whether all of them do, and how old."""

import argparse
import asyncio
import os
import sys
from typing import Final

from protocol import topics
from protocol.config import Settings
from protocol.errors import ConfigError
from protocol.limits import SECONDS_MAX
from protocol.machine import Effect
from protocol.runtime.bus import Bus, tap
from protocol.runtime.log import start as start_log
from protocol.runtime.loop import Loop, wall
from protocol.runtime.process import MISCONFIGURED, load_settings
from supervisor.tally import Say, Tally

SOCKETS: Final = ("stream.pub", "ledger.pub", "system.pub")


def run(arguments: argparse.Namespace) -> int:
    """Print, or verify, until it is enough. Returns the exit code."""
    try:
        settings = load_settings()
    except ConfigError as e:
        print(f"tap: {e}", file=sys.stderr)
        return MISCONFIGURED
    wrong = _flaw(arguments)
    if wrong:
        print(f"tap: {wrong}", file=sys.stderr)
        return MISCONFIGURED
    prefixes = wanted(arguments.prefix)
    if arguments.verify:
        return asyncio.run(_verify(settings, prefixes, arguments.count, arguments.seconds))
    endpoints = [settings.endpoint(name) for name in SOCKETS]
    for count, frame in enumerate(tap(endpoints, prefixes), 1):
        print(frame.decode("utf-8", "backslashreplace"), flush=True)
        if count == arguments.count:
            break
    return 0


def _flaw(arguments: argparse.Namespace) -> str:
    """What is wrong with the command line; "" if nothing is."""
    if arguments.count < 0:
        return f"--count: {arguments.count}, expected 0 (no end) or more"
    if not 0 <= arguments.seconds <= SECONDS_MAX:
        return f"--seconds: {arguments.seconds}, expected 0 (no end) to {SECONDS_MAX}"
    if arguments.seconds and not arguments.verify:
        return "--seconds goes with --verify"
    return ""


def wanted(prefixes: list[str]) -> tuple[str, ...]:
    """What to subscribe to. "" is everything but the raw frames, which have to be asked for."""
    found: dict[str, None] = {}
    for prefix in prefixes or [""]:
        found |= dict.fromkeys(topics.ALL if prefix == "" else (prefix,))
    return tuple(found)


async def _verify(settings: Settings, prefixes: tuple[str, ...], count: int, seconds: float) -> int:
    start_log("tap")
    bus = Bus(settings)
    for socket in SOCKETS:
        bus.hear(socket, [*prefixes, topics.MARK + " "])
    core = Tally(f"tap-{os.getpid()}", wall(), prefixes, count, seconds)
    return await Loop(core, bus, _say).run()


def _say(effect: Effect) -> None:
    assert isinstance(effect, Say)
    print(effect.text, flush=True)
