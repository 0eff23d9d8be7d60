"""`sidecar record`: the exchange's frames, as they came, into files that can be played again."""

import argparse
import functools
import re
import sys
from typing import Final

from actors.recorder.shell import serve
from actors.recorder.wire import Bounds
from protocol.limits import BLOCK_BYTES, SECONDS_MAX, SEGMENT_BYTES_MIN
from protocol.runtime.process import MISCONFIGURED, main

SEGMENT_BYTES: Final = 64 * 1024 * 1024
MAX_BYTES: Final = 16 * 1024 * 1024 * 1024
CHANNEL: Final = re.compile(r"[a-z0-9_]+", re.ASCII)


def arguments_of(words: list[str]) -> argparse.Namespace:
    """The command's arguments. Ends the process where they make no sense."""
    parser = argparse.ArgumentParser(prog="sidecar record", description=__doc__)
    parser.add_argument("--dir", default="", help="where to (default: recordings in var_dir)")
    parser.add_argument(
        "--channels", default="", help="only these: orderbook_delta,trade,... (default: all)"
    )
    parser.add_argument("--segment-bytes", type=int, default=SEGMENT_BYTES, metavar="N")
    parser.add_argument("--max-bytes", type=int, default=MAX_BYTES, metavar="N")
    parser.add_argument("--seconds", type=float, default=0.0, metavar="N", help="then end")
    found = parser.parse_args(words)
    found.channels = [name for name in found.channels.split(",") if name]
    wrong = ""
    if found.segment_bytes < SEGMENT_BYTES_MIN:
        wrong = f"--segment-bytes: {found.segment_bytes}, expected {SEGMENT_BYTES_MIN} or more"
    elif found.max_bytes < (least := 2 * found.segment_bytes + BLOCK_BYTES):
        wrong = f"--max-bytes: {found.max_bytes}, expected {least} (two segments) or more"
    elif not 0 <= found.seconds <= SECONDS_MAX:
        wrong = f"--seconds: {found.seconds}, expected 0 (no end) to {SECONDS_MAX}"
    elif bad := [name for name in found.channels if not CHANNEL.fullmatch(name)]:
        wrong = f"--channels: {bad[0]!r} is no channel's name"
    if wrong:
        print(f"record: {wrong}", file=sys.stderr)
        sys.exit(MISCONFIGURED)
    return found


if __name__ == "__main__":
    said = arguments_of(sys.argv[1:])
    bounds = Bounds(said.segment_bytes, said.max_bytes, said.seconds)
    work = functools.partial(serve, path=said.dir, channels=said.channels, bounds=bounds)
    main("recorder", work, alone=False)
