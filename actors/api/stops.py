"""What stops trading, lets it go on or holds it back, over HTTP."""

from collections.abc import Callable
from typing import Annotated, TypeVar

from msgspec import Meta, Struct

from actors.api.bodies import Problem, unfit
from actors.api.route import Said
from protocol.brakes import UNSAID, Brakes, said
from protocol.latch import REASON_CHARS_MAX
from protocol.limits import CONFIRMED_BY_CHARS_MAX

T = TypeVar("T")


class SetHalt(Struct, frozen=True):
    halted: bool
    reason: str


class PressPanic(Struct, frozen=True):
    reason: str


class Confirm(Struct, frozen=True):
    confirmed_by: str


class SetBrakes(Struct, frozen=True):
    """Tighter limits; with none said, which there are."""

    brakes: Brakes


Reason = Annotated[
    str,
    Meta(
        extra_json_schema={
            "pattern": f"^[ -~]{{1,{REASON_CHARS_MAX}}}$",
            "description": "for people: printable characters",
        }
    ),
]
Name = Annotated[
    str,
    Meta(
        extra_json_schema={
            "pattern": f"^[ -~]{{1,{CONFIRMED_BY_CHARS_MAX}}}$",
            "description": "who says so: printable characters",
        }
    ),
]


class ReasonBody(Struct, frozen=True, forbid_unknown_fields=True):
    """Why."""

    reason: Reason


class ConfirmBody(Struct, frozen=True, forbid_unknown_fields=True):
    """Who has looked at what a restore from a backup left open."""

    confirmed_by: Name


def because(make: Callable[[str], T]) -> Callable[[Said], T | Problem]:
    """What needs nothing but a reason."""

    def read(said: Said) -> T | Problem:
        reason = said.body.reason
        return unfit("reason", reason, REASON_CHARS_MAX) or make(reason)

    return read


def limits(said: Said) -> SetBrakes:
    """Which brakes hold."""
    return SetBrakes(UNSAID)


def tighten(request: Said) -> SetBrakes | Problem:
    """Brakes that are to hold from now on."""
    if not said(request.body):
        return Problem(422, "invalid_brakes", "no limit to tighten is named")
    return SetBrakes(request.body)


def confirm(said: Said) -> Confirm | Problem:
    """A restore that somebody answers for."""
    by = said.body.confirmed_by
    return unfit("confirmed_by", by, CONFIRMED_BY_CHARS_MAX) or Confirm(by)
