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


LEDGER_COMMANDS = {
    "verify": "prove the ledger: nothing changed, missing or swapped",
    "backup": "copy the ledger while the engine runs; announced once it is proved",
    "restore": "put a backup in the place of the ledger, while nothing runs",
    "ledger": "print the ledger's entries (--since N --json --follow)",
    "adopt": "tell the ledger that the key in the settings is a new one of the same account",
}
RECORD = "record the exchange's frames, as they come, into files that can be played again"
ARMING_COMMANDS = {
    "register-key": "say of the key in the settings which exchange it is for",
    "arm": "let orders leave for the real exchange, until a time or the engine's end",
    "disarm": "let no order leave for the real exchange from now on",
}
STOP_COMMANDS = {
    "halt": "no new order from now on, until somebody resumes",
    "resume": "lift a halt",
    "panic": "halt, cancel everything, and look until nothing rests",
}


def main() -> NoReturn:
    """Run one subcommand and exit with its code."""
    module = _module_of(sys.argv[1]) if len(sys.argv) > 1 else ""
    if module:
        command = [sys.executable, "-m", module, *sys.argv[2:]]
        os.execv(command[0], command)  # a broken writer does not break this command
    arguments = _parser().parse_args()
    try:
        code = arguments.call(arguments)
    except KeyboardInterrupt:
        code = 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        code = 0
    sys.exit(code)


def _module_of(name: str) -> str:
    """The module that a command is, where it is another process's business; "" if it is ours."""
    if name == "record":
        return "actors.recorder"
    return f"actors.writer.{name}" if name in LEDGER_COMMANDS else ""


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
    tap.add_argument("prefix", nargs="*", help="topic prefix, such as 'book.'")
    tap.add_argument("--count", type=int, default=0, help="end after so many messages")
    tap.add_argument("--verify", action="store_true", help="say what is lost and how old it comes")
    tap.add_argument("--seconds", type=float, default=0.0, help="with --verify: end after so long")
    replay = add("replay", _replay, "start everything on a recording, on the paper exchange")
    replay.add_argument("path", help="a folder of segments, one of them, or a capture")
    replay.add_argument("--speed", type=float, default=1.0, help="times as fast (1)")
    replay.add_argument("--damaged", action="store_true", help="play it with holes if need be")
    replay.add_argument("--check", action="store_true", help="only say what is damaged")
    follow = add("follow", _follow, "say what the stream follows, or have it follow more or less")
    follow.add_argument("action", nargs="?", choices=("list", "add", "remove"), default="list")
    follow.add_argument("wish", nargs="*", help="TICKER, event:, series:, *, trade:* or ticker:*")
    brakes = add("brakes", _brakes, "say which limits hold, or make some of them tighter")
    brakes.add_argument("limit", nargs="*", help="NAME=VALUE, as in [brakes] (docs/RISK.md)")
    ask = add("ask", _ask, "read something of the exchange, or list what can be read")
    ask.add_argument("read", nargs="?", default="", help="its name in docs/API.md")
    ask.add_argument("parameter", nargs="*", help="NAME=VALUE; a list has commas")
    confirm = add(
        "confirm-restore",
        _confirm_restore,
        "say that ids chosen by clients may be used again after a restore from a backup",
    )
    confirm.add_argument("--by", default="", help="who says so (default: your login name)")
    _add_token(add("token", _token, "say who may ask the front for what, let in more, or fewer"))
    add("page", _page, "print the address of the page, with a code that signs in once")
    for name, text in STOP_COMMANDS.items():
        stop = add(name, _stop, text)
        stop.set_defaults(name=name)
        by_default = None if name == "resume" else f"{name} by the operator"
        stop.add_argument("--reason", required=by_default is None, default=by_default)
        if name == "panic":
            stop.add_argument("--timeout", type=float, default=0.0, help="give up after seconds")
    _add_arming({name: add(name, _arming, text) for name, text in ARMING_COMMANDS.items()})
    for name, text in {**LEDGER_COMMANDS, "record": RECORD}.items():
        commands.add_parser(name, help=text)  # for the list only: main hands these over
    add("setup", _setup, "make the folders, keys and tokens that the profile needs")
    add("preflight", _preflight, "say what would keep the processes from starting")
    return parser


def _add_token(token: argparse.ArgumentParser) -> None:
    token.add_argument("action", nargs="?", choices=("list", "add", "remove"), default="list")
    token.add_argument("name", nargs="?", help="of the token: letters, digits, . _ -")
    token.add_argument("--scopes", help="read,trade,kill,admin, or some of them")
    token.add_argument("--days", type=int, help="it counts for so many days (for ever)")
    token.add_argument("--file", default="", help="write the secret there (0600), print nothing")


def _add_arming(commands: dict[str, argparse.ArgumentParser]) -> None:
    for name, command in commands.items():
        command.set_defaults(name=name)
    register = commands["register-key"]
    which = register.add_mutually_exclusive_group(required=True)
    which.add_argument("--live", dest="environment", action="store_const", const="live")
    which.add_argument("--demo", dest="environment", action="store_const", const="demo")
    register.add_argument("key_id", nargs="?", help="typed again (asked for if not)")
    commands["arm"].add_argument("--for", dest="duration", help="30s, 90m, 12h (12h, at most 24h)")


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
    from supervisor.arming import notes
    from supervisor.setup import check

    os.umask(0o077)
    try:
        settings = load_settings()
        check(settings, NAMES)
        for line in notes(settings):
            print(line)
    except ConfigError as e:
        print(f"sidecar: {e}", file=sys.stderr)
        return MISCONFIGURED
    except LockHeld as e:
        print(f"sidecar: {e}", file=sys.stderr)
        return LOCKED
    return 0


def _page(arguments: argparse.Namespace) -> int:
    from supervisor.sign_in import run

    return run(arguments)


def _tap(arguments: argparse.Namespace) -> int:
    from supervisor.tap import run

    return run(arguments)


def _replay(arguments: argparse.Namespace) -> int:
    from supervisor.replay import run

    return run(arguments)


def _status(arguments: argparse.Namespace) -> int:
    from urllib.error import URLError
    from urllib.request import ProxyHandler, build_opener

    from protocol.errors import ConfigError
    from protocol.runtime.process import load_settings
    from protocol.serving import reached_at

    try:
        at = load_settings().supervisor
    except ConfigError as e:
        print(f"status: {e}", file=sys.stderr)
        return MISCONFIGURED
    address = f"http://{reached_at(at.host, at.port)}/status.json"
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


def _confirm_restore(arguments: argparse.Namespace) -> int:
    from supervisor.confirm import run

    return run(arguments)


def _token(arguments: argparse.Namespace) -> int:
    from supervisor.token import run

    return run(arguments)


def _follow(arguments: argparse.Namespace) -> int:
    from supervisor.follow import run

    return run(arguments)


def _brakes(arguments: argparse.Namespace) -> int:
    from supervisor.brakes import run

    return run(arguments)


def _ask(arguments: argparse.Namespace) -> int:
    from supervisor.ask import run

    return run(arguments)


def _stop(arguments: argparse.Namespace) -> int:
    from supervisor.stop import run

    return run(arguments)


def _arming(arguments: argparse.Namespace) -> int:
    from supervisor.arming import run

    return run(arguments)


def _table(status: dict[str, Any]) -> list[str]:
    from supervisor.books import summary
    from supervisor.page import armed

    lines = [f"healthy  {'yes' if status['healthy'] else 'no'}", f"gate     {status['gate']}"]
    lines += [f"         {reason}" for reason in status["reasons"]]
    if status["processes"].get("gateway", {}).get("counters", {}).get("restore_unconfirmed"):
        lines.append("         a restore waits for you: sidecar confirm-restore")
    hold = status["processes"].get("gateway", {}).get("counters", {}).get("hold_ms", 0)
    lines += [f"         {line}" for line in armed(status["processes"])]
    if hold:
        lines.append(f"         creates are held for {-(-hold // 1000)} s more, after a cancel-all")
    lines += ["", *(f"{'+' if on else '-'} {flag}" for flag, on in status["flags"].items()), ""]
    row = "{:<11} {:<8} {:>8} {:>8} {:>9}  {}"
    lines.append(row.format("process", "state", "pid", "restarts", "beat ms", "reason"))
    for name, p in status["processes"].items():
        beat = "-" if p["heartbeat_age_ms"] < 0 else p["heartbeat_age_ms"]
        lines.append(row.format(name, p["state"], p["pid"], p["restarts"], beat, p["reason"]))
    books = summary(status["processes"])
    lines += ["", books] if books else []
    lines += _followers(status["followers"])
    return [line.rstrip() for line in lines]


def _followers(followers: dict[str, Any]) -> list[str]:
    """Programs that say how they follow; nothing while there are none."""
    from supervisor.followers import trouble

    row = "{:<20} {:<8} {:>8} {:>8} {:>8} {:>9} {:>9}"
    titles = row.format("follower", "state", "follows", "lost", "gaps", "lag ms", "said ms")
    lines = ["", titles] if followers else []
    for name, f in followers.items():
        word = trouble(f["lost"], f["lag_ms"]) or "fine"
        numbers = (f["followed"], f["lost"], f["gaps"], f["lag_ms"], f["age_ms"])
        lines.append(row.format(name, word, *numbers))
    return lines


if __name__ == "__main__":
    main()
