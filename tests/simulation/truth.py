"""The ledger on the disk, followed entry by entry and folded anew from its beginning.

What is on disk never changes and never vanishes; the tables are the fold of the entries; and
every copy of the account is the fold up to its number.
"""

from actors.api.core import Api
from actors.gateway.core import Gateway
from actors.rehydrator.core import Rehydrator
from actors.writer.core import Writer
from protocol import topics
from protocol.account import Account
from protocol.audit import Audit, read_entry
from protocol.facts import natural_id
from protocol.follower import LedgerFollower
from protocol.ledger import DERIVED, ENTRY_COLUMNS, Key, renamed
from protocol.messages import AccountState, Entry
from protocol.runtime.ledger import Scan
from tests.simulation.disk import PATH, Disk
from tests.simulation.keepers import Keeper
from tests.simulation.world import World


class Truth:
    """What the disk has said so far."""

    def __init__(self) -> None:
        self._audit = Audit()
        self._version = -1
        self._published = 0
        self.entries: list[Entry] = []
        self.states: list[AccountState] = [AccountState(0)]  # by number
        self.numbers: dict[str, int] = {}  # by id
        self._tables: dict[str, dict[Key, tuple[object, ...]]] = {name: {} for name in DERIVED}

    @property
    def account(self) -> Account:
        return self._audit.account

    def follow(self, disk: Disk) -> None:
        """Take what is new on the disk, and hold the tables against it."""
        if disk.version == self._version:
            return
        self._version = disk.version
        head = len(self.entries)
        if head:
            last = disk.select("SELECT hash FROM entries WHERE n = ?", head)
            assert last == [(self._audit.hash,)], f"entry {head} is gone or another one"
        columns = ", ".join(ENTRY_COLUMNS)
        for row in disk.select(f"SELECT {columns} FROM entries WHERE n > ? ORDER BY n", head):
            self._take(row)
        for name, shape in DERIVED.items():
            columns = ", ".join(f'"{column}"' for column in shape.columns)
            at = [shape.columns.index(column) for column in shape.key]
            rows = disk.select(f"SELECT {columns} FROM {name}")
            found = {tuple(row[i] for i in at): row for row in rows}
            assert found == self._tables[name], f"{name} is not the fold of the entries"

    def _take(self, row: tuple[object, ...]) -> None:
        entry = read_entry(row)
        assert entry.id == natural_id(entry.fact)
        assert entry.id not in self.numbers, f"{entry.id} is on record twice"
        for made in self._audit.take([row]):
            table, key, values = made
            if renamed(made) and renamed(made) != key[0]:
                self._tables[table].pop((renamed(made),), None)
            self._tables[table][key] = values
        self.entries.append(entry)
        self.numbers[entry.id] = entry.n
        self.states.append(self.account.state())

    def check_published(self, world: World) -> None:
        """Nothing is said of the ledger that is not on disk."""
        published = world.bus.published
        for envelope in published[self._published :]:
            if envelope.topic == topics.LEDGER:
                entry = envelope.body
                assert isinstance(entry, Entry)
                assert entry.n <= len(self.entries), f"{entry.id} was published and is not there"
                assert entry == self.entries[entry.n - 1], f"entry {entry.n} was published as else"
        self._published = len(published)

    def check_acknowledged(self, world: World) -> None:
        """What was acknowledged is there, under its number."""
        for id, n in world.bus.acknowledged.items():
            found = self.numbers.get(id)
            assert found == n, f"{id} was acknowledged as entry {n} and is {found}"

    def check_copies(self, world: World) -> None:
        """Each copy of the account is the fold of the entries up to its number."""
        for name, account in copies(world).items():
            if account is not None:
                assert account.n < len(self.states), f"the {name} is ahead of the disk"
                right = account.state() == self.states[account.n]
                assert right, f"the {name}'s account is wrong at entry {account.n}"

    def check_copies_meet(self, world: World) -> None:
        """Each copy has come to the end."""
        for name, account in copies(world).items():
            assert account is not None, f"the {name} has no account"
            assert account.n == len(self.entries), f"the {name} is behind"


def copies(world: World) -> dict[str, Account | None]:
    """The copies of the account, by the process that has it."""
    found: dict[str, Account | None] = {}
    for name, process in world.processes.items():
        match process and process.core:
            case Rehydrator(ledger=ledger) | Gateway(ledger=ledger) | Api(_ledger=ledger):
                assert isinstance(ledger, LedgerFollower)
                found[name] = ledger.account
            case Writer():
                assert process is not None
                assert isinstance(process.disk, Keeper)
                found[name] = process.disk.account
    return found


def check_proved(disk: Disk) -> None:
    """The ledger's own audit finds nothing. Raises Damage."""
    scan = Scan()
    connection = disk.read_only(PATH)
    try:
        while not scan.next(connection).ended:
            continue
    finally:
        connection.close()
