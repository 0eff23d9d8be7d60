"""Snapshots that must not be restored from: torn, or whole and not of this ledger.

All but the first two carry the right digest of what they say, as a program would have written
it; only what stands beside them can tell that they are wrong.
"""

import random
import sqlite3
from collections.abc import Callable

import msgspec

import protocol.ledger
from protocol.ledger import GENESIS, Snapshot, take_snapshot
from protocol.messages import AccountState
from protocol.units import Count, decode_unit
from tests.simulation.planting import planted

OTHER = "simulated/other"
COLUMNS = "n, format, account, entry_hash, body, digest"

Way = Callable[[Snapshot, random.Random], Snapshot | None]

_decode = msgspec.json.Decoder(AccountState, dec_hook=decode_unit).decode


def rot(raw: sqlite3.Connection, dice: random.Random) -> list[str]:
    """Put something bad in place of each of the newest snapshots. Says what."""
    newest = raw.execute(
        f"SELECT {COLUMNS} FROM snapshots ORDER BY n DESC LIMIT ?", (dice.choice((1, 3)),)
    ).fetchall()
    said = []
    for row, bad in zip(newest, dice.sample(WAYS, len(newest)), strict=True):
        made = bad(Snapshot(*row), dice)
        if made is not None:
            values = (made.n, made.format, made.account, made.entry_hash, made.body, made.digest)
            raw.execute(
                f"INSERT OR REPLACE INTO snapshots ({COLUMNS}) VALUES (?,?,?,?,?,?)", values
            )
            said.append(bad.__name__)
    return said


def a_bit_is_flipped(right: Snapshot, dice: random.Random) -> Snapshot:
    """One digit is another one."""
    digits = [i for i, c in enumerate(right.body) if c.isdigit()]
    at = dice.choice(digits)
    other = chr(ord(right.body[at]) ^ 1)
    return msgspec.structs.replace(right, body=right.body[:at] + other + right.body[at + 1 :])


def half_is_missing(right: Snapshot, _: random.Random) -> Snapshot:
    return msgspec.structs.replace(right, body=right.body[: len(right.body) // 2])


def of_another_account(right: Snapshot, _: random.Random) -> Snapshot | None:
    state = other_state(right)
    return None if state is None else take_snapshot(state, OTHER, right.entry_hash)


def of_another_history(right: Snapshot, dice: random.Random) -> Snapshot | None:
    state = other_state(right)
    return None if state is None else take_snapshot(state, right.account, dice.randbytes(32))


def of_an_older_format(right: Snapshot, _: random.Random) -> Snapshot | None:
    """As a program wrote it whose fold did not mean the same."""
    state = other_state(right)
    if state is None:
        return None
    with planted(protocol.ledger, "SNAPSHOT_FORMAT", protocol.ledger.SNAPSHOT_FORMAT - 1):
        return take_snapshot(state, right.account, right.entry_hash)


def from_the_future(right: Snapshot, dice: random.Random) -> Snapshot | None:
    """With the very hash that is looked up for an entry that does not exist."""
    state = other_state(right)
    if state is None:
        return None
    state = msgspec.structs.replace(state, n=state.n + dice.randint(20, 200))
    return take_snapshot(state, right.account, GENESIS)


WAYS: tuple[Way, ...] = (
    a_bit_is_flipped,
    half_is_missing,
    of_another_account,
    of_another_history,
    of_an_older_format,
    from_the_future,
)


def other_state(right: Snapshot) -> AccountState | None:
    """An account that differs in what matters. None if the snapshot was bad before."""
    try:
        state = _decode(right.body)
    except msgspec.DecodeError:
        return None
    positions = tuple(
        msgspec.structs.replace(p, position=Count(p.position + 100)) for p in state.positions
    )
    return msgspec.structs.replace(
        state, orders=state.orders[1:], fills=state.fills[1:], positions=positions, balances=()
    )
