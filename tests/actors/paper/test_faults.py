"""Call faults over real sockets: each way in which a request or its answer can go wrong."""

from typing import Any

import pytest
import requests

from .house import ORDERS, PATIENCE, TICKER, Client, hear_until, say

PATH = "/portfolio/events/orders"
BRIEFLY = 0.2  # seconds that a client waits for an answer that does not come


def arm(client: Client, **fault: Any) -> None:
    """Arm one fault for the next create."""
    calls = [{"method": "POST", "path": PATH} | fault]
    assert client.arm(calls=calls).status_code == 200


def placed(client: Client) -> list[str]:
    client.arm(calls=[])
    return client.listed()


def last(client: Client) -> dict[str, Any]:
    """The newest row of the wire log."""
    return client.wire()[-1]


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_silent_exchange_never_answers(client: Client, when: str) -> None:
    arm(client, answer="silence", when=when)
    with pytest.raises(requests.ReadTimeout):
        client.order("a", timeout=BRIEFLY)
    assert (last(client)["client_order_id"], last(client)["status"]) == ("a", None)
    assert placed(client) == (["a"] if when == "after" else [])


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize(("answer", "words"), [("reset", "reset by peer"), ("close", "closed")])
def test_a_connection_ends(client: Client, when: str, answer: str, words: str) -> None:
    arm(client, answer=answer, when=when)
    with pytest.raises(requests.ConnectionError, match=words):
        client.order("a")
    assert last(client)["answer"] is None
    assert placed(client) == (["a"] if when == "after" else [])


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_body_is_cut_short(client: Client, when: str) -> None:
    arm(client, answer="truncate", when=when, status=201)
    with pytest.raises(requests.exceptions.ChunkedEncodingError, match="IncompleteRead"):
        client.order("a")
    assert last(client)["status"] == 201
    assert placed(client) == (["a"] if when == "after" else [])


@pytest.mark.parametrize("status", [200, 201, 403, 502])
def test_a_page_of_html_instead(client: Client, status: int) -> None:
    arm(client, answer="html", status=status)
    got = client.order("a")
    assert (got.status_code, got.headers["content-type"]) == (status, "text/html")
    assert got.text.startswith("<html>")
    assert (last(client)["status"], last(client)["answer"]) == (status, got.text)
    arm(client, answer="html", status=status, body="<p>")
    assert client.order("b").text == "<p>"
    assert placed(client) == []


STATUSES = [400, 401, 403, 404, 408, 409, 410, 429, 500, 502, 503, 504]


@pytest.mark.parametrize("status", STATUSES)
def test_any_status_with_json_or_with_nothing(client: Client, status: int) -> None:
    body = {"error": {"code": "some_code", "message": "some code"}}
    arm(client, answer="json", status=status, body=body)
    got = client.order("a")
    assert (got.status_code, got.json()) == (status, body)
    arm(client, answer="empty", status=status, when="after")
    got = client.order("b")
    assert (got.status_code, got.content, got.headers["content-length"]) == (status, b"", "0")
    assert placed(client) == ["b"]


@pytest.mark.parametrize("status", [200, 201, 202])
@pytest.mark.parametrize("body", [{}, {"order": None}, [], "no json at all"])
def test_a_success_without_an_order(client: Client, status: int, body: Any) -> None:
    arm(client, answer="json", when="after", status=status, body=body)
    got = client.order("a")
    assert got.status_code == status
    assert got.text == body if isinstance(body, str) else got.json() == body
    assert placed(client) == ["a"]


def test_the_truth_under_another_name_or_status(client: Client) -> None:
    arm(client, merge={"client_order_id": "other", "ts_ms": None}, status=202)
    got = client.order("a")
    assert (got.status_code, got.json()["client_order_id"]) == (202, "other")
    assert got.json().keys() == {"client_order_id", "order_id", "fill_count", "remaining_count"}
    assert placed(client) == ["a"]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_and_who_follows_it(client: Client, status: int) -> None:
    arm(client, answer="empty", status=status)
    got = client.order("a")
    assert (got.status_code, got.headers["location"]) == (status, f"/paper/redirected{PATH}")
    assert [row["path"] for row in client.wire()] == [ORDERS]
    client.session.post(client.root + got.headers["location"], json={"client_order_id": "a"})
    visit = last(client)
    assert (visit["path"], visit["client_order_id"]) == (f"/paper/redirected{PATH}", "a")
    assert (visit["method"], visit["status"]) == ("POST", 404)
    arm(client, answer="json", status=status, location="http://127.0.0.1:1/")
    assert client.order("b").headers["location"] == "http://127.0.0.1:1/"


def test_an_order_is_accepted_after_its_sender_has_left(client: Client) -> None:
    with client.socket() as ws:
        say(ws, "subscribe", channels=["user_orders"])
        hear_until(ws, "subscribed")
        arm(client, delay_ms=int(2 * BRIEFLY * 1_000))
        with pytest.raises(requests.ReadTimeout):
            client.order("late", timeout=BRIEFLY)
        assert client.listed() == []
        found = hear_until(ws, "user_order")["msg"]
        assert (found["client_order_id"], found["status"]) == ("late", "resting")


def test_an_order_is_accepted_at_once_and_answered_late(client: Client) -> None:
    arm(client, delay_ms=60_000, when="after")
    with pytest.raises(requests.ReadTimeout):
        client.order("a", timeout=BRIEFLY)
    assert placed(client) == ["a"]
    assert last(client)["status"] is None


def test_a_late_fault(client: Client) -> None:
    arm(client, delay_ms=10, when="after", answer="empty", status=503)
    assert client.order("a").status_code == 503
    assert placed(client) == ["a"]


def test_a_dripping_answer(client: Client) -> None:
    arm(client, drip_ms=1)
    got = client.order("a")
    assert (got.status_code, got.json()["client_order_id"]) == (201, "a")
    arm(client, drip_ms=600_000)
    with pytest.raises(requests.ConnectionError, match="Read timed out"):
        client.order("b", timeout=BRIEFLY)
    assert placed(client) == ["b", "a"]


def test_faults_are_counted_and_matched(client: Client) -> None:
    calls = [
        {"method": "POST", "path": PATH, "skip": 1, "times": 2, "answer": "empty"},
        {"method": "DELETE", "path": f"{PATH}/", "answer": "empty", "status": 504},
        {"path": "/portfolio/orders", "answer": "html"},
    ]
    client.arm(calls=calls)
    assert [client.order(name).status_code for name in "abcd"] == [201, 500, 500, 201]
    assert client.call("DELETE", ORDERS).status_code == 204
    assert [client.cancel("x").status_code for _ in range(2)] == [504, 404]
    assert client.call("GET", "/trade-api/v2/portfolio/orders?limit=1").status_code == 502
    assert client.listed() == ["d", "a"]
    armed = client.session.get(f"{client.root}/paper/faults").json()
    assert armed["calls"] == []


def test_reads_fail_like_writes(client: Client) -> None:
    client.arm(calls=[{"method": "GET", "path": "/exchange/status", "answer": "reset"}])
    with pytest.raises(requests.ConnectionError):
        client.session.get(f"{client.root}/trade-api/v2/exchange/status", timeout=PATIENCE)
    client.arm(calls=[{"path": "/portfolio/balance", "merge": {"balance": 7}}])
    assert client.get("/portfolio/balance")["balance"] == 7


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ({"answer": "shrug"}, "$.calls[0].answer"),
        ({"status": 99}, "$.calls[0].status"),
        ({"delay_ms": -1}, "$.calls[0].delay_ms"),
        ({"whenever": 1}, "whenever"),
    ],
)
def test_a_fault_that_cannot_be_is_named(client: Client, fault: Any, words: str) -> None:
    got = client.arm(calls=[fault])
    assert got.status_code == 400
    assert words in got.json()["error"]


def test_the_wire_log_is_paged(client: Client) -> None:
    for name in "abcde":
        client.order(name, ticker=TICKER)
    url = f"{client.root}/paper/wire"
    found = [row["n"] for row in client.session.get(f"{url}?since=1&limit=2").json()["requests"]]
    assert found == [2, 3]
    newer = client.session.get(f"{url}?since=4").json()["requests"]
    assert [row["client_order_id"] for row in newer] == ["e"]
    assert client.session.get(f"{url}?since=5").json() == {"requests": []}
    assert client.session.get(f"{url}?since=x").status_code == 400
