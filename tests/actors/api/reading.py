"""A request in its parts, read as the web layer reads it."""

from collections.abc import Mapping

from actors.api.asks import Ask, Problem, find
from protocol.tokens import Scope


def read(
    method: str, path: str, query: Mapping[str, str], body: bytes, fresh_id: str
) -> tuple[Scope, Ask] | Problem:
    """The request and the scope it needs, or what is wrong with it."""
    route = find(method, path)
    if isinstance(route, Problem):
        return route
    ask = route.read(path, query, body, fresh_id)
    return ask if isinstance(ask, Problem) else (route.scope, ask)


def scope_of(method: str, path: str) -> Scope | None:
    """The scope a route needs; None where there is no such route."""
    route = find(method, path)
    return None if isinstance(route, Problem) else route.scope
