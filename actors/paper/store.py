"""What lasts: one append-only journal of JSON lines under `<var_dir>/exchange`, and the captures.

A line is on disk (fsync) before anybody is told of it. A torn last line is what a kill leaves of a
line that nobody was told of: it is cut off. A damaged line elsewhere stops the start, because the
account would come back as something it never was.
"""

import gzip
import logging
import os
import zlib
from collections.abc import Callable, Iterator
from typing import Final

import msgspec

from actors.paper.capture import Capture, Frames, Tape
from actors.paper.recorded import Recording
from actors.paper.wire import Line
from protocol.errors import ConfigError
from protocol.recording import hole_line
from protocol.runtime.segments import findings_of, is_recording, parts_of

NAME: Final = "journal.jsonl"

log = logging.getLogger(__name__)


class Journal:
    """The open journal. Only one process may have it: the instance lock sees to that."""

    def __init__(self, var_dir: str) -> None:
        folder = f"{var_dir}/exchange"
        self._path = f"{folder}/{NAME}"
        self._encode = msgspec.json.Encoder().encode
        self._unsynced = False
        try:
            for path in (var_dir, folder):  # a parent made in passing would be open to others
                os.makedirs(path, mode=0o700, exist_ok=True)
            os.chmod(folder, 0o700)
            flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
            self._descriptor = os.open(self._path, flags, 0o600)
            above = os.open(folder, os.O_RDONLY)
            os.fsync(above)  # the file's name lasts too
            os.close(above)
        except OSError as e:
            raise ConfigError(f"{self._path}: {e.strerror}") from None

    def replay(self, take: Callable[[Line], None]) -> None:
        """Hand over every line, oldest first, and cut off a torn tail. Raises ConfigError."""
        decode = msgspec.json.Decoder(Line).decode
        sound = 0
        with open(self._path, "rb") as file:
            for number, text in enumerate(file, 1):
                if not text.endswith(b"\n"):
                    break
                try:
                    line = decode(text)
                except (msgspec.DecodeError, UnicodeDecodeError) as e:
                    raise ConfigError(f"{self._path}: line {number} is damaged: {e}") from None
                take(line)
                sound += len(text)
        os.ftruncate(self._descriptor, sound)

    def write(self, *lines: Line) -> None:
        """Write lines in one piece: they outlive the process from now on."""
        if not lines:
            return
        rest = b"".join(self._encode(line) + b"\n" for line in lines)
        while rest:
            rest = rest[os.write(self._descriptor, rest) :]
        self._unsynced = True

    def sync(self) -> None:
        """Wait until what was written is on disk, and outlives the machine's power as well."""
        if self._unsynced:
            os.fsync(self._descriptor)
            self._unsynced = False

    def close(self) -> None:
        os.close(self._descriptor)


class Lines:
    """The lines of a capture or of a recording, from the file each time anew."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._recorded = is_recording(path)

    def __iter__(self) -> Iterator[bytes]:
        """Raises OSError, EOFError and zlib.error as they come."""
        if not self._recorded:
            with (
                gzip.open(self._path)
                if self._path.endswith(".gz")
                else open(self._path, "rb") as lines
            ):
                yield from lines
            return
        for part in parts_of(self._path):
            if part.hole is not None:
                yield hole_line(part.hole)
            yield from part.lines.splitlines(keepends=True)


def load_tape(path: str, damaged: bool = False) -> Tape:
    """A capture file (.jsonl, .jsonl.gz), or a recording: a segment, or a folder of them.

    A damaged recording is refused, unless it shall be played with holes where it is damaged.
    Raises ConfigError naming what is wrong with it.
    """
    try:
        if is_recording(path):
            _look(path, damaged)
            frames: Frames = Recording(Lines(path))
        else:
            frames = Capture(Lines(path))
        tape = Tape(os.path.basename(path.rstrip("/")), frames)
    except (OSError, EOFError, zlib.error) as e:
        raise ConfigError(f"paper.feed: {path}: {getattr(e, 'strerror', None) or e}") from None
    except ValueError as e:
        raise ConfigError(f"paper.feed: {path}: {e}") from None
    if not tape.total:
        raise ConfigError(f"paper.feed: {path}: no order book or trade in it")
    return tape


def _look(path: str, damaged: bool) -> None:
    """Say what is wrong with a recording. Raises ConfigError if it must not be played so."""
    for finding in findings_of(path):
        if not (finding.harmless or damaged):
            raise ConfigError(f"paper.feed: {finding} (paper.damaged = true plays it with holes)")
        log.warning("%s", finding)
