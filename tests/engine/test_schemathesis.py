"""schemathesis reads what the front says of itself and asks everything that it can think of: no
answer is one that is not documented, and nothing breaks.

The same questions in each run: what is found once is found again.
"""

import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from tests.engine import witness
from tests.engine.running import ROOT, Engine

CONFIG: Final = ROOT / "tests" / "engine" / "schemathesis.toml"
COMMAND: Final = str(Path(sys.executable).parent / "schemathesis")
PAGE: Final = "/openapi.json"
EXAMPLES: Final = 2  # of each operation, beside those that come from its description
LINE_MAX: Final = 300  # of what it prints: it shows whole bodies
RUN_MAX_S: Final = 300.0  # usually 80, where nothing else runs
CHECKS: Final = (
    "not_a_server_error", "status_code_conformance", "content_type_conformance",
    "response_headers_conformance", "response_schema_conformance", "negative_data_rejection",
)  # fmt: skip
STOPS: Final = "/v1/(halt|panic|resume)"  # after these nothing is as before
AMPLE: Final = "looks_a_second = 100000\nasks_a_second = 10000\ntrades_a_second = 10000\n"


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with Engine(**{"[api]": f"[api]\n{AMPLE}"}) as engine:
        engine.start()
        engine.until_healthy()
        yield engine


def described(engine: Engine) -> dict[str, Any]:
    found: dict[str, Any] = engine.get(PAGE).json()
    return found


def run(engine: Engine, *words: str) -> str:
    """Let it ask. Returns what it printed, if it found nothing."""
    secret = Path(engine.settings.var_dir, "token.admin").read_text().strip()
    command = [
        COMMAND, "--no-color", "--config-file", str(CONFIG), "run", f"{engine.api}{PAGE}",
        "--header", f"Authorization: Bearer {secret}", "--phases", "examples,coverage,fuzzing",
        "--max-examples", str(EXAMPLES), "--checks", ",".join(CHECKS), "--continue-on-failure",
        "--no-shrink", *words,
    ]  # fmt: skip
    done = subprocess.run(
        command, cwd=engine.folder, capture_output=True, text=True, timeout=RUN_MAX_S
    )
    found = "\n".join(line[:LINE_MAX] for line in done.stdout.splitlines())
    assert done.returncode == 0, found + done.stderr[-2_000:]
    return done.stdout


def test_everything_it_asks_gets_a_documented_answer(engine: Engine) -> None:
    operations = [
        (path, method)
        for path, methods in described(engine)["paths"].items()
        for method in methods
        if method in ("get", "post", "delete") and path != PAGE  # that it has read already
    ]
    stops = [path for path, _ in operations if re.fullmatch(STOPS, path)]
    assert len(stops) == 3
    before, began = engine.pids(), time.monotonic()
    printed = run(engine, "--exclude-path-regex", STOPS)
    assert f"Tested: {len(operations) - len(stops)}" in printed, printed
    printed = run(engine, "--include-path-regex", STOPS)
    assert f"Tested: {len(stops)}" in printed, printed
    print(f"{time.monotonic() - began:.0f} s")
    assert engine.pids() == before, f"a process was restarted\n{engine.tail()}"
    assert witness.sent_twice(engine) == []
    assert json.loads(engine.get("/v1/status").text)["processes"]["api"]["state"] == "ready"
