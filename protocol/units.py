"""Money in whole numbers: prices and money in micro-dollars, counts in hundredths of a contract.

On every wire these are decimal strings, as the exchange writes them ("0.5600", "10.00"); in
memory they are integers, in a type of their own so that a count can't be taken for a price.
Nothing here touches a float or `Decimal(str)`: those accept NaN, exponents, underscores and
full-width digits. A strict pattern first, then integers.
"""

import re
from collections.abc import Callable
from typing import Any, Final

DOLLAR: Final = 1_000_000  # micro-dollars
CONTRACT: Final = 100  # hundredths of a contract
CACHED_MAX: Final = 20_000  # distinct strings remembered per unit; a price grid has at most 10,001

_PRICE = re.compile(r"[0-9]{1,7}(?:\.[0-9]{1,6})?", re.ASCII)
_MONEY = re.compile(r"-?[0-9]{1,12}(?:\.[0-9]{1,6})?", re.ASCII)
_COUNT = re.compile(r"-?[0-9]{1,12}(?:\.[0-9]{1,2})?", re.ASCII)


class Price(int):
    """Dollars for one contract, in micro-dollars: 560_000 is "0.5600"."""

    __slots__ = ()


class Count(int):
    """Contracts, in hundredths: 1_000 is "10.00". Negative as a change or a NO position."""

    __slots__ = ()


class Money(int):
    """An amount of dollars, in micro-dollars. May be negative."""

    __slots__ = ()


_prices: dict[str, Price] = {}
_counts: dict[str, Count] = {}
_price_texts: dict[int, str] = {}
_count_texts: dict[int, str] = {}
_money_texts: dict[int, str] = {}


def parse_price(text: object) -> Price:
    """The price that a decimal string names; raises ValueError on anything else."""
    try:
        return _prices[text]  # type: ignore[index]
    except (KeyError, TypeError):
        price = Price(
            _scaled(text, _PRICE, 6, 'a price: expected a decimal string such as "0.5600"')
        )
        assert isinstance(text, str)
        if len(_prices) < CACHED_MAX:
            _prices[text] = price
        return price


def parse_count(text: object) -> Count:
    """The count that a decimal string names; raises ValueError on anything else."""
    try:
        return _counts[text]  # type: ignore[index]
    except (KeyError, TypeError):
        count = Count(
            _scaled(text, _COUNT, 2, 'a count: expected a decimal string such as "10.00"')
        )
        assert isinstance(text, str)
        if len(_counts) < CACHED_MAX:
            _counts[text] = count
        return count


def parse_money(text: object) -> Money:
    """The amount that a decimal string names; raises ValueError on anything else."""
    return Money(_scaled(text, _MONEY, 6, 'an amount: expected a decimal string such as "2.5000"'))


def _scaled(text: object, pattern: re.Pattern[str], places: int, what: str) -> int:
    if not isinstance(text, str) or pattern.fullmatch(text) is None:
        raise ValueError(f"{str(text)[:40]!r} is not {what}")
    whole, _, part = text.partition(".")
    return int(whole + part.ljust(places, "0"))


def format_price(price: int) -> str:
    """Four decimals, or six where four would lose something (FACTS.md section 3)."""
    return _remembered(_price_texts, price, _money_text)


def format_money(money: int) -> str:
    """Four decimals, or six where four would lose something."""
    return _remembered(_money_texts, money, _money_text)


def format_count(count: int) -> str:
    """Always two decimals."""
    return _remembered(_count_texts, count, _count_text)


def _remembered(texts: dict[int, str], value: int, make: Callable[[int], str]) -> str:
    try:
        return texts[value]
    except KeyError:
        text = make(value)
        if len(texts) < CACHED_MAX:
            texts[value] = text
        return text


def _money_text(money: int) -> str:
    sign, size = ("-", -money) if money < 0 else ("", money)
    whole, part = divmod(size, DOLLAR)
    if part % 100:
        return f"{sign}{whole}.{part:06d}"
    return f"{sign}{whole}.{part // 100:04d}"


def _count_text(count: int) -> str:
    sign, size = ("-", -count) if count < 0 else ("", count)
    return f"{sign}{size // CONTRACT}.{size % CONTRACT:02d}"


def cost(price: int, count: int) -> Money:
    """What `count` contracts cost at `price`.

    Exact: the finest price step is $0.0001 (FACTS.md section 3) and the finest count 0.01, so
    the product is a whole number of micro-dollars; anything finer is rounded towards zero cost.
    """
    return Money(price * count // CONTRACT)


def decode_unit(kind: type, value: Any) -> Any:
    """The hook by which msgspec reads our units. Raises ValueError on a bad value.

    What has been read before is looked up right here: this is called for each number of a frame.
    """
    if kind is Price:
        try:
            return _prices[value]
        except (KeyError, TypeError):
            return parse_price(value)
    if kind is Count:
        try:
            return _counts[value]
        except (KeyError, TypeError):
            return parse_count(value)
    if kind is Money:
        return parse_money(value)
    raise TypeError(f"{kind} has no place in a message")


def encode_unit(value: Any) -> str:
    """The hook by which msgspec writes our units."""
    kind = type(value)
    if kind is Price:
        return _price_texts.get(value) or format_price(value)
    if kind is Count:
        return _count_texts.get(value) or format_count(value)
    if kind is Money:
        return format_money(value)
    raise TypeError(f"{kind} has no place in a message")
