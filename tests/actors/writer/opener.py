"""python -m tests.actors.writer.opener PATH USER: opens a ledger as that user.

Says what it is told. It becomes that user late: he may not be able to read our interpreter.
"""

import os
import sys
import tempfile

from actors.writer.store import Failed, Store
from protocol.errors import ConfigError


def main(path: str, user: int) -> None:
    """Print the kind of the error and its text."""
    with tempfile.TemporaryDirectory() as scratch:
        store = Store(f"{scratch}/ledger.db")
        store.open()  # imports what is imported late
        store.close()
    if user != os.getuid():
        os.setgroups([])
        os.setgid(user)
        os.setuid(user)
    try:
        Store(path).open()
    except (ConfigError, Failed) as e:
        print(f"{type(e).__name__}: {e}")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
