"""The names under which messages are published: `kind.<subject>`, or a bare word.

A space ends the topic in a frame, so `book.KXA-1 ` matches one market exactly and `book.KXA-`
a whole series.
"""

import bisect
import re
from collections.abc import Sequence
from typing import Final

from protocol.limits import TICKER_CHARS_MAX

MARK: Final = "mark"
LEDGER: Final = "ledger"
SYSTEM: Final = "system"

# What everybody may want to hear: all but `raw.`, which is said only while somebody listens.
ALL: Final = (
    *("book.", "trade.", "ticker.", "market.", "event.", "reported.", "group."),
    *("order.", "fill.", "position.", "balance.", "health."),
    *(MARK, LEDGER, SYSTEM),
)

_TICKER = re.compile(rf"[A-Z0-9.\-]{{1,{TICKER_CHARS_MAX}}}", re.ASCII)


def is_ticker(text: str) -> bool:
    """Whether the exchange could have a market of that name."""
    return _TICKER.fullmatch(text) is not None


def is_exact(prefix: str) -> bool:
    """Whether a prefix is one topic, and no other that begins like it."""
    return prefix.endswith(" ")


def under(names: Sequence[str], prefix: str) -> list[str]:
    """The topics that a prefix fits. `names` are sorted, each with its space at the end."""
    start = bisect.bisect_left(names, prefix)
    end = bisect.bisect_left(names, f"{prefix}\x7f", start)  # no topic has a letter above that
    return [name[:-1] for name in names[start:end]]


def book(ticker: str) -> str:
    return f"book.{ticker}"


def trade(ticker: str) -> str:
    return f"trade.{ticker}"


def quote(ticker: str) -> str:
    return f"ticker.{ticker}"


def market(ticker: str) -> str:
    return f"market.{ticker}"


def event(ticker: str) -> str:
    return f"event.{ticker}"


def reported(ticker: str) -> str:
    """A position as the exchange reports it."""
    return f"reported.{ticker}"


def group(id: str) -> str:
    return f"group.{id}"


def raw(channel: str) -> str:
    return f"raw.{channel}"


def order(ticker: str) -> str:
    return f"order.{ticker}"


def fill(ticker: str) -> str:
    return f"fill.{ticker}"


def position(ticker: str) -> str:
    return f"position.{ticker}"


def balance(shard: int) -> str:
    return f"balance.{shard}"


def health(process: str) -> str:
    return f"health.{process}"


def subject(topic: str) -> str:
    """What a topic is about: the part after the first dot, "" for a bare word."""
    return topic.partition(".")[2]
