"""The brakes: limits that every order is held against before a byte of it may leave.

They are settings, section `[brakes]`. Real money needs every one of them said in so many words;
elsewhere what is not said has a default. While the engine runs a limit may only be made tighter.
docs/RISK.md explains each.
"""

from typing import Any, Final

from msgspec import Struct
from msgspec.structs import asdict, fields, replace

from protocol.errors import ConfigError
from protocol.limits import COUNT_MAX, MONEY_MAX, OPEN_ORDERS_MAX, SAME_ORDERS_KEPT
from protocol.units import DOLLAR, Count, Money, Price, format_count, format_money, format_price

ORDERS_A_SECOND_MAX: Final = 1_000
SAME_ORDER_MS_MAX: Final = 60_000

assert SAME_ORDERS_KEPT > ORDERS_A_SECOND_MAX * (SAME_ORDER_MS_MAX // 1_000 + 1), (
    "the same order is known for the whole window at any rate"
)


class Brakes(Struct, frozen=True, forbid_unknown_fields=True):
    """The settings as they are written; None: not said."""

    order_count: Count | None = None  # contracts of one order
    order_cost: Money | None = None  # what one order costs if it fills whole, fees apart
    market_exposure: Money | None = None  # the most that a market can still cost
    event_exposure: Money | None = None  # all markets of an event together
    account_exposure: Money | None = None  # all markets together
    open_orders: int | None = None  # resting, unknown and on their way
    orders_a_second: int | None = None
    price_band: Price | None = None  # how far through the best price a limit may reach; 1 = any
    same_order_ms: int | None = None  # the same order again within so long is refused; 0 = never
    self_cross: bool | None = None  # refuse what would trade with an order of ours
    fresh_book: bool | None = None  # refuse where the book is not followed, or not of now
    money: bool | None = None  # refuse what the cash of the market's shard can't pay


UNSAID: Final = Brakes()


class Limits(Struct, frozen=True):
    """The brakes as they hold. Each is the most that still passes."""

    order_count: Count
    order_cost: Money
    market_exposure: Money
    event_exposure: Money
    account_exposure: Money
    open_orders: int
    orders_a_second: int
    price_band: Price
    same_order_ms: int
    self_cross: bool = True
    fresh_book: bool = True
    money: bool = True


WIDE: Final = Limits(
    order_count=Count(10_000 * 100),
    order_cost=Money(10_000 * DOLLAR),
    market_exposure=Money(25_000 * DOLLAR),
    event_exposure=Money(50_000 * DOLLAR),
    account_exposure=Money(100_000 * DOLLAR),
    open_orders=5_000,
    orders_a_second=500,
    price_band=Price(DOLLAR),
    same_order_ms=0,
)
"""What holds on paper and in the demo where nothing else is said: the band and the window for the
same order are off."""

NUMBERS: Final = tuple(f.name for f in fields(Limits) if f.type is not bool)
SWITCHES: Final = tuple(f.name for f in fields(Limits) if f.type is bool)
_MOST: Final[dict[str, int]] = {
    "order_count": COUNT_MAX,
    "order_cost": MONEY_MAX,
    "market_exposure": MONEY_MAX,
    "event_exposure": MONEY_MAX,
    "account_exposure": MONEY_MAX,
    "open_orders": OPEN_ORDERS_MAX,
    "orders_a_second": ORDERS_A_SECOND_MAX,
    "price_band": DOLLAR,
    "same_order_ms": SAME_ORDER_MS_MAX,
}


def written(value: Any) -> str:
    """A limit as people write it."""
    kind = type(value)
    if kind is Price:
        return format_price(value)
    if kind is Money:
        return format_money(value)
    if kind is Count:
        return format_count(value)
    return str(value).lower() if kind is bool else f"{value}"


def said(brakes: Brakes) -> dict[str, Any]:
    """The limits that are said, by name."""
    return {name: value for name, value in asdict(brakes).items() if value is not None}


def limits(brakes: Brakes, real_money: bool, where: str) -> Limits:
    """The limits that these settings make.

    Raises ConfigError for one that is out of range, and, for real money, for those not said.
    """
    told = said(brakes)
    missing = [name for name in NUMBERS if name not in told]
    if real_money and missing:
        raise ConfigError(
            f"{where}: real money needs every limit said: brakes.{', brakes.'.join(missing)} "
            f"{'is' if len(missing) == 1 else 'are'} missing (docs/RISK.md)"
        )
    for name, most in _MOST.items():
        value = told.get(name)
        if value is not None and not 0 <= value <= most:
            said_so, range_end = written(value), written(type(value)(most))
            raise ConfigError(f"{where}: brakes.{name} is {said_so}, expected 0 to {range_end}")
    return replace(WIDE, **told)


def tightened(now: Limits, wanted: Brakes, where: str) -> Limits:
    """The limits with those that are wanted.

    Raises ConfigError for one that is out of range, or that would loosen what holds.
    """
    limits(wanted, False, where)
    new = replace(now, **said(wanted))
    loosened = looser(now, new)
    if loosened:
        raise ConfigError(f"{where}: {loosened}, and that needs a restart (docs/RISK.md)")
    return new


def tightest(settings: Limits, kept: Brakes) -> Limits:
    """Of each limit in the settings, and as it was tightened in a former life, the tighter one."""
    tighter = {
        name: value
        for name, value in said(kept).items()
        if looser(replace(settings, **{name: value}), settings)
    }
    return replace(settings, **tighter)


def looser(now: Limits, wanted: Limits) -> str:
    """Which limit the wanted ones would loosen, "" if none."""
    for name in NUMBERS:
        before, after = getattr(now, name), getattr(wanted, name)
        grown = after < before if name == "same_order_ms" else after > before
        if grown:
            return f"{name} is {written(before)}, {written(after)} would loosen it"
    for name in SWITCHES:
        if getattr(now, name) and not getattr(wanted, name):
            return f"{name} is on, to turn it off would loosen it"
    return ""
