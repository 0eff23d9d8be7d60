"""Which day of its kind notices a planted mistake, for those that the first one does not.

It says where to look first, no more: `catch` in test_simulation.py goes on to the others. Each
catch prints the day that it has found (`pytest -rP`).
"""

from typing import Final

NOTICED: Final[dict[str, int]] = {}
