"""What the ledger says about one order: exactly that one, oldest first, within bounds."""

from pathlib import Path

import pytest
from hypothesis import given, settings

import protocol.runtime.evidence as module
from actors.rehydrator.core import EvidenceRead, ReadEvidence
from actors.rehydrator.store import Ledger, Unreadable
from actors.writer.store import Store
from protocol.envelope import Letter
from protocol.facts import (
    AnyFact,
    OrderAbsent,
    OrderAccepted,
    OrderCanceled,
    OrderDenied,
    OrderRejected,
    OrderUnknown,
    OrderWithdrawn,
)
from protocol.limits import EVIDENCE_ASKERS_MAX, EVIDENCE_MAX
from protocol.machine import Answer, Asked, Effect, Started
from protocol.messages import AnyMessage, Entry, EvidenceAnswer, EvidenceRequest
from protocol.runtime.ledger import connect_read_only
from protocol.units import Count
from tests.actors.rehydrator.test_core import AT, Host, account
from tests.actors.writer.anyfact import BATCHES, OWNERS
from tests.actors.writer.files import append, begun, change, entries, lives, unlocked
from tests.actors.writer.samples import accepted, balance, fill, intended, seen


@pytest.fixture
def path(tmp_path: Path) -> str:
    return begun(str(tmp_path / "ledger.db"))


def told(path: str, id: str) -> EvidenceAnswer:
    return Ledger(path, "").evidence(id)


def ids(path: str, id: str) -> list[str]:
    return [entry.id for entry in told(path, id).entries]


def test_all_that_speaks_of_an_order_is_found_oldest_first(path: str) -> None:
    facts: list[AnyFact] = [
        intended("c1"), intended("c2"), seen("o1", "", 1), OrderUnknown("c1", "?"), fill("t9"),
        accepted("c1", "o1"), accepted("c2", "o2"), fill("t1"), balance(), seen("o1", "c1", 2),
        OrderCanceled("o1", "c1", Count(5), 7), fill("t2", order_id="o2"), OrderAbsent("c1", "x"),
        OrderWithdrawn("c1", "x"), OrderDenied("c1", "x"), OrderRejected("c1", 400, "x"),
    ]  # fmt: skip
    lives(path, facts)
    answer = told(path, "c1")
    assert [entry.n for entry in answer.entries] == [1, 3, 4, 5, 6, 8, 10, 11, 13, 14, 15, 16]
    assert [entry.fact for entry in answer.entries] == [facts[e.n - 1] for e in answer.entries]
    assert (answer.n, answer.complete, answer.reason) == (16, True, "")
    assert ids(path, "c2") == ["intent:c2", "accepted:c2:o2", "fill:o2:t2"]
    assert told(path, "c9") == EvidenceAnswer((), 16)


def test_ids_that_begin_alike_are_not_mixed_up(path: str) -> None:
    lives(
        path,
        [intended("c1"), intended("c1:x"), intended("c1:"), intended("c"), intended("c1%")],
        [
            accepted("c1:x", "o1"), accepted("c1", "x:o2"), accepted("c1:", "o"),
            accepted("c", "1:x:o1"), accepted("c1%", "%"),
        ],
        [
            fill("t", order_id="o1"), fill("t1", order_id="o"), fill("1:t", order_id="o"),
            fill("t", order_id="o:1"), fill("t", order_id="x:o2"), fill("t", order_id="%"),
        ],
    )  # fmt: skip
    assert ids(path, "c1") == ["intent:c1", "accepted:c1:x:o2", "fill:x:o2:t"]
    assert ids(path, "c1:x") == ["intent:c1:x", "accepted:c1:x:o1", "fill:o1:t"]
    assert ids(path, "c1:") == ["intent:c1:", "accepted:c1::o", "fill:o:t1", "fill:o:1:t"]
    assert ids(path, "c1%") == ["intent:c1%", "accepted:c1%:%", "fill:%:t"]


def test_an_order_of_somebody_else_goes_by_the_exchange_s_id(path: str) -> None:
    lives(path, [seen("o9"), fill("t1", order_id="o9"), fill("t2")])
    assert ids(path, "o9") == ["order:o9:1:0:1000:resting", "fill:o9:t1"]


def test_what_fits_is_the_oldest_and_it_says_that_there_is_more(path: str) -> None:
    store = Store(path)
    store.open()
    append(store, intended("c1"), accepted("c1", "o1"))
    for start in range(0, EVIDENCE_MAX, 250):
        append(store, *(fill(f"t{i}") for i in range(start, start + 250)))
    answer = told(path, "c1")
    store.close()
    assert [entry.n for entry in answer.entries] == list(range(1, EVIDENCE_MAX + 1))
    assert (answer.n, answer.complete) == (EVIDENCE_MAX + 2, False)


def test_long_entries_are_fewer(path: str) -> None:
    words: list[AnyFact] = [OrderUnknown("c1", "x" * 60_000), OrderAbsent("c1", "y" * 60_000)]
    lives(path, [intended("c1"), *words])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "BYTES_MAX", 100_000)
        answer = told(path, "c1")
    assert ([entry.n for entry in answer.entries], answer.complete) == ([1, 2], False)
    assert len(told(path, "c1").entries) == 3


def test_ids_of_others_do_not_hide_it_however_many(path: str) -> None:
    others: list[AnyFact] = [accepted(f"bot:{i}", f"o-{i}") for i in range(300)]
    lives(path, others, [intended("bot"), accepted("bot", "o"), fill("t1", order_id="o")])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "EVIDENCE_LOOKED_MAX", 400)
        answer = told(path, "bot")
    assert [entry.id for entry in answer.entries] == ["intent:bot", "fill:o:t1"]
    assert answer.complete is False
    assert ids(path, "bot") == ["intent:bot", "accepted:bot:o", "fill:o:t1"]


def test_a_ledger_that_can_not_be_read_says_so(path: str, tmp_path: Path) -> None:
    with pytest.raises(Unreadable, match="unable to open"):
        told(str(tmp_path / "none.db"), "c1")
    lives(path, [intended("c1")])
    unlocked(path)
    change(path, "UPDATE entries SET body = '{}'")
    with pytest.raises(Unreadable, match="entry 1 can't be read"):
        told(path, "c1")


@settings(max_examples=40, deadline=None)
@given(batches=BATCHES)
def test_it_is_what_reading_all_entries_finds(
    tmp_path_factory: pytest.TempPathFactory, batches: list[list[AnyFact]]
) -> None:
    path = begun(str(tmp_path_factory.mktemp("ledger") / "ledger.db"))
    lives(path, *batches)
    with connect_read_only(path) as connection:
        tied = connection.exec_driver_sql(
            "SELECT order_id FROM orders WHERE client_order_id != '' AND order_id != ''"
        )
        known = {row[0] for row in tied}
    written = entries(path)
    for order_id, owner in OWNERS.items():
        answers = [e.fact for e in written if isinstance(e.fact, OrderAccepted)]
        names = {order_id} & (known | {a.order_id for a in answers if a.client_order_id == owner})
        assert list(told(path, owner).entries) == [e for e in written if about(e, owner, names)]


def about(entry: Entry, owner: str, order_ids: set[str]) -> bool:
    """Whether an entry names an order of ours, or one under its id at the exchange.

    A fill or sighting that names the client's order is found by the exchange's id only.
    """
    fact = entry.fact
    if getattr(fact, "order_id", "") in order_ids:
        return True
    named = getattr(fact, "client_order_id", "") == owner
    return named and not getattr(fact, "order_id", "")


# The core


def ask(host: Host, name: str = "c1", id: str = "e1", sender: bytes = b"x") -> list[Effect]:
    return host.step(Asked(AT, (sender,), Letter("api", 1, id, AT, EvidenceRequest(name))))


def answers(effects: list[Effect]) -> list[tuple[bytes, str, AnyMessage]]:
    return [(e.sender[0], e.letter.id, e.letter.body) for e in effects if isinstance(e, Answer)]


def reads(effects: list[Effect]) -> list[ReadEvidence]:
    return [e for e in effects if isinstance(e, ReadEvidence)]


def test_the_evidence_is_read_once_and_answered_to_who_asked() -> None:
    host = Host()
    host.restore(2)
    assert reads(ask(host)) == [ReadEvidence((b"x",), "e1", "c1")]
    assert reads(ask(host)) == answers(ask(host)) == [], "told again while it is being read"
    assert reads(ask(host, "c2", "e1", b"y")) == [ReadEvidence((b"y",), "e1", "c2")]
    found = EvidenceAnswer((), 2)
    assert answers(host.step(EvidenceRead(AT, (b"x",), "e1", found))) == [(b"x", "e1", found)]
    assert reads(ask(host)) == [ReadEvidence((b"x",), "e1", "c1")], "the answer was lost"


def test_while_restoring_it_answers_with_the_reason() -> None:
    host = Host()
    host.step(Started(AT))
    why = EvidenceAnswer((), 0, False, "waiting for writer: not seen")
    assert answers(ask(host)) == [(b"x", "e1", why)]
    assert account(0).n == 0


def test_so_many_questions_wait_and_no_more() -> None:
    host = Host()
    host.restore(1)
    for i in range(EVIDENCE_ASKERS_MAX):
        assert len(reads(ask(host, id=f"e{i}"))) == 1
    [(_, _, body)] = answers(ask(host, id="one more"))
    busy = f"{EVIDENCE_ASKERS_MAX} questions about orders are waiting"
    assert body == EvidenceAnswer((), 0, False, busy)
    host.step(EvidenceRead(AT, (b"x",), "e0", EvidenceAnswer((), 1)))
    assert len(reads(ask(host, id="one more"))) == 1
