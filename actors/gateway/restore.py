"""After a restore from a backup: ids chosen by clients wait until somebody has confirmed it.

What was sent after the backup is gone from the ledger, so an id that it doesn't know may have
been used. Reconciliation brings back what the exchange still shows; whether that is enough is for
an operator to say. Ids that our own front made up are new for certain and wait for nothing.
"""

import collections

from actors.gateway.desk import Asker, Desk
from protocol.facts import AnyFact, RestoreConfirmed
from protocol.limits import CONFIRM_ASKERS_MAX, CONFIRMED_BY_CHARS_MAX
from protocol.machine import Effect, Report
from protocol.messages import AnyMessage, Appended, RestoreAnswer, Restored

COMMAND = "sidecar confirm-restore"


class Restores:
    """Which restore waits for confirmation, and who asked to confirm it."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._confirmed = ""  # the restore whose confirmation is on disk, folded or not yet
        self._reported = ""
        self._waiting: dict[Asker, None] = {}
        self._told: collections.deque[Asker] = collections.deque(maxlen=CONFIRM_ASKERS_MAX)

    @property
    def unconfirmed(self) -> Restored | None:
        """The restore that waits for confirmation."""
        account = self._desk.ledger.account
        restored = None if account is None else account.restored
        return None if restored is None or restored.restore_id == self._confirmed else restored

    @property
    def unproved(self) -> str:
        """Why an id that the ledger doesn't know may have been used; "" if it can't have been."""
        restored = self.unconfirmed
        if restored is None:
            return ""
        wait = "" if restored.reconciled else "wait until the exchange has been reconciled, then "
        return (
            f"the ledger was restored from a backup that ends at entry {restored.head}: this "
            f"client_order_id may have been used after it; {wait}have an operator confirm "
            f"({COMMAND})"
        )

    def due(self) -> list[Effect]:
        """Say once that a restore waits for confirmation."""
        restored = self.unconfirmed
        if restored is None or restored.restore_id == self._reported:
            return []
        self._reported = restored.restore_id
        text = (
            f"the ledger was restored from a backup that ends at entry {restored.head}: orders "
            "under ids of clients that it does not know are refused until the exchange has been "
            f"reconciled and somebody has run `{COMMAND}`"
        )
        return [Report(text, grave=True)]

    def confirm(self, now: int, at: int, asker: Asker, confirmed_by: str) -> list[Effect]:
        """Record the confirmation; the asker is told once it is on disk, or why it can't be."""
        if asker in self._told:  # the letter again: its answer was lost
            return self._desk.answer([asker], RestoreAnswer("confirmed"), at)
        if asker in self._waiting:
            return []
        refusal = self._refusal(now, at, confirmed_by)
        if refusal is not None:
            return self._desk.answer([asker], refusal, at)
        restored = self.unconfirmed
        assert restored is not None
        self._waiting[asker] = None
        return self._desk.append(now, at, RestoreConfirmed(restored.restore_id, confirmed_by))

    def _refusal(self, now: int, at: int, confirmed_by: str) -> RestoreAnswer | None:
        why = self._desk.ledger.why_not(now)
        if why:  # without the whole ledger we can't say that nothing waits, either
            return RestoreAnswer("refused", why)
        restored = self.unconfirmed
        if restored is None:
            return RestoreAnswer("none", "no restore waits for confirmation")
        if not restored.reconciled:
            wait = max(restored.settles_at - at, 0) // 1_000_000
            text = (
                "the exchange has not been reconciled since the restore"
                f"{f': a request from before may land for {wait} s yet' if wait else ''}"
                ": ask again later"
            )
            return RestoreAnswer("refused", text)
        if not 1 <= len(confirmed_by) <= CONFIRMED_BY_CHARS_MAX or not confirmed_by.isprintable():
            text = f"confirmed_by: 1 to {CONFIRMED_BY_CHARS_MAX} printable characters"
            return RestoreAnswer("refused", text)
        if len(self._waiting) >= CONFIRM_ASKERS_MAX or self._desk.tells.full:
            return RestoreAnswer("refused", "too many letters are waiting for the writer")
        return None

    def acknowledged(self, at: int, told: AnyFact, answer: AnyMessage) -> list[Effect]:
        """The writer answered a fact; the confirmation, perhaps."""
        if not isinstance(told, RestoreConfirmed):
            return []
        askers, self._waiting = self._waiting, {}
        if isinstance(answer, Appended) and answer.verdict in ("NEW", "REPEAT"):
            self._confirmed = told.restore_id
            self._told.extend(askers)
            report = Report(f"the restore was confirmed by {told.confirmed_by}")
            return [report, *self._desk.answer(askers, RestoreAnswer("confirmed"), at)]
        reason = getattr(answer, "reason", "") or type(answer).__name__
        refused = RestoreAnswer("refused", f"the ledger did not take it: {reason}")
        return self._desk.answer(askers, refused, at)
