"""The tests of the tests: known mistakes, planted one at a time. The simulation must catch each.

A checker that no mistake trips proves nothing; a new promise brings a mistake with it.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import pytest
from msgspec.structs import replace

import actors.writer.journal
import protocol.runtime.ledger
from actors.stream.subscriptions import Place, Subscriptions
from actors.writer.core import Writer
from actors.writer.journal import Journal
from protocol.audit import Damage
from protocol.errors import RemoteProtocolError
from protocol.follower import LedgerFollower
from protocol.ledger import SNAPSHOT_FORMAT, Snapshot, _snapshot_digest, open_snapshot
from protocol.machine import Answer, Tell
from protocol.messages import Append, Appended
from protocol.sequence import Cursor, Verdict
from protocol.telling import Outstanding
from tests.simulation import rot
from tests.simulation.planting import planted
from tests.simulation.short_days import rotten, the_bus_drops_and_is_slow
from tests.simulation.test_simulation import Mistake, catch


def judging(change: dict[Verdict, Verdict]) -> AbstractContextManager[None]:
    right = Cursor._judge
    return planted(Cursor, "_judge", lambda s, e, q: change.get(v := right(s, e, q), v))


def a_gap_on_the_bus_counts_as_next() -> AbstractContextManager[None]:
    return judging({Verdict.GAP: Verdict.NEXT})


def a_duplicate_counts_as_next() -> AbstractContextManager[None]:
    return judging({Verdict.DUPLICATE: Verdict.NEXT})


def a_gap_of_the_exchange_is_not_noticed() -> AbstractContextManager[None]:
    right = Subscriptions.admit

    def admit(self: Subscriptions, *place: Any) -> Any:
        verdict = right(self, *place)
        return Place.NEXT if verdict is Place.GAP else verdict

    return planted(Subscriptions, "admit", admit)


def acknowledged_before_the_commit() -> AbstractContextManager[None]:
    right = Writer._append

    def append(self: Writer, at: int, sender: Any, letter: Any, is_intent: bool) -> Any:
        effects = right(self, at, sender, letter, is_intent)
        early = Appended("NEW", self._head + len(self._queue) + len(self._committing))
        return [*effects, Answer(sender, self._outbox.letter(letter.id, early, at))]

    return planted(Writer, "_append", append)


def a_hole_in_the_ledger_is_not_filled() -> AbstractContextManager[None]:
    return planted(LedgerFollower, "_missing", property(lambda self: self.account is None))


# The ledger


class Instead:
    """A connection on which something else happens in place of some statements, or after them."""

    def __init__(self, connection: Any, word: str, wrong: Callable[[Any], None], also: bool):
        self._connection, self._word, self._wrong, self._also = connection, word, wrong, also

    def exec_driver_sql(self, statement: str, *values: Any) -> Any:
        hit = self._word in statement
        if self._also or not hit:
            self._connection.exec_driver_sql(statement, *values)
        if hit:
            self._wrong(self._connection)


def writing(word: str, wrong: Callable[[Any], None], also: bool) -> AbstractContextManager[None]:
    right = actors.writer.journal.write_entries

    def write_entries(connection: Any, *rest: Any) -> bytes:
        return right(Instead(connection, word, wrong, also), *rest)

    return planted(actors.writer.journal, "write_entries", write_entries)


def a_commit_is_torn_in_two() -> AbstractContextManager[None]:
    def split(connection: Any) -> None:
        connection.exec_driver_sql("COMMIT")
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    return writing("INTO entries", split, also=True)


def a_fill_moves_no_position() -> AbstractContextManager[None]:
    return writing("INTO positions", lambda _: None, also=False)


def the_fold_of_a_failed_commit_is_kept() -> AbstractContextManager[None]:
    return planted(Journal, "stale", property(lambda self: False, lambda self, stale: None))


def a_repeat_is_not_recognised() -> AbstractContextManager[None]:
    return planted(Journal, "_known", lambda self, ids: {})


def a_repeat_is_called_new() -> AbstractContextManager[None]:
    right = actors.writer.journal.plan

    def plan(*given: Any) -> Any:
        made = right(*given)
        words = {"REPEAT": "NEW"}
        results = [replace(r, verdict=words.get(r.verdict, r.verdict)) for r in made.results]
        return replace(made, results=tuple(results))

    return planted(actors.writer.journal, "plan", plan)


def an_unanswered_fact_is_not_told_again() -> AbstractContextManager[None]:
    right = Outstanding.due

    def due(self: Outstanding, now: int) -> Any:
        told = [e for e in right(self, now) if isinstance(e, Tell)]
        return [tell for tell in told if not isinstance(tell.letter.body, Append)]

    return planted(Outstanding, "due", due)


def trusting(unchecked: str) -> AbstractContextManager[None]:
    """A snapshot is opened without one of the looks at it."""

    def opened(found: Snapshot, head: int, account: str, entry_hash: bytes) -> Any:
        if found.digest != sealed(found).digest and unchecked != "digest":
            return open_snapshot(found, head, account, entry_hash)
        right = {"account": account, "format": SNAPSHOT_FORMAT, "entry_hash": entry_hash}
        if unchecked in right:
            found = replace(found, **{unchecked: right[unchecked]})
        last = max(head, found.n) if unchecked == "head" else head
        return open_snapshot(sealed(found), last, account, entry_hash)

    return planted(protocol.runtime.ledger, "open_snapshot", opened)


def sealed(found: Snapshot) -> Snapshot:
    """The same with the digest of what it says."""
    said = (found.n, found.format, found.account, found.entry_hash, found.body)
    return Snapshot(*said, _snapshot_digest(*said))


MISTAKES: list[Mistake] = [
    a_gap_on_the_bus_counts_as_next,
    a_gap_of_the_exchange_is_not_noticed,
    acknowledged_before_the_commit,
    a_hole_in_the_ledger_is_not_filled,
    a_commit_is_torn_in_two,
    a_fill_moves_no_position,
    the_fold_of_a_failed_commit_is_kept,
    a_repeat_is_not_recognised,
    a_repeat_is_called_new,
    an_unanswered_fact_is_not_told_again,
]
ROTTEN = {  # a snapshot that only this look can tell from a good one
    "digest": rot.a_bit_is_flipped,
    "account": rot.of_another_account,
    "format": rot.of_an_older_format,
    "entry_hash": rot.of_another_history,
    "head": rot.from_the_future,
}


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda m: m.__name__)
def test_a_planted_mistake_is_caught(mistake: Mistake) -> None:
    catch(mistake)


@pytest.mark.parametrize("seed_of_day", (1, 2, 3))
def test_a_duplicate_is_taken_for_news(seed_of_day: int) -> None:
    the_bus_drops_and_is_slow(seed_of_day)
    with a_duplicate_counts_as_next(), pytest.raises((AssertionError, RemoteProtocolError)):
        the_bus_drops_and_is_slow(seed_of_day)


@pytest.mark.parametrize("look", ROTTEN)
def test_a_look_at_a_snapshot_is_missed(look: str, few: bool) -> None:
    """Each snapshot is bad in just the way that the look is for, and nothing else goes wrong."""
    day = rotten(ROTTEN[look])
    for seed in (1,) if few else (1, 2, 3):
        day(seed)
        with trusting(look), pytest.raises((AssertionError, Damage, RemoteProtocolError)):
            day(seed)
