"""What each call costs in tokens (FACTS.md section 7): data from the exchange, not constants."""

import math

from protocol.kalshi.answers import CostsBody
from protocol.kalshi.calls import Call

DEFAULT_COST = 10
PREFIX = "/trade-api/v2"


class Costs:
    """The table of `/account/endpoint_costs`; before it is read, everything costs the default."""

    def __init__(self, body: CostsBody | None = None) -> None:
        self._default = DEFAULT_COST if body is None else body.default_cost
        self._exact: dict[tuple[str, str], int] = {}
        self._patterns: list[tuple[str, list[str], int]] = []
        for row in () if body is None else body.endpoint_costs:
            path = row.path.removeprefix(PREFIX)
            if ":" in path or "*" in path:
                self._patterns.append((row.method, path.split("/"), row.cost))
            else:
                self._exact[row.method, path] = row.cost

    def of(self, call: Call) -> int:
        """Tokens that one call draws."""
        exact = self._exact.get((call.method, call.path))
        if exact is not None:
            return exact
        parts = call.path.split("/")
        for method, pattern, cost in self._patterns:
            if method == call.method and _fits(pattern, parts):
                return cost
        return self._default


def _fits(pattern: list[str], parts: list[str]) -> bool:
    rest = math.inf
    for i, piece in enumerate(pattern):
        if piece.startswith("*"):
            rest = i
            break
        if i >= len(parts) or not (piece.startswith(":") or piece == parts[i]):
            return False
    return len(parts) == len(pattern) or len(parts) >= rest
