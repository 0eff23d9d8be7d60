"""Snapshots that must not be restored from, for everyone who restores: each with its reason."""

from collections.abc import Callable

from msgspec.structs import replace

from protocol.ledger import SNAPSHOT_FORMAT, Snapshot, _snapshot_digest, take_snapshot
from protocol.messages import AccountState
from tests.actors.writer.files import change, entries, fold, last, put, put_snapshot, rows

ACCOUNT = "paper/a"
N = 6  # of the newest snapshot

Damage = Callable[[str], None]


def sealed(found: Snapshot) -> Snapshot:
    """With the digest that fits what it says."""
    head = (found.n, found.format, found.account, found.entry_hash)
    return replace(found, digest=_snapshot_digest(*head, found.body))


def newest(path: str) -> Snapshot:
    columns = "n, format, account, entry_hash, body, digest"
    [found] = rows(path, f"SELECT {columns} FROM snapshots ORDER BY n DESC LIMIT 1")
    return Snapshot(*found)  # type: ignore[arg-type]


def said(**changes: object) -> Damage:
    """The newest snapshot says something else, and proves it."""
    return lambda path: put_snapshot(path, sealed(replace(newest(path), **changes)))


def from_the_future(path: str) -> None:
    put_snapshot(path, take_snapshot(AccountState(9), ACCOUNT, newest(path).entry_hash))


def of_another_history(path: str) -> None:
    """The state is what the entries give, yet the entry that it names is not ours."""
    state = fold(entries(path)[:N])
    put_snapshot(path, take_snapshot(state, ACCOUNT, bytes(range(32))))


def torn(path: str) -> None:
    change(path, f"UPDATE snapshots SET body = substr(body, 1, length(body) / 2) WHERE n = {N}")


def flipped(column: str, bit: int) -> Damage:
    """One bit of the middle byte of one column."""

    def flip(path: str) -> None:
        where = f"WHERE n = {last(path)}"
        [(kind, value)] = rows(
            path,
            f"SELECT typeof({column}), iif(typeof({column}) = 'integer', {column},"
            f" CAST({column} AS BLOB)) FROM snapshots {where}",
        )
        if isinstance(value, bytes):
            i = len(value) // 2
            value = value[:i] + bytes([value[i] ^ bit]) + value[i + 1 :]
        else:
            value ^= bit
        cast = "CAST(? AS TEXT)" if kind == "text" else "?"
        put(path, f"UPDATE snapshots SET {column} = {cast} {where}", value)

    return flip


ROTTEN = "not what was written"
NO_TEXT = "can't be read: Could not decode to UTF-8"
UNSOUND: dict[str, tuple[Damage, int, str]] = {
    "torn": (torn, N, ROTTEN),
    "n": (flipped("n", 1), N + 1, ROTTEN),
    "format": (flipped("format", 2), N, ROTTEN),
    "account": (flipped("account", 1), N, ROTTEN),
    "account, no text": (flipped("account", 0x80), N, NO_TEXT),
    "entry_hash": (flipped("entry_hash", 1), N, ROTTEN),
    "body": (flipped("body", 1), N, ROTTEN),
    "body, no text": (flipped("body", 0x80), N, NO_TEXT),
    "digest": (flipped("digest", 1), N, ROTTEN),
    "older": (
        said(format=SNAPSHOT_FORMAT - 1), N,
        f"of format {SNAPSHOT_FORMAT - 1}, this program knows {SNAPSHOT_FORMAT}",
    ),
    "newer": (
        said(format=SNAPSHOT_FORMAT + 1), N,
        f"of format {SNAPSHOT_FORMAT + 1}, this program knows {SNAPSHOT_FORMAT}",
    ),
    "another account": (
        said(account="paper/b"), N, "of the account 'paper/b', not 'paper/a'",
    ),
    "another history": (of_another_history, N, "of another history"),
    "from the future": (from_the_future, 9, "from the future: the ledger ends at 6"),
    "another entry": (
        said(body='{"type":"AccountState","n":5}'), N, "holds the state of entry 5",
    ),
    "no state": (said(body='{"n":"six"}'), N, "can't be read: "),
    "no JSON": (said(body="{"), N, "can't be read: "),
}  # fmt: skip
