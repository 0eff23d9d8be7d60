"""Limits that somebody tightens while the engine runs.

They hold at once, and are on disk before they are answered: a restart must not loosen what
somebody found too loose. Loosening needs the settings, and nobody who runs.
"""

from msgspec.structs import replace

from actors.gateway.brakes import Brakes
from actors.gateway.desk import Asker, Desk
from actors.gateway.exposures import Exposures
from protocol import brakes
from protocol.brakes import Brakes as Wanted
from protocol.errors import ConfigError
from protocol.limits import TIGHTENINGS_MAX
from protocol.machine import Cause, Effect, Report
from protocol.messages import BrakesAnswer, Refused


class SaveLimits(Effect, frozen=True):
    """Keep what was tightened. Leads to LimitsSaved."""

    number: int
    limits: Wanted


class LimitsSaved(Cause, frozen=True):
    """It is on disk, or `problem` says why not."""

    number: int
    problem: str = ""


class Tightening:
    """`kept` is what was tightened in former lives; the brakes hold it already."""

    def __init__(self, desk: Desk, limits: Brakes, exposures: Exposures, kept: Wanted) -> None:
        self._desk = desk
        self._brakes = limits
        self._exposures = exposures
        self._kept = kept
        self._number = 0
        self._waiting: dict[int, Asker] = {}  # for the disk

    def ask(self, at: int, asker: Asker, wanted: Wanted) -> list[Effect]:
        """Tighten, or only tell."""
        told = brakes.said(wanted)
        if not told:
            return self._desk.answer([asker], self._answer(), at)
        if len(self._waiting) >= TIGHTENINGS_MAX:
            return self._desk.answer([asker], Refused("too many changes wait for the disk"), at)
        try:
            limits = brakes.tightened(self._brakes.limits, wanted, "tighten")
        except ConfigError as e:
            return self._desk.answer([asker], replace(self._answer(), reason=str(e)), at)
        self._brakes.limits = limits
        self._kept = replace(self._kept, **told)
        self._number += 1
        self._waiting[self._number] = asker
        said = ", ".join(f"{name} {brakes.written(value)}" for name, value in told.items())
        return [Report(f"brakes tightened: {said}"), SaveLimits(self._number, self._kept)]

    def saved(self, cause: LimitsSaved) -> list[Effect]:
        """Answer whoever asked for it."""
        asker = self._waiting.pop(cause.number)
        answer = replace(self._answer(), saved=not cause.problem, reason=cause.problem)
        return self._desk.answer([asker], answer, cause.at)

    def _answer(self) -> BrakesAnswer:
        return BrakesAnswer(
            self._brakes.limits,
            tuple(brakes.said(self._kept)),
            self._exposures.total,
            self._exposures.open,
        )
