"""What the writer's core does about its keeper of trades and quotes: little, and nothing grave."""

from actors.writer.core import Writer
from actors.writer.wire import KeeperEnded, KeeperSaid, StartKeeper, StoreFailed, StoreOpened
from protocol.limits import KEEP_REOPEN, KEEP_SILENT, MS, SECOND
from protocol.machine import Cause, Effect, Elapsed, Report, Started, Tell
from protocol.messages import Heartbeat
from protocol.pulse import Identity

AT = 1_782_873_388_379_000


class Host:
    """A writer that wants a keeper, and its clock."""

    def __init__(self) -> None:
        self.core = Writer(Identity("writer", 7), keeps_market=True)
        self.now = SECOND
        self.step(Started(AT))

    def step(self, cause: Cause, after: int = 0) -> list[Effect]:
        self.now += after
        return self.core.step(self.now, cause)

    def beat(self) -> Heartbeat:
        effects = self.step(Elapsed(AT), SECOND)
        [beat] = [e.letter.body for e in effects if isinstance(e, Tell)]
        assert isinstance(beat, Heartbeat)
        return beat

    def keep(self) -> tuple[int, int, int, int]:
        counters = self.beat().counters
        names = ("kept_rows", "kept_holes", "keep_lag_ms", "keep_trouble")
        return tuple(counters[name] for name in names)  # type: ignore[return-value]


def reports(effects: list[Effect]) -> list[Report]:
    return [e for e in effects if isinstance(e, Report)]


def test_the_keeper_starts_behind_the_ledger_and_once() -> None:
    host = Host()
    assert StartKeeper() not in host.step(Elapsed(AT), SECOND)
    assert StartKeeper() in host.step(StoreOpened(AT, 0))
    assert StartKeeper() not in host.step(Elapsed(AT), SECOND)


def test_a_ledger_that_can_not_be_opened_keeps_it_from_nothing() -> None:
    host = Host()
    assert StartKeeper() in host.step(StoreFailed(AT, "entry 7 is missing", True))
    assert StartKeeper() not in host.step(StoreFailed(AT, "entry 7 is missing", True), SECOND)


def test_how_it_is_is_in_the_heartbeat_and_no_reason_to_be_unready() -> None:
    host = Host()
    host.step(StoreOpened(AT, 0))
    assert host.keep() == (0, 0, 0, 0)
    host.step(KeeperSaid(AT, 20, 1, 150, ""))
    assert host.keep() == (20, 1, 150, 0)
    first = host.step(KeeperSaid(AT, 20, 1, 900, "market.db: database is locked"))
    assert reports(first) == [
        Report("trades and quotes are not kept: market.db: database is locked", grave=True)
    ]
    assert reports(host.step(KeeperSaid(AT, 20, 1, 1900, "market.db: database is locked"))) == []
    assert host.keep() == (20, 1, 1900, 1)
    assert host.beat().ready and host.beat().reasons == ()
    last = host.step(KeeperSaid(AT, 30, 1, 1900, ""))
    assert reports(last) == [Report("trades and quotes are kept again")]
    assert host.keep() == (30, 1, 1900, 0)


def test_one_that_ends_is_started_again_after_a_while_and_counted_on() -> None:
    host = Host()
    host.step(StoreOpened(AT, 0))
    host.step(KeeperSaid(AT, 20, 1, 150, ""))
    ended = host.step(KeeperEnded(AT, "its process ended with -9"))
    assert len(reports(ended)) == 1
    assert StartKeeper() not in host.step(Elapsed(AT), KEEP_REOPEN - MS)
    assert StartKeeper() in host.step(Elapsed(AT), MS)
    assert host.keep() == (20, 1, 150, 1), "in trouble until it says otherwise"
    host.step(KeeperSaid(AT, 5, 2, 80, ""))
    assert host.keep() == (25, 3, 80, 0)


def test_one_that_says_nothing_is_in_trouble() -> None:
    host = Host()
    host.step(StoreOpened(AT, 0))
    host.step(KeeperSaid(AT, 20, 0, 150, ""))
    assert reports(host.step(Elapsed(AT), KEEP_SILENT)) == []
    [said] = reports(host.step(Elapsed(AT), MS))
    assert said.text == "trades and quotes are not kept: says nothing for 10 s"
    assert reports(host.step(Elapsed(AT), SECOND)) == []
    assert host.keep() == (20, 0, 150, 1)
