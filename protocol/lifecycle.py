"""The life of an order, as a table: its states, the evidence, and what may follow what.

Facts come in any order, so evidence may come before or after what it speaks of; what it can do is
the same either way. Our own conclusions yield to what the exchange has shown, and an order that
ended never comes back to life. docs/ORDERS.md says what each state means.
"""

from collections.abc import Mapping
from typing import Final, Literal

from protocol.facts import ExchangeStatus

State = Literal[
    "intended",
    "unknown",
    "resting",
    "executed",
    "canceled",
    "rejected",
    "denied",
    "withdrawn",
    "absent",
]
OwnWord = Literal["unknown", "rejected", "denied", "withdrawn", "absent"]
Evidence = Literal[
    OwnWord,
    "accepted_resting",  # a 201 with something left
    "accepted_executed",  # a 201 with all of it filled
    "accepted_canceled",  # a 201 with nothing left, and not all of it filled
    "seen_resting",  # the exchange showed it so, on the stream or in a listing
    "seen_executed",
    "seen_canceled",
    "seen_larger",  # resting, as a larger order than the one whose fills were counted up
    "seen_larger_canceled",
    "canceled",  # the exchange confirmed our cancel
    "filled",
]

UNSETTLED: Final = frozenset({"intended", "unknown"})
AT_RISK: Final = UNSETTLED | {"resting"}  # may still fill
FINISHED: Final = frozenset({"executed", "canceled", "rejected", "denied", "withdrawn", "absent"})
ENDED: Final = frozenset({"executed", "canceled"})  # nothing of it is left


def _alike(before: tuple[State, ...], after: State) -> dict[State, State]:
    return dict.fromkeys(before, after)


_OPEN: Final[tuple[State, ...]] = ("intended", "unknown")
_NEVER_SHOWN: Final[tuple[State, ...]] = (*_OPEN, "rejected", "withdrawn", "absent")
_NOT_ENDED: Final[tuple[State, ...]] = (*_NEVER_SHOWN, "denied", "resting")

# What evidence makes of a state; where nothing stands, the state stays as it is.
NEXT: Final[Mapping[Evidence, Mapping[State, State]]] = {
    "unknown": _alike(_OPEN, "unknown"),
    "rejected": _alike(_OPEN, "rejected"),
    "denied": _alike(_OPEN, "denied"),
    "withdrawn": _alike(_OPEN, "withdrawn"),
    "absent": _alike(_OPEN, "absent"),
    "accepted_resting": _alike(_NEVER_SHOWN, "resting"),
    "accepted_executed": _alike(_NEVER_SHOWN, "executed"),
    "accepted_canceled": _alike(_NEVER_SHOWN, "canceled"),
    "seen_resting": _alike(_NOT_ENDED, "resting"),
    "seen_executed": _alike(_NOT_ENDED, "executed"),
    "seen_canceled": _alike(_NOT_ENDED, "canceled"),
    "seen_larger": _alike(("executed",), "resting"),
    "seen_larger_canceled": _alike(("executed",), "canceled"),
    "canceled": _alike(_NOT_ENDED, "canceled"),
    "filled": _alike((*_OPEN, "absent"), "resting"),  # a refusal still stands, and is shouted about
}

_SHOWN: Final[frozenset[State]] = frozenset({"resting", "executed", "canceled"})

# The states that an order may have next, whatever is learned of it.
MAY_FOLLOW: Final[Mapping[State, frozenset[State]]] = {
    "intended": _SHOWN | {"intended", "unknown", "rejected", "denied", "withdrawn", "absent"},
    "unknown": _SHOWN | {"unknown", "rejected", "denied", "withdrawn", "absent"},
    "resting": _SHOWN,
    "executed": _SHOWN,  # only if it turns out to be larger than its fills were counted up to
    "canceled": frozenset({"canceled"}),
    "rejected": _SHOWN | {"rejected"},
    "denied": _SHOWN | {"denied"},
    "withdrawn": _SHOWN | {"withdrawn"},
    "absent": _SHOWN | {"absent"},
}


def after(state: State, evidence: Evidence) -> State:
    """The state of an order once there is this evidence."""
    return NEXT[evidence].get(state, state)


def seen_as(status: ExchangeStatus) -> Evidence:
    """The evidence in a sighting with this status."""
    match status:
        case "resting":
            return "seen_resting"
        case "executed":
            return "seen_executed"
        case "canceled":
            return "seen_canceled"
    raise AssertionError(f"no such status: {status}")


def outgrown_as(status: ExchangeStatus) -> Evidence:
    """The evidence in a sighting of an order that is larger than we took it for."""
    match status:
        case "resting":
            return "seen_larger"
        case "canceled":
            return "seen_larger_canceled"
        case "executed":
            return "seen_executed"
    raise AssertionError(f"no such status: {status}")


def accepted_as(count: int, filled: int, remaining: int) -> Evidence:
    """The evidence in a 201 that says so much is left, for an order of which so much is filled."""
    if remaining > 0:
        return "accepted_resting"
    return "accepted_executed" if filled >= count else "accepted_canceled"


def counted(state: State, count: int, filled: int) -> State:
    """The state once its fills are looked at: an open order with nothing left is executed."""
    return "executed" if state in AT_RISK and filled >= count else state
