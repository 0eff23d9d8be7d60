"""Whether JSON says a name twice: which of the two was meant is not ours to guess.

A decoder that takes the last one would let an order through at a price that another reader of the
same bytes does not see.
"""

import json


class _Pairs(list[tuple[str, object]]):
    """An object of JSON with all that it says."""


def said_twice(text: bytes) -> str:
    """Where this JSON says a name twice (`price`, `orders[1].price`), "" if it does not. Raises
    what `json.loads` raises: it is asked about what has been read already."""
    tree = json.loads(text, object_pairs_hook=_Pairs, parse_int=str, parse_float=str)
    return _first(tree, "")


def _first(tree: object, where: str) -> str:
    if isinstance(tree, _Pairs):
        names = [name for name, _ in tree]
        inner = f"{where}." if where else ""
        if len(set(names)) < len(names):
            return inner + next(name for name in names if names.count(name) > 1)
        parts = [(inner + name, value) for name, value in tree]
    elif isinstance(tree, list):
        parts = [(f"{where}[{i}]", value) for i, value in enumerate(tree)]
    else:
        return ""
    found = (_first(value, place) for place, value in parts if isinstance(value, list))
    return next((place for place in found if place), "")
