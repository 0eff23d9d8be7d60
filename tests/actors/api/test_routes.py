"""The table of routes: who may ask is always said, and the page says all that there is."""

import json
from typing import Any

import pytest

from actors.api.asks import Problem
from actors.api.openapi import PAGE, answers_of
from actors.api.route import METHODS, Answer, Route, Table
from actors.api.routes import EVERYWHERE, TABLE
from protocol.kalshi.parameters import TICKER, Parameter
from protocol.tokens import SCOPES
from tests.actors.api.reading import read, scope_of

DOCUMENT: dict[str, Any] = json.loads(PAGE)
SAMPLES = {
    "ticker": "KXA-1", "client_order_id": "c1", "order_group_id": "g-1", "series_ticker": "KXA",
    "event_ticker": "KXA-1", "order_id": "2597b999-f887-4195-8bac-c3f97a1f2021",
    "transfer_id": "t-1",
}  # fmt: skip


def named(route: Route) -> str:
    return f"{route.method} {route.path}"


def made(**other: Any) -> Route:
    said: dict[str, Any] = {
        "method": "GET", "path": "/v1/x", "scope": "read", "summary": "An x",
        "reader": lambda said: said, "answers": (Answer(200, dict, "it"),),
    }  # fmt: skip
    return Route(**(said | other))


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ({"scope": ""}, "GET /v1/x: no scope: one of read, trade, kill, admin"),
        ({"scope": None}, "no scope"),
        ({"scope": "root"}, "no scope"),
        ({"method": "PATCH"}, "a method of"),
        ({"summary": ""}, "a summary"),
        ({"answers": ()}, "answers are needed"),
        ({"path": "/v1/{x}"}, "a part of the path is no parameter"),
    ],
)
def test_a_route_that_does_not_say_who_may_ask_or_what_it_is_fails_at_start(
    wrong: dict[str, Any], text: str
) -> None:
    with pytest.raises(ValueError, match=text):
        made(**wrong)


def test_a_route_without_a_scope_is_none() -> None:
    with pytest.raises(TypeError, match="scope"):
        Route("GET", "/v1/x", summary="", reader=None, answers=())  # type: ignore[call-arg, arg-type]


def test_the_same_route_twice_fails_at_start() -> None:
    with pytest.raises(ValueError, match="GET /v1/x is there twice"):
        Table((made(), made()))


def test_a_word_goes_before_a_name_and_a_name_where_the_word_has_no_such_method() -> None:
    name = Parameter("x", TICKER, required=True)
    one = made(path="/v1/a/{x}", parameters=(name,))
    word = made(path="/v1/a/b", method="POST", scope="trade")
    table = Table((one, word))
    assert table.find("POST", "/v1/a/b") is word
    assert table.find("GET", "/v1/a/b") is one
    assert table.find("HEAD", "/v1/a/b") is one
    assert table.find("DELETE", "/v1/a/b") is None
    assert table.allowed("/v1/a/b") == ("POST",)
    assert table.allowed("/v1/a/c") == ("GET", "HEAD")
    assert table.allowed("/v1/a/") == table.allowed("/v1/a") == table.allowed("") == ()


@pytest.mark.parametrize("route", TABLE.routes, ids=named)
def test_each_route_is_found_by_its_path_with_its_scope(route: Route) -> None:
    path = route.path.format_map(SAMPLES)
    assert TABLE.find(route.method, path) is route
    assert scope_of(route.method, path) == route.scope


def test_reads_are_for_whoever_may_read_and_stops_for_whoever_may_stop() -> None:
    assert {route.scope for route in TABLE.routes if route.method == "GET"} == {"read"}
    others = {named(r): r.scope for r in TABLE.routes if r.method != "GET"}
    assert others.pop("POST /v1/ws/ticket") == "read", "it opens what only reads"
    assert others.pop("POST /v1/sign-in") == "page"
    kill = {"POST /v1/halt", "POST /v1/panic", "POST /v1/orders/cancel-all"}
    admin = {"POST /v1/resume", "POST /v1/brakes", "POST /v1/restore/confirm"}
    for name, scope in others.items():
        want = "kill" if name in kill else "admin" if name in admin else "trade"
        assert scope == want, name


@pytest.mark.parametrize("method", ["PUT", "PATCH", "OPTIONS", "TRACE", "CONNECT", "get"])
def test_a_method_that_there_is_not_is_told_those_that_there_are(method: str) -> None:
    found = read(method, "/v1/orders/c1", {}, b"", "")
    assert isinstance(found, Problem)
    assert (found.status, found.allow) == (405, "GET, DELETE, HEAD")


def test_a_head_is_read_as_what_it_is_the_head_of() -> None:
    assert read("HEAD", "/v1/fills", {"limit": "2"}, b"", "") == read(
        "GET", "/v1/fills", {"limit": "2"}, b"", ""
    )
    assert scope_of("HEAD", "/v1/fills") == "read"


@pytest.mark.parametrize("route", [r for r in TABLE.routes if r.own_words], ids=named)
def test_what_there_is_not_is_refused_by_every_route(route: Route) -> None:
    found = read(route.method, route.path.format_map(SAMPLES), {"nonsense": "1"}, b"{}", "")
    assert isinstance(found, Problem)
    assert (found.status, found.code, found.field) == (422, "unknown_parameter", "nonsense")


# The page


def test_every_route_stands_on_the_page_and_no_other() -> None:
    there = {
        (method.upper(), path) for path, found in DOCUMENT["paths"].items() for method in found
    }
    assert there == {(route.method, route.path) for route in TABLE.routes}
    assert DOCUMENT["openapi"] == "3.1.0"
    assert DOCUMENT["components"]["securitySchemes"]["token"]["scheme"] == "bearer"
    assert "/v1/ws" in DOCUMENT["info"]["description"]


@pytest.mark.parametrize("route", TABLE.routes, ids=named)
def test_all_that_a_route_takes_and_answers_is_on_the_page(route: Route) -> None:
    said = DOCUMENT["paths"][route.path][route.method.lower()]
    assert said["x-scope"] == route.scope
    assert said["x-scope"] in SCOPES
    assert route.method in METHODS
    assert said["summary"] == route.summary
    parameters = {p["name"]: p for p in said.get("parameters", ())}
    header = {"Idempotency-Key"} if route.keyed else set()
    assert set(parameters) == {p.name for p in route.parameters} | header
    for parameter in route.parameters:
        shown = parameters[parameter.name]
        assert shown["schema"], parameter.name
        assert parameter.kind.rule in shown["description"]
        assert shown["in"] == ("path" if route.in_path(parameter.name) else "query")
        assert shown["required"] == parameter.required
    assert ("requestBody" in said) == (route.body is not None)
    assert set(said["responses"]) == {str(status) for status in answers_of(route)}
    assert {str(answer.status) for answer in EVERYWHERE} <= set(said["responses"])
    assert any(status < 300 for status in answers_of(route))


def test_every_reference_leads_somewhere() -> None:
    found = set()

    def look(tree: Any) -> None:
        if isinstance(tree, dict):
            found.update([tree["$ref"]] if "$ref" in tree else [])
            for value in tree.values():
                look(value)
        elif isinstance(tree, list):
            for value in tree:
                look(value)

    look(DOCUMENT)
    assert len(found) > 50
    for where in found:
        place: Any = DOCUMENT
        for part in where.removeprefix("#/").split("/"):
            place = place[part]
        assert place, where


def test_each_operation_has_a_name_of_its_own() -> None:
    names = [said["operationId"] for found in DOCUMENT["paths"].values() for said in found.values()]
    assert len(names) == len(set(names))


def test_money_is_text_with_a_pattern() -> None:
    order = DOCUMENT["components"]["schemas"]["OrderBody"]
    assert order["properties"]["price"]["type"] == "string"
    assert order["properties"]["price"]["pattern"]
    assert order["required"] == ["ticker", "side", "price", "count"]
    position = DOCUMENT["components"]["schemas"]["ShownPosition"]
    assert position["properties"]["cost"]["pattern"]
    assert set(position["required"]) == set(position["properties"]), "nothing is ever left out"
