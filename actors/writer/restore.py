"""sidecar restore: puts a backup in the place of the ledger, while nothing runs.

The backup is brought back beside the ledger and verified before anything is moved; the former
ledger is kept. A kill in between leaves no ledger, never a wrong one: the anchor still says how
many entries there were, so the writer refuses to begin a new one, and the command can be given
again.
"""

import argparse
import contextlib
import os
import sys
import time
from collections.abc import Iterator, Sequence
from typing import Final

from actors.writer.anchor import AnchorFile
from actors.writer.backup import bring_back
from actors.writer.commands import ended
from actors.writer.database import Failed
from actors.writer.verify import verify
from protocol.config import Settings
from protocol.ledger import account_name
from protocol.runtime.ledger import connect_read_only
from protocol.runtime.process import (
    load_settings,
    private_folder,
    raise_epoch,
    sync_folder,
    take_lock,
)

PROCESSES: Final = ("writer", "rehydrator", "gateway", "stream", "api")  # all that hold an account


def put_back(settings: Settings, file: str) -> tuple[int, str]:
    """Restore a backup. Returns its last number, and where the former ledger is ("" if none).

    Raises LockHeld if a process of the engine runs, ConfigError if the backup is of another
    account or a newer program, Failed or Damage if it does not prove sound, DBAPIError, OSError.
    """
    if not os.path.exists(file):
        raise Failed(f"{file}: there is no such file")
    path = f"{settings.var_dir}/ledger.db"
    with _nobody_else(settings, path):
        owner = account_name(settings.exchange.environment, settings.exchange.key_id)
        ready = f"{path}.restored"
        _clear(ready)
        head = bring_back(file, ready, owner)
        with connect_read_only(ready) as connection:
            problems = verify(connection, ready, AnchorFile(ready).read()).problems
        if problems:
            raise Failed(f"{file}: does not restore: {'; '.join(problems)}")
        floor = time.time_ns() // 1_000
        for name in PROCESSES:
            raise_epoch(settings.var_dir, name, floor)
        former = _swap(path, ready)
    return head, former


@contextlib.contextmanager
def _nobody_else(settings: Settings, path: str) -> Iterator[None]:
    """The locks of every process that holds an account, and of the database."""
    for folder in (settings.run_dir, settings.var_dir):
        private_folder(folder)
    held: list[int] = []
    anchor = AnchorFile(path)
    try:
        for name in PROCESSES:
            held.append(take_lock(f"{settings.run_dir}/{name}.lock"))
        anchor.lock()
        yield
    finally:
        anchor.release()
        for descriptor in held:
            os.close(descriptor)


def _swap(path: str, ready: str) -> str:
    """Move the former ledger aside and the new one in, the log file before its database."""
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    former = f"{path}.replaced-{stamp}"
    for suffix in ("-wal", "-shm", ""):
        with contextlib.suppress(FileNotFoundError):
            os.rename(path + suffix, former + suffix)
    os.rename(ready, path)
    sync_folder(os.path.dirname(path) or ".")
    os.rename(f"{ready}.end", f"{path}.end")  # last: until then the writer refuses to start
    sync_folder(os.path.dirname(path) or ".")
    _clear(ready)
    return former if os.path.exists(former) else ""


def _clear(ready: str) -> None:
    for suffix in ("", "-wal", "-shm", "-journal", ".end", ".lock"):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(ready + suffix)


def main(arguments: Sequence[str]) -> int:
    """The command. Returns its exit code."""
    parser = argparse.ArgumentParser(prog="sidecar restore", description=__doc__.split("\n")[0])
    parser.add_argument("file", help="a backup, made by sidecar backup")
    file = parser.parse_args(arguments).file

    def command() -> int:
        head, former = put_back(load_settings(), file)
        print(f"restored {head} entries from {file}")
        if former:
            print(f"the former ledger is kept: {former}")
        print(
            "orders under a client_order_id that this ledger does not know are refused until the\n"
            "exchange has been read and you have confirmed it: sidecar confirm-restore"
        )
        return 0

    return ended("restore", command)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
