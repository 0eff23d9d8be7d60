"""What risk is measured by, put together: rules of markets, books, cash, exposures, brakes."""

from actors.gateway.books import Books
from actors.gateway.brakes import Brakes
from actors.gateway.cash import Cash
from actors.gateway.desk import Desk
from actors.gateway.exposures import Exposures
from actors.gateway.markets import Markets
from actors.gateway.reads import Reads
from actors.gateway.tightening import Tightening
from protocol.account import Meaning
from protocol.brakes import Brakes as Tightened
from protocol.brakes import Limits, tightest


class Risk:
    """The parts, each to be used as it is. `limits` are those of the settings, `kept` is what was
    tightened in former lives."""

    def __init__(self, desk: Desk, reads: Reads, limits: Limits, kept: Tightened) -> None:
        self._desk = desk
        self.markets = Markets(desk)
        self.books = Books(desk.outbox)
        self.cash = Cash(desk, reads.refresh_balance)
        self.exposures = Exposures()
        self.brakes = Brakes(
            tightest(limits, kept), self.markets, self.exposures, self.books, self.cash
        )
        self.tightening = Tightening(desk, self.brakes, self.exposures, kept)

    def changed(self, meanings: list[Meaning]) -> None:
        """The account has taken entries: what it can still cost follows."""
        account = self._desk.ledger.account
        if account is not None:
            self.exposures.changed(account, meanings)
