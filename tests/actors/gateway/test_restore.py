"""After a restore from a backup: what the ledger forgot is not done again by mistake."""

from typing import Any

import pytest
from msgspec.structs import replace

from actors.gateway.terms import hash_of
from protocol.envelope import Letter
from protocol.facts import LedgerRestored, OrderIntended, Reconciled, RestoreConfirmed
from protocol.limits import ABSENCE_AFTER, CONFIRM_ASKERS_MAX, SECOND, US
from protocol.machine import Answered, Asked, Effect, Elapsed, Report, Tell
from protocol.messages import (
    Append,
    Appended,
    CancelAnswer,
    CancelOrder,
    ConfirmRestore,
    Heartbeat,
    Reconcile,
    Refused,
    RestoreAnswer,
)
from protocol.units import Count, Price
from tests.actors.gateway.scene import Scene, order

RESTORED = LedgerRestored("r1", 0, 5)
READ = Reconciled(6, 1, 10 + ABSENCE_AFTER // US, 0, 0)
CONFIRMED = RestoreAnswer("confirmed")


class Story(Scene):
    """A gateway whose ledger begins with the facts given; everything else is ready."""

    def __init__(self, *facts: Any) -> None:
        self.reports: list[Report] = []
        self.beats: list[Heartbeat] = []
        super().__init__()
        self.restore(*facts).pass_time(3 * SECOND).beat()
        self.settle()  # the first balance, and the round at boot

    def _take(self, effect: Effect) -> None:
        super()._take(effect)
        match effect:
            case Report():
                self.reports.append(effect)
            case Tell(letter=Letter(body=Heartbeat() as beat)):
                self.beats.append(beat)

    def confirm(self, id: str = "q", by: str = "alice", epoch: int = 1) -> None:
        self.feed(Asked(self.at, (b"api",), Letter("api", epoch, id, 0, ConfirmRestore(by))))

    def reconcile(self) -> list[Any]:
        self.ask(Reconcile("boot"), "boot")
        booked = []
        for _ in range(4):
            self.pass_time(SECOND // 4).beat()
            booked += self.acknowledge()
        return booked

    def later(self) -> list[Any]:
        """So much later that nothing from before the restore can land any more."""
        booked = []
        for _ in range(ABSENCE_AFTER // SECOND + 1):
            self.pass_time(SECOND).beat()
            booked += self.acknowledge()
        return booked

    @property
    def confirmations(self) -> list[RestoreAnswer]:
        return [a for a in self.answers if isinstance(a, RestoreAnswer)]

    @property
    def unconfirmed(self) -> int:
        self.pass_time(SECOND + SECOND // 10)
        return self.beats[-1].counters["restore_unconfirmed"]

    @property
    def sent(self) -> list[str]:
        return [c.call.name for c in self.made if c.call.method == "POST"]


def test_the_hash_of_an_order_is_what_ledgers_on_disk_hold() -> None:
    plain = "4f15964ff70cb22811572976b71f337f8437e5b9c1139c4ef7d7d5c71313f74c"
    post_only = "adc8959cdebb088c1ee4d4e8e8eb9b567c9dd43413db95dedc6e190c602cabe6"
    assert hash_of(order()) == plain
    assert hash_of(replace(order(), minted=True)) == plain
    assert hash_of(replace(order(), post_only=True)) == post_only


@pytest.mark.parametrize("added", [{"order_group_id": "g-1"}, {"lease_s": 30}])
def test_a_term_that_is_said_is_hashed(added: dict[str, Any]) -> None:
    assert hash_of(replace(order(), **added)) != hash_of(order())


def test_an_id_of_a_client_is_refused_until_somebody_has_confirmed() -> None:
    story = Story(RESTORED)
    story.ask(order())
    assert (story.told.outcome, story.told.code) == ("denied", "restore_unconfirmed")
    assert "ends at entry 0" in story.told.text
    assert "wait until the exchange has been reconciled" in story.told.text
    assert any(isinstance(fact, Reconciled) for fact in story.reconcile())
    story.ask(order())
    assert story.told.code == "restore_unconfirmed", "reconciliation alone is not enough"
    assert "sidecar confirm-restore" in story.told.text
    story.confirm("early")
    [refused] = story.confirmations
    assert "a request from before may land for" in refused.reason
    assert any(isinstance(fact, Reconciled) for fact in story.later()), "by itself, once it is sure"
    story.answers.clear()
    story.confirm()
    assert story.confirmations == [], "it is recorded before it is told"
    assert story.acknowledge() == [RestoreConfirmed("r1", "alice")]
    assert story.confirmations == [CONFIRMED]
    story.ask(order())
    [intent] = story.acknowledge()
    assert isinstance(intent, OrderIntended)
    assert story.sent == ["create"]


def test_an_id_that_the_front_made_up_passes_and_its_repetition_is_the_same_order() -> None:
    story = Story(RESTORED)
    story.ask(replace(order(), minted=True))
    story.acknowledge()
    assert story.sent == ["create"]
    story.ask(order(), "again")  # the client says the id itself now
    assert story.answers == [], "it waits for the order's outcome"
    story.reply(400, {"error": {"code": "invalid_price", "message": "?"}})
    story.acknowledge()
    assert story.told.outcome == "rejected"
    assert len(story.answers) == 2
    assert story.sent == ["create"]


def test_an_id_that_the_restored_ledger_knows_is_answered_from_it() -> None:
    terms = ("c1", "KXA-1", "bid", Price(560_000), Count(1_000), "good_till_canceled")
    story = Story(OrderIntended(*terms, hash_of(order())), replace(RESTORED, head=1))
    story.ask(order())
    assert (story.told.outcome, story.told.code) == ("unknown", "unknown")
    story.ask(order(price=Price(1)))
    assert story.told.outcome == "conflict"
    assert story.sent == []


def test_cancels_wait_for_no_confirmation() -> None:
    story = Story(RESTORED)
    story.ask(CancelOrder("c9"))
    story.pass_time(2 * SECOND)
    assert any(isinstance(a, CancelAnswer) for a in story.answers)


def test_no_confirmation_before_the_exchange_was_read() -> None:
    story = Story(READ, RESTORED)
    story.confirm()
    [refused] = story.confirmations
    assert refused.state == "refused"
    assert "not been reconciled since the restore" in refused.reason
    assert story.appends == []
    assert story.unconfirmed == 1


def test_no_confirmation_without_the_account() -> None:
    scene = Scene()
    scene.ask(ConfirmRestore("alice"))
    refused = RestoreAnswer("refused", "waiting for rehydrator: no account yet")
    assert scene.answers == [refused]


def test_without_a_restore_there_is_nothing_to_confirm() -> None:
    story = Story()
    story.confirm()
    assert [a.state for a in story.confirmations] == ["none"]
    assert story.unconfirmed == 0
    assert story.reports == []


@pytest.mark.parametrize("by", ["", "x" * 201, "a\nb"], ids=["empty", "long", "lines"])
def test_a_confirmation_has_a_name(by: str) -> None:
    story = Story(RESTORED, READ)
    story.confirm(by=by)
    assert [a.state for a in story.confirmations] == ["refused"]
    assert story.appends == []


def test_all_who_ask_at_once_are_answered_and_one_confirmation_is_recorded() -> None:
    story = Story(RESTORED, READ)
    for id in ("q1", "q2", "q2", "q3"):
        story.confirm(id, by=id)
    assert story.acknowledge() == [RestoreConfirmed("r1", "q1")]
    assert story.confirmations == [CONFIRMED] * 3
    story.confirm("q2")
    assert story.confirmations[3:] == [CONFIRMED], "the same letter is answered the same again"
    story.confirm("q4")
    story.confirm("q2", epoch=2)
    assert [a.state for a in story.confirmations[4:]] == ["none", "none"]
    assert story.appends == []


def test_no_more_than_so_many_wait() -> None:
    story = Story(RESTORED, READ)
    for i in range(CONFIRM_ASKERS_MAX + 1):
        story.confirm(f"q{i}")
    assert [a.state for a in story.confirmations] == ["refused"]
    story.acknowledge()
    assert len(story.confirmations) == CONFIRM_ASKERS_MAX + 1


def test_a_confirmation_on_disk_counts_before_its_entry_comes_back() -> None:
    story = Story(RESTORED, READ)
    story.confirm()
    story.acknowledge("REPEAT")  # nothing is published: the account still says unconfirmed
    assert story.confirmations == [CONFIRMED]
    story.ask(order())
    assert [type(a.body.fact) for a in story.appends] == [OrderIntended]  # type: ignore[union-attr]
    assert story.unconfirmed == 0


@pytest.mark.parametrize(
    "answer", [Appended("REFUSED", reason="disk full"), Appended("CONFLICT"), Refused("what?")]
)
def test_what_the_ledger_does_not_take_is_not_confirmed(answer: Any) -> None:
    story = Story(RESTORED, READ)
    story.confirm("q1")
    story.confirm("q2")
    [append] = story.appends
    story.appends = []
    assert isinstance(append.body, Append)
    story.feed(Answered(0, "writer", Letter("writer", 3, append.id, 0, answer)))
    assert [a.state for a in story.confirmations] == ["refused", "refused"]
    story.ask(order())
    assert story.told.code == "restore_unconfirmed"
    story.confirm("q1")
    story.acknowledge()
    assert story.confirmations[2:] == [CONFIRMED]


def test_the_log_says_once_what_to_do() -> None:
    story = Story(RESTORED)
    story.feed(Elapsed(0))
    [report] = story.reports
    assert report.grave
    assert "sidecar confirm-restore" in report.text
    assert story.unconfirmed == 1
