"""What the sweep kills beside appends: migrating, backing up, restoring."""

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from sqlalchemy.exc import DBAPIError

from actors.writer.anchor import AnchorFile
from actors.writer.backup import back_up
from actors.writer.database import Failed
from actors.writer.migrate import HEAD
from actors.writer.restore import put_back
from actors.writer.store import Store
from actors.writer.verify import verify
from protocol.config import Settings, read
from protocol.facts import AnyFact, natural_id
from protocol.runtime.ledger import connect_read_only
from tests.actors.writer.audit import Acknowledged, audit
from tests.actors.writer.former import write_former
from tests.actors.writer.samples import accepted, balance, fill, intended, wanted

ROOT = Path(__file__).parents[3]
OWNER = "paper/paper"
FACTS: list[AnyFact] = [intended(), accepted(), fill("t1"), balance(), fill("t2")]
IDS = {natural_id(fact): n for n, fact in enumerate(FACTS, 1)}
LATE = {natural_id(fill("late")): 6}

Say = Callable[[int, str], object]


@contextmanager
def one_line() -> Iterator[None]:
    """What the command would say in one line and exit with, as Failed."""
    try:
        yield
    except (DBAPIError, OSError) as e:
        raise Failed(str(e)) from e


def former_ledger(path: str) -> None:
    """A ledger of the first schema."""
    write_former(path, FACTS, [])


def migrating(path: str, say: Say) -> None:
    """Open it: the schema is brought up to date."""
    store = Store(path)
    store.open()
    say(0, "migrated")


def check_migrated(path: str, said: Acknowledged) -> list[str]:
    """The old schema or the new one; a copy under its name is whole; every entry is there."""
    wrong = []
    with closing(sqlite3.connect(path)) as database:
        tables = {name for (name,) in database.execute("SELECT name FROM sqlite_schema")}
        found = "0001"
        if "alembic_version" in tables:
            [(found,)] = database.execute("SELECT version_num FROM alembic_version").fetchall()
        if any(name.endswith("_0001") for name in tables) or found not in ("0001", HEAD):
            wrong.append(f"between two schemas: {found} with {sorted(tables)}")
        if "migrated" in said and found != HEAD:
            wrong.append("said to be migrated, and is not")
    copy = f"{path}.before-{HEAD}"
    if os.path.exists(copy):
        with closing(sqlite3.connect(copy)) as database:
            kept = database.execute("SELECT id, n FROM entries").fetchall()
            if dict(kept) != IDS:
                wrong.append(f"the copy has {kept}")
    elif found == HEAD:
        wrong.append("migrated without a copy")
    return wrong + audit(path, IDS)


def a_ledger(path: str) -> None:
    """A closed ledger of five entries, and the settings of a profile around it."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    store = Store(path, OWNER)
    store.open()
    store.commit(wanted(*FACTS), 1)
    store.close()


def backing_up(path: str, say: Say) -> None:
    """Make a backup and say so."""
    with one_line():
        back_up(path, f"{path}.copy")
    say(0, "backed-up")


def check_backed_up(path: str, said: Acknowledged) -> list[str]:
    """What has the backup's name is one, what was announced has its name."""
    copy = f"{path}.copy"
    if not os.path.exists(copy):
        missing = ["announced, and not there"] if "backed-up" in said else []
        return missing + audit(path, IDS)
    with connect_read_only(copy) as connection:
        verdict = verify(connection, copy)
    short = [] if verdict.head == len(FACTS) else [f"a backup of {verdict.head} entries"]
    return short + list(verdict.problems) + audit(path, IDS)


def a_ledger_and_a_backup(path: str) -> None:
    """A backup of five entries beside a ledger of six."""
    a_ledger(path)
    back_up(path, f"{path}.copy")
    store = Store(path, OWNER)
    store.open()
    store.commit(wanted(fill("late")), 2)
    store.close()


def settings_of(path: str) -> Settings:
    folder = os.path.dirname(path)
    text = (ROOT / "configs" / "paper.toml").read_text()
    text = text.replace('"run/paper"', f'"{folder}/run"').replace('"var/paper"', f'"{folder}"')
    os.chmod(folder, 0o700)
    return read(text, {}, "paper.toml")


def restoring(path: str, say: Say) -> None:
    """Put the backup back and say so."""
    with one_line():
        put_back(settings_of(path), f"{path}.copy")
    say(0, "restored")


def check_restored(path: str, said: Acknowledged) -> list[str]:
    """The former ledger whole, or the backup with the word that it is one, or a refusal to open
    that the command, given again, ends."""
    store = Store(path, OWNER)
    try:
        store.open()
    except Failed as e:
        store.close()
        if "restored" in said:
            return [f"said to be restored, and does not open: {e}"]
        put_back(settings_of(path), f"{path}.copy")
        return check_restored(path, {"restored": 0})
    found = {entry.id: entry.n for entry in store.entries(0, 100)}
    store.close()
    with connect_read_only(path) as connection:
        wrong = list(verify(connection, path, AnchorFile(path).read()).problems)
    told = [id for id in found if id.startswith("restored:")]
    rest = {id: n for id, n in found.items() if id not in told}
    if rest == IDS | LATE and not told and "restored" not in said:
        return wrong
    if rest == IDS and len(told) == 1:
        return wrong
    return [*wrong, f"neither the one nor the other: {found}"]
