"""sidecar restore: puts a backup in the place of the ledger, while nothing runs.

The backup is brought back beside the ledger and verified before anything is moved; the former
ledger is kept, with its anchor. The new anchor comes first: from then on until the end the writer
refuses what it finds, and never begins a new ledger, so after a kill the command is given again.
"""

import argparse
import contextlib
import os
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from typing import Final

from sqlalchemy.exc import DBAPIError

from actors.writer import database
from actors.writer.adopt import adopt
from actors.writer.anchor import AnchorFile
from actors.writer.backup import bring_back
from actors.writer.commands import ended, existing, naming
from actors.writer.database import SMALLEST_BYTES, Failed
from actors.writer.migrate import HEAD, REVISIONS, schema_of
from actors.writer.opening import read_meta
from actors.writer.verify import verify
from protocol.config import Settings
from protocol.errors import ConfigError
from protocol.ledger import account_name
from protocol.runtime.ledger import connect_read_only, rows
from protocol.runtime.process import (
    load_settings,
    private_folder,
    raise_epoch,
    sync_folder,
    take_lock,
)

LEDGER_FILES: Final = ("", "-wal", "-shm")  # in the order in which they are moved
PROCESSES: Final = ("writer", "rehydrator", "gateway", "stream", "api")  # all that hold an account


def put_back(settings: Settings, file: str, new_key: bool = False) -> tuple[int, str]:
    """Restore a backup. Returns its last number, and where the former ledger is ("" if none).

    `new_key` says that the key in the settings is a newer one of the backup's account.

    Raises LockHeld if a process of the engine runs, ConfigError if the backup is of another
    account or a newer program, Failed or Damage if it does not prove sound, DBAPIError, OSError.
    """
    path = f"{settings.var_dir}/ledger.db"
    with _nobody_else(settings, path):
        owner = account_name(settings.exchange.environment, settings.exchange.key_id)
        ready = f"{path}.restored"
        _clear(ready)
        try:
            head = _prepare(file, ready, owner, new_key)
        except BaseException:
            _clear(ready)
            raise
        floor = time.time_ns() // 1_000
        for name in PROCESSES:
            raise_epoch(settings.var_dir, name, floor)
        former = _swap(path, ready)
    return head, former


def _prepare(file: str, ready: str, owner: str, new_key: bool) -> int:
    """Bring the backup back beside the ledger, and prove it. Returns its last number."""
    with naming(file):
        with connect_read_only(file) as connection:
            schema = schema_of(connection, file)
            held = read_meta(connection).get("account", "") if schema == HEAD else ""
        if held and held != owner and not new_key:
            raise ConfigError(
                f"{file}: a backup of the account {held!r}, the settings name {owner!r}; if that "
                "is a newer key of the same account: sidecar restore --new-key FILE"
            )
        head = bring_back(file, ready, held or owner)
        if held and held != owner:
            adopt(ready, owner)
        with connect_read_only(ready) as connection:
            problems = verify(connection, ready, AnchorFile(ready).read()).problems
    if problems:
        raise Failed(f"{file}: does not restore: {'; '.join(problems)}")
    return head


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
    """Move the former ledger aside, with its anchor, and the new one in. Returns the former."""
    _empty_log(path)
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    former, number = f"{path}.replaced-{stamp}", 1
    while any(os.path.lexists(former + suffix) for suffix in (*LEDGER_FILES, ".end")):
        number += 1
        former = f"{path}.replaced-{stamp}-{number}"
    with contextlib.suppress(FileNotFoundError):
        shutil.copyfile(f"{path}.end", f"{former}.end")
    os.rename(f"{ready}.end", f"{path}.end")  # from here on the former ledger does not open
    for suffix in LEDGER_FILES:
        with contextlib.suppress(FileNotFoundError):
            os.rename(path + suffix, former + suffix)
    sync_folder(os.path.dirname(path) or ".")
    os.rename(ready, path)
    sync_folder(os.path.dirname(path) or ".")
    _clear(ready)
    return former if os.path.exists(former) else ""


def _empty_log(path: str) -> None:
    """Bring the former ledger's log file into it, so that it is one file when it is moved.

    One that is too damaged for that keeps its log file; beside an empty file it may be all.
    """
    if not os.path.isfile(path) or os.path.getsize(path) < SMALLEST_BYTES:
        return
    try:
        with contextlib.closing(database.connect(path)) as connection:
            rows(connection, "PRAGMA wal_checkpoint(TRUNCATE)")
    except (DBAPIError, Failed) as e:
        reason = getattr(e, "orig", e)
        print(f"restore: the former ledger keeps its log file: {reason}", file=sys.stderr)


def _clear(ready: str) -> None:
    kept = [f".before-{revision}" for revision in REVISIONS]  # of a backup of an older schema
    for suffix in (*LEDGER_FILES, ".end", "-journal", ".lock", *kept):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(ready + suffix)


def main(arguments: Sequence[str]) -> int:
    """The command. Returns its exit code."""
    parser = argparse.ArgumentParser(prog="sidecar restore", description=__doc__.split("\n")[0])
    parser.add_argument("file", help="a backup, made by sidecar backup")
    parser.add_argument(
        "--new-key", action="store_true", help="the settings have a newer key of its account"
    )
    given = parser.parse_args(arguments)
    file = given.file

    def command() -> int:
        settings = load_settings()
        with naming(f"{settings.var_dir}/ledger.db"):
            head, former = put_back(settings, existing(file), given.new_key)
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
