"""The halt latch: a file that outlives every process."""

import contextlib
import json
import os

from actors.gateway.core import HaltSaved
from protocol.machine import Cause
from protocol.runtime.loop import wall
from protocol.runtime.process import replace_file, sync_folder


def read_latch(path: str) -> str:
    """Why trading is halted; "" if it is not. A latch that can't be read halts."""
    try:
        with open(path, encoding="utf-8") as file:
            return str(json.load(file)["reason"]) or "halted"
    except FileNotFoundError:
        return ""
    except (OSError, ValueError, KeyError, TypeError) as e:
        return f"halted: {path} can't be read: {e}"


def save_latch(path: str, halted: bool, reason: str) -> Cause:
    """Make the latch last, or remove it for good."""
    try:
        if halted:
            replace_file(path, json.dumps({"reason": reason, "at": wall()}).encode())
        else:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
            sync_folder(os.path.dirname(path))
    except OSError as e:
        return HaltSaved(wall(), halted, reason, f"{path}: {e.strerror}")
    return HaltSaved(wall(), halted, reason)
