"""Reads recordings from their files: block by block, saying what can't be read and where.

With its index, a damaged block is one hole and reading goes on behind it. Without an index (the
segment is being written, or its recorder was killed) it ends with the last whole block.
"""

import hashlib
import os
import zlib
from collections.abc import Iterator
from typing import Final

from msgspec import Struct

from protocol.errors import ConfigError
from protocol.limits import BLOCK_BYTES_MAX
from protocol.recording import (
    INDEX,
    SEGMENT,
    Block,
    Hole,
    Index,
    index_name,
    number_of,
    read_index,
    read_line,
)

READ_BYTES: Final = 256 * 1024  # from a file at once
GZIP: Final = 31  # zlib's word for a gzip member


class Finding(Struct, frozen=True):
    """What a look at a recording has found. `harmless`: what a kill leaves, and no more."""

    path: str
    text: str
    harmless: bool = False

    def __str__(self) -> str:
        return f"{self.path}: {self.text}"


class Part(Struct, frozen=True):
    """What comes next in a segment: the lines of a whole block, or what is damaged instead."""

    lines: bytes
    finding: Finding | None = None
    hole: Hole | None = None


def is_recording(path: str) -> bool:
    """Whether this is a segment, or a folder that should have some."""
    if os.path.isdir(path):
        return True
    if not path.endswith(SEGMENT):
        return False
    try:
        first = next(_members(path)).lines.partition(b"\n")[0]
        return read_line(first).segment is not None
    except (StopIteration, ValueError, OSError):
        return number_of(os.path.basename(path)) is not None


def segments_of(path: str) -> list[str]:
    """The segments of a folder, oldest first, or the one that is named. Raises ConfigError."""
    if not os.path.isdir(path):
        if not os.path.isfile(path):
            raise ConfigError(f"{path}: no such file or folder")
        return [path]
    try:
        names = sorted(name for name in os.listdir(path) if number_of(name) is not None)
    except OSError as e:
        raise ConfigError(f"{path}: {e.strerror}") from None
    if not names:
        raise ConfigError(f"{path}: no segment (raw-NNNNNNNN{SEGMENT}) in it")
    return [os.path.join(path, name) for name in names]


def parts_of(path: str) -> Iterator[Part]:
    """All of a recording, in order. Raises ConfigError if there is none, OSError as it comes."""
    before = None
    for segment in segments_of(path):
        number = number_of(os.path.basename(segment))
        if before is not None and number is not None and number != before + 1:
            text = f"the segments between {before} and {number} are missing"
            yield Part(b"", Finding(path, text), Hole("segment", 0, 0))
        before = number
        yield from parts_of_segment(segment)


def parts_of_segment(path: str) -> Iterator[Part]:
    """One segment. Raises OSError."""
    try:
        index = _index_of(path)
    except ValueError as e:
        text = f"{os.path.basename(index_name(path))} can't be read: {e}"
        yield Part(b"", Finding(path, text))
        index = None
    if index is None:
        yield from _members(path)
        return
    wrong = _compare(path, index)
    if wrong:
        yield Part(b"", Finding(path, wrong))
    with open(path, "rb") as file:
        for block in index.blocks:
            file.seek(block.offset)
            yield _block(path, block, file.read(min(block.size, BLOCK_BYTES_MAX)))


def findings_of(path: str) -> list[Finding]:
    """Read all of a recording and say what is wrong with it. Raises ConfigError and OSError."""
    return [part.finding for part in parts_of(path) if part.finding is not None]


def last_frame_at(path: str) -> int:
    """When the last frame of a segment came; 0 if it has none that can be read. Raises OSError."""
    last = 0
    for part in parts_of_segment(path):
        for line in part.lines.splitlines():
            try:
                last = max(last, read_line(line).at)
            except ValueError:
                break  # whoever plays it says so
    return last


def _index_of(path: str) -> Index | None:
    """Raises ValueError if there is one that can't be read."""
    name = index_name(path)
    assert name.endswith(INDEX)
    try:
        with open(name, "rb") as file:
            return read_index(file.read())
    except FileNotFoundError:
        return None
    except OSError as e:
        raise ValueError(e.strerror) from None


def _compare(path: str, index: Index) -> str:
    """What differs between a segment and its index; "" if nothing does."""
    size = os.path.getsize(path)
    if size != index.size:
        return f"has {size} bytes, its index says {index.size}"
    with open(path, "rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != index.sha256:
        return f"has the checksum {found[:16]}…, its index says {index.sha256[:16]}…"
    return ""


def _block(path: str, block: Block, packed: bytes) -> Part:
    """A block as its index says it is, or the hole that is in its place."""
    unpacker = zlib.decompressobj(GZIP)
    try:
        lines = unpacker.decompress(packed, BLOCK_BYTES_MAX)
        if unpacker.eof and not unpacker.unused_data:
            return Part(lines)
        wrong = "is not whole"
    except zlib.error as e:
        wrong = str(e)
    text = f"the block at byte {block.offset} ({block.frames} frames): {wrong}"
    hole = Hole("damaged", block.first_at, block.last_at, missing=block.frames)
    return Part(b"", Finding(path, text), hole)


def _members(path: str) -> Iterator[Part]:
    """The whole blocks of a segment without an index. Raises OSError."""
    with open(path, "rb") as file:
        start, waiting, ended = 0, b"", False
        while not ended or waiting:
            unpacker = zlib.decompressobj(GZIP)
            lines: list[bytes] = []
            offset = start
            try:
                while not unpacker.eof:
                    if not waiting:
                        waiting = file.read(READ_BYTES)
                        ended = not waiting
                        if ended:
                            break
                    room = BLOCK_BYTES_MAX - sum(map(len, lines))
                    if room <= 0:
                        raise zlib.error(f"unpacks to more than {BLOCK_BYTES_MAX} bytes")
                    lines.append(unpacker.decompress(waiting, room))
                    start += len(waiting)
                    waiting = unpacker.unconsumed_tail or unpacker.unused_data
                    start -= len(waiting)
            except zlib.error as e:
                text = f"can't be read from byte {offset} on: {e}"
                yield Part(b"", Finding(path, text), Hole("damaged", 0, 0))
                return
            if unpacker.eof:
                yield Part(b"".join(lines))
            elif start > offset:
                text = f"its last block, from byte {offset} on, is not whole"
                yield Part(b"", Finding(path, text, harmless=True), Hole("damaged", 0, 0))
