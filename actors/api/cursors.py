"""Where a page of a list ended, as a text that a program hands back for the next one.

A bookmark is a number and a name that a row keeps for as long as it is listed. So whatever changes
between two pages, a row that is there all the while is on exactly one of them.
"""

import base64
import re
from typing import Final, NamedTuple

from protocol.kalshi.parameters import Kind

CURSOR_CHARS_MAX: Final = 400
_TEXT: Final = re.compile(r"(-?[0-9]{1,18}):(.{0,256})", re.ASCII | re.DOTALL)


class Bookmark(NamedTuple):
    """Rows are listed in ascending order of these."""

    number: int
    name: str


def cursor_at(bookmark: Bookmark) -> str:
    """The cursor of the page behind a bookmark."""
    text = f"{bookmark.number}:{bookmark.name}".encode()
    return base64.urlsafe_b64encode(text).decode().rstrip("=")


def bookmark_of(cursor: str) -> Bookmark | None:
    """The bookmark that a cursor stands for; None if it is none."""
    try:
        text = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode()
    except ValueError:  # no such letters, or they stand for none
        return None
    found = _TEXT.fullmatch(text)
    bookmark = None if found is None else Bookmark(int(found[1]), found[2])
    return bookmark if bookmark is not None and cursor_at(bookmark) == cursor else None


def _fits(text: str) -> bool:
    return text == "" or (len(text) <= CURSOR_CHARS_MAX and bookmark_of(text) is not None)


PAGE_CURSOR: Final = Kind(
    'the cursor of the page before, as it came, or "" for the first page',
    _fits,
    {"type": "string", "pattern": "^[A-Za-z0-9_\\-]*$", "maxLength": CURSOR_CHARS_MAX},
)
