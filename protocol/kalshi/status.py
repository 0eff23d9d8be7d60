"""What the exchange says of itself: whether it trades, how fresh its reads are, what has moved to
the archive (FACTS.md sections 6.1, 6.3, 6.4)."""

from msgspec import Raw, Struct

from protocol.kalshi.reading import Micros, lenient

_NOTHING = Raw(b"null")


class ShardStatus(Struct, frozen=True):
    exchange_index: int
    exchange_active: bool
    trading_active: bool


class StatusBody(Struct, frozen=True):
    """Answered with 200, and with 503 and 504, too. Only the two words have to be readable."""

    exchange_active: bool
    trading_active: bool
    exchange_estimated_resume_time: Raw = _NOTHING
    exchange_index_statuses: Raw = _NOTHING

    @property
    def resumes_at(self) -> int | None:
        """When it hopes to go on, in microseconds; None if it doesn't say."""
        found: int | None = lenient(self.exchange_estimated_resume_time, Micros)
        return found

    @property
    def shards(self) -> tuple[ShardStatus, ...]:
        """Each shard's own words, as far as they can be read."""
        rows: list[Raw] = lenient(self.exchange_index_statuses, list[Raw]) or []
        found = [lenient(row, ShardStatus) for row in rows]
        return tuple(shard for shard in found if shard is not None)


class UserDataBody(Struct, frozen=True):
    """Reads of orders, fills, positions and balance show at least what was so by then."""

    as_of_time: Micros


class CutoffBody(Struct, frozen=True):
    """What happened before these moments is read from /historical only."""

    market_settled_ts: Micros
    trades_created_ts: Micros
    orders_updated_ts: Micros
    market_positions_last_updated_ts: Micros | None = None


class Session(Struct, frozen=True):
    open_time: str
    close_time: str


class Week(Struct, frozen=True):
    start_time: Micros
    end_time: Micros
    monday: tuple[Session, ...]
    tuesday: tuple[Session, ...]
    wednesday: tuple[Session, ...]
    thursday: tuple[Session, ...]
    friday: tuple[Session, ...]
    saturday: tuple[Session, ...]
    sunday: tuple[Session, ...]


class Window(Struct, frozen=True):
    start_datetime: Micros
    end_datetime: Micros


class Hours(Struct, frozen=True):
    standard_hours: tuple[Week, ...]
    maintenance_windows: tuple[Window, ...] | None


class Schedule(Struct, frozen=True):
    schedule: Hours
