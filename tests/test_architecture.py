"""Which file may import what. The arrows of the architecture, as a test.

protocol (pure)  <-  actors/*/core  <-  actors/*/shell  ->  protocol/runtime
protocol         <-  supervisor
"""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PURE_STDLIB = {"bisect", "collections", "dataclasses", "datetime", "enum", "functools", "hashlib"}
PURE_STDLIB |= {"heapq", "html", "itertools", "json", "math", "operator", "re", "string"}
PURE_STDLIB |= {"tomllib", "types", "typing", "urllib.parse", "base64", "uuid"}
DICE = {"random"}  # as a type and an argument: never random.random()
AMBIENT = {("random", name) for name in ("random", "choice", "randint", "uniform", "seed")}
AMBIENT |= {("datetime", "now"), ("date", "today"), ("datetime", "utcnow"), ("datetime", "today")}
AMBIENT |= {("uuid", name) for name in ("uuid1", "uuid4")}
IO_FILES = {"shell.py", "store.py", "web.py", "signing.py", "__main__.py"}
IO_FILES |= {"runner.py", "cli.py", "setup.py"}  # of the supervisor
HOMES = {
    "zmq": {"protocol/runtime/bus.py"},
    "websockets": {"actors/stream/shell.py"},
    "requests": {"actors/gateway/shell.py"},
    "urllib3": {"actors/gateway/shell.py"},
    "sqlalchemy": {"actors/writer/store.py", "actors/rehydrator/store.py"},
    "sqlite3": set(),
    "starlette": {"actors/api/web.py", "actors/paper/web.py", "supervisor/shell.py"},
    "uvicorn": {"protocol/runtime/http.py", "actors/paper/web.py", "actors/paper/shell.py"},
}
FUNCTION_LINES_MAX = 60
FILES = sorted(
    path for top in ("protocol", "actors", "supervisor") for path in (ROOT / top).rglob("*.py")
)


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            assert node.module is not None
            found.add(node.module)
    return found


def is_pure(path: Path) -> bool:
    return "runtime" not in path.relative_to(ROOT).parts and path.name not in IO_FILES


PURE = [path for path in FILES if is_pure(path)]


def test_the_walls_are_looked_at() -> None:
    assert len(PURE) > 20
    assert any(path.name == "core.py" for path in PURE)


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
            assert not name.endswith((".shell", ".store", ".web", ".signing")), f"{name} does I/O"
        else:
            allowed = PURE_STDLIB | DICE | {"msgspec", "collections.abc", "msgspec.structs"}
            assert name in allowed or top in allowed, f"{name} is not for pure files"


@pytest.mark.parametrize("path", PURE, ids=name_of)
def test_pure_files_read_no_clock_and_roll_no_ambient_dice(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
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


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_functions_fit_a_screen_and_errors_are_not_swallowed(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
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
    assert ast.get_docstring(ast.parse(path.read_text())), "a module begins with one line"
