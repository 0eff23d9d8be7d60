"""A page of somebody else in the trader's own browser tries everything that a page can: it learns
nothing, and nothing is done. The same page against a server without protection gets through.

It even has a token that may do everything, a ticket, and a code to sign in with: a page that has
none fails earlier.
"""

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import requests

from protocol.messages import System
from protocol.runtime.loop import wall
from protocol.runtime.tokens import load_tokens, new_code
from tests.engine.hostile import CHROMIUM, Open, OpenSocket, Place, page, visit
from tests.engine.running import Engine
from tests.engine.test_orders import busiest
from tests.front import Front

pytestmark = pytest.mark.skipif(
    CHROMIUM is None and os.environ.get("CI") != "true", reason="chromium is not installed"
)
WORD_MAX_S: Final = 5.0
SECRET: Final = "a secret"
TRIES: Final = {
    "fetch", "fetch_no_cors", "fetch_with_cookies", "fetch_with_token", "order_with_token",
    "halt_with_token", "cancel_with_token", "order_no_cors", "halt_no_cors", "order_by_form",
    "halt_by_form", "panic_by_form", "image", "frame", "socket", "socket_without_ticket",
    "events", "beacon", "page_fetch", "page_fetch_no_cors", "page_by_frame", "page_by_window",
    "script_fetch", "script_fetch_no_cors", "script", "script_module", "sign_in", "sign_in_no_cors",
    "sign_in_by_form",
}  # fmt: skip
DOES: Final = {
    "/v1/orders": 3, "/v1/halt": 4, "/v1/panic": 1, "/v1/orders/seen": 1, "/v1/sign-in": 3,
}  # fmt: skip


@pytest.fixture(scope="module")
def running() -> Iterator[Engine]:
    with Engine() as engine:
        engine.start()
        engine.until_healthy()
        yield engine


@pytest.fixture
def engine(running: Engine) -> Iterator[Engine]:
    """The engine, of which a page must not change anything."""
    wire, before = running.wire(), requests_taken(running)
    yield running
    assert running.wire() == wire, "the exchange has got an order or a cancel"
    assert requests_taken(running) == before, "a request has come past the front's door"
    assert running.until_healthy(WORD_MAX_S).gate == "open"


def requests_taken(engine: Engine) -> int:
    """How many requests the front's core has been given so far, by a heartbeat from now on."""
    since = time.monotonic()

    def fresh(said: System) -> bool:
        return time.monotonic() - said.processes["api"].heartbeat_age_ms / 1_000 > since

    return engine.until_system(fresh, WORD_MAX_S).processes["api"].counters["requests"]


@pytest.fixture
def code(engine: Engine) -> Iterator[str]:
    """A code to sign in with, which still counts for its owner after all that a page has tried."""
    var_dir = engine.settings.var_dir
    code = new_code(var_dir, wall()).decode()
    tokens = {token.id for token in load_tokens(var_dir)}
    engine.until(lambda: sign_in(engine, code, "no JSON") == 400, WORD_MAX_S, "the code is known")
    yield code
    assert {token.id for token in load_tokens(var_dir)} == tokens, "somebody has signed in"
    assert [sign_in(engine, code), sign_in(engine, code)] == [201, 401]


def sign_in(engine: Engine, code: str, body: str = "{}") -> int:
    """The status that a code is answered with."""
    headers = {"Authorization": f"Bearer {code}", "Content-Type": "application/json"}
    return requests.post(
        f"{engine.api}/v1/sign-in", data=body, headers=headers, timeout=5
    ).status_code


def aimed(engine: Engine, code: str, front: str = "") -> str:
    """The page, with an order that would be taken, a token that may do everything, and a code."""
    order = {"ticker": busiest(engine), "side": "bid", "price": "0.0100", "count": "1.00"}
    token = Path(engine.settings.var_dir, "token.trade").read_text().strip()
    ticket = engine.post("/v1/ws/ticket", {}).json()["ticket"]
    front = front or engine.api
    return page(front, front.replace("http", "ws"), token, ticket, json.dumps(order), code)


def learned(found: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """What the page has seen of the other side, by attempt.

    That something listens there is told by the time it takes, whatever is answered.
    """
    return {
        name: seen
        for name, seen in found.items()
        if seen.get("status")
        or seen.get("text")
        or seen.get("width")
        or seen.get("event") in ("open", "load")
    }


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "evil.example"])
def test_a_page_of_another_origin_learns_nothing_and_changes_nothing(
    engine: Engine, code: str, host: str
) -> None:
    with Place(aimed(engine, code)) as place:
        found = visit(f"http://{host}:{place.port}/")
    assert set(found) == TRIES
    assert learned(found) == {}


def test_a_name_that_leads_to_the_front_is_not_its_own(engine: Engine, code: str) -> None:
    """The page was served under a name and the front's port; now that name leads to the front. To
    the browser it is one origin, and the page reads what it is answered: that this is no place."""
    port = int(engine.api.rpartition(":")[2])
    there = f"http://rebound.example:{port}"
    with Place(aimed(engine, code, there), onward=port) as place:
        found = visit(f"{there}/", rebound=True)
        assert place.port == port
    assert set(found) == TRIES
    seen = learned(found)
    for name in (
        "fetch", "fetch_with_token", "order_with_token", "halt_with_token", "page_fetch",
        "script_fetch", "sign_in",
    ):  # fmt: skip
        assert (seen[name]["status"], code_of(seen[name])) == (421, "wrong_host"), name
    assert {"page_by_frame", "page_by_window", "sign_in_by_form"} <= set(seen)
    for name, what in seen.items():
        assert code_of(what) == "wrong_host", f"{name} has seen {what}"


def test_a_page_that_the_settings_allow_reaches_the_socket_with_a_ticket_and_nothing_else() -> None:
    with Place() as place:
        origin = f"http://desk.example:{place.port}"
        with Front([], settings=f'origins = ["{origin}"]\n') as front:
            trade = {"Authorization": f"Bearer {front.token('trade')}"}
            given = requests.post(f"{front.url}/v1/ws/ticket", json={}, headers=trade, timeout=5)
            ticket = given.json()["ticket"]
            there = (front.url, front.url.replace("http", "ws"))
            place.page = page(*there, front.token("trade"), ticket, '{"a":"b"}', "none")
            found = visit(f"{origin}/")
            assert [body for _, body in front.others.asked()] == []
    assert found["socket"]["event"] == "open"
    assert json.loads(found["socket"]["said"]) == {"kind": "welcome"}
    assert found["socket_without_ticket"] == {"event": "open", "said": "close"}
    assert set(learned(found)) == {"socket", "socket_without_ticket"}


def code_of(seen: dict[str, Any]) -> str:
    """The code of the problem that an attempt was answered with; "" for anything else."""
    try:
        return str(json.loads(seen.get("text", ""))["code"])
    except (ValueError, KeyError):
        return ""


@pytest.mark.parametrize("rebound", [False, True], ids=["another origin", "rebound"])
def test_without_protection_the_same_page_gets_through(rebound: bool) -> None:
    """So each attempt can succeed, and what stopped it above was the front."""
    with Open() as open_server, OpenSocket() as sockets:
        host = "rebound.example" if rebound else "127.0.0.1"
        front = f"http://{host}:{open_server.port}"
        text = page(front, f"ws://127.0.0.1:{sockets.port}", "any", "any", '{"a":"b"}', "any")
        with Place(text, onward=open_server.port if rebound else 0) as place:
            found = visit(
                f"http://{'rebound' if rebound else 'evil'}.example:{place.port}/", rebound
            )
    asked = [path for method, path, _ in open_server.got if method in ("POST", "DELETE")]
    assert {path: asked.count(path) for path in DOES} == DOES
    assert all(body for method, _, body in open_server.got if method == "POST")
    blind = {"beacon"}  # it shows a page nothing, wherever it goes
    if not rebound:  # nor do these, of another origin
        blind |= {"fetch_no_cors", "order_no_cors", "halt_no_cors", "frame"}
        blind |= {"order_by_form", "halt_by_form", "panic_by_form", "sign_in_by_form"}
        blind |= {"page_fetch_no_cors", "script_fetch_no_cors", "sign_in_no_cors"}
        blind |= {"page_by_frame", "page_by_window"}
    assert set(learned(found)) == TRIES - blind
    assert found["socket"]["said"] == 'you said {"ticket":"any"}'
    assert SECRET in found["fetch_with_token"]["text"]
    if rebound:
        assert SECRET in found["frame"]["text"]
