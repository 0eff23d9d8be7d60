"""Whether JSON says a name twice: which of the two was meant is not ours to guess.

A decoder that takes the last one would let an order through at a price that another reader of the
same bytes does not see.
"""

import json
from collections.abc import Iterable
from typing import Final


class _Pairs(list[tuple[str, object]]):
    """An object of JSON with all that it says."""


SHOWN_CHARS: Final = 50  # of each name


def said_twice(text: bytes) -> str:
    """Where this JSON says a name twice (`price`, `orders[1].price`), "" if it does not. Raises
    what `json.loads` raises: it is asked about what has been read already."""
    tree = json.loads(text, object_pairs_hook=_Pairs, parse_int=str, parse_float=str)
    return _first(tree).removeprefix(".")


def repeated(names: Iterable[str]) -> str:
    """The first of these that was there before, cut to SHOWN_CHARS; "" if there is none."""
    seen: set[str] = set()
    for name in names:
        if name in seen:
            return name[:SHOWN_CHARS]
        seen.add(name)
    return ""


def _first(tree: object) -> str:
    """The place is put together on the way back: its parts may be long, and very many."""
    if isinstance(tree, _Pairs):
        twice = repeated(name for name, _ in tree)
        if twice:
            return f".{twice}"
        inner: Iterable[tuple[object, object]] = tree
    elif isinstance(tree, list):
        inner = enumerate(tree)
    else:
        return ""
    for place, value in inner:
        found = _first(value) if isinstance(value, list) else ""
        if found:
            return (
                f".{place[:SHOWN_CHARS]}{found}" if isinstance(place, str) else f"[{place}]{found}"
            )
    return ""
