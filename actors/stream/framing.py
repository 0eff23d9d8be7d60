"""Cuts what a socket brings into whole WebSocket frames (RFC 6455 section 5.2).

Nearly all that the exchange sends is plain: a whole text, unmasked, in one frame. Those are taken
out here, at a tenth of what a complete parser costs. Everything else, and whatever is not as it
should be, is handed on as it came, to be judged by the library.
"""

from typing import Final

PLAIN: Final = 0x81  # FIN, no reserved bits, text
MASKED: Final = 0x80  # of the second byte: a server may not
HEAD: Final = 2
EXTRA: Final = {126: 2, 127: 8}  # more bytes of a head, by the length that it begins with


class Cutter:
    """Holds the beginning of a frame whose end has not come yet: at most one."""

    def __init__(self, size_max: int) -> None:
        self._size_max = size_max
        self._data = b""
        self._at = 0
        self._held = bytearray()
        self._need = 0  # bytes that are to be there before what is held says anything
        self._doubtful = False

    def take(self, data: bytes) -> None:
        """More has come. Of a frame that comes in many pieces each byte is copied twice."""
        if self._held:
            self._held += data
            if len(self._held) < self._need:
                return
            data = bytes(self._held)
            self._held.clear()
        self._data, self._at = data, 0

    def texts(self, into: list[bytes]) -> None:
        """Move the plain texts that come next."""
        data, at, end = self._data, self._at, len(self._data)
        if self._doubtful:
            return
        while end - at >= HEAD and data[at] == PLAIN:
            size, begin = data[at + 1], at + HEAD
            if size >= 126:
                if size >= MASKED:
                    break
                begin += EXTRA[size]
                if begin > end:
                    break
                size = int.from_bytes(data[at + HEAD : begin], "big")
            stop = begin + size
            if stop > end or size > self._size_max:
                break
            into.append(data[begin:stop])
            at = stop
        self._at = at

    def other(self, room: int) -> bytes:
        """The next frame, which is not plain; nothing if it is not whole yet: then it is held.

        With one that is bigger than `room`, or masked, all the rest is handed on for good: the
        library will refuse it, and need not wait for its end.
        """
        data, at = self._data, self._at
        left = len(data) - at
        if left == 0:
            return b""
        need, size = HEAD, 0
        if left >= HEAD:
            size = data[at + 1] & ~MASKED
            need += EXTRA.get(size, 0)
            if left >= need > HEAD:
                size = int.from_bytes(data[at + HEAD : at + need], "big")
            self._doubtful |= data[at + 1] >= MASKED or (left >= need and size > room)
        if self._doubtful:
            need = left
        elif left >= need:
            need += size
        if left < need:
            self._held += data[at:]
            self._need = need
            self._data, self._at = b"", 0
            return b""
        self._at = at + need
        return data[at : at + need]
