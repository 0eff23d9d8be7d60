"""Key files: ours alone and readable, or one clear error that shows nothing of the key."""

import base64
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from protocol.errors import ConfigError
from protocol.kalshi.signing import Signer
from protocol.limits import PRIVATE_BYTES_MAX
from protocol.runtime.process import read_private

RSA = rsa.generate_private_key(65537, 2048)
ED = Ed25519PrivateKey.generate()
PLAIN = NoEncryption()
PKCS8, PKCS1 = PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL
GOOD = RSA.private_bytes(Encoding.PEM, PKCS8, PLAIN)
WORD = BestAvailableEncryption(b"a word")


@pytest.mark.parametrize("form", [PKCS8, PKCS1])
def test_an_rsa_key_signs_with_pss(form: PrivateFormat) -> None:
    signer = Signer("id", RSA.private_bytes(Encoding.PEM, form, PLAIN), "key.pem")
    made = signer.headers(1_781_157_600_123, "post", "/trade-api/v2/x?limit=1")
    assert made["KALSHI-ACCESS-KEY"] == "id"
    assert made["KALSHI-ACCESS-TIMESTAMP"] == "1781157600123"
    RSA.public_key().verify(
        base64.b64decode(made["KALSHI-ACCESS-SIGNATURE"], validate=True),
        b"1781157600123POST/trade-api/v2/x",
        padding.PSS(padding.MGF1(hashes.SHA256()), 32),
        hashes.SHA256(),
    )


def test_an_ed25519_key_signs() -> None:
    signer = Signer("id", ED.private_bytes(Encoding.PEM, PKCS8, PLAIN), "key.pem")
    made = signer.headers(1_781_157_600_123, "GET", "/trade-api/ws/v2")
    signature = base64.b64decode(made["KALSHI-ACCESS-SIGNATURE"], validate=True)
    ED.public_key().verify(signature, b"1781157600123GET/trade-api/ws/v2")


def small_rsa() -> bytes:
    made = [sys.executable, "-c", SMALL]
    return subprocess.run(made, capture_output=True, check=True).stdout


SMALL = """
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import *
import sys
key = rsa.generate_private_key(65537, 1024)
sys.stdout.buffer.write(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
"""
UNUSABLE = {
    "encrypted": (RSA.private_bytes(Encoding.PEM, PKCS8, WORD), "the key is encrypted"),
    "encrypted, PKCS#1": (RSA.private_bytes(Encoding.PEM, PKCS1, WORD), "the key is encrypted"),
    "another curve": (
        ec.generate_private_key(ec.SECP256R1()).private_bytes(Encoding.PEM, PKCS8, PLAIN),
        "expected an RSA or Ed25519 key",
    ),
    "small": (small_rsa(), "1024 bits, expected 2048 at least"),
    "public": (
        RSA.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
        "not a private key in PEM form",
    ),
    "DER": (RSA.private_bytes(Encoding.DER, PKCS8, PLAIN), "not a private key in PEM form"),
    "half": (GOOD[: len(GOOD) // 2], "not a private key in PEM form"),
    "a letter wrong": (GOOD.replace(b"A", b"!", 1), "not a private key in PEM form"),
    "garbage": (b"\x00\xff" * 99, "not a private key in PEM form"),
    "nothing": (b"", "not a private key in PEM form"),
}


@pytest.mark.parametrize("kind", UNUSABLE)
def test_an_unusable_key_is_one_clear_error(kind: str) -> None:
    pem, said = UNUSABLE[kind]
    with pytest.raises(ConfigError) as error:
        Signer("id", pem, "key.pem")
    assert str(error.value).startswith(f"key.pem: {said}")
    assert "\n" not in str(error.value)
    assert error.value.__cause__ is None
    body = pem.splitlines()[1:-1] or [pem]
    assert not any(line and line.decode("latin-1") in str(error.value) for line in body)


@pytest.mark.parametrize("key_id", ["", "two words", "a\nb", "ä", "x" * 257])
def test_a_key_id_that_fits_no_header(key_id: str) -> None:
    with pytest.raises(ConfigError, match=r"^key\.pem: the id of this key in the settings is"):
        Signer(key_id, GOOD, "key.pem")


def test_a_signer_shows_nothing_of_its_key() -> None:
    assert repr(Signer("id", GOOD, "key.pem")) == "Signer('id')"


def mode(bits: int) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        path.write_bytes(GOOD)
        path.chmod(bits)

    return make


def link_to_open(path: Path) -> None:
    mode(0o644)(path.with_name("open.pem"))
    path.symlink_to(path.with_name("open.pem"))


def nothing(path: Path) -> None:
    path.with_name("elsewhere").touch()


def empty(path: Path) -> None:
    path.write_bytes(b" \n")
    path.chmod(0o600)


def endless(path: Path) -> None:
    path.write_bytes(b"x" * (PRIVATE_BYTES_MAX + 1))
    path.chmod(0o600)


WRONG: list[tuple[Callable[[Path], None], str]] = [
    (mode(0o644), "mode is 0644, expected 0600 (chmod 600 "),
    (mode(0o640), "mode is 0640, expected 0600 (chmod 600 "),
    (mode(0o660), "mode is 0660, expected 0600 (chmod 600 "),
    (mode(0o601), "mode is 0601, expected 0600 (chmod 600 "),
    (link_to_open, "mode is 0644, expected 0600 (chmod 600 "),
    (lambda path: path.mkdir(0o700), "not a regular file"),
    (lambda path: os.mkfifo(path, 0o600), "not a regular file"),
    (lambda path: path.symlink_to("/dev/null"), "not a regular file"),
    (lambda path: path.symlink_to(path), "Too many levels of symbolic links"),
    (nothing, "No such file or directory"),
    (empty, "empty"),
    (endless, "longer than"),
]


@pytest.mark.parametrize("make, said", WRONG, ids=[said[:20] for _, said in WRONG])
def test_a_key_file_that_is_not_ours_alone(
    tmp_path: Path, make: Callable[[Path], None], said: str
) -> None:
    path = tmp_path / "key.pem"
    make(path)
    with pytest.raises(ConfigError) as error:
        read_private(str(path))
    assert str(error.value).startswith(f"{path}: {said}")
    assert not any(line in str(error.value).encode() for line in GOOD.splitlines() if line)


def test_a_key_file_of_another_user(tmp_path: Path) -> None:
    path = Path("/etc/passwd")
    if os.getuid() == 0:
        path = tmp_path / "key.pem"
        mode(0o600)(path)
        os.chown(path, 12345, 12345)
    with pytest.raises(ConfigError, match="belongs to another user"):
        read_private(str(path))


def test_a_good_key_file_and_a_link_to_it(tmp_path: Path) -> None:
    path, link = tmp_path / "key.pem", tmp_path / "link.pem"
    mode(0o600)(path)
    link.symlink_to(path)
    assert read_private(str(path)) == read_private(str(link)) == GOOD
    mode(0o400)(path)
    assert read_private(str(path)) == GOOD


def test_the_memory_of_a_process_with_keys_is_shut() -> None:
    told = "from protocol.runtime.process import shut_memory; shut_memory();"
    told += " import ctypes; print(ctypes.CDLL(None).prctl(3, 0, 0, 0, 0))"
    found = subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, check=True)
    assert found.stdout.split() == ["0"], "PR_GET_DUMPABLE"
