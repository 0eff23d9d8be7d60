"""Without the exchange: what is on record is served, and nothing is promised."""

from actors.api.asks import GetList, Page
from actors.api.core import Api, Requested
from actors.api.replies import Reply
from protocol import topics
from protocol.account import Account
from protocol.envelope import Envelope, Letter
from protocol.limits import SECOND
from protocol.machine import Answered, Cause, Effect, Heard, Started
from protocol.messages import AccountAnswer, Mark, ProcessHealth, System
from protocol.pulse import Identity

STREAM = ProcessHealth("unready", "no connection", 1, 1, 0, 0)


class Front:
    """Restored, and told by the supervisor how it stands."""

    def __init__(self) -> None:
        self.core = Api(Identity("api", 7))
        self.seq = 0
        self.feed(Started(0))
        self.feed(Heard(0, Envelope(topics.MARK, "writer", 1, 1, 0, Mark({}, 0))))
        restored = AccountAnswer("restored", Account().state())
        self.feed(Answered(0, "rehydrator", Letter("rehydrator", 3, "account:1", 0, restored)))

    def feed(self, cause: Cause) -> list[Effect]:
        return self.core.step(SECOND, cause)

    def told(self, read_only: bool) -> None:
        self.seq += 1
        flags = {"rehydrated": False}
        system = System(False, "closed", 10_000, ("x",), flags, {"stream": STREAM}, read_only)
        self.feed(Heard(0, Envelope(topics.SYSTEM, "supervisor", 1, self.seq, 0, system)))

    def orders(self) -> int:
        found = self.feed(Requested(0, 1, GetList("orders", Page())))
        [reply] = [effect for effect in found if isinstance(effect, Reply)]
        return reply.status


def test_before_the_boot_has_ended_nothing_is_served() -> None:
    front = Front()
    front.told(read_only=False)
    assert front.orders() == 503


def test_a_boot_that_ends_read_only_serves_the_ledger() -> None:
    front = Front()
    front.told(read_only=True)
    assert front.orders() == 200
    front.told(read_only=False)
    assert front.orders() == 200, "what was served once is not taken back"
