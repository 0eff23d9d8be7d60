"""Where we are in someone's stream, and whether the next message fits."""

import enum


class Verdict(enum.Enum):
    """How a number follows the ones before it."""

    NEXT = enum.auto()
    DUPLICATE = enum.auto()
    GAP = enum.auto()
    NEW_EPOCH = enum.auto()


class Cursor:
    """Remembers the last (epoch, seq) seen, and judges each one that follows."""

    __slots__ = ("epoch", "seq")

    def __init__(self, epoch: int = 0, seq: int = 0) -> None:
        self.epoch = epoch
        self.seq = seq

    def admit(self, epoch: int, seq: int) -> Verdict:
        """Judge, and move on unless it is a duplicate."""
        verdict = self._judge(epoch, seq)
        if verdict is not Verdict.DUPLICATE:
            self.epoch, self.seq = epoch, seq
        return verdict

    def _judge(self, epoch: int, seq: int) -> Verdict:
        if epoch < self.epoch:
            return Verdict.DUPLICATE  # a straggler from before a restart
        if epoch > self.epoch:
            return Verdict.NEW_EPOCH
        if seq <= self.seq:
            return Verdict.DUPLICATE
        return Verdict.NEXT if seq == self.seq + 1 else Verdict.GAP
