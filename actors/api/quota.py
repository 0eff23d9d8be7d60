"""How much one token may ask, so that no program burns what all share.

Each token has a bucket for each kind of request, and a bound for how many of them wait for the
engine at once. Nobody's load counts for another token here, and a token's orders don't count for
its cancels, nor those for its halts. How many may wait in all: `actors/api/rooms.py`.
"""

from collections.abc import Callable
from typing import Final, Literal, get_args

from actors.api.asks import Ask
from actors.api.batches import CancelMany, PlaceMany
from protocol.limits import (
    BATCH_MAX,
    CANCELS_A_TRADE,
    CANCELS_WAITING_A_TOKEN,
    KILLS_A_SECOND,
    KILLS_WAITING_A_TOKEN,
    SECOND,
    TOKENS_MAX,
    TRADES_WAITING_A_TOKEN,
    WAITING_A_TOKEN,
)
from protocol.serving import Api
from protocol.tokens import Scope

Kind = Literal["look", "ask", "trade", "cancel", "kill"]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)
EXCHANGE: Final = "/v1/exchange/"
MARKETS: Final = "/v1/markets"  # also read of the exchange
WAITING: Final[dict[Kind, int]] = {
    "look": WAITING_A_TOKEN,
    "ask": WAITING_A_TOKEN,
    "trade": TRADES_WAITING_A_TOKEN,
    "cancel": CANCELS_WAITING_A_TOKEN,
    "kill": KILLS_WAITING_A_TOKEN,
}


def kind_of(needed: Scope | None, method: str, path: str) -> Kind:
    """What a request counts as. One that there is no route for counts as a look."""
    match needed:
        case None | "page":
            return "look"
        case "read":
            return "ask" if path.startswith((EXCHANGE, MARKETS)) else "look"
        case "trade":
            lowers = method == "DELETE" or path.endswith("/decrease")
            return "cancel" if lowers and path.startswith("/v1/orders") else "trade"
        case "kill":
            return "kill"
        case "admin":
            return "trade"
    raise AssertionError(f"unexpected scope: {needed}")


def weight_of(ask: Ask) -> int:
    """How many requests one counts for: a batch saves calls, not tokens."""
    match ask:
        case PlaceMany(orders=orders):
            return len(orders)
        case CancelMany(client_order_ids=names):
            return len(names)
    return 1


class Meter:
    """Buckets that fill continuously, one for each key.

    Of a bucket only the moment is kept at which it will be full again. Keys are bounded: with too
    many, the one that came first begins anew.
    """

    def __init__(self, every: int, burst: int, keys_max: int) -> None:
        """One more each `every` nanoseconds, up to `burst`."""
        self._every = every
        self._burst = burst
        self._keys_max = keys_max
        self._full_at: dict[str, int] = {}

    def take(self, now: int, key: str, count: int = 1) -> int:
        """Take `count` and return 0, or take nothing and return how long to wait, in
        nanoseconds. More than the bucket holds counts as all that it holds."""
        full_at = max(self._full_at.get(key, 0), now)
        full_at += min(count, self._burst) * self._every
        late = full_at - now - self._burst * self._every
        if late > 0:
            return late
        if key not in self._full_at and len(self._full_at) >= self._keys_max:
            del self._full_at[next(iter(self._full_at))]
        self._full_at[key] = full_at
        return 0


class Quota:
    """The buckets of all tokens, and how many of their requests wait."""

    def __init__(self, api: Api) -> None:
        rates: dict[Kind, float] = {
            "look": api.looks_a_second,
            "ask": api.asks_a_second,
            "trade": api.trades_a_second,
            "cancel": api.trades_a_second * CANCELS_A_TRADE,
            "kill": KILLS_A_SECOND,
        }
        room = {"trade": BATCH_MAX, "cancel": BATCH_MAX}  # a whole batch has to fit
        self._meters: dict[Kind, Meter] = {
            kind: Meter(round(SECOND / rate), max(round(rate), room.get(kind, 1)), 2 * TOKENS_MAX)
            for kind, rate in rates.items()
        }
        self._waiting: dict[tuple[str, Kind], int] = {}

    def take(self, now: int, token_id: str, kind: Kind, count: int = 1) -> int:
        """As Meter.take, of one token's bucket."""
        return self._meters[kind].take(now, token_id, count)

    def begin(self, token_id: str, kind: Kind) -> Callable[[], None] | None:
        """One more of its requests waits for the engine: what to call at its end. None if too
        many wait already."""
        key = (token_id, kind)
        waiting = self._waiting.get(key, 0)
        if waiting >= WAITING[kind]:
            return None
        self._waiting[key] = waiting + 1
        return lambda: self._end(key)

    def _end(self, key: tuple[str, Kind]) -> None:
        self._waiting[key] -= 1
        if self._waiting[key] == 0:
            del self._waiting[key]
