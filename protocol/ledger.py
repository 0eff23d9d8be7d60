"""What the ledger's rows are, whoever reads them: the chain of entries, the rows that follow from
them, and snapshots.

Each entry is chained to the one before by its hash, and remembers a digest of every row that it
made in the derived tables. So a changed entry, a changed row, and a fold that no longer gives
what it gave when the entry was written are three different findings, each with its place.
"""

import hashlib
from collections.abc import Iterable
from typing import Any, Final

import msgspec
from msgspec import Struct

from protocol.account import Meaning, key_of
from protocol.messages import AccountState, Balance, BookedFill, Order, Position
from protocol.units import decode_unit, encode_unit

GENESIS: Final = bytes(32)  # stands before the first entry
DIGEST_BYTES: Final = 16  # of one derived row
SNAPSHOT_FORMAT: Final = 3  # raised whenever AccountState, or what the fold means by it, changes

Key = tuple[Any, ...]
Row = tuple[str, Key, tuple[Any, ...]]  # table, key, values; the last value is the entry's number

ENTRY_COLUMNS: Final = (
    "n", "id", "kind", "at", "source", "body", "essence", "derived", "hash",
)  # fmt: skip


class Derived(Struct, frozen=True):
    """A table that follows from the entries: its columns in order, `n` last, and its key."""

    columns: tuple[str, ...]
    key: tuple[str, ...]


DERIVED: Final[dict[str, Derived]] = {
    "orders": Derived(
        ("key", "client_order_id", "order_id", "ticker", "side", "price", "count",
         "time_in_force", "state", "filled", "remaining", "reason", "body_hash", "created_at",
         "updated_at", "n"),
        ("key",),
    ),
    "fills": Derived(
        ("order_id", "trade_id", "client_order_id", "ticker", "side", "price", "count", "fee",
         "is_taker", "exchange_at", "position", "n"),
        ("order_id", "trade_id"),
    ),
    "positions": Derived(("ticker", "position", "cost", "realized", "fees", "n"), ("ticker",)),
    "balances": Derived(("shard", "balance", "seen_at", "n"), ("shard",)),
}  # fmt: skip

_encode = msgspec.json.Encoder(enc_hook=encode_unit).encode
_encode_row = msgspec.json.Encoder().encode
_decode_state = msgspec.json.Decoder(AccountState, dec_hook=decode_unit).decode


class Unsound(Exception):
    """A snapshot that must not be restored from; the text says why."""


class Outdated(Unsound):
    """A snapshot of a former program: nothing is wrong with it, and nothing rests on it."""


class Snapshot(Struct, frozen=True):
    """The account as of entry `n` of one ledger, and what proves that it is that."""

    n: int
    format: int
    account: str  # whose: see `account_name`
    entry_hash: bytes  # of entry n: a snapshot of another history does not fit
    body: str
    digest: bytes


def account_name(environment: str, key_id: str) -> str:
    """Whose ledger this is, as it stands in the database and in every snapshot."""
    return f"{environment}/{key_id}"


def chain(before: bytes, n: int, id: str, kind: str, at: int, source: str, body: str,
          essence: bytes, derived: bytes) -> bytes:  # fmt: skip
    """The hash of an entry over the one before it: a changed or missing row breaks the chain.

    Lengths stand in front of what has no fixed one, so no two entries read the same. Raises
    UnicodeEncodeError for a text that has no UTF-8.
    """
    lengths = f"{n} {at} {len(id)} {len(kind)} {len(source)} {len(derived)} "
    text = f"{lengths}{id}{kind}{source}{body}"
    return hashlib.sha256(b"%b%b%b%b" % (before, essence, derived, text.encode())).digest()


def row_of(meaning: Meaning) -> Row:
    """The row of a derived table that a meaning becomes."""
    match meaning:
        case Order() as o:
            key = key_of(o)
            terms = (o.ticker, o.side, int(o.price), int(o.count), o.time_in_force, o.state)
            progress = (int(o.filled), int(o.remaining), o.reason, o.body_hash)
            times = (o.created_at, o.updated_at, o.n)
            return "orders", (key,), (key, o.client_order_id, o.order_id, *terms, *progress, *times)
        case BookedFill() as f:
            who = (f.order_id, f.trade_id, f.client_order_id, f.ticker, f.side)
            what = (int(f.price), int(f.count), int(f.fee), int(f.is_taker), f.exchange_at)
            return "fills", (f.order_id, f.trade_id), (*who, *what, int(f.position), f.n)
        case Position() as p:
            money = (int(p.cost), int(p.realized), int(p.fees))
            return "positions", (p.ticker,), (p.ticker, int(p.position), *money, p.n)
        case Balance() as b:
            return "balances", (b.shard,), (b.shard, int(b.balance), b.seen_at, b.n)
    raise AssertionError(f"no table for {meaning}")


def renamed(row: Row) -> str:
    """The key of the row that this one replaces, "" if none.

    An order of ours may have been seen under the exchange's id before we knew it as ours.
    """
    table, _, values = row
    return values[2] if table == "orders" and values[1] and values[2] else ""


def digest_of(table: str, values: tuple[Any, ...]) -> bytes:
    """The digest of one derived row. Raises OverflowError beyond 64 bits."""
    return hashlib.blake2b(_encode_row((table, values)), digest_size=DIGEST_BYTES).digest()


def derived_of(rows: Iterable[Row]) -> bytes:
    """The digests of the rows that one entry made, one behind the other."""
    return b"".join([digest_of(table, values) for table, _, values in rows])


def made_by(derived: bytes, table: str, values: tuple[Any, ...]) -> bool:
    """Whether a row is one of those that an entry made, by what the entry remembers."""
    found = digest_of(table, values)
    return any(derived[i : i + DIGEST_BYTES] == found for i in range(0, len(derived), DIGEST_BYTES))


def take_snapshot(state: AccountState, account: str, entry_hash: bytes) -> Snapshot:
    """A snapshot of a state."""
    body = _encode(state).decode()
    digest = _snapshot_digest(state.n, SNAPSHOT_FORMAT, account, entry_hash, body)
    return Snapshot(state.n, SNAPSHOT_FORMAT, account, entry_hash, body, digest)


def open_snapshot(found: Snapshot, head: int, account: str, entry_hash: bytes) -> AccountState:
    """The state in a snapshot. `entry_hash` is what the ledger has for that entry.

    Raises Unsound for one that is torn or changed, of another format (Outdated: an older one),
    account or history, or from the future.
    """
    try:
        digest = _snapshot_digest(
            found.n, found.format, found.account, found.entry_hash, found.body
        )
    except (AttributeError, TypeError, ValueError, OverflowError):
        digest = b""  # not even of the right kinds
    if digest != found.digest:
        raise Unsound("not what was written")
    if found.format != SNAPSHOT_FORMAT:
        wrong = Outdated if found.format < SNAPSHOT_FORMAT else Unsound
        raise wrong(f"of format {found.format}, this program knows {SNAPSHOT_FORMAT}")
    if found.account != account:
        raise Unsound(f"of the account {found.account!r}, not {account!r}")
    if found.n > head:
        raise Unsound(f"from the future: the ledger ends at {head}")
    if found.entry_hash != entry_hash:
        raise Unsound("of another history")
    try:
        state = _decode_state(found.body)
    except msgspec.DecodeError as e:
        raise Unsound(f"can't be read: {e}") from e
    if state.n != found.n:
        raise Unsound(f"holds the state of entry {state.n}")
    return state


def _snapshot_digest(n: int, format: int, account: str, entry_hash: bytes, body: str) -> bytes:
    head = _encode_row((n, format, account, entry_hash))
    return hashlib.sha256(head + body.encode("utf-8", "surrogatepass")).digest()
