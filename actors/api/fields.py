"""Fields that several bodies have, each with what the page at /openapi.json says of it.

The rules themselves are looked at after decoding, so that each has a code of its own.
"""

from typing import Annotated, Any

from msgspec import Meta

from actors.api.route import ID_PATTERN
from protocol.kalshi.parameters import GROUP_ID, SHARD_MAX, TICKER
from protocol.limits import COUNT_MAX, LEASE_S_MAX, LEASE_S_MIN
from protocol.units import Count, Price


def said_as(pattern: str, about: str = "") -> Meta:
    """What a field's text may be, for the page: the rule itself is looked at after decoding, so
    that each has its own code."""
    schema: dict[str, Any] = {"type": "string", "pattern": pattern}
    return Meta(extra_json_schema=schema | ({"description": about} if about else {}))


OrderPrice = Annotated[
    Price, said_as(r"^0\.[0-9]{0,3}[1-9]$", "more than 0 and less than 1 dollar")
]
OrderCount = Annotated[
    Count, said_as(r"^[1-9][0-9]{0,5}(\.[0-9]{1,2})?$", "contracts, more than 0")
]
Ticker = Annotated[str, said_as(TICKER.schema["pattern"], "a market")]
Id = Annotated[str, said_as(ID_PATTERN, "yours: what is asked again under it is the same")]
GroupId = Annotated[str, said_as(GROUP_ID.schema["pattern"], "an order group")]
_LEASE: dict[str, Any] = {"minimum": LEASE_S_MIN, "maximum": LEASE_S_MAX}
Lease = Annotated[int, Meta(extra_json_schema={"anyOf": [{"const": 0}, _LEASE]})]

assert COUNT_MAX >= 10**6 * 100, "every count that the page calls right is one"
Shard = Annotated[int, Meta(extra_json_schema={"minimum": 0, "maximum": SHARD_MAX})]
