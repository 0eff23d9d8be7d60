"""What goes wrong, and how often: drawn once per seed, so that each seed is a different kind of
bad day (some faults off, some frequent), not the same average again and again."""

import random
from collections.abc import Callable

from msgspec import Struct

from protocol.limits import JITTER, MS, SECOND


class Faults(Struct):
    bus_drop: float = 0.0  # of a published message, per hearer
    letter_drop: float = 0.0  # of a letter or its answer
    letter_repeat: float = 0.0  # of a letter or its answer: it comes twice, the second time later
    bus_delay_max: int = 1 * MS
    socket_drop: float = 0.0  # of a connection, per frame
    frame_skip: float = 0.0  # consumes its seq and never arrives
    frame_repeat: float = 0.0
    call_delay_max: int = 50 * MS  # one way; it varies by less than JITTER
    call_lost_before: float = 0.0  # the exchange never saw it
    call_lost_after: float = 0.0  # the exchange did it; the answer was lost
    call_lost_late: float = 0.0  # of those: it lands as late as its signature allows
    creates_lost: float = 0.0  # of creates alone: no answer, and they land as late as they can
    call_fails: float = 0.0  # 5xx, done or not
    call_doubled: float = 0.0  # of creates: somebody in between asked twice, and tells of the 409
    batch_lies: float = 0.0  # of an answer to a batch: about its members
    cancel_blind: float = 0.0  # of cancels: 404, although the order rests
    listing_lag_max: int = 0  # reads may be so far behind, each row by a time of its own
    page_garbage: float = 0.0  # of a page: it can't be read
    page_loops: float = 0.0  # its cursor leads to where it began
    page_empty: float = 0.0  # an empty page that is not the last one
    row_missing: float = 0.0  # of an order in a listing: it is left out, once
    archive_after: int = 0  # a finished order is in the history only, after this; 0: it is not
    settles_late_max: int = 0  # the row of a settlement may come so much later than the money
    disk_locked: float = 0.0  # of a piece of work on the disk: refused, worth another try
    disk_fails: float = 0.0  # of a piece of work on the disk: it fails at some statement
    writer_dies: float = 0.0  # of a piece of work: before a statement of it, or right after all
    latch_fails: float = 0.0  # of a save of the halt latch: the disk is full
    snapshot_rots: float = 0.0  # of the newest snapshots, at a death of the writer
    anchor_lags: float = 0.0  # at a death of the writer the anchor falls back: a power cut
    crash: float = 0.0  # of each process, per second
    crash_gateway: float = 0.0  # of the gateway alone, per second
    stop: float = 0.0  # of each process, per second: asked to stop
    clock_jumps: float = 0.0  # of the host's wall clock, by an hour and back again, per second
    tier_changes: float = 0.0  # of the account's limits, per second
    says_when: bool = True  # frames say when they were sent
    says_date: bool = True  # a handshake says what time it is at the exchange
    falls_silent: float = 0.0  # a subscription, per second: its connection lives on
    black_hole: float = 0.0  # a link, per second: nothing passes on it, for a while or for good
    late: float = 0.0  # a link, per second: what it carries comes late for a while
    late_by: int = 0  # at most
    snapshot_lost: float = 0.0  # of a snapshot: it consumes its seq and never arrives
    snapshot_again: float = 0.0  # per second: books are told that nobody has asked for
    ack_lost: float = 0.0  # of an answer to a command
    command_fails: float = 0.0  # of a change of a subscription: error 18, and it is not done
    sid_ends: float = 0.0  # a subscription, per second: errors 10 and 25
    sid_fails: float = 0.0  # a subscription, per second: errors 17 and 18, and it goes on
    counts_anew: float = 0.0  # a subscription, per second
    lies: float = 0.0  # per second: a change of a book that is never told
    book_lag_max: int = 0  # listed books may be so old
    books_garbage: float = 0.0  # of a listing of books: it can't be read
    stream_stops: float = 0.0  # per second: it does not run for a while
    tap_loss: float = 0.0  # of a published message, for programs that only listen
    slow_pace: int = 1 * MS  # how long one of them takes over a message

    @classmethod
    def draw(cls, dice: random.Random, engine: bool) -> "Faults":
        """A kind of bad day: either everything may go wrong, or (without `engine`) only what is
        outside of it, and the gateway dies: then more orders get that far."""

        def maybe(most: float) -> float:
            return dice.uniform(0, most) if dice.random() < 0.6 else 0.0

        drawn = cls(
            bus_drop=maybe(0.2),
            letter_drop=maybe(0.2),
            letter_repeat=maybe(0.2),
            bus_delay_max=dice.randint(1, 100) * MS,
            socket_drop=maybe(0.01),
            frame_skip=maybe(0.03),
            frame_repeat=maybe(0.03),
            call_delay_max=dice.choice((50 * MS, JITTER)),
            call_lost_before=maybe(0.2),
            call_lost_after=maybe(0.2),
            call_lost_late=maybe(1.0),
            call_fails=maybe(0.2),
            call_doubled=maybe(0.1),
            cancel_blind=maybe(0.5),
            listing_lag_max=int(maybe(dice.choice((3_000, 15_000)))) * MS,
            page_garbage=maybe(0.1),
            page_loops=maybe(0.1),
            page_empty=maybe(0.3),
            row_missing=maybe(0.6),
            archive_after=int(maybe(10_000)) * MS,
            settles_late_max=int(maybe(10_000)) * MS,
            disk_locked=maybe(0.2),
            disk_fails=maybe(0.05),
            writer_dies=maybe(0.25),
            latch_fails=maybe(0.3),
            snapshot_rots=maybe(1.0),
            anchor_lags=maybe(0.5),
            crash=maybe(0.05),
            stop=maybe(0.02),
            clock_jumps=maybe(0.1) if dice.random() < 0.5 else 0.0,
            tier_changes=maybe(0.1),
            batch_lies=dice.choice((0.0, 0.3, 1.0)),
        )
        if not engine:
            for name in ENGINE:
                setattr(drawn, name, 0)
            drawn.bus_delay_max, drawn.crash_gateway = MS, maybe(0.15)
        if dice.random() < 0.7:
            drawn._draw_stream(dice, maybe)
        return drawn

    def _draw_stream(self, dice: random.Random, maybe: Callable[[float], float]) -> None:
        """What may go wrong with market data."""
        self.says_when, self.says_date = dice.random() < 0.7, dice.random() < 0.7
        self.falls_silent = maybe(0.1)
        self.black_hole = maybe(0.1)
        self.late = maybe(0.2)
        self.late_by = dice.choice((1_500, 3_000, 8_000)) * MS
        self.snapshot_lost = maybe(0.2)
        self.snapshot_again = maybe(0.3)
        self.ack_lost = maybe(0.1)
        self.command_fails = maybe(0.1)
        self.sid_ends, self.sid_fails = maybe(0.1), maybe(0.1)
        self.counts_anew = maybe(0.1)
        self.lies = maybe(0.2)
        self.book_lag_max = int(maybe(2_000)) * MS
        self.books_garbage = maybe(0.2)
        self.stream_stops = maybe(0.05)
        self.tap_loss = maybe(0.1)
        self.slow_pace = dice.choice((1, 20, 200)) * MS

    def heal(self) -> None:
        """From safety to liveness: the faults stop, but for what reads show."""
        self._calm(*READS, *MANNERS)

    def tell_the_truth(self) -> None:
        """Reads stop lying, too. What is in the exchange's archive stays there."""
        self._calm("archive_after", *MANNERS)

    def _calm(self, *but: str) -> None:
        calm = Faults()
        for name in self.__struct_fields__:
            if name not in but:
                setattr(self, name, getattr(calm, name))


ENGINE = (
    "bus_drop", "letter_drop", "letter_repeat", "socket_drop", "frame_skip", "frame_repeat",
    "disk_locked", "disk_fails", "writer_dies", "snapshot_rots", "anchor_lags", "crash", "stop",
)  # fmt: skip
READS = (
    "listing_lag_max", "page_garbage", "page_loops", "page_empty", "row_missing", "archive_after",
    "book_lag_max",
)  # fmt: skip
MANNERS = ("says_when", "says_date")  # no faults: they are as they are
JUMP_MAX = 8 * SECOND  # how long the wall clock is wrong
