"""Reads of the exchange for whoever asks: through the same lanes and budget as everything else.

Asked once and answered once: an asker who wants to know again asks again. The same read asked for
by several while it waits for its tokens is one call; one that has left is not shared any more,
because its answer may be older than the question. What the exchange answers is proved on a thread
of its own, since a large answer takes up to 0.2 s, in which no order could leave here.
"""

from typing import Final

from msgspec import Raw, Struct

from actors.gateway.desk import Asker, CallAnswered, Desk, Ended
from actors.gateway.lanes import Place
from protocol.errors import RemoteProtocolError
from protocol.kalshi import answers, inquiries
from protocol.kalshi.calls import Call
from protocol.kalshi.inquiries import INQUIRIES, UnfitInquiry
from protocol.limits import (
    INQUIRIES_MAX,
    INQUIRY_ASKERS_MAX,
    INQUIRY_BYTES_MAX,
    INQUIRY_WAIT_MAX,
)
from protocol.machine import Cause, Effect
from protocol.messages import Inquire, InquiryAnswer

KEY: Final = "inquiry"


class Prove(Effect, frozen=True):
    """See whether an answer of the exchange's has the shape that it should have."""

    number: int
    name: str
    status: int
    body: bytes


class Proved(Cause, frozen=True):
    """It has, and `flaw` is ""; or it has not, and that says why."""

    number: int
    status: int
    body: bytes
    flaw: str = ""


class Pending(Struct):
    """One read that waits, is under way, or is being proved."""

    call: Call
    askers: list[Asker]
    leaves_by: int | None  # None: it has left, and will end


class Inquiries:
    """Reads for others."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._open: dict[int, Pending] = {}
        self._waiting: dict[Call, int] = {}  # those that have not left
        self._number = 0

    def ask(self, now: int, at: int, asker: Asker, wanted: Inquire) -> list[Effect]:
        """Take a read, unless the same letter has been taken already; or say what is wrong."""
        if any(asker in inquiry.askers for inquiry in self._open.values()):
            return []
        try:
            call = inquiries.call(wanted.name, wanted.parameters)
        except UnfitInquiry as e:
            unfit = InquiryAnswer("refused", code=e.code, text=e.text, field=e.field)
            return self._desk.answer([asker], unfit, at)
        shared = self._open.get(self._waiting.get(call, 0))
        if shared is not None and len(shared.askers) < INQUIRY_ASKERS_MAX:
            shared.askers.append(asker)
            return []
        if len(self._open) >= INQUIRIES_MAX:
            return self._desk.answer([asker], self._busy(now, call, Place.FULL), at)
        place = self._desk.lanes.submit(f"{KEY}:{self._number + 1}", call)
        if not place:
            return self._desk.answer([asker], self._busy(now, call, place), at)
        self._number += 1
        self._open[self._number] = Pending(call, [asker], now + INQUIRY_WAIT_MAX)
        self._waiting[call] = self._number
        return []

    def _busy(self, now: int, call: Call, place: Place) -> InquiryAnswer:
        if place is Place.NEVER:
            return InquiryAnswer("refused", code="too_dear", text=place.value)
        wait = self._desk.lanes.retry_after_ms(now, call)
        return InquiryAnswer("refused", code="busy", text=place.value, retry_after_ms=wait)

    def left(self, number: int) -> None:
        """It is on its way: who asks from now on wants a newer answer."""
        inquiry = self._open[number]
        inquiry.leaves_by = None
        self._forget(inquiry.call, number)

    def _forget(self, call: Call, number: int) -> None:
        if self._waiting.get(call) == number:
            del self._waiting[call]

    def ended(self, now: int, at: int, number: int, ended: Ended) -> list[Effect]:
        """The call has ended. What it brought is proved, or told as it is."""
        call = self._open[number].call
        if not isinstance(ended, CallAnswered):
            text = f"nothing is known of it: {ended.reason}"
            return self._done(at, number, InquiryAnswer("unknown", code="no_answer", text=text))
        if ended.status == 200 or ended.status in INQUIRIES[call.name].also:
            return [Prove(number, call.name, ended.status, ended.body)]
        return self._done(at, number, self._rejected(now, call, ended.status, ended.body))

    def _rejected(self, now: int, call: Call, status: int, body: bytes) -> InquiryAnswer:
        said = answers.refusal(body)
        code = f"status_{status}" if said is None else said.code
        text = "it says no more" if said is None else said.text
        wait = self._desk.lanes.retry_after_ms(now, call) if status == 429 else 0
        text = f"the exchange answers {status}: {text}"
        return InquiryAnswer("rejected", status, code=code, text=text, retry_after_ms=wait)

    def proved(self, now: int, at: int, cause: Proved) -> list[Effect]:
        """An answer has been looked at."""
        call = self._open[cause.number].call
        if not cause.flaw:
            answer = InquiryAnswer("answered", cause.status, Raw(cause.body))
        elif cause.status != 200 and answers.refusal(cause.body) is not None:
            answer = self._rejected(now, call, cause.status, cause.body)
        elif len(cause.body) > INQUIRY_BYTES_MAX:
            text = f"{cause.flaw}: {inquiries.narrower(call.name)}"
            answer = InquiryAnswer("unknown", cause.status, code="answer_too_large", text=text)
        else:
            text = f"the exchange's answer makes no sense: {cause.flaw}"
            answer = InquiryAnswer("unknown", cause.status, code="unreadable_answer", text=text)
        return self._done(at, cause.number, answer)

    def _done(self, at: int, number: int, answer: InquiryAnswer) -> list[Effect]:
        inquiry = self._open.pop(number)
        self._forget(inquiry.call, number)
        return self._desk.answer(inquiry.askers, answer, at)

    def due(self, now: int, at: int) -> list[Effect]:
        """Give up what still waits for tokens; what has left ends by itself."""
        effects: list[Effect] = []
        for number, inquiry in list(self._open.items()):
            if inquiry.leaves_by is None or now < inquiry.leaves_by:
                continue
            withdrawn = self._desk.lanes.withdraw(f"{KEY}:{number}")
            assert withdrawn, "one that has left is said to have"
            wait = self._desk.lanes.retry_after_ms(now, inquiry.call)
            text = "no tokens of the read budget in time; nothing was asked"
            late = InquiryAnswer("refused", code="no_tokens", text=text, retry_after_ms=wait)
            effects += self._done(at, number, late)
        return effects

    def deadline(self) -> int | None:
        found = [inquiry.leaves_by for inquiry in self._open.values()]
        return min((by for by in found if by is not None), default=None)


def prove(wanted: Prove, at: int) -> Proved:
    """Do what `Prove` asks for: pure, and slow where the answer is large."""
    try:
        inquiries.proved(wanted.name, wanted.body)
    except RemoteProtocolError as e:
        return Proved(at, wanted.number, wanted.status, wanted.body, str(e))
    return Proved(at, wanted.number, wanted.status, wanted.body)
