"""Keeps what is followed beyond the settings: `follow.json` in the profile's lasting folder."""

import logging
from typing import Final

import msgspec
from msgspec import Struct

from protocol.runtime.process import replace_file

BYTES_MAX: Final = 16 * 1024 * 1024

log = logging.getLogger(__name__)


class _Wishes(Struct, forbid_unknown_fields=True):
    added: tuple[str, ...]
    removed: tuple[str, ...]


def saved_follow(var_dir: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What was added to the settings and what was removed; nothing of either in a new profile.

    Raises nothing: a damaged file is named in the log and counts as none.
    """
    path = _path(var_dir)
    try:
        with open(path, "rb") as file:
            text = file.read(BYTES_MAX + 1)
        if len(text) > BYTES_MAX:
            raise ValueError(f"longer than {BYTES_MAX} bytes")
        wishes = msgspec.json.decode(text, type=_Wishes)
    except FileNotFoundError:
        return (), ()
    except (OSError, ValueError, RecursionError) as e:  # msgspec.DecodeError is a ValueError
        why = getattr(e, "strerror", None) or e
        log.error("%s: %s; only what the settings name is followed", path, why)
        return (), ()
    return wishes.added, wishes.removed


def save_follow(var_dir: str, added: tuple[str, ...], removed: tuple[str, ...]) -> str:
    """Make it last. Returns why it does not, "" if it does."""
    try:
        replace_file(_path(var_dir), msgspec.json.encode(_Wishes(added, removed)) + b"\n")
    except OSError as e:
        return f"{_path(var_dir)}: {e.strerror}"
    return ""


def _path(var_dir: str) -> str:
    return f"{var_dir}/follow.json"
