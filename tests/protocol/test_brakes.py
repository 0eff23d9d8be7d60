"""The brakes' settings: what is not said, what can't be, and what is only made tighter."""

from pathlib import Path

import pytest
from msgspec.structs import fields, replace

from protocol import config
from protocol.brakes import NUMBERS, SWITCHES, WIDE, Brakes, Limits, limits, looser
from protocol.errors import ConfigError
from protocol.units import Count, Money, Price, parse_count

CONFIGS = Path(__file__).parents[2] / "configs"
LIVE = (CONFIGS / "live.toml").read_text()


def test_on_paper_what_is_not_said_has_a_default() -> None:
    text = (
        CONFIGS / "paper.toml"
    ).read_text() + '[brakes]\norder_count = "5"\nself_cross = false\n'
    said = config.read(text, {"SIDECAR_BRAKES_OPEN_ORDERS": "7"}, "paper.toml").brakes
    found = limits(said, False, "paper.toml")
    wanted = replace(WIDE, order_count=parse_count("5"), self_cross=False, open_orders=7)
    assert found == wanted


def test_units_come_from_the_environment_as_they_are_written_in_the_file() -> None:
    text = (CONFIGS / "paper.toml").read_text()
    told = {"SIDECAR_BRAKES_ORDER_COUNT": "2.50", "SIDECAR_BRAKES_PRICE_BAND": "0.0300"}
    said = config.read(text, told, "paper.toml").brakes
    assert (said.order_count, said.price_band) == (Count(250), Price(30_000))


@pytest.mark.parametrize("name", NUMBERS)
def test_real_money_needs_every_limit(name: str) -> None:
    lines = [line for line in LIVE.splitlines() if not line.startswith(f"{name} =")]
    assert len(lines) == len(LIVE.splitlines()) - 1
    with pytest.raises(ConfigError) as e:
        config.read("\n".join(lines), {}, "live.toml")
    assert str(e.value) == (
        f"live.toml: real money needs every limit said: brakes.{name} is missing (docs/RISK.md)"
    )


def test_real_money_without_any_limit() -> None:
    with pytest.raises(
        ConfigError, match=r"brakes.order_count, .* brakes.same_order_ms are missing"
    ):
        config.read(LIVE.partition("[brakes]")[0], {}, "live.toml")


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ('order_count = "-1"', "brakes.order_count is -1.00, expected 0 to 100000000000.00"),
        ('price_band = "1.01"', "brakes.price_band is 1.0100, expected 0 to 1.0000"),
        ("open_orders = 200001", "brakes.open_orders is 200001, expected 0 to 200000"),
        ("same_order_ms = -5", "brakes.same_order_ms is -5, expected 0 to 60000"),
        ("order_cost = 10", "'10' is not an amount: expected a decimal string such as"),
        ('order_cost = "1e9"', "'1e9' is not an amount"),
        ('order_cost = "nan"', "'nan' is not an amount"),
        ("orders_per_second = 3", "unknown field `orders_per_second`"),
        ('self_cross = "no"', "Expected `bool | null`, got `str` - at `$.brakes.self_cross`"),
    ],
)
def test_a_limit_that_can_not_be(line: str, text: str) -> None:
    paper = (CONFIGS / "paper.toml").read_text()
    with pytest.raises(ConfigError) as e:
        config.read(f"{paper}\n[brakes]\n{line}\n", {}, "the file")
    assert "the file: " in str(e.value)
    assert text in str(e.value)


def test_every_limit_is_a_setting() -> None:
    assert {f.name for f in fields(Brakes)} == {f.name for f in fields(Limits)}
    assert {*NUMBERS, *SWITCHES} == {f.name for f in fields(Limits)}


@pytest.mark.parametrize("name", NUMBERS)
def test_what_would_loosen_a_limit_is_named(name: str) -> None:
    now = replace(WIDE, same_order_ms=1_000, price_band=Price(50_000))
    kind = type(getattr(now, name))
    up = replace(now, **{name: kind(getattr(now, name) + 1)})
    down = replace(now, **{name: kind(getattr(now, name) - 1)})
    tighter, wider = (up, down) if name == "same_order_ms" else (down, up)
    assert looser(now, now) == looser(now, tighter) == ""
    assert looser(now, wider).startswith(f"{name} is ")
    assert looser(now, wider).endswith("would loosen it")


@pytest.mark.parametrize("name", SWITCHES)
def test_a_switch_is_only_turned_on(name: str) -> None:
    off = replace(WIDE, **{name: False})
    assert looser(off, WIDE) == ""
    assert looser(WIDE, off) == f"{name} is on, to turn it off would loosen it"


def test_what_a_limit_is_worth_is_of_its_own_kind() -> None:
    assert type(limits(Brakes(order_cost=Money(1)), False, "").order_cost) is Money
