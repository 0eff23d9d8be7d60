"""Looks for a private key in whatever bytes there are, in each form that it might have got out."""

import base64
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

TEXT_WINDOW = 32  # characters of a text form: a quarter of a kilobyte of key can't hide in less
RAW_WINDOW = 16
SIGNATURE = re.compile(rb"(?<![A-Za-z0-9+/])(?:[A-Za-z0-9+/]{86}|[A-Za-z0-9+/]{342})==")
HEADER = re.compile(rb"kalshi-access-signature", re.IGNORECASE)


def windows(whole: bytes, size: int) -> Iterator[bytes]:
    """Pieces of which any two that follow each other overlap by half."""
    for at in range(0, max(len(whole) - size, 0) + 1, size // 2):
        yield whole[at : at + size]


def forms(pem: bytes) -> dict[str, list[bytes]]:
    """Each form of a key, as the pieces to look for. Of its file also each line as it stands."""
    key = load_pem_private_key(pem, None)
    assert isinstance(key, RSAPrivateKey | Ed25519PrivateKey)
    der = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    lines = [line for line in pem.splitlines() if line and not line.startswith(b"-----")]
    found = {
        "a line of the PEM": lines,
        "base64": list(windows(base64.b64encode(der), TEXT_WINDOW)),
        "base64url": list(windows(base64.urlsafe_b64encode(der), TEXT_WINDOW)),
        "hexadecimal": list(windows(der.hex().encode(), TEXT_WINDOW)),
        "HEXADECIMAL": list(windows(der.hex().upper().encode(), TEXT_WINDOW)),
        "DER": list(windows(der, RAW_WINDOW)),
    }
    if isinstance(key, RSAPrivateKey):
        numbers = key.private_numbers()
        secrets = {"d": numbers.d, "p": numbers.p, "q": numbers.q}
        for name, number in secrets.items():
            found[f"{name} in decimal"] = list(windows(str(number).encode(), TEXT_WINDOW))
            found[f"{name} in hexadecimal"] = list(windows(f"{number:x}".encode(), TEXT_WINDOW))
    else:
        seed = key.private_bytes_raw()
        number = int.from_bytes(seed)
        found["the seed"] = list(windows(seed, RAW_WINDOW))
        found["the seed in base64"] = list(windows(base64.b64encode(seed), TEXT_WINDOW))
        found["the seed in decimal"] = list(windows(str(number).encode(), TEXT_WINDOW))
    return found


class Finder:
    """Says where, and in which form, something of the keys is found."""

    def __init__(self, pems: dict[str, bytes]) -> None:
        self._sought = {
            piece: f"{name} key: {form}"
            for name, pem in pems.items()
            for form, pieces in forms(pem).items()
            for piece in pieces
        }
        self.looked_at: list[str] = []

    def look(self, where: str, blob: bytes) -> list[str]:
        self.looked_at.append(where)
        found = {form for piece, form in self._sought.items() if piece in blob}
        return [f"{where}: {form}" for form in sorted(found)]

    def files(self, folder: Path, but: Sequence[Path] = ()) -> list[str]:
        """Every file below a folder, with its name."""
        found = []
        for path in sorted(folder.rglob("*")):
            if path.is_file() and path not in but:
                try:
                    blob = path.read_bytes()
                except FileNotFoundError:
                    continue  # it has got its real name meanwhile
                found += self.look(str(path), os.fsencode(path) + b"\n" + blob)
        return found

    def processes(self, pids: Sequence[int], unreadable: Sequence[int] = ()) -> list[str]:
        """What everybody may see of processes: their arguments, and their environment.

        Of the `unreadable` ones the environment may be closed to us: then it is to all like us.
        """
        found = []
        for pid in pids:
            for name in ("cmdline", "environ"):
                path = Path(f"/proc/{pid}/{name}")
                try:
                    blob = path.read_bytes()
                except PermissionError:
                    assert name == "environ" and pid in unreadable, path
                    continue
                assert blob, path
                found += self.look(str(path), blob)
        return found


def family(root: int) -> list[int]:
    """A process and all that descend from it."""
    parents = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            text = path.read_text()
        except OSError:
            continue  # it has ended meanwhile
        parents[int(path.parent.name)] = int(text.rpartition(")")[2].split()[1])
    found = [root]
    for pid in found:
        found += [child for child, parent in parents.items() if parent == pid]
    return found
