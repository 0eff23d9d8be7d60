"""JSON bodies read as strictly as the exchange reads them, and the words of its refusals.

A member of the wrong type is refused flat (capture `orders__numeric_field_types`), a missing or
impossible one bare, in the words of its validator (capture `markets__limit_over_max`). Members
that nobody knows, and nulls, are passed over, as Go does.
"""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import msgspec

from actors.paper.answers import Answer, Refused

_GO_NAMES: Final[dict[type, str]] = {str: "string", int: "int64", bool: "bool", list: "[]struct"}
_JSON_NAMES: Final[dict[type, str]] = {
    str: "string",
    int: "number",
    float: "number",
    bool: "bool",
    list: "array",
    dict: "object",
}


def flat(details: str) -> Refused:
    """`{"code","message","details"}`."""
    body = {"code": "bad_request", "message": "bad request", "details": details}
    return Refused(Answer(400, body))


class Form(NamedTuple):
    """A request of the specification, by the name of its operation, and its members' types.

    `inside` is the list that a member of a batch stands in, `place` where in it.
    """

    call: str
    types: Mapping[str, type]
    inside: str = ""
    place: int = 0

    def read(self, body: bytes) -> dict[str, Any]:
        """The members of a body that are there. Raises Refused."""
        try:
            found = msgspec.json.decode(body)
        except (msgspec.DecodeError, RecursionError):
            raise flat("invalid JSON in request body") from None
        return self.members(found)

    def members(self, found: object) -> dict[str, Any]:
        """The members of an object that are there. Raises Refused."""
        if not isinstance(found, dict):
            name = _JSON_NAMES.get(type(found), "null")
            raise flat(f"json: cannot unmarshal {name} into Go value of type {self.call}Request")
        for name, value in found.items():
            wanted = self.types.get(name)
            if wanted is None or value is None or type(value) is wanted:
                continue
            inside = f"{self.inside}." if self.inside else ""
            raise flat(
                f"json: cannot unmarshal {_JSON_NAMES[type(value)]} into Go struct field "
                f"{self.call}Request.{inside}{name} of type {_GO_NAMES[wanted]}"
            )
        return {name: value for name, value in found.items() if value is not None}

    def wrong(self, field: str, rule: str) -> Refused:
        """A member, in Go's spelling, breaks a rule of the validator."""
        inside = f"{self.inside.title()}[{self.place}]." if self.inside else ""
        text = (
            f"Parameter validation failed for {self.call}: Key: "
            f"'{self.call}Request.{inside}{field}' "
            f"Error:Field validation for '{field}' failed on the '{rule}' tag"
        )
        return Refused(Answer(400, {"msg": text}))
