"""What is said twice is found wherever it stands, in time that grows with the text alone."""

import json

import pytest

from protocol.limits import BODY_BYTES_MAX
from protocol.twice import SHOWN_CHARS, repeated, said_twice


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ('{"a":1,"b":2}', ""),
        ('{"a":1,"b":2,"a":1}', "a"),
        ('{"a":1,"b":{"c":1,"d":2,"c":3}}', "b.c"),
        ('{"orders":[{"a":1},{"a":1,"a":2}]}', "orders[1].a"),
        ('[[{"a":1}],[{"b":{"a":1,"a":2}}]]', "[1][0].b.a"),
        ('{"a":{"x":1},"b":{"x":1}}', ""),
        ('{"b":{"x":1,"x":2},"a":1,"a":1}', "a"),
        ("[1,1,1]", ""),
        ("7", ""),
    ],
)
def test_the_place_is_named(text: str, place: str) -> None:
    assert said_twice(text.encode()) == place


def test_a_long_name_is_not_told_in_full() -> None:
    name = "k" * 1_000
    text = f'{{"{name}":{{"{name}":1,"{name}":2}}}}'.encode()
    assert said_twice(text) == f"{name[:SHOWN_CHARS]}.{name[:SHOWN_CHARS]}"
    assert repeated([name, name]) == name[:SHOWN_CHARS]


def test_very_many_names_cost_no_more_than_reading_them() -> None:
    """Compared each with each, these would be 10^10 comparisons: this would not end."""
    names = [f"{number:x}" for number in range(BODY_BYTES_MAX * 2)]
    assert repeated([*names, names[-1]]) == names[-1]
    text = json.dumps(dict.fromkeys(names, 0))[:-1] + f',"{names[-1]}":0}}'
    assert said_twice(text.encode()) == names[-1]


def test_a_long_name_around_very_many_others_is_written_once() -> None:
    inner = {f"{number:x}": [] for number in range(10_000)}
    long = json.dumps({"k" * 1_000_000: inner})
    assert said_twice(long.encode()) == ""
