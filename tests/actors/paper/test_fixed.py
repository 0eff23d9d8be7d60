"""Numbers and times as the exchange writes them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.paper import fixed


def test_amounts_are_exact() -> None:
    assert fixed.parse_dollars("0.5600") == 560_000
    assert fixed.parse_dollars("1") == 1_000_000
    assert fixed.parse_count("-54.00") == -5_400
    assert fixed.dollars4(98_018_699) == "98.0186"
    assert fixed.dollars6(17_500) == "0.017500"
    assert fixed.contracts(-301) == "-3.01"


@pytest.mark.parametrize("text", ["", "1e3", " 1", "+1", "0,5", "NaN", ".5", "1.", "٣", "0x1"])
def test_any_other_spelling_is_refused(text: str) -> None:
    for parse in (fixed.parse_dollars, fixed.parse_count):
        with pytest.raises(ValueError):
            parse(text)


@given(st.integers(-(10**10), 10**10))
def test_counts_go_round(count: int) -> None:
    assert fixed.parse_count(fixed.contracts(count)) == count


def test_times_are_written_as_captured() -> None:
    assert fixed.rfc3339(1_781_159_360_866_753) == "2026-06-11T06:29:20.866753Z"
    assert fixed.rfc3339(1_781_538_522_603_230) == "2026-06-15T15:48:42.60323Z"
    assert fixed.rfc3339(951_782_400_000_000) == "2000-02-29T00:00:00Z"


def test_a_made_up_uuid_is_one() -> None:
    import uuid

    found = fixed.uuid_from((1 << 128) - 1)
    assert uuid.UUID(found).version == 4
