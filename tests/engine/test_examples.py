"""docs/API.md has an example for every route, and each of them is what an engine answers.

They run in the order of the page, against one engine. Compared are shapes: the same fields, with
values of the same kind. Values differ, and so do names that the page can't know.
"""

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest
import requests

from actors.api import forms
from actors.api.exchange import PREFIX
from actors.api.openapi import answers_of
from actors.api.route import Route
from actors.api.routes import TABLE
from protocol.messages import Reconcile
from protocol.runtime.tokens import new_code
from protocol.units import decode_unit
from tests.engine.running import Engine
from tests.engine.test_orders import busiest

PAGE = Path(__file__).parents[2] / "docs" / "API.md"
MARKET, EVENT, SERIES = "KXHIGHNY-26NOV28-B45", "KXHIGHNY-26NOV28", "KXHIGHNY"
GROUP = "3b1f0c52-6f0e-4f4e-9a53-6a1f7d1d2c11"
SINCE, UNTIL = "1795888200000000", "1795890060000000"
MORE = "..."  # as the name of a field: there are others, or other names
MINUTE = 60 * 1_000_000
READY_MAX_S = 15.0  # the first look of the books and of the limits
ROUND_MAX_S = 60.0  # reads lag behind what they read
EITHER = {"/v1/panic": {200, 202}}  # done, or not yet: whichever is sooner


class Example(NamedTuple):
    """One of the page: what is asked, and what is answered."""

    method: str
    where: str
    body: Any
    status: int
    answer: Any

    @property
    def route(self) -> Route:
        found = TABLE.find(self.method, self.where.partition("?")[0])
        assert found is not None, f"{self.method} {self.where}"
        return found


def examples() -> list[Example]:
    found = []
    for block in re.findall(r"^```http\n(.*?)^```$", PAGE.read_text(), re.M | re.S):
        asked, answered = block.strip().split("\n", 1)
        method, where, *body = asked.split(" ", 2)
        status, text = answered.strip().split(" ", 1)
        said = json.loads(body[0]) if body else None
        found.append(Example(method, where, said, int(status), json.loads(text)))
    return found


EXAMPLES = examples()


def differences(page: Any, real: Any, where: str = "") -> list[str]:
    """Where the shapes differ. Null may stand for anything, and of a list the first of the page for
    all that are there."""
    if page is None or real is None:
        return []
    if type(page) is not type(real):
        return [f"{where}: {page!r} on the page, {real!r} is answered"]
    if isinstance(page, dict):
        found = [f"{where}.{name} is not answered" for name in page.keys() - real.keys() - {MORE}]
        if MORE not in page:
            found += [f"{where}.{name} is not on the page" for name in real.keys() - page.keys()]
        for name in sorted(page.keys() & real.keys()):
            found += differences(page[name], real[name], f"{where}.{name}")
        return found
    if isinstance(page, list) and page:
        found = []
        for one in real:
            like = next((p for p in page if _kind(p) == _kind(one)), None)
            if like is not None:  # else of a kind that the page has no row of, such as a 409
                found += differences(like, one, f"{where}[]")
        return found
    return []


def _kind(row: Any) -> Any:
    """Rows of a list may be of several kinds: a batch's, by status."""
    return row.get("status") if isinstance(row, dict) else None


class Run:
    """The page's requests asked of an engine, each with what that has for the page's names."""

    def __init__(self, engine: Engine) -> None:
        market = busiest(engine)
        now = time.time_ns() // 1_000
        self._engine = engine
        self._names = {
            MARKET: market,
            EVENT: market.rpartition("-")[0],
            SERIES: market.partition("-")[0],
            SINCE: str(now - 30 * MINUTE),
            UNTIL: str(now + MINUTE),
        }
        self.api = engine.api
        code = new_code(engine.settings.var_dir, now)
        Path(engine.settings.var_dir, "token.code").write_bytes(code)
        self.secret = Path(engine.settings.var_dir, "token.admin").read_text().strip()
        engine.until(lambda: engine.get(f"/v1/books/{market}").ok, READY_MAX_S, "the book is live")
        self._settle_another(market)
        self.answers = [self._ask(example) for example in EXAMPLES]

    def _settle_another(self, market: str) -> None:
        """What is held of another market is paid, and the gateway has read so."""
        listed = self._engine.get("/v1/markets?status=open").json()["markets"]
        other = next(m["ticker"] for m in listed if m["ask"] and m["ticker"] != market)
        assert self._engine.order(other).status_code == 201
        self._engine.deed("settle", ticker=other, result="yes")
        self._engine.tell("gateway", Reconcile("a market was settled"), ROUND_MAX_S)

        def paid() -> bool:
            return bool(self._engine.get("/v1/settlements").json()["settlements"])

        self._engine.until(paid, READY_MAX_S, "the settlement is on record")

    def _ask(self, example: Example) -> requests.Response:
        said = None if example.body is None else json.loads(self._real(json.dumps(example.body)))
        where = self._real(example.where)
        token = "code" if example.route.scope == "page" else "admin"
        answer = self._engine._ask(example.method, where, said, token)
        if example.route.path == "/v1/groups" and answer.ok:
            self._names[GROUP] = answer.json()["order_group_id"]
        return answer

    def _real(self, text: str) -> str:
        for name, real in self._names.items():
            text = text.replace(name, real)
        return text


@pytest.fixture(scope="module")
def run() -> Iterator[Run]:
    with Engine() as engine:
        engine.start()
        engine.until_healthy()
        yield Run(engine)


def test_every_route_has_an_example() -> None:
    there = {(e.route.method, e.route.path) for e in EXAMPLES}
    for route in TABLE.routes:
        if not route.path.startswith(PREFIX):  # of these test_reads.py runs each
            assert (route.method, route.path) in there, f"{route.method} {route.path}"
    assert any(path.startswith(PREFIX) for _, path in there)


@pytest.mark.parametrize(
    "place", range(len(EXAMPLES)), ids=[f"{e.method} {e.where}" for e in EXAMPLES]
)
def test_an_example_is_what_is_answered(run: Run, place: int) -> None:
    example, answer = EXAMPLES[place], run.answers[place]
    may_be = EITHER.get(example.route.path, {example.status})
    assert answer.status_code in may_be, answer.text
    assert differences(example.answer, answer.json()) == []
    declared = answers_of(example.route)[example.status]
    said = [one.form for one in declared if one.form is not None]
    if example.status < 400:
        fitting = [form for form in said if fits(form, answer.content)]
        assert fitting, f"none of {said} fits {answer.text[:1_000]}"


def test_a_head_has_no_body_and_a_method_that_there_is_not_is_told_which_there_are(
    run: Run,
) -> None:
    with requests.Session() as session:
        session.headers["Authorization"] = f"Bearer {run.secret}"
        head = session.head(f"{run.api}/v1/status", timeout=10)
        assert (head.status_code, head.content) == (200, b"")
        assert session.get(f"{run.api}/v1/status", timeout=10).status_code == 200
        refused = session.delete(f"{run.api}/v1/status", timeout=10)
        assert (refused.status_code, refused.headers["Allow"]) == (405, "GET, HEAD")


def fits(form: Any, body: bytes) -> bool:
    try:
        msgspec.json.decode(body, type=forms.told(form), dec_hook=decode_unit)
    except msgspec.ValidationError:
        return False
    return True


def test_a_difference_is_found() -> None:
    assert differences({"a": "1", "b": [{"c": 1}]}, {"a": "2", "b": [{"c": 2}, {"c": 3}]}) == []
    assert differences({"a": "1"}, {"a": 1}) == [".a: '1' on the page, 1 is answered"]
    assert differences({"a": 1}, {}) == [".a is not answered"]
    assert differences({}, {"a": 1}) == [".a is not on the page"]
    assert differences({MORE: 0}, {"a": 1}) == []
    assert differences([{"a": 1}], [{"a": 1}, {"b": 1}]) == [
        "[].a is not answered", "[].b is not on the page",
    ]  # fmt: skip
