"""The keeper as a real process beside a real writer, and a stream played by the test.

The promise: whatever becomes of trades and quotes, money is booked as if they were not there.
"""

import os
import re
import select
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import zmq

from protocol.envelope import Outbox, encode
from protocol.limits import SEND_QUEUE_MAX
from protocol.messages import Heartbeat
from protocol.runtime.process import STOPPED
from tests.actors.writer.audit import audit
from tests.actors.writer.market_samples import quote, trade
from tests.actors.writer.samples import fill
from tests.actors.writer.surroundings import PATIENCE_MS, ROOT, Surroundings, surroundings
from tests.actors.writer.test_disk import HOLD

KEPT = "\n[writer]\nkeep_market_days = 2\n"
PATIENCE_S = PATIENCE_MS / 1_000
FILLS = 200


class Market:
    """A stream that says trades and quotes, and knows when the keeper listens."""

    def __init__(self, around: Surroundings) -> None:
        self.around = around
        self.path = f"{around.var_dir}/market.db"
        self._context = zmq.Context()
        self._socket: zmq.Socket[bytes] = self._context.socket(zmq.XPUB)
        self._socket.set(zmq.SNDHWM, SEND_QUEUE_MAX)  # as the stream's own
        self._socket.bind(f"ipc://{around.folder}/run/bus/stream.pub")
        self.outbox = Outbox("stream", time.time_ns() // 1_000)

    def listened_to(self) -> None:
        """Wait until somebody has subscribed to all that the keeper wants."""
        wanted = {b"\x01trade.", b"\x01ticker.", b"\x01mark "}
        while wanted:
            assert self._socket.poll(PATIENCE_MS), f"not subscribed: {wanted}"
            wanted.discard(self._socket.recv())

    def say(self, count: int, ticker: str = "KXA-1") -> None:
        """So many trades and as many quotes, and a mark."""
        at = time.time_ns() // 1_000
        for _ in range(count):
            seq = self.outbox.seq(f"trade.{ticker}") + 1
            self._send(f"trade.{ticker}", trade(seq, ticker, at), at)
            self._send(f"ticker.{ticker}", quote(seq, ticker, at), at)
        for mark in self.outbox.marks(time.monotonic_ns() + 10**9 * self.outbox.seq("mark"), at):
            self._socket.send(encode(mark))

    def lose(self, count: int, ticker: str = "KXA-1") -> None:
        """So many trades that reach nobody."""
        for _ in range(count):
            seq = self.outbox.seq(f"trade.{ticker}") + 1
            self.outbox.seal(f"trade.{ticker}", trade(seq, ticker), 0)

    def _send(self, topic: str, body: object, at: int) -> None:
        self._socket.send(encode(self.outbox.seal(topic, body, at)))  # type: ignore[arg-type]

    def rows(self, statement: str) -> list[tuple[object, ...]]:
        with closing(sqlite3.connect(f"file:{self.path}?mode=ro", uri=True)) as database:
            return database.execute(statement).fetchall()

    def until(self, **wanted: int) -> Heartbeat:
        """The next heartbeat with these counters."""
        return self.around.heartbeat(
            lambda beat: all(beat.counters.get(name) == value for name, value in wanted.items())
        )

    def close(self) -> None:
        self._context.destroy(linger=0)


@pytest.fixture
def around() -> Iterator[Surroundings]:
    with surroundings() as around:
        around.settings = KEPT
        yield around


@pytest.fixture
def market(around: Surroundings) -> Iterator[Market]:
    market = Market(around)
    yield market
    market.close()


def keeper_of(writer: "subprocess.Popen[bytes]") -> int:
    """The pid of the writer's one child."""
    found = Path(f"/proc/{writer.pid}/task").glob("*/children")
    [pid] = [int(pid) for path in found for pid in path.read_text().split()]
    return pid


def gone(pid: int) -> bool:
    """Whether a process ends in time."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([descriptor], [], [], PATIENCE_S)[0])
    finally:
        os.close(descriptor)


def fills(first: int) -> list[object]:
    return [fill(f"t{i}") for i in range(first, first + FILLS)]


def test_what_the_stream_says_is_kept_and_counted(around: Surroundings, market: Market) -> None:
    writer = around.start()
    market.listened_to()
    market.say(50)
    market.lose(3)
    market.say(50)
    beat = market.until(kept_rows=200, kept_holes=2, keep_trouble=0)
    assert beat.ready and beat.reasons == ()
    assert market.rows("SELECT count(*), count(DISTINCT trade_id), max(seq) FROM trades") == [
        (100, 100, 103)
    ]
    assert market.rows("SELECT count(*), sum(ask - bid) FROM quotes") == [(100, 2_000_000)]
    holes = market.rows("SELECT topic, from_seq, to_seq FROM holes ORDER BY k")
    assert holes == [("*", 0, 0), ("trade.KXA-1", 51, 53)]
    keeper = keeper_of(writer)
    assert os.getpriority(os.PRIO_PROCESS, keeper) == 10, "money's processors first"
    writer.terminate()
    assert writer.wait(PATIENCE_S) == STOPPED and gone(keeper)
    assert os.stat(market.path).st_mode & 0o777 == 0o600


def test_switched_off_there_is_none(around: Surroundings) -> None:
    around.settings = ""
    writer = around.start()
    beat = around.heartbeat(lambda beat: beat.ready)
    assert not any(name.startswith("ke") for name in beat.counters)
    assert around.append(writer, fill("t1"))
    assert [p for p in Path(f"/proc/{writer.pid}/task").glob("*/children") if p.read_text()] == []
    assert not os.path.exists(f"{around.var_dir}/market.db")


# Money does not wait


def test_money_is_booked_while_somebody_holds_the_market_database(
    around: Surroundings, market: Market
) -> None:
    writer = around.start()
    market.listened_to()
    market.say(10)
    market.until(kept_rows=20)
    pipe = subprocess.PIPE
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, market.path], stdin=pipe, stdout=pipe, text=True
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    market.say(1_000)
    beat = market.until(keep_trouble=1)
    assert beat.ready and beat.reasons == (), "nothing of it is a reason to be unready"
    assert around.append(writer, *fills(0))  # type: ignore[arg-type]
    beat = market.until(kept_rows=20, keep_trouble=1, entries=FILLS)
    assert beat.ready and beat.counters["keep_lag_ms"] > 0
    holder.communicate("")
    beat = market.until(kept_rows=2_020, keep_trouble=0)
    assert beat.counters["kept_holes"] == 1, "nothing was lost: it waited"
    said = [line for line in around.log().splitlines() if "kept" in line]
    assert len(said) == 2, said
    assert f"market.db: database is locked, held by pid {holder.pid}" in said[0]
    assert said[1].endswith("trades and quotes are kept again")
    writer.terminate()
    assert writer.wait(PATIENCE_S) == STOPPED
    assert len(around.acknowledged) == FILLS
    assert audit(around.ledger, around.acknowledged) == []


def test_money_is_booked_while_the_keeper_stands_still(
    around: Surroundings, market: Market
) -> None:
    writer = around.start()
    market.listened_to()
    market.say(10)
    market.until(kept_rows=20)
    keeper = keeper_of(writer)
    os.kill(keeper, signal.SIGSTOP)
    market.say(1_000)
    assert around.append(writer, *fills(0))  # type: ignore[arg-type]
    assert market.until(entries=FILLS, kept_rows=20).ready
    os.kill(keeper, signal.SIGCONT)
    assert market.until(kept_rows=2_020, keep_trouble=0).counters["kept_holes"] == 1


@pytest.mark.parametrize("content", [b"no database at all" * 100, b"SQLite format 3\0" * 300])
def test_money_is_booked_beside_a_file_that_is_broken(
    around: Surroundings, market: Market, content: bytes
) -> None:
    os.makedirs(around.var_dir, mode=0o700)
    Path(market.path).write_bytes(content)
    writer = around.start()
    assert market.until(keep_trouble=1).ready
    assert around.append(writer, *fills(0))  # type: ignore[arg-type]
    assert market.until(keep_trouble=1, entries=FILLS).ready
    assert around.log().count("trades and quotes are not kept") == 1, "said once"
    os.rename(market.path, f"{market.path}.away")
    market.until(keep_trouble=0)
    market.say(10)
    market.until(kept_rows=20)


# Ends


def test_a_keeper_that_is_killed_is_started_again_and_knows_what_it_missed(
    around: Surroundings, market: Market
) -> None:
    writer = around.start()
    market.listened_to()
    market.say(10)
    market.until(kept_rows=20)
    os.kill(keeper_of(writer), signal.SIGKILL)
    beat = market.until(keep_trouble=1)
    assert beat.ready and "its process ended with -9" in around.log()
    market.say(7)  # to nobody
    market.listened_to()
    market.say(1)
    market.until(kept_rows=22, keep_trouble=0)
    holes = market.rows("SELECT topic, from_seq, to_seq FROM holes WHERE topic != '*' ORDER BY 1")
    assert holes == [("mark", 2, 2), ("ticker.KXA-1", 11, 17), ("trade.KXA-1", 11, 17)]


def test_a_writer_that_is_killed_takes_its_keeper_along(
    around: Surroundings, market: Market
) -> None:
    writer = around.start()
    market.listened_to()
    market.say(10)
    market.until(kept_rows=20)
    keeper = keeper_of(writer)
    writer.kill()
    writer.wait(PATIENCE_S)
    assert gone(keeper)
    around.start()
    market.listened_to()
    market.say(10)
    assert market.until(kept_rows=20).counters["kept_holes"] == 0, "nothing was said meanwhile"
    assert market.rows("SELECT count(*), max(seq) FROM trades") == [(20, 20)]


# The questions on the page


def test_the_questions_in_the_manual_have_answers(around: Surroundings, market: Market) -> None:
    if shutil.which("sqlite3") is None:
        pytest.skip("the sqlite3 command is not installed")
    page = (ROOT / "docs" / "OPERATIONS.md").read_text()
    [questions] = re.findall(r"```sql\n(.*?)```", page, re.DOTALL)
    assert "sqlite3 -readonly -header var/paper/market.db < questions.sql" in page
    around.start()
    market.listened_to()
    market.say(3, "KXBTCD-26JUL0317-T60499.99")
    market.lose(2, "KXBTCD-26JUL0317-T60499.99")
    market.say(1, "KXBTCD-26JUL0317-T60499.99")
    market.until(kept_rows=8)
    command = ["sqlite3", "-readonly", "-header", market.path]
    done = subprocess.run(command, input=questions, text=True, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0] == "time|taker_side|price|contracts"
    assert len([line for line in lines if line.endswith("|yes|0.56|10.0")]) == 4
    assert lines.count("0.55|0.57") == 1
    assert [line for line in lines if line.startswith("trade.KXBTCD")][0].split("|")[1] == "2"
