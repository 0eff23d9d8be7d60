"""Queries and pages: filters, limits, cursors and their refusals (FACTS.md section 6.1).

A cursor names the last row that was shown, so that pages stay put while rows are added. One that
was never ours is passed over, silently, as capture `markets__garbage_cursor` has it.
"""

from collections.abc import Callable, Iterable, Mapping
from itertools import islice
from typing import Final, TypeVar

from actors.paper.answers import Answer, Refused
from actors.paper.faults import Faults
from actors.paper.fixed import SECOND

LIMIT_DEFAULT: Final = 100
LIMIT_MAX: Final = 1_000

Row = TypeVar("Row")


class Query(dict[str, str]):
    """What stands behind the `?`. Of a name that is repeated the last counts, but for `every`."""

    def __init__(self, pairs: Iterable[tuple[str, str]] = ()) -> None:
        self._pairs = list(pairs)
        super().__init__(self._pairs)

    def every(self, name: str) -> list[str]:
        """All that a repeated name says, in order."""
        return [text for found, text in self._pairs if found == name]


def bare(call: str, field: str, rule: str) -> Refused:
    """As capture `markets__limit_over_max`."""
    text = (
        f"Parameter validation failed for {call}: Key: '{call}Params.{field}' "
        f"Error:Field validation for '{field}' failed on the '{rule}' tag"
    )
    return Refused(Answer(400, {"msg": text}))


def number(query: Mapping[str, str], name: str, call: str, default: int, most: int) -> int:
    """A number of the query. Raises Refused."""
    text = query.get(name, "")
    if not text:
        return default
    if not (text.isascii() and text.isdigit() and len(text) < 16):
        raise Refused(Answer(400, {"msg": f"Invalid format for parameter {name}: {text[:40]!r}"}))
    if int(text) > most:
        raise bare(call, name.title().replace("_", ""), "lte")
    return int(text)


def shard(query: Query) -> int | None:
    """The shard that a read is limited to, or None."""
    return number(query, "exchange_index", "", 0, 1 << 20) if query.get("exchange_index") else None


def below(query: Query) -> int | None:
    """What the numbers of the rows must be below, as the cursor has it."""
    cursor = query.get("cursor", "")
    last = cursor.removeprefix("p")
    if cursor.startswith("p") and last.isascii() and last.isdigit() and len(last) < 20:
        return int(last)
    return None


def page(
    rows: Iterable[Row],
    numbered: Callable[[Row], int],
    query: Query,
    call: str,
    most: int = LIMIT_MAX,
    default: int = 0,
    faults: Faults | None = None,
) -> tuple[list[Row], str]:
    """One page of rows that come with the highest number first, and the cursor of the next."""
    default = default or (LIMIT_DEFAULT if most == LIMIT_MAX else most)
    limit = number(query, "limit", call, default, most) or default
    last = below(query)
    if last is not None:
        rows = (row for row in rows if numbered(row) < last)
    found = list(islice(rows, limit + 1))
    shown = found[:limit]
    if faults is not None and shown and (faults.looping_cursor or faults.empty_page_with_cursor):
        again = f"p{numbered(shown[0]) + 1}"  # the cursor of this very page
        if faults.looping_cursor:
            return shown, again
        if last is None:
            return [], again
    return shown, f"p{numbered(shown[-1])}" if len(found) > limit else ""


def span(query: Query, call: str) -> tuple[int, int]:
    """`min_ts` and `max_ts` (Unix seconds) as microseconds, the latter inclusive."""
    least = number(query, "min_ts", call, 0, 1 << 40)
    most = number(query, "max_ts", call, 1 << 40, 1 << 40)
    return least * SECOND, (most + 1) * SECOND - 1


def words(query: Query, name: str) -> frozenset[str]:
    """The members of a comma list."""
    return frozenset(filter(None, query.get(name, "").split(",")))
