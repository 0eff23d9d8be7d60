"""What happened between the engine and the exchange, in order: what the promises are held against.

It is written by what is simulated (wire, exchange, operator), never by the engine.
"""

from typing import Literal

from msgspec import Struct

What = Literal[
    "left",  # the first byte of a call is on its way
    "arrived",  # the exchange does what a call asks for
    "refused",  # a call is answered 429
    "tier",  # the exchange's budgets change
    "halting",  # an operator asks for a halt or a panic, or writes the latch
    "halted",  # and is told that it is so, or the latch is on disk by another hand
    "panicked",  # an operator is told that nothing rests any more
    "resuming",  # an operator asks for a resume
]


class Event(Struct, frozen=True):
    """One moment. `id`: of an order (ours, or the exchange's for a cancel), or of a budget."""

    at: int
    what: What
    id: str = ""
    call: str = ""  # "create", "cancel", "cancel all" or "program"
    budget: str = ""
    cost: int = 0
    new: bool = True  # its intent was called NEW, in the life that sends it
    recorded: bool = True  # its intent is on disk
    external: bool = False  # the order is not ours
    excused: bool = False  # a 429 is nobody's mistake
    rate: int = 0
    capacity: int = 0
