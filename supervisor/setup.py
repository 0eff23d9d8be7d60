"""What a profile needs before its processes start, made once; and what would stop them."""

import os
import socket
from collections.abc import Sequence

from protocol.config import Settings
from protocol.errors import ConfigError
from protocol.runtime.loop import wall
from protocol.runtime.process import private_folder, read_private, take_lock, write_private
from protocol.runtime.tokens import load_tokens, make_usual

KEY_BITS = 2048


def set_up(settings: Settings) -> list[str]:
    """Make folders, API tokens and, for paper, key pairs. Leaves alone what is there.

    Returns a line for each thing that was made or is still missing. Raises ConfigError.
    """
    for folder in (settings.run_dir, settings.bus_dir, settings.var_dir):
        private_folder(folder)
    lines = make_usual(settings.var_dir, wall())
    for path in _key_files(settings):
        if os.path.exists(path):
            continue
        if settings.exchange.environment == "paper":
            folder = os.path.dirname(path) or "."
            if not os.path.isdir(folder):
                private_folder(folder)
            write_private(path, _new_key())
            lines.append(f"made {path}")
        else:
            lines.append(f"missing {path}: put the key that the exchange gave you there (0600)")
    return lines


def check(settings: Settings, names: Sequence[str]) -> None:
    """Whether the processes could start. Raises ConfigError or LockHeld with the first cause."""
    for folder in (settings.run_dir, settings.bus_dir, settings.var_dir):
        private_folder(folder)
    for name in names:
        os.close(take_lock(f"{settings.run_dir}/{name}.lock"))
    for path in _key_files(settings):
        read_private(path)
    load_tokens(settings.var_dir)
    if settings.api.tls_cert:
        from protocol.runtime.http import tls_context

        tls_context("api", settings.api.tls_cert, settings.api.tls_key)
    ports = [
        ("supervisor", settings.supervisor.host, settings.supervisor.port),
        ("api", settings.api.host, settings.api.port),
    ]
    if settings.paper.enabled:
        ports.append(("paper", settings.paper.host, settings.paper.port))
    for name, host, port in ports:
        check_port(name, host, port)


def check_port(name: str, host: str, port: int) -> None:
    """Raises ConfigError if nobody could listen there."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as e:
            raise ConfigError(f"{name}.port: {host}:{port}: {e.strerror}") from None


def _key_files(settings: Settings) -> list[str]:
    found = [settings.exchange.key_file, settings.exchange.read_key_file]
    return [path for path in found if path]


def _new_key() -> bytes:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(public_exponent=65537, key_size=KEY_BITS)
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
