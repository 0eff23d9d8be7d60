"""What the engine promises the exchange and its operator, each as a fold over what happened.

A promise takes the events one by one and raises AssertionError at the one that breaks it. They
know nothing of the engine: `test_promises.py` holds each against histories made by hand.
"""

from typing import Protocol

from protocol.brakes import Limits
from protocol.limits import HOLD_AFTER_CANCEL_ALL, MS
from tests.simulation.log import Event, Terms
from tests.simulation.rates import TrueBucket

HALT_WITHIN = 100 * MS  # of the acknowledgement
RESERVE = 42  # tokens: a cancel-all and twenty cancels, of two each


class Promise(Protocol):
    def take(self, event: Event) -> None:
        """Raises AssertionError if this breaks it."""


RISKY = frozenset({"create", "amend"})  # what needs an intent
HELD = RISKY | {"renew"}  # what does not leave while trading is halted
LATER = HELD | {"decrease"}  # what leaves the tokens that are kept for cancels


class WireOnce:
    """Each order and each amend leaves at most once ever, and no byte of it before its intent is
    on disk."""

    def __init__(self) -> None:
        self._left: set[str] = set()
        self._arrived: set[str] = set()

    def take(self, event: Event) -> None:
        if event.call not in RISKY:
            return
        if event.what == "left":
            assert event.id not in self._left, f"{event.id} was sent twice"
            assert event.new, f"{event.id} is sent by a life that was not told NEW"
            self._left.add(event.id)
        if event.what == "arrived":
            assert event.id in self._left, f"{event.id} arrived and never left"
            assert event.id not in self._arrived, f"{event.id} arrived twice"
            assert event.recorded, f"{event.id} was sent before it was recorded"
            self._arrived.add(event.id)


class Budget:
    """No call is answered 429, and no order spends what is kept for cancels.

    A tier that came down before anybody was told excuses both, as the exchange marks it. The
    levels are those of the exchange's buckets as if every call arrived when it left.
    """

    def __init__(self) -> None:
        self._buckets: dict[str, TrueBucket] = {}
        self._excused: set[str] = set()

    def take(self, event: Event) -> None:
        match event.what:
            case "tier":
                self._tier(event)
            case "refused":
                assert event.excused, f"429: the {event.id} budget was overdrawn"
            case "left" if event.budget in self._buckets:
                bucket = self._buckets[event.budget]
                covered = bucket.draw(event.at, event.cost)
                if event.call in LATER and event.budget not in self._excused:
                    left = bucket.level(event.at) if covered else -1
                    text = f"{event.id} left {left} tokens of the {event.budget} budget for cancels"
                    assert left >= RESERVE, text

    def _tier(self, event: Event) -> None:
        bucket = self._buckets.get(event.id)
        if bucket is None:
            self._buckets[event.id] = TrueBucket(event.at, event.rate, event.capacity)
        else:
            bucket.resize(event.at, event.rate, event.capacity)
        (self._excused.add if event.excused else self._excused.discard)(event.id)


class Kill:
    """Stopped is stopped, whoever dies meanwhile.

    From 100 ms after a halt was acknowledged no order leaves, until somebody asks for a resume.
    None leaves within a minute after a cancel-all (where the host's clock is set meanwhile, a
    restart may shorten that: only the wall clock outlives a process). Of what had left before a
    panic was called done, nothing rests any more.
    """

    def __init__(self) -> None:
        self._halted_at: int | None = None
        self._held_until = -1
        self._left: set[str] = set()
        self.settled: set[str] = set()  # orders that had left before a panic was done

    def take(self, event: Event) -> None:
        match event.what, event.call:
            case "halted", _:
                if self._halted_at is None:
                    self._halted_at = event.at + (0 if event.id == "latch" else HALT_WITHIN)
            case "resuming", _:
                self._halted_at = None
            case "left", "cancel all" if not event.excused:
                self._held_until = event.at + HOLD_AFTER_CANCEL_ALL
            case "left", call if call in HELD:
                halted = self._halted_at is not None and event.at > self._halted_at
                assert not halted, f"{event.id} left while trading was halted"
                text = f"{event.id} left within a minute after everything was canceled"
                assert event.at >= self._held_until, text
                if call == "create":
                    self._left.add(event.id)
            case "panicked", _:
                self.settled |= self._left

    def check(self, resting: set[str]) -> None:
        """`resting`: ids of our orders that rest at the exchange now."""
        still = sorted(resting & self.settled)
        assert not still, f"a panic was called done, and {still} rest"


class Lease:
    """Where an order has a lease, every call that lets it rest names an expiry within it: nothing
    of it rests for longer than that after we have died. Other orders have none."""

    def take(self, event: Event) -> None:
        if event.what != "left" or event.call not in HELD:
            return
        if not event.lease:
            assert not event.lasts, f"{event.id} has no lease and ends by itself"
            return
        text = f"{event.id} may rest for {event.lasts / 1_000_000} s, its lease is {event.lease} s"
        assert 0 < event.lasts <= event.lease * 1_000_000, text


class Exposure:
    """What the account can still lose is never above a limit, whatever fills.

    Each order that the exchange has counts as if it filled whole, and each market as it would end
    worst. An order of the account that is not ours may break a limit; from then on nothing is
    said any more.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._open: dict[str, Terms] = {}
        self._held: dict[str, int] = {}  # contracts: + YES, - NO
        self._bought: dict[tuple[str, str], list[tuple[int, int]]] = {}  # cents and contracts
        self._strangers = False

    def take(self, event: Event) -> None:
        match event.what:
            case "made":
                self._open[event.id] = event.terms
                self._strangers = self._strangers or event.external
            case "filled":
                self._fill(event.id, event.terms)
            case "over":
                self._open.pop(event.id, None)
            case "settled":
                self._held.pop(event.id, None)
                for side in ("bid", "ask"):
                    self._bought.pop((event.id, side), None)
        if event.what in ("made", "filled") and not self._strangers:
            self._check(event.terms[0])

    def _fill(self, id: str, filled: Terms) -> None:
        ticker, side, cents, left = self._open[id]
        _, _, price, size = filled
        self._open[id] = ticker, side, cents, left - size
        self._held[ticker] = self._held.get(ticker, 0) + (size if side == "bid" else -size)
        self._bought.setdefault((ticker, side), []).append((_paid(side, price), size))

    def _worst(self, ticker: str) -> int:
        """In micro-dollars. What is held cost at least what the cheapest of its fills did: which
        of them it is that was closed is a matter of their order, which not everybody knows."""
        held = self._held.get(ticker, 0)
        mine, others = ("bid", "ask") if held >= 0 else ("ask", "bid")
        spent = _cheapest(self._bought.get((ticker, mine), []), abs(held))
        rests = [terms for terms in self._open.values() if terms[0] == ticker]
        more = sum(_paid(s, c) * n for _, s, c, n in rests if s == mine)
        opens = [(_paid(s, c), n) for _, s, c, n in rests if s == others]
        over = sum(n for _, n in opens) - abs(held)
        dearest = -_cheapest([(-c, n) for c, n in opens], over)
        return max(spent + more, dearest) * 100

    def _check(self, ticker: str) -> None:
        tickers = self._held.keys() | {terms[0] for terms in self._open.values()}
        worst = {t: self._worst(t) for t in tickers}
        event = ticker.rpartition("-")[0]
        for what, found, limit in (
            (ticker, worst[ticker], self._limits.market_exposure),
            (event, sum(w for t, w in worst.items() if t.rpartition("-")[0] == event),
             self._limits.event_exposure),
            ("the account", sum(worst.values()), self._limits.account_exposure),
        ):  # fmt: skip
            assert found <= limit, f"{what} can lose {found / 1_000_000}, limit {limit / 1_000_000}"


def _paid(side: str, cents: int) -> int:
    return cents if side == "bid" else 100 - cents


def _cheapest(contracts: list[tuple[int, int]], count: int) -> int:
    """What so many contracts cost, the cheapest of these; in cents times hundredths."""
    paid = 0
    for cents, n in sorted(contracts):
        taken = min(n, max(count, 0))
        paid, count = paid + cents * taken, count - taken
    return paid


class Strangers:
    """Part of `truth`: what is not ours is canceled by a panic, and by nothing else."""

    def __init__(self) -> None:
        self._panics = False

    def take(self, event: Event) -> None:
        if event.call == "cancel all" and event.what == "left":
            self._panics = True
        if event.what == "arrived" and event.call == "cancel" and event.external:
            assert self._panics, f"{event.id} is not ours and was canceled"
