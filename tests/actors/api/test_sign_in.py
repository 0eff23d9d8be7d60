"""The page is open to everybody who knocks at the right door; signing in takes a code, once."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from actors.api.files import PAGE
from protocol.limits import CODE_TIME, SIGNED_IN_MAX, SIGNED_IN_TIME, US
from protocol.runtime.tokens import (
    load_tokens,
    make_usual,
    new_code,
    new_token,
    store_tokens,
    trade_code,
)
from protocol.tokens import SCOPES, USUAL
from tests.front import Front

AT = 1_795_888_200_000_000
BYTES_MAX = 200 * 1024  # of the page and all that it loads


@pytest.fixture(scope="module")
def front() -> Iterator[Front]:
    with Front([], {"everything": SCOPES}) as front:
        yield front


def signs_in(front: Front, code: str) -> requests.Response:
    headers = {"Authorization": f"Bearer {code}", "Content-Type": "application/json"}
    return requests.post(f"{front.url}/v1/sign-in", data="{}", headers=headers, timeout=10)


def may_read(front: Front, secret: str) -> bool:
    headers = {"Authorization": f"Bearer {secret}"}
    return requests.get(f"{front.url}/v1/status", headers=headers, timeout=10).ok


# Signing in


def test_the_address_that_is_printed_signs_in_once(front: Front) -> None:
    address, code = front.page()
    assert address == front.url
    first = signs_in(front, code)
    assert first.status_code == 201
    found = first.json()
    assert found["scopes"] == ["read", "trade", "kill"]
    assert may_read(front, found["token"]), "at once"
    second = signs_in(front, code)
    assert (second.status_code, second.json()["code"]) == (401, "unauthorized")
    assert may_read(front, found["token"])


def test_a_code_does_nothing_else(front: Front) -> None:
    _, code = front.page()
    assert not may_read(front, code)


def test_who_has_a_token_needs_none(front: Front) -> None:
    assert signs_in(front, front.secrets["everything"]).status_code == 409
    assert may_read(front, front.secrets["everything"])


def test_a_code_is_over_after_its_time_and_after_its_use(tmp_path: Path) -> None:
    var_dir = str(tmp_path)
    make_usual(var_dir, AT)
    secret = new_code(var_dir, AT)
    code = load_tokens(var_dir).find(secret)
    assert code is not None
    assert trade_code(var_dir, code.id, AT + CODE_TIME // US) is None
    found = trade_code(var_dir, code.id, AT + CODE_TIME // US - 1)
    assert found is not None
    assert trade_code(var_dir, code.id, AT + 1) is None
    page = load_tokens(var_dir).find(found[1])
    assert page is not None
    assert page.expires_at - page.made_at == SIGNED_IN_TIME // US


def test_codes_and_pages_are_bounded_and_nobody_else_goes_for_them(tmp_path: Path) -> None:
    var_dir = str(tmp_path)
    make_usual(var_dir, AT)
    store_tokens(var_dir, load_tokens(var_dir).having(new_token("bot", b"bot", ("read",), AT)))
    secrets = [new_code(var_dir, AT + n) for n in range(SIGNED_IN_MAX + 2)]
    tokens = load_tokens(var_dir)
    assert len(tokens) == len(USUAL) + 1 + SIGNED_IN_MAX
    assert [tokens.find(secret) is None for secret in secrets[:3]] == [True, True, False]
    new_code(var_dir, AT + CODE_TIME // US + SIGNED_IN_MAX + 2)
    assert len(load_tokens(var_dir)) == len(USUAL) + 1 + 1, "those that are over go"


# The page


@pytest.mark.parametrize("path", sorted(PAGE))
def test_a_file_of_the_page_needs_no_token_and_may_load_nothing_of_others(
    front: Front, path: str
) -> None:
    answer = requests.get(f"{front.url}{path}", timeout=10)
    assert answer.status_code == 200
    assert len(answer.content) == int(answer.headers["Content-Length"])
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy
    head = requests.head(f"{front.url}{path}", timeout=10)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["Content-Length"] == answer.headers["Content-Length"]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "evil.example"}, 421),
        ({"Origin": "https://evil.example"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
    ],
)
def test_nobody_reaches_it_under_another_name(
    front: Front, headers: dict[str, str], status: int
) -> None:
    assert requests.get(f"{front.url}/", headers=headers, timeout=10).status_code == status


LED = {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}


@pytest.mark.parametrize("site", ["same-site", "cross-site"])
def test_a_link_of_another_site_leads_to_it_and_to_nothing_else(front: Front, site: str) -> None:
    """The status page's is one: another port is another origin."""
    led = {**LED, "Sec-Fetch-Site": site}
    answer = requests.get(f"{front.url}/", headers=led, timeout=10)
    assert answer.status_code == 200
    assert answer.headers["Cross-Origin-Opener-Policy"] == "same-origin"
    for wrong in (
        {"Sec-Fetch-Dest": "iframe"},
        {"Sec-Fetch-Dest": "script"},
        {"Sec-Fetch-Mode": "no-cors"},
        {"Origin": "https://evil.example"},
        {"Host": "evil.example"},
    ):
        refused = requests.get(f"{front.url}/", headers={**led, **wrong}, timeout=10)
        assert refused.status_code in (403, 421), wrong
    answer = requests.get(f"{front.url}/v1/status", headers=led, timeout=10)
    assert (answer.status_code, answer.json()["code"]) == (403, "cross_site")


def test_nothing_else_is_there_without_a_token(front: Front) -> None:
    for path in ("/page/", "/page/nothing.js", "/page/../page/app.js", "/index.html"):
        raw = requests.Request("GET", front.url).prepare()
        raw.url = f"{front.url}{path}"
        with requests.Session() as session:
            assert session.send(raw, timeout=10).status_code == 401, path
    assert requests.post(f"{front.url}/", json={}, timeout=10).status_code == 401


def test_the_page_is_small() -> None:
    assert sum(len(answer.body) for answer in PAGE.values()) <= BYTES_MAX
    assert {"/", "/page/app.js", "/page/style.css"} <= set(PAGE)
