"""Prices, counts and money: strings outside, integers inside, nothing lost between."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.units import (
    Count,
    Money,
    Price,
    cost,
    decode_unit,
    encode_unit,
    format_count,
    format_money,
    format_price,
    parse_count,
    parse_money,
    parse_price,
)


class Terms(msgspec.Struct):
    price: Price
    count: Count
    fee: Money


@pytest.mark.parametrize(
    ("text", "price"),
    [("0.5600", 560_000), ("0.56", 560_000), ("1", 1_000_000), ("0.001234", 1_234), ("0", 0)],
)
def test_a_price_is_read_in_each_of_the_exchange_s_forms(text: str, price: int) -> None:
    assert parse_price(text) == price


@pytest.mark.parametrize(
    "text",
    ["", " 0.5", "0.5 ", "0.5\n", "-0.5", "+0.5", "NaN", "Infinity", "1e3", "0_5", ".5", "5."]
    + ["0.1234567", "０.５", "٠.٥", "0x1", "12345678", "0,5"],
)
def test_what_is_not_a_price_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a price"):
        parse_price(text)


@pytest.mark.parametrize("value", [0.56, 1, None, True, ["0.5"], b"0.5"])
def test_a_price_is_a_string_or_nothing(value: object) -> None:
    with pytest.raises(ValueError, match="is not a price"):
        parse_price(value)


def test_counts_have_two_places_and_a_sign() -> None:
    assert parse_count("-54.00") == -5_400
    assert parse_count("5.5") == 550
    with pytest.raises(ValueError, match="is not a count"):
        parse_count("5.555")


@given(st.integers(0, 1_000_000))
def test_every_price_survives_the_wire(price: int) -> None:
    assert parse_price(format_price(price)) == price


@given(st.integers(-(10**13), 10**13))
def test_every_count_and_amount_survives_the_wire(value: int) -> None:
    assert parse_count(format_count(value)) == value
    assert parse_money(format_money(value)) == value


@given(st.text())
def test_no_text_breaks_the_parsers(text: str) -> None:
    for parse in (parse_price, parse_count, parse_money):
        try:
            assert isinstance(parse(text), int)
        except ValueError as e:
            assert "expected a decimal string" in str(e)


def test_four_decimals_unless_six_are_needed() -> None:
    assert format_price(560_000) == "0.5600"
    assert format_money(17_500) == "0.0175"
    assert format_money(-700) == "-0.0007"
    assert format_money(1) == "0.000001"
    assert format_count(-1) == "-0.01"


def test_the_cost_of_the_smallest_trade_is_exact() -> None:
    assert cost(parse_price("0.0001"), parse_count("0.01")) == 1


def test_messages_carry_units_as_strings() -> None:
    raw = msgspec.json.encode(Terms(Price(560_000), Count(-100), Money(7)), enc_hook=encode_unit)
    assert raw == b'{"price":"0.5600","count":"-1.00","fee":"0.000007"}'
    assert msgspec.json.decode(raw, type=Terms, dec_hook=decode_unit) == Terms(
        Price(560_000), Count(-100), Money(7)
    )


@pytest.mark.parametrize("bad", [b"0.56", b'"0.5.6"', b"null", b"NaN"])
def test_a_message_with_a_bad_price_is_one_kind_of_error(bad: bytes) -> None:
    raw = b'{"price":%b,"count":"1.00","fee":"0"}' % bad
    with pytest.raises(msgspec.DecodeError):
        msgspec.json.decode(raw, type=Terms, dec_hook=decode_unit)
