"""Tokens for programs: one grant a letter, behind the engine's own wishes, honest refusals."""

import asyncio
import json
import os
import random
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from actors.gateway.acquire import REMEMBERED, caller_of
from actors.gateway.core import Gateway
from actors.gateway.desk import CallAnswered, MakeCall
from protocol.config import read
from protocol.envelope import Letter
from protocol.limits import ACQUIRES_MAX, GRANTS_KEPT, MS, SECOND
from protocol.machine import Asked, Effect
from protocol.messages import AcquireTokens, AnyMessage, Halt, Refused, TokensAnswer
from protocol.pulse import Identity
from protocol.runtime.bus import Bus
from protocol.runtime.loop import Loop
from tests.actors.gateway.scene import ANSWERS, Scene, order

ROOT = Path(__file__).parent.parent.parent.parent


def ask(scene: Scene, wanted: AcquireTokens, id: str = "1", **letter: Any) -> list[AnyMessage]:
    """What the program is told at once."""
    before = len(scene.answers)
    sender = letter.get("sender", (b"bot", b""))
    source, epoch = letter.get("source", "bot"), letter.get("epoch", 1)
    scene.feed(Asked(scene.now // 1_000, sender, Letter(source, epoch, id, 0, wanted)))
    return scene.answers[before:]


def tokens(scene: Scene, name: str) -> int:
    return scene.core._counters(scene.now).get(name, 0)


def test_granted_at_once_and_spent() -> None:
    scene = Scene().ready().pass_time(6 * SECOND)
    there = tokens(scene, "read_tokens")
    assert ask(scene, AcquireTokens("read", 30)) == [TokensAnswer("granted", valid_ms=1_000)]
    assert tokens(scene, "read_tokens") == there - 30
    assert (tokens(scene, "spent.program:bot"), tokens(scene, "calls.program:bot")) == (30, 1)


def test_the_same_letter_again_is_the_same_grant() -> None:
    scene = Scene().ready().pass_time(6 * SECOND)
    wanted = AcquireTokens("write", 30)
    scene.beat()
    ask(scene, wanted)
    scene.now += 400 * MS
    assert ask(scene, wanted) == [TokensAnswer("granted", valid_ms=600)]
    assert tokens(scene, "spent.program:bot") == 30
    [wrong] = ask(scene, AcquireTokens("write", 31))
    assert isinstance(wrong, Refused) and "another letter under this id" in wrong.reason
    [over] = ask(scene.pass_time(SECOND), wanted)
    assert isinstance(over, TokensAnswer)
    assert (over.state, over.reason[:23]) == ("later", "granted under this id, ")
    for other in ({"sender": (b"b2", b"")}, {"source": "b2"}, {"epoch": 2}, {"id": "2"}):
        [told] = ask(scene.beat(), wanted, **other)
        assert isinstance(told, TokensAnswer) and told.state == "granted", other
    [again] = ask(scene.pass_time(REMEMBERED).beat(), wanted)
    assert isinstance(again, TokensAnswer) and again.state == "granted", "forgotten by now"


def test_what_is_remembered_is_bounded() -> None:
    scene = Scene().ready().pass_time(6 * SECOND)
    for i in range(GRANTS_KEPT + 5):
        ask(scene, AcquireTokens("read", 1), f"{i}")
        scene.now += 2 * MS
    assert len(scene.core._acquires._granted) <= GRANTS_KEPT


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        (AcquireTokens("read", 0), "tokens: 0 is not at least 1"),
        (AcquireTokens("read", -5), "tokens: -5 is not at least 1"),
        (AcquireTokens("write", 1, -1), "shard: -1 is not 0 to 64"),
        (AcquireTokens("write", 1, 65), "shard: 65 is not 0 to 64"),
        (AcquireTokens("read", 1, 1), "shard: only the write budget has shards"),
        (AcquireTokens("read", 1, 0, -1), "wait_ms: -1 is not 0 to 15000"),
        (AcquireTokens("read", 1, 0, 15_001), "wait_ms: 15001 is not 0 to 15000"),
    ],
)
def test_bad_input_is_named(wanted: AcquireTokens, said: str) -> None:
    assert ask(Scene().ready(), wanted) == [Refused(f"AcquireTokens.{said}")]


def test_never_says_how_many_fit() -> None:
    scene = Scene().ready().pass_time(6 * SECOND).beat()
    [told] = ask(scene, AcquireTokens("write", 10**30))
    assert told == TokensAnswer(
        "never", reason="at most 1539 at once (210 more are kept for the engine)"
    )
    [told] = ask(scene, AcquireTokens("write", 1_539), "2")
    assert isinstance(told, TokensAnswer) and told.state == "granted"


def test_later_says_when_and_waiting_ends_in_time() -> None:
    scene = Scene().ready().pass_time(6 * SECOND)
    ask(scene, AcquireTokens("read", 1_700))
    [told] = ask(scene, AcquireTokens("read", 1_000), "2")
    assert isinstance(told, TokensAnswer)
    assert (told.state, told.reason) == ("later", "no tokens in time")
    assert 900 < told.retry_after_ms < 1_100
    assert ask(scene, AcquireTokens("read", 1_000, 0, 100), "3") == []
    assert ask(scene, AcquireTokens("read", 1_000, 0, 100), "3") == [], "the same wish"
    before = len(scene.answers)
    scene.pass_time(100 * MS)
    [told] = scene.answers[before:]
    assert isinstance(told, TokensAnswer) and told.state == "later"
    assert ask(scene, AcquireTokens("read", 1_000, 0, 5_000), "4") == []
    before = len(scene.answers)
    scene.pass_time(5 * SECOND)
    [told] = scene.answers[before:]
    assert isinstance(told, TokensAnswer) and told.state == "granted"
    assert tokens(scene, "spent.program:bot") == 2_700


def test_programs_come_behind_orders_and_never_get_the_reserve() -> None:
    scene = Scene().ready().pass_time(6 * SECOND).beat()
    ask(scene, AcquireTokens("write", 1_539))
    assert tokens(scene, "write_tokens") == tokens(scene, "reserve_tokens") == 210
    scene.pass_time(2 * SECOND).beat()  # the loan is over
    ask(scene, AcquireTokens("write", 1_539), "2")
    assert ask(scene, AcquireTokens("write", 10, 0, 1_000), "3") == []
    scene.ask(order("c1"))
    scene.acknowledge()
    before = len(scene.answers)
    scene.pass_time(5 * MS)
    while not scene.calls and len(scene.answers) == before:
        scene.pass_time(MS)
    assert [c.call.name for c in scene.calls] == ["create"], "it came later and went first"


def test_before_the_limits_are_known_and_while_halted() -> None:
    scene = Scene(halt="by hand")
    [told] = ask(scene, AcquireTokens("read", 10))
    assert told == TokensAnswer("later", 1_201, 0, "the account's limits have not been read yet")
    scene.ready()
    [told] = ask(scene, AcquireTokens("read", 10), "2")
    assert isinstance(told, TokensAnswer) and told.state == "granted"
    [told] = ask(scene, AcquireTokens("write", 10), "3")
    assert told == TokensAnswer("later", 1_000, 0, "halted: by hand")


def test_a_halt_ends_the_waiting_for_writes() -> None:
    scene = Scene().ready().pass_time(6 * SECOND).beat()
    ask(scene, AcquireTokens("write", 1_500))
    assert ask(scene, AcquireTokens("write", 500, 0, 9_000), "2") == []
    ask(scene, AcquireTokens("read", 1_700), "3")
    assert ask(scene, AcquireTokens("read", 500, 0, 9_000), "4") == []
    before = len(scene.answers)
    scene.ask(Halt("enough"), "halt")
    [told] = scene.answers[before:]
    assert told == TokensAnswer("later", 1_000, 0, "halted: enough")


def test_the_waiting_are_bounded() -> None:
    scene = Scene().ready().pass_time(6 * SECOND)
    ask(scene, AcquireTokens("read", 1_700))
    for i in range(ACQUIRES_MAX):
        assert ask(scene, AcquireTokens("read", 500, 0, 9_000), f"w{i}") == []
    [told] = ask(scene, AcquireTokens("read", 500, 0, 9_000), "x")
    assert isinstance(told, TokensAnswer)
    assert (told.state, told.reason) == ("later", "too many programs are waiting")
    assert told.retry_after_ms > 400_000, "500 tokens each, 1,000 a second, a thousand before it"


def test_names_of_programs_are_made_harmless() -> None:
    assert caller_of("my-bot_2.1") == "program:my-bot_2.1"
    for source in ("", "a b", "x" * 41, "\u00e9", "<script>"):
        assert caller_of(source) == "program:?"


def test_limits_and_costs_are_read_again_soon_until_they_are_sure() -> None:
    scene = Scene().ready()
    read = [c.call.path for c in scene.made if c.call.path.startswith("/account/")]
    assert sorted(read) == ["/account/endpoint_costs"] + ["/account/limits"] * 2, (
        "the costs were what had been assumed"
    )
    scene.pass_time(50 * SECOND)
    read = [c.call.path for c in scene.made if c.call.path.startswith("/account/")]
    assert len(read) == 3, "sure: the next in a minute"


# The script on the page


@pytest.fixture
def folder() -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="ka-", dir="/tmp"))
    os.makedirs(path / "run" / "bus", 0o700)
    yield path
    shutil.rmtree(path)


def test_the_script_in_the_manual_shares_the_budget(folder: Path) -> None:
    """Over real sockets: the page's own lines, a gateway that has read its limits."""
    page = (ROOT / "docs" / "OPERATIONS.md").read_text()
    [script] = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    text = (ROOT / "configs" / "paper.toml").read_text()
    text = text.replace('"run/paper"', f'"{folder}/run"').replace('"var/paper', f'"{folder}/var')
    settings = read(text, {}, "paper.toml")
    started = time.monotonic_ns() - 3 * SECOND  # its first second is over
    core = Gateway(Identity("gateway", 1), started, random.Random(1))

    def perform(effect: Effect) -> None:
        assert isinstance(effect, MakeCall)
        body = json.dumps(ANSWERS[effect.call.path]).encode()
        loop.feed(CallAnswered(0, effect.id, 200, body))

    async def whole() -> list[tuple[int | None, dict[str, Any]]]:
        serving = asyncio.create_task(loop.run())
        told = []
        for _ in range(2):
            program = await asyncio.create_subprocess_exec(
                sys.executable,
                "-c",
                script,
                env=os.environ | {"GATEWAY": settings.endpoint("gateway.in")},
                stdout=asyncio.subprocess.PIPE,
            )
            said, _ = await program.communicate()
            told.append((program.returncode, json.loads(said)))
        loop._end(0)
        await serving
        return told

    bus = Bus(settings)
    bus.answer_on("gateway.in")
    loop = Loop(core, bus, perform)
    told = asyncio.run(asyncio.wait_for(whole(), 20))
    assert [(code, answer["state"]) for code, answer in told] == [(0, "granted"), (0, "granted")]
    counters = core._counters(time.monotonic_ns())
    assert counters["spent.program:my-bot"] == 20
    assert counters["calls.program:my-bot"] == 2
