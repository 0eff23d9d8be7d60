"""What is armed to go wrong, and what a call that is hit by it answers (`POST /paper/faults`)."""

from typing import Annotated, Any, Final, Literal, NamedTuple

import msgspec
from msgspec import Meta, Struct

from actors.paper.answers import Answer
from actors.paper.batch_faults import Manner, spoiled
from actors.paper.bucket import TierName
from actors.paper.frames import encode
from actors.paper.subscription import Channel

ORDERS_PATH: Final = "/portfolio/events/orders"
REDIRECTED: Final = "/paper/redirected"  # below it every visit is in the wire log
CONNECTIONS_MAX: Final = 200  # FACTS.md section 4.1
TIME_MAX: Final = 253_402_300_800  # s; the year 10000 can't be written
CALLS_MAX: Final = 1_000  # call faults armed at once
WAIT_MS_MAX: Final = 600_000
TWO_WEEKS_S: Final = 14 * 86_400  # how long finished orders stay listed (FACTS.md section 6.4)
HTML: Final = "<html><head><title>502 Bad Gateway</title></head><body>cloudfront</body></html>"

Many = Annotated[int, Meta(ge=0, le=1_000_000_000)]
Wait = Annotated[int, Meta(ge=0, le=WAIT_MS_MAX)]


class Reply(NamedTuple):
    """What goes out to a client, to the byte."""

    status: int
    content_type: str
    body: bytes
    location: str = ""
    manner: str = "whole"  # whole, truncate, silence, reset, close
    drip_ms: int = 0


def honest(answer: Answer) -> Reply:
    """An answer as it is sent when nothing is armed."""
    if answer.body is None:
        return Reply(answer.status, "", b"")
    if isinstance(answer.body, str):
        return Reply(answer.status, "text/plain; charset=utf-8", answer.body.encode())
    return Reply(answer.status, "application/json", encode(answer.body))


class CallFault(Struct, forbid_unknown_fields=True):
    """What happens to the calls that it matches.

    Without an `answer` the call is executed and told the truth, late, changed by `merge`, under
    another `status`, or dripping. With one, `when` says whether it is executed: "before" = never.
    """

    method: Literal["", "GET", "POST", "DELETE", "PUT"] = ""  # "" = any
    path: str = ""  # what the path below /trade-api/v2 begins with
    ends: str = ""  # what it ends with
    skip: Many = 0  # matches that pass first
    times: Many = 1  # matches that are hit then
    when: Literal["before", "after"] = "before"  # the fault comes before or after the execution
    delay_ms: Wait = 0
    answer: Literal["", "silence", "reset", "close", "truncate", "html", "empty", "json"] = ""
    status: Annotated[int, Meta(ge=200, le=599)] | None = None
    body: Any = None
    merge: dict[str, Any] = {}  # members of the true answer that are others; null takes one away
    location: str = ""  # of a 3xx; by default below /paper/redirected
    drip_ms: Wait = 0  # between two bytes of the body
    batch: Manner = ""  # what is wrong with the members that a batch's true answer has

    def meets(self, method: str, path: str) -> bool:
        """Whether it is about such a call."""
        about = self.method in ("", method)
        return about and path.startswith(self.path) and path.endswith(self.ends)

    @property
    def executes(self) -> bool:
        """Whether the exchange does what the call asks for."""
        return self.when == "after" or not self.answer

    def reply(self, path: str, truth: Answer | None) -> Reply:
        """What to send, given the true answer where there is one."""
        match self.answer:
            case "silence" | "reset" | "close":
                return Reply(0, "", b"", manner=self.answer)
            case "html":
                found = Reply(502, "text/html", _text(self.body or HTML))
            case "empty":
                found = Reply(500, "", b"")
            case "json":
                found = Reply(200, "application/json", _text(self.body))
            case _:
                found = honest(self._merged(truth))
        location = self.location or f"{REDIRECTED}{path}"
        status = self.status or found.status
        return found._replace(
            status=status,
            location=location if 300 <= status < 400 else "",
            manner="truncate" if self.answer == "truncate" else "whole",
            drip_ms=self.drip_ms,
        )

    def _merged(self, truth: Answer | None) -> Answer:
        if truth is None or self.body is not None:
            return Answer(500 if truth is None else truth.status, self.body or {"order": None})
        if not isinstance(truth.body, dict):
            return truth
        changed = spoiled(truth.body, self.batch) | self.merge
        gone = {name for name, value in self.merge.items() if value is None}
        return Answer(truth.status, {k: v for k, v in changed.items() if k not in gone})


def _text(body: Any) -> bytes:
    return body.encode() if isinstance(body, str) else encode({} if body is None else body)


class Ended(Struct, forbid_unknown_fields=True):
    """Subscriptions of a channel end with one of the terminal errors (FACTS.md section 4.3)."""

    channel: Channel
    code: Literal[10, 25]


class Untrusted(Struct, forbid_unknown_fields=True):
    """Subscriptions of a channel say that something went wrong with them, and go on."""

    channel: Channel
    code: Literal[17, 18]


class Faults(Struct, forbid_unknown_fields=True):
    """What is armed. Each count is how many times yet; what is not named stays as it is."""

    skip_frames: Many = 0  # sequenced book frames that take their seq but are not sent
    mute_private: Many = 0  # fill, user_order and market_position frames that are not sent
    lose_replies: Many = 0  # order requests that are executed and never answered
    drop_requests: Many = 0  # order requests that are neither executed nor answered
    refuse_handshakes: Many = 0  # WebSocket handshakes answered with `status`
    status: Annotated[int, Meta(ge=400, le=599)] = 503
    close_sockets: bool = False  # at once, and then false again
    connections_max: Annotated[int, Meta(ge=0, le=CONNECTIONS_MAX)] = CONNECTIONS_MAX
    maintenance: bool = False  # no sockets, no handshakes (503), no orders; the status says so
    resumes_ts: Annotated[int, Meta(ge=0, lt=TIME_MAX)] = (
        0  # what the status hopes for, s; 0 = none
    )
    mute_channels: list[Channel] = []  # their subscriptions are dead: nothing sent, no seq taken
    lose_acks: Many = 0  # commands that are done and not answered; no seq taken
    lose_snapshots: Many = 0  # snapshots of the initial and of the asked kind: seq taken, not sent
    repeat_snapshots: Many = 0  # the same, sent twice, the second time under the next seq
    late_ms: Wait = 0  # so long every frame waits before it leaves
    late_in: Literal["network", "engine"] = "network"  # engine: before `sending_ts_ms` is stamped
    markets_limit: Many = 0  # tickers of one subscription, beyond which there is error 26; 0 = any
    nameless_errors: bool = False  # error 11 does not say which tickers are to blame
    # At once, and then as they were:
    dead_sids: Channel | None = None  # subscriptions that there are are dead; new ones are not
    end_subscriptions: Ended | None = None
    untrusted_errors: Untrusted | None = None
    restart_seq: Channel | None = None  # counts from 1 again
    unsolicited_snapshots: Many = 0  # books of each subscription that are sent, unasked for
    lie_in_book: str = ""  # ticker of a book that changes without a word
    calls: Annotated[list[CallFault], Meta(max_length=CALLS_MAX)] = []
    tier: TierName = "advanced"  # of the budget
    tier_expires_s: Annotated[int, Meta(ge=0, le=1_000_000)] = 0  # from now; 0 = never
    refusals: Literal["both", "object", "string"] = "both"  # the body of a 429; both = in turn
    uppercase_codes: bool = False  # of refusals whose spelling nobody has seen: MARKET_INACTIVE
    trading_paused: bool = False
    exchange_paused: bool = False
    cancel_all_takes_ms: Wait = 0  # orders accepted so long after a cancel-all go with it
    transfer_takes_ms: Wait = 0  # how long money is on its way from shard to shard
    read_lag_ms: Wait = 0  # how old the account is that reads show
    history_cutoff_s: Many = TWO_WEEKS_S  # older finished orders are only in /historical/orders
    listing_misses: Annotated[list[str], Meta(max_length=CALLS_MAX)] = []  # either id of an order
    listing_misses_times: Many = 0  # pages that leave one of them out
    looping_cursor: bool = False  # orders and fills: the first page, again and again
    empty_page_with_cursor: bool = False  # orders and fills: an empty page before the first

    def take(self, method: str, path: str) -> CallFault | None:
        """The fault that hits a call, counted; `path` is below /trade-api/v2."""
        for fault in self.calls:
            if not fault.meets(method, path):
                continue
            if fault.skip:
                fault.skip -= 1
            elif fault.times:
                fault.times -= 1
                if not fault.times:
                    self.calls = [other for other in self.calls if other is not fault]
                return fault
        if method != "POST" or path != ORDERS_PATH:
            return None
        if self.drop_requests:
            self.drop_requests -= 1
            return CallFault(answer="close")
        if self.lose_replies:
            self.lose_replies -= 1
            return CallFault(answer="close", when="after")
        return None

    def misses(self, *ids: str) -> bool:
        """Whether a listing leaves this order out; who asks, counts (`left_out`)."""
        return self.listing_misses_times > 0 and not set(self.listing_misses).isdisjoint(ids)

    def left_out(self) -> None:
        """A page left out an order."""
        self.listing_misses_times -= 1


def read(body: bytes) -> dict[str, Any]:
    """Faults by name, converted and checked. Raises msgspec.DecodeError saying which is wrong."""
    names = msgspec.json.decode(body, type=dict[str, Any])
    new = msgspec.convert(names, Faults)
    return {name: getattr(new, name) for name in names}
