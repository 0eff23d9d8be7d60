"""The recorder's files: blocks appended in one piece, indexes written when a segment is closed.

A block is one gzip member, handed to the kernel whole: kill -9 leaves whole blocks, and of the last
one perhaps a part, which whoever reads leaves out.
"""

import errno
import hashlib
import os
import re
import zlib
from collections.abc import Callable
from typing import Final

from msgspec.structs import replace

from actors.recorder.wire import (
    Append,
    Appended,
    Begin,
    Kept,
    Remove,
    Seal,
    Sealed,
    StorageFailed,
)
from protocol.errors import ConfigError
from protocol.machine import Cause, Effect
from protocol.recording import index_name, number_of, segment_name, write_index
from protocol.runtime.loop import wall
from protocol.runtime.process import replace_file
from protocol.runtime.segments import last_frame_at

LEVEL: Final = 3  # of compression: a third of the time of 6, a tenth more bytes
GZIP: Final = 31  # zlib's word for a gzip member with the largest window

TEMPORARY: Final = re.compile(r"\.raw-[0-9]{8}\.index\.json\..+", re.ASCII)  # of replace_file


class Folder:
    """One folder of segments, which one recorder writes. It feeds what became of each effect."""

    def __init__(self, path: str) -> None:
        self._path = path
        self.feed: Callable[[Cause], None] | None = None
        self._descriptor: int | None = None
        self._name = ""
        self._size = 0
        self._hash = hashlib.sha256()

    def kept(self) -> tuple[list[Kept], int]:
        """The segments that are there, oldest first, and when the last frame in them came.

        What a kill left of an index that was being written is cleared away. Raises ConfigError.
        """
        found = []
        try:
            for name in os.listdir(self._path):
                if TEMPORARY.fullmatch(name):
                    os.unlink(f"{self._path}/{name}")
                number = number_of(name)
                if number is not None:
                    path = f"{self._path}/{name}"
                    size = os.path.getsize(path)
                    if os.path.exists(index_name(path)):
                        size += os.path.getsize(index_name(path))
                    found.append(Kept(number, size))
            found.sort(key=lambda kept: kept.number)
            last_at = 0
            for kept in reversed(found):
                last_at = last_frame_at(f"{self._path}/{segment_name(kept.number)}")
                if last_at:
                    break
        except OSError as e:
            raise ConfigError(f"{self._path}: {e.strerror}") from None
        return found, last_at

    def perform(self, effect: Effect) -> None:
        """Do what the core wants; a failure of the storage is a cause, too."""
        assert self.feed is not None
        try:
            match effect:
                case Begin(head=head):
                    self._begin(segment_name(head.number))
                case Append(lines=lines):
                    self.feed(Appended(wall(), self._append(b"".join(lines))))
                case Seal(index=index):
                    index = replace(index, sha256=self._hash.hexdigest())
                    size = self._seal(write_index(index))
                    self.feed(Sealed(wall(), Kept(index.head.number, size)))
                case Remove(number=number):
                    self._remove(f"{self._path}/{segment_name(number)}")
                case _:
                    raise AssertionError(f"unexpected effect: {effect}")
        except OSError as e:
            where = e.filename or f"{self._path}/{self._name}"
            self.feed(StorageFailed(wall(), f"{where}: {e.strerror}"))

    def close(self) -> None:
        """Let go of the open file."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _begin(self, name: str) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
        self._descriptor = os.open(f"{self._path}/{name}", flags, 0o600)
        self._name, self._size, self._hash = name, 0, hashlib.sha256()

    def _append(self, text: bytes) -> int:
        """Write a block, all of it or none of it. Returns its size. Raises OSError."""
        descriptor = self._opened()
        packer = zlib.compressobj(LEVEL, zlib.DEFLATED, GZIP)
        block = packer.compress(text) + packer.flush()
        rest = memoryview(block)
        try:
            while rest:
                rest = rest[os.write(descriptor, rest) :]
        except OSError:
            os.ftruncate(descriptor, self._size)
            raise
        self._size += len(block)
        self._hash.update(block)
        return len(block)

    def _opened(self) -> int:
        if self._descriptor is None:  # it could not be made, and that was told
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        return self._descriptor

    def _seal(self, index: bytes) -> int:
        """Make the segment last, and then its index. Returns what they take. Raises OSError."""
        os.fsync(self._opened())
        self.close()
        replace_file(index_name(f"{self._path}/{self._name}"), index)
        return self._size + len(index)

    @staticmethod
    def _remove(path: str) -> None:
        """The index first: a segment without one is whole, an index without a segment nothing."""
        for name in (index_name(path), path):
            if os.path.exists(name):
                os.unlink(name)
