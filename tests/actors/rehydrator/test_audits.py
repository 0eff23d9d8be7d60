"""The rehydrator proves the ledger, page by page, for the rest of its life."""

from actors.rehydrator.core import Audited, AuditFailed, AuditPage
from protocol import topics
from protocol.limits import (
    AUDIT_INTERVAL,
    AUDIT_PAUSE,
    AUDIT_RETRY,
    LEDGER_SILENCE_MAX,
    SECOND,
    TELL_RETRY,
)
from protocol.machine import Effect, Report, Tell
from protocol.messages import Halt, HaltAnswer, ReconcileAnswer, Refused
from tests.actors.rehydrator.test_core import AT, Host, entry, heartbeat


def audits(effects: list[Effect]) -> int:
    return sum(isinstance(effect, AuditPage) for effect in effects)


def halts(effects: list[Effect]) -> list[tuple[str, str, Halt]]:
    return [
        (e.peer, e.letter.id, e.letter.body)
        for e in effects
        if isinstance(e, Tell) and isinstance(e.letter.body, Halt)
    ]


def test_nothing_is_audited_before_it_is_rehydrated() -> None:
    host = Host()
    host.restore(2)
    for _ in range(20):
        assert audits(host.later(SECOND)) == 0
    assert audits(host.answer("gateway", "reconcile:5", ReconcileAnswer(3))) == 0, "not folded yet"
    assert audits(host.say(topics.LEDGER, entry(3))) == 1


def test_the_ledger_is_proved_a_page_at_a_time_with_a_pause_between() -> None:
    host = Host()
    host.restore(2)
    assert audits(host.answer("gateway", "reconcile:5", ReconcileAnswer(2))) == 1
    for done in (1_000, 2_000, 3_000):
        assert audits(host.later(AUDIT_PAUSE)) == 0, "one page at a time"
        assert audits(host.step(Audited(AT, done, 3_000, False))) == 0
        assert host.core.deadline() <= host.now + AUDIT_PAUSE
        assert audits(host.later(AUDIT_PAUSE - 1)) == 0
        assert audits(host.later(1)) == 1
    effects = host.step(Audited(AT, 3_000, 3_000, True))
    assert Report("the ledger is proved up to entry 3000") in effects
    assert host.beat().counters["audited"] == 3_000


def test_it_is_proved_again_each_hour() -> None:
    host = Host()
    host.rehydrate(2)
    for head in (2, 3):
        host.step(Audited(AT, head, head, True))
        assert audits(host.later(AUDIT_INTERVAL - 1)) == 0
        assert audits(host.later(1)) == 1


def test_damage_halts_trading_and_it_is_never_ready_again() -> None:
    host = Host()
    host.rehydrate(2)
    assert host.beat().ready is True
    text = "ledger: positions ('KXA-1',): not what entry 2 made it"
    effects = host.step(AuditFailed(AT, text.removeprefix("ledger: "), True))
    assert Report(text, grave=True) in effects
    assert halts(effects) == [("gateway", "damage:5", Halt(text))]
    beat = heartbeat(effects)
    assert (beat.ready, beat.reasons) == (False, (text,))
    assert beat.flags == {"restored": True, "rehydrated": True}
    assert halts(host.later(TELL_RETRY)) == halts(effects), "until it is answered"
    host.answer("gateway", "damage:5", Refused("not now"))
    assert halts(host.later(TELL_RETRY)) == halts(effects)
    host.answer("gateway", "damage:5", HaltAnswer(True, text))
    assert halts(host.later(10 * TELL_RETRY)) == []
    for _ in range(3):
        host.mark(2)
        assert audits(host.later(AUDIT_INTERVAL)) == 0, "one finding is enough"
        host.mark(2)
        assert host.beat().reasons == (text,)


def test_damage_is_named_beside_whatever_else_is_wrong() -> None:
    host = Host()
    host.rehydrate(2)
    host.step(AuditFailed(AT, "entry 1 is missing", True))
    host.later(LEDGER_SILENCE_MAX)
    assert host.beat().reasons == ("ledger: entry 1 is missing", "writer: silent")


def test_a_page_that_can_not_be_read_now_is_read_again_and_halts_nothing() -> None:
    host = Host()
    host.rehydrate(2)
    for _ in range(3):
        effects = host.step(AuditFailed(AT, "unable to open database file", False))
        assert Report("the ledger can't be proved now: unable to open database file") in effects
        assert halts(effects) == [] and audits(effects) == 0
        assert audits(host.later(AUDIT_RETRY - 1)) == 0
        assert audits(host.later(1)) == 1
    host.mark(2)
    assert host.beat().ready is True
    host.step(Audited(AT, 2, 2, True))
    assert host.beat().counters["audited"] == 2
