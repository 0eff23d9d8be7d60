"""Hosts the rehydrator: reads the database on a thread, so that the loop keeps turning."""

import os
from concurrent.futures import Future, ThreadPoolExecutor

from actors.rehydrator.core import (
    AccountLoaded,
    Audited,
    AuditFailed,
    AuditPage,
    EvidenceRead,
    LoadAccount,
    LoadFailed,
    ReadEvidence,
    Rehydrator,
    Replayed,
)
from actors.rehydrator.store import Ledger, Unreadable
from protocol.audit import Damage
from protocol.config import Settings
from protocol.ledger import account_name
from protocol.machine import Cause, Effect
from protocol.messages import EvidenceAnswer
from protocol.pulse import Identity
from protocol.runtime.bus import Bus
from protocol.runtime.loop import Loop, wall
from protocol.runtime.process import generation, next_epoch


async def serve(settings: Settings) -> int:
    """Run until asked to stop. Returns the exit code."""
    name = "rehydrator"
    identity = Identity(name, next_epoch(settings.var_dir, name), os.getpid(), generation())
    bus = Bus(settings)
    bus.answer_on("rehydrator.in")
    bus.hear("ledger.pub", ["ledger ", "mark "])
    owner = account_name(settings.exchange.environment, settings.exchange.key_id)
    ledger = Ledger(f"{settings.var_dir}/ledger.db", owner)

    def read(effect: Effect) -> Cause:
        try:
            match effect:
                case LoadAccount():
                    return AccountLoaded(wall(), *ledger.load(tell))
                case AuditPage():
                    page = ledger.audit()
                    return Audited(wall(), page.done, page.total, page.ended)
                case ReadEvidence(sender=sender, id=id, client_order_id=name):
                    return EvidenceRead(wall(), sender, id, ledger.evidence(name))
        except Unreadable as e:
            return failed(effect, str(e))
        except Damage as e:
            return AuditFailed(wall(), str(e), True)
        raise AssertionError(f"unexpected effect: {effect}")

    def failed(effect: Effect, reason: str) -> Cause:
        match effect:
            case LoadAccount():
                return LoadFailed(wall(), reason)
            case ReadEvidence(sender=sender, id=id):
                return EvidenceRead(wall(), sender, id, EvidenceAnswer((), 0, False, reason))
        return AuditFailed(wall(), reason, False)

    def tell(done: int, total: int) -> None:
        loop.feed_from_thread(Replayed(wall(), done, total))

    def perform(effect: Effect) -> None:
        def told(done: "Future[Cause]") -> None:
            error = done.exception()
            loop.feed_from_thread(failed(effect, repr(error)) if error else done.result())

        thread.submit(read, effect).add_done_callback(told)

    with ThreadPoolExecutor(1, "reader") as thread:
        loop = Loop(Rehydrator(identity), bus, perform)
        return await loop.run()
