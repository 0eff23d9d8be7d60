"""Whether JSON says a name twice: which of the two was meant is not ours to guess.

A decoder that takes the last one would let an order through at a price that another reader of the
same bytes does not see.
"""

import json


class _SaidTwice(Exception):
    """Ends the reading at the first."""


def said_twice(text: bytes) -> str:
    """A name that some object of this JSON has twice, "" if none has. Raises what `json.loads`
    raises: it is asked about what has been read already."""
    try:
        json.loads(text, object_pairs_hook=_look, parse_int=str, parse_float=str)
    except _SaidTwice as found:
        return str(found)
    return ""


def _look(pairs: list[tuple[str, object]]) -> None:
    names = [name for name, _ in pairs]
    if len(set(names)) < len(names):
        raise _SaidTwice(next(name for name in names if names.count(name) > 1))
