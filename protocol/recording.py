"""What `sidecar record` writes: segments of compressed lines of JSON, each with an index.

A segment is a row of gzip members (blocks) that are whole one by one, so whatever reads gzip reads
it, and a recorder that is killed loses its last block at most. Each line is one of four things:

    {"segment": ...}   the first line of a segment: which run of the recorder, which number
    {"at": ..., "channel": ..., "link": ..., "connection": ..., "frame": {...}}
                       a frame as it came from the exchange, and when (microseconds); one that is
                       not valid JSON stands as "base64" instead of "frame"
    {"hole": ...}      something is missing, or may be, between two moments
    {"book": ...}      the stream's own book, as of `received_at`: where a book starts that was
                       there before the recording, or after a hole
"""

import base64
import re
from typing import Any, Final

import msgspec
from msgspec import Struct

from protocol.messages import BookAnswer, Level, RawFrame
from protocol.units import decode_unit, encode_unit

FORMAT: Final = 1
SEGMENT: Final = ".jsonl.gz"
INDEX: Final = ".index.json"
# A hole of these topics, or of any, hides what a book was made of, or that it was made anew.
BLIND: Final = ("", "raw.orderbook_delta", "raw.control", "raw.malformed")

_NAME = re.compile(r"raw-([0-9]{8})\.jsonl\.gz", re.ASCII)


class Head(Struct, frozen=True):
    """Where a segment belongs: the run (a recorder's epoch), and its number in the folder."""

    format: int
    run: int
    number: int
    began_at: int


class Hole(Struct, frozen=True, omit_defaults=True, rename={"since": "from", "until": "to"}):
    """What may be missing, between two moments (microseconds; 0: not known).

    `start`: the recorder was not there before. `gap`, `tail`, `mark`, `epoch`, `silence`: see
    protocol/continuity.py. `connection`: a link has a new socket, which begins with nothing
    subscribed. `clock`: the clock was set back. `damaged`, `segment`: a block or a segment can't be
    read, or is not there; only whoever reads says so.
    """

    why: str
    since: int
    until: int
    topic: str = ""  # "": any
    link: str = ""  # "": any
    missing: int = 0  # messages, at least


class SeenBook(Struct, frozen=True):
    """A book as the stream had it when it was asked, at `at`; its last change came `received_at`.

    What came for that market after `received_at` is not in it yet.
    """

    ticker: str
    at: int
    received_at: int
    yes: tuple[Level, ...]
    no: tuple[Level, ...]


class Recorded(Struct, frozen=True, omit_defaults=True):
    """One line, whatever it is."""

    at: int = 0
    channel: str = ""
    link: str = ""
    connection: int = 0
    frame: msgspec.Raw = msgspec.Raw()
    base64: bytes = b""
    segment: Head | None = None
    hole: Hole | None = None
    book: SeenBook | None = None


class Block(Struct, frozen=True):
    """One gzip member: where it is, and what is in it. The times are of frames, 0 without any."""

    offset: int
    size: int
    frames: int
    holes: int
    first_at: int
    last_at: int


class Index(Struct, frozen=True):
    """What a segment holds, written when it is closed. `sha256` is of the file as it is."""

    head: Head
    size: int
    sha256: str
    frames: int
    holes: int
    first_at: int
    last_at: int
    blocks: tuple[Block, ...]


_encode = msgspec.json.Encoder(enc_hook=encode_unit).encode
_decode_line = msgspec.json.Decoder(Recorded, dec_hook=decode_unit).decode
_decode_index = msgspec.json.Decoder(Index).decode
_decode_any = msgspec.json.Decoder().decode


def segment_name(number: int) -> str:
    return f"raw-{number:08d}{SEGMENT}"


def index_name(segment: str) -> str:
    """The index that belongs to a segment's name or path."""
    return segment.removesuffix(SEGMENT) + INDEX


def number_of(name: str) -> int | None:
    """The number in a segment's name, None if it is no such name."""
    found = _NAME.fullmatch(name)
    return int(found[1]) if found else None


def frame_line(channel: str, raw: RawFrame) -> tuple[bytes, dict[str, Any]]:
    """A frame's line, and what the frame says ({} if it is not JSON that fits into a line)."""
    body = plain(raw.frame)
    text = b'"frame":%b' % raw.frame if body else b'"base64":"%b"' % base64.b64encode(raw.frame)
    line = b'{"at":%d,"channel":%b,"link":%b,"connection":%d,%b}\n' % (
        raw.received_at,
        _encode(channel),
        _encode(raw.link),
        raw.connection,
        text,
    )
    return line, body


def plain(frame: bytes) -> dict[str, Any]:
    """A frame's JSON object if it may stand in a line as it is, to the byte; else {}."""
    if not frame.startswith(b"{") or not frame.endswith(b"}") or b"\n" in frame or b"\r" in frame:
        return {}
    try:
        body = _decode_any(frame)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}
    return body if isinstance(body, dict) else {}


def head_line(head: Head) -> bytes:
    return _encode({"segment": head}) + b"\n"


def hole_line(hole: Hole) -> bytes:
    return _encode({"hole": hole}) + b"\n"


def book_line(answer: BookAnswer, at: int) -> bytes:
    """The line of a book that the stream answered at that moment."""
    book = SeenBook(answer.ticker, at, answer.received_at, answer.yes, answer.no)
    return _encode({"book": book}) + b"\n"


def read_line(line: bytes) -> Recorded:
    """Raises ValueError on what is none of the lines above."""
    try:
        found = _decode_line(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as e:
        raise ValueError(str(e)) from None
    if found.segment is not None and found.segment.format != FORMAT:
        raise ValueError(f"the format is {found.segment.format}, expected {FORMAT}")
    return found


def write_index(index: Index) -> bytes:
    return _encode(index) + b"\n"


def read_index(text: bytes) -> Index:
    """Raises ValueError on what is no index, or one whose blocks leave something out."""
    try:
        index = _decode_index(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as e:
        raise ValueError(str(e)) from None
    end = 0
    for block in index.blocks:
        if block.offset != end or block.size <= 0:
            raise ValueError(f"it has no block at byte {end}")
        end += block.size
    if end != index.size:
        raise ValueError(f"its blocks end at byte {end} of {index.size}")
    return index
