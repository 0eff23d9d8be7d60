"""How many requests of each kind may wait for the engine, whoever asks.

Each kind has a room of its own, so that reads never keep an order out, nor orders a cancel, nor
those a halt. For what trades or stops there is as much room as all tokens together may fill
(`actors/api/quota.py`); reads of all tokens share theirs.
"""

from typing import Any, Final

from actors.api.amends import AmendIt
from actors.api.asks import (
    Ask,
    AskExchange,
    AskMarkets,
    Cancel,
    CancelAll,
    Confirm,
    Decrease,
    Place,
    PressPanic,
    SetBrakes,
    SetFollow,
    SetHalt,
)
from actors.api.batches import CancelMany, PlaceMany
from actors.api.groups import AskGroup
from actors.api.quota import WAITING, Kind
from protocol.brakes import UNSAID
from protocol.limits import (
    MARKS_ASKED_MAX,
    NAMES_ASKED_MAX,
    PAGES_ASKED_MAX,
    READS_WAITING_MAX,
    TELLS_MAX,
    TOKENS_MAX,
)

ROOM: Final[dict[Kind, int]] = {
    "look": READS_WAITING_MAX,
    "ask": READS_WAITING_MAX,
    "trade": TOKENS_MAX * WAITING["trade"],
    "cancel": TOKENS_MAX * WAITING["cancel"],
    "kill": TOKENS_MAX * WAITING["kill"],
}
_KINDS: Final[dict[type[Any], Kind]] = {
    AskExchange: "ask", AskMarkets: "ask",
    Place: "trade", PlaceMany: "trade", AmendIt: "trade", AskGroup: "trade", SetFollow: "trade",
    SetBrakes: "trade", Confirm: "trade",
    Cancel: "cancel", CancelMany: "cancel", Decrease: "cancel",
    CancelAll: "kill", PressPanic: "kill",
}  # fmt: skip

_BESIDE: Final = MARKS_ASKED_MAX + NAMES_ASKED_MAX + PAGES_ASKED_MAX  # for pages and WebSockets

assert sum(ROOM.values()) + _BESIDE < TELLS_MAX, (
    "all that may wait finds room, so no halt is refused for others' load"
)


def room_of(ask: Ask) -> Kind:
    """In which room a request waits: the kind that its route counts as (`quota.kind_of`)."""
    if isinstance(ask, SetHalt):
        return "kill" if ask.halted else "trade"
    if isinstance(ask, SetBrakes) and ask.brakes == UNSAID:
        return "look"
    return _KINDS.get(type(ask), "look")
