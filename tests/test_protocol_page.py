"""docs/PROTOCOL.md against the code: nothing is missing there, nothing stands there that isn't."""

import json
import re
import typing
from pathlib import Path

import msgspec
import pytest

from protocol import facts, messages
from protocol.units import decode_unit, encode_unit

PAGE = (Path(__file__).parent.parent / "docs" / "PROTOCOL.md").read_text()
SECTIONS = dict(re.findall(r"^### (\w+)\n.*?```json\n(.*?)\n```", PAGE, re.M | re.S))
TYPES: dict[str, type[msgspec.Struct]] = {
    kind.__name__: kind
    for kind in (
        *typing.get_args(messages.AnyMessage),
        *typing.get_args(facts.AnyFact),
        messages.ProcessHealth,
        messages.FollowerHealth,
        messages.AccountState,
        messages.Restored,
        messages.CashBase,
    )
}


def test_every_message_stands_on_the_page_and_no_other() -> None:
    assert set(SECTIONS) == set(TYPES)


@pytest.mark.parametrize("name", sorted(TYPES))
def test_the_example_is_what_the_code_says(name: str) -> None:
    example = SECTIONS[name]
    message = msgspec.json.decode(example, type=TYPES[name], dec_hook=decode_unit)
    assert msgspec.json.encode(message, enc_hook=encode_unit).decode() == example
    fields = {field.encode_name for field in msgspec.structs.fields(TYPES[name])}
    assert set(json.loads(example)) == fields | {"type"}
