"""The reads that anybody may ask for: how each is asked, its bounds, and its answer's shape.

FACTS.md sections 5 to 7. Paths and parameters are the exchange's own, so what its documentation
says of them holds. Ours are: what is wrong is found out before it costs a token; a list is a comma
list everywhere; and a listing is of the main account unless another, or `all`, is named, because
some of the exchange's are of all subaccounts where nothing is said, and some are not (section 6.4).
"""

from collections.abc import Mapping
from typing import Final
from urllib.parse import quote

import msgspec
from msgspec import Struct

from protocol.errors import RemoteProtocolError
from protocol.kalshi.calls import Call
from protocol.kalshi.inquiry_table import INQUIRIES, Inquiry
from protocol.kalshi.parameters import ALL, FLAG, Parameter, Said, text_of
from protocol.kalshi.reading import read
from protocol.limits import INQUIRY_BYTES_MAX, INQUIRY_CANDLES_MAX

__all__ = ["INQUIRIES", "Inquiry", "UnfitInquiry", "call", "find", "narrower", "proved", "typed"]

NAME_SHOWN_MAX: Final = 50  # characters of a name that is none


class UnfitInquiry(ValueError):
    """What can't be asked so: a stable code, the parameter, and the rule in words."""

    def __init__(self, code: str, field: str, text: str) -> None:
        super().__init__(text)
        self.code, self.field, self.text = code, field, text


def call(name: str, parameters: Mapping[str, Said]) -> Call:
    """The call that a read is. Raises UnfitInquiry if there is none such."""
    inquiry = INQUIRIES.get(name)
    if inquiry is None:
        raise UnfitInquiry("unknown_inquiry", "name", f"no such read: {name[:NAME_SHOWN_MAX]!r}")
    said = {key: text_of(value) for key, value in parameters.items()}
    for key, text in said.items():
        _check(inquiry, key, text)
    for parameter in inquiry.parameters:
        if parameter.name not in said:
            _leave_out(inquiry, parameter, said)
    _agree(inquiry, said)
    path = inquiry.path.format_map({key: quote(text, safe="") for key, text in said.items()})
    return Call(name, "GET", path, "read", _query(inquiry, said))


def find(path: str) -> tuple[Inquiry, dict[str, str]] | None:
    """The read whose path this is (below /trade-api/v2), and what its named parts are."""
    parts = path.split("/")
    for inquiry in INQUIRIES.values():
        pattern = inquiry.path.split("/")
        if len(pattern) == len(parts) and all(map(_fits, pattern, parts)):
            pairs = zip(pattern, parts, strict=True)
            return inquiry, {piece[1:-1]: part for piece, part in pairs if piece[:1] == "{"}
    return None


def _fits(piece: str, part: str) -> bool:
    return piece == part or (piece.startswith("{") and part != "")


def _check(inquiry: Inquiry, key: str, text: str) -> None:
    parameter = inquiry.find(key)
    if parameter is None:
        takes = ", ".join(p.name for p in inquiry.parameters) or "no parameters"
        shown = key[:NAME_SHOWN_MAX]
        raise UnfitInquiry(
            "unknown_parameter", shown, f"{inquiry.name} has no {shown!r}: it takes {takes}"
        )
    if not parameter.kind.fits(text):
        raise UnfitInquiry(
            "invalid_parameter", key, f"{inquiry.name}: {key} has to be {parameter.kind.rule}"
        )


def _leave_out(inquiry: Inquiry, parameter: Parameter, said: dict[str, str]) -> None:
    """A parameter that was not said: it has a default, or need not be said."""
    if parameter.required:
        text = f"{inquiry.name} needs {parameter.name}: {parameter.kind.rule}"
        raise UnfitInquiry("missing_parameter", parameter.name, text)
    if parameter.default and not any(other in said for other in parameter.unless):
        said[parameter.name] = parameter.default


def _agree(inquiry: Inquiry, said: Mapping[str, str]) -> None:
    """Whether the parameters make sense together."""
    for key, text in said.items():
        side, _, rest = key.partition("_")
        end = {"min": f"max_{rest}", "start": f"end_{rest}"}.get(side, "")
        if end in said and int(text) > int(said[end]):
            raise UnfitInquiry("invalid_parameter", end, f"{inquiry.name}: {end} is before {key}")
        for other in inquiry.excludes.get(key, ()):
            if other in said:
                raise UnfitInquiry(
                    "invalid_parameter", other, f"{inquiry.name}: {other} can't go with {key}"
                )
    if "period_interval" in said:
        _bound_candles(inquiry, said)


def _bound_candles(inquiry: Inquiry, said: Mapping[str, str]) -> None:
    """FACTS.md section 6.5: so many candles in one answer. How many markets an event has is not
    known here; the exchange ends such an answer early, and says where."""
    period = int(said["period_interval"]) * 60
    each = (int(said["end_ts"]) - int(said["start_ts"])) // period + 1
    each += said.get("include_latest_before_start") == "true"
    markets = said["market_tickers"].count(",") + 1 if "market_tickers" in said else 1
    if each * markets > INQUIRY_CANDLES_MAX:
        text = (
            f"{inquiry.name}: {each * markets} candles, at most {INQUIRY_CANDLES_MAX}: ask for "
            "less time, fewer markets or a longer period_interval"
        )
        raise UnfitInquiry("invalid_parameter", "end_ts", text)


def _query(inquiry: Inquiry, said: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """In the order of the table: the same read asked in another order is the same call."""
    found: list[tuple[str, str]] = []
    for parameter in inquiry.parameters:
        text = said.get(parameter.name, "")
        if not text or inquiry.in_path(parameter.name):
            continue
        if text == ALL and parameter.default:
            continue
        members = text.split(",") if parameter.repeated else [text]
        found += [(parameter.name, member) for member in members]
    return tuple(found)


def typed(name: str, body: bytes | msgspec.Raw) -> Struct:
    """A read's answer in its shape. Raises RemoteProtocolError if it does not fit."""
    found: Struct = read(bytes(body), INQUIRIES[name].answer)
    return found


def proved(name: str, body: bytes) -> msgspec.Raw:
    """An answer to be handed on as it is, behind the proof that it can be read.

    Raises RemoteProtocolError if it is too large for a letter, is no text, or does not fit.
    """
    if len(body) > INQUIRY_BYTES_MAX:
        raise RemoteProtocolError(f"{len(body)} bytes, at most {INQUIRY_BYTES_MAX} are handed on")
    try:
        body.decode()  # what is passed over when the rest is read would go out unseen
    except UnicodeDecodeError as e:
        raise RemoteProtocolError(f"{name}: not UTF-8 at byte {e.start}") from None
    read(body, INQUIRIES[name].answer)
    return msgspec.Raw(body)


def narrower(name: str) -> str:
    """How to ask for less of a read."""
    inquiry = INQUIRIES[name]
    filters = [p for p in inquiry.parameters if not inquiry.in_path(p.name) and p.kind is not FLAG]
    names = [parameter.name for parameter in filters]
    if "period_interval" in names:
        return "ask for less time, or a longer period_interval"
    if "limit" in names:
        return "ask for fewer at once, with a smaller limit"
    return f"ask for less, with {' or '.join(names)}" if names else "there is no way to narrow it"
