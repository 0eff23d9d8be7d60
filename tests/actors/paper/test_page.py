"""docs/PAPER.md against the code: all of it is there, and the examples can be armed."""

import re
from pathlib import Path
from typing import get_args

import msgspec
import pytest
from msgspec.structs import fields

from actors.paper.batch_faults import Manner
from actors.paper.calls import WRITES
from actors.paper.control import DEEDS
from actors.paper.faults import CallFault, Faults, read
from protocol.config import Paper

PAGE = Path(__file__).parents[3].joinpath("docs", "PAPER.md").read_text()
EXAMPLES = re.findall(r"^\| `(\{.+?\})` \|", PAGE, re.M) + re.findall(r"^(\{.*\})$", PAGE, re.M)
ENDINGS = re.findall(r"^\| an?[a-z' ]+.*?\| (`\".+\"?.*`) \|$", PAGE, re.M)


@pytest.mark.parametrize("shape", [Paper, Faults, CallFault])
def test_every_setting_and_fault_is_explained(shape: type[msgspec.Struct]) -> None:
    missing = [f.name for f in fields(shape) if not re.search(rf"[`\"]{f.name}[`\"]", PAGE)]
    assert missing == []


def test_every_deed_is_explained() -> None:
    assert [name for name in DEEDS if f"/paper/{name}" not in PAGE] == []


def test_every_write_and_every_lie_about_a_batch_is_explained() -> None:
    rows = [
        write.path.replace("{name}", "{id}").removeprefix("/portfolio/order_groups/{id}")
        for write in WRITES
    ]
    assert [path for path in rows if path and path not in PAGE] == []
    manners = get_args(Manner)
    assert len(manners) == 6
    assert [name for name in manners if name and f"| `{name}` |" not in PAGE] == []


@pytest.mark.parametrize("text", EXAMPLES)
def test_the_examples_can_be_armed(text: str) -> None:
    assert read(text.encode())


def test_the_call_faults_of_the_table_can_be_armed() -> None:
    ends = [end for row in ENDINGS for end in re.findall(r"`(\".+?)`", row)]
    assert len(ends) >= 9
    for end in ends:
        armed = read(b'{"calls": [{"method": "POST", ' + end.encode() + b"}]}")
        assert armed["calls"][0].method == "POST"
