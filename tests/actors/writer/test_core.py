"""The writer's stories: nothing is acknowledged before its commit, and no fill is refused."""

from collections.abc import Iterable

from msgspec.structs import replace

from actors.writer.batch import Booked, Known, Result, Wanted, plan
from actors.writer.core import READS_MAX, TAIL_MAX, Writer
from actors.writer.wire import (
    AsideTold,
    Checkpoint,
    Checkpointed,
    CloseStore,
    Commit,
    Committed,
    EntriesRead,
    OpenStore,
    ReadEntries,
    StoreFailed,
    StoreOpened,
    StoreOpening,
    StoreRefused,
    TellAside,
)
from protocol.account import Account
from protocol.envelope import Letter
from protocol.facts import AnyFact, OrderCanceled, OrderWithdrawn, essence, natural_id
from protocol.limits import (
    APPENDS_MAX,
    CHECKPOINT_COMMITS,
    CHECKPOINT_ROWS,
    COMMIT_ROWS_MAX,
    ENTRIES_MAX,
    INTENTS_MAX,
    LOCKED_RETRY_LAST,
    LOCKED_RETRY_MAX,
    LOCKED_RETRY_MIN,
    LOG_PAGES_MAX,
    OPEN_RETRY,
    SECOND,
)
from protocol.machine import (
    Answer,
    Answered,
    Asked,
    Cause,
    Effect,
    Elapsed,
    Finish,
    Publish,
    Report,
    Started,
    Stopping,
    Tell,
)
from protocol.messages import (
    AccountRequest,
    AnyMessage,
    Append,
    Appended,
    Entries,
    EntriesRequest,
    Entry,
    Halt,
    HaltAnswer,
    Heartbeat,
    Mark,
    Refused,
)
from protocol.pulse import Identity
from protocol.units import Count
from tests.actors.writer.samples import accepted, balance, fill, intended, seen

AT = 1_782_873_388_379_000


class Host:
    """A writer, its clock, and a ledger in memory that commits when it is told to."""

    def __init__(self) -> None:
        self.core = Writer(Identity("writer", 7))
        self.account = Account()
        self.now = SECOND

    def step(self, cause: Cause) -> list[Effect]:
        return self.core.step(self.now, cause)

    def open(self, head: int = 0) -> None:
        self.step(Started(AT))
        self.step(StoreOpened(AT, head))

    def ask(self, body: AnyMessage, id: str = "ask", sender: bytes = b"x") -> list[Effect]:
        return self.step(Asked(AT, (sender,), Letter("gateway", 1, id, AT, body)))

    def append(self, fact: AnyFact, sender: bytes = b"x") -> list[Effect]:
        return self.ask(Append(fact), natural_id(fact), sender)

    def beat_later(self) -> list[Effect]:
        self.now += SECOND
        return self.step(Elapsed(AT))

    def commit(self, effects: list[Effect]) -> list[Effect]:
        """Do the commit among the effects, and tell the core."""
        [commit] = commits(effects)
        named = [(natural_id(want.fact), want) for want in commit.wanted]
        done = plan(named, {}, {}, self.account, commit.at)
        return self.step(Committed(AT, done.results, done.booked))


def named(wanted: Iterable[Wanted]) -> list[tuple[str, Wanted]]:
    return [(natural_id(want.fact), want) for want in wanted]


def commits(effects: list[Effect]) -> list[Commit]:
    return [e for e in effects if isinstance(e, Commit)]


def answers(effects: list[Effect]) -> list[tuple[bytes, str, AnyMessage]]:
    return [(e.sender[0], e.letter.id, e.letter.body) for e in effects if isinstance(e, Answer)]


def topics(effects: list[Effect]) -> list[str]:
    return [
        e.envelope.topic
        for e in effects
        if isinstance(e, Publish) and not isinstance(e.envelope.body, Mark)
    ]


def heartbeat(effects: list[Effect]) -> Heartbeat:
    [beat] = [
        e.letter.body
        for e in effects
        if isinstance(e, Tell) and isinstance(e.letter.body, Heartbeat)
    ]
    return beat


def halts(effects: list[Effect]) -> list[tuple[str, str, Halt]]:
    """What the gateway is told about money, by peer and id."""
    return [
        (e.peer, e.letter.id, e.letter.body)
        for e in effects
        if isinstance(e, Tell) and isinstance(e.letter.body, Halt)
    ]


def entry(n: int) -> Entry:
    fact = fill(f"t{n}")
    return Entry(n, natural_id(fact), AT, "test", fact)


def test_it_is_ready_only_once_the_database_has_taken_a_trial_commit() -> None:
    host = Host()
    effects = host.step(Started(AT))
    assert effects[0] == OpenStore()
    beat = heartbeat(effects)
    assert (beat.ready, beat.reasons, beat.flags) == (
        False,
        ("opening the database",),
        {"db_ready": False},
    )
    beat = heartbeat(host.step(StoreOpened(AT, 12)))
    assert (beat.ready, beat.reasons, beat.flags) == (True, (), {"db_ready": True})


def test_what_comes_before_the_database_is_open_waits_for_it() -> None:
    host = Host()
    host.step(Started(AT))
    assert commits(host.append(fill())) == []
    [commit] = commits(host.step(StoreOpened(AT, 0)))
    assert commit.wanted == (Wanted(fill(), "gateway"),)


def test_an_append_is_committed_then_answered_then_published() -> None:
    host = Host()
    host.open()
    host.commit(host.append(intended()))
    host.commit(host.append(accepted()))
    effects = host.append(fill())
    assert answers(effects) == [] and topics(effects) == []
    effects = host.commit(effects)
    assert answers(effects) == [(b"x", "fill:o1:t1", Appended("NEW", 3))]
    assert topics(effects) == ["ledger", "fill.KXA-1", "position.KXA-1", "order.KXA-1"]
    kinds = [type(e) for e in effects if isinstance(e, Answer | Publish)]
    assert kinds == [Answer, *[Publish] * 4], "what the bus says is acknowledged already"


def test_appends_that_come_during_a_commit_share_the_next_one() -> None:
    host = Host()
    host.open()
    first = host.append(fill("t1"), b"a")
    assert commits(host.append(fill("t2"), b"b")) == []
    assert commits(host.append(fill("t3"), b"c")) == []
    second = host.commit(first)
    assert answers(second) == [(b"a", "fill:o1:t1", Appended("NEW", 1))]
    third = host.commit(second)
    assert answers(third) == [
        (b"b", "fill:o1:t2", Appended("NEW", 2)),
        (b"c", "fill:o1:t3", Appended("NEW", 3)),
    ]
    assert commits(third) == []


def test_a_commit_takes_no_more_than_its_bound() -> None:
    host = Host()
    host.open()
    first = host.append(fill("first"))
    for i in range(COMMIT_ROWS_MAX + 1):
        host.append(fill(f"t{i}"))
    second = host.commit(first)
    assert len(commits(second)[0].wanted) == COMMIT_ROWS_MAX
    assert len(commits(host.commit(second))[0].wanted) == 1


def test_when_much_waits_intents_are_refused_and_fills_are_not() -> None:
    host = Host()
    host.open()
    host.append(fill("first"))  # under way: the others wait
    for i in range(INTENTS_MAX):
        host.append(fill(f"t{i}"))
    assert answers(host.append(intended())) == [
        (b"x", "intent:c1", Appended("REFUSED", reason="the ledger is busy"))
    ]
    for i in range(INTENTS_MAX, APPENDS_MAX):
        assert answers(host.append(fill(f"t{i}"))) == []
    assert answers(host.append(fill("late"))) == [], "it is told again, and finds room then"
    assert heartbeat(host.beat_later()).counters["queue"] == APPENDS_MAX


def test_money_that_was_set_aside_halts_trading_once_and_for_good() -> None:
    host = Host()
    host.open()
    host.append(fill())
    result = Result("CONFLICT", 1, "fill:o1:t1 is on record with another body", aside=1)
    effects = host.step(Committed(AT, (result,), ()))
    why = "ledger: conflict: fill:o1:t1 is on record with another body"
    assert answers(effects)[0][2] == Appended("CONFLICT", 1, result.reason, 1)
    assert [e.grave for e in effects if isinstance(e, Report)] == [True]
    assert halts(effects) == [("gateway", "aside:1", Halt(why))]
    beat = heartbeat(effects)
    assert (beat.reasons, beat.flags) == ((why,), {"db_ready": False})
    assert commits(host.append(fill("t2"))), "it goes on writing"
    assert halts(host.beat_later()) == halts(effects), "told until the gateway has latched it"
    answer = Letter("gateway", 1, "aside:1", AT, HaltAnswer(True, why))
    assert TellAside(1) in host.step(Answered(AT, "gateway", answer))
    assert heartbeat(host.beat_later()).ready is False, "not on record yet"
    assert heartbeat(host.step(AsideTold(AT, 1))).ready is True, "the latch holds from here on"
    assert halts(host.beat_later()) == []


def test_a_halt_that_is_not_on_the_gateways_disk_is_told_again() -> None:
    host = Host()
    host.step(Started(AT))
    first = halts(host.step(StoreOpened(AT, 7, "", 3, "why")))
    unsaved = Letter("gateway", 1, "aside:3", AT, HaltAnswer(True, "disk full", saved=False))
    assert not [e for e in host.step(Answered(AT, "gateway", unsaved)) if isinstance(e, TellAside)]
    assert halts(host.beat_later()) == first


def test_what_was_told_never_goes_back() -> None:
    host = Host()
    host.open()
    for k in (1, 2):
        host.append(fill(f"t{k}"))
        host.step(Committed(AT, (Result("REFUSED", reason="CHECK failed", aside=k),), ()))
    for k in (2, 1):  # the answer to the first was lost, and is given again
        answer = Letter("gateway", 1, f"aside:{k}", AT, HaltAnswer(True))
        assert TellAside(2) in host.step(Answered(AT, "gateway", answer))
    host.step(AsideTold(AT, 2))
    host.append(fill("t2"))
    effects = host.step(Committed(AT, (Result("REFUSED", reason="CHECK failed", aside=2),), ()))
    assert halts(effects) == [] and heartbeat(host.beat_later()).ready is True


def test_a_ledger_that_is_not_for_us_ends_the_process_for_good() -> None:
    host = Host()
    host.step(Started(AT))
    said = "made by a newer program (schema 0003, this one knows 0002)"
    assert host.step(StoreRefused(AT, said)) == [Report(said, grave=True), Finish(78)]


def test_money_set_aside_in_a_former_life_halts_trading_in_this_one() -> None:
    host = Host()
    host.step(Started(AT))
    effects = host.step(StoreOpened(AT, 7, "as before", 3, "fill:o1:t9: CHECK failed"))
    assert halts(effects) == [("gateway", "aside:3", Halt("fill:o1:t9: CHECK failed"))]


def test_an_order_under_a_used_id_is_the_clients_mistake() -> None:
    host = Host()
    host.open()
    host.append(intended())
    effects = host.step(Committed(AT, (Result("CONFLICT", 1, "taken"),), ()))
    assert answers(effects)[0][2] == Appended("CONFLICT", 1, "taken")
    assert [e for e in effects if isinstance(e, Report | Tell)] == []


def test_money_that_can_not_be_booked_closes_the_gate_but_an_observation_does_not() -> None:
    for fact, ready in ((fill(), False), (balance(), True)):
        host = Host()
        host.open()
        host.append(fact)
        refused = Result("REFUSED", reason="CHECK failed", aside=1)
        effects = host.step(Committed(AT, (refused,), ()))
        assert answers(effects)[0][2] == Appended("REFUSED", 0, "CHECK failed", 1)
        assert heartbeat(host.beat_later()).ready is ready


def test_a_locked_database_is_tried_again_and_named_only_when_it_lasts() -> None:
    host = Host()
    host.open()
    [commit] = commits(host.append(fill()))
    since, wait = host.now, LOCKED_RETRY_MIN
    while host.now - since < LOCKED_RETRY_MAX:
        assert host.core._troubles == {}
        host.step(StoreFailed(AT, "database is locked", False))
        assert commits(host.step(Elapsed(AT))) == [], "not at once"
        host.now += wait
        wait = min(wait * 2, LOCKED_RETRY_LAST)
        assert commits(host.step(Elapsed(AT))) == [commit], "the same batch"
    effects = host.step(StoreFailed(AT, "database is locked, held by pid 7 (vi)", False))
    assert heartbeat(effects).reasons == ("database: database is locked, held by pid 7 (vi)",)
    host.now += LOCKED_RETRY_LAST
    assert commits(host.step(Elapsed(AT))) == [commit], "and it goes on trying"
    effects = host.commit([commit])
    assert answers(effects) == [(b"x", "fill:o1:t1", Appended("NEW", 1))]
    assert heartbeat(effects).ready is True


def test_a_database_locked_at_the_start_is_opened_later() -> None:
    host = Host()
    host.step(Started(AT))
    host.step(StoreFailed(AT, "database is locked", False))
    assert host.core.deadline() <= host.now + LOCKED_RETRY_MIN
    host.now += LOCKED_RETRY_MIN
    assert OpenStore() in host.step(Elapsed(AT))
    host.now += 1
    assert heartbeat(host.step(StoreOpened(AT, 3))).ready is True
    assert OpenStore() not in host.step(Elapsed(AT))


def test_a_ledger_that_can_not_be_opened_waits_for_the_operator_and_says_why() -> None:
    host = Host()
    host.step(Started(AT))
    beat = heartbeat(host.step(StoreOpening(AT, "checking the whole ledger")))
    assert beat.reasons == ("checking the whole ledger",)
    effects = host.step(StoreFailed(AT, "entry 7 is missing", True))
    assert heartbeat(effects).reasons == ("entry 7 is missing",)
    assert not [e for e in effects if isinstance(e, Finish)], "the others can still cancel"
    assert commits(host.append(fill())) == []
    assert not [e for e in host.step(Elapsed(AT)) if isinstance(e, Publish)], "nor a mark"
    host.now += OPEN_RETRY
    assert OpenStore() in host.step(Elapsed(AT))
    assert Finish(0) in host.step(Stopping(AT))


def test_the_log_file_is_brought_in_after_so_many_commits_or_entries() -> None:
    host = Host()
    host.open()
    for i in range(CHECKPOINT_COMMITS):
        effects = host.commit(host.append(fill(f"t{i}")))
        assert (Checkpoint() in effects) is (i == CHECKPOINT_COMMITS - 1)
    host.append(fill("many"))
    one = Booked(entry(1), (), b"", "", ())
    results = (Result("NEW", 1),)
    assert Checkpoint() in host.step(Committed(AT, results, (one,) * CHECKPOINT_ROWS))


def test_a_reader_that_pins_the_log_file_is_named() -> None:
    host = Host()
    host.open()
    effects = host.step(Checkpointed(AT, LOG_PAGES_MAX + 10, 5))
    assert heartbeat(effects).reasons == (
        f"database: a reader that does not end holds {LOG_PAGES_MAX + 5} log pages",
    )
    assert heartbeat(host.step(Checkpointed(AT, LOG_PAGES_MAX + 10, 20))).ready is True


def test_failed_storage_answers_nothing_and_ends_the_process() -> None:
    host = Host()
    host.open()
    host.append(fill())
    effects = host.step(StoreFailed(AT, "disk I/O error", True))
    assert answers(effects) == []
    assert Report("database: disk I/O error", grave=True) in effects
    assert Finish(1) in effects
    assert host.append(fill("t2")) == [], "nothing after the end"
    assert host.core.deadline() is None


def test_stopping_commits_what_waits_then_closes() -> None:
    host = Host()
    host.open()
    first = host.append(fill("t1"))
    host.append(fill("t2"))
    effects = host.step(Stopping(AT))
    assert Finish(0) not in effects
    assert answers(host.append(intended()))[0][2] == Appended(
        "REFUSED", reason="the ledger is busy"
    )
    effects = host.commit(first)
    assert Finish(0) not in effects
    effects = host.commit(effects)
    assert answers(effects) == [(b"x", "fill:o1:t2", Appended("NEW", 2))]
    assert effects[-2:] == [CloseStore(), Finish(0)]
    assert host.step(Elapsed(AT)) == []


# Reading


def test_a_follower_that_missed_a_few_is_served_from_memory() -> None:
    host = Host()
    host.open()
    for i in range(3):
        host.commit(host.append(fill(f"t{i}")))
    [(_, id, answer)] = answers(host.ask(EntriesRequest(1), "entries:4"))
    assert id == "entries:4"
    assert isinstance(answer, Entries)
    assert ([e.n for e in answer.entries], answer.head) == ([2, 3], 3)
    assert answers(host.ask(EntriesRequest(0, 2)))[0][2].entries[-1].n == 2  # type: ignore[union-attr]
    assert answers(host.ask(EntriesRequest(99)))[0][2] == Entries((), 3)


def test_what_memory_does_not_have_is_read_from_the_database() -> None:
    host = Host()
    host.open(head=9_000)
    effects = host.ask(EntriesRequest(0), "entries:1")
    assert answers(effects) == []
    assert ReadEntries((b"x",), "entries:1", 0, ENTRIES_MAX) in effects
    effects = host.step(EntriesRead(AT, (b"x",), "entries:1", (entry(1), entry(2))))
    assert answers(effects) == [(b"x", "entries:1", Entries((entry(1), entry(2)), 9_000))]


def test_nobody_may_ask_for_the_whole_ledger_at_once() -> None:
    host = Host()
    host.open(head=9_000)
    for since, limit, want in (
        (0, -1, (0, 1)),
        (-(2**70), 0, (0, 1)),
        (5, 2**70, (5, ENTRIES_MAX)),
    ):
        effects = host.ask(EntriesRequest(since, limit))
        [read] = [e for e in effects if isinstance(e, ReadEntries)]
        assert (read.since, read.limit) == want
    for _ in range(READS_MAX):
        effects = host.ask(EntriesRequest(0))
    assert not [e for e in effects if isinstance(e, ReadEntries | Answer)], "asked again soon"


def test_memory_is_bounded_and_without_holes() -> None:
    host = Host()
    host.open()
    count = TAIL_MAX + 10
    for n in range(1, count + 1):
        host.append(fill(f"t{n}"))
        one = Booked(entry(n), (), essence(entry(n).fact), "", ())
        host.step(Committed(AT, (Result("NEW", n),), (one,)))
    effects = host.ask(EntriesRequest(9, 1))
    assert [e for e in effects if isinstance(e, ReadEntries)], "the tenth is no longer in memory"
    [(_, _, answer)] = answers(host.ask(EntriesRequest(10, 1)))
    assert isinstance(answer, Entries)
    assert [e.n for e in answer.entries] == [11]


def test_the_mark_says_how_long_the_ledger_is() -> None:
    host = Host()
    host.open(head=41)
    host.account.n = 41
    host.commit(host.append(fill()))
    host.now += SECOND
    [mark] = [
        e.envelope.body
        for e in host.step(Elapsed(AT))
        if isinstance(e, Publish) and isinstance(e.envelope.body, Mark)
    ]
    assert mark.head == 42
    assert mark.topics["ledger"] == 1


def test_a_letter_that_has_no_place_here_is_refused() -> None:
    host = Host()
    host.open()
    [(_, _, answer)] = answers(host.ask(AccountRequest()))
    assert answer == Refused("the writer does not take AccountRequest")


# Planning a batch


def test_a_plan_numbers_what_is_new_and_repeats_what_is_known() -> None:
    account = Account()
    first = plan(named([Wanted(intended(), "gateway")]), {}, {}, account, AT)
    known = {one.entry.id: Known(one.entry.n, one.essence) for one in first.booked}
    batch = [
        Wanted(f, "stream") for f in (intended(), seen(), seen(), fill(), intended(count=2_000))
    ]
    done = plan(named(batch), known, {}, account, AT)
    assert [(r.verdict, r.n) for r in done.results] == [
        ("REPEAT", 1),
        ("NEW", 2),
        ("REPEAT", 2),
        ("NEW", 3),
        ("CONFLICT", 1),
    ]
    assert [(b.entry.n, b.entry.source) for b in done.booked] == [(2, "stream"), (3, "stream")]


def test_a_plan_says_what_was_said_of_a_fact_that_was_set_aside() -> None:
    refused = Result("REFUSED", 0, "CHECK failed", aside=3)
    aside = {(natural_id(fill()), essence(fill())): refused}
    account = Account()
    facts = [fill(), fill("t2"), fill(count=200)]
    done = plan(named(Wanted(fact, "stream") for fact in facts), {}, aside, account, AT)
    assert done.results == (refused, Result("NEW", 1), Result("NEW", 2)), "of another essence"
    assert account.n == 2


def test_a_refusal_told_again_halts_nothing_that_somebody_has_resumed() -> None:
    host = Host()
    host.step(Started(AT))
    host.step(StoreOpened(AT, 7, told=3))  # of a former life
    host.append(fill("bad"))
    known = Result("REFUSED", reason="CHECK failed", aside=3)
    effects = host.step(Committed(AT, (known,), ()))
    assert answers(effects)[0][2] == Appended("REFUSED", 0, "CHECK failed", 3)
    assert [e for e in effects if isinstance(e, Report)] == halts(effects) == []
    assert heartbeat(host.beat_later()).ready is True


def test_an_intent_of_an_order_that_was_withdrawn_is_no_news() -> None:
    account = Account()
    withdrawn = OrderWithdrawn("c1", "no acknowledgement of the intent")
    facts = (withdrawn, intended())
    batch = [(natural_id(fact), Wanted(fact, "gateway")) for fact in facts]
    done = plan(batch, {}, {}, account, AT)
    assert [r.verdict for r in done.results] == ["NEW", "REPEAT"], "NEW would let it be sent"
    assert len(done.booked) == 2


# Late fills


def graves(effects: list[Effect]) -> list[str]:
    return [e.text for e in effects if isinstance(e, Report) and e.grave]


def test_a_late_fill_is_booked_like_any_other_and_shouted_about_once() -> None:
    host = Host()
    host.open()
    for fact in (intended(), accepted(), OrderCanceled("o1", "c1", Count(900))):
        host.commit(host.append(fact))
    effects = host.commit(host.append(fill("t1", 100)))
    assert graves(effects) == [], "the cancel's answer has counted it"
    effects = host.commit(host.append(fill("t2", 250)))
    assert graves(effects) == [
        "late fill: trade t2, bid 2.50 at 0.5600, of order c1 in KXA-1, which had ended without it"
    ]
    assert topics(effects) == ["ledger", "fill.KXA-1", "position.KXA-1", "order.KXA-1"]
    assert [body for _, _, body in answers(effects)] == [Appended("NEW", 5)]
    assert halts(effects) == []
    beat = heartbeat(host.beat_later())
    assert (beat.ready, beat.counters["late_fills"]) == (True, 1)
    assert graves(host.beat_later()) == []


def test_a_fill_of_an_order_that_we_called_off_is_late() -> None:
    host = Host()
    host.open()
    for fact in (intended(), OrderWithdrawn("c1", "late")):
        host.commit(host.append(fact))
    effects = host.commit(host.append(replace(fill("t1"), client_order_id="c1")))
    assert len(graves(effects)) == 1
    assert heartbeat(host.beat_later()).counters["late_fills"] == 1
