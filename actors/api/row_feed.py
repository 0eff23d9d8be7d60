"""The account, and how the engine is, for WebSocket clients.

Rows of the account are as of the last entry that the front has folded. Of `system` and `health.`
each message is whole: the last one said is the snapshot. All of these are heard all the time, so
that their numbers are known before somebody follows.
"""

from typing import Final

from actors.api.in_step import InStep, Topic
from actors.api.notices import snapshot
from actors.api.rows import ACCOUNT, Rows
from protocol.envelope import Envelope
from protocol.follower import LedgerFollower
from protocol.limits import TOPICS_WATCHED_MAX
from protocol.machine import Effect
from protocol.messages import Mark

SAID: Final = ("system", "health.")


class RowFeed:
    """Topics that have snapshots, and are no books."""

    def __init__(self, ledger: LedgerFollower) -> None:
        self._ledger = ledger
        self._rows = Rows()
        self._last: dict[str, tuple[int, int, int]] = {}  # by topic: epoch, seq, entry
        self._lives: dict[str, tuple[int, bool]] = {}  # epochs, and whether we were there first
        self._folded = -1

    def note(self, envelope: Envelope) -> list[str]:
        """Which life of its speaker this is of; and by the writer's mark, how far he is. Returns
        topics of the account on which more was said than was heard."""
        known = self._lives.get(envelope.source)
        if known is None or known[0] != envelope.epoch:
            self._lives[envelope.source] = envelope.epoch, known is not None
        ahead: list[str] = []
        if envelope.source != "writer" or not isinstance(envelope.body, Mark):
            return ahead
        for name, seq in envelope.body.topics.items():
            if name.startswith(ACCOUNT):
                said, last, n = self._last.get(name, (0, 0, 0))
                if said != envelope.epoch or last < seq:
                    self._hold(name, (envelope.epoch, seq, n))
                    ahead.append(name)
        return ahead

    def _hold(self, name: str, where: tuple[int, int, int]) -> None:
        if name in self._last or len(self._last) < TOPICS_WATCHED_MAX:
            self._last[name] = where

    def under(self, prefix: str) -> list[str]:
        """The topics of the account under a prefix, as far as something is known of them."""
        account = self._ledger.account
        return [] if account is None else self._rows.topics(account, prefix)

    def hear(
        self, now: int, at: int, steps: InStep, to: tuple[int, ...], envelope: Envelope,
        frame: bytes,
    ) -> list[Effect]:  # fmt: skip
        """A message, for these who follow its topic."""
        name, n = envelope.topic, getattr(envelope.body, "n", 0)
        unknown = self._last.get(name, (0, 0, 0))[0] != envelope.epoch
        unknown = unknown and envelope.seq > 1 and not self._lives[envelope.source][1]
        self._hold(name, (envelope.epoch, envelope.seq, n))
        topic = steps.topics.get(name)
        if topic is None and (to or name.startswith(SAID)):
            topic = steps.topic(name)
            steps.put_out(topic, to)
        if topic is None:
            return []
        effects: list[Effect] = []
        if unknown and topic.open and topic.kind in ACCOUNT:
            effects = steps.close(topic, "gap", "what was said before is not known")
        topic.told = envelope.epoch, envelope.seq
        if name.startswith(SAID):
            topic.last = envelope
        effects += steps.pass_on(topic, envelope, frame)
        return effects + steps.offer(now, at, topic)

    def fed(self, now: int) -> bool:
        """Whether there may be snapshots that could not be made before."""
        account = self._ledger.account
        folded = account.n if account is not None and self._ledger.current(now) else -1
        news, self._folded = folded not in (-1, self._folded), folded
        return news

    def outdated(self, steps: InStep) -> None:
        """What was said last of how the engine is may not be the last."""
        for topic in steps.topics.values():
            if topic.kind in SAID:
                topic.last = None

    def again(self) -> None:
        """Snapshots are wanted, though the account may not have changed."""
        self._folded = -1

    def snapshot(self, now: int, at: int, topic: Topic) -> bytes | None:
        if topic.kind in ACCOUNT:
            return self._of_account(now, at, topic)
        last = topic.last
        if last is None:
            return None
        where = {"source": last.source, "epoch": last.epoch, "seq": last.seq, "at": last.at}
        return snapshot(topic.name, **where, body=last.body)

    def _of_account(self, now: int, at: int, topic: Topic) -> bytes | None:
        """Not before all is folded that was said on the topic, as far as it was heard."""
        account = self._ledger.account
        epoch, first = self._lives.get("writer", (0, False))
        said, seq, n = self._last.get(topic.name, (0, 0, 0))
        if account is None or not self._ledger.current(now) or (said == epoch and account.n < n):
            return None
        if said != epoch and not first:  # it may have been said before we came
            where: dict[str, object] = {"epoch": epoch, "seq": None}
        else:
            where = {"epoch": epoch, "seq": seq if said == epoch else 0}
        of = account.n, epoch, where["seq"]
        if topic.snapshot is None or topic.snapshot[0] != of:
            rows = self._rows.of(account, topic.name)
            more = {"source": "writer", **where, "n": account.n, "at": at}
            topic.snapshot = of, snapshot(topic.name, **more, body=rows)
        return topic.snapshot[1]
