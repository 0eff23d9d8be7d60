"""make test: all tests, in five parts, three of them at a time.

Two parts start engines and mostly wait for what they do, one kills writers and mostly waits for
the disk, the other two compute. Four at a time are slower for two processors, and what is tested
begins to miss its times. Each line says which part it is of.
"""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

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


def run(name: str, options: list[str]) -> int:
    """Pass on what a part prints, line by line, until it ends. Returns pytest's exit code."""
    cache = CACHE.format(name)
    command = [sys.executable, "-m", "pytest", "-q", "-o", cache, *PARTS[name], *options]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as part:
        assert part.stdout is not None
        for line in part.stdout:
            print(f"{name:<6} | {line}", end="", flush=True)
    return part.returncode


def main(options: list[str]) -> int:
    """The exit code of pytest: of the first part that is not green, 0 if all are."""
    lanes = ThreadPoolExecutor(AT_ONCE)
    parts = [lanes.submit(run, name, options) for name in PARTS]
    try:
        codes = [part.result() for part in parts]
    except KeyboardInterrupt:  # those that run have heard it, too: wait for what they clean up
        lanes.shutdown(cancel_futures=True)
        return INTERRUPTED
    return next((code for code in codes if code), 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
