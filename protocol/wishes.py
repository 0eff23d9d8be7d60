"""What the stream may be asked to follow: a market, a group of markets, or a whole channel."""

from typing import Final, Literal

from protocol import topics

ALL: Final = "*"
WHOLE: Final[dict[str, Literal["trade", "ticker"]]] = {  # all of a channel, without books
    "trade:*": "trade",
    "ticker:*": "ticker",
}
GROUPS: Final = ("event", "series")
FORMS: Final = "TICKER, event:TICKER, series:TICKER, *, trade:* or ticker:*"


def unfit(wish: str) -> str:
    """What is wrong with a wish, by its name; "" if nothing is."""
    kind, colon, name = wish.partition(":")
    group = kind in GROUPS and bool(colon)
    if wish == ALL or wish in WHOLE or topics.is_ticker(name if group else wish):
        return ""
    return f"{wish[:80]!r} is none of {FORMS}"


def first_unfit(wishes: tuple[str, ...]) -> str:
    """What is wrong with the first of them that is; "" if nothing is."""
    return next((flaw for flaw in map(unfit, wishes) if flaw), "")
