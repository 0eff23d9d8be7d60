"""Made-up markets with realistic load: fair prices that wander, makers around them, takers.

A few markets are very busy and many nearly silent, as measured on the real exchange (12 sports
markets: 140 frames a second, the busiest of them two thirds). Everything follows from the seed and
from the clock ticks that it is told.
"""

import random
from typing import Final

from actors.paper.exchange import Exchange
from actors.paper.fixed import CONTRACT, DOLLAR
from actors.paper.market import CENT, DECI_CENT, LINEAR_CENT, Market
from actors.paper.matching import Book, Lot, Side

EVENTS: Final = (  # event, title, strikes
    ("KXBTCD-26DEC31", "Bitcoin above {} at year's end?", ("T90000", "T95000", "T100000",
        "T105000", "T110000", "T120000")),
    ("KXETHD-26DEC31", "Ether above {} at year's end?", ("T2500", "T3000", "T3500", "T4000",
        "T4500", "T5000")),
    ("KXINXD-26DEC31", "S&P 500 in range {} at year's end?", ("B6700", "B6800", "B6900", "B7000",
        "B7100", "B7200")),
    ("KXHIGHNY-26DEC24", "Highest temperature in New York {} on Dec 24?", ("T30", "B32", "B36",
        "B40", "B44", "T48")),
    ("KXNBA-27", "{} to win the championship?", ("BOS", "CLE", "DEN", "LAL", "NYK", "OKC")),
    ("KXFEDDECISION-26DEC", "Federal Reserve in December: {}?", ("C26", "C25", "H0", "H25",
        "H26", "X")),
)  # fmt: skip
RATES: Final = (30.0, 14.0, 8.0, 5.0, 4.0, 3.0, 2.5, 2.0, 1.5, 1.2, 1.0, 0.8, 0.6, 0.5)
RATE_MIN: Final = 0.08  # actions a second of the silent rest
LOTS_MIN, LOTS_MAX = 24, 60  # resting lots a market is kept between
ACTIONS_MAX: Final = 2_000  # in one step: a late tick must not freeze the exchange
FAIR_MIN, FAIR_MAX = 40_000, 960_000  # micro-dollars


class _Crowd:
    """The public of one market."""

    def __init__(self, rate: float, fair: int) -> None:
        self.rate = rate
        self.fair = fair
        self.due = 0.0  # actions that should have happened by now
        self.lots: list[str] = []


class Synthetic:
    """Makes markets, and then lets their public act as time goes by."""

    source = "synthetic"
    total: int | None = None  # it never ends
    done = False

    def __init__(self, seed: int, speed: float) -> None:
        self.played = 0
        self._dice = random.Random(f"synthetic {seed}")
        self._speed = speed
        self._crowds: dict[str, _Crowd] = {}
        self._last_lot = 0
        self._then: int | None = None

    def markets(self, opened: int) -> list[Market]:
        """Fresh markets with empty books."""
        found = []
        rates = list(RATES) + [RATE_MIN] * (sum(len(e[2]) for e in EVENTS) - len(RATES))
        self._dice.shuffle(rates)
        for event, title, strikes in EVENTS:
            grid = DECI_CENT if event.startswith("KXETHD") else LINEAR_CENT
            for strike in strikes:
                ticker = f"{event}-{strike}"
                found.append(Market(ticker, title.format(strike), Book(), opened, grid))
                self._crowds[ticker] = _Crowd(rates.pop(), self._dice.randint(150_000, 850_000))
        return found

    def open(self, exchange: Exchange) -> None:
        """Fill the books to their usual depth."""
        for ticker, crowd in self._crowds.items():
            for _ in range(LOTS_MIN + LOTS_MAX >> 1):
                self._rest(exchange, exchange.markets[ticker], crowd)

    def step(self, exchange: Exchange, now: int, at: int) -> None:
        """Let happen what is due at `now` (monotonic ns); `at` is the wall time in µs."""
        elapsed = 0 if self._then is None else min(max(now - self._then, 0), 1_000_000_000)
        self._then = now
        budget = ACTIONS_MAX
        for ticker, crowd in self._crowds.items():
            crowd.due += elapsed * crowd.rate * self._speed / 1_000_000_000
            if not exchange.markets[ticker].open:
                crowd.due = 0.0
            while crowd.due >= 1 and budget:
                # Bursts and pauses: an action uses up between nearly nothing and two.
                crowd.due -= self._dice.uniform(0.05, 1.95)
                budget -= 1
                self._act(exchange, exchange.markets[ticker], crowd, at)

    def _act(self, exchange: Exchange, market: Market, crowd: _Crowd, at: int) -> None:
        self.played += 1
        wander = crowd.fair + self._dice.randint(-2_500, 2_500)
        crowd.fair = min(max(wander, FAIR_MIN), FAIR_MAX)
        crowd.lots = [lot_id for lot_id in crowd.lots if market.book.lot(lot_id)]
        roll = self._dice.random()
        if len(crowd.lots) < LOTS_MIN or (roll < 0.48 and len(crowd.lots) < LOTS_MAX):
            self._rest(exchange, market, crowd)
        elif roll < 0.90:
            exchange.public_withdraw(market.ticker, self._stalest(market, crowd))
        else:
            self._take(exchange, market, crowd, at)

    def _rest(self, exchange: Exchange, market: Market, crowd: _Crowd) -> None:
        side = self._dice.choice((Side.BID, Side.ASK))
        away = 5_000 + int(self._dice.expovariate(1 / 40_000))
        step = market.grid[0].step if len(market.grid) == 1 else CENT
        price = crowd.fair - away if side is Side.BID else crowd.fair + away + step
        price = min(max(price // step * step, step), DOLLAR - step)
        self._last_lot += 1
        lot = Lot(f"p{self._last_lot}", False, side, price, self._size())
        crowd.lots.append(lot.order_id)
        exchange.public_rest(market.ticker, lot)

    def _stalest(self, market: Market, crowd: _Crowd) -> str:
        """Of a few lots, the one whose price is farthest from what makers would quote now."""
        few = self._dice.sample(crowd.lots, min(3, len(crowd.lots)))

        def distance(lot_id: str) -> int:
            lot = market.book.lot(lot_id)
            assert lot is not None
            gap = crowd.fair - lot.price if lot.side is Side.BID else lot.price - crowd.fair
            return abs(gap - 20_000)

        return max(few, key=distance)

    def _take(self, exchange: Exchange, market: Market, crowd: _Crowd, at: int) -> None:
        bid, _, ask, _ = market.top()
        # Takers pull the book toward the fair price: they hit the side that is the better deal.
        buys = ask is not None and (bid is None or ask - crowd.fair <= crowd.fair - bid)
        side = Side.BID if buys else Side.ASK
        best = ask if buys else bid
        if best is not None:
            exchange.public_take(market.ticker, side, best, self._size(), at)

    def _size(self) -> int:
        whole = 1 + int(self._dice.expovariate(1 / 80))
        cents = self._dice.choice((0, 0, 0, self._dice.randint(1, 99)))
        return whole * CONTRACT + cents
