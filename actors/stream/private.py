"""The private side: our fills and order updates, each told to the writer until acknowledged."""

from actors.stream.link import CloseSocket, Link, SendFrame, State
from protocol.errors import RemoteProtocolError
from protocol.facts import natural_id
from protocol.kalshi import frames
from protocol.kalshi.frames import ErrorFrame, Filled, Ok, OrderChanged, Subscribed
from protocol.machine import Effect
from protocol.messages import Append, Reconcile
from protocol.telling import Outstanding

CHANNELS = ("fill", "user_orders")


class Private:
    """Ready once the gateway has read what was missed while we were not listening."""

    def __init__(
        self, link: Link, tells: Outstanding, counters: dict[str, int], epoch: int
    ) -> None:
        self._link = link
        self._tells = tells
        self._counters = counters
        self._epoch = epoch
        self._channels: set[str] = set()
        self._round = 0
        self._reconciled = False

    @property
    def why(self) -> str:
        """Why the private side is not ready; "" if it is."""
        if self._link.state is not State.OPEN:
            return self._link.why
        if len(self._channels) < len(CHANNELS):
            return "subscribing"
        return "" if self._reconciled else "waiting for gateway: reconciliation"

    def opened(self, now: int) -> list[Effect]:
        self._channels.clear()
        self._reconciled = False
        return [SendFrame(self._link.name, frames.subscribe(self._link.command(now), CHANNELS))]

    def closed(self) -> None:
        self._channels.clear()
        self._reconciled = False

    def reconciled(self, id: str) -> None:
        """The gateway's answer; one for an earlier connection proves nothing about this one."""
        if id == self._id():
            self._reconciled = True

    def _id(self) -> str:
        return f"private:{self._epoch}:{self._round}"

    def received(self, now: int, at: int, raw: bytes) -> list[Effect]:
        """Take one frame. What can't be read may have been a fill: begin again, and reconcile."""
        self._counters["frames_in"] += 1
        self._link.heard(now)
        try:
            frame = frames.read(raw)
            match frame:
                case Filled() | OrderChanged():
                    fact = frame.msg.fact()
                    if self._tells.full:
                        return [CloseSocket(self._link.name)]
                    return self._tells.tell(now, at, "writer", natural_id(fact), Append(fact))
                case Subscribed(id=id, msg=msg):
                    return self._subscribed(now, at, id, msg.channel)
                case Ok(id=id):
                    self._link.answered(id)
                case ErrorFrame():
                    self._counters["errors"] += 1
                    return [CloseSocket(self._link.name)]
        except RemoteProtocolError:
            self._counters["malformed"] += 1
            return [CloseSocket(self._link.name)]
        return []

    def _subscribed(self, now: int, at: int, id: int, channel: str) -> list[Effect]:
        self._channels.add(channel)
        if len(self._channels) < len(CHANNELS):
            return []
        self._link.answered(id)
        self._tells.answered(self._id())  # an older connection's wish is void
        self._round += 1
        return self._tells.tell(now, at, "gateway", self._id(), Reconcile("private connection"))
