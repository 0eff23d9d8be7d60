"""The `sidecar` command. Imports what a subcommand needs only when it is called: the runner,
which stands behind every process, stays small."""

import argparse
import json
import os
import sys
import tomllib
from typing import Any, NoReturn

from supervisor.runner import LOCKED, MISCONFIGURED, NAMES, Runner

UNREACHABLE = 2
STATUS_WAIT_S = 3.0


def main() -> NoReturn:
    """Run one subcommand and exit with its code."""
    arguments = _parser().parse_args()
    try:
        code = arguments.call(arguments)
    except KeyboardInterrupt:
        code = 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        code = 0
    sys.exit(code)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="sidecar",
        description="A Kalshi trading engine that runs beside your own programs.",
        epilog="Settings come from the file that SIDECAR_CONFIG names (configs/paper.toml).",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(name: str, call: Any, text: str) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=text, description=text)
        command.set_defaults(call=call)
        return command

    run = add("run", _run, "run one process and restart it when it dies (the Procfile's lines)")
    run.add_argument("name", choices=NAMES)
    actor = add("actor", _actor, "run one process without a runner (systemd, containers)")
    actor.add_argument("name", choices=NAMES)
    status = add("status", _status, "say whether the whole is ready and, if not, why")
    status.add_argument("--json", action="store_true", help="print /status.json as it is")
    tap = add("tap", _tap, "print published messages as they pass")
    tap.add_argument("prefix", nargs="*", default=[""], help="topic prefix, such as 'book.'")
    tap.add_argument("--count", type=int, default=0, help="end after so many messages")
    add("setup", _setup, "make the folders, keys and tokens that the profile needs")
    add("preflight", _preflight, "say what would keep the processes from starting")
    return parser


def _module(name: str) -> list[str]:
    return [sys.executable, "-m", name if name == "supervisor" else f"actors.{name}"]


def _run(arguments: argparse.Namespace) -> int:
    where = os.environ.get("SIDECAR_CONFIG", "configs/paper.toml")
    try:
        with open(where, "rb") as file:
            run_dir = str(tomllib.load(file)["run_dir"])
        os.umask(0o077)
        os.makedirs(run_dir, mode=0o700, exist_ok=True)
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError, KeyError) as e:
        reason = "run_dir is missing" if isinstance(e, KeyError) else e
        print(f"{arguments.name}: {where}: {reason}", file=sys.stderr)
        return MISCONFIGURED
    return Runner(arguments.name, _module(arguments.name), run_dir).run()


def _actor(arguments: argparse.Namespace) -> int:
    command = _module(arguments.name)
    os.execv(command[0], command)


def _setup(arguments: argparse.Namespace) -> int:
    from protocol.errors import ConfigError
    from protocol.runtime.process import load_settings
    from supervisor.setup import set_up

    os.umask(0o077)
    try:
        for line in set_up(load_settings()):
            print(line)
    except ConfigError as e:
        print(f"setup: {e}", file=sys.stderr)
        return MISCONFIGURED
    return 0


def _preflight(arguments: argparse.Namespace) -> int:
    from protocol.errors import ConfigError
    from protocol.runtime.process import LockHeld, load_settings
    from supervisor.setup import check

    os.umask(0o077)
    try:
        check(load_settings(), NAMES)
    except ConfigError as e:
        print(f"sidecar: {e}", file=sys.stderr)
        return MISCONFIGURED
    except LockHeld as e:
        print(f"sidecar: {e}", file=sys.stderr)
        return LOCKED
    return 0


def _tap(arguments: argparse.Namespace) -> int:
    from protocol.errors import ConfigError
    from protocol.runtime.bus import tap
    from protocol.runtime.process import load_settings

    try:
        settings = load_settings()
    except ConfigError as e:
        print(f"tap: {e}", file=sys.stderr)
        return MISCONFIGURED
    endpoints = [settings.endpoint(f"{name}.pub") for name in ("stream", "ledger", "system")]
    for count, frame in enumerate(tap(endpoints, arguments.prefix), 1):
        print(frame.decode("utf-8", "backslashreplace"), flush=True)
        if count == arguments.count:
            break
    return 0


def _status(arguments: argparse.Namespace) -> int:
    from urllib.error import URLError
    from urllib.request import ProxyHandler, build_opener

    from protocol.errors import ConfigError
    from protocol.runtime.process import load_settings

    try:
        at = load_settings().supervisor
    except ConfigError as e:
        print(f"status: {e}", file=sys.stderr)
        return MISCONFIGURED
    address = f"http://{at.host}:{at.port}/status.json"
    try:
        with build_opener(ProxyHandler({})).open(address, timeout=STATUS_WAIT_S) as answer:
            text = answer.read()
        status = json.loads(text)
    except (URLError, OSError, ValueError) as e:
        print(f"status: {address} does not answer: {getattr(e, 'reason', e)}", file=sys.stderr)
        return UNREACHABLE
    if arguments.json:
        print(text.decode())
    else:
        print("\n".join(_table(status)))
    return 0 if status["healthy"] else 1


def _table(status: dict[str, Any]) -> list[str]:
    lines = [f"healthy  {'yes' if status['healthy'] else 'no'}", f"gate     {status['gate']}"]
    lines += [f"         {reason}" for reason in status["reasons"]]
    lines += ["", *(f"{'+' if on else '-'} {flag}" for flag, on in status["flags"].items()), ""]
    row = "{:<11} {:<8} {:>8} {:>8} {:>9}  {}"
    lines.append(row.format("process", "state", "pid", "restarts", "beat ms", "reason"))
    for name, p in status["processes"].items():
        beat = "-" if p["heartbeat_age_ms"] < 0 else p["heartbeat_age_ms"]
        lines.append(row.format(name, p["state"], p["pid"], p["restarts"], beat, p["reason"]))
    return [line.rstrip() for line in lines]


if __name__ == "__main__":
    main()
