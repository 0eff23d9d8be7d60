"""Signatures for the exchange: RSA-PSS or Ed25519, by what the key file holds.

FACTS.md section 2: the signed text is the timestamp in milliseconds, the method in capitals and
the path from the root without its query, with nothing between them; the body is not signed.
"""

import base64
import re
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, padding, rsa

from protocol.errors import ConfigError

RSA_BITS_MIN: Final = 2048
_KEY_ID = re.compile(r"[!-~]{1,256}", re.ASCII)  # fit for a header


class Signer:
    """Makes the three headers that authenticate a call. Its text form never shows the key."""

    def __init__(self, key_id: str, pem: bytes, where: str) -> None:
        """`where` names the key file in errors. Raises ConfigError if it holds no usable key."""
        if _KEY_ID.fullmatch(key_id) is None:
            raise ConfigError(f"{where}: the id of this key in the settings is {key_id[:80]!r}")
        try:
            key = serialization.load_pem_private_key(pem, password=None)
        except TypeError:  # so it is said, and by nothing else
            raise ConfigError(f"{where}: the key is encrypted, expected one without") from None
        except (ValueError, UnsupportedAlgorithm):
            raise ConfigError(f"{where}: not a private key in PEM form") from None
        if not isinstance(key, rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey):
            raise ConfigError(f"{where}: expected an RSA or Ed25519 key")
        if isinstance(key, rsa.RSAPrivateKey) and key.key_size < RSA_BITS_MIN:
            raise ConfigError(f"{where}: {key.key_size} bits, expected {RSA_BITS_MIN} at least")
        self._key_id = key_id
        self._key = key

    def __repr__(self) -> str:
        return f"Signer({self._key_id!r})"

    def headers(self, at_ms: int, method: str, path: str) -> dict[str, str]:
        """The headers for one call at a wall time in milliseconds."""
        text = f"{at_ms}{method.upper()}{path.partition('?')[0]}".encode()
        return {
            "KALSHI-ACCESS-KEY": self._key_id,
            "KALSHI-ACCESS-TIMESTAMP": str(at_ms),
            "KALSHI-ACCESS-SIGNATURE": base64.b64encode(self._sign(text)).decode(),
        }

    def _sign(self, text: bytes) -> bytes:
        if isinstance(self._key, ed25519.Ed25519PrivateKey):
            return self._key.sign(text)
        pss = padding.PSS(padding.MGF1(hashes.SHA256()), padding.PSS.DIGEST_LENGTH)
        return self._key.sign(text, pss, hashes.SHA256())
