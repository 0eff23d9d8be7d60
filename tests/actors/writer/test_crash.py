"""A kill -9 at any instant is as good as a clean stop: what was acknowledged is there."""

import random
import subprocess
import sys
from pathlib import Path

from actors.writer.store import Store
from tests.actors.writer.files import fold_rows, table_rows

KILLS = 20
ROOT = Path(__file__).parents[3]


def run_until_killed(path: str, first: int, lines: int) -> list[tuple[int, str]]:
    """What one life acknowledged: it is killed once it has said so many lines."""
    command = [sys.executable, "-m", "tests.actors.writer.appender", path, str(first)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        said = [process.stdout.readline() for _ in range(lines)]
        process.kill()
        said += process.stdout.read().splitlines(keepends=True)
    assert process.returncode == -9, "it was alive until then"
    whole = [line.split() for line in said if line.endswith("\n")]
    return [(int(n), trade_id) for n, trade_id in whole]


def test_every_acknowledged_entry_survives_twenty_kills(tmp_path: Path) -> None:
    path = str(tmp_path / "ledger.db")
    dice = random.Random(20)
    acknowledged: dict[int, str] = {}
    first = 0
    for _ in range(KILLS):
        said = run_until_killed(path, max(first - 3, 0), dice.randrange(0, 400))
        for n, trade_id in said:
            assert acknowledged.setdefault(n, trade_id) == trade_id, "a number is given once"
        first = max((int(trade_id[1:]) + 1 for trade_id in acknowledged.values()), default=0)
    store = Store(path)
    head = store.open().head  # checks the chain from its beginning: no life came to its snapshot
    entries = store.entries(0, head + 1)
    store.close()
    assert [e.n for e in entries] == list(range(1, head + 1))
    assert table_rows(path) == fold_rows(entries)
    found = {e.n: e.id for e in entries}
    assert {n: found[n] for n in acknowledged} == {
        n: f"fill:o1:{trade_id}" for n, trade_id in acknowledged.items()
    }
    assert len(acknowledged) > KILLS
