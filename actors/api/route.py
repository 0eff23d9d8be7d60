"""What a route declares, and how a request is read by it.

A route says everything about itself: who may ask, what may be said, what can come back. The
reading, the page at /openapi.json and the tests of every route are all driven by that.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec
from msgspec import Struct

from actors.api.bodies import Problem, decoded, stranger
from protocol.kalshi.parameters import Kind, Parameter
from protocol.limits import CLIENT_ORDER_ID_CHARS_MAX
from protocol.tokens import SCOPES, Scope
from protocol.units import decode_unit

METHODS: Final = ("GET", "POST", "DELETE")
ID_PATTERN: Final = f"^[A-Za-z0-9._:\\-]{{1,{CLIENT_ORDER_ID_CHARS_MAX}}}$"
CLIENT_ID: Final = Kind(
    f"1 to {CLIENT_ORDER_ID_CHARS_MAX} letters, digits or . _ : -",
    lambda text: re.fullmatch(ID_PATTERN[1:-1], text, re.ASCII) is not None,
    {"type": "string", "pattern": ID_PATTERN},
)
NUMBER_MAX: Final = 10**18 - 1  # a ledger number or a time: more digits are none


class Body(Struct, frozen=True):
    """What a request carries: its type, the code of what makes no sense, and what counts as said
    where nothing is. `shown` is what the type stands for where parts of it are read later."""

    kind: type[Any]
    code: str
    empty: bytes = b""
    shown: type[Any] | None = None
    one_of: tuple[str, ...] = ()  # at least one of these fields has to say something

    def read(self, body: bytes) -> Any:
        """The body, or the problem that it is."""
        return decoded(_decoder(self.kind), body or self.empty, self.code)


class Answer(Struct, frozen=True):
    """One way in which a route may answer: the form of its JSON (None: a problem), what it means,
    and the codes of the problem, as far as they are ours."""

    status: int
    form: Any
    text: str
    codes: tuple[str, ...] = ()


class Said(Struct, frozen=True):
    """One request in its parts, each as its route says that it may be."""

    path: str
    parts: Mapping[str, str]
    query: Mapping[str, str]
    body: Any
    fresh_id: str

    def number(self, name: str, default: int = 0) -> int:
        """A parameter that is a whole number."""
        return int(self.query.get(name) or default)


class Route(Struct, frozen=True):
    """One method of one path. `path` has its named parts in braces.

    `own_words`: what is wrong with a parameter is a problem named after it (`invalid_limit`); else
    the reader looks at them itself.
    """

    method: str
    path: str
    scope: Scope
    summary: str
    reader: Callable[[Said], Any]
    answers: tuple[Answer, ...]
    parameters: tuple[Parameter, ...] = ()
    body: Body | None = None
    own_words: bool = True
    once: bool = True  # of a POST: it may say an idempotency key

    def __post_init__(self) -> None:
        """Raises ValueError for a route that does not say who may ask, or what it is."""
        where = f"{self.method} {self.path}"
        if self.scope not in SCOPES:
            raise ValueError(f"{where}: no scope: one of {', '.join(SCOPES)}")
        if self.method not in METHODS or not self.summary or not self.answers:
            raise ValueError(f"{where}: a method of {METHODS}, a summary and answers are needed")
        named = {part[1:-1] for part in self.path.split("/") if part.startswith("{")}
        if not named <= {p.name for p in self.parameters}:
            raise ValueError(f"{where}: a part of the path is no parameter")

    @property
    def keyed(self) -> bool:
        """Whether an idempotency key means something here."""
        return self.method == "POST" and self.once

    def in_path(self, name: str) -> bool:
        return f"{{{name}}}" in self.path

    def read(self, path: str, query: Mapping[str, str], body: bytes, fresh_id: str) -> Any:
        """What is asked, or the problem that it is."""
        pairs = zip(self.path.split("/"), path.split("/"), strict=True)
        parts = {piece[1:-1]: part for piece, part in pairs if piece.startswith("{")}
        if self.own_words:
            wrong = self._unfit(parts, query)
            if wrong is not None:
                return wrong
        found = None if self.body is None else self.body.read(body)
        if isinstance(found, Problem):
            return found
        return self.reader(Said(path, parts, query, found, fresh_id))

    def _unfit(self, parts: Mapping[str, str], query: Mapping[str, str]) -> Problem | None:
        """What is wrong with a parameter, first with those that there are not."""
        known = tuple(p.name for p in self.parameters if not self.in_path(p.name))
        odd = stranger(query, known)
        if odd is not None:
            return odd
        for parameter in self.parameters:
            name = parameter.name
            text = parts.get(name, query.get(name))
            if text is None and parameter.required:
                return Problem(422, "missing_parameter", parameter.kind.rule, name)
            if text is not None and not parameter.kind.fits(text):
                return Problem(422, f"invalid_{name}", parameter.kind.rule, name)
        return None


Pieces = tuple[str, ...]  # of a path, between its slashes; "" for a named part


class Table:
    """Routes by path: a part that is a word goes before one that is a name."""

    def __init__(self, routes: tuple[Route, ...]) -> None:
        """Raises ValueError if two routes are the same."""
        self.routes = routes
        self._by_shape: dict[tuple[int, str], list[tuple[Pieces, Route]]] = {}
        seen: set[tuple[str, str]] = set()
        for route in routes:
            if (route.method, route.path) in seen:
                raise ValueError(f"{route.method} {route.path} is there twice")
            seen.add((route.method, route.path))
            words = route.path.split("/")
            pieces = tuple("" if word.startswith("{") else word for word in words)
            found = self._by_shape.setdefault((len(words), words[2 % len(words)]), [])
            found.append((pieces, route))
        for found in self._by_shape.values():
            found.sort(key=lambda one: [not piece for piece in one[0][1:]])

    def at(self, path: str) -> list[Route]:
        """The routes that may stand at this path, whatever their methods: the nearest first."""
        parts = path.split("/")
        found = self._by_shape.get((len(parts), parts[2 % len(parts)]), ())
        return [route for pieces, route in found if _fits(pieces, parts)]

    def find(self, method: str, path: str) -> Route | None:
        """The route of a request. What may be got may be asked for its head alone."""
        wanted = "GET" if method == "HEAD" else method
        return next((route for route in self.at(path) if route.method == wanted), None)

    def allowed(self, path: str) -> tuple[str, ...]:
        """The methods that there are at a path: of those that fit it, the nearest. A name that is
        also a word has others beside; they are found, but not promised."""
        near = self.at(path)[:1]
        found = dict.fromkeys(r.method for r in self.at(path) if r.path == near[0].path)
        return (*found, "HEAD") if "GET" in found else tuple(found)


def _fits(pieces: Pieces, parts: list[str]) -> bool:
    """Both begin with what stands before the first slash: nothing."""
    for piece, part in zip(pieces[1:], parts[1:], strict=True):
        if piece != part if piece else not part:
            return False
    return not parts[0]


_decoders: dict[type[Any], msgspec.json.Decoder[Any]] = {}


def _decoder(kind: type[Any]) -> msgspec.json.Decoder[Any]:
    """One decoder a type, for the life of the process: there are as many as bodies in the table."""
    if kind not in _decoders:
        _decoders[kind] = msgspec.json.Decoder(kind, dec_hook=decode_unit)
    return _decoders[kind]
