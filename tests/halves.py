"""make test: all tests, in two halves at the same time.

One half starts engines and mostly waits for what they do, the other one computes. Side by side
they take little longer than the longer one. Each line says which half it is of.
"""

import subprocess
import sys
import threading
from typing import Final

HALVES: Final = {
    "engine": ["tests/engine"],
    "rest": ["tests", "--ignore", "tests/engine"],
}
CACHE: Final = "cache_dir=.pytest_cache/{}"


def follow(name: str, half: "subprocess.Popen[str]") -> None:
    """Pass on what a half prints, line by line, until it ends."""
    assert half.stdout is not None
    for line in half.stdout:
        print(f"{name:<6} | {line}", end="", flush=True)


def main(options: list[str]) -> int:
    """The exit code of pytest: of the first half that is not green, 0 if both are."""
    halves = {
        name: subprocess.Popen(
            [sys.executable, "-m", "pytest", "-q", "-o", CACHE.format(name), *paths, *options],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for name, paths in HALVES.items()
    }
    readers = [threading.Thread(target=follow, args=each) for each in halves.items()]
    for reader in readers:
        reader.start()
    try:
        for reader in readers:
            reader.join()
    except KeyboardInterrupt:  # both have heard it, too: wait for what they clean up
        for reader in readers:
            reader.join()
    return next((code for half in halves.values() if (code := half.wait())), 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
