"""How far a copy of the account is behind, and how often it had to fetch what it missed."""

from protocol.account import Account
from protocol.envelope import Envelope, Outbox
from protocol.facts import BalanceSeen
from protocol.follower import LedgerFollower
from protocol.limits import CATCH_UP_RETRY, SECOND
from protocol.machine import Tell
from protocol.messages import Entries, EntriesRequest, Entry, Mark
from protocol.units import Money

AT = 1_782_873_388_379_000


def entry(n: int) -> Entry:
    return Entry(n, f"e{n}", AT, "gateway", BalanceSeen(0, Money(n), AT + n))


class Scene:
    def __init__(self) -> None:
        self.now = SECOND
        self.follower = LedgerFollower(Outbox("api", 7), Account())

    def hear(self, body: Entry | Mark, said_at: int = AT, heard_at: int = AT) -> None:
        topic = "ledger" if isinstance(body, Entry) else "mark"
        envelope = Envelope(topic, "writer", 3, 1, said_at, body)
        self.follower.hear(self.now, envelope, heard_at)

    def asked(self) -> list[EntriesRequest]:
        effects = self.follower.due(self.now, AT)
        self.now += CATCH_UP_RETRY
        bodies = [e.letter.body for e in effects if isinstance(e, Tell)]
        return [body for body in bodies if isinstance(body, EntriesRequest)]


def test_the_lag_is_the_largest_since_it_was_last_told() -> None:
    scene = Scene()
    scene.hear(entry(1), AT, AT + 2_500)
    scene.hear(entry(2), AT, AT + 41_900)
    scene.hear(Mark({}, 2), AT, AT + 700)
    assert scene.follower.counters() == {"lag_ms": 41, "gaps": 0}
    scene.hear(Mark({}, 2), AT, AT - 3_000)  # the clock was set back
    assert scene.follower.counters() == {"lag_ms": 0, "gaps": 0}


def test_without_a_clock_there_is_no_lag() -> None:
    scene = Scene()
    scene.follower.hear(scene.now, Envelope("ledger", "writer", 3, 1, AT, entry(1)))
    assert scene.follower.counters()["lag_ms"] == 0


def test_a_gap_is_counted_once_however_often_it_is_asked_about() -> None:
    scene = Scene()
    scene.hear(entry(1))
    assert scene.asked() == []
    scene.hear(entry(4))
    for _ in range(3):
        assert scene.asked() == [EntriesRequest(1, 500)]
    scene.follower.answered(scene.now, Entries((entry(2),), 4))  # a page of them
    assert scene.asked() == [EntriesRequest(2, 500)]
    assert scene.follower.counters()["gaps"] == 1
    scene.follower.answered(scene.now, Entries((entry(3),), 4))
    assert scene.asked() == []
    scene.hear(Mark({}, 5))
    assert scene.asked() == [EntriesRequest(4, 500)]
    assert scene.follower.counters()["gaps"] == 2


def test_a_gap_that_closes_by_itself_between_two_looks_is_none() -> None:
    scene = Scene()
    scene.hear(entry(2))
    scene.hear(entry(1))
    assert scene.asked() == []
    assert scene.follower.counters()["gaps"] == 0
