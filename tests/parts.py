"""make test: all tests, in parts, some of them at a time; at the end, what has failed.

Seven parts start engines and mostly wait for what they do (one for little else), one kills writers
and waits for the disk, the others compute. The lanes are so that they end at about the same time
on two processors, and that no two compute before the parts with engines have mostly ended; with
more at a time, what is tested begins to miss its times. Each line says which part it is of. The
names of tests that failed come once more, last and short: of a long log often only the end is kept.
"""

import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, NamedTuple

ENGINE: Final = "tests/engine"
STREAMS: Final = sorted(map(str, Path(ENGINE).glob("test_stream_*.py")))  # over bad lines
CROWD: Final = [f"{ENGINE}/test_ten_thousand.py"]
WAITS: Final = [  # for what comes each minute, for a hold to end, for a doubt to be settled
    f"{ENGINE}/test_{name}.py" for name in ("book_audits", "halt", "money", "offline", "outcomes")
]
FRONT: Final = [  # what is done to the front from outside
    f"{ENGINE}/test_{name}.py" for name in ("browser", "front_survival", "schemathesis")
]
PAGE: Final = [f"{ENGINE}/test_page.py", f"{ENGINE}/test_page_once.py"]
SEEN: Final = [  # what is seen there, by whoever looks
    f"{ENGINE}/test_{name}.py" for name in ("axe", "page_markup", "page_sign_in", "page_ticket")
]
WRITER: Final = "tests/actors/writer"
ACTORS: Final = [f"tests/actors/{name}" for name in ("api", "paper", "stream")]
SIMULATION: Final = "tests/simulation"


def without(*paths: str) -> list[str]:
    """Options that leave tests out."""
    return [word for path in paths for word in ("--ignore", path)]


PARTS: Final = {
    "days": [SIMULATION],
    "rest": ["tests", *without(ENGINE, WRITER, *ACTORS, SIMULATION)],
    "engine": [ENGINE, *without(*STREAMS, *CROWD, *WAITS, *FRONT, *PAGE, *SEEN)],
    "writer": [WRITER],
    "stream": STREAMS,
    "crowd": CROWD,
    "waits": WAITS,
    "front": FRONT,
    "page": PAGE,
    "seen": SEEN,
    "actors": ACTORS,
}
LANES: Final = (
    ("days", "rest"),
    ("engine", "writer", "seen"),
    ("crowd", "stream", "page"),
    ("waits", "front", "actors"),
)
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
    over = threading.Event()

    def one_after_the_other(names: tuple[str, ...]) -> list[Done]:
        return [run(name, options) for name in names if not over.is_set()]

    lanes = ThreadPoolExecutor(len(LANES))
    going = [lanes.submit(one_after_the_other, names) for names in LANES]
    try:
        ended = [done for lane in going for done in lane.result()]
    except KeyboardInterrupt:  # those that run have heard it, too: wait for what they clean up
        over.set()
        lanes.shutdown()
        return INTERRUPTED
    for done in ended:
        for line in named(done):
            print(line, flush=True)
    return next((done.code for done in ended if done.code), 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
