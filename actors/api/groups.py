"""Order groups over HTTP: what may be asked, and which status each answer has."""

import re
from collections.abc import Callable, Mapping
from typing import Final, Literal

import msgspec
from msgspec import Struct

from actors.api.bodies import Problem, decoded, stranger
from protocol.messages import GroupAnswer, ManageGroup
from protocol.units import Count, decode_unit

Action = Literal["create", "reset", "trigger", "limit", "delete"]
_WHOLE: Final = re.compile(r"[0-9]{1,5}", re.ASCII)


class AskGroup(Struct, frozen=True):
    """Something that is to be done to an order group."""

    wanted: ManageGroup


class _LimitBody(Struct, frozen=True, forbid_unknown_fields=True):
    contracts_limit: Count
    exchange_index: int = 0


class _ShardBody(Struct, frozen=True, forbid_unknown_fields=True):
    exchange_index: int = 0


_limit_body = msgspec.json.Decoder(_LimitBody, dec_hook=decode_unit)
_shard_body = msgspec.json.Decoder(_ShardBody)

Read = Callable[[str, Mapping[str, str], bytes, str], AskGroup | Problem]


def doing(action: Action) -> Read:
    """How a POST is read: its body says the shard, if it is not 0, and the limit, if there is one.
    What it means is the gateway's to judge."""

    def read(name: str, query: Mapping[str, str], body: bytes, fresh_id: str) -> AskGroup | Problem:
        if action in ("create", "limit"):
            limited = decoded(_limit_body, body, "invalid_group")
            if isinstance(limited, Problem):
                return limited
            shard = limited.exchange_index
            return AskGroup(ManageGroup(action, name, limited.contracts_limit, shard))
        found = decoded(_shard_body, body or b"{}", "invalid_group")
        if isinstance(found, Problem):
            return found
        return AskGroup(ManageGroup(action, name, exchange_index=found.exchange_index))

    return read


def delete(name: str, query: Mapping[str, str], body: bytes, fresh_id: str) -> AskGroup | Problem:
    """A DELETE has no body: `?exchange_index=` says the shard."""
    shard = query.get("exchange_index", "0")
    odd = stranger(query, ("exchange_index",))
    if odd is not None:
        return odd
    if not _WHOLE.fullmatch(shard):
        return Problem(422, "invalid_exchange_index", "a whole number", "exchange_index")
    return AskGroup(ManageGroup("delete", name, exchange_index=int(shard)))


def done(asked: ManageGroup, answer: GroupAnswer) -> int | Problem:
    """The status of an answer, or the problem that it is."""
    match answer.state:
        case "done":
            return 201 if asked.action == "create" else 200
        case "unknown":
            return 202
        case "rejected":
            status = 404 if answer.code == "not_found" else 422
        case "refused":
            status = 422 if answer.field else 503
    status = 503 if answer.retry_after_ms else status
    return Problem(status, answer.code, answer.text, answer.field, answer.retry_after_ms)
