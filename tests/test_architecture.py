"""Which file may import what. The arrows of the architecture, as a test.

protocol (pure)  <-  actors/*/core  <-  actors/*/shell  ->  protocol/runtime
protocol         <-  supervisor
"""

import ast
import functools
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PURE_STDLIB = {
    "abc",
    "bisect",
    "collections",
    "contextlib",
    "dataclasses",
    "datetime",
    "enum",
    "functools",
    "hashlib",
    "hmac",
}
PURE_STDLIB |= {"heapq", "html", "itertools", "json", "math", "operator", "re", "string"}
PURE_STDLIB |= {"tomllib", "types", "typing", "urllib.parse", "base64", "uuid"}
DICE = {"random"}  # as a type and an argument: never random.random()
AMBIENT = {("random", name) for name in ("random", "choice", "randint", "uniform", "seed")}
AMBIENT |= {("datetime", "now"), ("date", "today"), ("datetime", "utcnow"), ("datetime", "today")}
AMBIENT |= {("uuid", name) for name in ("uuid1", "uuid4")}
IO_FILES = {"shell.py", "store.py", "web.py", "signing.py", "__main__.py"}
IO_FILES |= {"runner.py", "cli.py", "setup.py"}  # of the supervisor
LEDGER = "actors/writer"
LEDGER_IO = {
    f"{LEDGER}/{name}.py"
    for name in (
        "adopt", "anchor", "backup", "booking", "commands", "database", "journal", "keeper",
        "ledger", "migrate", "opening", "restore", "tables", "verify",
    )
}  # fmt: skip
GATEWAY_IO = {f"actors/gateway/{name}.py" for name in ("callers", "latch", "panic", "wire")}
API_IO = {
    f"actors/api/{name}.py"
    for name in ("answers", "answers_thread", "client", "files", "sign_in", "sockets")
}
PAPER_IO = {f"actors/paper/{name}.py" for name in ("control", "desk", "replies")}
STREAM_IO = {f"actors/stream/{name}.py" for name in ("handshake", "socket", "wishes")}
SUPERVISOR_IO = {
    f"supervisor/{name}.py"
    for name in (
        "arming",
        "ask",
        "brakes",
        "confirm",
        "follow",
        "letters",
        "replay",
        "sign_in",
        "stop",
        "tap",
        "token",
    )
}
MIGRATIONS = {path.relative_to(ROOT).as_posix() for path in (ROOT / LEDGER).rglob("versions/*.py")}
# Who of the writer's process may open a file: see database.py. Of the database none of them does:
# the lock, the anchor, /proc, and copies that nobody else knows yet.
OPENERS = {f"{LEDGER}/{name}.py" for name in ("anchor", "backup", "database", "migrate", "restore")}
OPENING = ("open", "os.open", "os.fdopen", "os.copy_file_range", "os.sendfile")
READING = ("read_bytes", "read_text", "write_bytes", "write_text")
NO_FILE = {f"{LEDGER}/commands.py"}  # /dev/null
HOMES = {
    "zmq": {"protocol/runtime/bus.py"},
    "websockets": {
        "actors/stream/handshake.py", "actors/stream/socket.py",
        "actors/api/client.py", "actors/api/sockets.py",
    },
    "requests": {"actors/gateway/wire.py"},
    "urllib3": {"actors/gateway/wire.py"},
    "sqlalchemy": {
        "protocol/runtime/ledger.py", "protocol/runtime/evidence.py",
        "actors/rehydrator/store.py", f"{LEDGER}/store.py",
        *(LEDGER_IO - {f"{LEDGER}/anchor.py", f"{LEDGER}/keeper.py"}), *MIGRATIONS,
        f"{LEDGER}/market/store.py",
    },
    "alembic": {f"{LEDGER}/migrate.py", *MIGRATIONS},
    "sqlite3": {"actors/api/answers.py"},
    "starlette": {
        "actors/api/web.py", "actors/paper/control.py", "actors/paper/replies.py",
        "actors/paper/web.py", "supervisor/shell.py",
    },
    "uvicorn": {
        "protocol/runtime/http.py", "protocol/runtime/http_connection.py",
        "protocol/runtime/http_answers.py", "protocol/runtime/http_room.py",
        "actors/paper/shell.py",
    },
    "httptools": {"protocol/runtime/http_connection.py"},
}  # fmt: skip
FUNCTION_LINES_MAX = 60
FILES = sorted(
    path for top in ("protocol", "actors", "supervisor") for path in (ROOT / top).rglob("*.py")
)


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@functools.cache
def tree(path: Path) -> ast.Module:
    """A file, read once for all that is asked about it."""
    return ast.parse(path.read_text())


@functools.cache
def nodes(path: Path) -> tuple[ast.AST, ...]:
    return tuple(ast.walk(tree(path)))


@functools.cache
def imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in nodes(path):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            assert node.module is not None
            found.add(node.module)
            if node.module.split(".")[0] in ("protocol", "actors", "supervisor"):
                found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def is_pure(path: Path) -> bool:
    if "runtime" in path.relative_to(ROOT).parts or path.name in IO_FILES:
        return False
    impure = LEDGER_IO | GATEWAY_IO | API_IO | PAPER_IO | STREAM_IO | SUPERVISOR_IO | MIGRATIONS
    return name_of(path) not in impure


PURE = [path for path in FILES if is_pure(path)]
IMPURE = {name_of(path).removesuffix(".py").replace("/", ".") for path in FILES if path not in PURE}


def test_the_walls_are_looked_at() -> None:
    assert len(PURE) > 20
    assert any(path.name == "core.py" for path in PURE)
    names = {name_of(path) for path in PURE}
    assert {f"{LEDGER}/core.py", f"{LEDGER}/batch.py", "protocol/ledger.py"} <= names
    assert {f"{LEDGER}/market/{name}.py" for name in ("core", "batch", "retention")} <= names
    assert {"protocol/audit.py", "protocol/account.py", "protocol/facts.py"} <= names
    assert {
        name_of(path) for path in FILES
    } >= LEDGER_IO | OPENERS | NO_FILE | MIGRATIONS | STREAM_IO


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_imports_run_one_way(path: Path) -> None:
    parts = path.relative_to(ROOT).parts
    home = ".".join(parts[:2])
    for name in imports(path):
        top = name.split(".")[0]
        if top == "actors":
            assert parts[0] == "actors", f"{name}: only actors know actors"
            assert name == home or name.startswith(home + "."), "an actor imports only itself"
        elif top == "supervisor":
            assert parts[0] == "supervisor", f"{name}: no one imports the supervisor"
        elif parts[0] == "protocol" and "runtime" not in parts:
            assert "runtime" not in name.split("."), f"{name}: the ground stands on no runtime"


@pytest.mark.parametrize("path", PURE, ids=name_of)
def test_pure_files_import_only_what_is_pure(path: Path) -> None:
    for name in imports(path):
        top = name.split(".")[0]
        if top in ("protocol", "actors", "supervisor"):
            assert "runtime" not in name.split("."), f"{name} does I/O"
            assert name not in IMPURE, f"{name} does I/O"
        else:
            allowed = PURE_STDLIB | DICE | {"msgspec", "collections.abc", "msgspec.structs"}
            exactly = name == "http"  # its words for a status, not its client
            assert name in allowed or top in allowed or exactly, f"{name} is not for pure files"


@pytest.mark.parametrize("path", PURE, ids=name_of)
def test_pure_files_read_no_clock_and_roll_no_ambient_dice(path: Path) -> None:
    for node in nodes(path):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            assert (node.value.id, node.attr) not in AMBIENT, f"line {node.lineno}"
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id not in ("open", "print", "input", "exec", "eval"), (
                f"line {node.lineno}"
            )


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_each_library_that_does_io_has_one_home(path: Path) -> None:
    for name in imports(path):
        homes = HOMES.get(name.split(".")[0])
        assert homes is None or name_of(path) in homes, f"{name} is not at home here"


def opened_files(text: str) -> list[str]:
    """What a module opens, by whichever way there is: each call as it is written."""
    found = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            module = node.module if isinstance(node, ast.ImportFrom) else None
            names = {module or "", *(alias.name for alias in node.names)}
            found += sorted(names & {"shutil", "io", "mmap", "fileinput", "codecs", "sqlite3"})
        if not isinstance(node, ast.Call):
            continue
        call = ast.unparse(node.func)
        method = call.rpartition(".")[2]
        if call in OPENING or method in READING or call.startswith("Path(") and method == "open":
            found.append(ast.unparse(node))
    return found


@pytest.mark.parametrize(
    "text",
    [
        "open(path)", "os.open(path, os.O_RDONLY)", "Path(path).read_bytes()", "import shutil",
        "path.read_text()", "Path(path).open()", "from shutil import copyfile", "import sqlite3",
        "with open(f'{path}-wal', 'rb') as file: pass",
    ],
)  # fmt: skip
def test_an_opened_file_is_seen(text: str) -> None:
    assert opened_files(text)


@pytest.mark.parametrize("path", [p for p in FILES if name_of(p).startswith(LEDGER)], ids=name_of)
def test_nobody_opens_the_database_but_sqlite(path: Path) -> None:
    """To close a file of its own would drop the locks that SQLite holds in the process."""
    found = opened_files(path.read_text())
    if name_of(path) in OPENERS:
        forbidden = [call for call in found if "-wal" in call or "-shm" in call]
        if path.name == "database.py":
            forbidden = [call for call in found if "/proc/" not in call]
        elif path.name == "anchor.py":
            forbidden = [c for c in found if ".end" not in c and not c.startswith("os.open(path, ")]
        assert forbidden == []
    elif name_of(path) in NO_FILE:
        assert [call for call in found if "os.devnull" not in call] == []
    else:
        assert found == []


@pytest.mark.parametrize("path", [p for p in FILES if name_of(p).startswith(LEDGER)], ids=name_of)
def test_the_keeper_and_the_ledger_share_no_process(path: Path) -> None:
    """The writer's process knows of trades and quotes only what is said of them; the keeper's
    knows nothing of the ledger."""
    market = f"{LEDGER}.market".replace("/", ".")
    own = {name for name in imports(path) if name.startswith("actors.writer")}
    if path.parent.name != "market":
        own = {name for name in own if name.startswith(market)}
        assert {".".join(name.split(".")[:4]) for name in own} <= {f"{market}.wire"}
    else:
        shared = (market, "actors.writer.database")
        assert [name for name in own if not name.startswith(shared)] == []


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_functions_fit_a_screen_and_errors_are_not_swallowed(path: Path) -> None:
    for node in nodes(path):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno is not None
            assert node.end_lineno - node.lineno < FUNCTION_LINES_MAX, f"{node.name} is too long"
        if isinstance(node, ast.ExceptHandler):
            assert node.type is not None, f"line {node.lineno}: a bare except"
            assert not (len(node.body) == 1 and isinstance(node.body[0], ast.Pass)), (
                f"line {node.lineno}: except: pass"
            )


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_every_module_says_what_it_is(path: Path) -> None:
    assert ast.get_docstring(tree(path)), "a module begins with one line"


CALLED = {  # what sends orders has one way to it, and who may go it
    "Pass": {"actors/gateway/brakes.py"},
    "Signer": {"actors/gateway/wire.py", "actors/stream/shell.py"},
    "self._signer.headers": {"actors/gateway/wire.py", "actors/stream/handshake.py"},
    "MakeCall": {"actors/gateway/core.py"},
}


@functools.cache
def callers() -> dict[str, set[str]]:
    """By what is called, the files in which it is."""
    found: dict[str, set[str]] = {}
    for path in FILES:
        for node in nodes(path):
            if isinstance(node, ast.Call):
                found.setdefault(ast.unparse(node.func), set()).add(name_of(path))
    return found


@pytest.mark.parametrize("name", CALLED)
def test_no_order_goes_by_another_way_than_past_the_brakes(name: str) -> None:
    assert callers().get(name) == CALLED[name]
