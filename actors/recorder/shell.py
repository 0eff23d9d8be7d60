"""Hosts the recorder: the stream's raw topics in, files out."""

import os
from collections.abc import Sequence

from actors.recorder.core import Recorder
from actors.recorder.store import Folder
from actors.recorder.wire import Bounds
from protocol.config import Settings
from protocol.runtime.bus import Bus
from protocol.runtime.loop import Loop, wall
from protocol.runtime.process import private_folder, take_lock

ALWAYS = ("control", "malformed")  # without these, numbers would seem to be missing


async def serve(settings: Settings, path: str, channels: Sequence[str], bounds: Bounds) -> int:
    """Record until asked to stop, or for a while. Returns the exit code.

    Raises ConfigError where the folder can't be used, LockHeld if somebody records into it.
    """
    path = path or f"{settings.var_dir}/recordings"
    private_folder(path)
    lock = take_lock(f"{path}/.lock")
    folder = Folder(path)
    try:
        kept, last_at = folder.kept()
        prefixes = prefixes_of(channels)
        bus = Bus(settings)
        bus.hear("stream.pub", ["mark ", *prefixes])
        core = Recorder(wall(), bounds, prefixes, kept, last_at)
        loop = Loop(core, bus, folder.perform)
        folder.feed = loop.feed
        return await loop.run()
    finally:
        folder.close()
        os.close(lock)


def prefixes_of(channels: Sequence[str]) -> tuple[str, ...]:
    """What to subscribe to; no channel named means all."""
    if not channels:
        return ("raw.",)
    return tuple(f"raw.{channel} " for channel in dict.fromkeys((*channels, *ALWAYS)))
