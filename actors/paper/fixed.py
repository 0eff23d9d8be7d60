"""Prices, counts and times as integers, and as the exchange writes them (FACTS.md section 3).

Money is integer micro-dollars, a count is integer hundredths of a contract, a time is integer
microseconds since the Unix epoch. No float and no Decimal ever touches what came from outside.
"""

import re
from functools import lru_cache
from typing import Final

DOLLAR: Final = 1_000_000  # micro-dollars; what one contract pays
CONTRACT: Final = 100  # hundredths; the smallest count is 0.01 contract
SECOND: Final = 1_000_000  # microseconds

_DOLLARS = re.compile(r"([0-9]{1,7})(?:\.([0-9]{1,6}))?", re.ASCII)
_COUNT = re.compile(r"(-?)([0-9]{1,12})(?:\.([0-9]{1,2}))?", re.ASCII)


@lru_cache(maxsize=20_000)
def parse_dollars(text: str) -> int:
    """Micro-dollars of a string such as "0.5600". Raises ValueError on any other spelling."""
    match = _DOLLARS.fullmatch(text)
    if match is None:
        raise ValueError(f"not an amount of dollars: {text[:40]!r}")
    return int(match[1]) * DOLLAR + int((match[2] or "").ljust(6, "0"))


@lru_cache(maxsize=20_000)
def parse_count(text: str) -> int:
    """Hundredths of a contract of a string such as "-54.00". Raises ValueError otherwise."""
    match = _COUNT.fullmatch(text)
    if match is None:
        raise ValueError(f"not a count of contracts: {text[:40]!r}")
    count = int(match[2]) * CONTRACT + int((match[3] or "").ljust(2, "0"))
    return -count if match[1] else count


@lru_cache(maxsize=20_000)
def dollars4(amount: int) -> str:
    """Micro-dollars with four decimals, cut toward zero: "0.5600"."""
    sign, rest = ("-", -amount) if amount <= -100 else ("", abs(amount))
    return f"{sign}{rest // DOLLAR}.{rest % DOLLAR // 100:04d}"


def dollars6(amount: int) -> str:
    """Micro-dollars with all six decimals, as cost and fee fields have them: "0.017500"."""
    sign, rest = ("-", -amount) if amount < 0 else ("", amount)
    return f"{sign}{rest // DOLLAR}.{rest % DOLLAR:06d}"


@lru_cache(maxsize=20_000)
def contracts(count: int) -> str:
    """Hundredths of a contract with two decimals: "10.00"."""
    sign, rest = ("-", -count) if count < 0 else ("", count)
    return f"{sign}{rest // CONTRACT}.{rest % CONTRACT:02d}"


def cost(price: int, count: int) -> int:
    """Micro-dollars that `count` hundredths cost at `price`; cut toward zero."""
    return price * count // CONTRACT


@lru_cache(maxsize=4_096)
def _rfc3339_second(seconds: int) -> str:
    days, rest = divmod(seconds, 86_400)
    # Howard Hinnant's civil_from_days: the Gregorian calendar in integers.
    z = days + 719_468
    era, doe = divmod(z, 146_097)
    yoe = (doe - doe // 1_460 + doe // 36_524 - doe // 146_096) // 365
    doy = doe - (365 * yoe + yoe // 4 - yoe // 100)
    mp = (5 * doy + 2) // 153
    day = doy - (153 * mp + 2) // 5 + 1
    month = mp + 3 if mp < 10 else mp - 9
    year = yoe + era * 400 + (1 if month <= 2 else 0)
    return (
        f"{year:04d}-{month:02d}-{day:02d}T"
        f"{rest // 3_600:02d}:{rest // 60 % 60:02d}:{rest % 60:02d}"
    )


def rfc3339(at: int) -> str:
    """A time as the exchange writes it: "2026-06-11T06:29:20.866753Z", trailing zeros dropped."""
    seconds, micros = divmod(at, SECOND)
    if not micros:
        return f"{_rfc3339_second(seconds)}Z"
    return f"{_rfc3339_second(seconds)}.{f'{micros:06d}'.rstrip('0')}Z"


def uuid_from(bits: int) -> str:
    """A version 4 UUID out of 128 random bits."""
    bits = bits & ~(0xF000 << 64) | (0x4000 << 64)
    bits = bits & ~(0xC000 << 48) | (0x8000 << 48)
    text = f"{bits:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
