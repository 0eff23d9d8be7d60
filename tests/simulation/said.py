"""What the stream says of books, written down as moments with the book that each makes."""

from typing import TYPE_CHECKING

from protocol.envelope import Envelope
from protocol.follower import BookFollower
from protocol.limits import US
from protocol.messages import (
    BookAnswer,
    BookDelta,
    BookFresh,
    BookLost,
    BookSnapshot,
    BookStale,
    Level,
)
from tests.simulation.log import Sides, Sight
from tests.simulation.markets import Levels, apply, sides

if TYPE_CHECKING:
    from tests.simulation.world import World

CENT = 10_000  # micro-dollars


def levels_of(yes: tuple[Level, ...], no: tuple[Level, ...]) -> Levels:
    """A book of ours in cents."""
    return {
        "yes": {int(price) // CENT: int(count) for price, count in yes},
        "no": {int(price) // CENT: int(count) for price, count in no},
    }


class Said:
    """Folds what is published by hand: the engine's book must not check itself."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self._books: dict[str, Levels] = {}

    def note(self, envelope: Envelope) -> None:
        topic, what, levels = envelope.topic, "other", None
        book = self._books.get(topic)
        match envelope.body:
            case BookSnapshot(yes=yes, no=no):
                book = self._books[topic] = levels_of(yes, no)
                what, levels = "snapshot", sides(book)
            case BookDelta(side=side, price=price, change=change):
                what = "changed"
                if book is not None:
                    apply(book, (side, int(price) // CENT, int(change)))
                    levels = sides(book)
            case BookLost():
                self._books.pop(topic, None)
                what = "lost"
            case BookStale():
                what = "stale"
            case BookFresh():
                what = "fresh"
            case _:
                return
        sight: Sight = what  # type: ignore[assignment]
        where = {"epoch": envelope.epoch, "seq": envelope.seq}
        self._world.seen(sight, topic, levels=levels, **where)


def state_of(follower: BookFollower) -> str:
    state: str = getattr(follower, "state", "live" if getattr(follower, "live", False) else "lost")
    return state


def follower_holds(world: "World", who: str, follower: BookFollower) -> None:
    """What a follower would tell its owner now."""
    levels: Sides | None = None
    state = state_of(follower)
    if state != "lost":
        levels = sides(levels_of(follower.book.levels("yes"), follower.book.levels("no")))
    at = follower.cursor
    world.seen(
        "holds", follower.ticker, who=who, state=state, levels=levels,
        epoch=at.epoch, seq=at.seq,
    )  # fmt: skip


def desk_holds(world: "World", answer: BookAnswer) -> None:
    """What the stream has answered."""
    usable = answer.state in ("live", "stale")
    levels = sides(levels_of(answer.yes, answer.no)) if usable else None
    exact = world.faults.says_date and not world.clock_jumps and not world.wrong_by
    as_of = (answer.as_of - world.clock) * US + world.now if exact and answer.as_of else 0
    world.seen(
        "holds", answer.ticker, who="desk", state=answer.state, levels=levels,
        epoch=answer.epoch, seq=answer.seq, as_of=as_of,
    )  # fmt: skip
