"""sidecar adopt: tells the ledger that the key in the settings is a new one of the same account."""

import argparse
import sys
from collections.abc import Sequence

from actors.writer import database
from actors.writer.anchor import AnchorFile
from actors.writer.booking import meta_row
from actors.writer.commands import ended, existing, naming
from actors.writer.database import Failed, writing
from actors.writer.migrate import HEAD, schema_of
from actors.writer.opening import read_meta
from actors.writer.tables import Statements
from protocol.errors import ConfigError
from protocol.ledger import account_name
from protocol.runtime.process import load_settings


def adopt(path: str, owner: str) -> str:
    """Have the ledger hold the account of this name from now on. Returns the former name.

    Raises LockHeld while the writer runs, ConfigError if it is an account of another environment,
    Failed, Damage, DBAPIError.
    """
    anchor = AnchorFile(path)
    anchor.lock()
    try:
        with database.connect(path) as connection:
            if schema_of(connection, path) != HEAD:
                raise Failed(f"{path}: start the writer once, it brings the schema up to date")
            former = read_meta(connection).get("account", "")
            if former and former.partition("/")[0] != owner.partition("/")[0]:
                raise ConfigError(f"{path}: holds the account {former!r}, never {owner!r}")
            with writing(connection):
                statements = Statements(connection.dialect)
                connection.exec_driver_sql(statements.meta, meta_row("account", owner))
    finally:
        anchor.release()
    return former


def main(arguments: Sequence[str]) -> int:
    """The command. Returns its exit code."""
    parser = argparse.ArgumentParser(prog="sidecar adopt", description=__doc__)
    parser.parse_args(arguments)

    def command() -> int:
        settings = load_settings()
        owner = account_name(settings.exchange.environment, settings.exchange.key_id)
        path = existing(f"{settings.var_dir}/ledger.db")
        with naming(path):
            former = adopt(path, owner)
        print(f"the ledger holds the account {owner!r} (it was {former!r})")
        return 0

    return ended("adopt", command)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
