"""What the sweep kills: for each name, what is there before a life and what the life does.

`run` says each number and id once `commit` has returned, and lets Failed through, as the writer
does. A check of its own is for a scenario that leaves more than a ledger.
"""

from collections.abc import Callable
from typing import NamedTuple

from actors.writer.store import Store
from protocol.facts import AnyFact, natural_id
from tests.actors.writer import copying
from tests.actors.writer.audit import Audit, audit
from tests.actors.writer.samples import accepted, fill, intended, wanted

Say = Callable[[int, str], object]


class Scenario(NamedTuple):
    """What is there before, what a life does, and what must hold after it."""

    prepare: Callable[[str], None]
    run: Callable[[str, Say], None]
    check: Audit = audit


def append(store: Store, say: Say, *facts: AnyFact) -> None:
    """Commit, then say what is acknowledged by it."""
    done = store.commit(wanted(*facts), 1)
    for fact, result in zip(facts, done.results, strict=True):
        say(result.n, natural_id(fact))


def append_batches(store: Store, say: Say) -> None:
    """Commits of one to seven fills, each but the first with a repeat."""
    for size in range(1, 8):
        batch = [fill(f"batch-{size}-{number}") for number in range(size)]
        append(store, say, *batch, *[fill("batch-1-0")] * (size > 1))


def nothing(path: str) -> None:
    """Leave the folder empty, so that a life makes the database."""


def a_ledger(path: str) -> None:
    """Leave a closed ledger with an order and a few fills."""
    store = Store(path)
    store.open()
    append(store, lambda n, id: None, intended(), accepted(), fill("t1"), fill("t2"))
    store.close()


def appending(path: str, say: Say) -> None:
    """Make the database and append to it."""
    store = Store(path)
    store.open()
    append(store, say, intended(), accepted())
    append_batches(store, say)


def checkpointing(path: str, say: Say) -> None:
    """Move the log into the database between commits."""
    store = Store(path)
    store.open()
    append_batches(store, say)
    log = store.checkpoint()
    assert log.pages == log.done
    append(store, say, fill("t1"), fill("t3"))
    append(store, say, fill("t4"))


def stopping(path: str, say: Say) -> None:
    """Stop cleanly, which saves a snapshot."""
    store = Store(path)
    store.open()
    append(store, say, fill("t1"), fill("t3"))
    append(store, say, fill("t4"), fill("t5"))
    store.close()


def hasty(path: str, say: Say) -> None:
    """The mistake that a sweep must find: acknowledged before it is committed."""
    store = Store(path)
    store.open()
    say(5, natural_id(fill("t3")))
    append(store, say, fill("t3"))


SCENARIOS = {
    "append": Scenario(nothing, appending),
    "checkpoint": Scenario(a_ledger, checkpointing),
    "snapshot": Scenario(a_ledger, stopping),
    "migrate": Scenario(copying.former_ledger, copying.migrating, copying.check_migrated),
    "backup": Scenario(copying.a_ledger, copying.backing_up, copying.check_backed_up),
    "restore": Scenario(copying.a_ledger_and_a_backup, copying.restoring, copying.check_restored),
}
MISTAKES = {"hasty": Scenario(a_ledger, hasty)}
