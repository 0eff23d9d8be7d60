"""The rehydrator's stories: restored is our own word, rehydrated is the exchange's too."""

from actors.rehydrator.core import (
    RESTORE_RETRY,
    AccountLoaded,
    LoadAccount,
    LoadFailed,
    Rehydrator,
    Replayed,
)
from protocol import topics
from protocol.account import Account
from protocol.envelope import Envelope, Letter
from protocol.facts import natural_id
from protocol.limits import (
    HEARTBEAT_INTERVAL,
    LEDGER_SILENCE_MAX,
    SECOND,
    TELL_RETRY,
)
from protocol.machine import (
    Answer,
    Answered,
    Asked,
    Cause,
    Effect,
    Elapsed,
    Finish,
    Heard,
    Started,
    Stopping,
    Tell,
)
from protocol.messages import (
    AccountAnswer,
    AccountRequest,
    AnyMessage,
    Entries,
    EntriesRequest,
    Entry,
    Heartbeat,
    Mark,
    PlaceOrder,
    Reconcile,
    ReconcileAnswer,
    Refused,
    Signal,
)
from protocol.pulse import Identity
from protocol.units import Count, Price
from tests.actors.writer.samples import fill

AT = 1_782_873_388_379_000


def entry(n: int) -> Entry:
    fact = fill(f"t{n}")
    return Entry(n, natural_id(fact), AT, "test", fact)


def account(n: int) -> Account:
    account = Account()
    for i in range(1, n + 1):
        account.apply(entry(i))
    return account


class Host:
    """A rehydrator, its clock, and a writer that speaks."""

    def __init__(self) -> None:
        self.core = Rehydrator(Identity("rehydrator", 5))
        self.now = SECOND
        self.writer_epoch = 1
        self.seqs: dict[str, int] = {}

    def step(self, cause: Cause) -> list[Effect]:
        return self.core.step(self.now, cause)

    def later(self, nanoseconds: int) -> list[Effect]:
        self.now += nanoseconds
        return self.step(Elapsed(AT))

    def say(self, topic: str, body: AnyMessage) -> list[Effect]:
        self.seqs[topic] = self.seqs.get(topic, 0) + 1
        envelope = Envelope(topic, "writer", self.writer_epoch, self.seqs[topic], AT, body)
        return self.step(Heard(AT, envelope))

    def mark(self, head: int) -> list[Effect]:
        return self.say(topics.MARK, Mark({}, head))

    def answer(self, peer: str, id: str, body: AnyMessage) -> list[Effect]:
        return self.step(Answered(AT, peer, Letter(peer, 1, id, AT, body)))

    def restore(self, n: int) -> list[Effect]:
        self.step(Started(AT))
        self.mark(n)
        return self.step(AccountLoaded(AT, account(n), "snapshot at 0"))

    def rehydrate(self, n: int) -> None:
        self.restore(n)
        self.answer("gateway", "reconcile:5", ReconcileAnswer(n))

    def beat(self) -> Heartbeat:
        """The next heartbeat."""
        [beat] = [b for b in told(self.later(HEARTBEAT_INTERVAL)) if isinstance(b, Heartbeat)]
        return beat


def told(effects: list[Effect]) -> list[AnyMessage]:
    return [e.letter.body for e in effects if isinstance(e, Tell)]


def heartbeat(effects: list[Effect]) -> Heartbeat:
    [beat] = [body for body in told(effects) if isinstance(body, Heartbeat)]
    return beat


# Restoring


def test_it_waits_for_the_writer_and_says_so() -> None:
    host = Host()
    beat = heartbeat(host.step(Started(AT)))
    assert beat.reasons == ("waiting for writer: not seen",)
    assert beat.flags == {"restored": False, "rehydrated": False}
    assert LoadAccount() not in host.later(SECOND)
    assert LoadAccount() in host.mark(0)
    assert LoadAccount() not in host.mark(0), "one reading at a time"


def test_a_database_that_is_not_there_yet_is_looked_for_again() -> None:
    host = Host()
    host.step(Started(AT))
    host.mark(0)
    effects = host.step(LoadFailed(AT, "unable to open database file"))
    assert heartbeat(effects).reasons == ("restoring: unable to open database file",)
    assert LoadAccount() not in effects
    deadline = host.core.deadline()
    assert deadline is not None and deadline <= host.now + RESTORE_RETRY
    assert LoadAccount() in host.later(RESTORE_RETRY)


def test_progress_is_told_in_its_reasons() -> None:
    host = Host()
    host.step(Started(AT))
    host.mark(5_000)
    effects = host.step(Replayed(AT, 1_200, 5_000))
    assert heartbeat(effects).reasons == ("restoring: 1200 of 5000 entries",)


def test_restored_it_signals_and_asks_the_gateway_to_reconcile() -> None:
    host = Host()
    effects = host.restore(2)
    assert Signal("boot_rehydrate", "snapshot at 0", "n=2") in told(effects)
    assert Reconcile("boot_rehydrate") in told(effects)
    beat = heartbeat(effects)
    assert beat.reasons == ("waiting for gateway: reconciliation with the exchange",)
    assert beat.flags == {"restored": True, "rehydrated": False}
    assert Reconcile("boot_rehydrate") in told(host.later(TELL_RETRY)), "until it answers"
    host.answer("gateway", "reconcile:5", ReconcileAnswer(2))
    assert Reconcile("boot_rehydrate") not in told(host.later(TELL_RETRY))


def test_what_was_published_while_it_read_is_not_missed() -> None:
    host = Host()
    host.step(Started(AT))
    host.mark(2)
    host.say(topics.LEDGER, entry(3))
    effects = host.step(AccountLoaded(AT, account(2), "snapshot at 0"))
    [request] = [b for b in told(effects) if isinstance(b, EntriesRequest)]
    assert request.since == 2
    host.answer("writer", "entries:1", Entries((entry(3),), 3))
    assert host.core.ledger.account is not None
    assert host.core.ledger.account.state() == account(3).state()


# Rehydrating


def test_rehydrated_only_when_what_the_reconciliation_found_is_folded() -> None:
    host = Host()
    host.restore(2)
    effects = host.answer("gateway", "reconcile:5", ReconcileAnswer(4))
    beat = heartbeat(effects)
    assert beat.reasons == ("waiting for writer: entries up to 4",)
    assert beat.flags["rehydrated"] is False
    host.say(topics.LEDGER, entry(3))
    assert host.beat().flags["rehydrated"] is False
    effects = host.say(topics.LEDGER, entry(4))
    beat = heartbeat(effects)
    assert (beat.ready, beat.flags) == (True, {"restored": True, "rehydrated": True})


def test_an_answer_to_no_question_of_ours_rehydrates_nothing() -> None:
    host = Host()
    host.restore(2)
    host.answer("gateway", "reconcile:4", ReconcileAnswer(2))
    assert host.beat().flags["rehydrated"] is False


def test_a_gateway_that_can_not_yet_is_asked_again() -> None:
    host = Host()
    host.restore(2)
    host.answer("gateway", "reconcile:5", Refused("not ready"))
    assert Reconcile("boot_rehydrate") in told(host.later(TELL_RETRY))


def test_a_silent_writer_is_named_but_it_stays_rehydrated() -> None:
    host = Host()
    host.rehydrate(2)
    host.later(LEDGER_SILENCE_MAX)
    beat = host.beat()
    assert (beat.ready, beat.reasons) == (False, ("writer: silent",))
    assert beat.flags == {"restored": True, "rehydrated": True}


def test_a_restarted_writer_is_followed_on() -> None:
    host = Host()
    host.rehydrate(2)
    host.writer_epoch, host.seqs = 2, {}
    effects = host.mark(4)
    [request] = [b for b in told(effects) if isinstance(b, EntriesRequest)]
    assert request.since == 2
    beat = heartbeat(effects)
    assert beat.reasons == ("ledger: 2 entries behind",)
    assert beat.flags["rehydrated"] is True
    effects = host.answer("writer", "entries:1", Entries((entry(3), entry(4)), 4))
    assert heartbeat(effects).ready is True
    assert host.core.ledger.account is not None
    assert host.core.ledger.account.state() == account(4).state()


# Answering


def ask(host: Host, body: AnyMessage) -> AnyMessage:
    effects = host.step(Asked(AT, (b"x",), Letter("api", 1, "account:1", AT, body)))
    [answer] = [e for e in effects if isinstance(e, Answer)]
    assert (answer.sender, answer.letter.id) == ((b"x",), "account:1")
    return answer.letter.body


def test_the_account_is_answered_once_it_is_restored() -> None:
    host = Host()
    host.step(Started(AT))
    assert ask(host, AccountRequest()) == AccountAnswer(
        "restoring", reason="waiting for writer: not seen"
    )
    host.mark(2)
    host.step(AccountLoaded(AT, account(2), "snapshot at 0"))
    assert ask(host, AccountRequest()) == AccountAnswer("restored", account(2).state())
    host.say(topics.LEDGER, entry(3))
    assert ask(host, AccountRequest()) == AccountAnswer("restored", account(3).state())


def test_a_letter_that_has_no_place_here_is_refused() -> None:
    host = Host()
    order = PlaceOrder("c1", "KXA-1", "bid", Price(560_000), Count(100), "fill_or_kill")
    assert ask(host, order) == Refused("the rehydrator does not take PlaceOrder")


def test_asked_to_stop_it_stops() -> None:
    host = Host()
    host.rehydrate(1)
    assert Finish(0) in host.step(Stopping(AT))
