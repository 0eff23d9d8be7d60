"""The ledger: facts told to the writer, and the entries that they become."""

from typing import Literal

from protocol.facts import AnyFact
from protocol.messages.message import Message


class Append(Message, frozen=True):
    """Tells the writer a fact. The letter's id is the fact's natural id."""

    fact: AnyFact


class Appended(Message, frozen=True):
    """The writer's answer, after commit. NEW and REPEAT carry the entry's number.

    CONFLICT: the same id is on record with another body. REFUSED: not booked, see the reason.
    Money that could not be booked is set aside, under the number `aside`: telling it again
    changes nothing, and trading is halted for it. Without a number it is worth another try.
    """

    verdict: Literal["NEW", "REPEAT", "CONFLICT", "REFUSED"]
    n: int = 0
    reason: str = ""
    aside: int = 0


class Entry(Message, frozen=True):
    """One committed fact with its ledger number `n`, contiguous from 1."""

    n: int
    id: str
    at: int
    source: str
    fact: AnyFact


class EntriesRequest(Message, frozen=True):
    """Asks the writer for committed entries with numbers above `since`."""

    since: int
    limit: int = 500


class Entries(Message, frozen=True):
    """Entries in order; `head` is the ledger's last number. Fewer than `limit`: that was all."""

    entries: tuple[Entry, ...]
    head: int
