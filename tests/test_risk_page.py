"""docs/RISK.md against the code: every setting with its values, every refusal with its words."""

import ast
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from msgspec.structs import fields, replace

from actors.api.replies import placed as reply_to
from protocol import config
from protocol.brakes import NUMBERS, WIDE, Brakes, limits, written
from protocol.limits import MS, SECOND
from protocol.messages import OrderAnswer
from protocol.units import DOLLAR, Count, Money
from tests.actors.gateway import braking as stories
from tests.actors.gateway.braking import BANDED, FRESH, Booked, order, placed, ready
from tests.actors.gateway.scene import BLIND, MARKET, Scene

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "RISK.md").read_text()
LIVE = limits(
    config.read((ROOT / "configs" / "live.toml").read_text(), {}, "live.toml").brakes, True, ""
)
CELL = r" *(?:`([^`]*)`)? *\|"
TABLE, _, ANSWERED = PAGE.partition("\n## What is answered\n")
ROWS = re.findall(rf"^\| `(\w+)` \|[^|]*\|[^|]*\|{CELL}{CELL}$", TABLE, re.M)
SETTINGS = {name: (default, live) for name, default, live in ROWS}
"""By name: the default, and what live.toml says."""
REFUSALS = re.findall(rf"^\| `(\w+)` \| (\d+) \|{CELL}{CELL}{CELL}$", ANSWERED, re.M)
"""Code, status, text, limit, value."""


def given() -> Iterator[str]:
    """Each code that the brakes can give: the first argument of a Flaw, or the limit's name."""
    for name in ("brakes", "cash"):
        tree = ast.parse((ROOT / "actors" / "gateway" / f"{name}.py").read_text())
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name | ast.Attribute):
                called = node.func.id if isinstance(node.func, ast.Name) else node.func.attr
                if called == "Flaw" and isinstance(node.args[0], ast.Constant):
                    yield str(node.args[0].value)
            if isinstance(node, ast.Constant) and node.value in NUMBERS:
                yield str(node.value)


def test_each_setting_stands_there_with_its_default_and_with_what_live_ships() -> None:
    wanted = {
        f.name: (written(getattr(WIDE, f.name)), written(getattr(LIVE, f.name)))
        for f in fields(Brakes)
    }
    assert wanted == SETTINGS


def test_each_code_that_can_be_given_stands_there_and_no_other() -> None:
    assert {code for code, *_ in REFUSALS} == set(given()) - {"same_order_ms"}


@pytest.mark.parametrize("code", sorted({code for code, *_ in REFUSALS}))
def test_the_status_is_what_the_api_answers(code: str) -> None:
    answer = OrderAnswer("c1", "denied", code=code, text=code)
    said = {int(status) for row, status, *_ in REFUSALS if row == code}
    assert said == {reply_to(1, answer).status}


def of_an_order(count: str = "10", **said: object) -> OrderAnswer | None:
    return placed(ready(replace(BLIND, **said)), order("a", "0.60", count))


def second(price: str = "0.60", side: str = "bid", **said: object) -> OrderAnswer | None:
    scene = ready(replace(BLIND, **said))
    assert placed(scene, order("a", "0.60", "10", "bid" if side == "bid" else "ask")) is None
    return placed(scene, order("b", price, "10"))


def banded(no: str = "0.45", yes: str = "0.50") -> OrderAnswer | None:
    scene = Booked(BANDED, yes, no)
    scene.ask(order("a", "0.61"))
    for _ in range(2):
        scene.answer_books()
        scene.mark()
        scene.pass_time(300 * MS)
    scene.answer_books()
    return scene.told


def unfollowed() -> OrderAnswer | None:
    scene = Booked(FRESH)
    scene.ask(order("a"))
    scene.answer_books("not followed")
    return scene.told


def waiting(scene: Scene) -> OrderAnswer | None:
    scene.ask(order("a"))
    scene.beat().pass_time(2 * SECOND).beat().pass_time(2 * SECOND)
    return scene.told


def unread() -> OrderAnswer | None:
    scene = Scene(limits=replace(BLIND, money=True))
    scene.instead["/portfolio/balance"] = stories.with_balances((0, "1.0000"))
    assert placed(scene.ready(), order("first", "0.01", "1")) is None
    scene.hush = True
    return waiting(scene.pass_time(6 * SECOND).beat())


def paid_by(count: str, price: str, *balances: tuple[int, str]) -> OrderAnswer | None:
    scene = Scene(limits=replace(BLIND, money=True))
    scene.instead["/markets/KXA-1"] = {"market": {**MARKET, "exchange_index": 2}}
    scene.instead["/portfolio/balance"] = stories.with_balances(*balances)
    return placed(scene.ready(), order("a", price, count))


FIVE = Money(5 * DOLLAR)
SAID: list[Callable[[], OrderAnswer | None]] = [
    lambda: of_an_order("10.01", order_count=Count(1_000)),
    lambda: placed(ready(replace(BLIND, order_cost=Money(6 * DOLLAR))), order("a", "0.61")),
    lambda: of_an_order(market_exposure=FIVE),
    lambda: of_an_order(event_exposure=FIVE),
    lambda: of_an_order(account_exposure=FIVE),
    lambda: second(open_orders=1),
    lambda: second(orders_a_second=1),
    banded,
    lambda: banded("", ""),
    lambda: second(same_order_ms=2_000),
    lambda: second(side="ask"),
    unfollowed,
    lambda: waiting(Booked(FRESH)),
    lambda: paid_by("1000", "0.50", (2, "95.0000")),
    lambda: paid_by("10", "0.51", (0, "90.0000"), (2, "5.0000")),
    unread,
]


@pytest.mark.parametrize(("row", "tell"), list(zip(REFUSALS, SAID, strict=True)))
def test_the_words_are_those_that_are_said(
    row: tuple[str, ...], tell: Callable[[], OrderAnswer | None]
) -> None:
    answer = tell()
    assert answer is not None, "it was sent"
    code, _, text, limit, value = row
    assert (answer.code, answer.text, answer.limit, answer.value) == (code, text, limit, value)
