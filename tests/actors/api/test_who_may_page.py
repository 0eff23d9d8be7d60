"""docs/API.md and docs/OPERATIONS.md on who may ask, held against the code."""

import re
from pathlib import Path

from msgspec.structs import asdict

from protocol import http, limits
from protocol.serving import Api
from protocol.tokens import SCOPES, USUAL
from tests.actors.api.reading import scope_of

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "API.md").read_text()
SECTION = PAGE.partition("\n## Who may\n")[2].partition("\n## ")[0]


def test_the_table_of_scopes() -> None:
    rows = re.findall(r"^\| `(\w+)` \| [^|]* \| (.*) \| (.*) \| (.*) \|$", SECTION, re.MULTILINE)
    has = {scope: ["yes" if scope in may else "" for may in USUAL.values()] for scope in SCOPES}
    assert {scope: [word.strip() for word in words] for scope, *words in rows} == has
    assert list(USUAL) == re.findall(r"`token\.(\w+)`", SECTION.partition("\n|---")[0])


def test_every_refusal_has_its_place() -> None:
    source = (ROOT / "actors" / "api" / "guard.py").read_text()
    found = set(re.findall(r"Problem\(\s*(\d+),\s*\"(\w+)\"", source))
    refusals = [value for value in vars(http).values() if isinstance(value, http.Refusal)]
    found |= {(str(refusal.status), refusal.code) for refusal in refusals}
    found.add((str(http.malformed("").status), http.malformed("").code))
    assert len(found) > 15
    missing = [f"{status} `{code}`" for status, code in sorted(found)
               if f"{status} `{code}`" not in SECTION]  # fmt: skip
    assert missing == []


def test_every_bound_has_its_number() -> None:
    for words in (
        f"{limits.HEAD_TIME // limits.SECOND} s to finish line and headers",
        f"{limits.BODY_TIME // limits.SECOND} s to finish a body",
        f"{limits.HEAD_BYTES_MAX // 1024} kB or {limits.HEADERS_MAX} headers",
        f"`target_too_long` ({limits.TARGET_BYTES_MAX // 1024} kB)",
        f"more than {limits.PIPELINED_MAX} requests wait",
        f"`[api] connections`, {Api().connections}",
        f"idle for {limits.KEEP_ALIVE // limits.SECOND} s",
        f"less than {limits.TAKEN_BYTES_MIN // 1024} kB of what waits for it in "
        f"{limits.ANSWER_TIME // limits.SECOND} s, is closed",
        f"{limits.KILLS_A_SECOND} halts, panics and cancel-alls",
        f"At most {limits.WAITING_A_TOKEN} of its reads of either kind",
        f"{limits.TRADES_WAITING_A_TOKEN} of what trades",
        f"{limits.TICKETS_A_TOKEN} tickets",
        f"at most {limits.READS_WAITING_MAX:,} reads of either kind wait",
        f"{limits.CANCELS_WAITING_A_TOKEN} cancels, {limits.KILLS_WAITING_A_TOKEN} halts",
        f"knows, {Api().looks_a_second:.0f})",
        f"`asks_a_second` (`/v1/exchange/...` and `/v1/markets...`, {Api().asks_a_second:.0f})",
        f"or `admin`, {Api().trades_a_second:.0f};",
        f"more than {limits.AT_ONCE_MAX} requests come at once",
        f"less than {limits.HOT // limits.MS} ms ago",
        f"`busy` after {limits.REFUSED_AFTER // limits.MS} ms",
    ):
        assert words in SECTION, words
    assert limits.CANCELS_A_TRADE == 5
    assert "five times as many cancels" in SECTION


def test_every_setting_of_the_front_is_on_the_page() -> None:
    page = (ROOT / "docs" / "OPERATIONS.md").read_text()
    section = page.partition("\n## Who reaches the front\n")[2].partition("\n## ")[0]
    for name in asdict(Api()):
        assert f"`{name}`" in section or name == "order_group", name


def test_the_scopes_in_the_table_of_requests() -> None:
    table = PAGE.partition("\n## Requests\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (`.*?`) \| (\w+) \|", table, re.MULTILINE)
    assert len(rows) > 15
    for requests, scope in rows:
        words = re.findall(r"`([^`]+)`", requests)
        method, _, head = words[0].partition(" ")
        parent = head.rpartition("/")[0]
        for path in (head, *(w if w.startswith("/v1") else parent + w for w in words[1:])):
            if "..." not in path:
                assert scope_of(method, re.sub(r"/(TICKER|ID)\b", "/X", path)) == scope, path
