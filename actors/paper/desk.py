"""The desk where order requests arrive: written down, executed, written down, answered.

Requests that arrived together are executed in one batch with one fsync; nothing of a batch is heard
by anybody before it is on disk.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import NamedTuple

from actors.paper.answers import Answer, Refused
from actors.paper.calls import Call
from actors.paper.core import Core
from actors.paper.entries import Entry
from actors.paper.faults import Reply, honest
from actors.paper.signing import KeyRing
from actors.paper.store import Journal
from actors.paper.wire import Answered, Happened, Line, Received, WireLog


class Waiting(NamedTuple):
    """A request that waits to be executed. Its signature is looked at as of its arrival."""

    call: Call
    path: str
    headers: Mapping[str, str]
    received: Received
    answers: bool  # the true answer is sent at once, so it is written down with the rest
    done: asyncio.Future[Answer]


class Desk:
    """The journal's only writer."""

    def __init__(
        self,
        core: Core,
        keys: KeyRing,
        journal: Journal,
        wire: WireLog,
        clocks: Callable[[], tuple[int, int]],
        wake: Callable[[], None],
    ) -> None:
        self._core = core
        self._keys = keys
        self._journal = journal
        self._wire = wire
        self._clocks = clocks  # monotonic ns and wall µs
        self._wake = wake
        self._batch: list[Waiting] = []
        self._lines: list[Line] = []  # to be written with the next batch
        self._broken: Exception | None = None  # what the next tick ends the process with

    def receive(self, method: str, path: str, order_id: str | None, body: bytes) -> Received:
        """Write a request down, before it has any effect."""
        _, at = self._clocks()
        received = self._wire.receive(method, path, order_id, body.decode("utf-8", "replace"), at)
        self._wire.apply(received)
        self._write(received)
        return received

    async def execute(
        self,
        call: Call,
        path: str,
        headers: Mapping[str, str],
        received: Received,
        answers: bool = True,
    ) -> Answer:
        """The true answer to a request, once all that it did is on disk."""
        loop = asyncio.get_running_loop()
        order = Waiting(call, path, headers, received, answers, loop.create_future())
        self._batch.append(order)
        if len(self._batch) == 1:
            loop.call_soon(self._run)
        return await order.done

    def answered(self, received: Received, reply: Reply) -> None:
        """Write down what is about to be sent instead of the true answer."""
        self._answer(received, reply)
        self.keep([])

    def keep(self, entries: list[Entry]) -> None:
        """Write down what happened, then wake the senders of what waits."""
        if entries:
            self._lines.append(Happened(entries))
        lines, self._lines = self._lines, []
        self._write(*lines)
        self._journal.sync()
        self._wake()

    def _run(self) -> None:
        batch, self._batch = self._batch, []
        try:
            answers = self._executed(batch)
        except Exception as e:
            self._broken = e
            for order in batch:
                order.done.cancel()
            return
        for order, answer in zip(batch, answers, strict=True):
            if not order.done.done():  # its task may have been cancelled by the end of the process
                order.done.set_result(answer)

    def _executed(self, batch: list[Waiting]) -> list[Answer]:
        now, at = self._clocks()
        answers = []
        for order in batch:
            answer = self._execute(order, now, at)
            entries = self._core.settle(at)
            if entries:
                self._lines.append(Happened(entries))
            if order.answers:
                self._answer(order.received, honest(answer))
            answers.append(answer)
        self.keep([])
        return answers

    def _write(self, *lines: Line) -> None:
        if self._broken is not None:
            raise self._broken
        try:
            self._journal.write(*lines)
        except OSError as e:
            self._broken = e  # a line may be torn: nothing must come after it
            raise

    def _execute(self, order: Waiting, now: int, at: int) -> Answer:
        try:
            self._keys.check(order.headers, order.call.write.method, order.path, order.received.at)
        except Refused as e:
            return e.answer
        return self._core.write(order.call, now, at)

    def _answer(self, received: Received, reply: Reply) -> None:
        answered = Answered(received.n, reply.status, reply.body.decode("utf-8", "replace"))
        self._wire.apply(answered)
        self._lines.append(answered)
