"""What stands beside the database: the lock of its one writer, and the anchor of its end.

The anchor says how far the ledger had been acknowledged. It is written after each commit, before
the answers: a database that ends earlier (copied without its log file, restored by hand) is
found out at the next start instead of being carried on with a hole. It is not fsynced: it
survives a killed process, and after a power cut it is at worst older than the ledger.
"""

import fcntl
import hashlib
import os
from typing import Final, Protocol

from msgspec import Struct

from protocol.errors import ConfigError
from protocol.runtime.process import LockHeld, sync_folder

RECORD_BYTES: Final = 256
VERSION: Final = "1"


class End(Struct, frozen=True):
    """The end of a ledger, as it was last acknowledged."""

    ledger: str  # which ledger, by the name it was given when it was made
    n: int
    hash: bytes
    suspect: bool = False  # the storage failed: check everything before going on


class Anchor(Protocol):
    """Keeps one end and one lock."""

    def lock(self) -> None:
        """Be the one writer. Raises LockHeld."""

    def read(self) -> End | None:
        """The end, None if there is none that can be read."""

    def write(self, end: End) -> None:
        """Replace it. Raises OSError."""

    def release(self) -> None:
        """Let the next writer in."""


class AnchorFile:
    """An anchor in two files beside the database: `.lock` and `.end`."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._lock = -1
        self._file = -1

    def lock(self) -> None:
        """Be the one writer. Held already is well. Raises LockHeld, or ConfigError."""
        if self._lock >= 0:
            return
        path = f"{self._path}.lock"
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as e:
            raise ConfigError(f"{path}: {e.strerror}") from None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(descriptor, 20, 0).decode("ascii", "replace").strip()
            os.close(descriptor)
            who = holder or "unknown"
            raise LockHeld(f"{self._path}: another writer has it open (pid {who})") from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        self._lock = descriptor

    def read(self) -> End | None:
        """The end. None if there is none, or it is damaged. Raises OSError."""
        try:
            with open(f"{self._path}.end", "rb") as file:
                return _decode(file.read(RECORD_BYTES))
        except FileNotFoundError:
            return None

    def write(self, end: End) -> None:
        """Replace it in place: it always has the same size. Raises OSError."""
        if self._file < 0:
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
            self._file = os.open(f"{self._path}.end", flags, 0o600)
            os.pwrite(self._file, _encode(end), 0)
            os.fsync(self._file)  # once: a new one must not be empty after a power cut
            sync_folder(os.path.dirname(self._path) or ".")  # SQLite does not mind if it fails
        os.pwrite(self._file, _encode(end), 0)

    def release(self) -> None:
        """Close both files."""
        for descriptor in (self._lock, self._file):
            if descriptor >= 0:
                os.close(descriptor)
        self._lock = self._file = -1


def _encode(end: End) -> bytes:
    state = "suspect" if end.suspect else "sound"
    text = f"{VERSION} {end.ledger} {end.n} {end.hash.hex()} {state}"
    check = hashlib.sha256(text.encode()).hexdigest()[:16]
    return f"{text} {check}".encode().ljust(RECORD_BYTES - 1) + b"\n"


def _decode(record: bytes) -> End | None:
    text, _, check = record.decode("ascii", "replace").rstrip().rpartition(" ")
    if hashlib.sha256(text.encode()).hexdigest()[:16] != check:
        return None
    fields = text.split(" ")
    if len(fields) != 5 or fields[0] != VERSION:
        return None
    return End(fields[1], int(fields[2]), bytes.fromhex(fields[3]), fields[4] == "suspect")
