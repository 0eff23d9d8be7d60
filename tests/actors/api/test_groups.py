"""Order groups over HTTP: strictly read; one status for each answer; a group for all orders."""

import json
from typing import Any

import pytest
from msgspec.structs import replace

from actors.api.asks import Place, Problem
from actors.api.core import Api, Requested
from actors.api.groups import AskGroup
from actors.api.replies import translate
from protocol.envelope import Letter
from protocol.limits import REQUEST_MAX
from protocol.machine import Elapsed, Tell
from protocol.messages import GroupAnswer, ManageGroup, PlaceOrder
from protocol.pulse import Identity
from protocol.units import Count, Price
from tests.actors.api.reading import read, scope_of
from tests.actors.api.test_asks import GOOD
from tests.actors.api.test_evidence import AT, Host

FIFTY = b'{"contracts_limit":"50.00"}'
ON_TWO = b'{"contracts_limit":"50.00","exchange_index":2}'
CREATE = ManageGroup("create", contracts_limit=Count(5_000))
RESET = ManageGroup("reset", "g-1")


@pytest.mark.parametrize(
    ("method", "path", "body", "wanted"),
    [
        ("POST", "", FIFTY, CREATE),
        ("POST", "", ON_TWO, replace(CREATE, exchange_index=2)),
        ("POST", "/g-1/reset", b"", RESET),
        ("POST", "/g-1/reset", b"{}", RESET),
        ("POST", "/g-1/trigger", b'{"exchange_index":2}', ManageGroup("trigger", "g-1", None, 2)),
        ("POST", "/g-1/limit", FIFTY, ManageGroup("limit", "g-1", Count(5_000))),
        ("DELETE", "/g-1", b"", ManageGroup("delete", "g-1")),
    ],
)
def test_what_is_asked_is_read(method: str, path: str, body: bytes, wanted: ManageGroup) -> None:
    assert read(method, f"/v1/groups{path}", {}, body, "") == ("trade", AskGroup(wanted))
    assert scope_of(method, f"/v1/groups{path}") == "trade"


def test_a_delete_says_its_shard_in_the_query() -> None:
    found = read("DELETE", "/v1/groups/g-1", {"exchange_index": "2"}, b"", "")
    assert found == ("trade", AskGroup(ManageGroup("delete", "g-1", exchange_index=2)))


@pytest.mark.parametrize(
    ("method", "path", "query", "body", "field"),
    [
        ("POST", "", {}, b"{}", "contracts_limit"),
        ("POST", "", {}, b'{"contracts_limit":50}', "contracts_limit"),
        ("POST", "", {}, b'{"contracts_limit":"50.00","x":1}', "x"),
        ("POST", "", {}, b'{"contracts_limit":"50.00","exchange_index":"2"}', "exchange_index"),
        ("POST", "/g-1/limit", {}, b"{}", "contracts_limit"),
        ("POST", "/g-1/reset", {}, FIFTY, "contracts_limit"),
        ("DELETE", "/g-1", {"exchange_index": "-1"}, b"", "exchange_index"),
        ("DELETE", "/g-1", {"shard": "1"}, b"", "shard"),
    ],
)
def test_what_makes_no_sense_names_the_field(
    method: str, path: str, query: dict[str, str], body: bytes, field: str
) -> None:
    found = read(method, f"/v1/groups{path}", query, body, "")
    assert isinstance(found, Problem)
    assert (found.status, found.field) == (422, field)


@pytest.mark.parametrize(
    ("wanted", "answer", "status"),
    [
        (CREATE, GroupAnswer("done", "g-9"), 201),
        (RESET, GroupAnswer("done", "g-1"), 200),
        (CREATE, GroupAnswer("unknown", "", "no_answer", "list the groups"), 202),
        (RESET, GroupAnswer("rejected", "g-1", "not_found", "no"), 404),
        (CREATE, GroupAnswer("rejected", "", "invalid_parameters", "no"), 422),
        (CREATE, GroupAnswer("rejected", "", "too_many_requests", "no", "", 50), 503),
        (CREATE, GroupAnswer("refused", "", "halted", "lunch"), 503),
        (
            CREATE,
            GroupAnswer("refused", "", "invalid_contracts_limit", "x", "contracts_limit"),
            422,
        ),
    ],
)
def test_each_answer_has_its_status(wanted: ManageGroup, answer: GroupAnswer, status: int) -> None:
    reply = translate(1, AskGroup(wanted), answer, 0)
    told = json.loads(reply.body)
    assert reply.status == status
    if status < 400:
        assert (told["state"], told["order_group_id"]) == (answer.state, answer.order_group_id)
    else:
        assert (told["code"], told.get("field", "")) == (answer.code, answer.field)


def test_without_an_answer_in_time_it_is_unknown() -> None:
    api = Api(Identity("api", 1))
    [letter] = letters(api.step(1, Requested(0, 7, AskGroup(CREATE))))
    assert letter.body == CREATE
    [reply] = [e for e in api.step(1 + REQUEST_MAX, Elapsed(0)) if hasattr(e, "status")]
    assert (reply.status, json.loads(reply.body)["state"]) == (202, "unknown")


# Orders


def letters(effects: list[Any]) -> list[Letter]:
    return [e.letter for e in effects if isinstance(e, Tell) and e.peer == "gateway"]


def placed(group: str) -> PlaceOrder:
    terms = ("KXA-1", "bid", Price(560_000), Count(1_000), "good_till_canceled")
    return PlaceOrder("c1", *terms, order_group_id=group)  # type: ignore[arg-type]


def test_an_order_names_its_group() -> None:
    body = GOOD.replace(b"}", b',"order_group_id":"g-1"}')
    assert read("POST", "/v1/orders", {}, body, "fresh") == ("trade", Place(placed("g-1")))


@pytest.mark.parametrize("id", ["", "a b", "a/b", "g" * 65])
def test_a_group_s_id_that_is_none_is_refused(id: str) -> None:
    body = GOOD.replace(b"}", f',"order_group_id":"{id}"}}'.encode())
    found = read("POST", "/v1/orders", {}, body, "fresh")
    assert isinstance(found, Problem)
    assert (found.code, found.field) == ("invalid_order_group_id", "order_group_id")


@pytest.mark.parametrize(
    ("named", "by_setting", "group"),
    [("", "", ""), ("", "g-7", "g-7"), ("g-1", "g-7", "g-1"), ("g-1", "", "g-1")],
)
def test_the_setting_is_for_orders_that_name_no_group(
    named: str, by_setting: str, group: str
) -> None:
    host = Host(order_group=by_setting)
    [letter] = letters(host.step(Requested(AT, 1, Place(placed(named)))))
    assert letter.body == placed(group)
