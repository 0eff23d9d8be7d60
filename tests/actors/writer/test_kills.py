"""Five hundred times kill -9 of the real writer, in the middle of whatever it was doing."""

import os
import random
import subprocess
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.actors.writer.audit import audit
from tests.actors.writer.nursery import Life
from tests.actors.writer.samples import fill
from tests.actors.writer.surroundings import RETELL_MS, Surroundings, surroundings

KILLS = int(os.environ.get("SIDECAR_KILLS", "500"))
LANES = 2
START_S = 0.2  # about as long as a writer that has imported everything needs until it is ready
ACKS_MAX = 100  # of one life
IN_FLIGHT_MAX = 40
MOMENT_S = 0.01  # some commits


class Producer:
    """Keeps appends in flight, some of them twice, and knows how the last life of each ended."""

    def __init__(self, around: Surroundings, dice: random.Random) -> None:
        self._around = around
        self._dice = dice
        self._told = 0

    def live_until_killed(self) -> None:
        """One life of the writer: it dies during its start, or some answers and a moment later."""
        process = self._around.begin()
        self._around.tell_again()
        if self._dice.randrange(8):
            self._produce(process, self._dice.randint(1, ACKS_MAX))
            moment = self._dice.uniform(0, MOMENT_S)
        else:
            moment = self._dice.uniform(0, START_S)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(moment)  # it lives until it is killed
        process.kill()
        process.wait()

    def _produce(self, process: Life, count: int) -> None:
        in_flight = self._dice.randint(1, IN_FLIGHT_MAX)
        heard = 0
        while heard < count:
            while len(self._around.unanswered) < in_flight:
                self._tell()
            now = self._around.hear(RETELL_MS)
            heard += now
            if not now:
                assert process.poll() is None, self._around.log()
                self._around.tell_again()

    def _tell(self) -> None:
        if self._told and not self._dice.randrange(10):
            self._around.tell(fill(f"t{self._dice.randrange(self._told)}"))
        else:
            self._around.tell(fill(f"t{self._told}"))
            self._told += 1


def lane(seed: int) -> tuple[list[str], int]:
    """What is wrong after so many lives, and how many entries were acknowledged."""
    with surroundings() as around:
        producer = Producer(around, random.Random(seed))
        for _ in range(KILLS // LANES):
            producer.live_until_killed()
        last = around.start()
        assert around.append(last, fill("last")), around.log()
        last.terminate()
        assert last.wait() == 0
        return audit(around.ledger, around.acknowledged), len(around.acknowledged)


def test_what_was_acknowledged_survives_five_hundred_kills() -> None:
    with ThreadPoolExecutor(LANES) as lanes:
        for wrong, acknowledged in lanes.map(lane, range(LANES)):
            assert wrong == []
            assert acknowledged > KILLS
