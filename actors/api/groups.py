"""Order groups over HTTP: what may be asked, and which status each answer has."""

from collections.abc import Callable
from typing import Final, Literal

from msgspec import Struct

from actors.api.bodies import Problem
from actors.api.fields import OrderCount, Shard
from actors.api.route import Said
from protocol.messages import GroupAnswer, ManageGroup

Action = Literal["create", "reset", "trigger", "limit", "delete"]


ACTIONS: Final[dict[Literal["reset", "trigger"], str]] = {
    "reset": "Count what a group has matched from 0 again",
    "trigger": "Cancel all orders of a group",
}


class AskGroup(Struct, frozen=True):
    """Something that is to be done to an order group."""

    wanted: ManageGroup


class LimitBody(Struct, frozen=True, forbid_unknown_fields=True):
    """What the orders of a group may match within 15 seconds, and the shard that it is on."""

    contracts_limit: OrderCount
    exchange_index: Shard = 0


class ShardBody(Struct, frozen=True, forbid_unknown_fields=True):
    """The shard that a group is on."""

    exchange_index: Shard = 0


def limited(action: Action) -> Callable[[Said], AskGroup]:
    """What needs a limit. Whether it can be one is the gateway's to judge."""

    def read(said: Said) -> AskGroup:
        body, name = said.body, said.parts.get("order_group_id", "")
        return AskGroup(ManageGroup(action, name, body.contracts_limit, body.exchange_index))

    return read


def doing(action: Action) -> Callable[[Said], AskGroup]:
    """What needs no more than the group: its body says the shard, if it is not 0."""

    def read(said: Said) -> AskGroup:
        name, shard = said.parts["order_group_id"], said.body.exchange_index
        return AskGroup(ManageGroup(action, name, exchange_index=shard))

    return read


def delete(said: Said) -> AskGroup:
    """A DELETE has no body: `?exchange_index=` says the shard."""
    name, shard = said.parts["order_group_id"], said.number("exchange_index")
    return AskGroup(ManageGroup("delete", name, exchange_index=shard))


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
