"""A pass: the brakes' word that this very request may be signed and sent.

It is bound to the bytes of the request by their hash, so what was looked at is what leaves. The
wire asks for one before it signs whatever may add risk; only the brakes give them out.
"""

import hashlib

from msgspec import Struct

from protocol.kalshi.calls import Call


class Pass(Struct, frozen=True):
    """Holds for one request, to the byte."""

    digest: bytes

    def covers(self, call: Call) -> bool:
        """Whether it was given for this request and no other."""
        return self.digest == digest_of(call)


def digest_of(call: Call) -> bytes:
    """SHA-256 over all of a request that reaches the exchange."""
    head = f"{call.method} {call.path} {call.query!r}\n".encode()
    return hashlib.sha256(head + call.body).digest()
