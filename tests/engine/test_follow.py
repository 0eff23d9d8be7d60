"""What is followed, and who follows: asked and refused over real sockets, in a running engine."""

from typing import Any

import pytest
import requests

from protocol.messages import (
    ExchangeAnswer,
    ExchangeRequest,
    FollowerReport,
    MarketsAnswer,
    MarketsRequest,
    Noted,
    Refused,
    System,
)
from tests.engine.running import Engine

FORMS = "TICKER, event:TICKER, series:TICKER, *, trade:* or ticker:*"


def problem(answer: requests.Response) -> tuple[int, str, str]:
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    body = answer.json()
    assert body["detail"]
    return answer.status_code, body["code"], body.get("field", "")


@pytest.mark.parametrize(
    ("body", "code", "field"),
    [
        ({"add": ["KXA-1", "kxa"]}, "invalid_wish", "add"),
        ({"remove": ["fill:*"]}, "invalid_wish", "remove"),
        ({"add": "*"}, "invalid_follow", "add"),
        ({}, "invalid_follow", "add"),
        ({"add": ["*"], "remove": ["*"]}, "invalid_follow", "remove"),
        ({"ad": ["*"]}, "invalid_follow", "ad"),
    ],
    ids=str,
)
def test_a_wrong_change_is_refused_at_the_front(
    engine: Engine, body: Any, code: str, field: str
) -> None:
    assert problem(engine.post("/v1/follow", body)) == (422, code, field)


def test_who_may_only_read_changes_nothing(engine: Engine) -> None:
    assert problem(engine.post("/v1/follow", {"add": ["*"]}, "read")) == (403, "forbidden", "")
    assert problem(engine.delete("/v1/follow"))[0] == 405


def test_the_command_names_a_wrong_wish(engine: Engine) -> None:
    done = engine.sidecar("follow", "add", "KXA-1", "kxa")
    assert (done.returncode, done.stdout, done.stderr) == (
        1, "", f"follow: 'kxa' is none of {FORMS}\n",
    )  # fmt: skip


def test_the_gateway_looks_up_what_makes_sense(engine: Engine) -> None:
    found = engine.tell("gateway", MarketsRequest(("*", "trade:*")))
    assert isinstance(found, MarketsAnswer)
    assert (found.complete, found.left_out, found.reason) == (True, 0, "")
    one = found.tickers[0]
    series = one.partition("-")[0]
    same = engine.tell("gateway", MarketsRequest((one, f"series:{series}")))
    assert isinstance(same, MarketsAnswer)
    assert set(same.tickers) == {t for t in found.tickers if t.partition("-")[0] == series}
    assert engine.tell("gateway", MarketsRequest((one, "kxa"))) == MarketsAnswer(
        (), False, f"'kxa' is none of {FORMS}"
    )


def test_the_exchange_s_own_word_on_a_pause(engine: Engine) -> None:
    assert engine.tell("gateway", ExchangeRequest()) == ExchangeAnswer("", known=True)


def test_a_program_that_says_how_it_follows_is_seen_everywhere(engine: Engine) -> None:
    assert engine.tell("supervisor", FollowerReport("a <b>bot", 12, 1, 4, 3)) == Noted()
    refused = engine.tell("supervisor", FollowerReport("a\x1b[2Jbot", 1, 0, 0, 0))
    assert isinstance(refused, Refused)
    assert refused.reason.startswith("FollowerReport.name: ")
    system = engine.until_system(lambda s: bool(s.followers), 20)
    assert list(system.followers) == ["a <b>bot"]
    status = requests.get(f"{engine.status_page}/status.json", timeout=5).json()
    [follower] = status["followers"].values()
    assert follower.pop("age_ms") >= 0
    assert follower == {
        "type": "FollowerHealth", "followed": 12, "lost": 1, "gaps": 4, "lag_ms": 3,
    }  # fmt: skip
    page = requests.get(f"{engine.status_page}/", timeout=5).text
    assert '<td>a &lt;b&gt;bot</td><td class="bad">lost</td>' in page
    assert "a <b>bot" in engine.sidecar("status").stdout
    assert engine.get("/v1/status").json()["followers"].keys() == {"a <b>bot"}


def test_our_own_followers_say_how_they_keep_up(engine: Engine) -> None:
    def said(system: System) -> bool:
        counters = [system.processes[name].counters for name in ("api", "gateway", "rehydrator")]
        return all(c.get("lag_ms", -1) >= 0 and c.get("gaps", -1) >= 0 for c in counters)

    engine.until_system(said, 20)


def test_without_a_stream_the_command_says_so() -> None:
    with Engine() as engine:
        done = engine.sidecar("follow")
    assert (done.returncode, done.stdout, done.stderr) == (
        2, "", "follow: the stream does not answer\n",
    )  # fmt: skip
