"""Do the writer's and the rehydrator's work on the simulated disk, as their shells do it."""

import sqlite3
from typing import TYPE_CHECKING

from sqlalchemy.exc import OperationalError

from actors.rehydrator.core import (
    AccountLoaded,
    Audited,
    AuditFailed,
    AuditPage,
    EvidenceRead,
    LoadAccount,
    LoadFailed,
    ReadEvidence,
    Replayed,
)
from actors.rehydrator.store import Ledger, Unreadable
from actors.writer.store import Failed, Locked, Store
from actors.writer.wire import (
    AsideTold,
    Checkpoint,
    Checkpointed,
    CloseStore,
    Commit,
    Committed,
    EntriesRead,
    OpenStore,
    ReadEntries,
    StoreFailed,
    StoreOpened,
    StoreOpening,
    TellAside,
)
from protocol.account import Account
from protocol.audit import Damage
from protocol.limits import MS
from protocol.machine import Cause, Effect
from protocol.messages import EvidenceAnswer
from tests.simulation.disk import OWNER, PATH, Died, Life

if TYPE_CHECKING:
    from tests.simulation.world import Process, World

StoreEffect = OpenStore | Commit | ReadEntries | TellAside | Checkpoint | CloseStore
WORK_MAX = 20 * MS
STATEMENTS_MAX = 14  # of a commit, more or less; what is left of a fuse then burns out after it


class Keeper:
    """The disk's side of one life of the writer: its work is done in order, a piece at a time."""

    def __init__(self, world: "World", process: "Process") -> None:
        self._world = world
        self._process = process
        self._life = Life(world.disk)
        self._store = Store(PATH, OWNER, self._life, connect=self._life.connect)
        self._free_at = 0

    def perform(self, effect: Effect) -> None:
        if isinstance(effect, CloseStore):  # the process ends right behind it
            self._store.close()
            return
        delay = self._world.dice.randint(1, WORK_MAX)
        self._free_at = max(self._world.now, self._free_at) + delay
        self._world.at(self._free_at, lambda: self._work(effect))

    @property
    def account(self) -> Account | None:
        """The store's own copy, None while it is not to be relied on."""
        return self._store.account

    def end(self) -> None:
        """The process is gone; what it left behind may be worse than it was."""
        self._life.end()
        world = self._world
        if world.dice.random() < world.faults.snapshot_rots:
            for how in world.disk.damage(world.dice):
                world.happened[how] += 1
        if world.dice.random() < world.faults.anchor_lags:
            world.disk.cut_power(world.dice)
            world.happened["the anchor fell back"] += 1

    def _work(self, effect: Effect) -> None:
        if self._world.processes["writer"] is not self._process:
            return  # it died before: this was never begun
        dies = self._aim(effect)
        try:
            cause = self._do(effect)
        except Died:
            self._world.happened["died within a transaction"] += 1
            self._world.crash("writer")
            return
        if dies:
            self._world.happened["died before it could acknowledge"] += 1
            self._world.crash("writer")
            return
        self._life.strike_at = None
        if cause is not None:
            self._world.feed_later(self._process, cause)

    def _aim(self, effect: Effect) -> bool:
        """Decide what befalls this piece of work. Whether the writer dies of it at the latest."""
        dice, faults = self._world.dice, self._world.faults
        roll = dice.random()
        for chance, stroke in (
            (faults.writer_dies, Died),
            (faults.disk_locked, locked),
            (faults.disk_fails, failed),
        ):
            if roll < chance:
                self._life.strike, self._life.strike_at = stroke, dice.randint(1, STATEMENTS_MAX)
                return stroke is Died
            roll -= chance
        return False

    def _do(self, effect: Effect) -> Cause | None:
        world, wall = self._world, self._world.wall
        try:
            match effect:
                case OpenStore():
                    found = self._store.open(self._tell)
                    if "refused" in found.how:
                        world.happened["a snapshot was refused"] += 1
                    return StoreOpened(
                        wall, found.head, found.how, found.aside, found.reason, found.told
                    )
                case Commit(wanted=wanted, at=at):
                    done = self._store.commit(wanted, at)
                    return Committed(wall, done.results, done.booked)
                case ReadEntries(sender=sender, id=id, since=since, limit=limit):
                    return EntriesRead(wall, sender, id, self._store.entries(since, limit))
                case TellAside(aside=aside):
                    self._store.told(aside)
                    return AsideTold(wall, aside)
                case Checkpoint():
                    log = self._store.checkpoint()
                    return Checkpointed(wall, log.pages, log.done)
        except Locked as e:
            world.happened["the disk was locked"] += 1
            if isinstance(effect, OpenStore | Commit):
                return StoreFailed(wall, str(e), False)
            self.perform(effect)
            return None
        except Failed as e:
            world.happened["the disk failed"] += 1
            return StoreFailed(wall, str(e), True)
        raise AssertionError(f"unexpected effect: {effect}")

    def _tell(self, text: str) -> None:
        self._world.feed_later(self._process, StoreOpening(self._world.wall, text))


class Reader:
    """The disk's side of one life of the rehydrator."""

    def __init__(self, world: "World", process: "Process") -> None:
        self._world = world
        self._process = process
        self._ledger = Ledger(PATH, OWNER, world.disk.read_only)

    def perform(self, effect: Effect) -> None:
        delay = self._world.dice.randint(1, WORK_MAX)
        self._world.at(self._world.now + delay, lambda: self._work(effect))

    def end(self) -> None:
        """It holds nothing."""

    def _work(self, effect: Effect) -> None:
        if self._world.processes["rehydrator"] is self._process:
            self._world.feed_later(self._process, self._do(effect))

    def _do(self, effect: Effect) -> Cause:
        world, wall = self._world, self._world.wall
        try:
            if world.dice.random() < world.faults.disk_locked:
                raise Unreadable("locked")
            match effect:
                case LoadAccount():
                    return AccountLoaded(wall, *self._ledger.load(self._tell))
                case AuditPage():
                    page = self._ledger.audit()
                    world.happened["the ledger was proved"] += page.ended
                    return Audited(wall, page.done, page.total, page.ended)
                case ReadEvidence(sender=sender, id=id, client_order_id=name):
                    return EvidenceRead(wall, sender, id, self._ledger.evidence(name))
        except Unreadable as e:
            if isinstance(effect, LoadAccount):
                return LoadFailed(wall, str(e))
            if isinstance(effect, ReadEvidence):
                answer = EvidenceAnswer((), 0, False, str(e))
                return EvidenceRead(wall, effect.sender, effect.id, answer)
            return AuditFailed(wall, str(e), False)
        except Damage as e:
            return AuditFailed(wall, str(e), True)
        raise AssertionError(f"unexpected effect: {effect}")

    def _tell(self, done: int, total: int) -> None:
        self._world.feed_later(self._process, Replayed(self._world.wall, done, total))


def locked() -> OperationalError:
    """What SQLite says while somebody else holds the database."""
    return _error("database is locked", sqlite3.SQLITE_BUSY)


def failed() -> OperationalError:
    """What SQLite says when a read, a write or an fsync failed."""
    return _error("disk I/O error", sqlite3.SQLITE_IOERR)


def _error(text: str, code: int) -> OperationalError:
    error = sqlite3.OperationalError(text)
    error.sqlite_errorcode = code
    return OperationalError("", None, error)
