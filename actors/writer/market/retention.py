"""What has to go: rows that are too old, and the oldest ones where there are too many bytes."""

from actors.writer.market.wire import Held, Prune
from protocol.limits import KEEP_LOG_BYTES_MAX, KEEP_PRUNE_ROWS, KEEP_SLACK_BYTES

DAY_US = 24 * 60 * 60 * 1_000_000
ANY_AGE = 2**63 - 1  # microseconds


def database_bytes_max(keep_bytes: int) -> int:
    """What the database itself may take, so that its log file has room within the bound, too."""
    return keep_bytes - KEEP_LOG_BYTES_MAX


def to_prune(held: Held, at: int, days: float, keep_bytes: int) -> tuple[Prune, ...]:
    """The deletions that go with the next transaction: at most a slice of each table.

    A slice is larger than a batch, so whatever comes in, deleting keeps up with it.
    """
    before = at - int(days * DAY_US)
    old = [table for table, oldest in held.oldest.items() if oldest < before]
    prunes = [Prune(table, before, KEEP_PRUNE_ROWS) for table in old]
    if held.used > database_bytes_max(keep_bytes) - KEEP_SLACK_BYTES and held.oldest and not old:
        oldest_of_all = min(held.oldest, key=lambda table: held.oldest[table])
        prunes.append(Prune(oldest_of_all, ANY_AGE, KEEP_PRUNE_ROWS))
    return tuple(prunes)
