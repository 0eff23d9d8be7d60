"""sidecar ledger: prints the ledger's entries after a number, and on request whatever comes.

A program that missed something on `ledger.pub` catches up from here, also while the engine is
down: entries are read from the database, the bus only says that there are more.
"""

import argparse
import os
import sys
import time
from collections.abc import Iterator, Sequence

import msgspec
from sqlalchemy.engine import Connection

from actors.writer.commands import ended, existing, naming
from actors.writer.database import Failed
from actors.writer.migrate import HEAD, schema_of
from protocol.audit import read_entry
from protocol.config import Settings
from protocol.messages import Entry
from protocol.runtime.bus import tap
from protocol.runtime.ledger import connect_read_only, head_of, page
from protocol.runtime.process import load_settings
from protocol.units import encode_unit

_encode = msgspec.json.Encoder(enc_hook=encode_unit).encode


def entries_after(connection: Connection, since: int) -> Iterator[Entry]:
    """All entries above `since` that are there, in order. Raises Damage, DBAPIError."""
    while found := page(connection, since):
        for row in found:
            yield read_entry(row)
        since = found[-1][0]


def entries_for_ever(settings: Settings, path: str, since: int) -> Iterator[Entry]:
    """The same, and then every one to come: each message of the writer is a reason to look.

    Raises Failed once the file is another one: after a restore other entries have these numbers.
    """
    with connect_read_only(path) as connection:
        file = os.stat(path).st_ino
        for entry in entries_after(connection, since):
            since = entry.n
            yield entry
        for _ in tap([settings.endpoint("ledger.pub")], ["ledger ", "mark "]):
            if os.stat(path).st_ino != file:
                raise Failed(f"{path}: was replaced; what came after its backup's end is void")
            for entry in entries_after(connection, since):
                since = entry.n
                yield entry


def main(arguments: Sequence[str]) -> int:
    """The command. Returns its exit code."""
    parser = argparse.ArgumentParser(prog="sidecar ledger", description=__doc__.split("\n")[0])
    parser.add_argument("--since", type=int, default=0, metavar="N", help="the last one you have")
    parser.add_argument("--json", action="store_true", help="each as it is published, one a line")
    parser.add_argument("--follow", action="store_true", help="go on with what comes")
    given = parser.parse_args(arguments)
    return ended("ledger", lambda: _print(load_settings(), given))


def _print(settings: Settings, given: argparse.Namespace) -> int:
    path = existing(f"{settings.var_dir}/ledger.db")
    with naming(path):
        _print_entries(settings, path, given)
    return 0


def _print_entries(settings: Settings, path: str, given: argparse.Namespace) -> None:
    with connect_read_only(path) as connection:
        found = schema_of(connection, path)
        if found != HEAD:
            raise Failed(f"{path}: the schema is {found or 'missing'}, expected {HEAD}")
        head = head_of(connection)
        if not 0 <= given.since <= head:
            raise Failed(f"{path}: ends at entry {head}: nothing can come after {given.since}")
        if not given.follow:
            for entry in entries_after(connection, given.since):
                print(_line(entry, given.json))
    if given.follow:
        for entry in entries_for_ever(settings, path, given.since):
            print(_line(entry, given.json), flush=True)
    sys.stdout.flush()


def _line(entry: Entry, as_json: bool) -> str:
    text = _encode(entry).decode()
    if as_json:
        return text
    when = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(entry.at / 1_000_000))
    return f"{entry.n:>8}  {when}  {entry.source:<10} {_encode(entry.fact).decode()}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
