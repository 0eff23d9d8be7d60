"""WebSocket frames in a stream of bytes: found, read and made (RFC 6455 section 5.2)."""

from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

TEXT: Final = 0x1
CLOSE: Final = 0x8
PING: Final = 0x9
PONG: Final = 0xA

END_OF_HEAD: Final = b"\r\n\r\n"
HEAD_BYTES_MAX: Final = 64 * 1024


@dataclass
class Frame:
    """One frame as it stands on the wire, and what is in it. `of` is what it says of itself."""

    opcode: int
    final: bool
    payload: bytes
    raw: bytes
    _json: Any = field(default=None, repr=False)

    @property
    def of(self) -> dict[str, Any]:
        """The JSON object in a text frame; empty if there is none."""
        if self._json is None:
            self._json = {}
            if self.opcode == TEXT and self.final:
                try:
                    found = msgspec.json.decode(self.payload)
                except msgspec.DecodeError:
                    found = None
                self._json = found if isinstance(found, dict) else {}
        return dict(self._json)


def text(payload: bytes) -> bytes:
    """A text frame as a server sends it."""
    size = len(payload)
    if size < 126:
        head = bytes((0x80 | TEXT, size))
    elif size < 1 << 16:
        head = bytes((0x80 | TEXT, 126)) + size.to_bytes(2, "big")
    else:
        head = bytes((0x80 | TEXT, 127)) + size.to_bytes(8, "big")
    return head + payload


class Splitter:
    """Bytes in, whole things out: the head of the handshake first, then frames."""

    def __init__(self) -> None:
        self._waiting = bytearray()
        self._head = True

    def head(self, data: bytes) -> bytes | None:
        """Add bytes; the head once it is whole. What follows it is the first of the frames."""
        self._waiting += data
        end = self._waiting.find(END_OF_HEAD)
        if end < 0:
            assert len(self._waiting) <= HEAD_BYTES_MAX, "no handshake has such a head"
            return None
        end += len(END_OF_HEAD)
        head = bytes(self._waiting[:end])
        del self._waiting[:end]
        return head

    def frames(self, data: bytes) -> list[Frame]:
        """Add bytes; the frames that are whole by now."""
        self._waiting += data
        found = []
        start = 0
        while (end := _end_of_frame(self._waiting, start)) is not None:
            found.append(_read(bytes(self._waiting[start:end])))
            start = end
        del self._waiting[:start]
        return found

    def rest(self) -> bytes:
        """What is no whole thing yet."""
        rest = bytes(self._waiting)
        self._waiting.clear()
        return rest


def _sizes(data: bytes | bytearray, start: int) -> tuple[int, int] | None:
    """Bytes of the head (with the mask) and of the payload."""
    if len(data) < start + 2:
        return None
    mask = 4 if data[start + 1] & 0x80 else 0
    size = data[start + 1] & 0x7F
    wide = {126: 2, 127: 8}.get(size, 0)
    if len(data) < start + 2 + wide:
        return None
    if wide:
        size = int.from_bytes(data[start + 2 : start + 2 + wide], "big")
    return 2 + wide + mask, size


def _end_of_frame(data: bytearray, start: int) -> int | None:
    sizes = _sizes(data, start)
    if sizes is None or len(data) < start + sum(sizes):
        return None
    return start + sum(sizes)


def _read(raw: bytes) -> Frame:
    sizes = _sizes(raw, 0)
    assert sizes is not None
    payload = raw[sizes[0] :]
    if raw[1] & 0x80:
        mask = raw[sizes[0] - 4 : sizes[0]]
        whole = (mask * (len(payload) // 4 + 1))[: len(payload)]
        plain = int.from_bytes(payload, "big") ^ int.from_bytes(whole, "big")
        payload = plain.to_bytes(len(payload), "big")
    return Frame(raw[0] & 0x0F, bool(raw[0] & 0x80), payload, raw)
