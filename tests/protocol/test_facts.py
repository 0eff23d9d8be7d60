"""What makes two reports of a fact the same, also across versions of this program."""

from typing import get_args

import msgspec
import pytest

from protocol.facts import (
    ADDED,
    AnyFact,
    BalanceSeen,
    CashDiffers,
    Fill,
    LedgerRestored,
    MoneyMoved,
    OrderAbsent,
    OrderAccepted,
    OrderCanceled,
    OrderDenied,
    OrderIntended,
    OrderRejected,
    OrderSeen,
    OrderUnknown,
    OrderWithdrawn,
    PositionDiffers,
    Reconciled,
    RestoreConfirmed,
    Settled,
    essence,
)
from protocol.units import Count, Money, Price, encode_unit

AT = 1_795_486_295_000_000
BID = ("KXA-1", "bid", Price(560_000), Count(1_000), "good_till_canceled", "ab" * 32)
INTENDED = OrderIntended("mine-1", *BID)  # type: ignore[arg-type]
SEEN = OrderSeen(
    "ex-1",
    "mine-1",
    "KXA-1",
    "bid",
    Price(560_000),
    "resting",
    Count(1_000),
    Count(200),
    Count(800),
    AT // 1_000,
)

# One fact of each kind, with the fields that it began with, and the essence that ledgers on disk
# have for it. These never change: a new kind brings a new line.
ON_DISK: dict[AnyFact, str] = {
    INTENDED: "8d0073e43302f4df6db87f5755faf69844dacb08851ea06124d7049dd7f52c43",
    OrderIntended("mine-1", *BID, True, "api"): (  # type: ignore[arg-type]
        "63a97de4145834122de67e6711049f9db87c74de8612d1ce34eff5ea94be876a"
    ),
    OrderWithdrawn("mine-1", "late"): (
        "2610419d29790bc83d0c4b8a7162917ddabf421781bf4614de6b41d03c881559"
    ),
    OrderDenied("mine-1", "busy: no tokens in time"): (
        "bc63af511122bf7d081a2092689c35ef655a7a384c8ab57cbe350dffbbcdb4bd"
    ),
    OrderAccepted("mine-1", "ex-1", Count(200), Count(800), AT): (
        "1f73247ac4b452b0440ff56cbb3304f98cb519914b7c875ee2226f8824de959f"
    ),
    OrderRejected("mine-1", 400, "invalid_price", "no"): (
        "6ccd115d30c69aca42afbc99dc965b17fab1df437bd6b6cf421d6190787d3fa7"
    ),
    OrderUnknown("mine-1", "no answer"): (
        "178ebed8f25303a873af3cd79f3a01d8b9f35a7e4e660aa4699dd667b7ff670a"
    ),
    OrderAbsent("mine-1", "two listings"): (
        "5e77244bc6e8429bd869fc736b32682b711710acdfdf34d701e4a299631d062a"
    ),
    SEEN: "4f6e6d65b736602e72bc4df9dc083b0882b82715d8c0370443a433db865dc4d8",
    OrderCanceled("ex-1", "mine-1", Count(800), AT): (
        "b05efde29386a728dbaca17135cd3b937fa70d11eaa602f5e3025f8bcc59965c"
    ),
    Fill(
        "ex-1", "t-1", "KXA-1", "bid", Price(560_000), Count(200), Money(17_000), True, AT, "mine-1"
    ): "8a2c01268058d2006c55fa278727271a642d4544d68ee06cdf888c7b4694d483",
    BalanceSeen(2, Money(95_000_000), AT): (
        "f5b4188da1e30b8a44bf7495ac68da8b0c3e770a6996dd6a06aa21396b3ebaf2"
    ),
    Reconciled(3, 4, AT, 5, 6, "boot", 1): (
        "dfd0981b6321058270b3b3bc4c0a22090fa1a90d44471f466eae0d969e203288"
    ),
    Settled("KXA-1", 2, "yes", Count(200), Count(0), Money(2_000_000), Money(17_000), AT): (
        "740cc294fe150aa852400e73d3318d89069a5dd18a3c21d573709d6278b25878"
    ),
    MoneyMoved("deposit", "d-1", Money(95_000_000), AT): (
        "3e6716ba016c8056789fcbf4e9d42bce6d5aad345508dcf95e1f2235ac175cdb"
    ),
    PositionDiffers("KXA-1", Count(200), Count(300), Money(1_680_000), "unexplained", 3, 4): (
        "e407c63964949e3517512269fa27db282dcf0e90327655a640a36bab97e3124b"
    ),
    CashDiffers(Money(95_000_000), Money(94_000_000), "accepted", 3, 4): (
        "80403509545f06cedb8fa44b8100aaeb32da1fc4fcbc7a990c234ff0203db388"
    ),
    LedgerRestored("r-1", 7, AT): (
        "7e88256e86ecbb69005f5d57cab2d237e412a4bff0db6ee0810e9ef00cbd085d"
    ),
    RestoreConfirmed("r-1", "somebody"): (
        "f9175197afad971da6d5f33406ef55e2996a8fa1b47c30415a12767b1958b1ea"
    ),
}
_encode = msgspec.json.Encoder(enc_hook=encode_unit).encode


@pytest.mark.parametrize("fact", ON_DISK, ids=lambda fact: type(fact).__name__)
def test_a_fact_of_a_former_version_told_again_is_the_same_fact(fact: AnyFact) -> None:
    """Else the writer would answer CONFLICT for what it has booked itself, and trading stops."""
    assert essence(fact).hex() == ON_DISK[fact]
    assert essence(fact, _encode(fact)).hex() == ON_DISK[fact]


def test_the_roads_of_a_sighting_agree() -> None:
    """REST says that its terms count, the stream does not; a ledger of before has neither."""
    assert essence(msgspec.structs.replace(SEEN, terms=True)) == essence(SEEN)


def test_a_term_that_was_added_counts_where_it_is_said() -> None:
    groups = [msgspec.structs.replace(INTENDED, order_group_id=id) for id in ("g-1", "g-2")]
    leases = [msgspec.structs.replace(INTENDED, lease_s=seconds) for seconds in (30, 60)]
    both = msgspec.structs.replace(groups[0], lease_s=30)
    assert len({essence(fact) for fact in (INTENDED, *groups, *leases, both)}) == 6


@pytest.mark.parametrize("kind", get_args(AnyFact), ids=lambda kind: kind.__name__)
def test_fields_are_added_at_the_end_and_with_a_default(kind: type[AnyFact]) -> None:
    added = ADDED.get(kind, ())
    fields = msgspec.structs.fields(kind)
    last = fields[len(fields) - len(added) :]
    assert tuple(field.name for field in last) == added
    assert not any(field.required for field in last)
