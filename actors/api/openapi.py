"""The page at /openapi.json (OpenAPI 3.1), made of the table of routes when the process starts.

Bodies and answers are described by the very types that read and write them.
"""

from typing import Any, Final

import msgspec

from actors.api import forms
from actors.api.keyed import HEADER
from actors.api.route import ID_PATTERN, Answer, Route
from actors.api.routes import CARRYING, EVERYWHERE, KEYED, TABLE
from protocol.kalshi.parameters import Parameter
from protocol.tokens import SCOPES
from protocol.units import Count, Money, Price

VERSION: Final = "1"
JSON: Final = "application/json"
PROBLEM: Final = "application/problem+json"
REF: Final = "#/components/schemas/{name}"
ABOUT: Final = """Kalshi trading beside a trader's own programs.

Prices, counts and money are decimal strings; times are integer microseconds since the Unix epoch.
Every operation says the scope that its token needs in `x-scope`.

Changes as they happen come over the WebSocket at `/v1/ws`, with the same bearer token: frames of
JSON, subscribed to by topic. OpenAPI has no words for it; docs/API.md has."""
IDEMPOTENCY: Final[dict[str, Any]] = {
    "name": HEADER,
    "in": "header",
    "required": False,
    "description": "the same request again with the same key is done once, and answered the same",
    "schema": {"type": "string", "pattern": ID_PATTERN},
}
UNITS: Final[dict[type, dict[str, Any]]] = {
    Price: {"type": "string", "pattern": r"^[0-9]{1,7}(\.[0-9]{1,6})?$", "description": "dollars"},
    Count: {
        "type": "string",
        "pattern": r"^-?[0-9]{1,12}(\.[0-9]{1,2})?$",
        "description": "contracts",
    },
    Money: {
        "type": "string",
        "pattern": r"^-?[0-9]{1,12}(\.[0-9]{1,6})?$",
        "description": "dollars",
    },
}


def document() -> dict[str, Any]:
    """The whole page."""
    kinds = _kinds()
    shapes, components = msgspec.json.schema_components(
        list(kinds), schema_hook=_unit, ref_template=REF
    )
    found = dict(zip(kinds, shapes, strict=True))
    _plain(components)
    paths: dict[str, dict[str, Any]] = {}
    for route in TABLE.routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, found)
    scheme = {"type": "http", "scheme": "bearer", "description": f"scopes: {', '.join(SCOPES)}"}
    return {
        "openapi": "3.1.0",
        "info": {"title": "kalshi-sidecar", "version": VERSION, "description": ABOUT},
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "schemas": components,
            "responses": {str(a.status): _response([a], found) for a in EVERYWHERE},
            "securitySchemes": {"token": scheme},
        },
    }


def answers_of(route: Route) -> dict[int, list[Answer]]:
    """All that a route may answer, by status."""
    found: dict[int, list[Answer]] = {}
    carried = () if route.body is None else CARRYING
    keyed = KEYED if route.method == "POST" else ()
    for answer in (*route.answers, *carried, *keyed, *EVERYWHERE):
        found.setdefault(answer.status, []).append(answer)
    return dict(sorted(found.items()))


def _kinds() -> dict[Any, None]:
    """Every type that a body or an answer has, once."""
    found: dict[Any, None] = {forms.Problem: None}
    for route in TABLE.routes:
        if route.body is not None:
            found[route.body.shown or route.body.kind] = None
        for answer in route.answers:
            if answer.form is not None:
                found[forms.told(answer.form)] = None
    return found


def _plain(tree: Any) -> None:
    """Rows of a fixed length (a level: price and count) as lists of whatever stands in them: few
    tools read `prefixItems`."""
    if isinstance(tree, dict):
        if "prefixItems" in tree:
            tree["items"] = {"anyOf": tree.pop("prefixItems")}
        for value in tree.values():
            _plain(value)
    elif isinstance(tree, list):
        for value in tree:
            _plain(value)


def _unit(kind: type) -> dict[str, Any]:
    return dict(UNITS[kind])


def _operation(route: Route, shapes: dict[Any, Any]) -> dict[str, Any]:
    words = route.path.replace("{", "").replace("}", "").strip("/").split("/")
    said: dict[str, Any] = {
        "operationId": "_".join([route.method.lower(), *words]).replace("-", "_"),
        "summary": route.summary,
        "x-scope": route.scope,
        "responses": {
            str(status): {"$ref": f"#/components/responses/{status}"}
            if found[0] in EVERYWHERE
            else _response(found, shapes)
            for status, found in answers_of(route).items()
        },
    }
    said["parameters"] = [_parameter(route, parameter) for parameter in route.parameters]
    if route.keyed:
        said["parameters"].append(IDEMPOTENCY)
    if route.body is not None:
        shape = shapes[route.body.shown or route.body.kind]
        if route.body.one_of:
            shape = {"allOf": [shape, {"anyOf": [_there(name) for name in route.body.one_of]}]}
        said["requestBody"] = {"required": True, "content": {JSON: {"schema": shape}}}
    return said


def _there(name: str) -> dict[str, Any]:
    """A field that says something: not null, and no empty list."""
    words = {"type": ["string", "integer", "boolean", "array"], "minItems": 1}
    return {"required": [name], "properties": {name: words}}


def _parameter(route: Route, parameter: Parameter) -> dict[str, Any]:
    """A list is one parameter with commas."""
    inside = route.in_path(parameter.name)
    said: dict[str, Any] = {
        "name": parameter.name,
        "in": "path" if inside else "query",
        "required": parameter.required,
        "description": "; ".join(filter(None, (parameter.about, parameter.kind.rule))),
        "schema": parameter.kind.schema,
    }
    if parameter.kind.schema.get("type") == "array":
        said |= {"style": "form", "explode": False}
    return said


def _response(found: list[Answer], shapes: dict[Any, Any]) -> dict[str, Any]:
    texts = dict.fromkeys(answer.text for answer in found)
    said: dict[str, Any] = {"description": "; ".join(texts)}
    shown = [shapes[forms.told(answer.form)] for answer in found if answer.form is not None]
    content: dict[str, Any] = {}
    if shown:
        content[JSON] = {"schema": shown[0] if len(shown) == 1 else {"anyOf": shown}}
    if len(shown) < len(found):
        content[PROBLEM] = {"schema": shapes[forms.Problem]}
        codes = dict.fromkeys(code for answer in found for code in answer.codes)
        if codes:
            said["x-codes"] = list(codes)
    return said | {"content": content}


PAGE: Final = msgspec.json.encode(document())
