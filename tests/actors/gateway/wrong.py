"""A wrong order on its whole way: read as the front reads it, told to the gateway as a letter, and
answered as the front answers; and what the exchange and the ledger saw of it."""

import json
from typing import Any, Final

from actors.api import replies
from actors.api.asks import Place
from actors.api.bodies import Problem
from protocol.envelope import Letter, decode_letter, encode_letter
from protocol.limits import SECOND
from protocol.machine import Asked
from protocol.messages import OrderAnswer
from tests.actors.api.reading import read
from tests.actors.gateway.scene import Scene

ID: Final = "client_order_id"
WAIT_MAX: Final = 8 * SECOND
MEGABYTE: Final = 1_000_000
GOOD: Final[dict[str, Any]] = {
    "ticker": "KXA-1", "side": "bid", "price": "0.5000", "count": "10.00",
    "time_in_force": "good_till_canceled", ID: "wrong",
}  # fmt: skip
Refusal = tuple[int, str, str]


def body(**terms: Any) -> bytes:
    return json.dumps({**GOOD, **terms}, ensure_ascii=False).encode()


def instead(old: str, new: str) -> bytes:
    raw = body()
    assert old.encode() in raw
    return raw.replace(old.encode(), new.encode())


def writes(scene: Scene) -> list[bytes]:
    """All that the exchange has seen but reads."""
    return [made.call.body for made in scene.made if made.call.method != "GET"]


def intents(scene: Scene) -> set[str]:
    """The intents that the writer was told."""
    told = {*scene.numbers, *(letter.id for letter in scene.appends)}
    return {id for id in told if id.startswith("intent:")}


def answered(scene: Scene, letter: Letter) -> OrderAnswer:
    """The one answer to a letter, which may have to wait for what has to be read first."""
    scene.answers.clear()
    scene.feed(Asked(scene.at, (b"api",), letter))
    until = scene.now + WAIT_MAX
    while not scene.answers and scene.now < until:
        scene.settle()
        scene.beat().pass_time(SECOND // 4)
    [told] = scene.answers
    assert isinstance(told, OrderAnswer)
    return told


def over_http(scene: Scene, raw: bytes) -> Refusal:
    """Status, code and field of the one problem."""
    asked = read("POST", "/v1/orders", {}, raw, "fresh")
    if isinstance(asked, Problem):
        reply = replies.refuse(1, asked)
    else:
        assert isinstance(asked[1], Place)
        letter = Letter("api", 1, "place:wrong", scene.at, asked[1].order)
        reply = replies.placed(1, answered(scene, decode_letter(encode_letter(letter))))
    problem = json.loads(reply.body)
    assert problem.keys() <= {
        "type", "title", "status", "code", "detail", "field", "retry_after_ms", "limit", "value",
    }  # fmt: skip
    assert problem["status"] == reply.status
    assert 0 < len(problem["detail"]) <= 400
    return reply.status, problem["code"], problem.get("field", "")
