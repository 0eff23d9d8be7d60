"""`sidecar page`: the address of the page, with a code by which it signs in.

The code stands behind the `#`, which a browser tells no server. It counts once, for ten minutes.
Exit codes: 0 done, 78 configuration.
"""

import argparse
import os
import sys
from typing import Final

from protocol.errors import ConfigError
from protocol.runtime.loop import wall
from protocol.runtime.process import MISCONFIGURED, load_settings
from protocol.runtime.tokens import new_code
from protocol.serving import front_at

DONE: Final = 0


def run(arguments: argparse.Namespace) -> int:
    """Make a code and print the address. Returns the exit code."""
    os.umask(0o077)
    try:
        settings = load_settings()
        code = new_code(settings.var_dir, wall()).decode()
    except ConfigError as e:
        print(f"page: {e}", file=sys.stderr)
        return MISCONFIGURED
    print(f"{front_at(settings.api)}/#{code}")
    return DONE
