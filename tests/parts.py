"""make test: all tests, in four parts at the same time.

Two parts start engines and mostly wait for what they do, one kills writers and mostly waits for
the disk, the other one computes. Side by side they take little longer than the longest one. Each
line says which part it is of.
"""

import subprocess
import sys
import threading
from pathlib import Path
from typing import Final

ENGINE: Final = "tests/engine"
STREAMS: Final = sorted(map(str, Path(ENGINE).glob("test_stream_*.py")))  # over bad lines
WRITER: Final = "tests/actors/writer"
PARTS: Final = {
    "engine": [ENGINE, *(word for path in STREAMS for word in ("--ignore", path))],
    "stream": STREAMS,
    "writer": [WRITER],
    "rest": ["tests", "--ignore", ENGINE, "--ignore", WRITER],
}
CACHE: Final = "cache_dir=.pytest_cache/{}"


def follow(name: str, part: "subprocess.Popen[str]") -> None:
    """Pass on what a part prints, line by line, until it ends."""
    assert part.stdout is not None
    for line in part.stdout:
        print(f"{name:<6} | {line}", end="", flush=True)


def main(options: list[str]) -> int:
    """The exit code of pytest: of the first part that is not green, 0 if all are."""
    parts = {
        name: subprocess.Popen(
            [sys.executable, "-m", "pytest", "-q", "-o", CACHE.format(name), *paths, *options],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for name, paths in PARTS.items()
    }
    readers = [threading.Thread(target=follow, args=each) for each in parts.items()]
    for reader in readers:
        reader.start()
    try:
        for reader in readers:
            reader.join()
    except KeyboardInterrupt:  # all have heard it, too: wait for what they clean up
        for reader in readers:
            reader.join()
    return next((code for part in parts.values() if (code := part.wait())), 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
