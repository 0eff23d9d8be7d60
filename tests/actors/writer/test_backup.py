"""Backups: announced only once they are proved, made beside a living writer, put back whole."""

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from actors.writer.adopt import adopt
from actors.writer.anchor import AnchorFile
from actors.writer.backup import back_up
from actors.writer.database import Failed
from actors.writer.ledger import entries_after
from actors.writer.restore import put_back
from actors.writer.store import Opened, Store
from actors.writer.verify import verify
from protocol.audit import Damage
from protocol.config import Settings, read
from protocol.errors import ConfigError
from protocol.facts import AnyFact, LedgerRestored
from protocol.runtime.ledger import connect_read_only
from protocol.runtime.process import LockHeld, next_epoch, take_lock
from tests.actors.writer.samples import PRICE_REFUSED, accepted, balance, fill, intended, wanted

AT = 1_782_873_388_379_000
ROOT = Path(__file__).parents[3]
OWNER = "paper/paper"
DERIVED = ("orders", "fills", "positions", "balances", "poison")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    text = (ROOT / "configs" / "paper.toml").read_text()
    text = text.replace('"run/paper"', f'"{tmp_path}/run"').replace(
        '"var/paper', f'"{tmp_path}/var'
    )
    for name in ("run", "var"):
        (tmp_path / name).mkdir(0o700)
    (tmp_path / "paper.toml").write_text(text)
    return read(text, {}, "paper.toml")


@pytest.fixture
def path(settings: Settings) -> str:
    """A ledger of six entries and one fact set aside."""
    path = f"{settings.var_dir}/ledger.db"
    live(path, [intended(), accepted()], [fill("t1"), fill("t2", price=PRICE_REFUSED)])
    live(path, [fill("t3"), balance(), fill("t4")])
    return path


def live(path: str, *batches: list[AnyFact]) -> None:
    store = Store(path, OWNER)
    store.open()
    for batch in batches:
        store.commit(wanted(*batch), AT)
    store.close()


def reopened(path: str, owner: str = OWNER) -> Opened:
    store = Store(path, owner)
    try:
        return store.open()
    finally:
        store.close()


def problems(path: str) -> tuple[str, ...]:
    with connect_read_only(path) as connection:
        return verify(connection, path).problems


def facts(path: str) -> list[tuple[int, str]]:
    with connect_read_only(path) as connection:
        return [(entry.n, entry.id) for entry in entries_after(connection, 0)]


def tables(path: str) -> list[list[tuple[object, ...]]]:
    with closing(sqlite3.connect(path)) as found:
        return [found.execute(f"SELECT * FROM {t} ORDER BY 1, 2").fetchall() for t in DERIVED]


def change(path: str, *statements: str) -> None:
    with closing(sqlite3.connect(path)) as found, found:
        for statement in statements:
            found.execute(statement)


def sidecar(settings: Settings, *words: str) -> "subprocess.CompletedProcess[str]":
    folder = Path(settings.var_dir).parent
    return subprocess.run(
        [str(Path(sys.executable).parent / "sidecar"), *words],
        env=os.environ | {"SIDECAR_CONFIG": f"{folder}/paper.toml"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )


# Making one


def test_a_backup_is_the_ledger_and_its_tables_are_the_fold_of_its_entries(
    path: str, tmp_path: Path
) -> None:
    target = str(tmp_path / "copy.db")
    n, last = back_up(path, target)
    assert (n, facts(target)) == (6, facts(path))
    assert tables(target) == tables(path), "made from the entries, and the same as the live ones"
    assert problems(target) == ()
    with connect_read_only(target) as connection:
        assert verify(connection, target).hash == last
    assert sorted(os.listdir(tmp_path)) == ["copy.db", "paper.toml", "run", "var"], "and no scraps"


def test_a_backup_is_made_beside_a_writer_that_goes_on(path: str, tmp_path: Path) -> None:
    store = Store(path, OWNER)
    store.open()
    store.commit(wanted(fill("t5")), AT)  # in the log file only
    assert back_up(path, str(tmp_path / "one.db"))[0] == 7
    store.commit(wanted(fill("t6")), AT)
    assert back_up(path, str(tmp_path / "two.db"))[0] == 8
    store.close()
    assert facts(str(tmp_path / "one.db")) == facts(path)[:7]


def test_a_backup_of_damaged_tables_is_sound(path: str, tmp_path: Path) -> None:
    before = tables(path)
    change(path, "UPDATE positions SET position = 7", "DELETE FROM fills WHERE trade_id = 't1'")
    assert problems(path)
    target = str(tmp_path / "copy.db")
    back_up(path, target)
    assert problems(target) == ()
    assert tables(target) == before


def test_a_backup_of_damaged_entries_is_not_made(path: str, tmp_path: Path) -> None:
    change(path, "DROP TRIGGER entries_stay", "UPDATE entries SET source = 'x' WHERE n = 2")
    target = str(tmp_path / "copy.db")
    with pytest.raises(Damage, match="entry 2 is not what was written"):
        back_up(path, target)
    assert not os.path.exists(target)


def test_a_backup_takes_nobody_elses_place(path: str, tmp_path: Path) -> None:
    target = tmp_path / "copy.db"
    target.write_text("mine")
    with pytest.raises(ConfigError, match="is there already"):
        back_up(path, str(target))
    assert target.read_text() == "mine"
    with pytest.raises(ConfigError, match="no such folder"):
        back_up(path, str(tmp_path / "no" / "copy.db"))
    with pytest.raises(Failed, match="there is no ledger"):
        back_up(str(tmp_path / "nothing.db"), str(tmp_path / "other.db"))


# Putting one back


def test_a_restored_ledger_says_so_first_and_keeps_the_former(
    path: str, settings: Settings, tmp_path: Path
) -> None:
    target = str(tmp_path / "copy.db")
    back_up(path, target)
    live(path, [fill("late")])
    epoch = next_epoch(settings.var_dir, "gateway")
    head, former = put_back(settings, target)
    assert head == 6
    assert facts(former)[-1] == (7, "fill:o1:late")
    with connect_read_only(path) as connection:
        *before, last = entries_after(connection, 0)
        assert verify(connection, path, AnchorFile(path).read()).problems == ()
    assert [e.n for e in before] == [1, 2, 3, 4, 5, 6]
    assert isinstance(last.fact, LedgerRestored) and last.fact.head == 6
    assert next_epoch(settings.var_dir, "gateway") > epoch
    assert reopened(path).head == 7, "the next writer goes on from there"


def test_a_backup_without_entries_is_a_restore_as_well(settings: Settings, tmp_path: Path) -> None:
    path, target = f"{settings.var_dir}/ledger.db", str(tmp_path / "copy.db")
    live(path)
    back_up(path, target)
    live(path, [intended()])
    put_back(settings, target)
    [(n, id)] = facts(path)
    assert n == 1 and id.startswith("restored:")


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE entries SET at = 1 WHERE n = 3",
        "DELETE FROM entries WHERE n = 3",
        "UPDATE positions SET position = 7",
        "UPDATE meta SET value = 'x' WHERE key = 'ledger'",
    ],
)
def test_a_backup_that_is_damaged_is_refused_and_nothing_is_moved(
    path: str, settings: Settings, tmp_path: Path, damage: str
) -> None:
    target = str(tmp_path / "copy.db")
    back_up(path, target)
    change(target, "DROP TRIGGER entries_stay", "DROP TRIGGER entries_remain", damage)
    before = Path(path).read_bytes()
    with pytest.raises((Failed, Damage)):
        put_back(settings, target)
    assert Path(path).read_bytes() == before
    assert not [name for name in os.listdir(settings.var_dir) if "restored" in name], "no scraps"
    assert not [name for name in os.listdir(settings.var_dir) if "replaced" in name]


def test_a_backup_of_another_account_is_refused(
    path: str, settings: Settings, tmp_path: Path
) -> None:
    target = str(tmp_path / "copy.db")
    back_up(path, target)
    assert adopt(target, "paper/other") == OWNER
    with pytest.raises(ConfigError, match="a backup of the account 'paper/other'"):
        put_back(settings, target)
    assert put_back(settings, target, new_key=True)[0] == 6
    assert reopened(path).head == 7, "it is of our account now"


def test_two_restores_keep_both_former_ledgers(
    path: str, settings: Settings, tmp_path: Path
) -> None:
    target = str(tmp_path / "copy.db")
    back_up(path, target)
    live(path, [fill("late")])
    _, first = put_back(settings, target)
    _, second = put_back(settings, target)  # within the same second
    assert first != second
    assert (len(facts(first)), len(facts(second))) == (7, 7)
    assert facts(first)[-1][1] == "fill:o1:late" and facts(second)[-1][1].startswith("restored:")
    assert put_back(settings, first)[0] == 7, "and what was put back can be undone"


def test_an_empty_file_is_not_opened_by_anybody(
    path: str, settings: Settings, tmp_path: Path
) -> None:
    """SQLite would remove the log file beside it."""
    target = str(tmp_path / "copy.db")
    back_up(path, target)
    store = Store(path, OWNER)
    store.open()
    store.commit(wanted(fill("late")), AT)
    log = Path(f"{path}-wal").read_bytes()
    store.close()
    os.truncate(path, 0)
    Path(f"{path}-wal").write_bytes(log)
    for words in (["verify"], ["backup"], ["ledger"], ["adopt"]):
        done = sidecar(settings, *words)
        assert (done.returncode, "is empty" in done.stderr) == (1, True), done.stderr
        assert Path(f"{path}-wal").read_bytes() == log
    _, former = put_back(settings, target)
    assert Path(f"{former}-wal").read_bytes() == log, "a restore keeps it, too"


def test_who_has_more_than_the_ledger_is_told_so(path: str, settings: Settings) -> None:
    for since in ("7", "-5", "9" * 30):
        done = sidecar(settings, "ledger", "--since", since)
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.startswith(f"ledger: {path}: ends at entry 6"), done.stderr


def test_nothing_is_restored_while_anything_runs(
    path: str, settings: Settings, tmp_path: Path
) -> None:
    target = str(tmp_path / "copy.db")
    back_up(path, target)
    for lock in (f"{settings.run_dir}/stream.lock", f"{settings.run_dir}/gateway.lock"):
        held = take_lock(lock)
        with pytest.raises(LockHeld):
            put_back(settings, target)
        os.close(held)
    store = Store(path, OWNER)
    store.open()
    with pytest.raises(LockHeld):
        put_back(settings, target)
    store.close()
    assert put_back(settings, target)[0] == 6


def test_what_a_restore_left_half_done_is_no_ledger_and_can_be_done_again(
    path: str, settings: Settings, tmp_path: Path
) -> None:
    target = str(tmp_path / "copy.db")
    back_up(path, target)
    os.rename(path, f"{path}.replaced-then")  # killed here, between the two moves
    with pytest.raises(Failed, match="is gone or empty, with 6 entries"):
        reopened(path)
    assert not os.path.exists(path), "no new ledger is begun in its place"
    assert put_back(settings, target)[0] == 6
    assert problems(path) == ()


# A new key


def test_a_ledger_of_another_account_is_not_written(path: str) -> None:
    with pytest.raises(ConfigError, match="holds the account 'paper/paper'"):
        reopened(path, "paper/new")
    with pytest.raises(ConfigError, match="never 'live/new'"):
        adopt(path, "live/new")
    assert adopt(path, "paper/new") == OWNER
    how = reopened(path, "paper/new").how
    assert how.startswith("snapshot at 0, 6 entries replayed; refused: snapshot at 6")


# As a command


def test_the_commands_say_what_they_did_and_exit_as_they_should(
    path: str, settings: Settings, tmp_path: Path
) -> None:
    target = str(tmp_path / "copy.db")
    done = sidecar(settings, "verify")
    assert (done.returncode, done.stdout.startswith(f"{path}: sound, 6 entries")) == (0, True)
    done = sidecar(settings, "backup", target)
    assert (done.returncode, "6 entries, restored and verified" in done.stdout) == (0, True)
    done = sidecar(settings, "ledger", "--since", "5", "--json")
    assert (done.returncode, done.stdout.count("\n")) == (0, 1)
    assert done.stdout.startswith('{"type":"Entry","n":6,"id":"fill:o1:t4"')
    done = sidecar(settings, "restore", target)
    assert (done.returncode, "sidecar confirm-restore" in done.stdout) == (0, True)
    change(path, "UPDATE positions SET position = 7")
    done = sidecar(settings, "verify")
    assert (done.returncode, "positions ('KXA-1',): not what entry 6" in done.stdout) == (1, True)
    for words in (["verify", "nothing.db"], ["restore", "nothing.db"], ["backup", target]):
        done = sidecar(settings, *words)
        assert done.returncode in (1, 78)
        assert (done.stdout, done.stderr.count("\n")) == ("", 1), done.stderr
