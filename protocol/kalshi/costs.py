"""What each call costs in tokens (FACTS.md section 7): data from the exchange, not constants."""

import math
from typing import Final

from protocol.errors import RemoteProtocolError
from protocol.kalshi.answers import CostsBody
from protocol.kalshi.calls import Call
from protocol.kalshi.inquiry_table import INQUIRIES

DEFAULT_COST: Final = 10
COST_MAX: Final = 100_000  # tokens of one call: more is a mistake
ROWS_MAX: Final = 10_000  # of one table
PREFIX: Final = "/trade-api/v2"
_WORDS: Final = frozenset(
    part for inquiry in INQUIRIES.values() for part in inquiry.path.split("/") if part[:1] != "{"
)


class Costs:
    """The table of `/account/endpoint_costs`; before it is read, everything costs the default.

    Raises RemoteProtocolError if the table can't be one. Two tables with the same rows are equal.
    """

    def __init__(self, body: CostsBody | None = None) -> None:
        self._default = DEFAULT_COST if body is None else body.default_cost
        self._exact: dict[tuple[str, str], int] = {}
        self._patterns: dict[tuple[str, tuple[str, ...]], int] = {}
        if body is None:
            return
        _check("default_cost", self._default, 1)
        if len(body.endpoint_costs) > ROWS_MAX:
            raise RemoteProtocolError(f"costs: {len(body.endpoint_costs)} rows, not {ROWS_MAX}")
        for row in body.endpoint_costs:
            _check(f"{row.method[:10]} {row.path[:100]}", row.cost, 0)
            method, path = row.method.upper(), row.path.removeprefix(PREFIX)
            if ":" in path or "*" in path:
                self._patterns[method, tuple(path.split("/"))] = row.cost
            else:
                self._exact[method, path] = row.cost

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Costs) and vars(self) == vars(other)

    __hash__ = None  # type: ignore[assignment]

    def of(self, call: Call) -> int:
        """Tokens that one call draws; a batch costs what its items would."""
        return self._one(call) * call.items

    def _one(self, call: Call) -> int:
        exact = self._exact.get((call.method, call.path))
        if exact is not None:
            return exact
        parts = call.path.split("/")
        for (method, pattern), cost in self._patterns.items():
            if method == call.method and _fits(pattern, parts):
                return cost
        return self._default


def _check(name: str, cost: int, least: int) -> None:
    if not least <= cost <= COST_MAX:
        raise RemoteProtocolError(f"costs: {name}: {cost} is not {least} to {COST_MAX}")


def _fits(pattern: tuple[str, ...], parts: list[str]) -> bool:
    rest = math.inf
    for i, piece in enumerate(pattern):
        if piece.startswith("*"):
            rest = i
            break
        if i >= len(parts) or not (_named(piece, parts[i]) or piece == parts[i]):
            return False
    return len(parts) == len(pattern) or len(parts) > rest


def _named(piece: str, part: str) -> bool:
    """Whether a piece that stands for a name stands for this part. A word of the exchange's own
    paths is none: `/portfolio/orders/queue_positions` is no order, and costs what it costs."""
    return piece.startswith(":") and part not in _WORDS
