"""Who signed a request: the account's key registry, and the checks in the exchange's order.

The private keys are read once, only to know their public halves: this stands in for the page on
which one registers a key. FACTS.md section 2; captures `auth__*`.
"""

import base64
import binascii
from collections.abc import Mapping
from typing import Final

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from actors.paper.answers import Answer, Refused, nested
from protocol.config import Settings
from protocol.errors import ConfigError

WINDOW: Final = 10_000  # milliseconds each side of now: 5 s is accepted, 30 s is not
KEY_HEADER: Final = "kalshi-access-key"
TIMESTAMP_HEADER: Final = "kalshi-access-timestamp"
SIGNATURE_HEADER: Final = "kalshi-access-signature"
_PSS: Final = padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=hashes.SHA256.digest_size)

PublicKey = RSAPublicKey | Ed25519PublicKey


def load_public_key(path: str) -> PublicKey:
    """The public half of a PEM file (RSA or Ed25519). Raises ConfigError naming the file."""
    try:
        with open(path, "rb") as file:
            key = load_pem_private_key(file.read(), password=None)
    except OSError as e:
        raise ConfigError(f"{path}: {e.strerror}") from None
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise ConfigError(f"{path}: not a private key in PEM form") from None
    if not isinstance(key, RSAPrivateKey | Ed25519PrivateKey):
        raise ConfigError(f"{path}: expected an RSA or Ed25519 key")
    return key.public_key()


class KeyRing:
    """Keys by id, and which of them may write."""

    def __init__(self, settings: Settings) -> None:
        exchange = settings.exchange
        self._keys = {exchange.key_id: load_public_key(exchange.key_file)}
        self._writers = {exchange.key_id}
        if exchange.read_key_id and exchange.read_key_id != exchange.key_id:
            self._keys[exchange.read_key_id] = load_public_key(exchange.read_key_file)

    def check(self, headers: Mapping[str, str], method: str, path: str, at: int) -> None:
        """Raise Refused unless the request is signed by a key that may make it, now (`at`, µs).

        `path` is from the root and without the query. Only GETs are open to a read-only key.
        """
        for name, code in (
            (SIGNATURE_HEADER, "signature_is_missing_from_headers"),
            (KEY_HEADER, "key_is_missing_from_headers"),
            (TIMESTAMP_HEADER, "timestamp_is_missing_from_headers"),
        ):
            if not headers.get(name):
                raise Refused(nested(401, code, service=""))
        key = self._keys.get(headers[KEY_HEADER])
        if key is None:
            raise Refused(_unauthenticated("NOT_FOUND"))
        text = headers[TIMESTAMP_HEADER]
        if not _signed(key, headers[SIGNATURE_HEADER], f"{text}{method}{path}".encode()):
            raise Refused(_unauthenticated("INCORRECT_API_KEY_SIGNATURE"))
        sane = text.isascii() and text.isdigit() and len(text) < 20
        if not sane or abs(int(text) - at // 1_000) > WINDOW:
            raise Refused(nested(401, "header_timestamp_expired", service=""))
        if method != "GET" and headers[KEY_HEADER] not in self._writers:
            raise Refused(nested(403, "permission_denied", "write scope required", service=""))


def _unauthenticated(details: str) -> Answer:
    body = {
        "code": "authentication_error",
        "message": "authentication_error",
        "details": details,
    }
    return Answer(401, {"error": body})


def _signed(key: PublicKey, signature: str, text: bytes) -> bool:
    try:
        raw = base64.b64decode(signature, validate=True)
        if isinstance(key, RSAPublicKey):
            key.verify(raw, text, _PSS, hashes.SHA256())
        else:
            key.verify(raw, text)
    except (InvalidSignature, binascii.Error, ValueError):
        return False
    return True
