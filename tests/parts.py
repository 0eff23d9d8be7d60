"""make test: all tests, in parts, some of them at a time; at the end, what has failed.

Two parts start engines and mostly wait for what they do, one kills writers and mostly waits for
the disk, the other two compute. Each line says which part it is of. The names of tests that failed
come once more, last and short: of a long log often only the end is kept.
"""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, NamedTuple

ENGINE: Final = "tests/engine"
STREAMS: Final = sorted(map(str, Path(ENGINE).glob("test_stream_*.py")))  # over bad lines
WRITER: Final = "tests/actors/writer"
SIMULATION: Final = "tests/simulation"
APART: Final = (ENGINE, WRITER, SIMULATION)
PARTS: Final = {  # in the order in which they begin
    "engine": [ENGINE, *(word for path in STREAMS for word in ("--ignore", path))],
    "stream": STREAMS,
    "days": [SIMULATION],
    "rest": ["tests", *(word for path in APART for word in ("--ignore", path))],
    "writer": [WRITER],
}
AT_ONCE: Final = 3
INTERRUPTED: Final = 130
CACHE: Final = "cache_dir=.pytest_cache/{}"
SUMMARY: Final = " short test summary info "  # what pytest writes above the names
VERDICTS: Final = ("FAILED ", "ERROR ")  # in this order: an error often follows from a failure
NAMED_MAX: Final = 25  # of each part
NAME_CHARS_MAX: Final = 200


class Done(NamedTuple):
    """How a part has ended: pytest's exit code, and its lines on tests that failed."""

    name: str
    code: int
    failed: list[str]


def run(name: str, options: list[str]) -> Done:
    """Pass on what a part prints, line by line, until it ends."""
    cache = CACHE.format(name)
    command = [sys.executable, "-m", "pytest", "-q", "-o", cache, *PARTS[name], *options]
    failed: list[str] = []
    summed_up = False
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as part:
        assert part.stdout is not None
        for line in part.stdout:
            print(f"{name:<6} | {line}", end="", flush=True)
            summed_up = summed_up or SUMMARY in line
            if summed_up and line.startswith(VERDICTS):
                failed.append(line.rstrip("\n"))
    return Done(name, part.returncode, failed)


def named(done: Done) -> list[str]:
    """What to print of a part once all have ended: nothing if it is green."""
    if not done.code:
        return []
    lines = sorted(done.failed, key=lambda line: line.startswith(VERDICTS[1]))
    more = len(lines) - NAMED_MAX
    lines = [line[:NAME_CHARS_MAX] for line in lines[:NAMED_MAX]]
    lines += [f"and {more} more"] if more > 0 else []
    return [f"{done.name:<6} | {line}" for line in [*lines, f"exit code {done.code}"]]


def main(options: list[str]) -> int:
    """The exit code of pytest: of the first part that is not green, 0 if all are."""
    lanes = ThreadPoolExecutor(AT_ONCE)
    parts = [lanes.submit(run, name, options) for name in PARTS]
    try:
        ended = [part.result() for part in parts]
    except KeyboardInterrupt:  # those that run have heard it, too: wait for what they clean up
        lanes.shutdown(cancel_futures=True)
        return INTERRUPTED
    for done in ended:
        for line in named(done):
            print(line, flush=True)
    return next((done.code for done in ended if done.code), 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
