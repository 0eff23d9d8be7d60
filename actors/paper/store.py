"""What lasts: one append-only journal of JSON lines under `<var_dir>/exchange`, and the captures.

A line is on disk (fsync) before anybody is told of it. A torn last line is what a kill leaves of a
line that nobody was told of: it is cut off. A damaged line elsewhere stops the start, because the
account would come back as something it never was.
"""

import gzip
import os
import zlib
from collections.abc import Callable
from typing import Final

import msgspec

from actors.paper.capture import Tape, read_tape
from actors.paper.wire import Line
from protocol.errors import ConfigError

NAME: Final = "journal.jsonl"


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


def load_tape(path: str) -> Tape:
    """A capture file (.jsonl, .jsonl.gz). Raises ConfigError naming what is wrong with it."""
    try:
        with gzip.open(path) if path.endswith(".gz") else open(path, "rb") as lines:
            tape = read_tape(os.path.basename(path), lines)
    except (OSError, EOFError, zlib.error) as e:
        raise ConfigError(f"paper.feed: {path}: {getattr(e, 'strerror', None) or e}") from None
    except ValueError as e:
        raise ConfigError(f"paper.feed: {path}: {e}") from None
    if not tape.total:
        raise ConfigError(f"paper.feed: {path}: no order book or trade in it")
    return tape
