"""The lock says which packages, to the byte, and never where to get them from."""

import json
import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parent.parent
LOCK = (ROOT / "requirements.lock").read_text()


def test_it_has_names_versions_and_hashes_and_nothing_else() -> None:
    lines = [line.removesuffix(" \\") for line in LOCK.splitlines()]
    wanted = r"[a-z0-9-]+==[0-9A-Za-z.]+( ; .*)?|    --hash=sha256:[0-9a-f]{64}|    #.*|#.*"
    assert [line for line in lines if not re.fullmatch(wanted, line)] == []


def test_it_has_all_that_the_project_names() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    named = project["dependencies"] + project["optional-dependencies"]["dev"]
    packages = {re.split(r"[<>=; ]", name)[0].lower() for name in named}
    locked = set(re.findall(r"^([a-z0-9-]+)==", LOCK, re.MULTILINE))
    assert packages - locked == set()


def test_the_lock_of_npm_says_no_place_either() -> None:
    packages = json.loads((ROOT / "tests" / "package-lock.json").read_text())["packages"]
    locked = {name: package for name, package in packages.items() if name}
    assert {"node_modules/axe-core", "node_modules/zeromq"} <= set(locked)
    for name, package in locked.items():
        assert package["integrity"].startswith("sha512-"), name
        assert "://" not in json.dumps(package), name
