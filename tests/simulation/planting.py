"""Puts something in place of something else for a while: a mistake, or a smaller bound."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import actors.rehydrator.core
import actors.writer.core
import actors.writer.journal
import protocol.follower
import protocol.runtime.ledger
from protocol.limits import SECOND

SMALL = (  # a simulated day has a few hundred entries: what production does rarely happens often
    (actors.writer.journal, "SNAPSHOT_EVERY", 6),
    (protocol.runtime.ledger, "TAIL_CHECKED", 3),
    (protocol.runtime.ledger, "READ_ENTRIES", 25),
    (actors.writer.core, "CHECKPOINT_COMMITS", 20),
    (actors.writer.core, "COMMIT_ROWS_MAX", 8),
    (actors.writer.core, "TAIL_MAX", 20),
    (actors.writer.core, "ENTRIES_MAX", 15),
    (protocol.follower, "ENTRIES_MAX", 15),
    (actors.rehydrator.core, "AUDIT_INTERVAL", 15 * SECOND),
)

NOTHING = object()


@contextmanager
def planted(owner: Any, name: str, wrong: Any) -> Iterator[None]:
    """Put `wrong` in place of what is right."""
    right = vars(owner).get(name, NOTHING)
    setattr(owner, name, wrong)
    try:
        yield
    finally:
        if right is NOTHING:
            delattr(owner, name)
        else:
            setattr(owner, name, right)


@contextmanager
def small_bounds() -> Iterator[None]:
    """Bounds of the ledger that a simulated day reaches."""
    with ExitStack() as stack:
        for owner, name, bound in SMALL:
            stack.enter_context(planted(owner, name, bound))
        yield
